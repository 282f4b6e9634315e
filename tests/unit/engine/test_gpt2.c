/* GPT-2: its tensors and their first values; what it decodes with the cache; nothing looks ahead; memory that grows
 * with the length and not with its square; it learns in both precisions; what cannot be is refused. */
#include "tests/support/network.h"

enum { ROWS = 3, LENGTH = 6, CONTEXT = 8, WIDTH = 24, HEADS = 4, BLOCKS = 2, TOKENS = 9, IGNORED = -100 };

static lk_model_spec gpt2_spec(lk_tie tie)
{
    return (lk_model_spec){
        .kind = LK_MODEL_GPT2, .mlp = {1, {BLOCKS}}, .vision.width = WIDTH,
        .transformer = {.heads = HEADS, .tie = tie}, .gpt2 = {.vocabulary = TOKENS, .context = CONTEXT},
        .loss = {.kind = LK_LOSS_CROSS_ENTROPY, .ignore_index = IGNORED}};
}

typedef struct text {
    lk_model *model;
    lk_engine *engine;
    float *params, *grads;             /* what tests see */
    float *there_params, *there_grads; /* the engine's */
    uint64_t version;
    int32_t tokens[ROWS][LENGTH], target[ROWS][LENGTH];
    int64_t sample[ROWS];
    float output[ROWS][LENGTH][TOKENS];
} text;

static size_t n_params(const text *t) { return lk_model_n_elem(t->model) * sizeof(float); }
static size_t n_grads(const text *t) { return lk_trainable_n_grads(lk_engine_trainable(t->engine)) * sizeof(float); }

static text text_new(lk_model_spec spec, lk_precision precision)
{
    text t = {.version = 1};
    const lk_engine_options options = {.kind = engine_under_test(), .precision = precision, .threads = 1, .seed = 3};

    cr_assert_eq(lk_model_new(&spec, &t.model), LK_OK, "%s", lk_error_message());
    ok_or_no_bf16(lk_engine_new(&options, t.model, &t.engine));
    t.params = lk_alloc(n_params(&t));
    t.grads = lk_alloc(n_grads(&t));
    cr_assert_eq(lk_engine_alloc(t.engine, n_params(&t), (void **)&t.there_params), LK_OK, "%s", lk_error_message());
    cr_assert_eq(lk_engine_alloc(t.engine, n_grads(&t), (void **)&t.there_grads), LK_OK, "%s", lk_error_message());
    lk_model_init(t.model, 5, t.params);
    for (int r = 0; r < ROWS; r++) {
        t.sample[r] = 10 + r;
        for (int i = 0; i < LENGTH; i++) {
            t.tokens[r][i] = (r * 5 + i * 3) % TOKENS;
            t.target[r][i] = (r * 5 + (i + 1) * 3) % TOKENS;
        }
    }
    return t;
}

static void text_free(text *t)
{
    lk_engine_release(t->engine, &t->there_grads), lk_engine_release(t->engine, &t->there_params);
    lk_free(&t->grads), lk_free(&t->params);
    lk_engine_free(&t->engine);
    lk_model_free(&t->model);
}

static lk_lane text_lane(text *t, lk_mode mode)
{
    return (lk_lane){.mode = mode, .n = ROWS, .length = LENGTH, .field = {t->tokens, t->target}, .sample = t->sample,
                     .inv_count = 1.0f / (ROWS * LENGTH), .params = t->there_params,
                     .params_version = t->version, .grads = t->there_grads, .output = &t->output[0][0][0]};
}

static void run_text(text *t, const lk_lane *lane)
{
    cr_assert_eq(lk_engine_write(t->engine, t->there_params, t->params, n_params(t)), LK_OK);
    ok_or_no_bf16(lk_engine_run(t->engine, lane));
    cr_assert_eq(lk_engine_read(t->engine, t->grads, t->there_grads, n_grads(t)), LK_OK);
}

/* ----------------------------------------------------------------- tensors */

Test(gpt2, tensors_have_the_names_and_shapes_of_the_published_file)
{
    static const struct { const char *name; int64_t rows, cols; } want[] = {
        {"wte.weight", TOKENS, WIDTH}, {"wpe.weight", CONTEXT, WIDTH},
        {"h.0.ln_1.weight", WIDTH, 0}, {"h.0.ln_1.bias", WIDTH, 0},
        {"h.0.attn.c_attn.weight", WIDTH, 3 * WIDTH}, {"h.0.attn.c_attn.bias", 3 * WIDTH, 0},
        {"h.0.attn.c_proj.weight", WIDTH, WIDTH}, {"h.0.attn.c_proj.bias", WIDTH, 0},
        {"h.0.ln_2.weight", WIDTH, 0}, {"h.0.ln_2.bias", WIDTH, 0},
        {"h.0.mlp.c_fc.weight", WIDTH, 4 * WIDTH}, {"h.0.mlp.c_fc.bias", 4 * WIDTH, 0},
        {"h.0.mlp.c_proj.weight", 4 * WIDTH, WIDTH}, {"h.0.mlp.c_proj.bias", WIDTH, 0}, {"h.1.ln_1.weight", WIDTH, 0}};

    for (int tie = LK_TIE_NONE; tie <= LK_TIE_ALL; tie++) {
        text t = text_new(gpt2_spec((lk_tie)tie), LK_FP32);

        for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
            const lk_tensor_info *got = lk_model_tensor(t.model, i);

            cr_expect_str_eq(got->name, want[i].name);
            cr_expect(got->shape[0] == want[i].rows && got->ndim == (want[i].cols ? 2 : 1) &&
                      (!want[i].cols || got->shape[1] == want[i].cols), "%s has another shape", got->name);
        }
        cr_expect_eq(lk_model_n_tensors(t.model), 2 + 12u * BLOCKS + 2 + (tie == LK_TIE_NONE), "tie %d: %zu tensors",
                     tie, lk_model_n_tensors(t.model));
        cr_expect_eq(lk_model_find(t.model, "lm_head.weight") >= 0, tie == LK_TIE_NONE, "tie %d", tie);
        cr_expect_geq(lk_model_find(t.model, "ln_f.bias"), 0);
        text_free(&t);
    }
}

static double deviation(const text *t, const char *name)
{
    const lk_tensor_info *info = lk_model_tensor(t->model, (size_t)lk_model_find(t->model, name));
    double sum = 0.0;

    for (size_t i = 0; i < info->n_elem; i++) sum += pow((double)t->params[info->offset + i], 2);
    return sqrt(sum / (double)info->n_elem);
}

/* A deviation of n normal numbers is known to 1 / sqrt(2 n): of the fewest, 24 x 24, to 3 %; four times that. */
Test(gpt2, first_values_are_normal_and_smaller_before_the_residual_sums)
{
    static const struct { const char *name; double want; } cases[] = {
        {"wte.weight", 0.02}, {"wpe.weight", 0.02}, {"h.1.attn.c_attn.weight", 0.02}, {"h.0.mlp.c_fc.weight", 0.02},
        {"h.1.attn.c_proj.weight", 0.01}, {"h.0.mlp.c_proj.weight", 0.01}, {"h.0.attn.c_attn.bias", 0.0},
        {"h.1.mlp.c_proj.bias", 0.0}, {"ln_f.weight", 1.0}, {"ln_f.bias", 0.0}};
    text t = text_new(gpt2_spec(LK_TIE_ALL), LK_FP32);

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_expect_float_eq(deviation(&t, cases[i].name), cases[i].want, 0.12 * cases[i].want, "%s: %g, want %g",
                           cases[i].name, deviation(&t, cases[i].name), cases[i].want);
    text_free(&t);
}

/* A recipe's own first values know what a weight (inputs, outputs) has for inputs. */
Test(gpt2, fans_are_those_of_inputs_and_outputs)
{
    lk_model_spec spec = gpt2_spec(LK_TIE_ALL);

    spec.init = "kaiming_uniform(mode=fan_in, nonlinearity=linear)";
    text t = text_new(spec, LK_FP32);
    const double got = deviation(&t, "h.0.mlp.c_proj.weight"), want = 1.0 / sqrt(4.0 * WIDTH);

    cr_expect_float_eq(got, want, 0.1 * want, "c_proj of the mlp: %g, want %g", got, want);
    text_free(&t);
}

/* Of a tied table, whose gradient has two parts, each is added to the arena where it is made: the last bits are those
 * of another order of three additions. */
Test(gpt2, micro_batches_add_up_to_the_lane)
{
    text t = text_new(gpt2_spec(LK_TIE_ALL), LK_FP32);
    const size_t n = lk_trainable_slot(lk_engine_trainable(t.engine), LK_SLOT_MICRO_BATCHES);
    float *whole = lk_alloc(n * sizeof *whole);
    lk_lane lane = text_lane(&t, LK_TRAIN);

    run_text(&t, &lane);
    memcpy(whole, t.grads, n * sizeof *whole);
    for (int r = 0; r < ROWS; r++) {
        lane = text_lane(&t, LK_TRAIN);
        lane.n = 1;
        lane.accumulate = r > 0;
        lane.field[0] = t.tokens[r], lane.field[1] = t.target[r];
        lane.sample += r;
        run_text(&t, &lane);
    }
    for (size_t i = 0; i < n; i++)
        cr_expect_float_eq(t.grads[i], whole[i], 1e-5, "element %zu: micro-batches %.9g, the lane %.9g", i,
                           (double)t.grads[i], (double)whole[i]);
    lk_free(&whole);
    text_free(&t);
}

Test(gpt2, blocks_computed_again_have_the_same_bits_in_less_memory)
{
    static const char *const blocks[] = {LK_RECOMPUTE_BLOCKS};
    lk_model_spec spec = gpt2_spec(LK_TIE_ALL);

    spec.dropout = 0.1;
    text t = text_new(spec, LK_FP32);
    const lk_program program = {.mode = LK_TRAIN, .n = ROWS, .length = LENGTH};
    const lk_lane lane = text_lane(&t, LK_TRAIN);
    float *kept = lk_alloc(n_grads(&t));
    lk_plan_stats before, after;

    run_text(&t, &lane);
    memcpy(kept, t.grads, n_grads(&t));
    cr_assert_eq(lk_engine_plan_stats(t.engine, &program, &before), LK_OK, "%s", lk_error_message());
    lk_engine_set_recompute(t.engine, &(lk_recompute){blocks, 1});
    run_text(&t, &lane);
    cr_expect(memcmp(kept, t.grads, n_grads(&t)) == 0, "other bits than without");
    cr_assert_eq(lk_engine_plan_stats(t.engine, &program, &after), LK_OK, "%s", lk_error_message());
    cr_expect_leq(after.activation_bytes * 10, before.activation_bytes * 8, "%zu bytes of activations, without %zu",
                  after.activation_bytes, before.activation_bytes);
    lk_free(&kept);
    text_free(&t);
}

/* ---------------------------------------------------------------- sequences */

Test(gpt2, nothing_looks_ahead)
{
    enum { AT = 3 };
    text t = text_new(gpt2_spec(LK_TIE_ALL), LK_FP32);
    const lk_lane lane = text_lane(&t, LK_PREDICT);
    float before[ROWS * LENGTH][TOKENS];

    run_text(&t, &lane);
    memcpy(before, t.output, sizeof before);
    t.tokens[0][AT] ^= 1;
    run_text(&t, &lane);
    for (int i = 0; i < ROWS * LENGTH; i++)
        cr_expect_eq(memcmp(before[i], t.output[i / LENGTH][i % LENGTH], sizeof before[i]) == 0, i < AT || i >= LENGTH,
                     "position %d of sample %d", i % LENGTH, i / LENGTH);
    text_free(&t);
}

/* Logits behind position t, which is decoded alone. */
static void decode(text *t, lk_cache *cache, int at, float out[ROWS][TOKENS])
{
    int32_t next[ROWS];
    lk_lane lane = text_lane(t, LK_DECODE);

    for (int r = 0; r < ROWS; r++) next[r] = t->tokens[r][at];
    lane.field[0] = next;
    lane.length = 1;
    lane.position = at;
    lane.output = &out[0][0];
    lane.cache = cache;
    run_text(t, &lane);
}

/* The first n positions at once, as a prompt is. */
static void encode(text *t, lk_cache *cache, int n)
{
    int32_t prompt[ROWS][LENGTH];
    lk_lane lane = text_lane(t, LK_ENCODE);

    for (int i = 0; i < ROWS * n; i++) (&prompt[0][0])[i] = t->tokens[i / n][i % n];
    lane.field[0] = prompt;
    lane.length = n;
    lane.output = NULL;
    lane.cache = cache;
    if (n > 0) run_text(t, &lane);
}

Test(gpt2, decoding_behind_any_prompt_has_the_bits_of_the_whole)
{
    for (int n_prompt = 0; n_prompt < LENGTH; n_prompt++) {
        text t = text_new(gpt2_spec(LK_TIE_ALL), LK_FP32);
        const lk_lane lane = text_lane(&t, LK_PREDICT);
        float out[ROWS][TOKENS];
        lk_cache *cache;

        cr_assert_eq(lk_cache_new(t.engine, ROWS, CONTEXT, &cache), LK_OK, "%s", lk_error_message());
        run_text(&t, &lane);
        encode(&t, cache, n_prompt);
        for (int at = n_prompt; at < LENGTH; at++) {
            decode(&t, cache, at, out);
            for (int r = 0; r < ROWS; r++)
                expect_same_numbers(t.engine, out[r], t.output[r][at], TOKENS, "the whole", r, at);
        }
        lk_cache_free(&cache);
        text_free(&t);
    }
}

Test(gpt2, a_sequence_beyond_the_context_is_refused)
{
    text t = text_new(gpt2_spec(LK_TIE_ALL), LK_FP32);
    const lk_program program = {.mode = LK_TRAIN, .n = 1, .length = CONTEXT + 1};

    cr_expect_eq(lk_engine_compile(t.engine, &program), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "wpe: a sequence of 9 positions, but the network learns 8"), "%s",
              lk_error_message());
    text_free(&t);
}

/* ------------------------------------------------------------------- memory */

static size_t activations_at(const text *t, int64_t length)
{
    const lk_program program = {.mode = LK_TRAIN, .n = 1, .length = length};
    lk_plan_stats stats;

    cr_assert_eq(lk_engine_estimate(t->engine, lk_engine_trainable(t->engine), &program, &stats), LK_OK, "%s",
                 lk_error_message());
    return stats.activation_bytes;
}

/* Where a matrix of all queries and keys were kept, four times the length would need sixteen times its memory: at 4096
 * positions 64 MiB a head.  Places are rounded up to cache lines, so this is no equality. */
Test(gpt2, memory_of_training_grows_as_the_length_does)
{
    lk_model_spec spec = gpt2_spec(LK_TIE_ALL);

    spec.gpt2.context = 4096;
    text t = text_new(spec, LK_FP32);
    const size_t quarter = activations_at(&t, 1024), whole = activations_at(&t, 4096);

    cr_expect_leq(whole, 4 * quarter, "1024 positions take %zu bytes, 4096 take %zu", quarter, whole);
    cr_expect_lt(whole, (size_t)4096 * 4096 * sizeof(float),
                 "4096 positions take %zu bytes, more than one head's matrix", whole);
    text_free(&t);
}

/* ---------------------------------------------------------------- training */

static double one_step(text *t, float lr)
{
    const lk_lane lane = text_lane(t, LK_TRAIN);
    const lk_trainable *set = lk_engine_trainable(t->engine);

    run_text(t, &lane);
    for (size_t i = 0; i < lk_model_n_params(t->model); i++) t->params[i] -= lr * t->grads[i];
    t->version++;
    return (double)t->grads[lk_trainable_slot(set, LK_SLOT_LOSS)];
}

/* The stand-in of a device takes its time, and test_golden_gpt2 has both ties there. */
Test(gpt2, it_learns_in_both_precisions)
{
    const lk_tie last = on_cuda_under_test() ? LK_TIE_NONE : LK_TIE_TARGET;

    for (int precision = LK_FP32; precision <= LK_BF16; precision++)
        for (lk_tie tie = LK_TIE_NONE; tie <= last; tie++) {
            lk_model_spec spec = gpt2_spec(tie);

            spec.dropout = 0.1;
            text t = text_new(spec, (lk_precision)precision);
            const double before = one_step(&t, 0.5f);
            double after = before;

            for (int step = 0; step < 100; step++) after = one_step(&t, 0.5f);
            cr_expect_lt(after, 0.5 * before, "precision %d, tie %d: from %g to %g", precision, (int)tie, before,
                         after);
            text_free(&t);
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

Test(gpt2, what_cannot_be_is_refused_by_its_key)
{
    const lk_model_spec good = gpt2_spec(LK_TIE_ALL);
    lk_model_spec bad = good;

    bad.transformer.heads = 5;
    expect_refused(&bad, "model.width: 24 does not divide into 5 heads");
    bad = good, bad.vision.width = 24.5;
    expect_refused(&bad, "model.width is 24.5; of a gpt2 it is a whole number");
    bad = good, bad.mlp.n_layers = 2;
    expect_refused(&bad, "model.layers: a gpt2 wants one number");
    bad = good, bad.gpt2.context = 0;
    expect_refused(&bad, "model.context is 0");
    bad = good, bad.gpt2.vocabulary = 0;
    expect_refused(&bad, "model.vocabulary is 0");
    bad = good, bad.loss.kind = LK_LOSS_MSE;
    expect_refused(&bad, "loss.kind: a gpt2 gives logits");
}

Test(gpt2, its_vocabulary_comes_from_the_data)
{
    lk_model_spec spec = gpt2_spec(LK_TIE_ALL);
    lk_sample data = {0};

    lk_sample_add(&data, &(lk_field){.name = "tokens", .dtype = LK_DTYPE_I32, .ndim = 1, .shape = {LK_LENGTH},
                                     .n_values = 65});
    spec.gpt2.vocabulary = 0;
    cr_expect_not(lk_model_is_complete(&spec));
    cr_expect_eq(lk_model_fit(&spec, &data), LK_OK, "%s", lk_error_message());
    cr_expect_eq(spec.gpt2.vocabulary, 65);
    cr_expect(lk_model_is_complete(&spec));
    spec.gpt2.vocabulary = 64;
    cr_expect_eq(lk_model_fit(&spec, &data), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "model.vocabulary is 64, but the data has 65"), "%s", lk_error_message());
}

/* Norms and biases are left alone, tables and products are not. */
Test(gpt2, weight_decay_is_of_matrices)
{
    static const char *const kinds[] = {"gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl"};
    text t = text_new(gpt2_spec(LK_TIE_NONE), LK_FP32);

    cr_expect_null(lk_model_no_decay("transformer"));
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (size_t i = 0; i < lk_model_n_tensors(t.model); i++) {
            const lk_tensor_info *info = lk_model_tensor(t.model, i);
            bool left = false;

            for (const char *const *pattern = lk_model_no_decay(kinds[k]); *pattern; pattern++)
                left |= lk_glob(*pattern, info->name);
            cr_expect_eq(left, info->ndim == 1, "%s: %s of %d dimensions", kinds[k], info->name, info->ndim);
        }
    text_free(&t);
}
