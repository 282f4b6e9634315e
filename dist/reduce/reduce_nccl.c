/*
 * Sums over workers that each have a device of their own, by NCCL, on the queue for reductions; nothing here waits.
 *
 * In the fixed tree, as way_tree.c has it:
 *
 *     direct   short buckets: everybody sends its roots to everybody and adds up alone, in one group of messages
 *     slices   worker s owns slice s of the bucket: gets it of every root, adds it up in the tree's order, and sends it
 *              to everybody.  Two groups; (roots + 1) (W - 1) / W times the bucket's bytes, what a ring takes
 *
 * Or by ncclAllReduce, in the order that NCCL likes.  What a group holds follows from the bucket alone, so a step that
 * was recorded as a graph replays the same messages.
 */
#include "dist/reduce/nccl_comm.h"
#include "dist/reduce/algorithm.h"

#include <assert.h>
#include <string.h>

enum { DIRECT_BYTES = 256 * 1024 }; /* of all roots together; above, slices send less */

typedef struct nccl_way {
    lk_wire *wire;       /* borrowed: counts what is sent */
    lk_memory memory;    /* of the queue for reductions */
    const lk_nccl *nccl;
    lk_nccl_comm *comm;  /* owned */
    int rank, size, n_own, n_roots;
    lk_tree_join join;
    float **leaf;        /* owned, (n_roots): of the bucket that is being queued */
    float *scratch;      /* owned, device: what others send */
    float *root[LK_TREE_DEPTH]; /* borrowed, of this worker */
} nccl_way;

/* What a queued call works on. */
typedef struct nccl_call {
    nccl_way *way;
    size_t begin, end;
    int64_t whole;       /* everybody gets all of the bucket, not its slice */
} nccl_call;

static size_t length(lk_slice s) { return s.end - s.begin; }

/* ------------------------------------------------------------ open and close */

static bool is_direct(const nccl_way *way, size_t n_elem)
{
    return n_elem * sizeof(float) * (size_t)way->n_roots <= DIRECT_BYTES;
}

/* Received roots lie this far apart: each begins at a cache line. */
static size_t leaf_stride(size_t n_elem) { return (n_elem + LK_SLICE_ALIGN - 1) / LK_SLICE_ALIGN * LK_SLICE_ALIGN; }

/* The most that others send at once. */
static size_t scratch_elem(const nccl_way *way, size_t max_elem)
{
    const size_t others = (size_t)(way->n_roots - way->n_own);
    const size_t direct = DIRECT_BYTES / sizeof(float) / (size_t)way->n_roots;
    const size_t slice = length(lk_slice_part((lk_slice){0, max_elem}, 0, way->size));

    return others * leaf_stride(direct > slice ? direct : slice);
}

static lk_status prepare(nccl_way *way, int lanes, size_t max_elem)
{
    LK_TRY(lk_tree_join_new(lanes, way->size, &way->join));
    way->n_roots = way->join.first[way->size];
    way->n_own = way->join.first[way->rank + 1] - way->join.first[way->rank];
    way->leaf = lk_alloc((size_t)way->n_roots * sizeof *way->leaf);
    LK_TRY_ALLOC(way->leaf, (size_t)way->n_roots * sizeof *way->leaf);
    return lk_memory_alloc(way->memory, scratch_elem(way, max_elem) * sizeof *way->scratch, (void **)&way->scratch);
}

static lk_status open_way(lk_wire *wire, lk_memory memory, int lanes, size_t max_elem, void **state)
{
    nccl_way *way = lk_alloc(sizeof *way);
    lk_world *world = wire->world;
    lk_status status = LK_OK;

    *state = way;
    if (way) {
        way->wire = wire;
        way->memory = memory;
        way->memory.queue = LK_QUEUE_REDUCE;
        way->nccl = lk_engine_collectives(memory.engine);
        way->rank = world->rank;
        way->size = world->size;
        status = prepare(way, lanes, max_elem);
    } else {
        status = LK_FAIL(LK_ERR_SYSTEM, "out of memory: %zu bytes for a reduction", sizeof *way);
    }
    LK_TRY(lk_world_agree(world, status));
    return lk_nccl_comm_new(world, memory.engine, &way->comm);
}

/* Scratch goes first: releasing it drops the recorded graphs, and NCCL waits for those that hold its operations. */
static void close_way(void *state)
{
    nccl_way *way = state;

    if (!way) return;
    lk_memory_free(way->memory, &way->scratch);
    lk_nccl_comm_free(&way->comm);
    lk_tree_join_clear(&way->join);
    lk_free(&way->leaf);
    lk_free(&way);
}

/* --------------------------------------------------------- calls on the queue */

static lk_slice part_of(const nccl_way *way, const nccl_call *call, int worker)
{
    const lk_slice bucket = {call->begin, call->end};

    return call->whole ? bucket : lk_slice_part(bucket, worker, way->size);
}

/* Where root i's part is added up, when this worker's part is `own`: in its arena, or where it is received. */
static float *leaf_at(const nccl_way *way, int i, lk_slice own)
{
    const int mine = i - way->join.first[way->rank];

    if (mine >= 0 && mine < way->n_own) return way->root[mine] + own.begin;
    return way->scratch + (size_t)(mine < 0 ? i : i - way->n_own) * leaf_stride(length(own));
}

static lk_status send(const nccl_way *way, void *comm, const float *from, size_t n_elem, int to, void *stream)
{
    return n_elem ? way->nccl->send(comm, from, n_elem, to, stream) : LK_OK;
}

static lk_status receive(const nccl_way *way, void *comm, float *into, size_t n_elem, int from, void *stream)
{
    return n_elem ? way->nccl->receive(comm, into, n_elem, from, stream) : LK_OK;
}

/* Every worker gets from every other its part of each root. */
static lk_status exchange_roots(const nccl_call *call, void *comm, void *stream)
{
    const nccl_way *way = call->way;
    const lk_slice own = part_of(way, call, way->rank);

    for (int d = 1; d < way->size; d++) {
        const int from = (way->rank + way->size - d) % way->size, to = (way->rank + d) % way->size;
        const lk_slice theirs = part_of(way, call, to);

        for (int i = way->join.first[from]; i < way->join.first[from + 1]; i++)
            LK_TRY(receive(way, comm, leaf_at(way, i, own), length(own), from, stream));
        for (int i = 0; i < way->n_own; i++)
            LK_TRY(send(way, comm, way->root[i] + theirs.begin, length(theirs), to, stream));
    }
    return LK_OK;
}

/* Everybody's finished slice to everybody. */
static lk_status gather_slices(const nccl_call *call, void *comm, void *stream)
{
    const nccl_way *way = call->way;
    const lk_slice own = part_of(way, call, way->rank);

    for (int d = 1; d < way->size; d++) {
        const int from = (way->rank + way->size - d) % way->size, to = (way->rank + d) % way->size;
        const lk_slice theirs = part_of(way, call, from);

        LK_TRY(receive(way, comm, way->root[0] + theirs.begin, length(theirs), from, stream));
        LK_TRY(send(way, comm, way->root[0] + own.begin, length(own), to, stream));
    }
    return LK_OK;
}

/* A group that was begun is ended also when something in it failed, or this thread would be in it for ever. */
static lk_status in_group(const nccl_call *call, void *stream,
                          lk_status (*post)(const nccl_call *call, void *comm, void *stream))
{
    const nccl_way *way = call->way;
    void *comm;

    LK_TRY(lk_nccl_comm_get(way->comm, &comm));
    LK_TRY(way->nccl->group_start());
    const lk_status posted = post(call, comm, stream), ended = way->nccl->group_end();
    return posted != LK_OK ? posted : ended;
}

static lk_status exchange(const void *arg, void *stream) { return in_group(arg, stream, exchange_roots); }
static lk_status gather(const void *arg, void *stream) { return in_group(arg, stream, gather_slices); }

static lk_status all_reduce(const void *arg, void *stream)
{
    const nccl_call *call = arg;
    const nccl_way *way = call->way;
    void *comm;

    LK_TRY(lk_nccl_comm_get(way->comm, &comm));
    return way->nccl->all_reduce(comm, way->root[0] + call->begin, call->end - call->begin, stream);
}

/* --------------------------------------------------------------------- sums */

/* Padding and all: calls are told apart by their bytes. */
static nccl_call call_of(nccl_way *way, lk_slice bucket, bool whole)
{
    nccl_call call;

    memset(&call, 0, sizeof call);
    call.way = way;
    call.begin = bucket.begin;
    call.end = bucket.end;
    call.whole = whole;
    return call;
}

static lk_status queue_call(nccl_way *way, lk_queued_fn *fn, const nccl_call *call)
{
    return lk_engine_call(way->memory.engine, LK_QUEUE_REDUCE, fn, call, sizeof *call);
}

/* The bucket's sum begins after what has been computed.  Calls run later, and find the roots in the way: they are the
 * same for every bucket. */
static lk_status begin_sum(nccl_way *way, float *const *root)
{
    assert(!way->root[0] || memcmp(way->root, root, (size_t)way->n_own * sizeof *root) == 0);
    memcpy(way->root, root, (size_t)way->n_own * sizeof *root);
    return lk_engine_after(way->memory.engine, LK_QUEUE_REDUCE, LK_QUEUE_COMPUTE);
}

static void count_sent(nccl_way *way, size_t n_elem)
{
    atomic_fetch_add_explicit(&way->wire->bytes_sent, (int64_t)(n_elem * sizeof(float)), memory_order_relaxed);
}

/* Adds this worker's part up and leaves it where its first root was. */
static lk_status add_roots(nccl_way *way, lk_slice own)
{
    float *into = way->root[0] + own.begin;

    if (length(own) == 0) return LK_OK;
    for (int i = 0; i < way->n_roots; i++) way->leaf[i] = leaf_at(way, i, own);
    LK_TRY(lk_memory_apply(way->memory, way->join.add, way->join.n_adds, way->leaf, 0, length(own)));
    return way->leaf[0] == into ? LK_OK : lk_memory_copy(way->memory, into, way->leaf[0], length(own));
}

static lk_status sum_in_tree(void *state, float *const *root, lk_slice bucket)
{
    nccl_way *way = state;
    const nccl_call call = call_of(way, bucket, is_direct(way, length(bucket)));
    const lk_slice own = part_of(way, &call, way->rank);
    const size_t others = (size_t)(way->size - 1), sent = call.whole ? others * length(bucket) : length(bucket) - length(own);

    LK_TRY(begin_sum(way, root));
    LK_TRY(queue_call(way, exchange, &call));
    LK_TRY(add_roots(way, own));
    count_sent(way, (size_t)way->n_own * sent);
    if (call.whole) return LK_OK;
    count_sent(way, others * length(own));
    return queue_call(way, gather, &call);
}

static lk_status sum_anyhow(void *state, float *const *root, lk_slice bucket)
{
    nccl_way *way = state;
    const nccl_call call = call_of(way, bucket, true);

    LK_TRY(begin_sum(way, root));
    for (int i = 1; i < way->n_own; i++)
        LK_TRY(lk_memory_add(way->memory, root[0] + bucket.begin, root[i] + bucket.begin, length(bucket)));
    count_sent(way, length(bucket));
    return queue_call(way, all_reduce, &call);
}

const lk_way lk_way_nccl_tree = {true, open_way, close_way, sum_in_tree};
const lk_way lk_way_nccl = {true, open_way, close_way, sum_anyhow};
