/*
 * The engine: one backend, and runs of the plans of one model on it.  Plans are plans.c's, memory is memory.c's, and what
 * only a device has is device.c's.
 */
#include "engine/engine_impl.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct lk_found_backend {
    const lk_backend *backend;
    const void *collectives; /* of its module */
} lk_found_backend;

static const char *kind_name(lk_engine_kind kind)
{
    switch (kind) {
#define KIND_NAME(name, word) case name: return word;
        LK_ENGINE_LIST(KIND_NAME)
#undef KIND_NAME
    }
    return "unknown";
}

static lk_status in_program(lk_found_backend *out)
{
    *out = (lk_found_backend){.backend = &lk_cpu_backend};
    return LK_OK;
}

static lk_status in_module(lk_found_backend *out)
{
    const lk_module *module;

    LK_TRY(lk_module_open(&module));
    *out = (lk_found_backend){.backend = module->backend, .collectives = module->collectives};
    return LK_OK;
}

static bool always(void) { return true; }

/* The one list of backends, best first: `auto` takes the first that is likely and has something to run on. */
static const struct entry {
    lk_engine_kind kind;
    bool (*likely)(void);
    lk_status (*find)(lk_found_backend *out);
} backends[] = {
    {LK_ENGINE_CUDA, lk_module_likely, in_module},
    {LK_ENGINE_CPU, always, in_program},
};

static lk_status find_backend(lk_engine_kind kind, lk_found_backend *out)
{
    for (size_t i = 0; i < sizeof backends / sizeof *backends; i++) {
        const struct entry *e = &backends[i];

        if (kind == e->kind) return e->find(out);
        if (kind == LK_ENGINE_AUTO && e->likely() && e->find(out) == LK_OK && out->backend->available() > 0) return LK_OK;
    }
    return LK_FAIL(LK_ERR_USAGE, "this build has no %s engine; use --engine cpu or engine.kind=cpu", kind_name(kind));
}

lk_status lk_engine_new(const lk_engine_options *options, const lk_model *model, lk_engine **out)
{
    lk_found_backend in;

    *out = NULL;
    LK_TRY(find_backend(options->kind, &in));
    if (options->threads < 1)
        return LK_FAIL(LK_ERR_USAGE, "engine.threads is %d; it must be at least 1", options->threads);
    if (options->precision == LK_TF32 && !in.backend->device)
        return LK_FAIL(LK_ERR_USAGE, "engine.precision: tf32 is the cuda engine's; the %s engine has fp32 and bf16",
                       in.backend->name);
    lk_engine *engine = calloc(1, sizeof *engine);
    LK_TRY_ALLOC(engine, sizeof *engine);
    *engine = (lk_engine){.backend = in.backend, .device = in.backend->device, .collectives = in.collectives,
                          .model = model, .precision = options->precision, .seed = options->seed, .dry = options->dry};
    lk_status status = lk_trainable_new(model, NULL, &engine->everything);
    if (status == LK_OK) status = in.backend->open(options, &engine->ctx);
    if (status != LK_OK) {
        lk_trainable_free(&engine->everything);
        free(engine);
        return lk_trace(status, __FILE__, __LINE__);
    }
    lk_engine_set_trainable(engine, engine->everything);
    *out = engine;
    return LK_OK;
}

void lk_engine_free(lk_engine **engine)
{
    if (!engine || !*engine) return;
    lk_engine *e = *engine;

    lk_engine_finish_plans(e);
    for (int i = e->n_plans - 1; i >= 0; i--) lk_plan_free(&e->plans[i]);
    free(e->plans);
    lk_free(&e->zeros);
    lk_engine_release(e, &e->sums);
    lk_engine_release(e, &e->output);
    lk_engine_release(e, &e->scratch);
    lk_engine_release(e, &e->act);
    e->backend->close(e->ctx);
    lk_trainable_free(&e->everything);
    free(e);
    *engine = NULL;
}

bool lk_engine_expected(lk_engine_kind kind)
{
    for (size_t i = 0; i < sizeof backends / sizeof *backends; i++)
        if (kind == backends[i].kind) return backends[i].likely();
    return false;
}

void lk_engine_describe(lk_engine_kind kind, char *text, size_t nbytes)
{
    lk_found_backend in;

    if (find_backend(kind, &in) == LK_OK) in.backend->describe(text, nbytes);
    else snprintf(text, nbytes, "%s", lk_error_message());
}

const char *lk_engine_name(const lk_engine *engine) { return engine->backend->name; }
const lk_model *lk_engine_model(const lk_engine *engine) { return engine->model; }
const lk_trainable *lk_engine_trainable(const lk_engine *engine) { return engine->trainable; }

const lk_backend *lk_engine_backend(const lk_engine *engine, void **ctx)
{
    *ctx = engine->ctx;
    return engine->backend;
}

const void *lk_engine_collectives(const lk_engine *engine) { return engine->collectives; }

const void *lk_engine_find_collectives(lk_engine_kind kind)
{
    lk_found_backend in;

    return find_backend(kind, &in) == LK_OK ? in.collectives : NULL;
}

/* ---------------------------------------------------------------------- run */

static lk_status clear(lk_engine *engine, const lk_lane *lane, lk_range r)
{
    const size_t nbytes = (r.end - r.begin) * sizeof(float);

    if (engine->device) return engine->device->zero(engine->ctx, LK_QUEUE_COMPUTE, lane->grads + r.begin, nbytes);
    return lk_engine_write(engine, lane->grads + r.begin, engine->zeros, nbytes);
}

/* What no node writes: padding and the scalars of this lane.  The loss node overwrites its slot later. */
static lk_status begin_gradients(lk_engine *engine, const lk_plan *plan, const lk_lane *lane)
{
    const size_t first = lk_trainable_slot(engine->trainable, (lk_slot)0);
    const size_t n_slots = lk_trainable_n_grads(engine->trainable) - first;
    float slots[2 * LK_N_SLOTS] = {[LK_SLOT_LANES] = 1.0f};

    assert(n_slots <= sizeof slots / sizeof *slots);
    for (int i = 0; i < plan->n_unwritten; i++) LK_TRY(clear(engine, lane, plan->unwritten[i]));
    if (lane->votes) memcpy(slots + LK_SLOT_VOTES, lane->votes, LK_N_VOTES * sizeof(float));
    if (engine->device) return engine->device->put(engine->ctx, lane->grads + first, slots, n_slots);
    return lk_engine_write(engine, lane->grads + first, slots, n_slots * sizeof(float));
}

static lk_launch_args run_of(const lk_engine *engine, const lk_lane *lane)
{
    lk_launch_args run = {
        .base = {[LK_ARENA_PARAMS] = (void *)lane->params, [LK_ARENA_GRADS] = lane->grads,
                 [LK_ARENA_ACT] = engine->act, [LK_ARENA_SCRATCH] = engine->scratch, [LK_ARENA_SUMS] = lane->sums,
                 [LK_ARENA_OUTPUT] = lane->output ? (void *)lane->output : engine->output},
        .n = lane->n, .step = lane->step, .sample = lane->sample, .inv_count = lane->inv_count, .seed = engine->seed,
        .params_version = lane->params_version,
    };

    memcpy(run.base + LK_ARENA_FIELD, lane->field, sizeof lane->field);
    return run;
}

static lk_status run_plan(lk_engine *engine, lk_plan *plan, const lk_lane *lane)
{
    lk_launch_args run = run_of(engine, lane);

    if (engine->device) LK_TRY(engine->device->begin(engine->ctx, &plan->graph, &run));
    if (lane->mode == LK_TRAIN) LK_TRY(begin_gradients(engine, plan, lane));
    LK_TRY(lk_plan_run(plan, engine->backend, engine->ctx, &run, lane->mode == LK_TRAIN ? lane->ready : NULL,
                       lane->ready_arg));
    return LK_OK;
}

/* Sums and outputs are made in the device's memory and fetched. */
static lk_status run_on_device(lk_engine *engine, lk_plan *plan, const lk_lane *lane)
{
    const size_t output_bytes = (size_t)lane->n * lk_model_n_output(engine->model) * sizeof(float);
    lk_lane there = *lane;

    LK_TRY(lk_engine_upload_once(engine, &there, false));
    there.sums = engine->sums;
    there.output = NULL;
    LK_TRY(run_plan(engine, plan, &there));
    if (lane->mode == LK_EVAL)
        LK_TRY(lk_engine_read(engine, lane->sums, there.sums, lk_model_n_sums(engine->model) * sizeof *lane->sums));
    if (lane->mode == LK_TRAIN || !lane->output) return LK_OK;
    return lk_engine_read(engine, lane->output, engine->output, output_bytes);
}

static inline bool has_fields(const lk_model *model, const lk_lane *lane)
{
    const lk_sample *reads = lk_model_sample(model);

    for (int f = 0; f < reads->n_fields; f++)
        if (!lane->field[f] && !(reads->field[f].target && lane->mode == LK_PREDICT)) return false;
    return true;
}

lk_status lk_engine_run(lk_engine *engine, const lk_lane *lane)
{
    lk_plan *plan;

    assert(!engine->dry && lane->params_version != 0 && lane->params && has_fields(engine->model, lane));
    assert(lane->mode != LK_TRAIN || (lane->grads && lane->sample));
    assert(lane->mode != LK_EVAL || lane->sums);
    assert(lane->mode != LK_PREDICT || lane->output);
    LK_TRY(lk_engine_get_plan(engine, lane->mode, lane->n, &plan));
    return engine->device ? run_on_device(engine, plan, lane) : run_plan(engine, plan, lane);
}

static lk_status check_lanes(lk_engine *engine, const float *grads, float *lanes)
{
    LK_TRY(lk_engine_read(engine, lanes, grads + lk_trainable_slot(engine->trainable, LK_SLOT_LANES), sizeof *lanes));
    if (!(*lanes >= 1.0f))
        return LK_FAIL(LK_ERR_NUMBERS, "batch statistics of %g lanes cannot be averaged: the gradients were not summed "
                       "over lanes that ran", (double)*lanes);
    return LK_OK;
}

/* Where all batch norms collect, they are one run and so one pass.  A device reads the number of lanes by itself. */
lk_status lk_engine_update_stats(lk_engine *engine, float *params, const float *grads, const lk_grad_report *report)
{
    const lk_trainable *trainable = engine->trainable;
    const float *lanes_slot = grads + lk_trainable_slot(trainable, LK_SLOT_LANES);
    float lanes = 0.0f;

    if (lk_trainable_n_stat_ranges(trainable) == 0) return LK_OK;
    if (!engine->device) LK_TRY(check_lanes(engine, grads, &lanes));
    for (size_t r = 0; r < lk_trainable_n_stat_ranges(trainable); r++) {
        const lk_trainable_range *run = lk_trainable_get_stat_range(trainable, r);
        float *running = params + run->param;
        const float *stat = grads + run->grad;

        if (engine->device)
            LK_TRY(engine->device->running(engine->ctx, running, stat, run->n_elem, LK_BATCH_NORM_MOMENTUM, lanes_slot,
                                           report->pending));
        else
            LK_TRY(engine->backend->running(engine->ctx, running, stat, run->n_elem, LK_BATCH_NORM_MOMENTUM, lanes));
    }
    return LK_OK;
}
