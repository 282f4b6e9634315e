/*
 * The reducer: lanes of one worker into the roots of its run of lanes, then the roots of all workers into one sum.
 *
 *     lk_reducer_lane()    an arena for the lane; a worker needs about log2(own lanes) + 1 of them
 *     lk_reducer_ready()   what the tree adds after this lane is added at once for the slice that is final, while it is
 *                          still in the cache; in the last own lane this completes buckets (buckets.c), which go on
 *                          their way to the other workers (exchange.c)
 *     lk_reducer_finish()  the sum
 *
 * Arenas on devices: what lanes add up is queued behind them.
 */
#include "dist/reduce/reducer.h"

#include "dist/reduce/bf16.h"
#include "dist/reduce/gather.h"

#include <assert.h>

struct lk_reducer {
    lk_engine *engine;            /* borrowed, whose memory the arenas are; NULL: the host's */
    lk_mem_space space;           /* where they lie; its queue is the lanes' */
    lk_tree_local run;
    float *arena[LK_TREE_DEPTH];  /* owned, (run.n_buffers); the roots come first */
    lk_buckets buckets;
    lk_exchange exchange;
    lk_status status;             /* of what was queued for the current lanes */
    int lane;                     /* the current one, or the next before lk_reducer_lane() */
    size_t n_ready;               /* elements of the current lane that are final */
};

/* --------------------------------------------------------------- new and free */

static lk_status check_wire(const lk_reducer *reducer, lk_reduction kind)
{
    if (kind != LK_REDUCE_TREE)
        return LK_FAIL(LK_ERR_USAGE, "dist.wire=bf16 sums in the tree alone; use dist.reduction=tree");
    if (lk_mem_space_is_device(reducer->space))
        return LK_FAIL(LK_ERR_USAGE, "dist.wire=bf16: the %s engine cannot round sums; use dist.wire=fp32",
                       lk_engine_name(reducer->engine));
    return LK_OK;
}

static lk_status prepare(lk_reducer *reducer, const lk_world *world, lk_reduction kind, int lanes, lk_arena_cuts cuts,
                         size_t bucket_bytes)
{
    int begin, end;

    if (cuts.apart > 0) LK_TRY(check_wire(reducer, kind));

    LK_TRY(lk_world_lanes(world, lanes, &begin, &end));
    LK_TRY(lk_tree_local_new(lanes, begin, end, &reducer->run));
    LK_TRY(lk_buckets_cut(cuts, bucket_bytes, &reducer->buckets));
    reducer->lane = begin;
    return LK_OK;
}

static lk_status alloc_arenas(lk_reducer *reducer)
{
    const size_t nbytes = reducer->buckets.n_elem * sizeof(float);

    for (int i = 0; i < reducer->run.n_buffers; i++) {
        if (reducer->engine) {
            LK_TRY(lk_engine_alloc(reducer->engine, nbytes, (void **)&reducer->arena[i]));
            continue;
        }
        reducer->arena[i] = lk_alloc(nbytes);
        LK_TRY_ALLOC(reducer->arena[i], nbytes);
    }
    return LK_OK;
}

/* Agrees with the others on each step, for the next one may wait for them. */
static lk_status open_reducer(lk_reducer *reducer, lk_world *world, lk_reduction kind, int lanes, lk_arena_cuts cuts,
                              size_t bucket_bytes, const lk_shards *shards)
{
    lk_exchange *x = &reducer->exchange;

    LK_TRY(lk_world_agree(world, prepare(reducer, world, kind, lanes, cuts, bucket_bytes)));
    *x = (lk_exchange){.world = world, .space = reducer->space, .buckets = &reducer->buckets, .shards = shards,
                       .root = reducer->arena, .n_roots = reducer->run.n_roots};
    assert(!shards || shards->n == reducer->buckets.n);
    LK_TRY(lk_exchange_open(x, kind, lanes));
    return lk_world_agree(world, alloc_arenas(reducer));
}

lk_status lk_reducer_new_plain(lk_world *world, lk_engine *engine, lk_reduction kind, int lanes, lk_arena_cuts cuts,
                               size_t bucket_bytes, const lk_shards *shards, lk_reducer **out)
{
    lk_reducer *reducer = lk_alloc(sizeof *reducer);

    *out = NULL;
    LK_TRY(lk_world_agree(world, reducer ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "out of memory: a reducer")));
    reducer->engine = engine;
    reducer->space = (lk_mem_space){engine && lk_engine_on_device(engine) ? engine : NULL, LK_QUEUE_COMPUTE, false};
    const lk_status status = open_reducer(reducer, world, kind, lanes, cuts, bucket_bytes, shards);
    if (status != LK_OK) {
        lk_reducer_free(&reducer);
        return lk_trace(status, __FILE__, __LINE__);
    }
    *out = reducer;
    return LK_OK;
}

lk_status lk_reducer_new(lk_world *world, lk_engine *engine, const lk_trainable *trainable, lk_reduction kind,
                         lk_wire wire, int lanes, size_t bucket_bytes, const lk_shards *shards, lk_reducer **out)
{
    const size_t n = lk_model_n_tensors(lk_trainable_model(trainable)) + 1;
    size_t *cut = lk_alloc(n * sizeof *cut);

    *out = NULL;
    LK_TRY(lk_world_agree(world, cut ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "out of memory: places of %zu tensors", n)));
    lk_arena_cuts cuts = lk_cuts_of(trainable, shards != NULL, cut);
    if (wire == LK_WIRE_BF16) cuts.apart = lk_trainable_n_elem(trainable);
    const lk_status status = lk_reducer_new_plain(world, engine, kind, lanes, cuts, bucket_bytes, shards, out);
    lk_free(&cut);
    return status;
}

void lk_reducer_free(lk_reducer **address)
{
    lk_reducer *reducer = address ? *address : NULL;

    if (!reducer) return;
    lk_exchange_close(&reducer->exchange); /* first: its thread uses the arenas */
    for (int i = 0; i < reducer->run.n_buffers; i++) {
        if (reducer->engine) lk_engine_release(reducer->engine, &reducer->arena[i]);
        else lk_free(&reducer->arena[i]);
    }
    lk_tree_local_clear(&reducer->run);
    lk_buckets_clear(&reducer->buckets);
    lk_free(address);
}

/* ----------------------------------------------------------------------- lanes */

static float *arena_of_lane(const lk_reducer *reducer)
{
    return reducer->arena[reducer->run.buffer[reducer->lane - reducer->run.begin]];
}

static bool is_last_lane(const lk_reducer *reducer) { return reducer->lane == reducer->run.end - 1; }

/* The current lane is done; the next one is due. */
static void close_lane(lk_reducer *reducer)
{
    assert(reducer->n_ready == reducer->buckets.n_elem); /* the engine says of every element that it is final, once */
    reducer->n_ready = 0;
    reducer->lane++;
}

lk_status lk_reducer_lane(lk_reducer *reducer, int lane, float **grads)
{
    if (reducer->n_ready > 0) close_lane(reducer);
    assert(lane == reducer->lane && lane < reducer->run.end);
    if (is_last_lane(reducer)) lk_buckets_begin(&reducer->buckets);
    *grads = arena_of_lane(reducer);
    return LK_OK;
}

lk_status lk_reducer_empty_lane(lk_reducer *reducer)
{
    LK_TRY(lk_mem_space_zero(reducer->space, arena_of_lane(reducer), reducer->buckets.n_elem));
    lk_reducer_ready(reducer, 0, reducer->buckets.n_elem);
    return LK_OK;
}

/* What the tree adds after the current lane, in [begin, end). */
static lk_status add_range(lk_reducer *reducer, bool rounds, size_t begin, size_t end)
{
    const lk_tree_local *run = &reducer->run;
    const int i = reducer->lane - run->begin;
    lk_mem_space space = reducer->space;

    space.rounds = rounds;
    return lk_mem_space_apply(space, run->add + run->first_add[i], run->first_add[i + 1] - run->first_add[i],
                              reducer->arena, begin, end);
}

/* Gradients that travel as bf16 are rounded before they are added to anything. */
static lk_status add_lane(lk_reducer *reducer, size_t begin, size_t end)
{
    const size_t apart = reducer->buckets.apart, cut = apart < begin ? begin : apart < end ? apart : end;

    if (cut > begin) {
        lk_bf16_round(arena_of_lane(reducer) + begin, cut - begin);
        LK_TRY(add_range(reducer, true, begin, cut));
    }
    return cut < end ? add_range(reducer, false, cut, end) : LK_OK;
}

void lk_reducer_ready(void *arg, size_t begin, size_t end)
{
    lk_reducer *reducer = arg;
    const size_t before = reducer->buckets.n_complete;

    if (reducer->status == LK_OK) reducer->status = add_lane(reducer, begin, end);
    reducer->n_ready += end - begin;
    if (!is_last_lane(reducer)) return;
    lk_buckets_ready(&reducer->buckets, begin, end);
    if (reducer->status == LK_OK)
        reducer->status = lk_exchange_post(&reducer->exchange, before, reducer->buckets.n_complete);
}

lk_status lk_reducer_finish(lk_reducer *reducer, const float **sum)
{
    close_lane(reducer);
    assert(reducer->lane == reducer->run.end && reducer->buckets.n_complete == reducer->buckets.n);
    reducer->lane = reducer->run.begin;
    *sum = reducer->arena[0];
    LK_TRY(reducer->status);
    return lk_exchange_finish(&reducer->exchange);
}

lk_status lk_reducer_gather_plain(lk_reducer *reducer, float *array)
{
    return lk_exchange_gather(&reducer->exchange, array);
}

lk_status lk_reducer_gather(lk_reducer *reducer, const lk_trainable *trainable, float *params)
{
    return lk_gather_params(&reducer->exchange, trainable, reducer->arena[0], params);
}

void lk_reducer_get_stats(const lk_reducer *reducer, lk_reducer_stats *out)
{
    *out = (lk_reducer_stats){
        .n_buckets = reducer->buckets.n,
        .n_arenas = reducer->run.n_buffers,
        .exchange_nbytes = lk_exchange_nbytes(&reducer->exchange),
        .bytes_sent = atomic_load(&reducer->exchange.p2p.bytes_sent),
        .seconds_waited = reducer->exchange.seconds_waited,
        .transport = reducer->exchange.transport.name,
    };
}
