/*
 * The engine: one backend, the plans of one model on it, and the memory they share.
 *
 * Plans are found by (mode, lane size); a run has two or three of them, so the search is a glance.  Training plans
 * belong to the set in use and go when another comes.  Only one plan runs at a time, so all use one arena for
 * activations, as large as the largest needs.
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
                          .model = model, .precision = options->precision, .seed = options->seed};
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

/* What is queued may be work of a plan about to be freed.  Should it fail, a later call says so. */
static void finish_plans(lk_engine *engine)
{
    if (engine->device) (void)engine->backend->wait(engine->ctx);
}

void lk_engine_free(lk_engine **engine)
{
    if (!engine || !*engine) return;
    lk_engine *e = *engine;

    finish_plans(e);
    for (int i = e->n_plans - 1; i >= 0; i--) lk_plan_free(&e->plans[i]);
    free(e->plans);
    lk_free(&e->zeros);
    lk_engine_release(e, &e->sums);
    lk_engine_release(e, &e->output);
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

/* ------------------------------------------------------------------- memory */

lk_status lk_engine_alloc(lk_engine *engine, size_t nbytes, void **out)
{
    *out = NULL;
    return engine->backend->alloc(engine->ctx, nbytes, out);
}

void lk_engine_release(lk_engine *engine, void *address_of_pointer)
{
    void **p = address_of_pointer;

    if (!p) return;
    if (*p) engine->backend->release(engine->ctx, *p);
    *p = NULL;
}

const void *lk_engine_collectives(const lk_engine *engine) { return engine->collectives; }

const void *lk_engine_find_collectives(lk_engine_kind kind)
{
    lk_found_backend in;

    return find_backend(kind, &in) == LK_OK ? in.collectives : NULL;
}

lk_status lk_engine_read(lk_engine *engine, void *host, const void *device, size_t nbytes)
{
    return engine->backend->read(engine->ctx, host, device, nbytes);
}

lk_status lk_engine_write(lk_engine *engine, void *device, const void *host, size_t nbytes)
{
    return engine->backend->write(engine->ctx, device, host, nbytes);
}

/* Replaces shared memory that holds nothing between runs by a larger one, if need be. */
static lk_status make_room(lk_engine *engine, void **memory, size_t *has, size_t nbytes)
{
    if (*has >= nbytes) return LK_OK;
    lk_engine_release(engine, memory);
    *has = 0;
    LK_TRY(lk_engine_alloc(engine, nbytes, memory));
    *has = nbytes;
    return LK_OK;
}

/* -------------------------------------------------------------------- plans */

static lk_plan *find_plan(const lk_engine *engine, lk_mode mode, int64_t n)
{
    for (int i = 0; i < engine->n_plans; i++)
        if (engine->plans[i]->graph.n == n && engine->plans[i]->graph.mode == mode) return engine->plans[i];
    return NULL;
}

void lk_engine_set_trainable(lk_engine *engine, const lk_trainable *trainable)
{
    int kept = 0;

    assert(lk_trainable_model(trainable) == engine->model);
    engine->trainable = trainable;
    if (engine->trainable_id == lk_trainable_id(trainable)) return;
    engine->trainable_id = lk_trainable_id(trainable);
    finish_plans(engine);
    for (int i = 0; i < engine->n_plans; i++) {
        if (engine->plans[i]->graph.mode == LK_TRAIN) lk_plan_free(&engine->plans[i]);
        else engine->plans[kept++] = engine->plans[i];
    }
    engine->n_plans = kept;
}

static lk_status make_zeros(lk_engine *engine, const lk_plan *plan)
{
    size_t n_elem = 0;

    for (int i = 0; i < plan->n_unwritten; i++) {
        const size_t n = plan->unwritten[i].end - plan->unwritten[i].begin;
        if (n > n_elem) n_elem = n;
    }
    if (engine->n_zeros >= n_elem) return LK_OK;
    float *zeros = lk_alloc(n_elem * sizeof *zeros);
    LK_TRY_ALLOC(zeros, n_elem * sizeof *zeros);
    lk_free(&engine->zeros);
    engine->zeros = zeros;
    engine->n_zeros = n_elem;
    return LK_OK;
}

/* What the plan needs beside itself, and its place in the list. */
static lk_status adopt_plan(lk_engine *engine, lk_plan *plan)
{
    const size_t output_bytes = (size_t)plan->graph.n * lk_model_n_output(engine->model) * sizeof(float);

    if (!engine->device) LK_TRY(make_zeros(engine, plan));
    LK_TRY(make_room(engine, &engine->act, &engine->act_bytes, plan->graph.act_bytes));
    if (engine->device && !engine->sums)
        LK_TRY(lk_engine_alloc(engine, lk_model_n_sums(engine->model) * sizeof(double), &engine->sums));
    if (plan->graph.mode == LK_EVAL || (plan->graph.mode == LK_PREDICT && engine->device))
        LK_TRY(make_room(engine, &engine->output, &engine->output_bytes, output_bytes));
    lk_plan **moved = realloc(engine->plans, (size_t)(engine->n_plans + 1) * sizeof *moved);
    LK_TRY_ALLOC(moved, (size_t)(engine->n_plans + 1) * sizeof *moved);
    engine->plans = moved;
    engine->plans[engine->n_plans++] = plan;
    return LK_OK;
}

static lk_status get_plan(lk_engine *engine, lk_mode mode, int64_t n, lk_plan **out)
{
    *out = find_plan(engine, mode, n);
    if (*out) return LK_OK;
    if (n < 1) return LK_FAIL(LK_ERR_USAGE, "a lane of %lld samples cannot run; it needs at least 1", (long long)n);

    LK_TRY(lk_plan_new(engine->backend, engine->ctx, engine->trainable, mode, engine->precision, n, out));
    const lk_status status = adopt_plan(engine, *out);
    if (status != LK_OK) lk_plan_free(out);
    return status;
}

lk_status lk_engine_compile(lk_engine *engine, lk_mode mode, int64_t n)
{
    lk_plan *plan;
    return get_plan(engine, mode, n, &plan);
}

lk_status lk_engine_check(const lk_engine *engine, const lk_trainable *trainable, lk_mode mode, int64_t n)
{
    return lk_plan_check(engine->backend, trainable, mode, engine->precision, n);
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

static lk_launch_args run_of(const lk_engine *engine, const lk_plan *plan, const lk_lane *lane)
{
    lk_launch_args run = {
        .base = {[LK_ARENA_PARAMS] = (void *)lane->params, [LK_ARENA_GRADS] = lane->grads,
                 [LK_ARENA_ACT] = engine->act, [LK_ARENA_SUMS] = lane->sums,
                 [LK_ARENA_OUTPUT] = lane->output ? (void *)lane->output : engine->output},
        .n = lane->n, .step = lane->step, .sample = lane->sample, .inv_count = lane->inv_count, .seed = engine->seed,
        .prepare = plan->prepared_version != lane->params_version,
    };

    memcpy(run.base + LK_ARENA_FIELD, lane->field, sizeof lane->field);
    return run;
}

static lk_status run_plan(lk_engine *engine, lk_plan *plan, const lk_lane *lane)
{
    lk_launch_args run = run_of(engine, plan, lane);

    plan->prepared_version = 0; /* a run that fails may have prepared some weights only */
    if (engine->device) LK_TRY(engine->device->begin(engine->ctx, &plan->graph, &run));
    if (lane->mode == LK_TRAIN) LK_TRY(begin_gradients(engine, plan, lane));
    LK_TRY(lk_plan_run(plan, engine->backend, engine->ctx, &run, lane->mode == LK_TRAIN ? lane->ready : NULL,
                       lane->ready_arg));
    plan->prepared_version = lane->params_version;
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

    assert(lane->params_version != 0 && lane->params && has_fields(engine->model, lane));
    assert(lane->mode != LK_TRAIN || (lane->grads && lane->sample));
    assert(lane->mode != LK_EVAL || lane->sums);
    assert(lane->mode != LK_PREDICT || lane->output);
    LK_TRY(get_plan(engine, lane->mode, lane->n, &plan));
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

/* --------------------------------------------------------------- inspection */

lk_status lk_engine_plan_stats(lk_engine *engine, lk_mode mode, int64_t n, lk_plan_stats *out)
{
    lk_plan *plan;

    LK_TRY(get_plan(engine, mode, n, &plan));
    lk_plan_get_stats(plan, engine->trainable, out);
    return LK_OK;
}

lk_status lk_engine_plan_print(lk_engine *engine, lk_mode mode, int64_t n, void (*put)(void *arg, const char *line),
                               void *arg)
{
    lk_plan *plan;

    LK_TRY(get_plan(engine, mode, n, &plan));
    lk_plan_print(plan, put, arg);
    return LK_OK;
}
