/*
 * Optimizers, clipping, EMA and schedules against PyTorch and ema-pytorch: optim.json, made by make_optim.py.
 *
 * The network, its weights and its gradients are made here by the script's formula; the file holds what came out.
 */
#include "engine/schedule/schedule.h"
#include "tests/support/golden.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/engine_arrays.h"

enum { MOST_PATTERNS = 4, STEPS = 6 };

static json_t *golden;

/* ----------------------------------------------------------------- fixture */

static void open_model(bool batch_norm)
{
    const lk_model_spec spec = {.kind = LK_MODEL_MLP, .mlp = {3, {3, 4, 2}},
                                .norm = batch_norm ? LK_NORM_BATCH : LK_NORM_NONE};

    golden = golden_load("optim.json");
    open_engine(&spec);
}

static void open_plain(void) { open_model(false); }
static void open_batch_norm(void) { open_model(true); }

static void close_all(void)
{
    close_engine();
    json_decref(golden);
}

/* ----------------------------------------------------------------- numbers */

/* make_optim.py's value(): exact in fp32. */
static float value(int64_t seed, size_t tensor, size_t i)
{
    return (float)((seed * 37 + (int64_t)tensor * 29 + (int64_t)i * 17 + seed * (int64_t)i * 3) % 101 - 50) / 64;
}

static void fill(float *arena, int64_t seed, lk_role last)
{
    for (size_t t = 0; t < lk_model_n_tensors(model); t++) {
        const lk_tensor_info *info = lk_model_tensor(model, t);
        if (info->role <= last)
            for (size_t i = 0; i < info->n_elem; i++) arena[info->offset + i] = value(seed, t, i);
    }
}

static double real(const json_t *object, const char *key) { return json_number_value(json_object_get(object, key)); }
static double real_or(const json_t *object, const char *key, double otherwise)
{
    return json_object_get(object, key) ? real(object, key) : otherwise;
}
static bool flag(const json_t *object, const char *key) { return json_is_true(json_object_get(object, key)); }
static const char *text(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* want: one list of numbers per tensor. */
static void expect_tensors(const char *name, int at, const float *arena, const json_t *want, double tolerance)
{
    for (size_t t = 0; t < json_array_size(want); t++) {
        const lk_tensor_info *info = lk_model_tensor(model, t);
        const json_t *row = json_array_get(want, t);

        cr_assert_eq(json_array_size(row), info->n_elem);
        for (size_t i = 0; i < info->n_elem; i++) {
            const double got = arena[info->offset + i], wanted = json_number_value(json_array_get(row, i));
            cr_expect(fabs(got - wanted) <= tolerance, "%s at %d, %s[%zu]: got %.9g, want %.9g", name, at,
                      info->name, i, got, wanted);
        }
    }
}

/* -------------------------------------------------------------- optimizers */

static lk_optimizer_spec optimizer_spec(const json_t *c)
{
    const char *kind = text(c, "kind");

    return (lk_optimizer_spec){
        .kind = !strcmp(kind, "sgd") ? LK_SGD : !strcmp(kind, "adam") ? LK_ADAM : LK_ADAMW,
        .lr = real(c, "lr"),
        .momentum = real_or(c, "momentum", 0), .dampening = real_or(c, "dampening", 0),
        .nesterov = flag(c, "nesterov"), .weight_decay = real_or(c, "weight_decay", 0),
        .beta1 = real_or(c, "beta1", 0.9), .beta2 = real_or(c, "beta2", 0.999), .eps = real_or(c, "eps", 1e-8),
        .amsgrad = flag(c, "amsgrad"),
        .clip_norm = real_or(c, "clip_norm", 0), .clip_value = real_or(c, "clip_value", 0),
    };
}

/* Weights, gradients and states are below 2, where a float's unit is 1.2e-7; PyTorch fuses some products and sums
 * that are rounded apart here, at most two units of difference in a step. */
static const double STEP_TOLERANCE = 2 * 1.2e-7;

static lk_status take_step(lk_optimizer *optimizer, const lk_hyperparams *hyperparams, lk_grad_report *report)
{
    const float *g = there(&arrays, grads);

    LK_TRY(lk_optimizer_inspect(optimizer, g, false, report));
    LK_TRY(lk_optimizer_update(optimizer, there(&arrays, params), g, hyperparams, report, NULL));
    return lk_optimizer_sync(optimizer, report, NULL);
}

/* Engine memory as long as the model, here; release with lk_free(). */
static float *read_back(const float *from, size_t n_elem)
{
    float *values = lk_alloc(lk_model_n_elem(model) * sizeof *values);

    cr_assert_eq(lk_engine_read(engine, values, from, n_elem * sizeof *values), LK_OK, "%s", lk_error_message());
    return values;
}

static void expect_state(const char *name, lk_optimizer *optimizer, int i, const json_t *want)
{
    float *state = read_back(lk_optimizer_state(optimizer, i, 0), lk_model_n_params(model));

    expect_tensors(name, STEPS, state, want, STEPS * STEP_TOLERANCE);
    lk_free(&state);
}

static void run_optimizer(const json_t *c)
{
    const lk_optimizer_spec spec = optimizer_spec(c);
    const lk_hyperparams hyperparams = {spec.lr, NAN, NAN};
    const json_t *steps = json_object_get(c, "steps"), *norms = json_object_get(c, "norms"), *state;
    const char *name = text(c, "name"), *state_name;
    lk_optimizer *optimizer;
    size_t kept = 0;

    cr_assert_eq(lk_optimizer_new(engine, lk_engine_trainable(engine), &spec, &optimizer), LK_OK, "%s",
                 lk_error_message());
    fill(params, 0, LK_ROLE_BUFFER);
    for (int step = 1; step <= STEPS; step++) {
        lk_grad_report report;

        fill(grads, step, LK_ROLE_PARAM);
        cr_assert_eq(THERE(&arrays, take_step(optimizer, &hyperparams, &report)), LK_OK, "%s", lk_error_message());
        if (spec.clip_norm > 0) {
            const double want = json_number_value(json_array_get(norms, (size_t)step - 1));
            /* PyTorch sums in fp32. */
            cr_expect(fabs(report.norm / want - 1) < 1e-6, "%s: norm %.9g, want %.9g", name, report.norm, want);
        }
        const json_t *row = json_array_get(steps, kept);
        if (real(row, "step") == step) {
            expect_tensors(name, step, params, json_object_get(row, "params"), step * STEP_TOLERANCE);
            kept++;
        }
    }
    cr_expect_eq(kept, json_array_size(steps));
    cr_expect_eq((size_t)lk_optimizer_n_states(optimizer), json_object_size(json_object_get(c, "state")));
    json_object_foreach(json_object_get(c, "state"), state_name, state)
        for (int i = 0; i < lk_optimizer_n_states(optimizer); i++)
            if (!strcmp(lk_optimizer_state_name(optimizer, i), state_name))
                expect_state(name, optimizer, i, state);
    lk_optimizer_free(&optimizer);
}

Test(golden_optim, updates_and_states_are_pytorchs, .init = open_plain, .fini = close_all)
{
    size_t i;
    json_t *c;

    cr_assert_eq(json_array_size(json_object_get(golden, "optimizers")), 21);
    json_array_foreach(json_object_get(golden, "optimizers"), i, c) run_optimizer(c);
}

/* --------------------------------------------------------------------- EMA */

static size_t patterns(const json_t *list, const char **out)
{
    const size_t n = json_array_size(list);

    cr_assert_leq(n, MOST_PATTERNS);
    for (size_t i = 0; i < n; i++) out[i] = json_string_value(json_array_get(list, i));
    return n;
}

/* Weights and averages are below 1: an average over many calls forgets its roundings as fast as its weights, so the
 * difference stays near a few units of 6e-8.  ema-pytorch's decay is a float, ours a double, which is one more. */
static const double EMA_TOLERANCE = 5e-7;

static void run_ema(const json_t *c)
{
    const char *copy[MOST_PATTERNS], *ignore[MOST_PATTERNS], *name = text(c, "name");
    const lk_ema_spec spec = {
        .beta = real(c, "beta"), .update_after_step = (int64_t)real(c, "update_after_step"),
        .update_every = (int64_t)real(c, "update_every"), .inv_gamma = real(c, "inv_gamma"),
        .power = real(c, "power"), .min_value = real(c, "min_value"),
        .copy = copy, .n_copy = patterns(json_object_get(c, "copy"), copy),
        .ignore = ignore, .n_ignore = patterns(json_object_get(c, "ignore"), ignore),
    };
    const json_t *kept = json_object_get(c, "kept");
    size_t k = 0;
    lk_ema *ema;

    fill(params, 1000, LK_ROLE_BUFFER);
    cr_assert_eq(THERE(&arrays, lk_ema_new(engine, &spec, there(&arrays, params), &ema)), LK_OK, "%s",
                 lk_error_message());
    for (int call = 0; call < (int)real(c, "calls"); call++) {
        const json_t *row = json_array_get(kept, k);

        fill(params, call, LK_ROLE_BUFFER);
        cr_assert_eq(THERE(&arrays, lk_ema_update(ema, there(&arrays, params))), LK_OK);
        if (!row || real(row, "call") != call) continue;
        const double decay = lk_ema_decay(&spec, call), want = real(row, "decay");
        cr_expect(fabs(decay - want) <= 2e-7, "%s, call %d: decay %.9g, want %.9g", name, call, decay, want);
        float *average = read_back(lk_ema_params(ema), lk_model_n_elem(model));
        expect_tensors(name, call, average, json_object_get(row, "tensors"), EMA_TOLERANCE);
        lk_free(&average);
        k++;
    }
    cr_expect_eq(k, json_array_size(kept));
    lk_ema_free(&ema);
}

Test(golden_optim, averages_and_decays_are_ema_pytorchs, .init = open_batch_norm, .fini = close_all)
{
    size_t i;
    json_t *c;

    cr_assert_eq(json_array_size(json_object_get(golden, "emas")), 6);
    json_array_foreach(json_object_get(golden, "emas"), i, c) run_ema(c);
}

/* --------------------------------------------------------------- schedules */

static lk_schedule_spec plateau_spec(const json_t *c)
{
    return (lk_schedule_spec){
        .kind = LK_SCHEDULE_PLATEAU,
        .mode = !strcmp(text(c, "mode"), "min") ? LK_MIN : LK_MAX,
        .threshold_mode = !strcmp(text(c, "threshold_mode"), "rel") ? LK_THRESHOLD_REL : LK_THRESHOLD_ABS,
        .factor = real(c, "factor"), .patience = (int64_t)real(c, "patience"), .threshold = real(c, "threshold"),
        .cooldown = (int64_t)real(c, "cooldown"), .min_lr = real(c, "min_lr"), .eps = real(c, "eps"),
    };
}

/* The same operations on the same doubles: equality.  A row is metric, lr, best, bad observations, cooldown. */
static void run_plateau(const json_t *c)
{
    const lk_schedule_spec spec = plateau_spec(c);
    lk_schedule *schedule;
    size_t i;
    json_t *row;

    cr_assert_eq(lk_schedule_new("scheduler", &spec, real(c, "lr"), &schedule), LK_OK, "%s", lk_error_message());
    json_array_foreach(json_object_get(c, "rows"), i, row) {
        const json_t *metric = json_array_get(row, 0), *best = json_array_get(row, 2);
        const double lr = json_number_value(json_array_get(row, 1));
        lk_schedule_state state;
        bool reduced;

        lk_schedule_observe(schedule, 0, 0, json_is_null(metric) ? NAN : json_number_value(metric), &reduced);
        lk_schedule_get(schedule, &state);
        cr_expect_eq(state.lr, lr, "%s, row %zu: lr %.17g, want %.17g", text(c, "name"), i, state.lr, lr);
        cr_expect(json_is_null(best) ? isinf(state.best) : state.best == json_number_value(best),
                  "%s, row %zu: best %.17g, want %.17g", text(c, "name"), i, state.best, json_number_value(best));
        cr_expect_eq(state.num_bad, json_integer_value(json_array_get(row, 3)), "%s, row %zu: %ld bad, want %ld",
                     text(c, "name"), i, (long)state.num_bad, (long)json_integer_value(json_array_get(row, 3)));
        cr_expect_eq(state.cooldown_counter, json_integer_value(json_array_get(row, 4)), "%s, row %zu: cooldown %ld",
                     text(c, "name"), i, (long)state.cooldown_counter);
    }
    lk_schedule_free(&schedule);
}

Test(golden_optim, plateaus_are_pytorchs, .init = open_plain, .fini = close_all)
{
    size_t i;
    json_t *c;

    cr_assert_eq(json_array_size(json_object_get(golden, "plateaus")), 10);
    json_array_foreach(json_object_get(golden, "plateaus"), i, c) run_plateau(c);
}

Test(golden_optim, lambdas_are_pytorchs, .init = open_plain, .fini = close_all)
{
    size_t i, epoch;
    json_t *c, *rate;

    cr_assert_eq(json_array_size(json_object_get(golden, "lambdas")), 8);
    json_array_foreach(json_object_get(golden, "lambdas"), i, c) {
        const lk_schedule_spec spec = {.kind = LK_SCHEDULE_LAMBDA, .expr = text(c, "expr")};
        lk_schedule *schedule;

        cr_assert_eq(lk_schedule_new("scheduler", &spec, real(c, "lr"), &schedule), LK_OK, "%s", lk_error_message());
        json_array_foreach(json_object_get(c, "rates"), epoch, rate) {
            const double want = json_number_value(rate);
            double got;

            cr_assert_eq(lk_schedule_at(schedule, 0, (double)epoch, &got, NULL), LK_OK, "%s", lk_error_message());
            /* muParser multiplies small integer powers out, and pow() of another C library may differ in its last
             * digit. */
            cr_expect(fabs(got - want) <= 1e-15, "%s at epoch %zu: got %.17g, want %.17g", spec.expr, epoch, got,
                      want);
        }
        lk_schedule_free(&schedule);
    }
}
