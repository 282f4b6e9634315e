/*
 * Pooling: shapes, winners, gradients, both precisions, threads, NaN.
 *
 * Inputs are multiples of 1/64 in [-1, 1], often equal, so the rule for equal maxima is tried.  Windows of 1, 2 and 4
 * make averages exact too; other sizes are compared to one rounding.
 */
#include "tests/support/op_harness.h"
#include "tests/support/twins.h"

#include <math.h>
#include <stdio.h>

typedef struct net {
    op_harness h;
    twin_shape s;
    int x, y, dy;
} net;

static void open_net(net *t, lk_pool kind, twin_shape s, lk_dtype dtype, int threads)
{
    t->s = s;
    op_open(&t->h, LK_TRAIN, threads);
    t->x = op_tensor(&t->h, "x", LK_ARENA_FIELD, dtype, 4, (int64_t[]){s.N, s.H, s.W, s.I});
    t->h.graph.tensors[t->x].needs_grad = true;
    op_ok(lk_op_pool2d(&t->h.graph, "pool", kind, t->x, s.K[0], s.stride[0], s.padding[0], &t->y));
    t->dy = op_differentiate(&t->h, t->y);
    op_bind(&t->h);
    op_fill(&t->h, t->x, 1);
    op_fill(&t->h, t->dy, 3);
}

/* got against want rounded to the type; a sum of up to 225 terms and a division may be off by a few units of its last
 * place, relative to the terms' size of at most 1. */
static void expect_near(const op_harness *h, int tensor, const double *want, const char *what)
{
    const double unit = h->graph.tensors[tensor].dtype == LK_DTYPE_BF16 ? 0x1p-8 : 0x1p-22;

    for (size_t i = 0; i < op_n_elem(h, tensor); i++) {
        const double got = (double)op_get_one(h, tensor, i);
        cr_expect(fabs(got - want[i]) <= unit * fmax(1.0, fabs(want[i])), "%s, %s[%zu]: got %.9g, want %.9g", what,
                  h->graph.tensors[tensor].name, i, got, want[i]);
    }
}

static void expect_twin(net *t, lk_pool kind, const char *what)
{
    double *x = op_doubles(&t->h, t->x), *dy = op_doubles(&t->h, t->dy);
    double *y = calloc(op_n_elem(&t->h, t->y), sizeof *y), *winner = calloc(op_n_elem(&t->h, t->y), sizeof *winner);
    double *dx = calloc(op_n_elem(&t->h, t->x), sizeof *dx);
    const int got_dx = op_gradient(&t->h, t->x);

    if (kind == LK_POOL_MAX) {
        twin_max_pool2d(&t->s, x, dy, y, winner, dx);
        op_expect_equal(&t->h, t->y, y, what);
        op_expect_equal(&t->h, t->h.graph.nodes[0].out[1], winner, what);
        op_expect_equal(&t->h, got_dx, dx, what);
    } else {
        twin_avg_pool2d(&t->s, x, dy, y, dx);
        expect_near(&t->h, t->y, y, what);
        expect_near(&t->h, got_dx, dx, what);
    }
    double *all[] = {x, dy, y, winner, dx};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

/*                                N  H  W   C  K  stride padding */
static const int64_t shapes[][7] = {
    {1, 1, 1, 1, 1, 1, 0},   {2, 4, 4, 3, 2, 2, 0},     {2, 5, 7, 3, 2, 2, 0},
    {1, 7, 5, 67, 3, 2, 1},  {3, 6, 6, 64, 3, 1, 1},    {2, 9, 9, 130, 2, 3, 1},
    {1, 8, 9, 70, 2, 3, 1},  {1, 17, 16, 2, 15, 1, 7},  {1, 11, 13, 17, 5, 3, 2}, {2, 28, 28, 32, 2, 2, 0},
};
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

static void check_all(lk_pool kind, lk_dtype dtype, int threads)
{
    for (int i = 0; i < N_SHAPES; i++) {
        const int64_t *v = shapes[i];
        char what[128];
        net t;

        snprintf(what, sizeof what, "shape %d, %s, %d threads", i, lk_dtype_name(dtype), threads);
        open_net(&t, kind, twin_shape_of(v[0], v[1], v[2], v[3], v[3], v[4], v[5], v[6]), dtype, threads);
        op_run(&t.h);
        expect_twin(&t, kind, what);
        op_close(&t.h);
    }
}

Test(pool2d, max_equals_the_twin_in_fp32) { check_all(LK_POOL_MAX, LK_DTYPE_F32, 1); }
Test(pool2d, max_equals_the_twin_in_bf16) { check_all(LK_POOL_MAX, LK_DTYPE_BF16, 1); }
Test(pool2d, avg_equals_the_twin_in_fp32) { check_all(LK_POOL_AVG, LK_DTYPE_F32, 1); }
Test(pool2d, avg_equals_the_twin_in_bf16) { check_all(LK_POOL_AVG, LK_DTYPE_BF16, 1); }
Test(pool2d, two_threads_equal_the_twin)
{
    check_all(LK_POOL_MAX, LK_DTYPE_F32, 2);
    check_all(LK_POOL_AVG, LK_DTYPE_F32, 2);
}

/* Pixels of a window differ by at least 1/64 and the step is 1/256: no winner changes, and quotients are exact. */
Test(pool2d, max_gradient_equals_difference_quotients)
{
    net t;

    open_net(&t, LK_POOL_MAX, twin_shape_of(1, 5, 6, 2, 2, 3, 2, 1), LK_DTYPE_F32, 1);
    for (size_t i = 0; i < op_n_elem(&t.h, t.x); i++)
        op_set_one(&t.h, t.x, i, (float)((int)(i * 37 % 61) - 30) / 64.0f);
    op_expect_gradient(&t.h, t.x, 1.0f / 256.0f, t.y, t.dy, 0.0);
    op_close(&t.h);
}

/* Linear, and with a window of 4 exact. */
Test(pool2d, avg_gradient_equals_difference_quotients)
{
    net t;

    open_net(&t, LK_POOL_AVG, twin_shape_of(1, 5, 6, 2, 2, 2, 1, 1), LK_DTYPE_F32, 1);
    op_expect_gradient(&t.h, t.x, 0.25f, t.y, t.dy, 0.0);
    op_close(&t.h);
}

Test(pool2d, the_first_of_equal_maxima_wins)
{
    net t;

    open_net(&t, LK_POOL_MAX, twin_shape_of(1, 2, 2, 1, 1, 2, 2, 0), LK_DTYPE_F32, 1);
    op_set(&t.h, t.x, (const float[]){1, 2, 2, 2});
    op_set_one(&t.h, t.dy, 0, 5.0f);
    op_run(&t.h);
    const float want[] = {0, 5, 0, 0};
    for (size_t i = 0; i < 4; i++) {
        const float got = op_get_one(&t.h, op_gradient(&t.h, t.x), i);
        cr_expect_eq(got, want[i], "dx[%zu]: got %g, want %g", i, (double)got, (double)want[i]);
    }
    op_close(&t.h);
}

/* As torch.nn.functional.max_pool2d: a NaN is the maximum, and the gradient goes to it. */
static void expect_nan_wins(lk_dtype dtype)
{
    net t;

    open_net(&t, LK_POOL_MAX, twin_shape_of(1, 2, 2, 1, 1, 2, 2, 0), dtype, 1);
    op_set(&t.h, t.x, (const float[]){1, NAN, 7, -INFINITY});
    op_set_one(&t.h, t.dy, 0, 5.0f);
    op_run(&t.h);
    cr_expect(isnan(op_get_one(&t.h, t.y, 0)), "got %g, want a NaN", (double)op_get_one(&t.h, t.y, 0));
    cr_expect_eq(op_get_one(&t.h, op_gradient(&t.h, t.x), 1), 5.0f, "got %g, want 5",
                 (double)op_get_one(&t.h, op_gradient(&t.h, t.x), 1));
    op_close(&t.h);
}

Test(pool2d, a_nan_is_the_maximum)
{
    expect_nan_wins(LK_DTYPE_F32);
    expect_nan_wins(LK_DTYPE_BF16);
}

/* Padding never wins, even where all there is, is minus infinity. */
Test(pool2d, minus_infinity_wins_over_padding)
{
    net t;

    open_net(&t, LK_POOL_MAX, twin_shape_of(1, 2, 2, 1, 1, 3, 2, 1), LK_DTYPE_F32, 1);
    op_set(&t.h, t.x, (const float[]){-INFINITY, -INFINITY, -INFINITY, -INFINITY});
    op_set_one(&t.h, t.dy, 0, 5.0f);
    op_run(&t.h);
    cr_expect_eq(op_get_one(&t.h, t.y, 0), -INFINITY);
    cr_expect_eq(op_get_one(&t.h, op_gradient(&t.h, t.x), 0), 5.0f, "got %g, want 5",
                 (double)op_get_one(&t.h, op_gradient(&t.h, t.x), 0));
    op_close(&t.h);
}

static void expect_refused(int ndim, int64_t kernel, int64_t stride, int64_t padding, const char *part)
{
    op_harness h;
    int y;

    op_open(&h, LK_TRAIN, 1);
    const int x = op_tensor(&h, "x", LK_ARENA_FIELD, LK_DTYPE_F32, ndim, (int64_t[]){2, 4, 4, 3});
    cr_expect_eq(lk_op_pool2d(&h.graph, "features.3", LK_POOL_MAX, x, kernel, stride, padding, &y), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "features.3: ") && strstr(lk_error_message(), part), "message: %s, want: %s",
              lk_error_message(), part);
    op_close(&h);
}

Test(pool2d, shapes_that_do_not_fit_name_the_layer_and_the_numbers)
{
    expect_refused(2, 2, 2, 0, "got 2 dimensions");
    expect_refused(4, 0, 1, 0, "kernel of 0");
    expect_refused(4, 16, 1, 8, "kernel of 16");
    expect_refused(4, 5, 1, 0, "a pooling kernel of 5 does not fit an image side of 4");
    expect_refused(4, 2, 0, 0, "stride of 0");
    expect_refused(4, 2, 2, 2, "padding of 2");
}
