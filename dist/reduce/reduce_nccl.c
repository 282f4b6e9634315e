/*
 * Sums over workers that each have a device of their own, by NCCL, on the queue for reductions; nothing here waits.
 *
 * In the fixed tree, as reduce_tree.c has it:
 *
 *     direct   short buckets: everybody sends its roots to everybody and adds up alone, in one group of messages
 *     slices   worker s owns slice s of the bucket: gets it of every root, adds it up in the tree's order, and sends it
 *              to everybody.  Two groups; (roots + 1) (W - 1) / W times the bucket's bytes, what a ring takes
 *
 * Or by ncclAllReduce, in the order that NCCL likes.  What a group holds follows from the bucket alone.
 */
#include "dist/reduce/nccl_comm.h"
#include "dist/reduce/algorithm.h"

#include <assert.h>
#include <string.h>

enum { DIRECT_BYTES = 256 * 1024 }; /* of all roots together; above, slices send less */

typedef struct nccl_state {
    lk_p2p *p2p;         /* borrowed: counts what is sent */
    lk_mem_space space;  /* of the queue for reductions */
    const lk_nccl *nccl;
    lk_nccl_comm *comm;  /* owned */
    int rank, size, n_own, n_roots; /* rank: the place, NCCL's rank too */
    lk_tree_join join;
    float **leaf;        /* owned, (n_roots): of the bucket that is being queued */
    float *scratch;      /* owned, device: what others send */
    size_t scratch_nbytes;
    float *root[LK_TREE_DEPTH]; /* borrowed, of this worker */
} nccl_state;

/* What a queued call works on. */
typedef struct nccl_call {
    nccl_state *algorithm;
    size_t begin, end;
    int64_t whole;       /* everybody gets all of the bucket, not its slice */
} nccl_call;

static size_t length(lk_range s) { return s.end - s.begin; }

/* ------------------------------------------------------------ open and close */

static bool is_direct(const nccl_state *algorithm, size_t n_elem)
{
    return n_elem * sizeof(float) * (size_t)algorithm->n_roots <= DIRECT_BYTES;
}

/* Received roots lie this far apart: each begins at a cache line. */
static size_t leaf_stride(size_t n_elem) { return (n_elem + LK_RANGE_ALIGN - 1) / LK_RANGE_ALIGN * LK_RANGE_ALIGN; }

/* The most that others send at once. */
static size_t scratch_elem(const nccl_state *algorithm, size_t max_elem)
{
    const size_t others = (size_t)(algorithm->n_roots - algorithm->n_own);
    const size_t direct = DIRECT_BYTES / sizeof(float) / (size_t)algorithm->n_roots;
    const size_t slice = length(lk_range_part((lk_range){0, max_elem}, 0, algorithm->size));

    return others * leaf_stride(direct > slice ? direct : slice);
}

static lk_status prepare(nccl_state *algorithm, int lanes, size_t max_elem)
{
    LK_TRY(lk_tree_join_new(lanes, algorithm->size, &algorithm->join));
    algorithm->n_roots = algorithm->join.first[algorithm->size];
    algorithm->n_own = algorithm->join.first[algorithm->rank + 1] - algorithm->join.first[algorithm->rank];
    algorithm->leaf = lk_alloc((size_t)algorithm->n_roots * sizeof *algorithm->leaf);
    LK_TRY_ALLOC(algorithm->leaf, (size_t)algorithm->n_roots * sizeof *algorithm->leaf);
    algorithm->scratch_nbytes = scratch_elem(algorithm, max_elem) * sizeof *algorithm->scratch;
    return lk_mem_space_alloc(algorithm->space, algorithm->scratch_nbytes, (void **)&algorithm->scratch);
}

static lk_status open_algorithm(lk_p2p *p2p, lk_mem_space space, int lanes, const lk_lengths *longest,
                                void **state)
{
    nccl_state *algorithm = lk_alloc(sizeof *algorithm);
    lk_world *world = p2p->world;
    lk_status status = LK_OK;

    *state = algorithm;
    if (algorithm) {
        algorithm->p2p = p2p;
        algorithm->space = space;
        algorithm->space.queue = LK_QUEUE_REDUCE;
        algorithm->nccl = lk_engine_collectives(space.engine);
        algorithm->rank = world->place;
        algorithm->size = world->size;
        status = prepare(algorithm, lanes, longest->bucket);
    } else {
        status = LK_FAIL(LK_ERR_SYSTEM, "out of memory: %zu bytes for a reduction", sizeof *algorithm);
    }
    LK_TRY(lk_world_agree(world, status));
    return lk_nccl_comm_new(world, space.engine, &algorithm->comm);
}

static size_t nbytes(const void *state)
{
    const nccl_state *algorithm = state;

    return algorithm->scratch_nbytes;
}

/* Scratch goes first: releasing it waits for what is queued on the communicator. */
static void close_algorithm(void *state)
{
    nccl_state *algorithm = state;

    if (!algorithm) return;
    lk_mem_space_free(algorithm->space, &algorithm->scratch);
    lk_nccl_comm_free(&algorithm->comm);
    lk_tree_join_clear(&algorithm->join);
    lk_free(&algorithm->leaf);
    lk_free(&algorithm);
}

/* --------------------------------------------------------- calls on the queue */

static lk_range part_of(const nccl_state *algorithm, const nccl_call *call, int worker)
{
    const lk_range bucket = {call->begin, call->end};

    return call->whole ? bucket : lk_range_part(bucket, worker, algorithm->size);
}

/* Where root i's part is added up, when this worker's part is `own`: in its arena, or where it is received. */
static float *leaf_at(const nccl_state *algorithm, int i, lk_range own)
{
    const int mine = i - algorithm->join.first[algorithm->rank];

    if (mine >= 0 && mine < algorithm->n_own) return algorithm->root[mine] + own.begin;
    return algorithm->scratch + (size_t)(mine < 0 ? i : i - algorithm->n_own) * leaf_stride(length(own));
}

static lk_status send(const nccl_state *algorithm, void *comm, const float *from, size_t n_elem, int to, void *stream)
{
    return n_elem ? algorithm->nccl->send(comm, from, n_elem, to, stream) : LK_OK;
}

static lk_status receive(const nccl_state *algorithm, void *comm, float *into, size_t n_elem, int from, void *stream)
{
    return n_elem ? algorithm->nccl->receive(comm, into, n_elem, from, stream) : LK_OK;
}

/* Every worker gets from every other its part of each root. */
static lk_status exchange_roots(const nccl_call *call, void *comm, void *stream)
{
    const nccl_state *algorithm = call->algorithm;
    const lk_range own = part_of(algorithm, call, algorithm->rank);

    for (int d = 1; d < algorithm->size; d++) {
        const int from = (algorithm->rank + algorithm->size - d) % algorithm->size,
                  to = (algorithm->rank + d) % algorithm->size;
        const lk_range theirs = part_of(algorithm, call, to);

        for (int i = algorithm->join.first[from]; i < algorithm->join.first[from + 1]; i++)
            LK_TRY(receive(algorithm, comm, leaf_at(algorithm, i, own), length(own), from, stream));
        for (int i = 0; i < algorithm->n_own; i++)
            LK_TRY(send(algorithm, comm, algorithm->root[i] + theirs.begin, length(theirs), to, stream));
    }
    return LK_OK;
}

/* Everybody's finished slice to everybody. */
static lk_status gather_slices(const nccl_call *call, void *comm, void *stream)
{
    const nccl_state *algorithm = call->algorithm;
    const lk_range own = part_of(algorithm, call, algorithm->rank);

    for (int d = 1; d < algorithm->size; d++) {
        const int from = (algorithm->rank + algorithm->size - d) % algorithm->size,
                  to = (algorithm->rank + d) % algorithm->size;
        const lk_range theirs = part_of(algorithm, call, from);

        LK_TRY(receive(algorithm, comm, algorithm->root[0] + theirs.begin, length(theirs), from, stream));
        LK_TRY(send(algorithm, comm, algorithm->root[0] + own.begin, length(own), to, stream));
    }
    return LK_OK;
}

/* A group that was begun is ended also when something in it failed, or this thread would be in it for ever. */
static lk_status in_group(const nccl_call *call, void *stream,
                          lk_status (*post)(const nccl_call *call, void *comm, void *stream))
{
    const nccl_state *algorithm = call->algorithm;
    void *comm;

    LK_TRY(lk_nccl_comm_get(algorithm->comm, &comm));
    LK_TRY(algorithm->nccl->group_start());
    const lk_status posted = post(call, comm, stream), ended = algorithm->nccl->group_end();
    return posted != LK_OK ? posted : ended;
}

static lk_status exchange(const void *arg, void *stream) { return in_group(arg, stream, exchange_roots); }
static lk_status gather(const void *arg, void *stream) { return in_group(arg, stream, gather_slices); }

static lk_status all_reduce(const void *arg, void *stream)
{
    const nccl_call *call = arg;
    const nccl_state *algorithm = call->algorithm;
    void *comm;

    LK_TRY(lk_nccl_comm_get(algorithm->comm, &comm));
    return algorithm->nccl->all_reduce(comm, algorithm->root[0] + call->begin, call->end - call->begin, stream);
}

/* --------------------------------------------------------------------- sums */

/* Padding and all: calls are told apart by their bytes. */
static nccl_call call_of(nccl_state *algorithm, lk_range bucket, bool whole)
{
    nccl_call call;

    memset(&call, 0, sizeof call);
    call.algorithm = algorithm;
    call.begin = bucket.begin;
    call.end = bucket.end;
    call.whole = whole;
    return call;
}

static lk_status queue_call(nccl_state *algorithm, lk_queued_fn *fn, const nccl_call *call)
{
    return lk_engine_call(algorithm->space.engine, LK_QUEUE_REDUCE, true, fn, call, sizeof *call);
}

/* The bucket's sum begins after what has been computed.  Calls run later, and find the roots in the way: they are the
 * same for every bucket. */
static lk_status begin_sum(nccl_state *algorithm, float *const *root)
{
    assert(!algorithm->root[0] || memcmp(algorithm->root, root, (size_t)algorithm->n_own * sizeof *root) == 0);
    memcpy(algorithm->root, root, (size_t)algorithm->n_own * sizeof *root);
    return lk_engine_after(algorithm->space.engine, LK_QUEUE_REDUCE, LK_QUEUE_COMPUTE);
}

static void count_sent(nccl_state *algorithm, size_t n_elem)
{
    atomic_fetch_add_explicit(&algorithm->p2p->bytes_sent, (int64_t)(n_elem * sizeof(float)), memory_order_relaxed);
}

/* Adds this worker's part up and leaves it where its first root was. */
static lk_status add_roots(nccl_state *algorithm, lk_range own)
{
    float *into = algorithm->root[0] + own.begin;

    if (length(own) == 0) return LK_OK;
    for (int i = 0; i < algorithm->n_roots; i++) algorithm->leaf[i] = leaf_at(algorithm, i, own);
    LK_TRY(lk_mem_space_apply(algorithm->space, algorithm->join.add, algorithm->join.n_adds, algorithm->leaf, 0,
                              length(own)));
    return algorithm->leaf[0] == into ? LK_OK
                                      : lk_mem_space_copy(algorithm->space, into, algorithm->leaf[0], length(own));
}

static lk_status sum_in_tree(void *state, float *const *root, lk_range bucket)
{
    nccl_state *algorithm = state;
    const nccl_call call = call_of(algorithm, bucket, is_direct(algorithm, length(bucket)));
    const lk_range own = part_of(algorithm, &call, algorithm->rank);
    const size_t others = (size_t)(algorithm->size - 1),
                 sent = call.whole ? others * length(bucket) : length(bucket) - length(own);

    LK_TRY(begin_sum(algorithm, root));
    LK_TRY(queue_call(algorithm, exchange, &call));
    LK_TRY(add_roots(algorithm, own));
    count_sent(algorithm, (size_t)algorithm->n_own * sent);
    if (call.whole) return LK_OK;
    count_sent(algorithm, others * length(own));
    return queue_call(algorithm, gather, &call);
}

static lk_status sum_anyhow(void *state, float *const *root, lk_range bucket)
{
    nccl_state *algorithm = state;
    const nccl_call call = call_of(algorithm, bucket, true);

    LK_TRY(begin_sum(algorithm, root));
    for (int i = 1; i < algorithm->n_own; i++)
        LK_TRY(lk_mem_space_add(algorithm->space, root[0] + bucket.begin, root[i] + bucket.begin, length(bucket)));
    count_sent(algorithm, length(bucket));
    return queue_call(algorithm, all_reduce, &call);
}

const lk_algorithm lk_reduce_nccl_tree = {true, open_algorithm, close_algorithm, nbytes, sum_in_tree, NULL,
                                           NULL};
const lk_algorithm lk_reduce_nccl = {true, open_algorithm, close_algorithm, nbytes, sum_anyhow, NULL, NULL};
