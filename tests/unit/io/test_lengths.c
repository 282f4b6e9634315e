/* Fields whose samples are of different lengths: lanes as long as their longest sample or as long as the data set says,
 * and a model that computes with the lane's length. */
#include "engine/nn/nn.h"
#include "io/data/data.h"
#include "tests/support/data_files.h"

enum { N = 11, WIDTH = 2, CLASSES = 3, BATCH = 6, LANES = 3, FIXED = 9, PAD = -100 };
enum { SOURCE, SOURCE_LEN, TARGET };

static int64_t length_of(int64_t sample) { return 1 + sample * 5 % 7; }
static float source_of(int64_t sample, int64_t t, int c) { return (float)(100 * sample + 10 * t + c); }
static int32_t target_of(int64_t sample, int64_t t) { return (int32_t)((sample + t) % CLASSES); }

/* Samples [begin, end): source (length, WIDTH), source_len, target (length). */
static lk_table make_table(int64_t begin, int64_t end, int64_t length)
{
    const lk_field described[] = {
        {.name = "source", .dtype = LK_DTYPE_F32, .ndim = 2, .shape = {LK_LENGTH, WIDTH}},
        {.name = "source_len", .dtype = LK_DTYPE_I32},
        {.name = "target", .dtype = LK_DTYPE_I32, .ndim = 1, .shape = {LK_LENGTH}, .target = true,
         .n_values = CLASSES}};
    lk_table t = {.path = "made", .n = end - begin, .rows_per_sample = 1, .n_fields = 3, .length = length};
    int64_t at = 0;

    for (int f = 0; f < 3; f++) {
        t.fields[f] = (lk_table_field){
            .field = described[f], .pad = PAD, .values = malloc(8 * N * WIDTH * sizeof(float))};
        if (f != SOURCE_LEN) t.fields[f].begin = calloc((size_t)t.n + 1, sizeof(int64_t));
    }
    for (int64_t i = 0; i < t.n; at += length_of(begin + i), i++) {
        const int64_t sample = begin + i, n = length_of(sample);
        t.fields[SOURCE].begin[i + 1] = t.fields[TARGET].begin[i + 1] = at + n;
        ((int32_t *)t.fields[SOURCE_LEN].values)[i] = (int32_t)n;
        for (int64_t k = 0; k < n; k++) {
            float *source = (float *)t.fields[SOURCE].values + (at + k) * WIDTH;
            for (int c = 0; c < WIDTH; c++) source[c] = source_of(sample, k, c);
            ((int32_t *)t.fields[TARGET].values)[at + k] = target_of(sample, k);
        }
    }
    return t;
}

static lk_dataset *dataset_of(lk_table *table)
{
    const lk_data_spec spec = plain_spec(LK_DATA_HDF5);
    lk_data_stats *stats;
    lk_dataset *data;

    cr_assert_eq(lk_stats_new(LK_DATA_HDF5, &stats), LK_OK);
    cr_assert_eq(lk_dataset_new(&spec, true, stats, table, &(lk_budget){0}, &data), LK_OK, "%s", lk_error_message());
    lk_stats_free(&stats);
    lk_table_clear(table);
    return data;
}

static lk_dataset *make_data(int64_t length)
{
    lk_table table = make_table(0, N, length);

    return dataset_of(&table);
}

static lk_loader *make_loader(const lk_dataset *data, int lanes, int lane_begin)
{
    const lk_loader_spec spec = {.batch = BATCH, .lanes = lanes, .lane_begin = lane_begin, .lane_end = lanes,
                                 .shuffle = true,
                                 .seed = 4, .loss = {.kind = LK_LOSS_CROSS_ENTROPY, .ignore_index = PAD}};
    lk_loader *loader;

    cr_assert_eq(lk_loader_new(data, &spec, &loader), LK_OK, "%s", lk_error_message());
    return loader;
}

static lk_batch next(lk_loader *loader)
{
    lk_batch batch;

    cr_assert_eq(lk_loader_next(loader, &batch), LK_OK, "%s", lk_error_message());
    return batch;
}

/* One sample in its lane: its values, and behind them what fills it up. */
static void expect_sample(const lk_batch_lane *lane, int64_t k)
{
    const int64_t sample = lane->sample[k], n = length_of(sample);
    const int32_t *target = (const int32_t *)lane->field[TARGET] + k * lane->length;
    const float *source = (const float *)lane->field[SOURCE] + k * lane->length * WIDTH;

    cr_expect_eq(((const int32_t *)lane->field[SOURCE_LEN])[k], n);
    for (int64_t t = 0; t < lane->length; t++) {
        const int32_t want = t < n ? target_of(sample, t) : PAD;
        cr_expect_eq(target[t], want, "sample %ld, target %ld: got %d, want %d", (long)sample, (long)t, target[t],
                     want);
        for (int c = 0; c < WIDTH; c++) {
            const float x = t < n ? source_of(sample, t, c) : 0.0f, got = source[t * WIDTH + c];
            cr_expect_eq(got, x, "sample %ld, source %ld: got %g, want %g", (long)sample, (long)t, (double)got,
                         (double)x);
        }
    }
}

static void expect_lanes(int64_t fixed)
{
    lk_dataset *data = make_data(fixed);
    lk_loader *loader = make_loader(data, LANES, 0);
    bool seen[N] = {false};

    cr_expect_eq(lk_loader_length(loader), fixed ? fixed : 7, "at most %ld", (long)lk_loader_length(loader));
    for (int64_t b = 0; b < lk_loader_batches(loader); b++) {
        const lk_batch batch = next(loader);
        int64_t terms = 0;
        for (int l = 0; l < LANES; l++) {
            const lk_batch_lane *lane = &batch.lane[l];
            int64_t longest = 0;
            for (int64_t k = 0; k < lane->n; k++) {
                const int64_t n = length_of(lane->sample[k]);
                terms += n, longest = n > longest ? n : longest;
                seen[lane->sample[k]] = true;
                expect_sample(lane, k);
            }
            const int64_t want = fixed && lane->n ? fixed : longest;
            cr_expect_eq(lane->length, want, "batch %ld, lane %d: of length %ld, want %ld", (long)b, l,
                         (long)lane->length, (long)want);
        }
        cr_expect_eq(batch.n_terms, (double)terms, "batch %ld: %g terms, want %ld", (long)b, batch.n_terms,
                     (long)terms);
    }
    for (int i = 0; i < N; i++) cr_expect(seen[i], "sample %d did not come", i);
    lk_loader_free(&loader);
    lk_dataset_free(&data);
}

Test(lengths, a_lane_is_as_long_as_its_longest_sample) { expect_lanes(0); }
Test(lengths, or_as_long_as_the_data_set_says) { expect_lanes(FIXED); }

/* On another worker, with other lanes before it, and after a seek. */
Test(lengths, a_lane_is_a_function_of_epoch_batch_and_lane)
{
    lk_dataset *data = make_data(0);
    lk_loader *all = make_loader(data, LANES, 0), *last = make_loader(data, LANES, LANES - 1);
    const int64_t n_batches = lk_loader_batches(all);

    for (int64_t i = 3 * n_batches - 1; i >= 0; i--) {
        cr_assert_eq(lk_loader_seek(all, i / n_batches, i % n_batches), LK_OK);
        cr_assert_eq(lk_loader_seek(last, i / n_batches, i % n_batches), LK_OK);
        const lk_batch a = next(all), b = next(last);
        const lk_batch_lane *one = &a.lane[LANES - 1], *other = &b.lane[0];
        cr_assert(one->n == other->n && one->length == other->length, "%ld of length %ld and %ld of length %ld",
                  (long)one->n, (long)one->length, (long)other->n, (long)other->length);
        cr_expect_eq(a.n_terms, b.n_terms, "%g and %g terms", a.n_terms, b.n_terms);
        cr_expect_eq(memcmp(one->sample, other->sample, (size_t)one->n * sizeof *one->sample), 0);
        for (int64_t k = 0; k < other->n; k++) expect_sample(other, k);
    }
    lk_loader_free(&last);
    lk_loader_free(&all);
    lk_dataset_free(&data);
}

static void hash_of(lk_table *table, char hash[LK_HASH_BYTES])
{
    lk_dataset *data = dataset_of(table);

    cr_assert_eq(lk_dataset_hash(data, hash), LK_OK);
    lk_dataset_free(&data);
}

Test(lengths, tables_join_and_split_with_their_fields)
{
    lk_table whole = make_table(0, N, FIXED), parts[2] = {make_table(0, 4, FIXED), make_table(4, N, FIXED)}, joined,
             others;
    char hash[3][LK_HASH_BYTES];
    const bool held_out[N] = {[0] = true, [3] = true, [N - 1] = true};

    cr_assert_eq(lk_tables_join(parts, 2, &joined), LK_OK, "%s", lk_error_message());
    cr_assert_eq(joined.n, N);
    cr_assert_eq(lk_table_split(&joined, 0, held_out, &others), LK_OK, "%s", lk_error_message());
    cr_assert(joined.n == N - 3 && others.n == 3 && others.length == FIXED);
    cr_expect_eq(lk_table_field_length(&others.fields[TARGET], 1), length_of(3));
    cr_expect_eq(((const int32_t *)lk_table_field_at(&others.fields[TARGET], 1))[0], target_of(3, 0));
    cr_expect_eq(((const float *)lk_table_field_at(&others.fields[SOURCE], 2))[0], source_of(N - 1, 0, 0));
    cr_expect_eq(((const float *)lk_table_field_at(&joined.fields[SOURCE], 2))[1], source_of(4, 0, 1));
    cr_expect_eq(((const int32_t *)joined.fields[SOURCE_LEN].values)[N - 4], (int32_t)length_of(N - 2));

    hash_of(&joined, hash[0]);
    hash_of(&others, hash[1]);
    hash_of(&whole, hash[2]);
    lk_table again[2] = {make_table(0, 7, FIXED), make_table(7, N, FIXED)};
    cr_assert_eq(lk_tables_join(again, 2, &joined), LK_OK);
    char as_one[LK_HASH_BYTES];
    hash_of(&joined, as_one);
    cr_expect_str_eq(as_one, hash[2], "from two files %s, from one %s", as_one, hash[2]);
    cr_expect_str_neq(hash[0], hash[2]);
    cr_expect_str_neq(hash[0], hash[1]);
}

/* ---------------------------------------------------------------------- a model */

static void tagger_sample(const lk_model_spec *spec, lk_sample *out)
{
    (void)spec;
    lk_sample_add(out, &(lk_field){.name = "source", .dtype = LK_DTYPE_F32, .ndim = 2, .shape = {LK_LENGTH, WIDTH}});
    lk_sample_add(
        out, &(lk_field){.name = "target", .dtype = LK_DTYPE_I32, .ndim = 1, .shape = {LK_LENGTH}, .target = true});
}

/* Logits of CLASSES at each place. */
static lk_status tagger_build(lk_builder *b, const lk_model_spec *spec, const int *in, int *out)
{
    (void)spec;
    return lk_layer_linear(b, "fc", in[0], &(lk_linear){.n_out = CLASSES}, out);
}

static const lk_network tagger = {.word = "tagger", .sample = tagger_sample, .build = tagger_build};

/* Sums of an epoch in lanes of one sample, which need no filling up, or of several. */
static void sum_epoch(lk_engine *engine, const lk_model *model, const float *params, int64_t fixed, int lanes,
                      double total[LK_N_SUMS])
{
    lk_dataset *data = make_data(fixed);
    lk_loader_spec spec = {.batch = BATCH, .lanes = lanes, .lane_end = lanes,
                           .loss = {.kind = LK_LOSS_CROSS_ENTROPY, .ignore_index = PAD}};
    lk_loader *loader;
    lk_batch batch = {0};

    cr_assert_eq(lk_sample_match(lk_model_sample(model), lk_dataset_sample(data), true, &spec.fields), LK_OK);
    cr_assert_eq(lk_loader_new(data, &spec, &loader), LK_OK, "%s", lk_error_message());
    while (!batch.last) {
        batch = next(loader);
        for (int l = 0; l < lanes; l++) {
            double sums[LK_N_SUMS + LK_N_OUTPUT_SUMS * CLASSES];
            lk_lane lane = {.mode = LK_EVAL, .n = batch.lane[l].n, .length = batch.lane[l].length, .params = params,
                            .params_version = 1, .sums = sums};
            if (lane.n == 0) continue;
            memcpy(lane.field, batch.lane[l].field, sizeof lane.field);
            cr_assert_eq(lk_engine_run(engine, &lane), LK_OK, "%s", lk_error_message());
            for (int k = 0; k < LK_N_SUMS; k++) total[k] += sums[k];
        }
    }
    lk_loader_free(&loader);
    lk_dataset_free(&data);
}

Test(lengths, a_model_computes_with_the_lanes_length)
{
    const lk_model_spec spec = {.network = &tagger, .loss = {.kind = LK_LOSS_CROSS_ENTROPY, .ignore_index = PAD}};
    const lk_engine_options options = {.kind = LK_ENGINE_CPU, .threads = 1};
    double own[LK_N_SUMS] = {0}, longest[LK_N_SUMS] = {0}, fixed[LK_N_SUMS] = {0};
    int64_t terms = 0;
    lk_model *model;
    lk_engine *engine;
    float *params;

    cr_assert_eq(lk_model_new(&spec, &model), LK_OK, "%s", lk_error_message());
    cr_assert_eq(lk_engine_new(&options, model, &engine), LK_OK, "%s", lk_error_message());
    cr_assert_eq(lk_engine_alloc(engine, lk_model_n_elem(model) * sizeof *params, (void **)&params), LK_OK);
    for (size_t i = 0; i < lk_model_n_elem(model); i++) params[i] = 1e-3f * (float)(i % 5);
    sum_epoch(engine, model, params, 0, BATCH, own);
    sum_epoch(engine, model, params, 0, 1, longest);
    sum_epoch(engine, model, params, FIXED, 1, fixed);
    for (int i = 0; i < N; i++) terms += length_of(i);

    cr_expect_eq(own[LK_SUM_COUNT], (double)terms, "%g terms, want %ld", own[LK_SUM_COUNT], (long)terms);
    cr_expect(longest[LK_SUM_COUNT] == (double)terms && fixed[LK_SUM_COUNT] == (double)terms);
    /* The same terms in fp32, whose products may round otherwise in another shape. */
    const double want = own[LK_SUM_LOSS], off = 1e-6 * want;
    cr_expect_float_eq(longest[LK_SUM_LOSS], want, off, "filled up: loss %.9g, want %.9g", longest[LK_SUM_LOSS], want);
    cr_expect_float_eq(fixed[LK_SUM_LOSS], want, off, "of fixed length: loss %.9g, want %.9g", fixed[LK_SUM_LOSS],
                       want);
    lk_engine_release(engine, &params);
    lk_engine_free(&engine);
    lk_model_free(&model);
}
