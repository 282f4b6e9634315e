/* The EMA's rules: when it copies, averages and waits; its decay; names copied and ignored; resuming; fusing. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "tests/support/engine_arrays.h"

static const lk_model_spec mlp = {.kind = LK_MODEL_MLP, .mlp = {4, {3, 5, 4, 2}}, .norm = LK_NORM_BATCH};
/* ema-pytorch's defaults. */
static const lk_ema_spec defaults = {.beta = 0.9999, .update_after_step = 100, .update_every = 10, .inv_gamma = 1,
                                     .power = 2.0 / 3};

static void set_up(void)
{
    open_engine(&mlp);
    lk_model_init(model, 1, params);
}

static lk_ema *ema_of(lk_ema_spec spec)
{
    lk_ema *ema;

    cr_assert_eq(THERE(&arrays, lk_ema_new(engine, &spec, there(&arrays, params), &ema)), LK_OK, "%s",
                 lk_error_message());
    return ema;
}

static lk_status ema_update(lk_ema *ema, const float *values)
{
    return THERE(&arrays, lk_ema_update(ema, there(&arrays, values)));
}

/* The average's elements, here; released by mirrors_close(). */
static float *average(lk_ema *ema)
{
    const size_t nbytes = lk_model_n_elem(model) * sizeof(float);
    float *values = host_mirror_new(&arrays, nbytes);

    cr_assert_eq(lk_engine_read(engine, values, lk_ema_params(ema), nbytes), LK_OK);
    return values;
}

static void set_params(float value)
{
    for (size_t i = 0; i < lk_model_n_elem(model); i++) params[i] = value;
}

/* One call of update with all parameters at `value`; returns the named tensor's average. */
static float call(lk_ema *ema, float value, const char *name)
{
    set_params(value);
    cr_assert_eq(ema_update(ema, params), LK_OK);
    float got;
    const float *at = lk_ema_params(ema) + lk_model_tensor(model, (size_t)lk_model_find(model, name))->offset;
    cr_assert_eq(lk_engine_read(engine, &got, at, sizeof got), LK_OK);
    return got;
}

/* ------------------------------------------------------------------- decay */

static void expect_decay(const lk_ema_spec *spec, int64_t step, double want)
{
    const double got = lk_ema_decay(spec, step);

    cr_expect(fabs(got - want) < 5e-7, "step %ld: got %.7f, want %.7f", (long)step, got, want);
}

/* Six digits as ema-pytorch prints them. */
Test(ema, the_decay_warms_up_as_ema_pytorchs)
{
    const struct { int64_t step; double decay; } known[] = {{0, 0}, {100, 0}, {110, 0.797820}, {120, 0.868623},
                                                            {130, 0.898665}};

    for (size_t i = 0; i < sizeof known / sizeof *known; i++) expect_decay(&defaults, known[i].step, known[i].decay);
}

Test(ema, min_value_and_beta_bound_the_decay_and_beta_wins)
{
    lk_ema_spec spec = defaults;

    spec.beta = 0.85;
    expect_decay(&spec, 1000000, 0.85);
    spec.min_value = 0.8;
    expect_decay(&spec, 110, 0.8);
    expect_decay(&spec, 100, 0);
    spec.min_value = 0.9;
    expect_decay(&spec, 110, 0.85);
}

/* ------------------------------------------------------------------- calls */

Test(ema, it_copies_until_update_after_step_then_averages_every_tenth_call, .init = set_up, .fini = close_engine)
{
    lk_ema *ema = ema_of(defaults);
    float want = 0;

    for (int64_t step = 0; step <= 130; step++) {
        const float value = (float)step + 1, before = want, got = call(ema, value, "0.weight");

        if (step % 10 == 0 && step <= 100) want = value;
        else if (step % 10 == 0) want = (float)(before + (1 - lk_ema_decay(&defaults, step)) * (value - before));
        /* The average is a float near 100: two roundings are below 2e-5. */
        cr_expect(fabsf(got - want) <= (step <= 100 ? 0 : 2e-5f), "call %ld: got %.9g, want %.9g", (long)step, got,
                  want);
    }
    cr_expect_eq(lk_ema_step(ema), 131);
    lk_ema_free(&ema);
}

Test(ema, the_first_call_always_copies_and_a_started_one_need_not, .init = set_up, .fini = close_engine)
{
    lk_ema *ema = ema_of(defaults);

    cr_expect_not(lk_ema_started(ema));
    lk_ema_set(ema, 7, false);
    cr_expect_eq(call(ema, 3, "0.weight"), 3.0f);
    cr_expect(lk_ema_started(ema));
    cr_expect_eq(lk_ema_step(ema), 8);
    cr_expect_eq(call(ema, 4, "0.weight"), 3.0f);
    lk_ema_free(&ema);
}

Test(ema, beta_one_freezes_the_average_after_the_copies, .init = set_up, .fini = close_engine)
{
    lk_ema_spec spec = {.beta = 1, .update_after_step = 2, .update_every = 1, .inv_gamma = 1, .power = 1};
    lk_ema *ema = ema_of(spec);

    for (int step = 0; step < 6; step++) {
        const float got = call(ema, (float)step, "0.weight"), want = (float)(step < 2 ? step : 2);
        cr_expect_eq(got, want, "call %d: got %g, want %g", step, got, want);
    }
    lk_ema_free(&ema);
}

Test(ema, a_resumed_average_goes_on_with_the_same_bits, .init = set_up, .fini = close_engine)
{
    lk_ema_spec spec = defaults;
    spec.update_after_step = 3, spec.update_every = 2;
    lk_ema *a = ema_of(spec), *b = ema_of(spec);

    for (int i = 0; i < 9; i++) call(a, (float)i, "0.weight");
    cr_assert_eq(lk_engine_write(engine, lk_ema_params(b), average(a), lk_model_n_elem(model) * sizeof(float)), LK_OK);
    lk_ema_set(b, lk_ema_step(a), lk_ema_started(a));
    for (int i = 9; i < 20; i++) {
        const float want = call(a, (float)i, "0.weight"), got = call(b, (float)i, "0.weight");
        cr_expect_eq(got, want, "call %d: got %.9g, want %.9g", i, got, want);
    }
    lk_ema_free(&a), lk_ema_free(&b);
}

/* ------------------------------------------------------------------- names */

static const char *const copied[] = {"*.bias"}, *const ignored[] = {"*.running_*", "0.bias"};

static lk_ema_spec spec_with_names(void)
{
    return (lk_ema_spec){.beta = 0.5, .update_after_step = 1, .update_every = 1, .inv_gamma = 1, .power = 1,
                         .copy = copied, .n_copy = 1, .ignore = ignored, .n_ignore = 2};
}

Test(ema, copied_names_follow_and_ignored_ones_keep_the_last_copy, .init = set_up, .fini = close_engine)
{
    lk_ema *ema = ema_of(spec_with_names());

    call(ema, 2, "0.weight");
    cr_expect_eq(call(ema, 4, "0.weight"), 4.0f);
    cr_expect_eq(call(ema, 8, "0.weight"), 6.0f); /* decay min(1 - 1/2, beta) */
    cr_expect_eq(call(ema, 16, "0.weight"), 11.0f);
    cr_expect_eq(call(ema, 32, "4.bias"), 32.0f);
    cr_expect_eq(call(ema, 64, "8.bias"), 64.0f);
    cr_expect_eq(call(ema, 128, "0.bias"), 4.0f, "ignore is asked before copy");
    cr_expect_eq(call(ema, 256, "1.running_mean"), 4.0f);
    lk_ema_free(&ema);
}

Test(ema, buffers_are_averaged_like_weights, .init = set_up, .fini = close_engine)
{
    lk_ema *ema = ema_of((lk_ema_spec){.beta = 0.5, .update_after_step = 0, .update_every = 1, .inv_gamma = 1,
                                       .power = 1});

    call(ema, 2, "1.running_var");
    cr_expect_eq(call(ema, 4, "1.running_var"), 3.0f);
    lk_ema_free(&ema);
}

/* ----------------------------------------------------------------- fusing */

static void random_grads(uint32_t stream)
{
    const lk_philox_key key = lk_philox_key_new(3, LK_PURPOSE_DATA, stream);

    for (size_t i = 0; i < lk_model_n_params(model); i++) grads[i] = (float)lk_normal(key, i);
}

static lk_status optimizer_update(lk_optimizer *optimizer, float *values, const lk_hyperparams *hyperparams,
                                  lk_ema *ema)
{
    return THERE(&arrays,
                 lk_optimizer_update(optimizer, there(&arrays, values), there(&arrays, grads), hyperparams, NULL, ema));
}

static void expect_fused_equals_apart(lk_ema_spec spec)
{
    const lk_optimizer_spec adam = {.kind = LK_ADAM, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};
    const lk_hyperparams tenth = {0.1, NAN, NAN};
    const size_t n = lk_model_n_elem(model);
    lk_ema *fused = ema_of(spec), *apart = ema_of(spec);
    lk_optimizer *a, *b;
    float *other = host_mirror_new(&arrays, n * sizeof *other);

    cr_assert_eq(lk_optimizer_new(engine, lk_engine_trainable(engine), &adam, &a), LK_OK);
    cr_assert_eq(lk_optimizer_new(engine, lk_engine_trainable(engine), &adam, &b), LK_OK);
    memcpy(other, params, n * sizeof *other);
    for (uint32_t step = 0; step < 12; step++) {
        random_grads(step);
        for (size_t i = lk_model_n_params(model); i < n; i++) params[i] = other[i] = (float)step; /* buffers */
        cr_assert_eq(optimizer_update(a, params, &tenth, fused), LK_OK);
        cr_assert_eq(optimizer_update(b, other, &tenth, NULL), LK_OK);
        cr_assert_eq(ema_update(apart, other), LK_OK);
        float *got = average(fused), *want = average(apart);
        cr_expect_eq(lk_ema_step(fused), lk_ema_step(apart));
        for (size_t i = 0; i < n; i++)
            cr_assert(params[i] == other[i] && got[i] == want[i], "step %u, element %zu: ema %.9g, apart %.9g", step, i,
                      got[i], want[i]);
        host_mirror_free(&arrays, &got), host_mirror_free(&arrays, &want);
    }
    host_mirror_free(&arrays, &other);
    lk_optimizer_free(&a), lk_optimizer_free(&b);
    lk_ema_free(&fused), lk_ema_free(&apart);
}

Test(ema, fused_into_the_optimizer_it_gives_the_same_bits, .init = set_up, .fini = close_engine)
{
    lk_ema_spec spec = defaults;

    spec.update_after_step = 2, spec.update_every = 3;
    expect_fused_equals_apart(spec);
    expect_fused_equals_apart(spec_with_names());
}

/* ------------------------------------------------------------------- spec */

static void expect_refused(lk_ema_spec spec, const char *word)
{
    lk_ema *ema;
    const lk_status status = lk_ema_new(engine, &spec, there(&arrays, params), &ema);

    cr_expect_eq(status, LK_ERR_USAGE, "%s: got status %d, want %d", word, status, LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), word), "want %s in: %s", word, lk_error_message());
    cr_expect_null(ema);
}

/* defaults with some members set: WITH(s.beta = 1). */
#define WITH(...) ({ lk_ema_spec s = defaults; (void)(__VA_ARGS__); s; })

Test(ema, values_out_of_range_are_refused_by_name, .init = set_up, .fini = close_engine)
{
    expect_refused(WITH(s.beta = 1.5), "ema.beta");
    expect_refused(WITH(s.beta = NAN), "ema.beta");
    expect_refused(WITH(s.update_after_step = -1), "ema.update_after_step");
    expect_refused(WITH(s.update_every = 0), "ema.update_every");
    expect_refused(WITH(s.inv_gamma = 0), "ema.inv_gamma");
    expect_refused(WITH(s.power = -1), "ema.power");
    expect_refused(WITH(s.min_value = 2), "ema.min_value");
}

Test(ema, a_pattern_that_matches_nothing_is_refused_with_a_near_name, .init = set_up, .fini = close_engine)
{
    const char *const wrong[] = {"*.bias", "0.wieght"};
    lk_ema_spec spec = defaults;

    spec.copy = wrong, spec.n_copy = 2;
    expect_refused(spec, "ema.copy: \"0.wieght\" matches no tensor; did you mean \"0.weight\"?");
    spec.n_copy = 0, spec.ignore = wrong, spec.n_ignore = 2;
    expect_refused(spec, "ema.ignore");
}
