/*
 * The backend's passes over arenas, on the backend under test: every rule against a plain twin in double, bits that do
 * not depend on how a range is cut or on threads, clipping, the gradient's norm, running statistics.  lk_optimizer on
 * top of them is tested in test_optimizer_model.c.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "tests/support/host_mirror.h"

enum { N = 5003, STEPS = 4 }; /* blocks, a rest of vectors and a tail */

/* ---------------------------------------------------------------- variants */

typedef struct variant {
    const char *name;
    lk_optimizer_spec spec;
} variant;

static const variant variants[] = {
    {"sgd", {.kind = LK_SGD}},
    {"sgd decay", {.kind = LK_SGD, .weight_decay = 0.1}},
    {"sgd momentum", {.kind = LK_SGD, .momentum = 0.9}},
    {"sgd momentum dampening decay", {.kind = LK_SGD, .momentum = 0.9, .dampening = 0.3, .weight_decay = 0.1}},
    {"sgd nesterov", {.kind = LK_SGD, .momentum = 0.9, .nesterov = true}},
    {"sgd nesterov decay", {.kind = LK_SGD, .momentum = 0.9, .nesterov = true, .weight_decay = 0.1}},
    {"adam", {.kind = LK_ADAM, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8}},
    {"adam decay", {.kind = LK_ADAM, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.1}},
    {"adam amsgrad", {.kind = LK_ADAM, .beta1 = 0.9, .beta2 = 0.9, .eps = 1e-8, .amsgrad = true}},
    {"adam amsgrad decay",
     {.kind = LK_ADAM, .beta1 = 0.9, .beta2 = 0.9, .eps = 1e-8, .amsgrad = true, .weight_decay = 0.1}},
    {"adam small beta1", {.kind = LK_ADAM, .beta1 = 0.2, .beta2 = 0.99, .eps = 1e-3}},
    {"adamw", {.kind = LK_ADAMW, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.1}},
    {"adamw amsgrad",
     {.kind = LK_ADAMW, .beta1 = 0.9, .beta2 = 0.9, .eps = 1e-8, .amsgrad = true, .weight_decay = 0.1}},
    {"adamw no decay", {.kind = LK_ADAMW, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8}},
};
enum { N_VARIANTS = sizeof variants / sizeof *variants };

static const double LR = 0.01;

/* ------------------------------------------------------------------ arenas */

typedef struct arenas {
    float *params, *grads, *state[3], *ema;
    size_t n;
} arenas;

static const lk_backend *backend;
static void *ctx;
static mirrors arrays;

static void open_backend(void)
{
    backend = backend_under_test();
    cr_assert_eq(backend->open(&(lk_engine_options){.threads = 1}, &ctx), LK_OK, "%s", lk_error_message());
    mirrors_open(&arrays, backend, ctx);
}

static void close_backend(void)
{
    mirrors_close(&arrays);
    backend->close(ctx);
}

static float *floats(size_t n) { return host_mirror_new(&arrays, n * sizeof(float)); }

static float *normals(size_t n, uint32_t stream)
{
    float *x = floats(n);
    const lk_philox_key key = lk_philox_key_new(1, LK_PURPOSE_DATA, stream);

    for (size_t i = 0; i < n; i++) x[i] = (float)lk_normal(key, i);
    return x;
}

static arenas arenas_new(size_t n)
{
    arenas a = {.params = normals(n, 1), .grads = normals(n, 2), .ema = normals(n, 3), .n = n};

    for (int i = 0; i < 3; i++) a.state[i] = floats(n);
    return a;
}

static void arenas_free(arenas *a)
{
    host_mirror_free(&arrays, &a->params), host_mirror_free(&arrays, &a->grads), host_mirror_free(&arrays, &a->ema);
    for (int i = 0; i < 3; i++) host_mirror_free(&arrays, &a->state[i]);
}

/* Gradients of another step, the same for all who ask. */
static void new_grads(arenas *a, int64_t step)
{
    const lk_philox_key key = lk_philox_key_new(1, LK_PURPOSE_DATA, 100 + (uint32_t)step);

    for (size_t i = 0; i < a->n; i++) a->grads[i] = (float)lk_normal(key, i);
}

static lk_update update_of(const lk_optimizer_spec *spec, arenas *a, int64_t step)
{
    return (lk_update){.spec = spec, .params = a->params, .grads = a->grads,
                       .state = {a->state[0], a->state[1], a->state[2]}, .n_elem = a->n, .step = step, .lr = LR,
                       .momentum = spec->kind == LK_SGD ? spec->momentum : spec->beta1, .grad_scale = 1.0f,
                       .ema = a->ema, .ema_mode = LK_EMA_BLEND, .ema_decay = 0.75f};
}

/* The same pass over elements [begin, end) alone. */
static lk_update part_of(lk_update u, size_t begin, size_t end)
{
    u.params += begin, u.grads += begin, u.ema += begin;
    for (int i = 0; i < 3; i++) u.state[i] += begin;
    u.n_elem = end - begin;
    return u;
}

/* The backend's passes on what is there. */
static lk_status run_update(const lk_update *update)
{
    lk_update u = *update;

    u.params = there(&arrays, u.params), u.grads = there(&arrays, u.grads), u.ema = there(&arrays, u.ema);
    for (int i = 0; i < 3; i++) u.state[i] = there(&arrays, u.state[i]);
    return THERE(&arrays, backend->update(ctx, &u));
}

static lk_status run_ema(float *ema, const float *params, size_t begin, size_t end, lk_ema_mode mode, float decay)
{
    return THERE(&arrays,
                 backend->ema(ctx, there(&arrays, ema), there(&arrays, params), begin, end, mode, decay, false));
}

static void expect_same_bits(const char *what, const char *name, const float *got, const float *want, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(&got[i], &want[i], sizeof *got) != 0)
            cr_assert_fail("%s of %s, element %zu: got %.9g, want %.9g", what, name, i, got[i], want[i]);
}

static void expect_same_arenas(const char *name, const arenas *got, const arenas *want)
{
    expect_same_bits("params", name, got->params, want->params, want->n);
    expect_same_bits("ema", name, got->ema, want->ema, want->n);
    for (int i = 0; i < 3; i++) expect_same_bits("state", name, got->state[i], want->state[i], want->n);
}

/* ------------------------------------------------------------------- twins */

typedef struct twin { double p, s0, s1, s2; } twin;

/* The textbook forms: Sutskever et al. 2013 as PyTorch writes it; Kingma and Ba 2015; Loshchilov and Hutter 2019. */
static void twin_step(const lk_optimizer_spec *s, twin *t, double g, int64_t step)
{
    if (s->kind == LK_ADAMW) t->p -= LR * s->weight_decay * t->p;
    else                     g += s->weight_decay * t->p;
    if (s->kind == LK_SGD) {
        t->s0 = step == 1 ? g : s->momentum * t->s0 + (1 - s->dampening) * g;
        t->p -= LR * (s->momentum == 0 ? g : s->nesterov ? g + s->momentum * t->s0 : t->s0);
        return;
    }
    t->s0 = s->beta1 * t->s0 + (1 - s->beta1) * g;
    t->s1 = s->beta2 * t->s1 + (1 - s->beta2) * g * g;
    t->s2 = fmax(t->s2, t->s1);
    const double m = t->s0 / (1 - pow(s->beta1, (double)step));
    const double v = (s->amsgrad ? t->s2 : t->s1) / (1 - pow(s->beta2, (double)step));
    t->p -= LR * m / (sqrt(v) + s->eps);
}

/* A step rounds the parameter once (half an ulp) and the correction about eight times; parameters are below 8 and
 * corrections, at |m| / sqrt(v) <= 3, below 0.1. */
static const double TWIN_TOLERANCE = STEPS * (0.5 * 4.8e-7 + 8 * 6e-8 * 0.1);

Test(optimizer, every_rule_agrees_with_its_twin_in_double, .init = open_backend, .fini = close_backend)
{
    for (int k = 0; k < N_VARIANTS; k++) {
        arenas a = arenas_new(N);
        twin *twins = lk_alloc(N * sizeof *twins);

        for (size_t i = 0; i < N; i++) twins[i] = (twin){.p = a.params[i]};
        for (int64_t step = 1; step <= STEPS; step++) {
            new_grads(&a, step);
            const lk_update u = update_of(&variants[k].spec, &a, step);
            cr_assert_eq(run_update(&u), LK_OK);
            for (size_t i = 0; i < N; i++) twin_step(&variants[k].spec, &twins[i], a.grads[i], step);
        }
        for (size_t i = 0; i < N; i++)
            cr_assert(fabs(a.params[i] - twins[i].p) <= TWIN_TOLERANCE, "%s, element %zu: got %.9g, want %.9g",
                      variants[k].name, i, a.params[i], twins[i].p);
        lk_free(&twins);
        arenas_free(&a);
    }
}

/* -------------------------------------------------------------------- cuts */

static void run_cut(const lk_optimizer_spec *spec, arenas *a, const size_t *cuts, size_t n_cuts)
{
    for (int64_t step = 1; step <= STEPS; step++) {
        new_grads(a, step);
        for (size_t c = 0; c + 1 < n_cuts; c++) {
            lk_update u = part_of(update_of(spec, a, step), cuts[c], cuts[c + 1]);
            u.grad_scale = 0.625f;
            cr_assert_eq(run_update(&u), LK_OK);
        }
    }
}

Test(optimizer, ranges_cut_anywhere_give_equal_bits, .init = open_backend, .fini = close_backend)
{
    const size_t whole[] = {0, N}, pieces[] = {0, 1, 1, 8, 23, 1024, 1040, 2047, 3000, 4999, N};

    for (int k = 0; k < N_VARIANTS; k++) {
        arenas a = arenas_new(N), b = arenas_new(N);
        lk_optimizer_spec spec = variants[k].spec;

        spec.clip_value = 1.5;
        run_cut(&spec, &a, whole, 2);
        run_cut(&spec, &b, pieces, sizeof pieces / sizeof *pieces);
        expect_same_arenas(variants[k].name, &b, &a);
        arenas_free(&a), arenas_free(&b);
    }
}

Test(optimizer, a_range_leaves_its_neighbours_alone, .init = open_backend, .fini = close_backend)
{
    arenas a = arenas_new(N), before = arenas_new(N);
    const size_t begin = 17, end = 4000;
    const lk_update u = part_of(update_of(&variants[N_VARIANTS - 2].spec, &a, 1), begin, end);

    cr_assert_eq(run_update(&u), LK_OK);
    expect_same_bits("params", "the front", a.params, before.params, begin);
    expect_same_bits("ema", "the front", a.ema, before.ema, begin);
    expect_same_bits("params", "the rest", a.params + end, before.params + end, N - end);
    expect_same_bits("ema", "the rest", a.ema + end, before.ema + end, N - end);
    expect_same_bits("exp_avg", "the rest", a.state[0] + end, before.state[0] + end, N - end);
    cr_expect_neq(a.params[17], before.params[17]);
    arenas_free(&a), arenas_free(&before);
}

Test(optimizer, threads_do_not_change_bits, .init = open_backend, .fini = close_backend)
{
    cpu_engine_only("a device has no threads of ours");
    enum { LARGE = 300001 }; /* enough for a backend to use its threads */
    void *two;

    cr_assert_eq(lk_cpu_backend.open(&(lk_engine_options){.threads = 2}, &two), LK_OK);
    for (int k = 0; k < N_VARIANTS; k += N_VARIANTS - 1) {
        arenas a = arenas_new(LARGE), b = arenas_new(LARGE);
        const lk_update ua = update_of(&variants[k].spec, &a, 1), ub = update_of(&variants[k].spec, &b, 1);
        enum { CHUNKS = 20 };
        lk_squares sum_a[CHUNKS], sum_b[CHUNKS];
        size_t cut[CHUNKS + 1];

        for (size_t c = 0; c <= CHUNKS; c++) cut[c] = c * LARGE / CHUNKS;
        cr_assert_eq(lk_cpu_backend.squares(ctx, a.grads, cut, CHUNKS, 1.0f, sum_a), LK_OK);
        cr_assert_eq(lk_cpu_backend.squares(two, b.grads, cut, CHUNKS, 1.0f, sum_b), LK_OK);
        cr_expect_arr_eq(sum_a, sum_b, sizeof sum_a, "squares: two threads have others than one");
        cr_assert_eq(lk_cpu_backend.update(ctx, &ua), LK_OK);
        cr_assert_eq(lk_cpu_backend.update(two, &ub), LK_OK);
        cr_assert_eq(lk_cpu_backend.ema(ctx, a.ema, a.params, 3, LARGE, LK_EMA_BLEND, 0.3f, false), LK_OK);
        cr_assert_eq(lk_cpu_backend.ema(two, b.ema, b.params, 3, LARGE, LK_EMA_BLEND, 0.3f, false), LK_OK);
        expect_same_arenas(variants[k].name, &b, &a);
        arenas_free(&a), arenas_free(&b);
    }
    lk_cpu_backend.close(two);
}

/* --------------------------------------------------------------- fused EMA */

static void expect_fused_equals_apart(const lk_optimizer_spec *spec, lk_ema_mode mode, float decay)
{
    arenas a = arenas_new(N), b = arenas_new(N);
    lk_update fused = update_of(spec, &a, 1), apart = update_of(spec, &b, 1);

    fused.ema_mode = mode, fused.ema_decay = decay;
    apart.ema = NULL;
    cr_assert_eq(run_update(&fused), LK_OK);
    cr_assert_eq(run_update(&apart), LK_OK);
    cr_assert_eq(run_ema(b.ema, b.params, 0, N, mode, decay), LK_OK);
    expect_same_arenas("update and ema in two passes", &a, &b);
    arenas_free(&a), arenas_free(&b);
}

Test(optimizer, the_fused_ema_equals_a_pass_of_its_own, .init = open_backend, .fini = close_backend)
{
    for (int k = 0; k < N_VARIANTS; k++) {
        expect_fused_equals_apart(&variants[k].spec, LK_EMA_COPY, 0.0f);
        expect_fused_equals_apart(&variants[k].spec, LK_EMA_BLEND, 0.999f);
        expect_fused_equals_apart(&variants[k].spec, LK_EMA_BLEND, 0.25f);
    }
}

Test(optimizer, an_ema_of_decay_zero_is_a_copy_and_off_is_nothing, .init = open_backend, .fini = close_backend)
{
    arenas a = arenas_new(N), before = arenas_new(N);

    cr_assert_eq(run_ema(a.ema, a.params, 0, N, LK_EMA_OFF, 0.5f), LK_OK);
    expect_same_bits("ema", "off", a.ema, before.ema, N);
    cr_assert_eq(run_ema(a.ema, a.params, 0, N, LK_EMA_BLEND, 0.0f), LK_OK);
    expect_same_bits("ema", "decay 0", a.ema, a.params, N);
    arenas_free(&a), arenas_free(&before);
}

/* -------------------------------------------------------------------- clip */

Test(optimizer, clipping_inside_the_pass_equals_clipped_gradients, .init = open_backend, .fini = close_backend)
{
    for (int k = 0; k < N_VARIANTS; k++) {
        arenas a = arenas_new(N), b = arenas_new(N);
        lk_optimizer_spec spec = variants[k].spec;

        spec.clip_value = 0.5;
        lk_update inside = update_of(&spec, &a, 1);
        const lk_update before = update_of(&variants[k].spec, &b, 1);
        inside.grad_scale = 0.3f;
        for (size_t i = 0; i < N; i++) b.grads[i] = fminf(fmaxf(b.grads[i], -0.5f), 0.5f) * 0.3f;
        cr_assert_eq(run_update(&inside), LK_OK);
        cr_assert_eq(run_update(&before), LK_OK);
        expect_same_arenas(variants[k].name, &a, &b);
        arenas_free(&a), arenas_free(&b);
    }
}

Test(optimizer, clipping_does_not_hide_a_gradient_that_is_no_number, .init = open_backend, .fini = close_backend)
{
    arenas a = arenas_new(N);
    const lk_optimizer_spec spec = {.kind = LK_SGD, .clip_value = 0.5};
    const lk_update u = update_of(&spec, &a, 1);

    a.grads[4321] = NAN;
    cr_assert_eq(run_update(&u), LK_OK);
    cr_expect(isnan(a.params[4321]), "got %g", a.params[4321]);
    arenas_free(&a);
}

/* -------------------------------------------------------------------- norm */

static double norm_of(const float *g, size_t n, float clip_value, bool *finite)
{
    const size_t cut[] = {0, n / 3, n};
    lk_squares sum[2];

    cr_assert_eq(THERE(&arrays, backend->squares(ctx, there(&arrays, g), cut, 2, clip_value, sum)), LK_OK);
    *finite = isfinite(sum[0].raw + sum[1].raw);
    return sqrt(sum[0].clamped + sum[1].clamped);
}

/* Squares of small integers add up exactly in any order, so one element missed or taken twice shows. */
Test(optimizer, the_norm_counts_every_element_once, .init = open_backend, .fini = close_backend)
{
    const size_t sizes[] = {0, 1, 31, 32, 33, 1023, 1024, 1025, 5003, 256 * 1024, 256 * 1024 + 1, 600001};

    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        float *g = floats(sizes[s]);
        double sum = 0, sum_clamped = 0;
        bool finite;

        for (size_t i = 0; i < sizes[s]; i++) {
            g[i] = (float)(i % 13) - 6;
            sum += g[i] * g[i];
            sum_clamped += fmin(g[i] * g[i], 9);
        }
        cr_expect_eq(norm_of(g, sizes[s], 0, &finite), sqrt(sum), "n %zu: got %.17g, want %.17g", sizes[s],
                     norm_of(g, sizes[s], 0, &finite), sqrt(sum));
        cr_expect_eq(norm_of(g, sizes[s], 3, &finite), sqrt(sum_clamped), "n %zu clamped: got %.17g, want %.17g",
                     sizes[s], norm_of(g, sizes[s], 3, &finite), sqrt(sum_clamped));
        cr_expect(finite);
        host_mirror_free(&arrays, &g);
    }
}

Test(optimizer, one_element_that_is_not_finite_is_found_anywhere, .init = open_backend, .fini = close_backend)
{
    const size_t places[] = {0, 31, 1023, 1024, 4999, N - 1};
    const float bad[] = {NAN, INFINITY, -INFINITY};
    float *g = normals(N, 9);
    bool finite;

    for (size_t p = 0; p < sizeof places / sizeof *places; p++)
        for (size_t b = 0; b < 3; b++) {
            const float good = g[places[p]];

            g[places[p]] = bad[b];
            norm_of(g, N, 0, &finite);
            cr_expect_not(finite, "%g at %zu is not seen", bad[b], places[p]);
            norm_of(g, N, 1, &finite);
            cr_expect_not(finite, "%g at %zu is not seen behind a clamp", bad[b], places[p]);
            g[places[p]] = good;
        }
    host_mirror_free(&arrays, &g);
}

Test(optimizer, large_finite_gradients_have_a_finite_norm, .init = open_backend, .fini = close_backend)
{
    float *g = floats(4);
    bool finite;

    g[0] = 3e38f, g[3] = -3e38f;
    const double norm = norm_of(g, 4, 0, &finite), want = (double)g[0] * sqrt(2);

    cr_expect(finite);
    cr_expect(fabs(norm / want - 1) < 1e-15, "got %.17g, want %.17g", norm, want);
}

/* ----------------------------------------------------------------- running */

Test(optimizer, running_statistics_take_the_mean_over_lanes, .init = open_backend, .fini = close_backend)
{
    const float before[] = {1, -2, 0, 4, 8}, want[] = {0.875f, -1.25f, 2, 4, 6};
    const float sums[] = {2, 4, 32, 16, 0}; /* over four lanes: 0.5, 1, 8, 4, 0 */
    float *running = floats(5), *stat = floats(5), *lanes = floats(1);

    memcpy(running, before, sizeof before), memcpy(stat, sums, sizeof sums), *lanes = 4;
    cr_assert_eq(THERE(&arrays, backend->running(ctx, there(&arrays, running), there(&arrays, stat), 5, 0.25f,
                                                 there(&arrays, lanes), false)), LK_OK);
    expect_same_bits("running", "five channels", running, want, 5);
}

/* On a device nobody waits for the number, so it is looked at in host memory alone. */
Test(optimizer, statistics_of_no_lane_are_refused)
{
    const float stat = 2, lanes = 0;
    float running = 1;

    cr_assert_eq(lk_cpu_backend.running(NULL, &running, &stat, 1, 0.25f, &lanes, false), LK_ERR_NUMBERS);
    cr_expect(strstr(lk_error_message(), "batch statistics of 0 lanes cannot be averaged"), "got: %s",
              lk_error_message());
    cr_expect_eq(running, 1.0f, "got %g, want 1", (double)running);
}
