/* The transformer: its tensors; what it decodes with the cache and how that is kept apart; what padding must not do;
 * maps of attention; it learns in both precisions; what cannot be is refused. */
#include "tests/support/network.h"

enum { ROWS = 3, LENGTH = 6, CAPACITY = 8, SOURCE_TOKENS = 9, TARGET_TOKENS = 7, IGNORED = -100 };

static lk_model_spec transformer_spec(lk_norm norm, lk_tie tie)
{
    return (lk_model_spec){
        .kind = LK_MODEL_TRANSFORMER, .mlp = {2, {1, 2}}, .cnn = {.n_hidden = 1, .hidden = {16}},
        .transformer = {.heads = 4, .ffn = 24, .tie = tie, .source_vocabulary = SOURCE_TOKENS,
                        .target_vocabulary = tie == LK_TIE_ALL ? SOURCE_TOKENS : TARGET_TOKENS},
        .norm = norm, .loss = {.kind = LK_LOSS_CROSS_ENTROPY, .ignore_index = IGNORED}};
}

typedef struct pairs {
    lk_model *model;
    lk_engine *engine;
    float *params, *grads;             /* what tests see */
    float *there_params, *there_grads; /* the engine's */
    uint64_t version;
    int32_t source[ROWS][LENGTH], source_len[ROWS], target_in[ROWS][LENGTH], target[ROWS][LENGTH];
    int64_t sample[ROWS];
    float output[ROWS][LENGTH][SOURCE_TOKENS]; /* of TARGET_TOKENS or SOURCE_TOKENS each, packed */
    double sums[LK_N_SUMS];
} pairs;

static size_t n_params(const pairs *p) { return lk_model_n_elem(p->model) * sizeof(float); }
static size_t n_grads(const pairs *p) { return lk_trainable_n_grads(lk_engine_trainable(p->engine)) * sizeof(float); }

static pairs pairs_new(lk_model_spec spec, lk_precision precision)
{
    pairs p = {.version = 1, .source_len = {6, 2, 4}};
    const lk_engine_options options = {.kind = engine_under_test(), .precision = precision, .threads = 1, .seed = 3};

    cr_assert_eq(lk_model_new(&spec, &p.model), LK_OK, "%s", lk_error_message());
    ok_or_no_bf16(lk_engine_new(&options, p.model, &p.engine));
    p.params = lk_alloc(n_params(&p));
    p.grads = lk_alloc(n_grads(&p));
    cr_assert_eq(lk_engine_alloc(p.engine, n_params(&p), (void **)&p.there_params), LK_OK, "%s", lk_error_message());
    cr_assert_eq(lk_engine_alloc(p.engine, n_grads(&p), (void **)&p.there_grads), LK_OK, "%s", lk_error_message());
    lk_model_init(p.model, 5, p.params);
    for (int r = 0; r < ROWS; r++) {
        p.sample[r] = 10 + r;
        for (int i = 0; i < LENGTH; i++) {
            p.source[r][i] = i < p.source_len[r] ? (r * 5 + i * 3) % SOURCE_TOKENS : 0;
            p.target_in[r][i] = (r * 2 + i * 4) % TARGET_TOKENS;
            p.target[r][i] = i < LENGTH - r ? (r + i * 5) % TARGET_TOKENS : IGNORED;
        }
    }
    return p;
}

static void pairs_free(pairs *p)
{
    lk_engine_release(p->engine, &p->there_grads), lk_engine_release(p->engine, &p->there_params);
    lk_free(&p->grads), lk_free(&p->params);
    lk_engine_free(&p->engine);
    lk_model_free(&p->model);
}

static lk_lane pairs_lane(pairs *p, lk_mode mode)
{
    return (lk_lane){.mode = mode, .n = ROWS, .length = LENGTH,
                     .field = {p->source, p->source_len, p->target_in, p->target}, .sample = p->sample,
                     .inv_count = 1.0f / (ROWS * LENGTH - 3), .params = p->there_params,
                     .params_version = p->version, .grads = p->there_grads, .sums = p->sums,
                     .output = &p->output[0][0][0]};
}

static void run_pairs(pairs *p, const lk_lane *lane)
{
    cr_assert_eq(lk_engine_write(p->engine, p->there_params, p->params, n_params(p)), LK_OK);
    ok_or_no_bf16(lk_engine_run(p->engine, lane));
    cr_assert_eq(lk_engine_read(p->engine, p->grads, p->there_grads, n_grads(p)), LK_OK);
}

/* ----------------------------------------------------------------- tensors */

Test(transformer, tensors_have_the_names_of_the_textbook)
{
    static const struct { const char *name; int64_t rows, cols; } want[] = {
        {"encoder.embedding.weight", SOURCE_TOKENS, 16},
        {"encoder.blks.block0.attention.W_q.weight", 16, 16}, {"encoder.blks.block0.attention.W_k.weight", 16, 16},
        {"encoder.blks.block0.attention.W_v.weight", 16, 16}, {"encoder.blks.block0.attention.W_o.weight", 16, 16},
        {"encoder.blks.block0.addnorm1.ln.weight", 16, 0}, {"encoder.blks.block0.addnorm1.ln.bias", 16, 0},
        {"encoder.blks.block0.ffn.dense1.weight", 24, 16}, {"encoder.blks.block0.ffn.dense1.bias", 24, 0},
        {"encoder.blks.block0.ffn.dense2.weight", 16, 24}, {"encoder.blks.block0.ffn.dense2.bias", 16, 0},
        {"encoder.blks.block0.addnorm2.ln.weight", 16, 0}, {"encoder.blks.block0.addnorm2.ln.bias", 16, 0},
        {"decoder.embedding.weight", TARGET_TOKENS, 16},
        {"decoder.blks.block0.attention1.W_q.weight", 16, 16}, {"decoder.blks.block0.attention1.W_k.weight", 16, 16},
        {"decoder.blks.block0.attention1.W_v.weight", 16, 16}, {"decoder.blks.block0.attention1.W_o.weight", 16, 16},
        {"decoder.blks.block0.addnorm1.ln.weight", 16, 0}, {"decoder.blks.block0.addnorm1.ln.bias", 16, 0},
        {"decoder.blks.block0.attention2.W_q.weight", 16, 16},
    };
    pairs p = pairs_new(transformer_spec(LK_NORM_POST, LK_TIE_NONE), LK_FP32);

    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const lk_tensor_info *got = lk_model_tensor(p.model, i);

        cr_expect_str_eq(got->name, want[i].name);
        cr_expect(got->shape[0] == want[i].rows && got->ndim == (want[i].cols ? 2 : 1) &&
                  (!want[i].cols || got->shape[1] == want[i].cols), "%s has another shape", got->name);
    }
    cr_expect_eq(lk_model_n_tensors(p.model), 1 + 12 + 1 + 2 * 18 + 2, "got %zu tensors", lk_model_n_tensors(p.model));
    cr_expect_geq(lk_model_find(p.model, "decoder.blks.block1.addnorm3.ln.bias"), 0);
    cr_expect_geq(lk_model_find(p.model, "decoder.dense.bias"), 0);
    pairs_free(&p);
}

Test(transformer, tied_tables_are_one_tensor)
{
    static const struct { lk_tie tie; bool has[3]; } cases[] = {
        {LK_TIE_NONE, {true, true, true}}, {LK_TIE_TARGET, {true, true, false}}, {LK_TIE_ALL, {true, false, false}}};
    static const char *const names[] = {"encoder.embedding.weight", "decoder.embedding.weight", "decoder.dense.weight"};

    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        pairs p = pairs_new(transformer_spec(LK_NORM_PRE, cases[c].tie), LK_FP32);

        for (int i = 0; i < 3; i++)
            cr_expect_eq(lk_model_find(p.model, names[i]) >= 0, cases[c].has[i], "tie %d, %s", (int)cases[c].tie,
                         names[i]);
        pairs_free(&p);
    }
}

/* ----------------------------------------------------------------- padding */

/* What stands behind a source's end, and how far the lane is filled up, does not reach the logits. */
Test(transformer, what_is_behind_the_end_of_a_source_is_not_seen)
{
    pairs p = pairs_new(transformer_spec(LK_NORM_POST, LK_TIE_NONE), LK_FP32);
    lk_lane lane = pairs_lane(&p, LK_PREDICT);
    float before[ROWS * LENGTH * TARGET_TOKENS];

    run_pairs(&p, &lane);
    memcpy(before, p.output, sizeof before);
    for (int r = 0; r < ROWS; r++)
        for (int i = p.source_len[r]; i < LENGTH; i++) p.source[r][i] = SOURCE_TOKENS - 1 - i;
    run_pairs(&p, &lane);
    cr_expect_eq(memcmp(before, p.output, sizeof before), 0, "logits differ");
    p.source[0][5] ^= 1; /* and this one is seen */
    run_pairs(&p, &lane);
    cr_expect_neq(memcmp(before, p.output, sizeof before), 0, "the last token of a source is not seen");
    pairs_free(&p);
}

/* A token of the target changes the logits from its own position on. */
Test(transformer, nothing_looks_ahead)
{
    enum { AT = 3 };
    pairs p = pairs_new(transformer_spec(LK_NORM_PRE, LK_TIE_TARGET), LK_FP32);
    lk_lane lane = pairs_lane(&p, LK_PREDICT);
    float before[ROWS * LENGTH * TARGET_TOKENS];
    const float *after = &p.output[0][0][0];

    run_pairs(&p, &lane);
    memcpy(before, p.output, sizeof before);
    p.target_in[0][AT] ^= 1;
    run_pairs(&p, &lane);
    for (int i = 0; i < ROWS * LENGTH; i++)
        cr_expect_eq(memcmp(before + i * TARGET_TOKENS, after + i * TARGET_TOKENS, TARGET_TOKENS * sizeof(float)) == 0,
                     i < AT || i >= LENGTH, "position %d of sample %d", i % LENGTH, i / LENGTH);
    pairs_free(&p);
}

/* ---------------------------------------------------------------- decoding */

static void encode(pairs *p, lk_cache *cache)
{
    lk_lane lane = pairs_lane(p, LK_ENCODE);

    lane.field[2] = lane.field[3] = NULL;
    lane.output = NULL;
    lane.cache = cache;
    run_pairs(p, &lane);
}

/* Logits of position t. */
static void decode(pairs *p, lk_cache *cache, int t, float out[ROWS][TARGET_TOKENS])
{
    int32_t next[ROWS];
    lk_lane lane = pairs_lane(p, LK_DECODE);

    for (int r = 0; r < ROWS; r++) next[r] = p->target_in[r][t];
    lane.field[0] = lane.field[3] = NULL;
    lane.field[2] = next;
    lane.length = 1;
    lane.position = t;
    lane.output = &out[0][0];
    lane.cache = cache;
    run_pairs(p, &lane);
}

Test(transformer, decoding_with_the_cache_has_the_bits_of_the_whole)
{
    for (int norm = LK_NORM_POST; norm <= LK_NORM_PRE; norm++) {
        pairs p = pairs_new(transformer_spec((lk_norm)norm, LK_TIE_TARGET), LK_FP32);
        const lk_lane lane = pairs_lane(&p, LK_PREDICT);
        const float *whole = &p.output[0][0][0];
        float out[ROWS][TARGET_TOKENS];
        lk_cache *cache;

        cr_assert_eq(lk_cache_new(p.engine, ROWS, CAPACITY, &cache), LK_OK, "%s", lk_error_message());
        run_pairs(&p, &lane);
        encode(&p, cache);
        for (int t = 0; t < LENGTH; t++) {
            decode(&p, cache, t, out);
            for (int r = 0; r < ROWS; r++)
                expect_same_numbers(p.engine, out[r], whole + (r * LENGTH + t) * TARGET_TOKENS, TARGET_TOKENS,
                                    "the whole", r, t);
        }
        lk_cache_free(&cache);
        pairs_free(&p);
    }
}

/* A beam search's survivors take their sources along: all rows go on as row 2. */
Test(transformer, a_reordered_cache_goes_on_with_the_sources_it_was_told)
{
    const int64_t from[ROWS] = {2, 2, 2};
    pairs p = pairs_new(transformer_spec(LK_NORM_POST, LK_TIE_NONE), LK_FP32);
    float want[ROWS][TARGET_TOKENS], got[ROWS][TARGET_TOKENS];
    lk_cache *cache;

    cr_assert_eq(lk_cache_new(p.engine, ROWS, CAPACITY, &cache), LK_OK);
    encode(&p, cache);
    decode(&p, cache, 0, want);
    decode(&p, cache, 1, want);
    cr_assert_eq(lk_cache_reorder(cache, from), LK_OK);
    for (int r = 0; r < ROWS; r++) {
        p.source_len[r] = p.source_len[2];
        p.target_in[r][1] = p.target_in[2][1];
    }
    decode(&p, cache, 1, got);
    for (int r = 0; r < ROWS; r++) expect_same_numbers(p.engine, got[r], want[2], TARGET_TOKENS, "row 2", r, 1);
    lk_cache_free(&cache);
    pairs_free(&p);
}

/* -------------------------------------------------------------------- maps */

Test(transformer, maps_of_attention_are_taps)
{
    static const char *const names[] = {"encoder.blks.block0.attention.attention_weights",
                                        "decoder.blks.block0.attention1.attention_weights",
                                        "decoder.blks.block1.attention2.attention_weights"};
    pairs p = pairs_new(transformer_spec(LK_NORM_POST, LK_TIE_NONE), LK_FP32);
    lk_lane lane = pairs_lane(&p, LK_PREDICT);
    float map[ROWS][4][LENGTH][LENGTH];

    lane.taps = true;
    run_pairs(&p, &lane);
    for (size_t m = 0; m < sizeof names / sizeof *names; m++) {
        int64_t shape[LK_MAX_DIMS];
        int ndim;

        cr_assert_eq(lk_engine_tap(p.engine, names[m], &ndim, shape, &map[0][0][0][0]), LK_OK, "%s",
                     lk_error_message());
        cr_expect(ndim == 4 && shape[0] == ROWS && shape[1] == 4 && shape[2] == LENGTH && shape[3] == LENGTH);
        for (int row = 0; row < ROWS * 4 * LENGTH; row++) {
            const int r = row / (4 * LENGTH), head = row / LENGTH % 4, i = row % LENGTH;
            const int n_seen = m == 1 ? i + 1 : p.source_len[r];
            double sum = 0.0;

            for (int j = 0; j < LENGTH; j++) {
                sum += (double)map[r][head][i][j];
                cr_expect_eq(map[r][head][i][j] > 0.0f, j < n_seen, "%s: sample %d, query %d, key %d", names[m], r, i,
                             j);
            }
            cr_expect_float_eq(sum, 1.0, 1e-5, "%s: a row sums up to %.9g", names[m], sum);
        }
    }
    pairs_free(&p);
}

/* ---------------------------------------------------------------- training */

static double one_step(pairs *p, float lr)
{
    const lk_lane lane = pairs_lane(p, LK_TRAIN);
    const lk_trainable *set = lk_engine_trainable(p->engine);

    run_pairs(p, &lane);
    for (size_t i = 0; i < lk_model_n_params(p->model); i++) p->params[i] -= lr * p->grads[i];
    p->version++;
    return (double)p->grads[lk_trainable_slot(set, LK_SLOT_LOSS)];
}

/* Rows [begin, end) as a lane of this length; the gradients are added to sum. */
static void add_lane(pairs *p, int begin, int end, int length, double *sum)
{
    int32_t field[3][ROWS * LENGTH];
    lk_lane lane = pairs_lane(p, LK_TRAIN);

    for (int r = begin; r < end; r++)
        for (int i = 0; i < length; i++) {
            const int at = (r - begin) * length + i;

            field[0][at] = p->source[r][i], field[1][at] = p->target_in[r][i], field[2][at] = p->target[r][i];
        }
    lane.n = end - begin;
    lane.length = length;
    lane.field[0] = field[0], lane.field[1] = p->source_len + begin;
    lane.field[2] = field[1], lane.field[3] = field[2];
    lane.sample = p->sample + begin;
    run_pairs(p, &lane);
    for (size_t i = 0; i < lk_trainable_n_grads(lk_engine_trainable(p->engine)); i++) sum[i] += (double)p->grads[i];
}

/* One long pair alone, and two short ones in a lane that is filled up less: dropout too falls on the same elements. */
Test(transformer, lanes_filled_up_unevenly_add_up_to_the_batch)
{
    lk_model_spec spec = transformer_spec(LK_NORM_POST, LK_TIE_TARGET);

    spec.dropout = 0.2;
    pairs p = pairs_new(spec, LK_FP32);
    const lk_trainable *set = lk_engine_trainable(p.engine);
    const size_t n = lk_trainable_slot(set, LK_SLOT_MICRO_BATCHES); /* gradients and the loss */
    const size_t all = lk_trainable_n_grads(lk_engine_trainable(p.engine));
    double *whole = calloc(all, sizeof *whole), *lanes = calloc(all, sizeof *lanes);

    cr_assert(whole && lanes);
    add_lane(&p, 0, ROWS, LENGTH, whole);
    add_lane(&p, 0, 1, LENGTH, lanes);
    add_lane(&p, 1, ROWS, LENGTH - 1, lanes);
    for (size_t i = 0; i < n; i++) /* sums of some dozen terms of size 1, in another order */
        cr_expect_float_eq(lanes[i], whole[i], 1e-5, "element %zu: lanes %.9g, batch %.9g", i, lanes[i], whole[i]);
    free(lanes), free(whole);
    pairs_free(&p);
}

Test(transformer, blocks_computed_again_have_the_same_bits_in_less_memory)
{
    static const char *const blocks[] = {LK_RECOMPUTE_BLOCKS};
    lk_model_spec spec = transformer_spec(LK_NORM_PRE, LK_TIE_TARGET);

    spec.dropout = 0.2;
    pairs p = pairs_new(spec, LK_FP32);
    const lk_program program = {.mode = LK_TRAIN, .n = ROWS, .length = LENGTH};
    const lk_lane lane = pairs_lane(&p, LK_TRAIN);
    float *kept = lk_alloc(n_grads(&p));
    lk_plan_stats before, after;

    run_pairs(&p, &lane);
    memcpy(kept, p.grads, n_grads(&p));
    cr_assert_eq(lk_engine_plan_stats(p.engine, &program, &before), LK_OK, "%s", lk_error_message());
    lk_engine_set_recompute(p.engine, &(lk_recompute){blocks, 1});
    run_pairs(&p, &lane);
    cr_expect(memcmp(kept, p.grads, n_grads(&p)) == 0, "other bits than without");
    cr_assert_eq(lk_engine_plan_stats(p.engine, &program, &after), LK_OK, "%s", lk_error_message());
    cr_expect_lt(after.activation_bytes * 10, before.activation_bytes * 9, "%zu bytes of activations, without %zu",
                 after.activation_bytes, before.activation_bytes);
    lk_free(&kept);
    pairs_free(&p);
}

Test(transformer, how_far_a_lane_is_filled_up_changes_no_bit)
{
    lk_model_spec spec = transformer_spec(LK_NORM_PRE, LK_TIE_TARGET);

    spec.dropout = 0.2;
    pairs p = pairs_new(spec, LK_FP32);
    const size_t n = lk_trainable_n_grads(lk_engine_trainable(p.engine));
    double *near = calloc(n, sizeof *near), *far = calloc(n, sizeof *far);

    cr_assert(near && far);
    add_lane(&p, 1, ROWS, LENGTH - 1, near);
    add_lane(&p, 1, ROWS, LENGTH, far);
    for (size_t i = 0; i < n; i++)
        cr_expect_eq(near[i], far[i], "element %zu: %.9g, filled up further %.9g", i, near[i], far[i]);
    free(far), free(near);
    pairs_free(&p);
}

/* The stand-in of a device takes its time, and test_golden_transformer has every tie there. */
Test(transformer, it_learns_in_both_precisions)
{
    const lk_tie last = on_cuda_under_test() ? LK_TIE_NONE : LK_TIE_ALL;

    for (int precision = LK_FP32; precision <= LK_BF16; precision++)
        for (lk_tie tie = LK_TIE_NONE; tie <= last; tie++) {
            lk_model_spec spec = transformer_spec(LK_NORM_PRE, tie);

            spec.dropout = 0.1;
            pairs p = pairs_new(spec, (lk_precision)precision);
            const double before = one_step(&p, 0.1f);
            double after = before;

            for (int step = 0; step < 60; step++) after = one_step(&p, 0.1f);
            cr_expect_lt(after, 0.5 * before, "precision %d, tie %d: from %g to %g", precision, (int)tie, before,
                         after);
            pairs_free(&p);
        }
}

/* ---------------------------------------------------------------- refusals */

static void expect_refused(const lk_model_spec *spec, const char *what)
{
    lk_model *model;

    cr_expect_eq(lk_model_new(spec, &model), LK_ERR_USAGE, "%s is not refused", what);
    cr_expect(strstr(lk_error_message(), what), "message: %s, without %s", lk_error_message(), what);
    lk_model_free(&model);
}

Test(transformer, what_cannot_be_is_refused_by_its_key)
{
    const lk_model_spec good = transformer_spec(LK_NORM_POST, LK_TIE_NONE);
    lk_model_spec bad = good;

    bad.transformer.heads = 3;
    expect_refused(&bad, "model.hidden: 16 does not divide into 3 heads");
    bad = good, bad.cnn.n_hidden = 2;
    expect_refused(&bad, "model.hidden: a transformer wants one width");
    bad = good, bad.mlp.n_layers = 3;
    expect_refused(&bad, "model.layers: 3 numbers");
    bad = good, bad.transformer.ffn = 0;
    expect_refused(&bad, "model.ffn: it is 0");
    bad = good, bad.norm = LK_NORM_BATCH;
    expect_refused(&bad, "model.norm: a transformer has it post");
    bad = good, bad.loss.kind = LK_LOSS_MSE;
    expect_refused(&bad, "loss.kind: a transformer gives logits");
    bad = good, bad.transformer.tie = LK_TIE_ALL;
    expect_refused(&bad, "model.tie: all tables are one");
    bad = (lk_model_spec){.kind = LK_MODEL_MLP, .mlp = {2, {3, 2}}, .norm = LK_NORM_PRE};
    expect_refused(&bad, "model.norm: post and pre are a transformer's");
}

static lk_sample data_of(int64_t source, int64_t target)
{
    lk_sample data = {0};
    lk_field tokens = {.name = "source", .dtype = LK_DTYPE_I32, .ndim = 1, .shape = {LK_LENGTH}, .n_values = source};

    lk_sample_add(&data, &tokens);
    strcpy(tokens.name, "target_in");
    tokens.n_values = target;
    lk_sample_add(&data, &tokens);
    return data;
}

Test(transformer, vocabularies_come_from_the_data)
{
    lk_model_spec spec = transformer_spec(LK_NORM_POST, LK_TIE_NONE);
    const lk_sample data = data_of(30, 40), silent = data_of(0, 40), larger = data_of(30, 41);

    spec.transformer.source_vocabulary = spec.transformer.target_vocabulary = 0;
    cr_expect_not(lk_model_is_complete(&spec));
    cr_expect_eq(lk_model_fit(&spec, &silent), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "model.source_vocabulary: the data do not say"), "%s", lk_error_message());
    cr_expect_eq(lk_model_fit(&spec, &data), LK_OK, "%s", lk_error_message());
    cr_expect(spec.transformer.source_vocabulary == 30 && spec.transformer.target_vocabulary == 40);
    cr_expect(lk_model_is_complete(&spec));
    cr_expect_eq(lk_model_fit(&spec, &larger), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "model.target_vocabulary is 40, but the data has 41"), "%s",
              lk_error_message());
}
