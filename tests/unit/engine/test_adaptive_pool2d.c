/*
 * Adaptive average pooling: windows, gradients, both precisions, threads.
 *
 * Inputs are multiples of 1/64 in [-1, 1]; sums of them are exact in fp32, so results are compared to the division.
 */
#include "tests/support/op_harness.h"
#include "tests/support/twins.h"

#include <math.h>
#include <stdio.h>

typedef struct net {
    op_harness h;
    int x, y, dy;
} net;

static void open_net(net *t, const twin_shape *s, lk_dtype dtype, int threads)
{
    op_open(&t->h, LK_TRAIN, threads);
    t->x = op_tensor(&t->h, "x", LK_ARENA_FIELD, dtype, 4, (int64_t[]){s->N, s->H, s->W, s->I});
    t->h.graph.tensors[t->x].needs_grad = true;
    op_ok(lk_op_adaptive_avg_pool2d(&t->h.graph, "avgpool", t->x, s->P, s->Q, &t->y));
    t->dy = op_differentiate(&t->h, t->y);
    op_bind(&t->h);
    op_fill(&t->h, t->x, 1);
    op_fill(&t->h, t->dy, 3);
}

/* A division in fp32, and in the gradient a sum of a few of them, of numbers up to 1; in bf16 rounded once more. */
static void expect_near(const op_harness *h, int tensor, const double *want, const char *what)
{
    const double unit = h->graph.tensors[tensor].dtype == LK_DTYPE_BF16 ? 0x1p-8 : 0x1p-22;

    for (size_t i = 0; i < op_n_elem(h, tensor); i++) {
        const double got = (double)op_get_one(h, tensor, i);
        cr_expect(fabs(got - want[i]) <= unit * fmax(1.0, fabs(want[i])), "%s, %s[%zu]: got %.9g, want %.9g", what,
                  h->graph.tensors[tensor].name, i, got, want[i]);
    }
}

static void check_shape(twin_shape shape, lk_dtype dtype, int threads, const char *what)
{
    const twin_shape *s = &shape;
    net t;

    shape.O = shape.I;
    open_net(&t, s, dtype, threads);
    op_run(&t.h);
    double *x = op_doubles(&t.h, t.x), *dy = op_doubles(&t.h, t.dy);
    double *y = calloc(op_n_elem(&t.h, t.y), sizeof *y), *dx = calloc(op_n_elem(&t.h, t.x), sizeof *dx);

    twin_adaptive_avg_pool2d(s, x, dy, y, dx);
    expect_near(&t.h, t.y, y, what);
    expect_near(&t.h, op_gradient(&t.h, t.x), dx, what);
    free(x), free(dy), free(y), free(dx);
    op_close(&t.h);
}

/* To one pixel, to as many, to fewer that share pixels, to more; fewer channels than are taken at a time, and more. */
static const twin_shape shapes[] = {
    {.N = 1, .H = 1, .W = 1, .I = 1, .P = 1, .Q = 1},   {.N = 2, .H = 7, .W = 7, .I = 64, .P = 1, .Q = 1},
    {.N = 1, .H = 40, .W = 33, .I = 3, .P = 1, .Q = 1}, {.N = 2, .H = 6, .W = 4, .I = 67, .P = 6, .Q = 4},
    {.N = 2, .H = 14, .W = 7, .I = 5, .P = 7, .Q = 7},  {.N = 1, .H = 10, .W = 11, .I = 33, .P = 7, .Q = 3},
    {.N = 3, .H = 2, .W = 3, .I = 4, .P = 7, .Q = 7},   {.N = 2, .H = 1, .W = 5, .I = 8, .P = 3, .Q = 2},
};

static void check_all(lk_dtype dtype, int threads)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        char what[128];

        snprintf(what, sizeof what, "shape %zu, %s, %d threads", i, lk_dtype_name(dtype), threads);
        check_shape(shapes[i], dtype, threads, what);
    }
}

Test(adaptive_pool2d, equals_the_twin_in_fp32) { check_all(LK_DTYPE_F32, 1); }
Test(adaptive_pool2d, equals_the_twin_in_bf16) { check_all(LK_DTYPE_BF16, 1); }
Test(adaptive_pool2d, two_threads_equal_the_twin) { check_all(LK_DTYPE_F32, 2); }

/* Linear, and with windows of 1, 2 and 4 pixels exact. */
Test(adaptive_pool2d, gradient_equals_difference_quotients)
{
    const twin_shape s = {.N = 2, .H = 4, .W = 3, .I = 3, .P = 2, .Q = 2};
    net t;

    open_net(&t, &s, LK_DTYPE_F32, 1);
    op_expect_gradient(&t.h, t.x, 0.25f, t.y, t.dy, 0.0);
    op_close(&t.h);
}

static void expect_refused(lk_dtype dtype, int ndim, int64_t P, int64_t Q, const char *part)
{
    op_harness h;
    int y;

    op_open(&h, LK_TRAIN, 1);
    const int x = op_tensor(&h, "x", LK_ARENA_FIELD, dtype, ndim, (int64_t[]){2, 4, 4, 3});
    cr_expect_eq(lk_op_adaptive_avg_pool2d(&h.graph, "avgpool", x, P, Q, &y), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "avgpool: ") && strstr(lk_error_message(), part), "message: %s, want: %s",
              lk_error_message(), part);
    op_close(&h);
}

Test(adaptive_pool2d, what_it_cannot_pool_names_the_layer_and_the_numbers)
{
    expect_refused(LK_DTYPE_F32, 2, 1, 1, "got 2 dimensions");
    expect_refused(LK_DTYPE_I32, 4, 1, 1, "got int32");
    expect_refused(LK_DTYPE_F32, 4, 0, 1, "4 x 4 pixels to 0 x 1");
}
