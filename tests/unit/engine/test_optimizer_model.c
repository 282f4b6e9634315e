/* lk_optimizer on a model: values checked with their keys, states, the report, clipping by it, padding, the step. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "tests/support/engine_arrays.h"

static const lk_model_spec mlp = {.kind = LK_MODEL_MLP, .mlp = {3, {3, 5, 2}}, .norm = LK_NORM_BATCH};
static const lk_optimizer_spec sgd = {.kind = LK_SGD, .lr = 0.1};
static const lk_optimizer_spec adam = {.kind = LK_ADAM, .lr = 0.1, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};

static const lk_hyperparams one = {1, NAN, NAN}, tenth = {0.1, NAN, NAN};

static void set_up(void)
{
    open_engine(&mlp);
    lk_model_init(model, 1, params);
}

/* 1 in every trained element, 0 in the padding. */
static void fill_grads(float value)
{
    for (size_t t = 0; t < lk_model_n_tensors(model); t++) {
        const lk_tensor_info *info = lk_model_tensor(model, t);
        if (info->role == LK_ROLE_PARAM)
            for (size_t i = 0; i < info->n_elem; i++) grads[info->offset + i] = value;
    }
}

static lk_status update(lk_optimizer *optimizer, float *values, const float *g, const lk_hyperparams *hyperparams,
                        const lk_grad_report *report, lk_ema *ema)
{
    return THERE(&arrays,
                 lk_optimizer_update(optimizer, there(&arrays, values), there(&arrays, g), hyperparams, report, ema));
}

/* Settled at once. */
static lk_status inspect(lk_optimizer *optimizer, const float *g, bool check, lk_grad_report *report)
{
    mirrors_send(&arrays);
    const lk_status status = lk_optimizer_inspect(optimizer, there(&arrays, g), check, report);
    if (status != LK_OK || !report->pending) return status;
    return arrays.backend->device->report(arrays.ctx, report);
}

static float state_at(lk_optimizer *optimizer, int i, size_t tensor, size_t element)
{
    float value;

    cr_assert_eq(lk_engine_read(engine, &value, lk_optimizer_state(optimizer, i, tensor) + element, sizeof value),
                 LK_OK);
    return value;
}

static void copy_states(lk_optimizer *to, lk_optimizer *from)
{
    const size_t nbytes = lk_model_n_params(model) * sizeof(float);
    float *values = lk_alloc(nbytes);

    for (int i = 0; i < lk_optimizer_n_states(from); i++) {
        cr_assert_eq(lk_engine_read(engine, values, lk_optimizer_state(from, i, 0), nbytes), LK_OK);
        cr_assert_eq(lk_engine_write(engine, lk_optimizer_state(to, i, 0), values, nbytes), LK_OK);
    }
    lk_free(&values);
}

static size_t n_weights(void)
{
    size_t n = 0;

    for (size_t t = 0; t < lk_model_n_tensors(model); t++)
        if (lk_model_tensor(model, t)->role == LK_ROLE_PARAM) n += lk_model_tensor(model, t)->n_elem;
    return n;
}

static lk_optimizer *optimizer_of(lk_optimizer_spec spec)
{
    lk_optimizer *optimizer;

    cr_assert_eq(lk_optimizer_new(engine, lk_engine_trainable(engine), &spec, &optimizer), LK_OK, "%s",
                 lk_error_message());
    return optimizer;
}

static void set_steps(lk_optimizer *optimizer, int64_t step)
{
    for (size_t t = 0; t < lk_model_n_tensors(model); t++)
        if (lk_model_tensor(model, t)->role == LK_ROLE_PARAM) lk_optimizer_set_step(optimizer, t, step);
}

/* -------------------------------------------------------------------- spec */

static void expect_refused(lk_optimizer_spec spec, const char *key)
{
    lk_optimizer *optimizer;
    const lk_status status = lk_optimizer_new(engine, lk_engine_trainable(engine), &spec, &optimizer);

    cr_expect_eq(status, LK_ERR_USAGE, "%s: got status %d, want %d", key, status, LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), key), "want %s in: %s", key, lk_error_message());
    cr_expect_null(optimizer);
}

/* base with some members set: WITH(sgd, s.lr = 1, s.momentum = 0.9). */
#define WITH(base, ...) ({ lk_optimizer_spec s = (base); (void)(__VA_ARGS__); s; })

Test(optimizer_model, values_out_of_pytorchs_range_are_refused_by_name, .init = set_up, .fini = close_engine)
{
    expect_refused(WITH(sgd, s.lr = -1), "optimizer.lr");
    expect_refused(WITH(sgd, s.lr = NAN), "optimizer.lr");
    expect_refused(WITH(sgd, s.momentum = -0.1), "optimizer.momentum");
    expect_refused(WITH(sgd, s.weight_decay = -0.1), "optimizer.weight_decay");
    expect_refused(WITH(sgd, s.nesterov = true), "optimizer.nesterov");
    expect_refused(WITH(sgd, s.nesterov = true, s.momentum = 0.9, s.dampening = 0.1), "optimizer.nesterov");
    expect_refused(WITH(sgd, s.clip_norm = -1), "optimizer.clip_norm");
    expect_refused(WITH(sgd, s.clip_value = -1), "optimizer.clip_value");
    expect_refused(WITH(adam, s.beta1 = 1), "optimizer.beta1");
    expect_refused(WITH(adam, s.beta1 = -0.1), "optimizer.beta1");
    expect_refused(WITH(adam, s.beta2 = 1), "optimizer.beta2");
    expect_refused(WITH(adam, s.eps = -1e-8), "optimizer.eps");
}

Test(optimizer_model, values_of_another_kind_are_not_asked_about, .init = set_up, .fini = close_engine)
{
    lk_optimizer *optimizer = optimizer_of(WITH(sgd, s.beta1 = 7, s.eps = -1));

    lk_optimizer_free(&optimizer);
    optimizer = optimizer_of(WITH(adam, s.momentum = -3));
    lk_optimizer_free(&optimizer);
    cr_expect_null(optimizer);
}

/* ------------------------------------------------------------------- state */

Test(optimizer_model, states_have_pytorchs_names, .init = set_up, .fini = close_engine)
{
    const struct { lk_optimizer_spec spec; int n; const char *names[3]; } cases[] = {
        {sgd, 0, {0}},
        {WITH(sgd, s.momentum = 0.9), 1, {"momentum_buffer"}},
        {adam, 2, {"exp_avg", "exp_avg_sq"}},
        {WITH(adam, s.amsgrad = true), 3, {"exp_avg", "exp_avg_sq", "max_exp_avg_sq"}},
    };

    for (size_t c = 0; c < 4; c++) {
        lk_optimizer *optimizer = optimizer_of(cases[c].spec);

        cr_assert_eq(lk_optimizer_n_states(optimizer), cases[c].n);
        for (int i = 0; i < cases[c].n; i++) {
            cr_expect_str_eq(lk_optimizer_state_name(optimizer, i), cases[c].names[i]);
            for (size_t e = 0; e < lk_model_n_params(model); e++)
                cr_expect_eq(state_at(optimizer, i, 0, e), 0.0f);
        }
        lk_optimizer_free(&optimizer);
    }
}

Test(optimizer_model, an_update_resumed_from_state_and_step_gives_the_same_bits, .init = set_up, .fini = close_engine)
{
    const size_t n = lk_model_n_params(model);
    lk_optimizer *a = optimizer_of(WITH(adam, s.amsgrad = true)), *b = optimizer_of(WITH(adam, s.amsgrad = true));
    float *resumed = host_mirror_new(&arrays, lk_model_n_elem(model) * sizeof(float));

    fill_grads(0.5f);
    for (int i = 0; i < 3; i++) cr_assert_eq(update(a, params, grads, &tenth, NULL, NULL), LK_OK);
    memcpy(resumed, params, lk_model_n_elem(model) * sizeof(float));
    copy_states(b, a);
    set_steps(b, lk_optimizer_step(a, 0));
    fill_grads(-0.25f);
    cr_assert_eq(update(a, params, grads, &tenth, NULL, NULL), LK_OK);
    cr_assert_eq(update(b, resumed, grads, &tenth, NULL, NULL), LK_OK);
    cr_expect_eq(lk_optimizer_step(b, 0), 4);
    for (size_t i = 0; i < n; i++)
        cr_expect_eq(resumed[i], params[i], "element %zu: got %.9g, want %.9g", i, resumed[i], params[i]);
    host_mirror_free(&arrays, &resumed);
    lk_optimizer_free(&a), lk_optimizer_free(&b);
}

Test(optimizer_model, the_momentum_buffer_starts_undampened_only_at_the_first_step, .init = set_up,
     .fini = close_engine)
{
    lk_optimizer *optimizer = optimizer_of(WITH(sgd, s.momentum = 0.5, s.dampening = 0.75));

    fill_grads(1);
    cr_assert_eq(update(optimizer, params, grads, &tenth, NULL, NULL), LK_OK);
    cr_expect_eq(state_at(optimizer, 0, 0, 0), 1.0f, "got %g", state_at(optimizer, 0, 0, 0));
    cr_assert_eq(update(optimizer, params, grads, &tenth, NULL, NULL), LK_OK);
    cr_expect_eq(state_at(optimizer, 0, 0, 0), 0.75f, "got %g", state_at(optimizer, 0, 0, 0));
    lk_optimizer_free(&optimizer);
}

/* A schedule may drive SGD's momentum and Adam's beta1: an update with another one is that of an optimizer made with it
 * whose state is the same. */
Test(optimizer_model, an_update_takes_the_momentum_it_is_given, .init = set_up, .fini = close_engine)
{
    const struct { lk_optimizer_spec made, wanted; } cases[] = {
        {WITH(sgd, s.momentum = 0.9), WITH(sgd, s.momentum = 0.5)},
        {WITH(adam, s.beta1 = 0.9), WITH(adam, s.beta1 = 0.5)},
    };
    const size_t n = lk_model_n_params(model);

    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        lk_optimizer *made = optimizer_of(cases[c].made), *wanted = optimizer_of(cases[c].wanted);
        float *want = host_mirror_new(&arrays, lk_model_n_elem(model) * sizeof(float));

        fill_grads(0.5f);
        cr_assert_eq(update(made, params, grads, &tenth, NULL, NULL), LK_OK);
        memcpy(want, params, lk_model_n_elem(model) * sizeof(float));
        copy_states(wanted, made);
        set_steps(wanted, 1);
        cr_assert_eq(update(made, params, grads, &(lk_hyperparams){0.1, 0.5, NAN}, NULL, NULL), LK_OK);
        cr_assert_eq(update(wanted, want, grads, &tenth, NULL, NULL), LK_OK);
        for (size_t i = 0; i < n; i++)
            cr_expect_eq(params[i], want[i], "case %zu, element %zu: got %.9g, want %.9g", c, i, params[i], want[i]);
        host_mirror_free(&arrays, &want);
        lk_optimizer_free(&made), lk_optimizer_free(&wanted);
    }
}

Test(optimizer_model, sgd_made_without_momentum_takes_none_later, .init = set_up, .fini = close_engine)
{
    const lk_hyperparams on = {0.1, 0.9, NAN}, off = {0.1, 0, NAN};
    lk_optimizer *optimizer = optimizer_of(sgd);

    fill_grads(1);
    cr_expect_eq(update(optimizer, params, grads, &on, NULL, NULL), LK_ERR_USAGE);
    cr_expect_eq(update(optimizer, params, grads, &off, NULL, NULL), LK_OK, "%s", lk_error_message());
    lk_optimizer_free(&optimizer);
}

/* ----------------------------------------------------------------- inspect */

Test(optimizer_model, without_clipping_or_check_only_the_loss_is_looked_at, .init = set_up, .fini = close_engine)
{
    lk_optimizer *optimizer = optimizer_of(sgd);
    lk_grad_report report;

    grads[0] = NAN;
    cr_assert_eq(inspect(optimizer, grads, false, &report), LK_OK);
    cr_expect(report.finite && isnan(report.norm), "finite %d, norm %g", report.finite, report.norm);
    cr_assert_eq(inspect(optimizer, grads, true, &report), LK_OK);
    cr_expect_not(report.finite);
    grads[0] = 0;
    grads[lk_trainable_slot(lk_engine_trainable(engine), LK_SLOT_LOSS)] = INFINITY;
    cr_assert_eq(inspect(optimizer, grads, false, &report), LK_OK);
    cr_expect_not(report.finite);
    lk_optimizer_free(&optimizer);
}

Test(optimizer_model, the_norm_is_that_of_the_trained_part_after_clip_value, .init = set_up, .fini = close_engine)
{
    lk_optimizer *optimizer = optimizer_of(WITH(sgd, s.clip_norm = 1, s.clip_value = 2));
    const double want = 2 * sqrt((double)n_weights());
    lk_grad_report report;

    fill_grads(-3);
    grads[lk_trainable_slot(lk_engine_trainable(engine), LK_SLOT_LOSS)] = 100;
    grads[lk_model_n_params(model)] = 100; /* a batch statistic */
    cr_assert_eq(inspect(optimizer, grads, false, &report), LK_OK);
    cr_expect(report.finite);
    cr_expect_eq(report.norm, want, "got %.17g, want %.17g", report.norm, want);
    lk_optimizer_free(&optimizer);
}

/* ------------------------------------------------------------------ update */

/* Expects an SGD step of lr 1 along gradients of `g` to move the first weight by -want. */
static void expect_step(lk_optimizer_spec spec, float g, double norm, float want)
{
    lk_optimizer *optimizer = optimizer_of(spec);
    const lk_grad_report report = {.norm = norm, .finite = true};

    fill_grads(g);
    params[0] = 0;
    cr_assert_eq(update(optimizer, params, grads, &one, &report, NULL), LK_OK);
    cr_expect(params[0] == -want || (isnan(want) && isnan(params[0])), "g %g, norm %g: got %.9g, want %.9g", g, norm,
              params[0], -want);
    lk_optimizer_free(&optimizer);
}

Test(optimizer_model, the_report_scales_the_gradients_when_its_norm_is_too_large, .init = set_up, .fini = close_engine)
{
    expect_step(WITH(sgd, s.clip_norm = 2), 0.5f, 1.0, 0.5f);
    expect_step(WITH(sgd, s.clip_norm = 2), 0.5f, 8.0, (float)(2 / (8 + 1e-6)) * 0.5f);
    expect_step(WITH(sgd, s.clip_norm = 2, s.clip_value = 0.25), 0.5f, 1.0, 0.25f);
    expect_step(WITH(sgd, s.clip_norm = 2), 0.5f, INFINITY, 0.0f);
    expect_step(WITH(sgd, s.clip_norm = 2), 0.5f, NAN, NAN);
    expect_step(sgd, 0.5f, 1e9, 0.5f);
}

Test(optimizer_model, clipping_by_norm_without_a_report_is_a_usage_error, .init = set_up, .fini = close_engine)
{
    lk_optimizer *optimizer = optimizer_of(WITH(sgd, s.clip_norm = 2));

    cr_expect_eq(update(optimizer, params, grads, &one, NULL, NULL), LK_ERR_USAGE);
    cr_expect_eq(lk_optimizer_step(optimizer, 0), 0);
    lk_optimizer_free(&optimizer);
}

/* Buffers are trained by nobody; padding must stay zero even where eps 0 would make it 0 / 0. */
Test(optimizer_model, padding_and_buffers_stay_as_they_are, .init = set_up, .fini = close_engine)
{
    lk_optimizer *optimizer = optimizer_of(WITH(adam, s.eps = 0, s.weight_decay = 0.1));
    const size_t n = lk_model_n_elem(model);
    float *before = lk_alloc(n * sizeof *before);
    bool *is_weight = lk_alloc(n);

    for (size_t t = 0; t < lk_model_n_tensors(model); t++) {
        const lk_tensor_info *info = lk_model_tensor(model, t);
        for (size_t i = 0; i < info->n_elem; i++) is_weight[info->offset + i] = info->role == LK_ROLE_PARAM;
    }
    memcpy(before, params, n * sizeof *before);
    fill_grads(1);
    for (int k = 0; k < 3; k++) cr_assert_eq(update(optimizer, params, grads, &tenth, NULL, NULL), LK_OK);
    for (size_t i = 0; i < n; i++)
        cr_expect((params[i] == before[i]) == !is_weight[i] && isfinite(params[i]), "element %zu: was %g, is %g", i,
                  before[i], params[i]);
    lk_free(&before), lk_free(&is_weight);
    lk_optimizer_free(&optimizer);
}

/* ------------------------------------------------------------------ groups */

/* Biases are group 1, the first layer's weight is frozen. */
static lk_trainable *two_groups(void)
{
    bool trains[16];
    int group[16];
    lk_trainable *trainable;

    for (size_t t = 0; t < lk_model_n_tensors(model); t++) {
        trains[t] = t != 0;
        group[t] = lk_glob("*.bias", lk_model_tensor(model, t)->name);
    }
    const lk_trainable_spec spec = {.trains = trains, .group = group, .n_groups = 2};
    cr_assert_eq(lk_trainable_new(model, &spec, &trainable), LK_OK, "%s", lk_error_message());
    return trainable;
}

Test(optimizer_model, groups_share_what_clips_and_keeps_state, .init = set_up, .fini = close_engine)
{
    const lk_optimizer_spec pairs[][2] = {
        {sgd, adam}, {adam, WITH(adam, s.amsgrad = true)}, {sgd, WITH(sgd, s.clip_norm = 1)},
        {sgd, WITH(sgd, s.clip_value = 1)}, {sgd, WITH(sgd, s.lr = -1)},
    };
    lk_trainable *trainable = two_groups();
    lk_optimizer *optimizer;

    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        cr_expect_eq(lk_optimizer_new(engine, trainable, pairs[i], &optimizer), LK_ERR_USAGE, "pair %zu", i);
        cr_expect(strstr(lk_error_message(), "optimizer."), "message: %s", lk_error_message());
    }
    lk_trainable_free(&trainable);
}

/* SGD moves by lr (g + weight_decay p): with p = 1 and g = 0.5 powers of two, so equality. */
Test(optimizer_model, each_group_moves_by_its_own_rates, .init = set_up, .fini = close_engine)
{
    const lk_optimizer_spec specs[] = {WITH(sgd, s.weight_decay = 0.25), WITH(sgd, s.momentum = 0.5)};
    const lk_hyperparams hyperparams[] = {{0.5, NAN, NAN}, {0.25, 0.0, 0.5}};
    const float want[] = {1 - 0.5f * (0.5f + 0.25f), 1 - 0.25f * (0.5f + 0.5f)};
    lk_trainable *trainable = two_groups();
    lk_optimizer *optimizer;

    cr_assert_eq(lk_optimizer_new(engine, trainable, specs, &optimizer), LK_OK, "%s", lk_error_message());
    for (size_t i = 0; i < lk_model_n_params(model); i++) params[i] = 1;
    for (size_t i = 0; i < lk_trainable_n_elem(trainable); i++) grads[i] = 0.5f;
    cr_assert_eq(update(optimizer, params, grads, hyperparams, NULL, NULL), LK_OK, "%s", lk_error_message());
    for (size_t t = 0; t < lk_model_n_tensors(model); t++) {
        const lk_tensor_info *info = lk_model_tensor(model, t);
        const float expected = lk_trainable_has(trainable, t) ? want[lk_trainable_group(trainable, t)] : 1.0f;

        if (info->role != LK_ROLE_PARAM) continue;
        for (size_t i = 0; i < info->n_elem; i++)
            cr_expect_eq(params[info->offset + i], expected, "%s[%zu]: got %g, want %g", info->name, i,
                         params[info->offset + i], expected);
    }
    lk_optimizer_free(&optimizer);
    lk_trainable_free(&trainable);
}

/* A first update after joining is like a first update ever, whatever the others have done. */
Test(optimizer_model, a_tensor_that_joins_has_a_count_of_its_own, .init = set_up, .fini = close_engine)
{
    const lk_optimizer_spec both[] = {adam, adam};
    const lk_hyperparams hyperparams[] = {tenth, tenth};
    lk_trainable *part = two_groups();
    lk_optimizer *first, *second = optimizer_of(adam);

    cr_assert_eq(lk_optimizer_new(engine, part, both, &first), LK_OK, "%s", lk_error_message());
    fill_grads(1);
    for (int i = 0; i < 3; i++) cr_assert_eq(update(first, params, grads, hyperparams, NULL, NULL), LK_OK);
    cr_assert_eq(lk_optimizer_copy_state(second, first), LK_OK);
    cr_expect_eq(lk_optimizer_step(second, 0), 0, "got %ld", (long)lk_optimizer_step(second, 0));
    cr_expect_eq(lk_optimizer_step(second, 1), 3, "got %ld", (long)lk_optimizer_step(second, 1));
    cr_expect_eq(state_at(second, 0, 0, 0), 0.0f);
    cr_expect_eq(state_at(second, 0, 1, 0), state_at(first, 0, 1, 0));
    params[0] = 0;
    cr_assert_eq(update(second, params, grads, &tenth, NULL, NULL), LK_OK);
    /* m / sqrt(v) is 1 at the first step, but for eps and three roundings. */
    cr_expect_float_eq(params[0], -0.1f, 1e-7, "got %.9g, want -0.1", params[0]);
    cr_expect_eq(lk_optimizer_step(second, 0), 1);
    cr_expect_eq(lk_optimizer_step(second, 1), 4);
    lk_optimizer_free(&second), lk_optimizer_free(&first);
    lk_trainable_free(&part);
}

Test(optimizer_model, nothing_is_carried_between_kinds_that_keep_other_states, .init = set_up, .fini = close_engine)
{
    lk_optimizer *from = optimizer_of(adam), *to = optimizer_of(WITH(sgd, s.momentum = 0.9));
    lk_optimizer *plain = optimizer_of(sgd);

    fill_grads(1);
    cr_assert_eq(update(from, params, grads, &tenth, NULL, NULL), LK_OK);
    cr_assert_eq(update(plain, params, grads, &tenth, NULL, NULL), LK_OK);
    cr_assert_eq(lk_optimizer_copy_state(to, from), LK_OK);
    cr_expect_eq(lk_optimizer_step(to, 0), 0);
    cr_expect_eq(state_at(to, 0, 0, 0), 0.0f);
    cr_assert_eq(lk_optimizer_copy_state(to, plain), LK_OK);
    cr_expect_eq(lk_optimizer_step(to, 0), 0, "a buffer that never was must start as the first gradient");
    lk_optimizer_free(&from), lk_optimizer_free(&to), lk_optimizer_free(&plain);
}
