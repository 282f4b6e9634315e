/*
 * The plans of an engine: found by (mode, lane size), made when they are first asked for.  A run has two or three of them,
 * so the search is a glance.  Training plans belong to the set in use and go when another comes.
 */
#include "engine/engine_impl.h"

#include <assert.h>
#include <stdlib.h>

void lk_engine_finish_plans(lk_engine *engine)
{
    if (engine->device) (void)engine->backend->wait(engine->ctx);
}

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
    lk_engine_finish_plans(engine);
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
    float *zeros = engine->dry ? NULL : lk_alloc(n_elem * sizeof *zeros);
    if (!engine->dry) LK_TRY_ALLOC(zeros, n_elem * sizeof *zeros, "zeros");
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
    LK_TRY(lk_engine_make_room(engine, &engine->act, &engine->act_bytes, plan->graph.act_bytes));
    LK_TRY(lk_engine_make_room(engine, &engine->scratch, &engine->scratch_bytes, plan->scratch_bytes));
    if (!engine->dry) LK_TRY(engine->backend->reserve(engine->ctx));
    if (engine->device && !engine->sums && !engine->dry)
        LK_TRY(lk_engine_alloc(engine, lk_model_n_sums(engine->model) * sizeof(double), &engine->sums));
    if (plan->graph.mode == LK_EVAL || (plan->graph.mode == LK_PREDICT && engine->device))
        LK_TRY(lk_engine_make_room(engine, &engine->output, &engine->output_bytes, output_bytes));
    lk_plan **moved = realloc(engine->plans, (size_t)(engine->n_plans + 1) * sizeof *moved);
    LK_TRY_ALLOC(moved, (size_t)(engine->n_plans + 1) * sizeof *moved);
    engine->plans = moved;
    engine->plans[engine->n_plans++] = plan;
    return LK_OK;
}

lk_status lk_engine_get_plan(lk_engine *engine, lk_mode mode, int64_t n, lk_plan **out)
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
    return lk_engine_get_plan(engine, mode, n, &plan);
}

lk_status lk_engine_check(const lk_engine *engine, const lk_trainable *trainable, lk_mode mode, int64_t n)
{
    return lk_plan_check(engine->backend, trainable, mode, engine->precision, n);
}

/* --------------------------------------------------------------- inspection */

lk_status lk_engine_plan_stats(lk_engine *engine, lk_mode mode, int64_t n, lk_plan_stats *out)
{
    lk_plan *plan;

    LK_TRY(lk_engine_get_plan(engine, mode, n, &plan));
    lk_plan_get_stats(plan, engine->trainable, out);
    return LK_OK;
}

void lk_engine_get_memory(const lk_engine *engine, lk_engine_memory *out)
{
    *out = (lk_engine_memory){
        .activations = engine->act_bytes,
        .scratch = engine->scratch_bytes + engine->n_zeros * sizeof *engine->zeros,
        .packed = engine->backend->packed_nbytes(engine->ctx),
        .output = engine->output_bytes,
    };
}

lk_status lk_engine_plan_print(lk_engine *engine, lk_mode mode, int64_t n, void (*put)(void *arg, const char *line),
                               void *arg)
{
    lk_plan *plan;

    LK_TRY(lk_engine_get_plan(engine, mode, n, &plan));
    lk_plan_print(plan, put, arg);
    return LK_OK;
}
