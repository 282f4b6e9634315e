/*
 * Losses: slot, sums and gradients against the twins in both types; twins against difference quotients; lanes add up
 * to the batch; threads change nothing; labels that are ignored, tied, or far apart.
 */
#include "tests/support/loop_twins.h"
#include "tests/support/op_harness.h"

#include <stdio.h>

typedef struct net {
    op_harness h;
    size_t N, O;
    int x, target, slot, sums, dx;
} net;

static const lk_loss_spec mse = {.kind = LK_LOSS_MSE, .ignore_index = -100};
static const lk_loss_spec l1 = {.kind = LK_LOSS_L1, .ignore_index = -100};
static const lk_loss_spec plain = {.kind = LK_LOSS_CROSS_ENTROPY, .ignore_index = -100};
static const lk_loss_spec smooth = {.kind = LK_LOSS_CROSS_ENTROPY, .label_smoothing = 0.1f, .ignore_index = 2};
static const lk_loss_spec smooth_l1 = {.kind = LK_LOSS_SMOOTH_L1, .beta = 0.5f};
static const lk_loss_spec huber = {.kind = LK_LOSS_HUBER, .delta = 0.75f};
static const lk_loss_spec bce = {.kind = LK_LOSS_BCE};

/* Weights of outputs, as many as a test has: multiples of 1/4, one of them 0. */
enum { MOST_OUTPUTS = 2048 };
static double some_weights[MOST_OUTPUTS];

static double *weights(void)
{
    for (int o = 0; o < MOST_OUTPUTS; o++) some_weights[o] = 0.25 * (double)((o + 2) % 9);
    return some_weights;
}

static lk_loss_spec weighted(float smoothing, int64_t O)
{
    return (lk_loss_spec){.kind = LK_LOSS_CROSS_ENTROPY, .label_smoothing = smoothing, .ignore_index = 2,
                          .weight = weights(), .n_weight = (unsigned)O};
}

static lk_loss_spec weighted_bce(int64_t O)
{
    return (lk_loss_spec){.kind = LK_LOSS_BCE, .pos_weight = weights(), .n_pos_weight = (unsigned)O};
}

static bool reads_labels(const lk_loss_spec *spec) { return lk_loss_get(spec->kind)->reads == LK_READS_CLASSES; }

static void open_net(net *t, const lk_loss_spec *spec, lk_mode mode, int64_t N, int64_t O, lk_dtype dtype, int threads)
{
    const bool classes = reads_labels(spec), events = spec->kind == LK_LOSS_BCE;
    const int64_t shape[] = {N, O}, one = 1, n_sums = (int64_t)lk_loss_n_sums(spec->kind, (size_t)O);

    op_open(&t->h, mode, threads);
    t->N = (size_t)N;
    t->O = (size_t)O;
    t->x = op_tensor(&t->h, "x", LK_ARENA_FIELD, dtype, 2, shape);
    t->target = op_tensor(&t->h, "target", lk_arena_of_field(1), classes ? LK_DTYPE_I32 : LK_DTYPE_F32, classes ? 1 : 2,
                          shape);
    t->slot = op_tensor(&t->h, "slot", LK_ARENA_GRADS, LK_DTYPE_F32, 1, &one);
    t->sums = op_tensor(&t->h, "sums", LK_ARENA_SUMS, LK_DTYPE_F64, 1, &n_sums);
    op_ok(lk_op_loss(&t->h.graph, "loss", spec, t->x, t->target, mode == LK_TRAIN ? t->slot : LK_NO_TENSOR,
                     mode == LK_TRAIN ? LK_NO_TENSOR : t->sums, &t->dx));
    op_bind(&t->h);
    op_fill(&t->h, t->x, 1);
    op_fill(&t->h, t->target, 2);
    for (size_t i = 0; i < t->N * t->O; i++) op_set_one(&t->h, t->x, i, 4.0f * op_get_one(&t->h, t->x, i));
    /* Targets of events: never, always, or something between. */
    for (size_t i = 0; events && i < t->N * t->O; i++)
        op_set_one(&t->h, t->target, i, fmaxf(0.0f, fminf(1.0f, 1.5f * op_get_one(&t->h, t->target, i) + 0.5f)));
    for (size_t n = 0; classes && n < t->N; n++)
        op_set_one(&t->h, t->target, n, n % 5 == 4 ? (float)spec->ignore_index : (float)(n * 7 % t->O));
    t->h.run.inv_count = 0.125f; /* a power of two: the gradient's product with it is exact */
}

static void run_twin(const net *t, const lk_loss_spec *spec, double *sums, double *dx)
{
    double *x = op_doubles(&t->h, t->x), *target = op_doubles(&t->h, t->target);

    if (reads_labels(spec)) twin_cross_entropy(spec, t->N, t->O, x, op_at(&t->h, t->target), sums, dx);
    else twin_pointwise(spec, t->N, t->O, x, target, sums, dx);
    free(target);
    free(x);
}

/* Terms are fp32 to about 1e-6 of the largest logit (4) times its weight (2); gradients are at most 1 for cross-entropy
 * without weights, 10 for mse. */
static void expect_twin(const lk_loss_spec *spec, int64_t N, int64_t O, lk_dtype dtype)
{
    const size_t n_sums = lk_loss_n_sums(spec->kind, (size_t)O);
    double *sums = calloc(n_sums, sizeof *sums), *want = calloc((size_t)(N * O), sizeof *want);
    char what[96];
    net train, eval;

    snprintf(what, sizeof what, "loss %d of %ld x %ld, %s", (int)spec->kind, (long)N, (long)O, lk_dtype_name(dtype));
    open_net(&train, spec, LK_TRAIN, N, O, dtype, 1);
    open_net(&eval, spec, LK_EVAL, N, O, dtype, 1);
    op_run(&train.h);
    op_run(&eval.h);
    run_twin(&train, spec, sums, want);
    cr_expect_eq(eval.dx, LK_NO_TENSOR);

    const double slot = (double)op_get_one(&train.h, train.slot, 0), want_slot = sums[LK_SUM_LOSS] * 0.125;
    cr_expect_float_eq(slot, want_slot, 1e-6 * fmax(1.0, want_slot), "%s: slot %.9g, want %.9g", what, slot, want_slot);
    for (size_t k = 0; k < n_sums; k++) {
        const double got = ((const double *)op_at(&eval.h, eval.sums))[k];
        cr_expect_float_eq(got, sums[k], 1e-6 * fmax(1.0, fabs(sums[k])), "%s: sum %zu is %.12g, want %.12g", what, k,
                           got, sums[k]);
    }
    const double relative = dtype == LK_DTYPE_BF16 ? 0x1p-8 : 1e-6;
    for (size_t i = 0; i < (size_t)(N * O); i++) {
        const double got = (double)op_get_one(&train.h, train.dx, i) / 0.125;
        cr_expect(fabs(got - want[i]) <= relative * fabs(want[i]) + 5e-7, "%s: dx[%zu] is %.9g, want %.9g", what, i,
                  got, want[i]);
    }
    op_close(&eval.h);
    op_close(&train.h);
    free(want);
    free(sums);
}

static void check_shapes(const lk_loss_spec *spec, lk_dtype dtype)
{
    const int64_t shapes[][2] = {{1, 3},  {3, 17},  {17, 31}, {31, 10}, {32, 32}, {5, 33},
                                 {64, 5}, {65, 10}, {200, 64}, {7, 1000}};

    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) expect_twin(spec, shapes[i][0], shapes[i][1], dtype);
}

Test(loss, mse_equals_the_twin) { check_shapes(&mse, LK_DTYPE_F32); }
Test(loss, mse_equals_the_twin_in_bf16) { check_shapes(&mse, LK_DTYPE_BF16); }
Test(loss, l1_equals_the_twin) { check_shapes(&l1, LK_DTYPE_F32); }
Test(loss, l1_equals_the_twin_in_bf16) { check_shapes(&l1, LK_DTYPE_BF16); }
Test(loss, cross_entropy_equals_the_twin) { check_shapes(&plain, LK_DTYPE_F32); }
Test(loss, cross_entropy_equals_the_twin_in_bf16) { check_shapes(&plain, LK_DTYPE_BF16); }
Test(loss, smoothed_cross_entropy_equals_the_twin) { check_shapes(&smooth, LK_DTYPE_F32); }
Test(loss, smoothed_cross_entropy_equals_the_twin_in_bf16) { check_shapes(&smooth, LK_DTYPE_BF16); }
Test(loss, smooth_l1_equals_the_twin) { check_shapes(&smooth_l1, LK_DTYPE_F32); }
Test(loss, huber_equals_the_twin) { check_shapes(&huber, LK_DTYPE_F32); }
Test(loss, huber_equals_the_twin_in_bf16) { check_shapes(&huber, LK_DTYPE_BF16); }
Test(loss, bce_equals_the_twin) { check_shapes(&bce, LK_DTYPE_F32); }
Test(loss, bce_equals_the_twin_in_bf16) { check_shapes(&bce, LK_DTYPE_BF16); }

Test(loss, weights_of_classes_and_events_equal_the_twin)
{
    const int64_t shapes[][2] = {{3, 17}, {32, 32}, {65, 10}, {200, 64}, {7, 1500}};

    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int bf16 = 0; bf16 < 2; bf16++) {
            const int64_t N = shapes[i][0], O = shapes[i][1];
            const lk_loss_spec specs[] = {weighted(0.0f, O), weighted(0.2f, O), weighted_bce(O), weighted_bce(1)};

            for (int s = 0; s < 4; s++) expect_twin(&specs[s], N, O, bf16 ? LK_DTYPE_BF16 : LK_DTYPE_F32);
        }
}

/* ---------------------------------------------------- twins by differences */

enum { N = 4, V = 5 };
static const int32_t labels[N] = {1, 2, 0, 4}; /* of which `smooth` ignores the second */

static double twin_loss(const lk_loss_spec *spec, const double *x, const double *target, double *dx)
{
    double sums[LK_N_SUMS + LK_N_OUTPUT_SUMS * V];

    if (reads_labels(spec)) twin_cross_entropy(spec, N, V, x, labels, sums, dx);
    else twin_pointwise(spec, N, V, x, target, sums, dx);
    return sums[LK_SUM_LOSS];
}

/* In double: truncation and rounding both stay below 1e-8 at this step, and no x - t of L1 is that near 0. */
static void expect_twin_gradient(const lk_loss_spec *spec)
{
    const double step = 1e-5;
    double x[N * V], target[N * V], dx[N * V], other[N * V];

    const bool events = spec->kind == LK_LOSS_BCE;

    for (int i = 0; i < N * V; i++) x[i] = 2.0 * sin(1.0 + 3.0 * i), target[i] = cos(2.0 + 5.0 * i);
    for (int i = 0; events && i < N * V; i++) target[i] = 0.5 * (1.0 + target[i]);
    twin_loss(spec, x, target, dx);
    for (int i = 0; i < N * V; i++) {
        const double middle = x[i];

        x[i] = middle + step;
        const double above = twin_loss(spec, x, target, other);
        x[i] = middle - step;
        const double want = (above - twin_loss(spec, x, target, other)) / (2.0 * step);
        x[i] = middle;
        cr_expect_float_eq(dx[i], want, 1e-8, "loss %d, dx[%d]: got %.12g, difference quotient %.12g", (int)spec->kind,
                           i, dx[i], want);
    }
}

Test(loss, the_twins_gradients_are_their_derivatives)
{
    expect_twin_gradient(&mse);
    expect_twin_gradient(&l1);
    expect_twin_gradient(&plain);
    expect_twin_gradient(&smooth);
    expect_twin_gradient(&smooth_l1);
    expect_twin_gradient(&huber);
    expect_twin_gradient(&bce);
    const lk_loss_spec weighed[] = {weighted(0.0f, V), weighted(0.3f, V), weighted_bce(V)};
    for (int i = 0; i < 3; i++) expect_twin_gradient(&weighed[i]);
}

/* ------------------------------------------------------------- same bits */

/* Above the size at which a second thread is used. */
static void expect_threads_change_nothing(const lk_loss_spec *spec, lk_mode mode, int64_t rows, int64_t outputs)
{
    net one, two;

    open_net(&one, spec, mode, rows, outputs, LK_DTYPE_F32, 1);
    open_net(&two, spec, mode, rows, outputs, LK_DTYPE_F32, 2);
    op_run(&one.h);
    op_run(&two.h);
    for (int i = 0; i < one.h.graph.n_tensors; i++)
        cr_expect_eq(memcmp(op_at(&one.h, i), op_at(&two.h, i), one.h.graph.tensors[i].nbytes), 0,
                     "a second thread changes %s", one.h.graph.tensors[i].name);
    op_close(&two.h);
    op_close(&one.h);
}

Test(loss, a_second_thread_changes_no_bit)
{
    const lk_loss_spec classes = weighted(0.1f, 100), events = weighted_bce(100);
    const lk_loss_spec *specs[] = {&mse, &l1, &plain, &smooth, &smooth_l1, &huber, &bce, &classes, &events};

    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        expect_threads_change_nothing(specs[i], LK_TRAIN, 1000, 100);
        expect_threads_change_nothing(specs[i], LK_EVAL, 1000, 100);
    }
}

/* ------------------------------------------------------------------ edges */

/* -infinity is a class that cannot be; e^200 would overflow. */
Test(loss, cross_entropy_takes_infinite_and_large_logits)
{
    net t;

    open_net(&t, &plain, LK_TRAIN, 2, 3, LK_DTYPE_F32, 1);
    op_set(&t.h, t.x, (const float[]){1.0f, -INFINITY, 1.0f, 200.0f, 0.0f, -200.0f});
    op_set(&t.h, t.target, (const float[]){0.0f, 0.0f});
    t.h.run.inv_count = 1.0f;
    op_run(&t.h);
    const double got = (double)op_get_one(&t.h, t.slot, 0);
    cr_expect_float_eq(got, log(2.0), 1e-7, "got %.9g, want log 2", got);
    const float want[] = {-0.5f, 0.0f, 0.5f, 0.0f, 0.0f, 0.0f};
    for (size_t i = 0; i < 6; i++)
        cr_expect_float_eq(op_get_one(&t.h, t.dx, i), want[i], 1e-7f, "dx[%zu]: got %g, want %g", i,
                           (double)op_get_one(&t.h, t.dx, i), (double)want[i]);
    op_close(&t.h);
}

static void expect_nan(const lk_loss_spec *spec, size_t at)
{
    net t;

    open_net(&t, spec, LK_TRAIN, 2, 40, LK_DTYPE_F32, 1);
    op_set_one(&t.h, t.x, at, NAN);
    op_run(&t.h);
    cr_expect(isnan(op_get_one(&t.h, t.slot, 0)), "loss %d with a NaN at %zu: got %g", (int)spec->kind, at,
              (double)op_get_one(&t.h, t.slot, 0));
    op_close(&t.h);
}

Test(loss, a_nan_shows_in_the_loss)
{
    const size_t places[] = {0, 5, 39};

    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        expect_nan(&mse, places[i]);
        expect_nan(&l1, places[i]);
        expect_nan(&plain, places[i]);
        expect_nan(&smooth, places[i]);
        expect_nan(&smooth_l1, places[i]);
        expect_nan(&huber, places[i]);
        expect_nan(&bce, places[i]);
    }
}

Test(loss, only_ignored_labels_give_zeros)
{
    net train, eval;

    open_net(&train, &smooth, LK_TRAIN, 3, 4, LK_DTYPE_BF16, 1);
    open_net(&eval, &smooth, LK_EVAL, 3, 4, LK_DTYPE_BF16, 1);
    for (size_t n = 0; n < 3; n++) {
        op_set_one(&train.h, train.target, n, 2.0f);
        op_set_one(&eval.h, eval.target, n, 2.0f);
    }
    for (size_t i = 0; i < 12; i++) op_set_one(&train.h, train.dx, i, 7.0f); /* must be overwritten */
    op_run(&train.h);
    op_run(&eval.h);
    cr_expect_eq(op_get_one(&train.h, train.slot, 0), 0.0f);
    for (size_t i = 0; i < 12; i++) cr_expect_eq(op_get_one(&train.h, train.dx, i), 0.0f, "dx[%zu]", i);
    for (size_t k = 0; k < LK_N_SUMS; k++) cr_expect_eq(op_get_one(&eval.h, eval.sums, k), 0.0f, "sum %zu", k);
    op_close(&eval.h);
    op_close(&train.h);
}

Test(loss, of_equal_logits_the_first_is_the_answer)
{
    net t;

    open_net(&t, &plain, LK_EVAL, 4, 3, LK_DTYPE_F32, 1);
    op_set(&t.h, t.x, (const float[]){1, 5, 5, 1, 5, 5, 2, 2, 2, 0, 1, 2});
    op_set(&t.h, t.target, (const float[]){1, 2, 0, 2});
    op_run(&t.h);
    const float got = op_get_one(&t.h, t.sums, LK_SUM_CORRECT);
    cr_expect_eq(got, 3.0f, "%g labels hit, want 3: all but the second", (double)got);
    op_close(&t.h);
}

/* The slots of two lanes add up to that of the batch, and gradients are the batch's: powers of two and halves of
 * whole numbers are exact. */
Test(loss, lanes_add_up_to_the_batch)
{
    const float x[] = {1, 2, 3, 5, 8, 13}, target[] = {0, 4, 1, 1, 7, 9};
    net batch, lane;
    float sum = 0.0f;

    open_net(&batch, &mse, LK_TRAIN, 6, 1, LK_DTYPE_F32, 1);
    op_set(&batch.h, batch.x, x);
    op_set(&batch.h, batch.target, target);
    op_run(&batch.h);
    for (size_t first = 0; first < 6; first += first ? 4 : 2) {
        const size_t n = first ? 4 : 2;

        open_net(&lane, &mse, LK_TRAIN, (int64_t)n, 1, LK_DTYPE_F32, 1);
        op_set(&lane.h, lane.x, x + first);
        op_set(&lane.h, lane.target, target + first);
        op_run(&lane.h);
        sum += op_get_one(&lane.h, lane.slot, 0);
        for (size_t i = 0; i < n; i++)
            cr_expect_eq(op_get_one(&lane.h, lane.dx, i), op_get_one(&batch.h, batch.dx, first + i), "dx[%zu]",
                         first + i);
        op_close(&lane.h);
    }
    const float want = op_get_one(&batch.h, batch.slot, 0);
    cr_expect_eq(sum, want, "lanes add up to %g, want %g", (double)sum, (double)want);
    op_close(&batch.h);
}

/* (2, 3, 4) is six rows of four, for labels (2, 3) and for values alike. */
static void expect_rows(const lk_loss_spec *spec)
{
    const int64_t deep[] = {2, 3, 4}, one = 1;
    const bool classes = reads_labels(spec);
    op_harness h;
    net flat;
    int dx;

    op_open(&h, LK_TRAIN, 1);
    const int x = op_tensor(&h, "x", LK_ARENA_FIELD, LK_DTYPE_F32, 3, deep);
    const int target = op_tensor(&h, "target", LK_ARENA_FIELD, classes ? LK_DTYPE_I32 : LK_DTYPE_F32, classes ? 2 : 3,
                                 deep);
    const int slot = op_tensor(&h, "slot", LK_ARENA_GRADS, LK_DTYPE_F32, 1, &one);
    op_ok(lk_op_loss(&h.graph, "loss", spec, x, target, slot, LK_NO_TENSOR, &dx));
    op_bind(&h);
    open_net(&flat, spec, LK_TRAIN, 6, 4, LK_DTYPE_F32, 1);
    memcpy(op_at(&h, x), op_at(&flat.h, flat.x), h.graph.tensors[x].nbytes);
    memcpy(op_at(&h, target), op_at(&flat.h, flat.target), h.graph.tensors[target].nbytes);
    h.run.inv_count = flat.h.run.inv_count;
    op_run(&h);
    op_run(&flat.h);
    cr_expect_eq(op_get_one(&h, slot, 0), op_get_one(&flat.h, flat.slot, 0));
    cr_expect_eq(memcmp(op_at(&h, dx), op_at(&flat.h, flat.dx), h.graph.tensors[dx].nbytes), 0);
    op_close(&flat.h);
    op_close(&h);
}

Test(loss, rows_are_all_axes_but_the_last)
{
    expect_rows(&plain);
    expect_rows(&mse);
}

/* 3 logits of 6 are before the label's: among the first five, not the first. */
Test(loss, the_label_is_counted_among_the_five_largest)
{
    net t;

    open_net(&t, &plain, LK_EVAL, 3, 6, LK_DTYPE_F32, 1);
    op_set(&t.h, t.x, (const float[]){9, 8, 7, 1, 0, -1, 1, 1, 1, 1, 1, 1, NAN, 1, 2, 3, 4, 5});
    op_set(&t.h, t.target, (const float[]){3, 5, 0}); /* of six equal ones the last is sixth; a NaN is no hit */
    op_run(&t.h);
    const float got = op_get_one(&t.h, t.sums, LK_SUM_CORRECT_TOP5), first = op_get_one(&t.h, t.sums, LK_SUM_CORRECT);
    cr_expect_eq(got, 1.0f, "%g labels among five, want 1", (double)got);
    cr_expect_eq(first, 0.0f, "%g labels hit, want 0", (double)first);
    op_close(&t.h);
}

/* ---------------------------------------------------------------- refusals */

static void expect_refused(const lk_loss_spec *spec, lk_graph *graph, int x, int target, int slot, const char *part)
{
    int dx;

    cr_expect_eq(lk_op_loss(graph, "loss", spec, x, target, slot, LK_NO_TENSOR, &dx), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "loss: ") && strstr(lk_error_message(), part), "message: %s, want: %s",
              lk_error_message(), part);
}

Test(loss, shapes_that_do_not_fit_name_the_layer_and_the_numbers)
{
    const lk_loss_spec too_smooth = {.kind = LK_LOSS_CROSS_ENTROPY, .label_smoothing = 1.5f};
    op_harness h;

    op_open(&h, LK_TRAIN, 1);
    const int x = op_tensor(&h, "x", LK_ARENA_FIELD, LK_DTYPE_F32, 2, (int64_t[]){4, 6});
    const int flat = op_tensor(&h, "flat", LK_ARENA_FIELD, LK_DTYPE_F32, 1, (int64_t[]){4});
    const int target = op_tensor(&h, "target", lk_arena_of_field(1), LK_DTYPE_F32, 2, (int64_t[]){4, 5});
    const int label = op_tensor(&h, "label", lk_arena_of_field(1), LK_DTYPE_I32, 1, (int64_t[]){4});
    const int few = op_tensor(&h, "few", lk_arena_of_field(1), LK_DTYPE_I32, 1, (int64_t[]){3});
    const int slot = op_tensor(&h, "slot", LK_ARENA_GRADS, LK_DTYPE_F32, 1, (int64_t[]){1});

    expect_refused(&mse, &h.graph, x, target, slot, "the target is fp32 (4, 5)");
    expect_refused(&l1, &h.graph, x, label, slot, "the target is int32 (4), expected fp32 (4, 6)");
    expect_refused(&plain, &h.graph, x, target, slot, "the label is fp32 (4, 5)");
    expect_refused(&plain, &h.graph, x, few, slot, "expected int32 (4)");
    expect_refused(&plain, &h.graph, flat, label, slot, "fp32 (4); expected");
    expect_refused(&too_smooth, &h.graph, x, label, slot, "label_smoothing: it is 1.5");
    const lk_loss_spec five = weighted(0.0f, 5), no_delta = {.kind = LK_LOSS_HUBER}, five_events = weighted_bce(5);
    const int like_x = op_tensor(&h, "like x", LK_ARENA_FIELD, LK_DTYPE_F32, 2, (int64_t[]){4, 6});
    expect_refused(&five, &h.graph, x, label, slot, "loss.weight: it has 5 numbers, but there are 6 classes");
    expect_refused(&five_events, &h.graph, x, like_x, slot,
                   "loss.pos_weight: it has 5 numbers, but there are 6 outputs");
    expect_refused(&no_delta, &h.graph, x, like_x, slot, "loss.delta: it is 0 and must be above 0");
    op_close(&h);
}
