/* Attention within windows: outputs and gradients equal to a twin that pads, rolls and cuts as torchvision does;
 * slopes; dropout; frozen parts; the same bits on two threads; refusals. */
#include "tests/support/op_harness.h"
#include "tests/support/window_twin.h"

#include "engine/base/formulas.h"

typedef struct shape { int64_t N, H, W, heads, D, M, shift; } shape;

typedef struct net {
    op_harness h;
    shape s;
    int64_t sample[8];
    int qkv, table, pad, y, dy;
} net;

enum { LAYER = 3 };

static void open_net(net *t, shape s, lk_dtype dtype, double p, int threads)
{
    const int64_t C = s.heads * s.D, side = 2 * s.M - 1;
    const bool fits = s.H % s.M == 0 && s.W % s.M == 0;
    const lk_windows windows = {.heads = s.heads, .size = s.M, .shift = {s.shift, s.shift}, .p = p, .layer = LAYER};

    t->s = s;
    op_open(&t->h, LK_TRAIN, threads);
    t->h.graph.n = s.N;
    t->qkv = op_tensor(&t->h, "qkv", LK_ARENA_FIELD, dtype, 4, (int64_t[]){s.N, s.H, s.W, 3 * C});
    t->h.graph.tensors[t->qkv].needs_grad = true;
    t->table = op_tensor(&t->h, "table", LK_ARENA_PARAMS, LK_DTYPE_F32, 2, (int64_t[]){side * side, s.heads});
    t->pad = fits ? LK_NO_TENSOR : op_tensor(&t->h, "pad", LK_ARENA_PARAMS, LK_DTYPE_F32, 1, (int64_t[]){3 * C});
    for (int id = t->table; id <= t->table + !fits; id++)
        t->h.graph.tensors[id].grad_offset = t->h.graph.tensors[id].offset;
    op_ok(lk_op_window_attention(&t->h.graph, "attn", t->qkv, t->table, t->pad, &windows, &t->y));
}

static void start_net(net *t)
{
    t->dy = op_differentiate(&t->h, t->y);
    op_bind(&t->h);
    op_fill(&t->h, t->qkv, 1);
    op_fill(&t->h, t->table, 2);
    if (t->pad != LK_NO_TENSOR) op_fill(&t->h, t->pad, 3);
    op_fill(&t->h, t->dy, 4);
    for (size_t n = 0; n < sizeof t->sample / sizeof *t->sample; n++) t->sample[n] = (int64_t)(17 * n + 3);
    t->h.run.sample = t->sample;
    t->h.run.step = 6;
}

/* What dropout multiplies each probability by, said element by element. */
static double *draw_factors(const net *t, double p)
{
    const shape s = t->s;
    const int64_t T = s.M * s.M, groups = (T + LK_DROPOUT_GROUP - 1) / LK_DROPOUT_GROUP;
    const int64_t rows = ((s.H + s.M - 1) / s.M) * ((s.W + s.M - 1) / s.M) * s.heads * T; /* of a sample */
    double *factor = malloc((size_t)(s.N * rows * T) * sizeof *factor);

    for (int64_t at = 0; at < s.N * rows * T; at++) {
        const int64_t sample = t->sample[at / (rows * T)];
        const uint64_t element = (uint64_t)(at / T % rows * groups * LK_DROPOUT_GROUP + at % T);
        const uint32_t counter[4] = {lk_dropout_block(element), (uint32_t)sample, (uint32_t)t->h.run.step,
                                     lk_dropout_high(t->h.run.step, sample)};
        uint32_t words[4];

        lk_philox(lk_philox_key_new(t->h.run.seed, LK_PURPOSE_DROPOUT, LAYER), counter, words);
        factor[at] = lk_dropout_keep(words[lk_dropout_word(element)], lk_dropout_threshold(p)) ? 1.0 / (1.0 - p) : 0.0;
    }
    return factor;
}

/* The type's own rounding, at the size of what is summed up; sums over windows of up to some hundred terms. */
static void expect_near(const net *t, int tensor, const double *want, const char *what)
{
    const lk_tensor *of = &t->h.graph.tensors[tensor];
    double largest = 1.0;

    for (size_t i = 0; i < of->n_elem; i++) largest = fmax(largest, fabs(want[i]));
    const double tolerance = of->dtype == LK_DTYPE_BF16 ? largest / 256 : largest * 1e-5;
    for (size_t i = 0; i < of->n_elem; i++) {
        const double got = (double)op_get_one(&t->h, tensor, i);
        cr_expect(fabs(got - want[i]) <= tolerance, "%ld x %ld x %ld, window %ld shifted by %ld: %s[%zu]: got %.9g, "
                  "want %.9g", (long)t->s.N, (long)t->s.H, (long)t->s.W, (long)t->s.M, (long)t->s.shift, what, i, got,
                  want[i]);
    }
}

static double *zeros(size_t n)
{
    double *made = calloc(n, sizeof *made);

    cr_assert(made);
    return made;
}

static void expect_twin(shape s, lk_dtype dtype, double p, int threads)
{
    net t;

    open_net(&t, s, dtype, p, threads);
    start_net(&t);
    op_run(&t.h);
    const size_t n_pad = (size_t)(3 * s.heads * s.D);
    double *qkv = op_doubles(&t.h, t.qkv), *table = op_doubles(&t.h, t.table), *dy = op_doubles(&t.h, t.dy);
    double *pad = t.pad == LK_NO_TENSOR ? NULL : op_doubles(&t.h, t.pad);
    double *factor = p > 0.0 ? draw_factors(&t, p) : NULL;
    double *y = zeros(op_n_elem(&t.h, t.y)), *dqkv = zeros(op_n_elem(&t.h, t.qkv));
    double *dtable = zeros(op_n_elem(&t.h, t.table)), *dpad = zeros(n_pad);
    const window_twin twin = {s.N, s.H, s.W, s.heads, s.D, s.M, s.shift, qkv, table, pad, dy, factor, y, dqkv, dtable,
                              dpad};

    window_twin_run(&twin);
    expect_near(&t, t.y, y, "y");
    expect_near(&t, op_gradient(&t.h, t.qkv), dqkv, "dqkv");
    expect_near(&t, op_gradient(&t.h, t.table), dtable, "dtable");
    if (pad) expect_near(&t, op_gradient(&t.h, t.pad), dpad, "dpad");
    free(dpad), free(dtable), free(dqkv), free(y), free(factor), free(pad), free(dy), free(table), free(qkv);
    op_close(&t.h);
}

/* Windows that fit and that do not, on either axis or both; one window that covers a side or the image; one token;
 * heads of 1, few and many channels; more windows than chunks. */
static const shape shapes[] = {
    {2, 8, 8, 2, 8, 4, 0}, {2, 8, 8, 2, 8, 4, 2}, {1, 14, 14, 3, 32, 7, 3}, {1, 8, 9, 3, 4, 7, 3},
    {2, 7, 14, 1, 5, 7, 3}, {1, 5, 5, 2, 16, 7, 3}, {3, 1, 1, 2, 3, 7, 3}, {2, 13, 3, 2, 4, 5, 2},
    {1, 4, 6, 2, 1, 2, 1}, {3, 1, 5, 1, 8, 1, 0},
    {7, 9, 10, 2, 4, 3, 1}, {1, 13, 21, 1, 40, 12, 6},
};

static void expect_all(lk_dtype dtype, double p)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) expect_twin(shapes[i], dtype, p, 1);
}

Test(window_attention, fp32_is_that_of_torchvision) { expect_all(LK_DTYPE_F32, 0.0); }
Test(window_attention, bf16_is_that_of_torchvision) { expect_all(LK_DTYPE_BF16, 0.0); }
Test(window_attention, fp32_drops_the_probabilities_that_the_formula_names) { expect_all(LK_DTYPE_F32, 0.25); }
Test(window_attention, bf16_drops_the_probabilities_that_the_formula_names) { expect_all(LK_DTYPE_BF16, 0.25); }

Test(window_attention, gradients_are_slopes)
{
    const shape few[] = {{1, 4, 4, 1, 2, 2, 1}, {1, 3, 2, 2, 1, 2, 1}};

    for (size_t i = 0; i < sizeof few / sizeof *few; i++) {
        net t;

        open_net(&t, few[i], LK_DTYPE_F32, 0.0, 1);
        start_net(&t);
        /* The quotient's error: a third derivative of order 1 times step^2, and rounding of y by 1e-7 / step. */
        op_expect_gradient(&t.h, t.qkv, 1.0f / 64, t.y, t.dy, 3e-4);
        op_expect_gradient(&t.h, t.table, 1.0f / 64, t.y, t.dy, 3e-4);
        if (t.pad != LK_NO_TENSOR) op_expect_gradient(&t.h, t.pad, 1.0f / 64, t.y, t.dy, 3e-4);
        op_close(&t.h);
    }
}

/* Every bit of what a run makes. */
static void *run_bits(shape s, lk_dtype dtype, int threads, size_t *nbytes)
{
    net t;

    open_net(&t, s, dtype, 0.1, threads);
    start_net(&t);
    op_run(&t.h);
    const int tensors[] = {t.y, op_gradient(&t.h, t.qkv), op_gradient(&t.h, t.table), op_gradient(&t.h, t.pad)};
    char *bits = NULL;

    *nbytes = 0;
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        const size_t n = t.h.graph.tensors[tensors[i]].nbytes;

        bits = realloc(bits, *nbytes + n);
        memcpy(bits + *nbytes, op_at(&t.h, tensors[i]), n);
        *nbytes += n;
    }
    op_close(&t.h);
    return bits;
}

Test(window_attention, two_threads_make_the_same_bits)
{
    const shape large = {2, 26, 27, 3, 32, 7, 3}; /* work enough for a second thread, and both have several chunks */

    for (int dtype = LK_DTYPE_F32; dtype <= LK_DTYPE_BF16; dtype += LK_DTYPE_BF16 - LK_DTYPE_F32) {
        size_t n_one, n_two;
        void *one = run_bits(large, (lk_dtype)dtype, 1, &n_one), *two = run_bits(large, (lk_dtype)dtype, 2, &n_two);

        cr_assert_eq(n_one, n_two);
        cr_expect_eq(memcmp(one, two, n_one), 0, "type %s: two threads make other bits",
                     lk_dtype_name((lk_dtype)dtype));
        free(two), free(one);
    }
}

/* What is frozen gets no gradient, and the others keep theirs. */
Test(window_attention, a_frozen_input_leaves_the_other_gradients_as_they_are)
{
    net all, some;

    open_net(&all, shapes[3], LK_DTYPE_F32, 0.0, 1);
    start_net(&all);
    op_run(&all.h);
    for (int frozen = 0; frozen < 3; frozen++) {
        open_net(&some, shapes[3], LK_DTYPE_F32, 0.0, 1);
        const int inputs[] = {some.qkv, some.table, some.pad};

        some.h.graph.tensors[inputs[frozen]].needs_grad = false;
        if (frozen == 0) some.h.graph.tensors[some.pad].needs_grad = false; /* as a layer that is frozen whole */
        start_net(&some);
        op_run(&some.h);
        for (int i = 0; i < 3; i++) {
            if (!some.h.graph.tensors[inputs[i]].needs_grad) continue;
            const int got = op_gradient(&some.h, inputs[i]), want = op_gradient(&all.h, inputs[i]);
            cr_expect_eq(memcmp(op_at(&some.h, got), op_at(&all.h, want), all.h.graph.tensors[want].nbytes), 0,
                         "input %d frozen: the gradient of input %d differs", frozen, i);
        }
        op_close(&some.h);
    }
    op_close(&all.h);
}

static void expect_refused(const char *what, int64_t channels, int64_t rows, lk_windows windows, bool pads)
{
    op_harness h;
    int y;

    op_open(&h, LK_TRAIN, 1);
    const int qkv = op_tensor(&h, "qkv", LK_ARENA_FIELD, LK_DTYPE_F32, 4, (int64_t[]){1, 6, 6, channels});
    const int table = op_tensor(&h, "table", LK_ARENA_PARAMS, LK_DTYPE_F32, 2, (int64_t[]){rows, 2});
    const int pad = op_tensor(&h, "pad", LK_ARENA_PARAMS, LK_DTYPE_F32, 1, (int64_t[]){24});
    cr_expect_eq(lk_op_window_attention(&h.graph, "stage.attn", qkv, table, pads ? pad : LK_NO_TENSOR, &windows, &y),
                 LK_ERR_USAGE, "%s is not refused", what);
    cr_expect(strstr(lk_error_message(), "stage.attn: ") && strstr(lk_error_message(), what), "message: %s, without %s",
              lk_error_message(), what);
    op_close(&h);
}

Test(window_attention, what_cannot_be_is_refused_by_the_layers_name)
{
    const lk_windows good = {.heads = 2, .size = 4};
    lk_windows bad = good;

    expect_refused("do not divide 6 x 6 tokens", 24, 49, good, false);
    expect_refused("25 channels of q, k and v", 25, 49, good, true);
    expect_refused("the table of relative positions is fp32 (48, 2)", 24, 48, good, true);
    expect_refused("expected fp32 (30)", 30, 49, good, true);
    bad.shift[1] = 4;
    expect_refused("windows of 4 shifted by 4", 24, 49, bad, true);
    bad = good, bad.size = LK_LARGEST_WINDOW + 1;
    expect_refused("a window of 33 tokens", 24, 49, bad, true);
    bad = good, bad.p = 1.0;
    expect_refused("dropout is 1", 24, 49, bad, true);
}
