/*
 * Linear: shapes, gradients, both ways of computing it (our loops, oneDNN) and of laying its weight out, both
 * precisions, threads.
 *
 * Inputs are multiples of 1/64 in [-1, 1], so all products and sums here are exact in fp32 and results are compared for
 * equality with the twin's doubles, rounded once where the result is bf16.
 */
#include "tests/support/op_harness.h"
#include "tests/support/twins.h"

#include <stdio.h>

typedef struct net {
    op_harness h;
    int64_t N, I, O;
    bool in_out; /* w is (I, O) */
    int x, w, b, y, dy;
} net;

static void open_any(net *t, int64_t N, int64_t I, int64_t O, bool in_out, bool bias, lk_dtype dtype, int threads)
{
    t->N = N, t->I = I, t->O = O, t->in_out = in_out;
    op_open(&t->h, LK_TRAIN, threads);
    t->x = op_tensor(&t->h, "x", LK_ARENA_FIELD, dtype, 2, (int64_t[]){N, I});
    t->h.graph.tensors[t->x].needs_grad = true;
    t->w = op_tensor(&t->h, "w", LK_ARENA_PARAMS, LK_DTYPE_F32, 2,
                     in_out ? (int64_t[]){I, O} : (int64_t[]){O, I});
    t->b = bias ? op_tensor(&t->h, "b", LK_ARENA_PARAMS, LK_DTYPE_F32, 1, (int64_t[]){O}) : LK_NO_TENSOR;
    op_ok((in_out ? lk_op_linear_in_out : lk_op_linear)(&t->h.graph, "fc", t->x, t->w, t->b, &t->y));
    t->dy = op_differentiate(&t->h, t->y);
    op_bind(&t->h);
    op_fill(&t->h, t->x, 1);
    op_fill(&t->h, t->w, 2);
    op_fill(&t->h, t->dy, 3);
    if (bias) op_fill(&t->h, t->b, 4);
}

static void open_net(net *t, int64_t N, int64_t I, int64_t O, bool bias, lk_dtype dtype, int threads)
{
    open_any(t, N, I, O, false, bias, dtype, threads);
}

/* w (rows, cols) becomes (cols, rows). */
static void turn(double *w, int64_t rows, int64_t cols)
{
    double *turned = malloc((size_t)(rows * cols) * sizeof *turned);

    cr_assert(turned);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++) turned[c * rows + r] = w[r * cols + c];
    memcpy(w, turned, (size_t)(rows * cols) * sizeof *w);
    free(turned);
}

static void expect_twin(net *t, const char *what)
{
    double *x = op_doubles(&t->h, t->x), *w = op_doubles(&t->h, t->w), *dy = op_doubles(&t->h, t->dy);
    double *b = t->b == LK_NO_TENSOR ? NULL : op_doubles(&t->h, t->b);
    double *y = calloc((size_t)(t->N * t->O), sizeof *y), *dx = calloc((size_t)(t->N * t->I), sizeof *dx);
    double *dw = calloc((size_t)(t->O * t->I), sizeof *dw), *db = calloc((size_t)t->O, sizeof *db);

    if (t->in_out) turn(w, t->I, t->O);
    twin_linear(t->N, t->I, t->O, x, w, b, y);
    twin_linear_grad(t->N, t->I, t->O, dy, x, w, dx, dw, db);
    if (t->in_out) turn(dw, t->O, t->I);
    op_expect_equal(&t->h, t->y, y, what);
    op_expect_equal(&t->h, op_gradient(&t->h, t->x), dx, what);
    op_expect_equal(&t->h, op_gradient(&t->h, t->w), dw, what);
    if (b) op_expect_equal(&t->h, op_gradient(&t->h, t->b), db, what);
    double *all[] = {x, w, dy, b, y, dx, dw, db};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

static void check_any(int64_t N, int64_t I, int64_t O, bool in_out, bool bias, lk_dtype dtype, int threads)
{
    net t;
    char what[128];

    snprintf(what, sizeof what, "N %d, I %d, O %d, weight %s, %s, %d threads", (int)N, (int)I, (int)O,
             in_out ? "(I, O)" : "(O, I)", lk_dtype_name(dtype), threads);
    open_any(&t, N, I, O, in_out, bias, dtype, threads);
    op_run(&t.h);
    expect_twin(&t, what);
    op_close(&t.h);
}

static void check(int64_t N, int64_t I, int64_t O, bool bias, lk_dtype dtype, int threads)
{
    check_any(N, I, O, false, bias, dtype, threads);
    check_any(N, I, O, true, bias, dtype, threads);
}

/* Ones, primes, the widths and heights of blocks and their neighbours, the layers of the example recipe. */
static const int64_t shapes[][3] = {
    {1, 1, 1}, {1, 7, 1}, {7, 1, 1}, {1, 1, 7}, {2, 3, 5}, {13, 17, 19}, {8, 16, 16}, {9, 15, 17}, {7, 31, 33},
    {16, 8, 4}, {5, 29, 47}, {32, 20, 64}, {32, 64, 32}, {32, 32, 1}, {8, 20, 64}, {3, 97, 101},
};
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

Test(linear, small_products_equal_the_twin_in_fp32)
{
    for (int i = 0; i < N_SHAPES; i++) check(shapes[i][0], shapes[i][1], shapes[i][2], i % 3 != 0, LK_DTYPE_F32, 1);
}

Test(linear, products_in_bf16_equal_the_twin_rounded_once)
{
    for (int i = 0; i < N_SHAPES; i++) check(shapes[i][0], shapes[i][1], shapes[i][2], i % 3 != 0, LK_DTYPE_BF16, 1);
}

/* The weights alone are more than what our loops take. */
Test(linear, large_products_equal_the_twin_in_fp32)
{
    check(3, 521, 523, true, LK_DTYPE_F32, 1);
    check(2, 521, 523, false, LK_DTYPE_F32, 1);
}

/* Large enough for our loops to be shared; an output is computed the same way by whichever thread. */
Test(linear, two_threads_equal_the_twin)
{
    check(131, 127, 129, true, LK_DTYPE_F32, 2);
    check(3, 521, 523, true, LK_DTYPE_F32, 2);
    check(13, 17, 19, true, LK_DTYPE_BF16, 2);
}

/* The formula of the gradient itself: y is linear in each input, so a difference quotient is exact at any step. */
Test(linear, gradients_equal_difference_quotients)
{
    net t;

    open_net(&t, 3, 5, 4, true, LK_DTYPE_F32, 1);
    op_expect_gradient(&t.h, t.x, 0.25f, t.y, t.dy, 0.0);
    op_expect_gradient(&t.h, t.w, 0.25f, t.y, t.dy, 0.0);
    op_expect_gradient(&t.h, t.b, 0.25f, t.y, t.dy, 0.0);
    op_close(&t.h);
}

/* Products of oneDNN in fp32 read weights where they lie. */
Test(linear, a_large_weight_is_read_anew_in_each_run)
{
    net t;

    open_net(&t, 2, 521, 523, true, LK_DTYPE_F32, 1);
    op_run(&t.h);
    t.h.keeps_params = true;
    op_fill(&t.h, t.w, 77);
    op_run(&t.h);
    expect_twin(&t, "after the weights changed");
    op_close(&t.h);
}

/* Of a w (I, O) it is dx that is read from a packed copy, in our loops. */
Test(linear, a_packed_weight_for_the_gradient_is_renewed)
{
    net t;

    open_any(&t, 2, 20, 64, true, true, LK_DTYPE_F32, 1);
    op_run(&t.h);
    op_fill(&t.h, t.w, 77);
    op_run(&t.h);
    expect_twin(&t, "after the weights (I, O) changed");
    op_close(&t.h);
}

static void expect_weights_renewed_only_when_told(lk_dtype dtype, int64_t I, int64_t O)
{
    net t;

    open_net(&t, 2, I, O, true, dtype, 1);
    op_run(&t.h);
    const float before = op_get_one(&t.h, t.y, 0);

    t.h.keeps_params = true;
    op_run(&t.h);
    cr_expect_eq(op_get_one(&t.h, t.y, 0), before, "with nothing changed: got %g, want %g",
                 (double)op_get_one(&t.h, t.y, 0), (double)before);
    op_fill(&t.h, t.w, 77);
    op_run(&t.h);
    cr_expect_eq(op_get_one(&t.h, t.y, 0), before, "with nothing said: got %g, want the old weights' %g",
                 (double)op_get_one(&t.h, t.y, 0), (double)before);
    t.h.keeps_params = false;
    op_run(&t.h);
    expect_twin(&t, "after the weights changed");
    op_close(&t.h);
}

Test(linear, changed_weights_are_seen_when_and_only_when_the_run_says_so)
{
    cpu_engine_only("CUDA reads fp32 weights where they lie");
    expect_weights_renewed_only_when_told(LK_DTYPE_F32, 20, 64);
    expect_weights_renewed_only_when_told(LK_DTYPE_BF16, 20, 64);
}

/* Row 0 of a batch of 9 against the same row alone: in our loops an element's sum does not know its neighbours. */
Test(linear, a_row_does_not_depend_on_the_batch_in_small_products)
{
    enum { I = 37, O = 21 };
    net many, one;
    float x[9 * I], w[O * I], b[O];

    cpu_engine_only("cuBLASLt chooses by the number of rows");
    open_net(&many, 9, I, O, true, LK_DTYPE_F32, 1);
    open_net(&one, 1, I, O, true, LK_DTYPE_F32, 1);
    /* Thirds do not add up exactly, so a different order would show. */
    for (int i = 0; i < 9 * I; i++) x[i] = (float)(i % 11 - 5) / 3.0f;
    for (int i = 0; i < O * I; i++) w[i] = (float)(i % 13 - 6) / 7.0f;
    for (int i = 0; i < O; i++) b[i] = 0.1f * (float)i;
    op_set(&many.h, many.x, x), op_set(&many.h, many.w, w), op_set(&many.h, many.b, b);
    op_set(&one.h, one.x, x), op_set(&one.h, one.w, w), op_set(&one.h, one.b, b);
    op_run(&many.h);
    op_run(&one.h);
    for (size_t o = 0; o < O; o++) {
        const float in_batch = op_get_one(&many.h, many.y, o), alone = op_get_one(&one.h, one.y, o);
        cr_expect_eq(in_batch, alone, "output %zu: in a batch %.9g, alone %.9g", o, (double)in_batch, (double)alone);
    }
    op_close(&many.h);
    op_close(&one.h);
}

/* What is frozen costs nothing: no node for a gradient that nobody asked for. */
Test(linear, only_wanted_gradients_are_computed)
{
    op_harness h;
    int y;

    op_open(&h, LK_TRAIN, 1);
    const int x = op_tensor(&h, "x", LK_ARENA_FIELD, LK_DTYPE_F32, 2, (int64_t[]){2, 3});
    const int w = op_tensor(&h, "w", LK_ARENA_PARAMS, LK_DTYPE_F32, 2, (int64_t[]){4, 3});
    const int b = op_tensor(&h, "b", LK_ARENA_PARAMS, LK_DTYPE_F32, 1, (int64_t[]){4});
    h.graph.tensors[w].needs_grad = false;
    op_ok(lk_op_linear(&h.graph, "fc", x, w, b, &y));
    const int dy = op_differentiate(&h, y);
    cr_expect_eq(h.graph.n_nodes, 2, "got %d nodes, want linear and bias_grad", h.graph.n_nodes);
    op_bind(&h);
    op_fill(&h, dy, 1);
    op_run(&h);
    for (size_t o = 0; o < 4; o++) {
        const float want = op_get_one(&h, dy, o) + op_get_one(&h, dy, 4 + o);
        const float got = op_get_one(&h, op_gradient(&h, b), o);
        cr_expect_eq(got, want, "db[%zu]: got %g, want %g", o, (double)got, (double)want);
    }
    op_close(&h);
}

/* Sums of op_fill()'s values are exact in any order. */
static void expect_bias_gradient(int64_t N, int64_t O, lk_dtype dtype, int threads)
{
    op_harness h;
    int y;

    op_open(&h, LK_TRAIN, threads);
    const int x = op_tensor(&h, "x", LK_ARENA_FIELD, dtype, 2, (int64_t[]){N, 3});
    const int w = op_tensor(&h, "w", LK_ARENA_PARAMS, LK_DTYPE_F32, 2, (int64_t[]){O, 3});
    const int b = op_tensor(&h, "b", LK_ARENA_PARAMS, LK_DTYPE_F32, 1, &O);
    h.graph.tensors[w].needs_grad = false;
    op_ok(lk_op_linear(&h.graph, "fc", x, w, b, &y));
    const int dy = op_differentiate(&h, y);
    op_bind(&h);
    op_fill(&h, dy, 1);
    op_run(&h);
    for (size_t o = 0; o < (size_t)O; o++) {
        const float got = op_get_one(&h, op_gradient(&h, b), o);
        float want = 0.0f;

        for (size_t n = 0; n < (size_t)N; n++) want += op_get_one(&h, dy, n * (size_t)O + o);
        cr_expect_eq(got, want, "%ld rows, db[%zu] of %ld: got %g, want %g", (long)N, o, (long)O, (double)got,
                     (double)want);
    }
    op_close(&h);
}

Test(linear, a_bias_alone_gets_the_sum_of_all_rows)
{
    const int64_t sizes[][2] = {{1, 1}, {2, 7}, {17, 130}, {5000, 3}, {3000, 64}};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int threads = 1; threads <= 2; threads++) {
            expect_bias_gradient(sizes[i][0], sizes[i][1], LK_DTYPE_F32, threads);
            expect_bias_gradient(sizes[i][0], sizes[i][1], LK_DTYPE_BF16, threads);
        }
}

static void expect_refused(int ndim, int64_t features, lk_dtype dtype, int64_t bias, const char *part)
{
    op_harness h;
    int y;

    op_open(&h, LK_TRAIN, 1);
    const int x = op_tensor(&h, "x", LK_ARENA_FIELD, dtype, ndim, (int64_t[]){2, features, 1, 1});
    const int w = op_tensor(&h, "w", LK_ARENA_PARAMS, LK_DTYPE_F32, 2, (int64_t[]){4, 3});
    const int b = op_tensor(&h, "b", LK_ARENA_PARAMS, LK_DTYPE_F32, 1, (int64_t[]){bias});
    cr_expect_eq(lk_op_linear(&h.graph, "classifier.1", x, w, b, &y), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "classifier.1: ") && strstr(lk_error_message(), part), "message: %s, want: %s",
              lk_error_message(), part);
    op_close(&h);
}

Test(linear, a_weight_of_inputs_by_outputs_is_checked_by_them)
{
    op_harness h;
    int y;

    op_open(&h, LK_TRAIN, 1);
    const int x = op_tensor(&h, "x", LK_ARENA_FIELD, LK_DTYPE_F32, 2, (int64_t[]){2, 3});
    const int w = op_tensor(&h, "w", LK_ARENA_PARAMS, LK_DTYPE_F32, 2, (int64_t[]){3, 4});
    const int b = op_tensor(&h, "b", LK_ARENA_PARAMS, LK_DTYPE_F32, 1, (int64_t[]){3});

    cr_expect_eq(lk_op_linear(&h.graph, "c_fc", x, w, LK_NO_TENSOR, &y), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "c_fc: expected 4 inputs, got 3"), "%s", lk_error_message());
    cr_expect_eq(lk_op_linear_in_out(&h.graph, "c_fc", x, w, b, &y), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "c_fc: the bias must have 4 elements"), "%s", lk_error_message());
    op_ok(lk_op_linear_in_out(&h.graph, "c_fc", x, w, LK_NO_TENSOR, &y));
    cr_expect_eq(h.graph.tensors[y].shape[1], 4, "%lld outputs, want 4", (long long)h.graph.tensors[y].shape[1]);
    op_close(&h);
}

Test(linear, shapes_that_do_not_fit_name_the_layer_and_the_numbers)
{
    expect_refused(2, 5, LK_DTYPE_F32, 4, "expected 3 inputs, got 5");
    expect_refused(1, 3, LK_DTYPE_F32, 4, "(N, ..., I), got fp32 (2)");
    expect_refused(4, 3, LK_DTYPE_F32, 4, "expected 3 inputs, got 1");
    expect_refused(2, 3, LK_DTYPE_I32, 4, "got int32");
    expect_refused(2, 3, LK_DTYPE_F32, 5, "the bias must have 4 elements");
}
