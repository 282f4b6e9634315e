/* Dropout: a mask depends on seed, layer, step, sample and element, on nothing else; rates, gradients, refusals. */
#include "tests/support/op_harness.h"

#include "engine/base/formulas.h"

#include <math.h>

typedef struct net {
    op_harness h;
    int x, y, dy, mask;
} net;

/* Dropout of (n, width) ones; samples are `sample` and those after it. */
static void open_net(net *t, int64_t n, int64_t width, double p, uint32_t layer, const int64_t *sample, lk_dtype dtype,
                     int threads)
{
    op_open(&t->h, LK_TRAIN, threads);
    t->h.graph.n = n;
    t->x = op_tensor(&t->h, "x", LK_ARENA_FIELD, dtype, 2, (int64_t[]){n, width});
    t->h.graph.tensors[t->x].needs_grad = true;
    op_ok(lk_op_dropout(&t->h.graph, "drop", p, layer, t->x, &t->y));
    t->mask = t->h.graph.nodes[0].out[1];
    t->dy = op_differentiate(&t->h, t->y);
    op_bind(&t->h);
    for (size_t i = 0; i < op_n_elem(&t->h, t->x); i++) {
        op_set_one(&t->h, t->x, i, 1.0f);
        op_set_one(&t->h, t->dy, i, 3.0f);
    }
    t->h.run.sample = sample;
    t->h.run.step = 11;
}

/* What the formulas say about one element, by the scalar Philox. */
static bool kept(uint64_t seed, uint32_t layer, int64_t step, int64_t sample, uint64_t element, double p)
{
    const uint32_t counter[4] = {lk_dropout_block(element), (uint32_t)sample, (uint32_t)step,
                                 lk_dropout_high(step, sample)};
    uint32_t words[4];

    lk_philox(lk_philox_key_new(seed, LK_PURPOSE_DROPOUT, layer), counter, words);
    return lk_dropout_keep(words[lk_dropout_word(element)], lk_dropout_threshold(p));
}

static void expect_formula(int64_t n, int64_t width, lk_dtype dtype, int threads)
{
    const double p = 0.25; /* 1 / (1 - p) rounds; 3 / (1 - p) is 4 to one rounding in fp32 */
    int64_t *sample = malloc((size_t)n * sizeof *sample);
    net t;

    for (int64_t r = 0; r < n; r++) sample[r] = r * 1000003 + ((int64_t)(r % 3) << 33);
    open_net(&t, n, width, p, 2, sample, dtype, threads);
    op_run(&t.h);
    for (size_t i = 0; i < op_n_elem(&t.h, t.x); i++) {
        const bool want = kept(t.h.run.seed, 2, t.h.run.step, sample[i / (size_t)width], i % (size_t)width, p);
        const float mask = op_get_one(&t.h, t.mask, i), y = op_get_one(&t.h, t.y, i);
        const float dx = op_get_one(&t.h, op_gradient(&t.h, t.x), i);
        const float scale = (float)(1.0 / (1.0 - p));

        cr_expect_eq(mask, (float)want, "%ld x %ld, element %zu: got %g, want %d", (long)n, (long)width, i,
                     (double)mask, want);
        cr_expect_float_eq(y, want ? scale : 0.0f, 0x1p-8, "y[%zu]: got %g", i, (double)y);
        cr_expect_float_eq(dx, want ? 3.0f * scale : 0.0f, 0x1p-6, "dx[%zu]: got %g", i, (double)dx);
    }
    op_close(&t.h);
    free(sample);
}

static void check_shapes(lk_dtype dtype)
{
    const int64_t shapes[][2] = {{1, 1}, {3, 3}, {5, 17}, {2, 31}, {3, 32}, {4, 33}, {1, 64}, {3, 100}, {7, 96}};

    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) expect_formula(shapes[i][0], shapes[i][1], dtype, 1);
}

Test(dropout, fp32_masks_and_values_are_those_of_the_formula) { check_shapes(LK_DTYPE_F32); }
Test(dropout, bf16_masks_and_values_are_those_of_the_formula) { check_shapes(LK_DTYPE_BF16); }
/* Above the size at which a second thread is used. */
Test(dropout, two_threads_draw_the_same_masks) { expect_formula(1001, 72, LK_DTYPE_F32, 2); }

/* Masks of (n, width) for the samples from `first` on, one byte an element. */
static void draw_masks(uint8_t *masks, int64_t n, int64_t width, int64_t first, uint32_t layer, int64_t step)
{
    int64_t *sample = malloc((size_t)n * sizeof *sample);
    net t;

    for (int64_t r = 0; r < n; r++) sample[r] = first + r;
    open_net(&t, n, width, 0.5, layer, sample, LK_DTYPE_F32, 1);
    t.h.run.step = step;
    op_run(&t.h);
    for (size_t i = 0; i < op_n_elem(&t.h, t.mask); i++) masks[i] = (uint8_t)op_get_one(&t.h, t.mask, i);
    op_close(&t.h);
    free(sample);
}

Test(dropout, masks_do_not_depend_on_how_samples_are_cut_into_lanes)
{
    enum { N = 13, WIDTH = 50 };
    uint8_t whole[N * WIDTH], parts[N * WIDTH];
    const int64_t cuts[] = {0, 1, 6, 8, N};

    draw_masks(whole, N, WIDTH, 70, 1, 5);
    for (int i = 0; i + 1 < (int)(sizeof cuts / sizeof *cuts); i++)
        draw_masks(parts + cuts[i] * WIDTH, cuts[i + 1] - cuts[i], WIDTH, 70 + cuts[i], 1, 5);
    cr_expect_eq(memcmp(whole, parts, sizeof whole), 0, "lanes of 1, 5, 2 and 5 samples draw other masks than one");
}

/* How many of `n` bytes agree; for independent fair masks n / 2 with a deviation of sqrt(n) / 2. */
static int agreeing(const uint8_t *a, const uint8_t *b, int n)
{
    int same = 0;

    for (int i = 0; i < n; i++) same += a[i] == b[i];
    return same;
}

Test(dropout, other_layers_steps_and_samples_have_other_masks)
{
    enum { WIDTH = 4096 };
    static uint8_t first[WIDTH], other[WIDTH];
    const int64_t big = (int64_t)1 << 32;
    const struct { int64_t sample; uint32_t layer; int64_t step; } others[] = {
        {8, 1, 5}, {7, 2, 5}, {7, 1, 6}, {7 + big, 1, 5}, {7, 1, 5 + big}, {5, 1, 7}, {7 + (big << 8), 1, 5},
    };

    draw_masks(first, 1, WIDTH, 7, 1, 5);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        draw_masks(other, 1, WIDTH, others[i].sample, others[i].layer, others[i].step);
        const int same = agreeing(first, other, WIDTH), off = same - WIDTH / 2;
        cr_expect(off * off < 25 * WIDTH / 4, "case %zu: %d of %d agree, want about half", i, same, WIDTH);
    }
}

Test(dropout, the_rate_is_p)
{
    enum { N = 64, WIDTH = 1000 };
    const double hyperparams[] = {0.01, 0.2, 0.5, 0.9};
    int64_t sample[N];

    for (int64_t r = 0; r < N; r++) sample[r] = r;
    for (size_t i = 0; i < sizeof hyperparams / sizeof *hyperparams; i++) {
        double dropped = 0.0;
        net t;

        open_net(&t, N, WIDTH, hyperparams[i], 0, sample, LK_DTYPE_F32, 1);
        op_run(&t.h);
        for (size_t k = 0; k < N * WIDTH; k++) dropped += 1.0 - (double)op_get_one(&t.h, t.mask, k);
        /* 5 standard deviations of the binomial */
        const double want = hyperparams[i] * N * WIDTH, most = 5.0 * sqrt(want * (1.0 - hyperparams[i]));
        cr_expect(fabs(dropped - want) < most, "p = %g: %g dropped, want %g +- %g", hyperparams[i], dropped, want,
                  most);
        op_close(&t.h);
    }
}

/* What is dropped is 0 whatever it was, and so is its gradient. */
Test(dropout, a_dropped_infinity_is_zero)
{
    const int64_t sample[] = {3};
    net t;

    open_net(&t, 1, 64, 0.5, 0, sample, LK_DTYPE_F32, 1);
    for (size_t i = 0; i < 64; i++) op_set_one(&t.h, t.x, i, INFINITY);
    op_run(&t.h);
    for (size_t i = 0; i < 64; i++) {
        const float want = op_get_one(&t.h, t.mask, i) > 0.0f ? INFINITY : 0.0f, got = op_get_one(&t.h, t.y, i);
        cr_expect_eq(got, want, "y[%zu]: got %g, want %g", i, (double)got, (double)want);
    }
    op_close(&t.h);
}

/* y is linear in x, so with a power of two as scale the difference quotient is exact. */
Test(dropout, gradient_equals_difference_quotients)
{
    const int64_t sample[] = {9, 4};
    net t;

    open_net(&t, 2, 17, 0.5, 1, sample, LK_DTYPE_F32, 1);
    op_expect_gradient(&t.h, t.x, 0.25f, t.y, t.dy, 0.0);
    op_close(&t.h);
}

static void expect_no_node(lk_mode mode, double p)
{
    op_harness h;
    int y;

    op_open(&h, mode, 1);
    const int x = op_tensor(&h, "x", LK_ARENA_FIELD, LK_DTYPE_F32, 2, (int64_t[]){1, 3});
    op_ok(lk_op_dropout(&h.graph, "drop", p, 0, x, &y));
    cr_expect_eq(y, x);
    cr_expect_eq(h.graph.n_nodes, 0);
    op_close(&h);
}

Test(dropout, adds_no_node_outside_training_or_when_p_is_0)
{
    expect_no_node(LK_EVAL, 0.5);
    expect_no_node(LK_PREDICT, 0.5);
    expect_no_node(LK_TRAIN, 0.0);
}

Test(dropout, bad_rates_and_shapes_are_refused_by_the_layers_name)
{
    const double bad[] = {1.0, -0.1, NAN};
    op_harness h;
    int y;

    op_open(&h, LK_TRAIN, 1);
    h.graph.n = 2;
    const int x = op_tensor(&h, "x", LK_ARENA_FIELD, LK_DTYPE_F32, 2, (int64_t[]){3, 4});
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_expect_eq(lk_op_dropout(&h.graph, "layers.3", bad[i], 0, x, &y), LK_ERR_USAGE);
        cr_expect(strstr(lk_error_message(), "layers.3: dropout is"), "message: %s", lk_error_message());
    }
    cr_expect_eq(lk_op_dropout(&h.graph, "layers.3", 0.5, 0, x, &y), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "layers.3: ") && strstr(lk_error_message(), "(3, 4)"), "message: %s",
              lk_error_message());
    op_close(&h);
}
