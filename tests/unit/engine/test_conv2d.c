/*
 * Convolution: shapes, gradients, both precisions, threads.
 *
 * Inputs are multiples of 1/64 in [-1, 1], so all products and sums here are exact in fp32 and results are compared for
 * equality with the twin's doubles, rounded once where the result is bf16.
 */
#include "tests/support/op_harness.h"
#include "tests/support/twins.h"

#include <stdio.h>

typedef struct net {
    op_harness h;
    twin_shape s;
    int x, w, b, y, dy;
} net;

static void open_net(net *t, twin_shape s, bool bias, lk_dtype dtype, int threads)
{
    t->s = s;
    op_open(&t->h, LK_TRAIN, threads);
    t->x = op_tensor(&t->h, "x", LK_ARENA_FIELD, dtype, 4, (int64_t[]){s.N, s.H, s.W, s.I});
    t->h.graph.tensors[t->x].needs_grad = true;
    t->w = op_tensor(&t->h, "w", LK_ARENA_PARAMS, LK_DTYPE_F32, 4, (int64_t[]){s.O, s.I / s.groups, s.K[0], s.K[1]});
    t->b = bias ? op_tensor(&t->h, "b", LK_ARENA_PARAMS, LK_DTYPE_F32, 1, (int64_t[]){s.O}) : LK_NO_TENSOR;
    const lk_conv_attrs conv = {{s.stride[0], s.stride[1]}, {s.padding[0], s.padding[1]}, s.groups};
    op_ok(lk_op_conv2d(&t->h.graph, "conv", t->x, t->w, t->b, &conv, &t->y));
    t->dy = op_differentiate(&t->h, t->y);
    op_bind(&t->h);
    op_fill(&t->h, t->x, 1);
    op_fill(&t->h, t->w, 2);
    op_fill(&t->h, t->dy, 3);
    if (bias) op_fill(&t->h, t->b, 4);
}

static void expect_twin(net *t, const char *what)
{
    double *x = op_doubles(&t->h, t->x), *w = op_doubles(&t->h, t->w), *dy = op_doubles(&t->h, t->dy);
    double *b = t->b == LK_NO_TENSOR ? NULL : op_doubles(&t->h, t->b);
    double *y = calloc(op_n_elem(&t->h, t->y), sizeof *y), *dx = calloc(op_n_elem(&t->h, t->x), sizeof *dx);
    double *dw = calloc(op_n_elem(&t->h, t->w), sizeof *dw), *db = calloc((size_t)t->s.O, sizeof *db);

    twin_conv2d(&t->s, x, w, b, y);
    twin_conv2d_grad(&t->s, dy, x, w, dx, dw, db);
    op_expect_equal(&t->h, t->y, y, what);
    op_expect_equal(&t->h, op_gradient(&t->h, t->x), dx, what);
    op_expect_equal(&t->h, op_gradient(&t->h, t->w), dw, what);
    if (b) op_expect_equal(&t->h, op_gradient(&t->h, t->b), db, what);
    double *all[] = {x, w, dy, b, y, dx, dw, db};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

/*                                N  H  W   I   O  K  stride padding */
static const int64_t shapes[][8] = {
    {1, 1, 1, 1, 1, 1, 1, 0},    {1, 3, 3, 1, 1, 3, 1, 1},   {2, 5, 7, 1, 3, 3, 1, 1},   {2, 5, 7, 3, 5, 3, 2, 1},
    {1, 11, 5, 7, 13, 5, 1, 2},  {3, 7, 7, 16, 16, 3, 1, 1}, {2, 8, 8, 16, 32, 3, 2, 1}, {2, 9, 6, 17, 19, 2, 2, 0},
    {1, 13, 13, 3, 16, 7, 3, 3}, {2, 6, 6, 32, 16, 1, 1, 0}, {2, 14, 14, 1, 32, 3, 1, 1}, {1, 4, 4, 64, 48, 3, 1, 1},
};
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

/* Sides that differ, and groups: of one channel in and out, of one in and several out, of many. */
static const twin_shape unlike[] = {
    {2, 7, 6, 3, 5, .K = {3, 1}, .stride = {1, 1}, .padding = {1, 0}, .groups = 1},
    {1, 9, 5, 16, 16, .K = {1, 3}, .stride = {2, 1}, .padding = {0, 1}, .groups = 1},
    {2, 11, 12, 4, 6, .K = {5, 2}, .stride = {3, 2}, .padding = {2, 1}, .groups = 1},
    {2, 6, 7, 4, 6, .K = {3, 3}, .stride = {1, 1}, .padding = {1, 1}, .groups = 2},
    {1, 8, 8, 32, 32, .K = {3, 3}, .stride = {2, 2}, .padding = {1, 1}, .groups = 32},
    {2, 5, 5, 3, 9, .K = {3, 3}, .stride = {1, 1}, .padding = {1, 1}, .groups = 3},
    {1, 7, 9, 32, 64, .K = {1, 3}, .stride = {1, 2}, .padding = {0, 1}, .groups = 4},
};
enum { N_UNLIKE = sizeof unlike / sizeof *unlike };

static void check_shape(const char *list, int i, twin_shape s, lk_dtype dtype, int threads)
{
    char what[128];
    net t;

    snprintf(what, sizeof what, "%s %d, %s, %d threads", list, i, lk_dtype_name(dtype), threads);
    open_net(&t, s, i % 3 != 0, dtype, threads);
    op_run(&t.h);
    expect_twin(&t, what);
    op_close(&t.h);
}

static void check_all(lk_dtype dtype, int threads)
{
    for (int i = 0; i < N_SHAPES; i++) {
        const int64_t *v = shapes[i];
        check_shape("shape", i, twin_shape_of(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]), dtype, threads);
    }
    for (int i = 0; i < N_UNLIKE; i++) check_shape("unlike", i, twin_shape_placed(unlike[i]), dtype, threads);
}

Test(conv2d, all_passes_equal_the_twin_in_fp32) { check_all(LK_DTYPE_F32, 1); }
Test(conv2d, all_passes_equal_the_twin_rounded_once_in_bf16) { check_all(LK_DTYPE_BF16, 1); }
Test(conv2d, two_threads_equal_the_twin)
{
    check_all(LK_DTYPE_F32, 2);
    check_all(LK_DTYPE_BF16, 2);
}

/* y is linear in each input, so the difference quotient with a step of 1/4 is exact. */
Test(conv2d, gradients_equal_difference_quotients)
{
    net t;

    open_net(&t, twin_shape_of(2, 5, 4, 2, 3, 3, 2, 1), true, LK_DTYPE_F32, 1);
    op_expect_gradient(&t.h, t.x, 0.25f, t.y, t.dy, 0.0);
    op_expect_gradient(&t.h, t.w, 0.25f, t.y, t.dy, 0.0);
    op_expect_gradient(&t.h, t.b, 0.25f, t.y, t.dy, 0.0);
    op_close(&t.h);
}

Test(conv2d, changed_weights_are_seen_when_the_run_says_so)
{
    net t;

    open_net(&t, twin_shape_of(2, 8, 8, 16, 32, 3, 1, 1), true, LK_DTYPE_F32, 1);
    op_run(&t.h);
    const float before = op_get_one(&t.h, t.y, 0);
    t.h.keeps_params = true;
    op_run(&t.h);
    cr_expect_eq(op_get_one(&t.h, t.y, 0), before, "with nothing changed: got %g, want %g",
                 (double)op_get_one(&t.h, t.y, 0), (double)before);
    op_fill(&t.h, t.w, 77);
    t.h.keeps_params = false;
    op_run(&t.h);
    expect_twin(&t, "after the weights changed");
    op_close(&t.h);
}

/* A run after other runs, and with its tensors elsewhere, gives what the first gave. */
Test(conv2d, results_repeat_when_memory_moves)
{
    net t;
    float first[2 * 8 * 8 * 32], again[2 * 8 * 8 * 32];

    open_net(&t, twin_shape_of(2, 8, 8, 16, 32, 3, 1, 1), true, LK_DTYPE_F32, 1);
    op_run(&t.h);
    op_get(&t.h, t.y, first);
    char *elsewhere = lk_alloc(t.h.used[LK_ARENA_ACT]);
    memcpy(elsewhere, t.h.arena[LK_ARENA_ACT], t.h.used[LK_ARENA_ACT]);
    memset(t.h.arena[LK_ARENA_ACT], 0, t.h.used[LK_ARENA_ACT]);
    lk_free(&t.h.arena[LK_ARENA_ACT]);
    t.h.run.base[LK_ARENA_ACT] = t.h.arena[LK_ARENA_ACT] = elsewhere;
    op_run(&t.h);
    op_get(&t.h, t.y, again);
    cr_expect_eq(memcmp(first, again, sizeof first), 0, "the second run differs");
    expect_twin(&t, "moved");
    op_close(&t.h);
}

static void expect_refused(int64_t side, int64_t channels, int64_t bias, lk_conv_attrs conv, const char *part)
{
    op_harness h;
    int y;

    op_open(&h, LK_TRAIN, 1);
    const int x = op_tensor(&h, "x", LK_ARENA_FIELD, LK_DTYPE_F32, 4, (int64_t[]){2, side, side, channels});
    const int w = op_tensor(&h, "w", LK_ARENA_PARAMS, LK_DTYPE_F32, 4, (int64_t[]){4, 64, 3, 3});
    const int b = op_tensor(&h, "b", LK_ARENA_PARAMS, LK_DTYPE_F32, 1, (int64_t[]){bias});
    cr_expect_eq(lk_op_conv2d(&h.graph, "layer2.0.conv1", x, w, b, &conv, &y), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "layer2.0.conv1: ") && strstr(lk_error_message(), part),
              "message: %s, want: %s", lk_error_message(), part);
    op_close(&h);
}

Test(conv2d, shapes_that_do_not_fit_name_the_layer_and_the_numbers)
{
    const lk_conv_attrs good = {{1, 1}, {1, 1}, 1};

    expect_refused(8, 128, 4, good, "expected 64 channels, got 128");
    expect_refused(2, 64, 4, (lk_conv_attrs){{1, 1}, {1, 0}, 1},
                   "a kernel of 3 does not fit an image side of 2 with padding 0");
    expect_refused(8, 64, 5, good, "the bias must have 4 elements");
    expect_refused(8, 64, 4, (lk_conv_attrs){{1, 0}, {1, 1}, 1}, "stride 0");
    expect_refused(8, 64, 4, (lk_conv_attrs){{1, 1}, {-1, 1}, 1}, "padding -1");
    expect_refused(8, 64, 4, (lk_conv_attrs){{1, 1}, {1, 1}, 0}, "0 groups");
    expect_refused(8, 192, 4, (lk_conv_attrs){{1, 1}, {1, 1}, 3}, "they must divide the 4 channels");
    expect_refused(8, 64, 4, (lk_conv_attrs){{1, 1}, {1, 1}, 2}, "expected 128 channels, got 64");
}
