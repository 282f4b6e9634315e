/* One lane through its plan: what goes in, what comes out; and batch norm's running statistics after the reduction. */
#include "engine/engine_impl.h"
#include "engine/model/trainable.h"
#include "engine/nn/build.h"

#include <assert.h>
#include <string.h>

/* The frozen side has no loss. */
static inline bool trains(const lk_lane *lane) { return lane->mode == LK_TRAIN && lane->side != LK_SIDE_FROZEN; }
static inline bool evaluates(const lk_lane *lane) { return lane->mode == LK_EVAL && lane->side != LK_SIDE_FROZEN; }

/* What no node writes: padding and the scalars of this lane, with its first micro-batch.  The loss node overwrites its
 * slot later. */
static lk_status begin_gradients(lk_engine *engine, const lk_plan *plan, const lk_lane *lane)
{
    if (lane->accumulate) return LK_OK;
    const size_t first = lk_trainable_slot(engine->trainable, (lk_slot)0);
    const size_t n_slots = lk_trainable_n_grads(engine->trainable) - first;
    float slots[2 * LK_N_SLOTS] = {0};

    assert(n_slots <= sizeof slots / sizeof *slots);
    for (int i = 0; i < plan->n_unwritten; i++) {
        const lk_range r = plan->unwritten[i];

        LK_TRY(lk_engine_zero(engine, LK_QUEUE_COMPUTE, lane->grads + r.begin, (r.end - r.begin) * sizeof(float)));
    }
    slots[LK_SLOT_MICRO_BATCHES] = lane->n_micro_batches ? (float)lane->n_micro_batches : 1.0f;
    if (lane->votes) memcpy(slots + LK_SLOT_VOTES, lane->votes, LK_N_VOTES * sizeof(float));
    return lk_engine_put(engine, lane->grads + first, slots, n_slots);
}

static lk_launch_args args_of(const lk_engine *engine, const lk_lane *lane)
{
    lk_launch_args args = {
        .base = {[LK_ARENA_PARAMS] = (void *)lane->params, [LK_ARENA_GRADS] = lane->grads,
                 [LK_ARENA_ACT] = engine->act, [LK_ARENA_SCRATCH] = engine->scratch, [LK_ARENA_SUMS] = engine->sums,
                 [LK_ARENA_OUTPUT] = lane->output,
                 [LK_ARENA_CACHE] = lane->cache ? lane->cache->memory : NULL, [LK_ARENA_TAPS] = engine->taps,
                 [LK_ARENA_FEATURES] = lane->features},
        .n = lane->n, .step = lane->step, .position = lane->position, .sample = lane->sample,
        .inv_count = lane->inv_count, .seed = engine->seed,
        .params_version = lane->params_version,
    };

    memcpy(args.base + LK_ARENA_FIELD, lane->field, sizeof lane->field);
    return args;
}

static lk_status run_plan(lk_engine *engine, lk_plan *plan, const lk_lane *lane)
{
    lk_launch_args args = args_of(engine, lane);

    LK_TRY(lk_engine_begin(engine, &plan->graph, &args));
    if (trains(lane)) LK_TRY(begin_gradients(engine, plan, lane));
    if (engine->node_seconds)
        return lk_plan_run_timed(plan, engine->backend, engine->ctx, &args, engine->node_seconds);
    LK_TRY(lk_plan_run(plan, engine->backend, engine->ctx, &args, trains(lane) ? lane->ready : NULL,
                       lane->ready_arg));
    if (plan->key.taps) engine->tapped = plan;
    return LK_OK;
}

/* Adds the sums of one output, and puts those of its columns beside those of the outputs before: they are
 * (LK_N_OUTPUT_SUMS, columns). */
static lk_status take_sums(lk_engine *engine, const lk_tensor *of, size_t n_row, size_t *before, double *sums)
{
    const size_t own = (of->n_elem - LK_N_SUMS) / LK_N_OUTPUT_SUMS;
    const double *there = (const double *)((const char *)engine->sums + of->offset);
    double common[LK_N_SUMS];

    LK_TRY(lk_engine_read(engine, common, there, sizeof common));
    for (int k = 0; k < LK_N_SUMS; k++) sums[k] += common[k];
    for (size_t k = 0; own > 0 && k < LK_N_OUTPUT_SUMS; k++)
        LK_TRY(lk_engine_read(engine, sums + LK_N_SUMS + k * n_row + *before, there + LK_N_SUMS + k * own,
                              own * sizeof *sums));
    *before += own;
    return LK_OK;
}

static lk_status fetch_sums(lk_engine *engine, const lk_graph *graph, double *sums)
{
    size_t before = 0;

    if (graph->n_outputs == 1) return lk_engine_read(engine, sums, engine->sums, graph->sums_bytes);
    memset(sums, 0, LK_N_SUMS * sizeof *sums);
    for (int t = 0; t < graph->n_tensors; t++)
        if (graph->tensors[t].arena == LK_ARENA_SUMS)
            LK_TRY(take_sums(engine, &graph->tensors[t], lk_model_n_row(engine->model), &before, sums));
    return LK_OK;
}

static lk_status check_position(const lk_lane *lane)
{
    const int64_t length = lane->length ? lane->length : 1;

    if (!lane->cache || (lane->position >= 0 && lane->position <= lane->cache->layout.capacity - length)) return LK_OK;
    return LK_FAIL(LK_ERR_USAGE, "positions %lld to %lld do not fit a cache of %lld", (long long)lane->position,
                   (long long)(lane->position + length - 1), (long long)lane->cache->layout.capacity);
}

static inline bool has_fields(const lk_plan *plan, const lk_lane *lane)
{
    for (int f = 0; f < LK_MAX_FIELDS; f++)
        if ((plan->reads >> f & 1u) && !lane->field[f]) return false;
    return true;
}

lk_status lk_engine_run(lk_engine *engine, const lk_lane *lane)
{
    const lk_program program = {.mode = lane->mode, .n = lane->n, .length = lane->length, .cache = lane->cache,
                                .output = lane->output != NULL, .taps = lane->taps, .side = lane->side,
                                .accumulate = lane->accumulate};
    lk_lane there = *lane; /* with its data and its output in the engine's memory */
    lk_plan *plan;

    assert(!engine->dry && lane->params_version != 0 && lane->params);
    assert(!trains(lane) || (lane->grads && lane->sample));
    assert(!evaluates(lane) || lane->sums);
    assert((lane->side == LK_SIDE_BOTH) == (lane->features == NULL));
    assert((lane->mode != LK_PREDICT && lane->mode != LK_DECODE) || lane->output);
    LK_TRY(lk_engine_plan(engine, &program, &plan));
    assert(has_fields(plan, lane));
    LK_TRY(check_position(lane));
    LK_TRY(lk_engine_upload_fields(engine, &there, plan->reads, false));
    there.output = lk_engine_output(engine, lane);
    if (lane->side == LK_SIDE_FROZEN) there.features = lk_engine_features(engine, lane);
    LK_TRY(run_plan(engine, plan, &there));
    if (evaluates(lane)) LK_TRY(fetch_sums(engine, &plan->graph, lane->sums));
    if (lane->side == LK_SIDE_FROZEN && there.features != lane->features)
        return lk_engine_read(engine, lane->features, there.features, lane->features_nbytes);
    if (!plan->key.output || there.output == lane->output) return LK_OK;
    return lk_engine_read(engine, lane->output, there.output, plan->graph.output_bytes);
}

/* ------------------------------------------------------------------ profile */

lk_status lk_engine_profile(lk_engine *engine, const lk_lane *lane, lk_node_time_fn *put, void *arg)
{
    const lk_program program = {.mode = lane->mode, .n = lane->n, .length = lane->length, .side = lane->side};
    lk_plan *plan;

    assert(lane->mode == LK_TRAIN && !lane->taps);
    LK_TRY(lk_engine_plan(engine, &program, &plan));
    double *seconds = lk_alloc(((size_t)plan->n_kernels + 1) * sizeof *seconds);
    LK_TRY_ALLOC(seconds, ((size_t)plan->n_kernels + 1) * sizeof *seconds);
    engine->node_seconds = seconds;
    const lk_status status = lk_engine_run(engine, lane);
    engine->node_seconds = NULL;
    if (status == LK_OK) lk_plan_put_times(plan, seconds, put, arg);
    lk_free(&seconds);
    return status;
}

/* --------------------------------------------------------------- statistics */

/* Where all batch norms collect, they are one range and so one pass. */
lk_status lk_engine_update_stats(lk_engine *engine, float *params, const float *grads, const lk_grad_report *report)
{
    const lk_trainable *trainable = engine->trainable;
    const float *n_micro = grads + lk_trainable_slot(trainable, LK_SLOT_MICRO_BATCHES);

    for (size_t r = 0; r < lk_trainable_n_stat_ranges(trainable); r++) {
        const lk_trainable_range *range = lk_trainable_get_stat_range(trainable, r);

        LK_TRY(engine->backend->running(engine->ctx, params + range->param, grads + range->grad, range->n_elem,
                                        LK_BATCH_NORM_MOMENTUM, n_micro, report->pending));
    }
    return LK_OK;
}
