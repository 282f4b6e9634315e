/*
 * Sums over workers that each have a device of their own, by NCCL, on the queue for reductions; nothing here waits.
 *
 * In the fixed tree, as way_tree.c has it:
 *
 *     direct   short buckets: everybody sends its roots to everybody and adds up alone, in one group of messages
 *     slices   worker s owns slice s of the bucket: gets it of every root, adds it up in the tree's order, and sends it
 *              to everybody.  Two groups; (roots + 1) (W - 1) / W times the bucket's bytes, what a ring takes
 *
 * Or by ncclAllReduce, in the order that NCCL likes.  What a group holds follows from the bucket, so a step that was
 * recorded as a graph replays the same messages.
 */
#include "dist/nccl.h"
#include "dist/way.h"

#include <stdio.h>
#include <string.h>

enum { DIRECT_BYTES = 256 * 1024 }; /* of all roots together; above, slices send less */

typedef struct nccl_way {
    lk_wire *wire;       /* borrowed: counts what is sent */
    lk_memory memory;    /* of the queue for reductions */
    const lk_nccl *nccl;
    void *comm;          /* owned; NULL once given up */
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

/* The most that others send at once. */
static size_t scratch_elem(const nccl_way *way, size_t max_elem)
{
    const size_t direct = DIRECT_BYTES / sizeof(float), slices = (max_elem / (size_t)way->size + 1) * (size_t)way->n_roots;

    return direct > slices ? direct : slices;
}

static lk_status watch(void *state)
{
    nccl_way *way = state;

    if (!way->comm) return LK_FAIL(LK_ERR_PEER, "NCCL was given up after a failure");
    const lk_status status = way->nccl->poll(way->comm);
    if (status == LK_OK) return LK_OK;
    /* Aborting ends what is stuck on the device too, and speaks over the message. */
    char message[512];
    snprintf(message, sizeof message, "%s", lk_error_message());
    void *comm = way->comm;
    way->comm = NULL;
    way->nccl->abort(comm);
    return LK_FAIL(status, "%s", message);
}

/* The job ends: so that no worker's device waits for one that is gone. */
static void give_up(void *state)
{
    nccl_way *way = state;
    void *comm = way->comm;

    way->comm = NULL;
    if (comm) way->nccl->abort(comm);
}

static lk_status join_workers(nccl_way *way, lk_world *world)
{
    char id[LK_NCCL_ID_BYTES] = {0};

    LK_TRY(lk_world_agree(world, way->rank == 0 ? way->nccl->unique_id(id) : LK_OK));
    LK_TRY(lk_world_broadcast(world, id, sizeof id));
    LK_TRY(lk_world_agree(world, way->nccl->open(id, way->size, way->rank, &way->comm)));
    lk_engine_set_poll(way->memory.engine, watch, way);
    lk_world_on_end(world, give_up, way);
    return LK_OK;
}

static lk_status fill(nccl_way *way, int lanes, size_t max_elem)
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

    *state = way;
    lk_status status = way ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "out of memory: %zu bytes for a reduction", sizeof *way);
    if (way) {
        *way = (nccl_way){.wire = wire, .memory = memory, .nccl = lk_engine_collectives(memory.engine),
                          .rank = world->rank, .size = world->size};
        way->memory.queue = LK_QUEUE_REDUCE;
        status = fill(way, lanes, max_elem);
    }
    LK_TRY(lk_world_agree(world, status));
    return join_workers(way, world);
}

static void close_way(void *state)
{
    nccl_way *way = state;

    if (!way) return;
    lk_engine_wait(way->memory.engine);
    lk_engine_set_poll(way->memory.engine, NULL, NULL);
    lk_world_on_end(way->wire->world, NULL, NULL);
    if (way->comm) way->nccl->close(way->comm);
    lk_tree_join_clear(&way->join);
    lk_free(&way->leaf);
    lk_memory_free(way->memory, &way->scratch);
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
    return way->scratch + (size_t)(mine < 0 ? i : i - way->n_own) * length(own);
}

/* Every worker gets from every other its part of each root. */
static lk_status exchange(const void *arg, void *stream)
{
    const nccl_call *call = arg;
    nccl_way *way = call->way;
    const lk_slice own = part_of(way, call, way->rank);

    LK_TRY(way->nccl->group_start());
    for (int d = 1; d < way->size; d++) {
        const int from = (way->rank + way->size - d) % way->size, to = (way->rank + d) % way->size;
        const lk_slice theirs = part_of(way, call, to);

        for (int i = way->join.first[from]; i < way->join.first[from + 1]; i++)
            if (length(own)) LK_TRY(way->nccl->receive(way->comm, leaf_at(way, i, own), length(own), from, stream));
        for (int i = 0; i < way->n_own; i++)
            if (length(theirs))
                LK_TRY(way->nccl->send(way->comm, way->root[i] + theirs.begin, length(theirs), to, stream));
    }
    return way->nccl->group_end();
}

/* Everybody's finished slice to everybody. */
static lk_status gather(const void *arg, void *stream)
{
    const nccl_call *call = arg;
    nccl_way *way = call->way;
    const lk_slice own = part_of(way, call, way->rank);

    LK_TRY(way->nccl->group_start());
    for (int d = 1; d < way->size; d++) {
        const int from = (way->rank + way->size - d) % way->size, to = (way->rank + d) % way->size;
        const lk_slice theirs = part_of(way, call, from);

        if (length(theirs))
            LK_TRY(way->nccl->receive(way->comm, way->root[0] + theirs.begin, length(theirs), from, stream));
        if (length(own)) LK_TRY(way->nccl->send(way->comm, way->root[0] + own.begin, length(own), to, stream));
    }
    return way->nccl->group_end();
}

static lk_status all_reduce(const void *arg, void *stream)
{
    const nccl_call *call = arg;
    nccl_way *way = call->way;

    return way->nccl->all_reduce(way->comm, way->root[0] + call->begin, call->end - call->begin, stream);
}

static lk_status queue_call(nccl_way *way, lk_queued_fn *fn, const nccl_call *call)
{
    return lk_engine_call(way->memory.engine, LK_QUEUE_REDUCE, fn, call, sizeof *call);
}

/* --------------------------------------------------------------------- sums */

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

static void count_sent(nccl_way *way, size_t n_elem)
{
    atomic_fetch_add_explicit(&way->wire->bytes_sent, (int64_t)(n_elem * sizeof(float)), memory_order_relaxed);
}

static lk_status sum_in_tree(void *state, float *const *root, lk_slice bucket)
{
    nccl_way *way = state;
    const nccl_call call = call_of(way, bucket, is_direct(way, length(bucket)));
    const lk_slice own = part_of(way, &call, way->rank);

    memcpy(way->root, root, (size_t)way->n_own * sizeof *root);
    LK_TRY(lk_engine_after(way->memory.engine, LK_QUEUE_REDUCE, LK_QUEUE_COMPUTE));
    LK_TRY(queue_call(way, exchange, &call));
    for (int i = 0; i < way->n_roots; i++) way->leaf[i] = leaf_at(way, i, own);
    LK_TRY(lk_memory_apply(way->memory, way->join.add, way->join.n_adds, way->leaf, 0, length(own)));
    if (way->leaf[0] != root[0] + own.begin)
        LK_TRY(lk_memory_copy(way->memory, root[0] + own.begin, way->leaf[0], length(own)));
    count_sent(way, (size_t)(way->n_own * (way->size - 1)) * (call.whole ? length(bucket) : length(bucket) / (size_t)way->size));
    if (call.whole) return LK_OK;
    count_sent(way, length(own) * (size_t)(way->size - 1));
    return queue_call(way, gather, &call);
}

static lk_status sum_anyhow(void *state, float *const *root, lk_slice bucket)
{
    nccl_way *way = state;
    const nccl_call call = call_of(way, bucket, true);

    memcpy(way->root, root, (size_t)way->n_own * sizeof *root);
    LK_TRY(lk_engine_after(way->memory.engine, LK_QUEUE_REDUCE, LK_QUEUE_COMPUTE));
    for (int i = 1; i < way->n_own; i++)
        LK_TRY(lk_memory_add(way->memory, root[0] + bucket.begin, root[i] + bucket.begin, length(bucket)));
    count_sent(way, length(bucket));
    return queue_call(way, all_reduce, &call);
}

const lk_way lk_way_nccl_tree = {"nccl", true, open_way, close_way, sum_in_tree};
const lk_way lk_way_nccl = {"nccl", true, open_way, close_way, sum_anyhow};
