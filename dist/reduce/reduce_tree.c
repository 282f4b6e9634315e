/*
 * Sums over workers in the fixed tree.  Three patterns, the same bits:
 *
 *     direct   short buckets: everybody sends its roots to everybody and adds up alone.  One round of
 *              roots * (W - 1) messages, that many times the bucket's bytes.
 *     halving  one root a worker and a full binary tree over W workers: recursive halving, adjacent ranks first, which
 *              is the tree from its leaves up; then doubling, back.  2 log2(W) messages, 2 (W - 1) / W times the bytes:
 *              the least there is.  Rabenseifner, 2004, doi:10.1007/978-3-540-24685-5_1.
 *     slices   any other counts: worker s owns slice s of the bucket, gets it of every root, adds it up and sends it to
 *              everybody.  2 rounds of W - 1 messages (roots times that in the first), (roots + 1) (W - 1) / W times
 *              the bytes.
 *
 * Who adds may differ, what is added never does; and a + b rounds like b + a.
 */
#include "dist/reduce/algorithm.h"

enum {
    DIRECT_BYTES = 64 * 1024, /* of all roots together; above, the other patterns win */
    ALIGN_ELEM = 16,          /* halves begin at cache lines */
    MAX_LEVELS = 32,
};

typedef struct tree_way {
    lk_wire *wire;      /* borrowed */
    lk_memory memory;   /* of the roots and of scratch */
    int rank, size;
    int n_own, n_roots; /* roots of this worker, of all */
    lk_tree_join join;
    float **leaf;       /* owned, (n_roots): where each root is while a bucket is added up */
    float *scratch;     /* owned: what others send */
} tree_way;

static size_t max_of(size_t a, size_t b) { return a > b ? a : b; }

static size_t length(lk_slice s) { return s.end - s.begin; }

/* Slice s of the bucket is worker s's. */
static lk_slice slice_of(const tree_way *way, lk_slice bucket, int s) { return lk_slice_part(bucket, s, way->size); }

/* The same answer on every worker. */
static bool is_direct(const tree_way *way, size_t n_elem)
{
    return n_elem * sizeof(float) * (size_t)way->n_roots <= DIRECT_BYTES;
}

/* ------------------------------------------------------------ open and close */

/* The most that any pattern puts into scratch. */
static size_t scratch_elem(const tree_way *way, size_t max_elem)
{
    const size_t others = (size_t)(way->n_roots - way->n_own);
    const size_t direct = DIRECT_BYTES / sizeof(float);
    const size_t halves = max_elem / 2 + ALIGN_ELEM;
    const size_t slices = length(slice_of(way, (lk_slice){0, max_elem}, 0)) * others;

    return max_of(direct, way->join.perfect ? halves : slices);
}

static lk_status open_way(lk_wire *wire, lk_memory memory, int lanes, size_t max_elem, void **state)
{
    tree_way *way = lk_alloc(sizeof *way);

    *state = way;
    LK_TRY_ALLOC(way, sizeof *way);
    way->wire = wire;
    way->memory = memory;
    way->rank = wire->world->rank;
    way->size = wire->world->size;
    LK_TRY(lk_tree_join_new(lanes, way->size, &way->join));
    way->n_roots = way->join.first[way->size];
    way->n_own = way->join.first[way->rank + 1] - way->join.first[way->rank];

    way->leaf = lk_alloc((size_t)way->n_roots * sizeof *way->leaf);
    LK_TRY_ALLOC(way->leaf, (size_t)way->n_roots * sizeof *way->leaf);
    const size_t nbytes = scratch_elem(way, max_elem) * sizeof *way->scratch;
    LK_TRY(lk_memory_alloc(memory, nbytes, (void **)&way->scratch));
    return lk_wire_reserve(wire, way->n_own * (way->size - 1) + way->n_roots);
}

static void close_way(void *state)
{
    tree_way *way = state;

    if (!way) return;
    lk_tree_join_clear(&way->join);
    lk_free(&way->leaf);
    lk_memory_free(way->memory, &way->scratch);
    lk_free(&way);
}

/* ---------------------------------------------------------- direct and slices */

/* One round: every worker gets from every other its roots, the whole bucket or the slice this worker owns.  Afterwards
 * leaf[i] is where root i begins.  Neighbours first, so that not all talk to rank zero at once. */
static lk_status exchange_roots(tree_way *way, float *const *root, lk_slice bucket, bool whole)
{
    const lk_slice own = whole ? bucket : slice_of(way, bucket, way->rank);
    float *place = way->scratch;

    for (int i = 0; i < way->n_own; i++) way->leaf[way->join.first[way->rank] + i] = root[i] + own.begin;
    for (int d = 1; d < way->size; d++) {
        const int from = (way->rank + way->size - d) % way->size;
        for (int i = way->join.first[from]; i < way->join.first[from + 1]; i++, place += length(own)) {
            way->leaf[i] = place;
            LK_TRY(lk_wire_receive(way->wire, place, length(own), from));
        }
    }
    for (int d = 1; d < way->size; d++) {
        const int to = (way->rank + d) % way->size;
        const lk_slice theirs = whole ? bucket : slice_of(way, bucket, to);
        for (int i = 0; i < way->n_own; i++)
            LK_TRY(lk_wire_send(way->wire, root[i] + theirs.begin, length(theirs), to));
    }
    return lk_wire_complete(way->wire);
}

/* Adds the leaves up and leaves the sum where this worker's first root was. */
static lk_status add_roots(tree_way *way, float *into, size_t n_elem)
{
    LK_TRY(lk_memory_apply(way->memory, way->join.add, way->join.n_adds, way->leaf, 0, n_elem));
    if (way->leaf[0] != into) LK_TRY(lk_memory_copy(way->memory, into, way->leaf[0], n_elem));
    return lk_memory_settle(way->memory);
}

static lk_status sum_direct(tree_way *way, float *const *root, lk_slice bucket)
{
    LK_TRY(exchange_roots(way, root, bucket, true));
    return add_roots(way, root[0] + bucket.begin, length(bucket));
}

static lk_status sum_slices(tree_way *way, float *const *root, lk_slice bucket)
{
    const lk_slice own = slice_of(way, bucket, way->rank);

    LK_TRY(exchange_roots(way, root, bucket, false));
    LK_TRY(add_roots(way, root[0] + own.begin, length(own)));
    for (int d = 1; d < way->size; d++) {
        const int from = (way->rank + way->size - d) % way->size;
        const lk_slice theirs = slice_of(way, bucket, from);
        LK_TRY(lk_wire_receive(way->wire, root[0] + theirs.begin, length(theirs), from));
    }
    for (int d = 1; d < way->size; d++)
        LK_TRY(lk_wire_send(way->wire, root[0] + own.begin, length(own), (way->rank + d) % way->size));
    return lk_wire_complete(way->wire);
}

/* ------------------------------------------------------------------- halving */

/* The two halves of a range: the one this worker keeps at distance d, and the one its partner keeps. */
static void halve(const tree_way *way, lk_slice range, int d, lk_slice *mine, lk_slice *theirs)
{
    const size_t middle = range.begin + (length(range) / 2 + ALIGN_ELEM - 1) / ALIGN_ELEM * ALIGN_ELEM;
    const size_t cut = middle < range.end ? middle : range.end;
    const lk_slice low = {range.begin, cut}, high = {cut, range.end};

    *mine = way->rank & d ? high : low;
    *theirs = way->rank & d ? low : high;
}

static lk_status swap(tree_way *way, int peer, const float *send, size_t n_send, float *receive, size_t n_receive)
{
    if (n_receive > 0) LK_TRY(lk_wire_receive(way->wire, receive, n_receive, peer));
    if (n_send > 0) LK_TRY(lk_wire_send(way->wire, send, n_send, peer));
    return lk_wire_complete(way->wire);
}

static lk_status sum_halving(tree_way *way, float *sum, lk_slice bucket)
{
    lk_slice mine[MAX_LEVELS], theirs[MAX_LEVELS], range = bucket;
    int level = 0;

    for (int d = 1; d < way->size; d *= 2, level++) {
        halve(way, range, d, &mine[level], &theirs[level]);
        range = mine[level];
        LK_TRY(swap(way, way->rank ^ d, sum + theirs[level].begin, length(theirs[level]), way->scratch, length(range)));
        LK_TRY(lk_memory_add(way->memory, sum + range.begin, way->scratch, length(range)));
        LK_TRY(lk_memory_settle(way->memory));
    }
    /* Back: what is finished doubles at every step. */
    for (int d = way->size / 2; d >= 1; d /= 2) {
        level--;
        LK_TRY(swap(way, way->rank ^ d, sum + mine[level].begin, length(mine[level]), sum + theirs[level].begin,
                    length(theirs[level])));
    }
    return LK_OK;
}

static lk_status sum(void *state, float *const *root, lk_slice bucket)
{
    tree_way *way = state;

    if (is_direct(way, length(bucket))) return sum_direct(way, root, bucket);
    return way->join.perfect ? sum_halving(way, root[0], bucket) : sum_slices(way, root, bucket);
}

const lk_way lk_way_tree = {false, open_way, close_way, sum};
