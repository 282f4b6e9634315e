/*
 * Activations: kernels equal their formulas bit for bit in every shape, type and thread count; slopes are those of
 * the functions; the ends (0, NaN) are PyTorch's.
 */
#include "tests/support/loop_twins.h"
#include "tests/support/op_harness.h"

#include "engine/base/formulas.h"

#include <stdio.h>

#define NAME(name, ...) name,
#define WORD(name, word, ...) [name] = word,
static const lk_activation kinds[] = {LK_ACTIVATION_FORMULAS(NAME)};
static const char *const word_of[] = {LK_ACTIVATION_FORMULAS(WORD)};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

typedef struct net {
    op_harness h;
    int x, y, dy;
} net;

static void open_net(net *t, lk_activation kind, int64_t n, lk_dtype dtype, int threads)
{
    op_open(&t->h, LK_TRAIN, threads);
    t->x = op_tensor(&t->h, "x", LK_ARENA_FIELD, dtype, 1, &n);
    t->h.graph.tensors[t->x].needs_grad = true;
    op_ok(lk_op_activation(&t->h.graph, "act", kind, t->x, &t->y));
    t->dy = op_differentiate(&t->h, t->y);
    op_bind(&t->h);
    op_fill(&t->h, t->dy, 3);
    for (int64_t i = 0; i < n; i++) op_set_one(&t->h, t->x, (size_t)i, (float)(i * 37 % 769 - 384) / 64.0f);
}

/* As the row says; whether it says so rightly, slopes in double below tell. */
static float formula(lk_activation kind, float x)
{
#define FORMULA(name, word, f, from) if (kind == name) return lk_##f(x);
    LK_ACTIVATION_FORMULAS(FORMULA)
#undef FORMULA
    return NAN;
}

static float formula_grad(lk_activation kind, float dy, float x, float y)
{
    enum { FROM_X, FROM_Y };
    const float kept[] = {[FROM_X] = x, [FROM_Y] = y};

#define GRADIENT(name, word, f, from) if (kind == name) return lk_##f##_grad(dy, kept[from]);
    LK_ACTIVATION_FORMULAS(GRADIENT)
#undef GRADIENT
    return NAN;
}

static void expect_formula(lk_activation kind, int64_t n, lk_dtype dtype, int threads)
{
    double *y = malloc((size_t)n * sizeof *y), *dx = malloc((size_t)n * sizeof *dx);
    char what[64];
    net t;

    snprintf(what, sizeof what, "%s, %lld elements, %d threads", word_of[kind], (long long)n, threads);
    open_net(&t, kind, n, dtype, threads);
    op_run(&t.h);
    for (size_t i = 0; i < (size_t)n; i++) {
        const float x = op_get_one(&t.h, t.x, i);

        y[i] = (double)formula(kind, x);
        dx[i] = (double)formula_grad(kind, op_get_one(&t.h, t.dy, i), x, op_get_one(&t.h, t.y, i));
    }
    op_expect_equal(&t.h, t.y, y, what);
    op_expect_equal(&t.h, op_gradient(&t.h, t.x), dx, what);
    op_close(&t.h);
    free(dx);
    free(y);
}

static void check_sizes(lk_dtype dtype)
{
    const int64_t sizes[] = {1, 3, 17, 31, 64, 1000};

    for (int k = 0; k < N_KINDS; k++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) expect_formula(kinds[k], sizes[i], dtype, 1);
}

Test(activation, fp32_loops_equal_the_formula_in_body_and_tail) { check_sizes(LK_DTYPE_F32); }
Test(activation, bf16_loops_equal_the_formula_in_body_and_tail) { check_sizes(LK_DTYPE_BF16); }

/* Above the size at which a second thread is used. */
Test(activation, two_threads_equal_the_formula)
{
    for (int k = 0; k < N_KINDS; k++) expect_formula(kinds[k], 70001, LK_DTYPE_F32, 2);
}

/* Central differences of the twin in double: truncation and rounding are both below 1e-8 at this step. */
Test(activation, slopes_of_the_twins_are_their_derivatives)
{
    const double step = 1e-5;

    for (int k = 0; k < N_KINDS; k++)
        for (double x = -5.01; x < 5.0; x += 0.1) {
            const double rise = twin_activation(kinds[k], x + step) - twin_activation(kinds[k], x - step);
            const double want = rise / (2.0 * step);
            const double got = twin_activation_slope(kinds[k], x);
            cr_expect_float_eq(got, want, 1e-8, "%s at %g: got %.12g, want %.12g", word_of[kinds[k]], x, got, want);
        }
}

/* dy is at most 1, slopes at most 1.13; the bound is that of the formulas, and in bf16 half of 2^-7 of the result for
 * the rounding of dx and, times a slope of at most 2, that of y. */
static void expect_slopes(lk_dtype dtype, double relative, double absolute)
{
    for (int k = 0; k < N_KINDS; k++) {
        net t;

        open_net(&t, kinds[k], 769, dtype, 1);
        op_run(&t.h);
        for (size_t i = 0; i < op_n_elem(&t.h, t.x); i++) {
            const double x = (double)op_get_one(&t.h, t.x, i), dy = (double)op_get_one(&t.h, t.dy, i);
            const double want = dy * twin_activation_slope(kinds[k], x);
            const double got = (double)op_get_one(&t.h, op_gradient(&t.h, t.x), i);

            cr_expect(fabs(got - want) <= relative * fabs(want) + absolute, "%s at %g: got %.9g, want %.9g",
                      word_of[kinds[k]], x, got, want);
        }
        op_close(&t.h);
    }
}

Test(activation, fp32_gradients_are_those_of_the_twins) { expect_slopes(LK_DTYPE_F32, 0.0, 2e-6); }
Test(activation, bf16_gradients_are_those_of_the_twins) { expect_slopes(LK_DTYPE_BF16, 0x1p-8, 0x1p-7); }

Test(activation, relu_has_no_gradient_at_zero_and_passes_nan)
{
    net t;

    open_net(&t, LK_ACT_RELU, 4, LK_DTYPE_F32, 1);
    op_set(&t.h, t.x, (const float[]){0.0f, -1.0f, 2.0f, NAN});
    op_set(&t.h, t.dy, (const float[]){5.0f, 6.0f, 7.0f, 8.0f});
    op_run(&t.h);
    const float want[] = {0.0f, 0.0f, 7.0f, 8.0f}; /* torch gives a NaN input's gradient through */
    for (size_t i = 0; i < 4; i++) {
        const float got = op_get_one(&t.h, op_gradient(&t.h, t.x), i);
        cr_expect_eq(got, want[i], "dx[%zu]: got %g, want %g", i, (double)got, (double)want[i]);
    }
    cr_expect(isnan(op_get_one(&t.h, t.y, 3)), "got %g, want NaN", (double)op_get_one(&t.h, t.y, 3));
    op_close(&t.h);
}

Test(activation, a_nan_stays_a_nan)
{
    for (int k = 0; k < N_KINDS; k++) {
        net t;

        open_net(&t, kinds[k], 40, LK_DTYPE_BF16, 1);
        for (size_t i = 0; i < 40; i++) op_set_one(&t.h, t.x, i, NAN);
        op_run(&t.h);
        for (size_t i = 0; i < 40; i++)
            cr_expect(isnan(op_get_one(&t.h, t.y, i)), "%s: got %g", word_of[kinds[k]],
                      (double)op_get_one(&t.h, t.y, i));
        op_close(&t.h);
    }
}

Test(activation, identity_adds_no_node)
{
    op_harness h;
    int y;

    op_open(&h, LK_TRAIN, 1);
    const int x = op_tensor(&h, "x", LK_ARENA_FIELD, LK_DTYPE_F32, 2, (int64_t[]){2, 3});
    op_ok(lk_op_activation(&h.graph, "act", LK_ACT_IDENTITY, x, &y));
    cr_expect_eq(y, x);
    cr_expect_eq(h.graph.n_nodes, 0);
    op_close(&h);
}

Test(activation, whole_numbers_are_refused_by_the_layers_name)
{
    op_harness h;
    int y;

    op_open(&h, LK_TRAIN, 1);
    const int x = op_tensor(&h, "x", lk_arena_of_field(1), LK_DTYPE_I32, 2, (int64_t[]){2, 3});
    cr_expect_eq(lk_op_activation(&h.graph, "layers.1", LK_ACT_RELU, x, &y), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "layers.1: ") && strstr(lk_error_message(), "int32"), "message: %s",
              lk_error_message());
    op_close(&h);
}
