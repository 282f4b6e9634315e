/*
 * Parameter groups that join, leave and come back, against torch.optim with add_param_group: groups.json, made by
 * make_groups.py.  A phase is a trained set with an optimizer that carries on from the one before.
 */
#include "tests/support/golden.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/host_mirror.h"

enum { N_TENSORS = 4, N_GROUPS = 2 };

/* Weights, gradients and states are below 2, where a float's unit is 1.2e-7; PyTorch fuses some products and sums
 * that are rounded apart here, at most two units of difference in each of ten steps. */
static const double TOLERANCE = 10 * 2 * 1.2e-7;

typedef struct run {
    const char *name;
    lk_model *model;
    lk_engine *engine;
    lk_trainable *trainable;
    lk_optimizer *optimizer;
    mirrors arrays;
    float *params, *grads; /* here */
    lk_optimizer_spec specs[N_GROUPS];
    int64_t step;
} run;

/* make_groups.py's value(): exact in fp32. */
static float value(int64_t seed, size_t tensor, size_t i)
{
    return (float)((seed * 37 + (int64_t)tensor * 29 + (int64_t)i * 17 + seed * (int64_t)i * 3) % 101 - 50) / 64;
}

static double real_or(const json_t *object, const char *key, double otherwise)
{
    const json_t *found = json_object_get(object, key);
    return found ? json_number_value(found) : otherwise;
}

static lk_optimizer_spec read_spec(const char *kind, const json_t *c)
{
    return (lk_optimizer_spec){
        .kind = !strcmp(kind, "sgd") ? LK_SGD : !strcmp(kind, "adam") ? LK_ADAM : LK_ADAMW,
        .lr = real_or(c, "lr", 0), .momentum = real_or(c, "momentum", 0), .dampening = real_or(c, "dampening", 0),
        .nesterov = json_is_true(json_object_get(c, "nesterov")), .weight_decay = real_or(c, "weight_decay", 0),
        .beta1 = real_or(c, "beta1", 0.9), .beta2 = real_or(c, "beta2", 0.999), .eps = real_or(c, "eps", 1e-8),
        .amsgrad = json_is_true(json_object_get(c, "amsgrad")), .clip_norm = real_or(c, "clip_norm", 0),
    };
}

static void open_run(run *r, const json_t *c)
{
    const lk_model_spec spec = {.kind = LK_MODEL_MLP, .mlp = {3, {3, 4, 2}}};
    const lk_engine_options options = {.kind = engine_under_test(), .threads = 1};
    const char *kind = json_string_value(json_object_get(c, "kind"));

    *r = (run){.name = json_string_value(json_object_get(c, "name"))};
    cr_assert_eq(lk_model_new(&spec, &r->model), LK_OK, "%s", lk_error_message());
    cr_assert_eq(lk_model_n_tensors(r->model), N_TENSORS);
    cr_assert_eq(lk_engine_new(&options, r->model, &r->engine), LK_OK, "%s", lk_error_message());
    void *ctx;
    const lk_backend *backend = lk_engine_backend(r->engine, &ctx);
    mirrors_open(&r->arrays, backend, ctx);
    r->params = host_mirror_new(&r->arrays, lk_model_n_elem(r->model) * sizeof(float));
    for (size_t t = 0; t < N_TENSORS; t++) {
        const lk_tensor_info *info = lk_model_tensor(r->model, t);
        for (size_t i = 0; i < info->n_elem; i++) r->params[info->offset + i] = value(0, t, i);
    }
    for (size_t g = 0; g < N_GROUPS; g++)
        r->specs[g] = read_spec(kind, json_array_get(json_object_get(c, "groups"), g));
}

static void close_run(run *r)
{
    lk_optimizer_free(&r->optimizer);
    mirrors_close(&r->arrays);
    lk_engine_free(&r->engine);
    lk_trainable_free(&r->trainable);
    lk_model_free(&r->model);
}

/* The set of this phase; the optimizer carries on. */
static void change_set(run *r, const json_t *list)
{
    const int group[N_TENSORS] = {1, 1, 0, 0};
    bool trains[N_TENSORS] = {false};
    const lk_trainable_spec spec = {.trains = trains, .group = group, .n_groups = N_GROUPS};
    lk_trainable *before = r->trainable;
    lk_optimizer *old = r->optimizer;

    for (size_t i = 0; i < json_array_size(list); i++) trains[json_integer_value(json_array_get(list, i))] = true;
    cr_assert_eq(lk_trainable_new(r->model, &spec, &r->trainable), LK_OK, "%s", lk_error_message());
    lk_engine_set_trainable(r->engine, r->trainable);
    cr_assert_eq(lk_optimizer_new(r->engine, r->trainable, r->specs, &r->optimizer), LK_OK, "%s", lk_error_message());
    if (old) cr_assert_eq(lk_optimizer_copy_state(r->optimizer, old), LK_OK, "%s", lk_error_message());
    lk_optimizer_free(&old);
    lk_trainable_free(&before);
    if (r->grads) host_mirror_free(&r->arrays, &r->grads);
    r->grads = host_mirror_new(&r->arrays, lk_trainable_n_grads(r->trainable) * sizeof(float));
}

static lk_status update(run *r, const lk_hyperparams *hyperparams)
{
    const float *grads = there(&r->arrays, r->grads);
    lk_grad_report report;

    LK_TRY(lk_optimizer_inspect(r->optimizer, grads, false, &report));
    LK_TRY(lk_optimizer_update(r->optimizer, there(&r->arrays, r->params), grads, hyperparams, &report, NULL));
    return lk_optimizer_sync(r->optimizer, &report, NULL);
}

static void take_step(run *r)
{
    lk_hyperparams hyperparams[N_GROUPS];

    r->step++;
    for (size_t t = 0; t < N_TENSORS; t++)
        if (lk_trainable_has(r->trainable, t))
            for (size_t i = 0; i < lk_model_tensor(r->model, t)->n_elem; i++)
                r->grads[lk_trainable_offset(r->trainable, t) + i] = value(r->step, t, i);
    for (int g = 0; g < N_GROUPS; g++) hyperparams[g] = (lk_hyperparams){r->specs[g].lr, NAN, NAN};
    cr_assert_eq(THERE(&r->arrays, update(r, hyperparams)), LK_OK, "%s", lk_error_message());
}

static void expect_list(const run *r, const char *what, size_t tensor, const float *got, const json_t *want)
{
    cr_assert_eq(json_array_size(want), lk_model_tensor(r->model, tensor)->n_elem);
    for (size_t i = 0; i < json_array_size(want); i++) {
        const double wanted = json_number_value(json_array_get(want, i));
        cr_expect(fabs((double)got[i] - wanted) <= TOLERANCE, "%s after %ld steps, %s of %s[%zu]: got %.9g, want %.9g",
                  r->name, (long)r->step, what, lk_model_tensor(r->model, tensor)->name, i, (double)got[i], wanted);
    }
}

static void expect_state(run *r, size_t tensor, const json_t *want)
{
    const json_t *step = json_object_get(want, "step");

    for (int i = 0; i < lk_optimizer_n_states(r->optimizer); i++) {
        const char *name = lk_optimizer_state_name(r->optimizer, i);
        const size_t nbytes = lk_model_tensor(r->model, tensor)->n_elem * sizeof(float);
        float *state = lk_alloc(nbytes);

        cr_assert_eq(lk_engine_read(r->engine, state, lk_optimizer_state(r->optimizer, i, tensor), nbytes), LK_OK);
        expect_list(r, name, tensor, state, json_object_get(want, name));
        lk_free(&state);
    }
    if (json_is_integer(step))
        cr_expect_eq(lk_optimizer_step(r->optimizer, tensor), json_integer_value(step), "%s: tensor %zu at step %ld, "
                     "want %ld", r->name, tensor, (long)lk_optimizer_step(r->optimizer, tensor),
                     (long)json_integer_value(step));
}

static void expect_phase(run *r, const json_t *phase)
{
    const char *tensor;
    json_t *state;

    change_set(r, json_object_get(phase, "trained"));
    for (json_int_t i = 0; i < json_integer_value(json_object_get(phase, "steps")); i++) take_step(r);
    for (size_t t = 0; t < N_TENSORS; t++)
        expect_list(r, "value", t, r->params + lk_model_tensor(r->model, t)->offset,
                    json_array_get(json_object_get(phase, "params"), t));
    json_object_foreach(json_object_get(phase, "state"), tensor, state)
        expect_state(r, (size_t)atoi(tensor), state);
}

Test(groups, tensors_that_join_leave_and_come_back_are_updated_as_pytorch_does)
{
    json_t *golden = golden_load("groups.json"), *c, *phase;
    size_t i, k;

    cr_assert_eq(json_array_size(json_object_get(golden, "cases")), 6);
    json_array_foreach(json_object_get(golden, "cases"), i, c) {
        run r;

        open_run(&r, c);
        json_array_foreach(json_object_get(c, "phases"), k, phase) expect_phase(&r, phase);
        close_run(&r);
    }
    json_decref(golden);
}
