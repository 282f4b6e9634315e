/* A network's programs: several fields and targets, outputs where asked, a cache that decodes with the bits of the
 * whole sequence, activations by name. */
#include "engine/engine_impl.h"
#include "engine/nn/nn.h"
#include "tests/support/network.h"

static lk_status no_check(const lk_model_spec *spec)
{
    (void)spec;
    return LK_OK;
}

/* -------------------------------------------------- several fields and targets */

enum { HEAD_LANE = 8, COUNTS = 3, HEADS = 3 /* values of both targets */ };

static void heads_sample(const lk_model_spec *spec, lk_sample *out)
{
    (void)spec;
    lk_sample_add(out, &(lk_field){.name = "x", .dtype = LK_DTYPE_F32, .ndim = 1, .shape = {2}});
    lk_sample_add(out, &(lk_field){.name = "counts", .dtype = LK_DTYPE_I32, .ndim = 1, .shape = {COUNTS}});
    lk_sample_add(out, &(lk_field){.name = "place", .dtype = LK_DTYPE_F32, .ndim = 1, .shape = {2}, .target = true});
    lk_sample_add(out, &(lk_field){.name = "size", .dtype = LK_DTYPE_F32, .ndim = 1, .shape = {1}, .target = true});
}

/* place = A counts + B x, size = C place: the second output's gradient goes through the first. */
static lk_status heads_build(lk_builder *b, const lk_model_spec *spec, const int *in, int *out)
{
    int counts, x;

    (void)spec;
    LK_TRY(lk_layer_to_float(b, "counts", in[1], &counts));
    LK_TRY(lk_layer_linear(b, "a", counts, &(lk_linear){.n_out = 2, .no_bias = true}, &counts));
    LK_TRY(lk_layer_linear(b, "b", in[0], &(lk_linear){.n_out = 2, .no_bias = true}, &x));
    LK_TRY(lk_layer_add(b, "place", counts, x, &out[0]));
    return lk_layer_linear(b, "c", out[0], &(lk_linear){.n_out = 1, .no_bias = true}, &out[1]);
}

static const lk_network heads_row = {.word = "heads", .check = no_check, .sample = heads_sample, .build = heads_build};

typedef struct heads {
    network net;
    int32_t counts[HEAD_LANE][COUNTS];
    float place[HEAD_LANE][2], size[HEAD_LANE];
} heads;

/* Small whole numbers, so that every sum below is exact in fp32 in any order. */
static void heads_fill(heads *h)
{
    h->net = network_new((lk_model_spec){.network = &heads_row}, LK_FP32, HEAD_LANE);
    memset(h->net.params, 0, lk_model_n_elem(h->net.model) * sizeof(float));
    for (size_t t = 0; t < lk_model_n_tensors(h->net.model); t++) {
        const lk_tensor_info *info = lk_model_tensor(h->net.model, t);
        for (size_t i = 0; i < info->n_elem; i++)
            h->net.params[info->offset + i] = (float)(int)((3 * t + 2 * i) % 5) - 2;
    }
    for (int s = 0; s < HEAD_LANE; s++) {
        for (int i = 0; i < COUNTS; i++) h->counts[s][i] = (s * 5 + i * 3) % 7 - 3;
        for (int i = 0; i < 2; i++) h->net.x[2 * s + i] = (float)((s + 2 * i) % 3);
        for (int i = 0; i < 2; i++) h->place[s][i] = (float)((s + i) % 4);
        h->size[s] = (float)(s % 3);
    }
}

static lk_lane heads_lane(heads *h, lk_mode mode)
{
    lk_lane lane = lane_of(&h->net, mode);

    memcpy(lane.field, (const void *[]){h->net.x, h->counts, h->place, h->size}, 4 * sizeof *lane.field);
    lane.inv_count = 1.0f / 16.0f;
    return lane;
}

/* What the network is, in doubles: both outputs of every sample. */
static void heads_twin(const heads *h, double out[HEAD_LANE][HEADS])
{
    const lk_model *m = h->net.model;
    const float *a = h->net.params + lk_model_tensor(m, (size_t)lk_model_find(m, "a.weight"))->offset;
    const float *b = h->net.params + lk_model_tensor(m, (size_t)lk_model_find(m, "b.weight"))->offset;
    const float *c = h->net.params + lk_model_tensor(m, (size_t)lk_model_find(m, "c.weight"))->offset;

    for (int s = 0; s < HEAD_LANE; s++) {
        for (int o = 0; o < 2; o++) {
            out[s][o] = (double)b[2 * o] * (double)h->net.x[2 * s] + (double)b[2 * o + 1] * (double)h->net.x[2 * s + 1];
            for (int i = 0; i < COUNTS; i++) out[s][o] += (double)a[COUNTS * o + i] * h->counts[s][i];
        }
        out[s][2] = (double)c[0] * out[s][0] + (double)c[1] * out[s][1];
    }
}

static double heads_loss(const heads *h)
{
    double out[HEAD_LANE][HEADS], sum = 0.0;

    heads_twin(h, out);
    for (int s = 0; s < HEAD_LANE; s++)
        sum += pow(out[s][0] - (double)h->place[s][0], 2) + pow(out[s][1] - (double)h->place[s][1], 2) +
               pow(out[s][2] - (double)h->size[s], 2);
    return sum;
}

/* The loss is of second degree in each weight alone, so its central difference is its derivative. */
Test(programs, several_fields_and_targets_train)
{
    heads h;

    heads_fill(&h);
    run_lane(&h.net, heads_lane(&h, LK_TRAIN));
    const lk_trainable *set = lk_engine_trainable(h.net.engine);
    const double loss = (double)h.net.grads[lk_trainable_slot(set, LK_SLOT_LOSS)], want_loss = heads_loss(&h) / 16.0;

    cr_expect_eq(loss, want_loss, "loss: got %.9g, want %.9g", loss, want_loss);
    for (size_t t = 0; t < lk_model_n_tensors(h.net.model); t++) {
        const lk_tensor_info *info = lk_model_tensor(h.net.model, t);

        for (size_t i = 0; i < info->n_elem; i++) {
            float *w = &h.net.params[info->offset + i];
            const float before = *w, got = h.net.grads[lk_trainable_offset(set, t) + i];

            *w = before + 1.0f;
            const double above = heads_loss(&h);
            *w = before - 1.0f;
            const double want = (above - heads_loss(&h)) / 2.0 / 16.0;
            *w = before;
            cr_expect_eq((double)got, want, "d %s[%zu]: got %.9g, want %.9g", info->name, i, (double)got, want);
        }
    }
    network_free(&h.net);
}

Test(programs, outputs_lie_one_behind_the_other_and_sums_are_of_all)
{
    double out[HEAD_LANE][HEADS];
    heads h;

    heads_fill(&h);
    heads_twin(&h, out);
    run_lane(&h.net, heads_lane(&h, LK_EVAL));
    cr_expect_eq(h.net.sums[LK_SUM_LOSS], heads_loss(&h), "got %g, want %g", h.net.sums[LK_SUM_LOSS], heads_loss(&h));
    cr_expect_eq(h.net.sums[LK_SUM_COUNT], HEAD_LANE * HEADS, "got %g terms", h.net.sums[LK_SUM_COUNT]);
    for (int s = 0; s < HEAD_LANE; s++) {
        cr_expect_eq(h.net.output[2 * s + 1], (float)out[s][1], "sample %d: got %g, want %g", s,
                     (double)h.net.output[2 * s + 1], out[s][1]);
        cr_expect_eq(h.net.output[2 * HEAD_LANE + s], (float)out[s][2], "sample %d: got %g, want %g", s,
                     (double)h.net.output[2 * HEAD_LANE + s], out[s][2]);
    }
    lk_lane without = heads_lane(&h, LK_PREDICT); /* the targets are not there */
    without.field[2] = without.field[3] = NULL;
    memset(h.net.output, 0xff, HEAD_LANE * HEADS * sizeof(float));
    run_lane(&h.net, without);
    cr_expect_eq(h.net.output[2 * HEAD_LANE], (float)out[0][2]);
    network_free(&h.net);
}

Test(programs, evaluation_makes_no_room_for_an_output_that_nobody_asks_for)
{
    network net = network_new(cnn_spec(LK_NORM_NONE, LK_POOL_MAX), LK_FP32, HEAD_LANE);
    lk_lane lane = lane_of(&net, LK_EVAL);
    const lk_program silent = {.mode = LK_EVAL, .n = HEAD_LANE},
                     asked = {.mode = LK_EVAL, .n = HEAD_LANE, .output = true};
    lk_plan *plan;

    lane.output = NULL;
    run_lane(&net, lane);
    cr_expect_eq(net.engine->output_bytes, 0, "%zu bytes of outputs", net.engine->output_bytes);
    cr_assert_eq(lk_engine_plan(net.engine, &silent, &plan), LK_OK);
    cr_expect_eq(plan->graph.output_bytes, 0, "%zu bytes of outputs", plan->graph.output_bytes);
    cr_assert_eq(lk_engine_plan(net.engine, &asked, &plan), LK_OK);
    cr_expect_eq(plan->graph.output_bytes, HEAD_LANE * 3 * sizeof(float), "%zu bytes", plan->graph.output_bytes);
    network_free(&net);
}

Test(programs, one_plan_serves_the_same_program_and_another_each_other_one)
{
    network net = network_new(mlp_spec(LK_NORM_NONE, LK_NORM_BEFORE, 0.0), LK_FP32, HEAD_LANE);
    const lk_program programs[] = {
        {.mode = LK_EVAL, .n = 4}, {.mode = LK_EVAL, .n = 5}, {.mode = LK_EVAL, .n = 4, .output = true},
        {.mode = LK_EVAL, .n = 4, .taps = true}, {.mode = LK_PREDICT, .n = 4}, {.mode = LK_TRAIN, .n = 4}};
    enum { N_PROGRAMS = sizeof programs / sizeof *programs };
    lk_plan *plan[N_PROGRAMS], *again;

    for (int i = 0; i < N_PROGRAMS; i++) cr_assert_eq(lk_engine_plan(net.engine, &programs[i], &plan[i]), LK_OK);
    cr_expect_eq(net.engine->n_plans, N_PROGRAMS, "got %d plans, want %d", net.engine->n_plans, N_PROGRAMS);
    for (int i = 0; i < N_PROGRAMS; i++) {
        cr_assert_eq(lk_engine_plan(net.engine, &programs[i], &again), LK_OK);
        cr_expect(again == plan[i], "program %d got another plan", i);
    }
    network_free(&net);
}

/* ------------------------------------------------------------------- decoding */

enum { ROWS = 2, LENGTH = 6, CAPACITY = 8, WIDTH = 3 };

static void sums_sample(const lk_model_spec *spec, lk_sample *out)
{
    (void)spec;
    lk_sample_add(out, &(lk_field){.name = "x", .dtype = LK_DTYPE_F32, .ndim = 2, .shape = {LK_LENGTH, WIDTH}});
    lk_sample_add(out, &(lk_field){.name = "y", .dtype = LK_DTYPE_F32, .ndim = 2, .shape = {LK_LENGTH, WIDTH},
                                   .target = true});
    lk_sample_add(out, &(lk_field){.name = "unread", .dtype = LK_DTYPE_F32, .ndim = 1, .shape = {1}});
}

/* A recurrence without weights of its own: tanh of the sum of all positions so far.  `memory` is filled by one program
 * and read by the other. */
static lk_status sums_build(lk_builder *b, const lk_model_spec *spec, const int *in, int *out)
{
    int sum, memory;

    (void)spec;
    LK_TRY(lk_enter(b, "inner"));
    if (lk_builder_mode(b) == LK_ENCODE) LK_TRY(lk_layer_append(b, "memory", in[0], &memory));
    if (lk_builder_mode(b) == LK_DECODE) {
        LK_TRY(lk_layer_recall(b, "memory", 1, (int64_t[]){WIDTH}, &memory));
        LK_TRY(lk_tap(b, "remembered", memory));
    }
    LK_TRY(lk_layer_cumsum(b, "sum", in[0], &sum));
    LK_TRY(lk_tap(b, "sums", sum));
    lk_leave(b);
    return lk_layer_activation(b, "act", LK_ACT_TANH, sum, out);
}

/* A model has weights.  These lead nowhere, so no program computes with them, and lanes come without their field. */
static lk_status weighted_build(lk_builder *b, const lk_model_spec *spec, const int *in, int *out)
{
    int nowhere;

    LK_TRY(lk_layer_linear(b, "nowhere", in[2], &(lk_linear){.n_out = 1}, &nowhere));
    return sums_build(b, spec, in, out);
}

static const lk_network sums_row = {.word = "sums", .check = no_check, .sample = sums_sample, .build = weighted_build};

typedef struct decoder {
    lk_model *model;
    lk_engine *engine;
    float *params;
    float x[ROWS][LENGTH][WIDTH], whole[ROWS][LENGTH][WIDTH];
} decoder;

static lk_status run_sequence(decoder *d, lk_mode mode, int64_t length, const float *x, float *output, lk_cache *cache,
                              int64_t position, bool taps)
{
    const lk_lane lane = {.mode = mode, .n = ROWS, .length = length, .field = {x}, .params = d->params,
                          .params_version = 1,
                          .output = output, .cache = cache, .position = position, .taps = taps};

    return lk_engine_run(d->engine, &lane);
}

static decoder decoder_new(lk_precision precision)
{
    decoder d;
    const lk_model_spec spec = {.network = &sums_row};
    const lk_engine_options options = {.kind = engine_under_test(), .precision = precision, .threads = 1};
    const lk_philox_key key = lk_philox_key_new(5, LK_PURPOSE_DATA, 0);

    cr_assert_eq(lk_model_new(&spec, &d.model), LK_OK, "%s", lk_error_message());
    cr_assert_eq(lk_engine_new(&options, d.model, &d.engine), LK_OK, "%s", lk_error_message());
    const size_t n = lk_model_n_elem(d.model);
    float *host = lk_alloc(n * sizeof *host);
    lk_model_init(d.model, 1, host);
    cr_assert_eq(lk_engine_alloc(d.engine, n * sizeof *host, (void **)&d.params), LK_OK);
    cr_assert_eq(lk_engine_write(d.engine, d.params, host, n * sizeof *host), LK_OK);
    lk_free(&host);
    for (uint64_t i = 0; i < ROWS * LENGTH * WIDTH; i++) (&d.x[0][0][0])[i] = (float)lk_normal(key, i);
    ok_or_no_bf16(run_sequence(&d, LK_PREDICT, LENGTH, &d.x[0][0][0], &d.whole[0][0][0], NULL, 0, false));
    return d;
}

static void decoder_free(decoder *d)
{
    lk_engine_release(d->engine, &d->params);
    lk_engine_free(&d->engine);
    lk_model_free(&d->model);
}

/* Position t of both rows; row r takes those of row from[r]. */
static void decode_at(decoder *d, lk_cache *cache, int t, const int *from, float output[ROWS][WIDTH])
{
    float x[ROWS][WIDTH];

    for (int r = 0; r < ROWS; r++) memcpy(x[r], d->x[from[r]][t], sizeof x[r]);
    cr_assert_eq(run_sequence(d, LK_DECODE, 1, &x[0][0], &output[0][0], cache, t, false), LK_OK, "%s",
                 lk_error_message());
}

static void expect_position(const decoder *d, int t, const int *from, float output[ROWS][WIDTH])
{
    for (int r = 0; r < ROWS; r++)
        cr_expect_eq(memcmp(output[r], d->whole[from[r]][t], sizeof output[r]), 0,
                     "row %d, position %d: got %.9g, the whole sequence has %.9g", r, t, (double)output[r][0],
                     (double)d->whole[from[r]][t][0]);
}

static lk_cache *cache_new(decoder *d)
{
    lk_cache *cache;

    cr_assert_eq(lk_cache_new(d->engine, ROWS, CAPACITY, &cache), LK_OK, "%s", lk_error_message());
    return cache;
}

static const int straight[ROWS] = {0, 1};

Test(programs, decoding_position_by_position_has_the_bits_of_the_whole_sequence)
{
    for (int precision = LK_FP32; precision <= LK_BF16; precision++) {
        decoder d = decoder_new((lk_precision)precision);
        lk_cache *cache = cache_new(&d);
        float output[ROWS][WIDTH];

        for (int t = 0; t < LENGTH; t++) {
            decode_at(&d, cache, t, straight, output);
            expect_position(&d, t, straight, output);
        }
        lk_cache_free(&cache);
        decoder_free(&d);
    }
}

/* Two positions at once into the cache, the others one by one; two caches do not disturb each other. */
Test(programs, decoding_goes_on_where_encoding_ended)
{
    decoder d = decoder_new(LK_FP32);
    lk_cache *cache = cache_new(&d), *other = cache_new(&d);
    float begin[ROWS][2][WIDTH], output[ROWS][WIDTH];

    for (int r = 0; r < ROWS; r++) memcpy(begin[r], d.x[r], sizeof begin[r]);
    cr_assert_eq(run_sequence(&d, LK_ENCODE, 2, &begin[0][0][0], NULL, cache, 0, false), LK_OK, "%s",
                 lk_error_message());
    decode_at(&d, other, 0, (int[]){1, 1}, output);
    for (int t = 2; t < LENGTH; t++) {
        decode_at(&d, cache, t, straight, output);
        expect_position(&d, t, straight, output);
    }
    lk_cache_free(&other);
    lk_cache_free(&cache);
    decoder_free(&d);
}

Test(programs, a_reordered_cache_goes_on_with_the_rows_it_was_told)
{
    const int64_t survivors[ROWS] = {1, 1};
    const int from[ROWS] = {1, 1};
    decoder d = decoder_new(LK_FP32);
    lk_cache *cache = cache_new(&d);
    float output[ROWS][WIDTH];

    for (int t = 0; t < 3; t++) decode_at(&d, cache, t, straight, output);
    cr_assert_eq(lk_cache_reorder(cache, survivors), LK_OK, "%s", lk_error_message());
    for (int t = 3; t < LENGTH; t++) {
        decode_at(&d, cache, t, from, output);
        expect_position(&d, t, from, output);
    }
    cr_expect_eq(lk_cache_reorder(cache, (int64_t[]){0, ROWS}), LK_ERR_USAGE);
    lk_cache_free(&cache);
    decoder_free(&d);
}

Test(programs, what_does_not_fit_a_cache_is_refused)
{
    decoder d = decoder_new(LK_FP32);
    lk_cache *cache = cache_new(&d), *wide;
    float output[ROWS][LENGTH][WIDTH];
    const float *x = &d.x[0][0][0];

    cr_expect_eq(run_sequence(&d, LK_DECODE, 1, x, &output[0][0][0], cache, CAPACITY - 1, false), LK_OK, "%s",
                 lk_error_message());
    cr_expect_eq(run_sequence(&d, LK_DECODE, 1, x, &output[0][0][0], cache, CAPACITY, false), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "do not fit a cache of 8"), "message: %s", lk_error_message());
    cr_expect_eq(run_sequence(&d, LK_DECODE, 1, x, &output[0][0][0], NULL, 0, false), LK_ERR_USAGE);
    cr_expect_eq(run_sequence(&d, LK_PREDICT, LENGTH, x, &output[0][0][0], cache, 0, false), LK_ERR_USAGE);
    cr_assert_eq(lk_cache_new(d.engine, ROWS + 1, CAPACITY, &wide), LK_OK);
    cr_expect_eq(run_sequence(&d, LK_DECODE, 1, x, &output[0][0][0], wide, 0, false), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "a cache of 3 rows"), "message: %s", lk_error_message());
    lk_cache_free(&wide);
    lk_cache_free(&cache);
    decoder_free(&d);
}

Test(programs, a_network_that_keeps_nothing_cannot_decode)
{
    network net = network_new(mlp_spec(LK_NORM_NONE, LK_NORM_BEFORE, 0.0), LK_FP32, 2);
    lk_cache *cache;

    cr_expect_eq(lk_cache_new(net.engine, 1, 1, &cache), LK_ERR_USAGE);
    cr_expect_null(cache);
    cr_expect(strstr(lk_error_message(), "cannot decode"), "message: %s", lk_error_message());
    network_free(&net);
}

/* ----------------------------------------------------------------------- taps */

Test(programs, taps_are_the_activations_that_were_named)
{
    float sums[ROWS][LENGTH][WIDTH], output[ROWS][LENGTH][WIDTH];
    int64_t shape[LK_MAX_DIMS];
    int ndim;

    for (int precision = LK_FP32; precision <= LK_BF16; precision++) {
        decoder d = decoder_new((lk_precision)precision);

        cr_expect_eq(lk_engine_tap(d.engine, "inner.sums", &ndim, shape, NULL), LK_ERR_USAGE, "no lane had taps");
        cr_assert_eq(run_sequence(&d, LK_PREDICT, LENGTH, &d.x[0][0][0], &output[0][0][0], NULL, 0, true), LK_OK, "%s",
                     lk_error_message());
        cr_expect_eq(memcmp(output, d.whole, sizeof output), 0, "taps change the output");
        cr_expect_str_eq(lk_engine_tap_name(d.engine, 0), "inner.sums");
        cr_expect_null(lk_engine_tap_name(d.engine, 1));
        cr_assert_eq(lk_engine_tap(d.engine, "inner.sums", &ndim, shape, &sums[0][0][0]), LK_OK, "%s",
                     lk_error_message());
        cr_expect(ndim == 3 && shape[0] == ROWS && shape[1] == LENGTH && shape[2] == WIDTH);
        /* tanhf and the engine's own differ by little; bf16 rounds the result to 8 bits. */
        const double tolerance = precision == LK_BF16 ? 4e-3 : 1e-6;
        for (int i = 0; i < ROWS * LENGTH * WIDTH; i++)
            cr_expect_float_eq((&d.whole[0][0][0])[i], tanh((double)(&sums[0][0][0])[i]), tolerance,
                               "element %d: the output is %g, the tap %g", i, (double)(&d.whole[0][0][0])[i],
                               (double)(&sums[0][0][0])[i]);
        cr_expect_eq(lk_engine_tap(d.engine, "inner.nothing", &ndim, shape, NULL), LK_ERR_USAGE);
        decoder_free(&d);
    }
}

Test(programs, what_one_program_keeps_another_recalls)
{
    decoder d = decoder_new(LK_FP32);
    lk_cache *cache = cache_new(&d);
    float remembered[ROWS][CAPACITY][WIDTH], first[ROWS][WIDTH], output[ROWS][LENGTH][WIDTH];
    int64_t shape[LK_MAX_DIMS];
    int ndim;

    cr_assert_eq(run_sequence(&d, LK_ENCODE, LENGTH, &d.x[0][0][0], &output[0][0][0], cache, 0, false), LK_OK, "%s",
                 lk_error_message());
    cr_expect_eq(memcmp(output, d.whole, sizeof output), 0, "encoding gives another output than prediction");
    cr_assert_eq(run_sequence(&d, LK_DECODE, 1, &d.x[0][0][0], &first[0][0], cache, LENGTH, true), LK_OK, "%s",
                 lk_error_message());
    cr_assert_eq(lk_engine_tap(d.engine, "inner.remembered", &ndim, shape, &remembered[0][0][0]), LK_OK, "%s",
                 lk_error_message());
    cr_expect(ndim == 3 && shape[1] == CAPACITY);
    for (int r = 0; r < ROWS; r++)
        for (int t = 0; t < CAPACITY; t++)
            cr_expect((remembered[r][t][0] != 0.0f) == (t < LENGTH), "row %d, position %d: %g", r, t,
                      (double)remembered[r][t][0]);
    lk_cache_free(&cache);
    decoder_free(&d);
}
