/*
 * Batch and layer norm: both directions against the twins on odd shapes, in both types; twins against difference
 * quotients; threads and frozen parameters change no bit; far from zero the variance does not cancel.
 */
#include "tests/support/loop_twins.h"
#include "tests/support/op_harness.h"

#include <stdio.h>

static const float eps = 1e-5f;

typedef enum norm_kind { BATCH, LAYER } norm_kind;

typedef struct net {
    op_harness h;
    size_t R, C;
    int x, g, b, y, dy, mean, rstd, stat_mean, stat_var;
} net;

/* What is trained: a frozen tensor has no gradient. */
typedef struct trainable { bool x, g, b; } trainable;
static const trainable all_trainable = {true, true, true};

static void open_net(net *t, norm_kind kind, const int64_t shape[4], lk_dtype dtype, int threads, trainable of)
{
    const int ndim = shape[1] ? 4 : 2; /* (N, 0, 0, C) stands for (N, C) */
    const int64_t dims[4] = {shape[0], ndim == 4 ? shape[1] : shape[3], shape[2], shape[3]}, C = shape[3];

    op_open(&t->h, LK_TRAIN, threads);
    t->x = op_tensor(&t->h, "x", LK_ARENA_FIELD, dtype, ndim, dims);
    t->g = op_tensor(&t->h, "g", LK_ARENA_PARAMS, LK_DTYPE_F32, 1, &C);
    t->b = op_tensor(&t->h, "b", LK_ARENA_PARAMS, LK_DTYPE_F32, 1, &C);
    t->h.graph.tensors[t->x].needs_grad = of.x;
    t->h.graph.tensors[t->g].needs_grad = of.g;
    t->h.graph.tensors[t->b].needs_grad = of.b;
    if (kind == BATCH) { /* after the parameters, whose gradients come first in this arena */
        t->stat_mean = op_tensor(&t->h, "stat_mean", LK_ARENA_GRADS, LK_DTYPE_F32, 1, &C);
        t->stat_var = op_tensor(&t->h, "stat_var", LK_ARENA_GRADS, LK_DTYPE_F32, 1, &C);
        op_ok(lk_op_batch_norm(&t->h.graph, "norm",
                               &(lk_batch_norm){t->x, t->g, t->b, LK_NO_TENSOR, LK_NO_TENSOR, t->stat_mean,
                               t->stat_var, eps, 0.1f}, &t->y));
    } else {
        op_ok(lk_op_layer_norm(&t->h.graph, "norm", t->x, t->g, t->b, eps, &t->y));
    }
    t->mean = t->h.graph.nodes[0].out[1];
    t->rstd = t->h.graph.nodes[0].out[2];
    t->dy = op_differentiate(&t->h, t->y);
    op_bind(&t->h);
    t->C = (size_t)C;
    t->R = op_n_elem(&t->h, t->x) / t->C;
    op_fill(&t->h, t->x, 1);
    op_fill(&t->h, t->g, 2);
    op_fill(&t->h, t->b, 3);
    op_fill(&t->h, t->dy, 4);
}

/* Relative to the size of what is compared, at least 1. */
static void expect_near(const op_harness *h, int tensor, const double *want, double fp32, const char *what)
{
    const double most = h->graph.tensors[tensor].dtype == LK_DTYPE_BF16 ? 0x1p-8 : fp32;

    for (size_t i = 0; i < op_n_elem(h, tensor); i++) {
        const double got = (double)op_get_one(h, tensor, i);
        cr_expect(fabs(got - want[i]) <= most * fmax(1.0, fabs(want[i])), "%s, %s[%zu]: got %.9g, want %.9g", what,
                  h->graph.tensors[tensor].name, i, got, want[i]);
    }
}

typedef struct twin {
    double *x, *g, *b, *dy;                      /* inputs */
    double *y, *mean, *var, *dx, *dg, *db, *row; /* results; row: scratch as long as mean */
} twin;

static twin twin_of(const net *t, norm_kind kind)
{
    const size_t n_elem = t->R * t->C, n_stats = kind == BATCH ? t->C : t->R;
    twin w = {.x = op_doubles(&t->h, t->x), .g = op_doubles(&t->h, t->g), .b = op_doubles(&t->h, t->b),
              .dy = op_doubles(&t->h, t->dy), .y = calloc(n_elem, sizeof(double)), .dx = calloc(n_elem, sizeof(double)),
              .mean = calloc(n_stats, sizeof(double)), .var = calloc(n_stats, sizeof(double)),
              .row = calloc(n_stats, sizeof(double)), .dg = calloc(t->C, sizeof(double)),
              .db = calloc(t->C, sizeof(double))};

    if (kind == BATCH) {
        twin_batch_norm(t->R, t->C, (double)eps, w.x, w.g, w.b, w.y, w.mean, w.var);
        twin_batch_norm_grad(t->R, t->C, (double)eps, w.dy, w.x, w.g, w.dx, w.dg, w.db);
    } else {
        twin_layer_norm(t->R, t->C, (double)eps, w.x, w.g, w.b, w.y, w.mean, w.var);
        twin_layer_norm_grad(t->R, t->C, (double)eps, w.dy, w.x, w.g, w.dx, w.dg, w.db);
    }
    return w;
}

static void free_twin(twin *w)
{
    double *all[] = {w->x, w->g, w->b, w->dy, w->y, w->mean, w->var, w->dx, w->dg, w->db, w->row};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

/* N, H, W, C; H and W 0: two dimensions. */
static const int64_t shapes[][4] = {
    {2, 0, 0, 1},   {3, 0, 0, 3},    {17, 0, 0, 31},   {31, 0, 0, 17},  {32, 0, 0, 64},   {8, 0, 0, 129},
    {33, 0, 0, 40}, {2500, 0, 0, 10}, {40, 0, 0, 1000}, {2, 0, 0, 8200}, {700, 0, 0, 37},
};
static const int64_t images[][4] = {{4, 5, 5, 3}, {1, 1, 2, 1}, {2, 9, 9, 130}, {3, 28, 28, 17}};
enum { N_SHAPES = sizeof shapes / sizeof *shapes, N_IMAGES = sizeof images / sizeof *images };

/* Sums of R terms of size at most 2 lose up to a few 1e-7 of their terms' sum; rstd can be 300 where two rows agree
 * in a channel, and then multiplies what mean and dy lose. */
static void expect_twin(norm_kind kind, const int64_t shape[4], lk_dtype dtype)
{
    char what[96];
    net t;

    snprintf(what, sizeof what, "%s norm of %ld x %ld x %ld x %ld", kind == BATCH ? "batch" : "layer", (long)shape[0],
             (long)shape[1], (long)shape[2], (long)shape[3]);
    open_net(&t, kind, shape, dtype, 1, all_trainable);
    op_run(&t.h);
    twin w = twin_of(&t, kind);
    const double many = 1e-6 * fmax(4.0, (double)t.R / 50.0); /* dg and db add up R terms */

    expect_near(&t.h, t.mean, w.mean, 1e-6, what);
    for (size_t i = 0; i < op_n_elem(&t.h, t.rstd); i++) w.row[i] = 1.0 / sqrt(w.var[i] + (double)eps);
    expect_near(&t.h, t.rstd, w.row, 2e-6, what);
    if (kind == BATCH) {
        expect_near(&t.h, t.stat_mean, w.mean, 1e-6, what);
        for (size_t c = 0; c < t.C; c++) w.row[c] = w.var[c] * (double)t.R / (double)(t.R - 1);
        expect_near(&t.h, t.stat_var, w.row, 1e-6, what);
    }
    expect_near(&t.h, t.y, w.y, 1e-5, what);
    expect_near(&t.h, op_gradient(&t.h, t.x), w.dx, 4e-5, what);
    expect_near(&t.h, op_gradient(&t.h, t.g), w.dg, many, what);
    expect_near(&t.h, op_gradient(&t.h, t.b), w.db, many, what);
    free_twin(&w);
    op_close(&t.h);
}

static void check_all(norm_kind kind, lk_dtype dtype)
{
    for (int i = 0; i < N_SHAPES; i++) expect_twin(kind, shapes[i], dtype);
    for (int i = 0; kind == BATCH && i < N_IMAGES; i++) expect_twin(kind, images[i], dtype);
}

Test(norm, batch_norm_equals_the_twin_in_fp32) { check_all(BATCH, LK_DTYPE_F32); }
Test(norm, batch_norm_equals_the_twin_in_bf16) { check_all(BATCH, LK_DTYPE_BF16); }
Test(norm, layer_norm_equals_the_twin_in_fp32) { check_all(LAYER, LK_DTYPE_F32); }
Test(norm, layer_norm_equals_the_twin_in_bf16) { check_all(LAYER, LK_DTYPE_BF16); }

/* ---------------------------------------------------- twins by differences */

enum { R = 5, C = 4 };

static double weighted_sum(norm_kind kind, const double *x, const double *g, const double *b, const double *dy)
{
    double y[R * C], mean[R > C ? R : C], var[R > C ? R : C], sum = 0.0;

    if (kind == BATCH)
        twin_batch_norm(R, C, (double)eps, x, g, b, y, mean, var);
    else
        twin_layer_norm(R, C, (double)eps, x, g, b, y, mean, var);
    for (size_t i = 0; i < R * C; i++) sum += y[i] * dy[i];
    return sum;
}

static void expect_difference(norm_kind kind, double *at, double got, const double *x, const double *g, const double *b,
                              const double *dy, const char *what)
{
    const double step = 1e-5, middle = *at;

    *at = middle + step;
    const double above = weighted_sum(kind, x, g, b, dy);
    *at = middle - step;
    const double below = weighted_sum(kind, x, g, b, dy);
    *at = middle;
    const double want = (above - below) / (2.0 * step);
    cr_expect_float_eq(got, want, 1e-8, "%s: got %.12g, difference quotient %.12g", what, got, want);
}

/* In double: at this step truncation (step^2) and rounding (1e-16 / step) both stay below 1e-8. */
static void expect_twin_gradient(norm_kind kind)
{
    double x[R * C], g[C], b[C], dy[R * C], dx[R * C], dg[C], db[C];

    for (int i = 0; i < R * C; i++) x[i] = sin(1.0 + 3.0 * i), dy[i] = cos(2.0 + 5.0 * i);
    for (int c = 0; c < C; c++) g[c] = 0.5 + 0.3 * c, b[c] = 0.1 * c;
    if (kind == BATCH)
        twin_batch_norm_grad(R, C, (double)eps, dy, x, g, dx, dg, db);
    else
        twin_layer_norm_grad(R, C, (double)eps, dy, x, g, dx, dg, db);
    for (int i = 0; i < R * C; i++) expect_difference(kind, &x[i], dx[i], x, g, b, dy, "dx");
    for (int c = 0; c < C; c++) {
        expect_difference(kind, &g[c], dg[c], x, g, b, dy, "dg");
        expect_difference(kind, &b[c], db[c], x, g, b, dy, "db");
    }
}

Test(norm, the_twins_gradient_of_batch_norm_is_its_derivative) { expect_twin_gradient(BATCH); }
Test(norm, the_twins_gradient_of_layer_norm_is_its_derivative) { expect_twin_gradient(LAYER); }

/* --------------------------------------------------------- same bits, edges */

static void expect_same_bytes(const net *a, int in_a, const net *b, int in_b, const char *what)
{
    const size_t nbytes = a->h.graph.tensors[in_a].nbytes;

    cr_expect_eq(memcmp(op_at(&a->h, in_a), op_at(&b->h, in_b), nbytes), 0, "%s differs in %s", what,
                 a->h.graph.tensors[in_a].name);
}

/* Above the size at which a second thread is used. */
static void expect_threads_change_nothing(norm_kind kind, const int64_t shape[4], lk_dtype dtype)
{
    net one, two;

    open_net(&one, kind, shape, dtype, 1, all_trainable);
    open_net(&two, kind, shape, dtype, 2, all_trainable);
    op_run(&one.h);
    op_run(&two.h);
    for (int i = 0; i < one.h.graph.n_tensors; i++) expect_same_bytes(&one, i, &two, i, "a second thread");
    op_close(&two.h);
    op_close(&one.h);
}

Test(norm, a_second_thread_changes_no_bit)
{
    expect_threads_change_nothing(BATCH, (const int64_t[]){10, 30, 30, 17}, LK_DTYPE_F32);
    expect_threads_change_nothing(BATCH, (const int64_t[]){10, 30, 30, 17}, LK_DTYPE_BF16);
    expect_threads_change_nothing(LAYER, (const int64_t[]){2000, 0, 0, 70}, LK_DTYPE_F32);
    expect_threads_change_nothing(LAYER, (const int64_t[]){2000, 0, 0, 70}, LK_DTYPE_BF16);
}

static void expect_frozen_changes_nothing(norm_kind kind)
{
    const int64_t shape[] = {19, 0, 0, 33};
    const trainable some[] = {{true, false, false}, {false, true, false}, {false, false, true}, {true, false, true}};
    net all;

    open_net(&all, kind, shape, LK_DTYPE_F32, 1, all_trainable);
    op_run(&all.h);
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        net t;

        open_net(&t, kind, shape, LK_DTYPE_F32, 1, some[i]);
        op_run(&t.h);
        if (some[i].x) expect_same_bytes(&all, op_gradient(&all.h, all.x), &t, op_gradient(&t.h, t.x), "freezing");
        if (some[i].g) expect_same_bytes(&all, op_gradient(&all.h, all.g), &t, op_gradient(&t.h, t.g), "freezing");
        if (some[i].b) expect_same_bytes(&all, op_gradient(&all.h, all.b), &t, op_gradient(&t.h, t.b), "freezing");
        op_close(&t.h);
    }
    op_close(&all.h);
}

Test(norm, frozen_parameters_change_no_bit_of_the_other_gradients)
{
    expect_frozen_changes_nothing(BATCH);
    expect_frozen_changes_nothing(LAYER);
}

/* At 1000 + [-1, 1] squares lose all of a variance of 1/3 in fp32.  Two passes lose only what the means of blocks do,
 * numbers with a spacing of 6e-5: some 1e-5 of the variance, and 1e-4 of y. */
static void expect_no_cancellation(norm_kind kind)
{
    net t;

    open_net(&t, kind, (const int64_t[]){300, 0, 0, 100}, LK_DTYPE_F32, 1, all_trainable);
    for (size_t i = 0; i < op_n_elem(&t.h, t.x); i++) op_set_one(&t.h, t.x, i, op_get_one(&t.h, t.x, i) + 1000.0f);
    op_run(&t.h);
    twin w = twin_of(&t, kind);
    for (size_t i = 0; i < op_n_elem(&t.h, t.rstd); i++) w.row[i] = 1.0 / sqrt(w.var[i] + (double)eps);
    expect_near(&t.h, t.rstd, w.row, 2e-5, "far from zero");
    expect_near(&t.h, t.y, w.y, 1e-3, "far from zero");
    free_twin(&w);
    op_close(&t.h);
}

Test(norm, the_variance_does_not_cancel_far_from_zero)
{
    expect_no_cancellation(BATCH);
    expect_no_cancellation(LAYER);
}

static void expect_eval(const int64_t shape[4], lk_dtype dtype)
{
    const int64_t n_channels = shape[3], dims[] = {shape[0], shape[3]};
    double *want;
    op_harness h;
    int v[4], y;

    op_open(&h, LK_EVAL, 1);
    const int x = op_tensor(&h, "x", LK_ARENA_FIELD, dtype, 2, dims);
    for (int i = 0; i < 4; i++) v[i] = op_tensor(&h, "v", LK_ARENA_PARAMS, LK_DTYPE_F32, 1, &n_channels);
    op_ok(lk_op_batch_norm(&h.graph, "norm",
                           &(lk_batch_norm){x, v[0], v[1], v[2], v[3], LK_NO_TENSOR, LK_NO_TENSOR, eps, 0.1f}, &y));
    op_bind(&h);
    op_fill(&h, x, 1);
    for (int i = 0; i < 4; i++) op_fill(&h, v[i], 2 + (uint64_t)i);
    for (size_t c = 0; c < (size_t)n_channels; c++) op_set_one(&h, v[3], c, 0.1f + op_get_one(&h, v[3], c) + 1.0f);
    op_run(&h);
    want = op_doubles(&h, x);
    for (size_t i = 0; i < op_n_elem(&h, x); i++) {
        const size_t c = i % (size_t)n_channels;
        const double g = (double)op_get_one(&h, v[0], c), b = (double)op_get_one(&h, v[1], c);
        const double mean = (double)op_get_one(&h, v[2], c), var = (double)op_get_one(&h, v[3], c);

        want[i] = (want[i] - mean) / sqrt(var + (double)eps) * g + b;
    }
    expect_near(&h, y, want, 2e-6, "evaluation");
    free(want);
    op_close(&h);
}

Test(norm, evaluation_uses_the_running_statistics)
{
    for (int i = 0; i < N_SHAPES; i++) {
        expect_eval(shapes[i], LK_DTYPE_F32);
        expect_eval(shapes[i], LK_DTYPE_BF16);
    }
}

/* ---------------------------------------------------------------- refusals */

/* dx = g / sqrt(running_var + eps) dy, exactly the fp32 operations of the kernel in fp32, one rounding more in bf16. */
static void expect_eval_gradient(const int64_t shape[4], lk_dtype dtype, int threads)
{
    op_harness h;
    const int64_t channels = shape[3];
    int y;

    op_open(&h, LK_TRAIN, threads);
    const int x = op_tensor(&h, "x", LK_ARENA_FIELD, dtype, 4, shape);
    const int g = op_tensor(&h, "g", LK_ARENA_PARAMS, LK_DTYPE_F32, 1, &channels);
    const int b = op_tensor(&h, "b", LK_ARENA_PARAMS, LK_DTYPE_F32, 1, &channels);
    const int mean = op_tensor(&h, "mean", LK_ARENA_PARAMS, LK_DTYPE_F32, 1, &channels);
    const int var = op_tensor(&h, "var", LK_ARENA_PARAMS, LK_DTYPE_F32, 1, &channels);
    const int constants[] = {g, b, mean, var};

    for (int i = 0; i < 4; i++) h.graph.tensors[constants[i]].needs_grad = false;
    h.graph.tensors[x].needs_grad = true;
    op_ok(lk_op_batch_norm(&h.graph, "norm",
                           &(lk_batch_norm){x, g, b, mean, var, LK_NO_TENSOR, LK_NO_TENSOR, eps, 0.1f}, &y));
    const int dy = op_differentiate(&h, y);
    cr_expect_eq(h.graph.n_nodes, 2, "got %d nodes, want the norm and its gradient", h.graph.n_nodes);
    op_bind(&h);
    op_fill(&h, g, 2), op_fill(&h, var, 3), op_fill(&h, dy, 4);
    for (size_t c = 0; c < (size_t)channels; c++) op_set_one(&h, var, c, fabsf(op_get_one(&h, var, c)));
    op_run(&h);
    for (size_t i = 0; i < op_n_elem(&h, x); i++) {
        const size_t c = i % (size_t)channels;
        const float factor = op_get_one(&h, g, c) * (1.0f / sqrtf(op_get_one(&h, var, c) + eps));
        const float want = factor * op_get_one(&h, dy, i), got = op_get_one(&h, op_gradient(&h, x), i);
        const float most = dtype == LK_DTYPE_BF16 ? 0x1p-8f * fabsf(want) : 0.0f;

        cr_expect(fabsf(got - want) <= most, "dx[%zu]: got %.9g, want %.9g", i, (double)got, (double)want);
    }
    op_close(&h);
}

Test(norm, under_running_statistics_the_gradient_is_a_factor)
{
    const int64_t sizes[][4] = {{5, 3, 2, 7}, {2, 1, 1, 1}, {9, 4, 4, 16}, {64, 8, 8, 130}};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int threads = 1; threads <= 2; threads++) {
            expect_eval_gradient(sizes[i], LK_DTYPE_F32, threads);
            expect_eval_gradient(sizes[i], LK_DTYPE_BF16, threads);
        }
}

static void expect_refused(lk_status status, const char *part)
{
    cr_expect_eq(status, LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "layers.1: ") && strstr(lk_error_message(), part), "message: %s, want: %s",
              lk_error_message(), part);
}

Test(norm, shapes_that_do_not_fit_name_the_layer_and_the_numbers)
{
    op_harness h;
    int y;

    op_open(&h, LK_TRAIN, 1);
    const int x = op_tensor(&h, "x", LK_ARENA_FIELD, LK_DTYPE_F32, 2, (int64_t[]){4, 6});
    const int single = op_tensor(&h, "single", LK_ARENA_FIELD, LK_DTYPE_F32, 2, (int64_t[]){1, 6});
    const int line = op_tensor(&h, "line", LK_ARENA_FIELD, LK_DTYPE_F32, 1, (int64_t[]){6});
    const int v = op_tensor(&h, "v", LK_ARENA_PARAMS, LK_DTYPE_F32, 1, (int64_t[]){6});
    const int v5 = op_tensor(&h, "v5", LK_ARENA_PARAMS, LK_DTYPE_F32, 1, (int64_t[]){5});

    expect_refused(lk_op_batch_norm(&h.graph, "layers.1",
                                    &(lk_batch_norm){x, v5, v, v, v, v, v, eps, 0.1f}, &y), "weight is fp32 (5)");
    expect_refused(lk_op_batch_norm(&h.graph, "layers.1",
                                    &(lk_batch_norm){x, v, v5, v, v, v, v, eps, 0.1f}, &y), "expected fp32 (6)");
    expect_refused(lk_op_batch_norm(&h.graph, "layers.1",
                                    &(lk_batch_norm){x, v, v, v, v, v5, v, eps, 0.1f}, &y), "the lane's mean");
    expect_refused(lk_op_batch_norm(&h.graph, "layers.1", &(lk_batch_norm){single, v, v, v, v, v, v, eps, 0.1f}, &y),
                   "at least 2 samples");
    expect_refused(lk_op_batch_norm(&h.graph, "layers.1",
                                    &(lk_batch_norm){line, v, v, v, v, v, v, eps, 0.1f}, &y), "fp32 (6); expected");
    expect_refused(lk_op_layer_norm(&h.graph, "layers.1", x, v5, v, eps, &y), "weight is (5)");
    expect_refused(lk_op_layer_norm(&h.graph, "layers.1", line, v, v, eps, &y), "fp32 (6); expected");
    h.graph.mode = LK_EVAL;
    expect_refused(lk_op_batch_norm(&h.graph, "layers.1",
                                    &(lk_batch_norm){x, v, v, v5, v, v, v, eps, 0.1f}, &y), "running_mean");
    op_close(&h);
}
