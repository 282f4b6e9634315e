/*
 * The reducer: the gradients of a trainable set over the adder.  Its arenas are the engine's memory; its buckets are cut
 * at the tensors that train.
 */
#include "dist/reduce/adder.h"

struct lk_reducer {
    lk_engine *engine; /* borrowed */
    lk_adder *adder;   /* owned */
    int n_arenas;
    float *arena[LK_TREE_DEPTH]; /* owned, the engine's memory */
};

static lk_status cut_set(const lk_trainable *trainable, size_t bucket_bytes, lk_range **bucket, size_t *n_buckets)
{
    const size_t n = lk_model_n_tensors(lk_trainable_model(trainable));
    size_t *cut = lk_alloc(n * sizeof *cut), n_cuts = 0;

    LK_TRY_ALLOC(cut, n * sizeof *cut);
    for (size_t i = 0; i < n; i++)
        if (lk_trainable_has(trainable, i)) cut[n_cuts++] = lk_trainable_offset(trainable, i);
    const lk_status status =
        lk_buckets_new(cut, n_cuts, lk_trainable_n_grads(trainable), bucket_bytes, bucket, n_buckets);
    lk_free(&cut);
    return status;
}

static lk_status alloc_arenas(lk_reducer *reducer, const lk_trainable *trainable)
{
    for (int i = 0; i < lk_adder_n_arenas(reducer->adder); i++) {
        void *arena;
        LK_TRY(lk_engine_alloc(reducer->engine, lk_trainable_n_grads(trainable) * sizeof(float), &arena));
        reducer->arena[reducer->n_arenas++] = arena;
    }
    lk_adder_set_arenas(reducer->adder, reducer->arena);
    return LK_OK;
}

static lk_status open_reducer(lk_reducer *reducer, lk_world *world, const lk_trainable *trainable, lk_reduction kind,
                              int lanes, size_t bucket_bytes)
{
    lk_range *bucket;
    size_t n_buckets;

    LK_TRY(lk_world_agree(world, cut_set(trainable, bucket_bytes, &bucket, &n_buckets)));
    const lk_status status = lk_adder_new(world, reducer->engine, kind, lanes, bucket, n_buckets, &reducer->adder);
    lk_free(&bucket);
    LK_TRY(status);
    return lk_world_agree(world, alloc_arenas(reducer, trainable));
}

lk_status lk_reducer_new(lk_world *world, lk_engine *engine, const lk_trainable *trainable, lk_reduction kind,
                         int lanes, size_t bucket_bytes, lk_reducer **out)
{
    lk_reducer *reducer = lk_alloc(sizeof *reducer);

    *out = NULL;
    LK_TRY(lk_world_agree(world, reducer ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "out of memory: a reducer")));
    reducer->engine = engine;
    const lk_status status = open_reducer(reducer, world, trainable, kind, lanes, bucket_bytes);
    if (status != LK_OK) {
        lk_reducer_free(&reducer);
        return lk_trace(status, __FILE__, __LINE__);
    }
    *out = reducer;
    return LK_OK;
}

void lk_reducer_free(lk_reducer **address)
{
    lk_reducer *reducer = address ? *address : NULL;

    if (!reducer) return;
    lk_adder_free(&reducer->adder); /* first: its thread uses the arenas */
    for (int i = 0; i < reducer->n_arenas; i++) lk_engine_release(reducer->engine, &reducer->arena[i]);
    lk_free(address);
}

lk_status lk_reducer_lane(lk_reducer *reducer, int lane, float **grads)
{
    return lk_adder_lane(reducer->adder, lane, grads);
}

lk_status lk_reducer_empty_lane(lk_reducer *reducer) { return lk_adder_empty_lane(reducer->adder); }

void lk_reducer_ready(void *reducer, size_t begin, size_t end)
{
    lk_adder_ready(((lk_reducer *)reducer)->adder, begin, end);
}

lk_status lk_reducer_finish(lk_reducer *reducer, const float **sum) { return lk_adder_finish(reducer->adder, sum); }

void lk_reducer_get_stats(const lk_reducer *reducer, lk_reducer_stats *out) { lk_adder_get_stats(reducer->adder, out); }
