/*
 * The plans of an engine: found by comparing keys, made when they are first asked for.  A run has a handful of them,
 * one more for each length, so the search is a glance.  Training plans, and those of one side, belong to the set in use
 * and go when another comes.
 */
#include "engine/engine_impl.h"

#include <assert.h>
#include <stdlib.h>

void lk_engine_finish_plans(lk_engine *engine)
{
    if (engine->device) (void)engine->backend->wait(engine->ctx);
}

/* What of a program decides its plan. */
static lk_plan_key key_of(const lk_engine *engine, const lk_program *p)
{
    const bool always = p->mode == LK_PREDICT || p->mode == LK_DECODE, asked = p->mode != LK_TRAIN && p->output;

    return (lk_plan_key){.mode = p->mode, .output = always || asked, .taps = p->taps, .n = p->n, .length = p->length,
                         .capacity = p->cache ? p->cache->layout.capacity : 0,
                         .side = p->side, .accumulate = p->accumulate,
                         .recompute = &engine->recompute,
                         .set = p->mode == LK_TRAIN || p->side != LK_SIDE_BOTH ? engine->trainable_id : 0};
}

static bool same_key(const lk_plan_key *a, const lk_plan_key *b)
{
    return a->mode == b->mode && a->n == b->n && a->length == b->length && a->output == b->output &&
           a->taps == b->taps && a->capacity == b->capacity && a->side == b->side &&
           a->set == b->set && a->accumulate == b->accumulate;
}

static lk_plan *find_plan(const lk_engine *engine, const lk_plan_key *key)
{
    for (int i = 0; i < engine->n_plans; i++)
        if (same_key(&engine->plans[i]->key, key)) return engine->plans[i];
    return NULL;
}

/* Those of training, and of one side. */
static void drop_plans_of_set(lk_engine *engine)
{
    int kept = 0;

    lk_engine_finish_plans(engine);
    engine->tapped = NULL;
    for (int i = 0; i < engine->n_plans; i++) {
        if (engine->plans[i]->key.set != 0) lk_plan_free(&engine->plans[i]);
        else engine->plans[kept++] = engine->plans[i];
    }
    engine->n_plans = kept;
}

void lk_engine_set_trainable(lk_engine *engine, const lk_trainable *trainable)
{
    assert(lk_trainable_model(trainable) == engine->model);
    engine->trainable = trainable;
    if (engine->trainable_id == lk_trainable_id(trainable)) return;
    engine->trainable_id = lk_trainable_id(trainable);
    drop_plans_of_set(engine);
}

void lk_engine_set_recompute(lk_engine *engine, const lk_recompute *recompute)
{
    engine->recompute = *recompute;
    drop_plans_of_set(engine);
}

/* What the plan needs beside itself, and its place in the list. */
static lk_status adopt_plan(lk_engine *engine, lk_plan *plan)
{
    const lk_graph *graph = &plan->graph;

    LK_TRY(lk_engine_make_room(engine, &engine->act, &engine->act_bytes, graph->act_bytes));
    LK_TRY(lk_engine_make_room(engine, &engine->scratch, &engine->scratch_bytes, plan->scratch_bytes));
    LK_TRY(lk_engine_make_room(engine, &engine->taps, &engine->taps_bytes, graph->tap_bytes));
    LK_TRY(lk_engine_make_room(engine, &engine->sums, &engine->sums_bytes, graph->sums_bytes));
    if (!engine->dry) LK_TRY(engine->backend->reserve(engine->ctx));
    if (engine->device)
        LK_TRY(lk_engine_make_room(engine, &engine->output, &engine->output_bytes, graph->output_bytes));
    if (engine->device && graph->side == LK_SIDE_FROZEN)
        LK_TRY(lk_engine_make_room(engine, &engine->features, &engine->features_bytes,
                                   lk_frontier_nbytes(&graph->frontier, graph->n)));
    lk_plan **moved = realloc(engine->plans, (size_t)(engine->n_plans + 1) * sizeof *moved);
    LK_TRY_ALLOC(moved, (size_t)(engine->n_plans + 1) * sizeof *moved);
    engine->plans = moved;
    engine->plans[engine->n_plans++] = plan;
    return LK_OK;
}

static lk_status check_program(const lk_program *p)
{
    const bool coding = p->mode == LK_ENCODE || p->mode == LK_DECODE;

    assert(!p->accumulate || (p->mode == LK_TRAIN && p->side != LK_SIDE_FROZEN));
    assert(p->side == LK_SIDE_BOTH || p->mode == LK_TRAIN || p->mode == LK_EVAL);
    if (p->n < 1)
        return LK_FAIL(LK_ERR_USAGE, "a lane of %lld samples cannot run; it needs at least 1", (long long)p->n);
    if (coding != (p->cache != NULL))
        return LK_FAIL(LK_ERR_USAGE, "a lane that encodes or decodes needs a cache, and no other may have one");
    if (coding && p->cache->layout.rows != p->n)
        return LK_FAIL(LK_ERR_USAGE, "a lane of %lld samples cannot use a cache of %lld rows", (long long)p->n,
                       (long long)p->cache->layout.rows);
    return LK_OK;
}

lk_status lk_engine_plan(lk_engine *engine, const lk_program *program, lk_plan **out)
{
    const lk_plan_key key = key_of(engine, program);

    LK_TRY(check_program(program));
    *out = find_plan(engine, &key);
    if (*out) return LK_OK;
    LK_TRY(lk_plan_new(engine->backend, engine->ctx, engine->trainable, &key, engine->precision,
                       program->cache ? &program->cache->layout : NULL, out));
    const lk_status status = adopt_plan(engine, *out);
    if (status != LK_OK) lk_plan_free(out);
    return status;
}

lk_status lk_engine_compile(lk_engine *engine, const lk_program *program)
{
    lk_plan *plan;
    return lk_engine_plan(engine, program, &plan);
}

lk_status lk_engine_check(const lk_engine *engine, const lk_trainable *trainable, const lk_program *program)
{
    const lk_plan_key key = key_of(engine, program);

    LK_TRY(check_program(program));
    return lk_plan_check(engine->backend, trainable, &key, engine->precision);
}

lk_status lk_engine_frontier(const lk_engine *engine, const lk_trainable *trainable, lk_mode mode, lk_frontier *out)
{
    LK_TRY(lk_plan_frontier(engine->backend, trainable, mode, engine->precision, out));
    out->tiles_samples |= engine->backend->device != NULL; /* its libraries choose among ways that we have not seen */
    return LK_OK;
}

/* --------------------------------------------------------------- inspection */

lk_status lk_engine_estimate(lk_engine *engine, const lk_trainable *trainable, const lk_program *program,
                             lk_plan_stats *out)
{
    const lk_plan_key key = key_of(engine, program);

    LK_TRY(check_program(program));
    return lk_plan_estimate(engine->backend, engine->ctx, trainable, &key, engine->precision, out);
}

lk_status lk_engine_plan_stats(lk_engine *engine, const lk_program *program, lk_plan_stats *out)
{
    lk_plan *plan;

    LK_TRY(lk_engine_plan(engine, program, &plan));
    lk_plan_get_stats(plan, engine->trainable, out);
    return LK_OK;
}

void lk_engine_get_memory(const lk_engine *engine, lk_engine_memory *out)
{
    *out = (lk_engine_memory){
        .activations = engine->act_bytes,
        .scratch = engine->scratch_bytes,
        .packed = engine->backend->packed_nbytes(engine->ctx),
        .output = engine->output_bytes,
        .features = engine->features_bytes,
        .workspace = engine->backend->workspace_nbytes(engine->ctx),
    };
}

lk_status lk_engine_plan_print(lk_engine *engine, const lk_program *program, void (*put)(void *arg, const char *line),
                               void *arg)
{
    lk_plan *plan;

    LK_TRY(lk_engine_plan(engine, program, &plan));
    lk_plan_print(plan, put, arg);
    return LK_OK;
}
