/*
 * Sums over workers in the fixed tree: of a whole bucket, or scattered, to each worker its part, and then gathered.
 * Four patterns, the same bits:
 *
 *     direct   short buckets: everybody sends its roots to everybody and adds up alone.  One round of
 *              roots * (W - 1) messages, that many times the bucket's bytes.
 *     halving  one root a worker and a full binary tree over W workers: recursive halving, adjacent ranks first, which
 *              is the tree from its leaves up; then doubling, back.  2 log2(W) messages, 2 (W - 1) / W times the bytes:
 *              the least there is.  Rabenseifner, 2004, doi:10.1007/978-3-540-24685-5_1.
 *     slices   any other counts of few workers: worker s owns slice s of the bucket, gets it of every root, adds it up
 *              and sends it to everybody.  2 rounds of W - 1 messages (roots times that in the first),
 *              (roots + 1) (W - 1) / W times the bytes.
 *     relays   any other counts of many workers: messages follow the tree, up and back, each segment of the bucket by
 *              way of other workers (relay.c).  O(log W) messages, and about twice the bytes.
 *
 * Buckets that are scattered or gathered go by halving or by slices; short ones by slices, for that takes one round.
 *
 * Workers are told apart by their places, in which those of a host are neighbours (world/places.c): so in halving and
 * relays what is near is added up first, and what goes from host to host are the pieces of a sum over the host.
 * Who adds may differ, what is added never does; and a + b rounds like b + a.
 */
#include "dist/reduce/algorithm.h"
#include "dist/reduce/relay.h"
#include "dist/reduce/shards.h"

enum {
    DIRECT_BYTES = 64 * 1024, /* of all roots together; above, the other patterns win */
    FEW_WORKERS = 16,         /* may send to all others */
    MAX_LEVELS = 32,
};

typedef struct tree_state {
    lk_p2p *p2p;        /* borrowed */
    lk_mem_space space; /* of the roots and of scratch */
    int rank, size;     /* places */
    int n_own, n_roots; /* roots of this worker, of all */
    lk_tree_join join;
    lk_relay one, segments; /* owned, of short buckets and of others; empty where they are not used */
    float **leaf;       /* owned, (n_roots): where each root is while a bucket is added up */
    size_t *even;       /* owned, (size + 1): borders of a bucket that is summed whole */
    float *scratch;     /* owned: what others send */
    size_t scratch_nbytes;
} tree_state;

static size_t max_of(size_t a, size_t b) { return a > b ? a : b; }

static size_t length(lk_range s) { return s.end - s.begin; }

static lk_range part_of(const tree_state *algorithm, const size_t *border, int worker)
{
    const int p = lk_shard_part(worker, algorithm->size);

    return (lk_range){border[p], border[p + 1]};
}

static lk_range whole(const tree_state *algorithm, const size_t *border)
{
    return (lk_range){border[0], border[algorithm->size]};
}

/* The same answer on every worker. */
static bool is_direct(const tree_state *algorithm, size_t n_elem)
{
    return algorithm->size <= FEW_WORKERS && n_elem * sizeof(float) * (size_t)algorithm->n_roots <= DIRECT_BYTES;
}

static bool relays(const tree_state *algorithm) { return algorithm->size > FEW_WORKERS && !algorithm->join.perfect; }

/* Longer ones are cut into segments. */
static bool is_short(size_t n_elem) { return n_elem * sizeof(float) <= DIRECT_BYTES; }

static size_t longest_segment(size_t n_elem)
{
    return length(lk_range_part((lk_range){0, n_elem}, 0, LK_RELAY_SEGMENTS));
}

/* ------------------------------------------------------------ open and close */

/* The most that any pattern puts into scratch. */
static size_t scratch_elem(const tree_state *algorithm, const lk_lengths *longest)
{
    const size_t others = (size_t)(algorithm->n_roots - algorithm->n_own);
    const size_t direct = DIRECT_BYTES / sizeof(float);
    const size_t slices = longest->part * others;
    const size_t shorts = longest->bucket < direct ? longest->bucket : direct;

    if (relays(algorithm)) {
        const size_t relayed = max_of((size_t)algorithm->one.most_received * shorts,
                                      (size_t)algorithm->segments.most_received * longest_segment(longest->bucket));
        return longest->scatters ? max_of(relayed, slices) : relayed;
    }
    return max_of(direct, algorithm->join.perfect ? longest->half : slices);
}

/* The most messages of a round. */
static int most_messages(const tree_state *algorithm, bool scatters)
{
    const lk_relay *one = &algorithm->one, *segments = &algorithm->segments;

    int most = scatters || !relays(algorithm) ? algorithm->n_own * (algorithm->size - 1) + algorithm->n_roots : 0;

    if (one->most_messages > most) most = one->most_messages;
    return segments->most_messages > most ? segments->most_messages : most;
}

/* The most elements that one round sends and receives. */
static size_t most_elem(const tree_state *algorithm, const lk_lengths *longest)
{
    const size_t messages = (size_t)most_messages(algorithm, longest->scatters), most = longest->bucket;
    const size_t direct = DIRECT_BYTES / sizeof(float) / (size_t)algorithm->n_roots;
    const size_t shorts = most < DIRECT_BYTES / sizeof(float) ? most : DIRECT_BYTES / sizeof(float);
    const size_t relayed = relays(algorithm) ? messages * max_of(shorts, longest_segment(most)) : 0;

    if (relays(algorithm) && !longest->scatters) return relayed;
    return max_of(max_of(relayed, messages * (most < direct ? most : direct)),
                  max_of(messages * longest->part, most + 2 * LK_RANGE_ALIGN));
}

static lk_status open_algorithm(lk_p2p *p2p, lk_mem_space space, int lanes, const lk_lengths *longest,
                                void **state)
{
    tree_state *algorithm = lk_alloc(sizeof *algorithm);

    *state = algorithm;
    LK_TRY_ALLOC(algorithm, sizeof *algorithm);
    algorithm->p2p = p2p;
    algorithm->space = space;
    algorithm->rank = p2p->world->place;
    algorithm->size = p2p->world->size;
    LK_TRY(lk_tree_join_new(lanes, algorithm->size, &algorithm->join));
    algorithm->n_roots = algorithm->join.first[algorithm->size];
    algorithm->n_own = algorithm->join.first[algorithm->rank + 1] - algorithm->join.first[algorithm->rank];

    if (relays(algorithm)) {
        LK_TRY(lk_relay_new(&algorithm->join, algorithm->rank, 1, &algorithm->one));
        LK_TRY(lk_relay_new(&algorithm->join, algorithm->rank, LK_RELAY_SEGMENTS, &algorithm->segments));
    }
    algorithm->leaf = lk_alloc((size_t)algorithm->n_roots * sizeof *algorithm->leaf);
    LK_TRY_ALLOC(algorithm->leaf, (size_t)algorithm->n_roots * sizeof *algorithm->leaf);
    algorithm->even = lk_alloc(((size_t)algorithm->size + 1) * sizeof *algorithm->even);
    LK_TRY_ALLOC(algorithm->even, ((size_t)algorithm->size + 1) * sizeof *algorithm->even);
    algorithm->scratch_nbytes = scratch_elem(algorithm, longest) * sizeof *algorithm->scratch;
    LK_TRY(lk_mem_space_alloc(space, algorithm->scratch_nbytes, (void **)&algorithm->scratch));
    return lk_p2p_reserve(p2p, most_messages(algorithm, longest->scatters), most_elem(algorithm, longest));
}

static size_t nbytes(const void *state)
{
    const tree_state *algorithm = state;

    return algorithm->scratch_nbytes;
}

static void close_algorithm(void *state)
{
    tree_state *algorithm = state;

    if (!algorithm) return;
    lk_relay_clear(&algorithm->segments);
    lk_relay_clear(&algorithm->one);
    lk_tree_join_clear(&algorithm->join);
    lk_free(&algorithm->even);
    lk_free(&algorithm->leaf);
    lk_mem_space_free(algorithm->space, &algorithm->scratch);
    lk_free(&algorithm);
}

/* ---------------------------------------------------------- direct and slices */

/* One round: every worker gets from every other its roots, the whole bucket or the part this worker owns.  Afterwards
 * leaf[i] is where root i begins.  Neighbours first, so that not all talk to rank zero at once. */
static lk_status exchange_roots(tree_state *algorithm, float *const *root, const size_t *border, bool all)
{
    const lk_range own = all ? whole(algorithm, border) : part_of(algorithm, border, algorithm->rank);
    float *place = algorithm->scratch;

    for (int i = 0; i < algorithm->n_own; i++)
        algorithm->leaf[algorithm->join.first[algorithm->rank] + i] = root[i] + own.begin;
    for (int d = 1; d < algorithm->size && length(own) > 0; d++) {
        const int from = (algorithm->rank + algorithm->size - d) % algorithm->size;
        for (int i = algorithm->join.first[from]; i < algorithm->join.first[from + 1]; i++, place += length(own)) {
            algorithm->leaf[i] = place;
            LK_TRY(lk_p2p_receive(algorithm->p2p, place, length(own), from));
        }
    }
    for (int d = 1; d < algorithm->size; d++) {
        const int to = (algorithm->rank + d) % algorithm->size;
        const lk_range theirs = all ? own : part_of(algorithm, border, to);
        for (int i = 0; i < algorithm->n_own && length(theirs) > 0; i++)
            LK_TRY(lk_p2p_send(algorithm->p2p, root[i] + theirs.begin, length(theirs), to));
    }
    return lk_p2p_complete(algorithm->p2p);
}

/* Adds the leaves up and leaves the sum where this worker's first root was. */
static lk_status add_roots(tree_state *algorithm, float *into, size_t n_elem)
{
    if (n_elem == 0) return LK_OK;
    LK_TRY(
        lk_mem_space_apply(algorithm->space, algorithm->join.add, algorithm->join.n_adds, algorithm->leaf, 0, n_elem));
    if (algorithm->leaf[0] != into) LK_TRY(lk_mem_space_copy(algorithm->space, into, algorithm->leaf[0], n_elem));
    return lk_mem_space_sync(algorithm->space);
}

static lk_status sum_direct(tree_state *algorithm, float *const *root, const size_t *border)
{
    const lk_range bucket = whole(algorithm, border);

    LK_TRY(exchange_roots(algorithm, root, border, true));
    return add_roots(algorithm, root[0] + bucket.begin, length(bucket));
}

static lk_status scatter_slices(tree_state *algorithm, float *const *root, const size_t *border)
{
    const lk_range own = part_of(algorithm, border, algorithm->rank);

    LK_TRY(exchange_roots(algorithm, root, border, false));
    return add_roots(algorithm, root[0] + own.begin, length(own));
}

static lk_status gather_slices(tree_state *algorithm, float *array, const size_t *border)
{
    const lk_range own = part_of(algorithm, border, algorithm->rank);

    for (int d = 1; d < algorithm->size; d++) {
        const int from = (algorithm->rank + algorithm->size - d) % algorithm->size;
        const lk_range theirs = part_of(algorithm, border, from);
        if (length(theirs) > 0)
            LK_TRY(lk_p2p_receive(algorithm->p2p, array + theirs.begin, length(theirs), from));
    }
    for (int d = 1; d < algorithm->size && length(own) > 0; d++)
        LK_TRY(lk_p2p_send(algorithm->p2p, array + own.begin, length(own), (algorithm->rank + d) % algorithm->size));
    return lk_p2p_complete(algorithm->p2p);
}

/* ------------------------------------------------------------------- halving */

/* What this worker keeps at each distance, and what its partner keeps: halves of halves of the parts. */
static int halve(const tree_state *algorithm, const size_t *border, lk_range mine[MAX_LEVELS],
                 lk_range theirs[MAX_LEVELS])
{
    int level = 0, first = 0, n = algorithm->size; /* parts [first, first + n) */

    for (int d = 1; d < algorithm->size; d *= 2, level++) {
        n /= 2;
        const lk_range low = {border[first], border[first + n]}, high = {border[first + n], border[first + 2 * n]};

        mine[level] = algorithm->rank & d ? high : low;
        theirs[level] = algorithm->rank & d ? low : high;
        first += algorithm->rank & d ? n : 0;
    }
    return level;
}

static lk_status swap(tree_state *algorithm, int peer, const float *send, size_t n_send, float *receive,
                      size_t n_receive)
{
    if (n_receive > 0) LK_TRY(lk_p2p_receive(algorithm->p2p, receive, n_receive, peer));
    if (n_send > 0) LK_TRY(lk_p2p_send(algorithm->p2p, send, n_send, peer));
    return lk_p2p_complete(algorithm->p2p);
}

static lk_status scatter_halving(tree_state *algorithm, float *sum, const size_t *border)
{
    lk_range mine[MAX_LEVELS], theirs[MAX_LEVELS];
    const int levels = halve(algorithm, border, mine, theirs);

    for (int level = 0; level < levels; level++) {
        const lk_range kept = mine[level], sent = theirs[level];

        LK_TRY(swap(algorithm, algorithm->rank ^ (1 << level), sum + sent.begin, length(sent), algorithm->scratch,
                    length(kept)));
        LK_TRY(lk_mem_space_add(algorithm->space, sum + kept.begin, algorithm->scratch, length(kept)));
        LK_TRY(lk_mem_space_sync(algorithm->space));
    }
    return LK_OK;
}

/* Back: what is finished doubles at every step. */
static lk_status gather_doubling(tree_state *algorithm, float *array, const size_t *border)
{
    lk_range mine[MAX_LEVELS], theirs[MAX_LEVELS];

    for (int level = halve(algorithm, border, mine, theirs); level-- > 0;)
        LK_TRY(swap(algorithm, algorithm->rank ^ (1 << level), array + mine[level].begin, length(mine[level]),
                    array + theirs[level].begin, length(theirs[level])));
    return LK_OK;
}

/* -------------------------------------------------------------------- relays */

/* Acts [*first, end) are of one round. */
static int end_of_round(const lk_relay *relay, int first)
{
    int end = first;

    while (end < relay->n && relay->act[end].round == relay->act[first].round) end++;
    return end;
}

static lk_status post(tree_state *algorithm, const lk_relay_act *act, float *const *root, lk_range s, float *place)
{
    switch (act->kind) {
    case LK_RELAY_SEND: return lk_p2p_send(algorithm->p2p, root[act->root] + s.begin, length(s), act->peer);
    case LK_RELAY_RECEIVE: return lk_p2p_receive(algorithm->p2p, place, length(s), act->peer);
    case LK_RELAY_GIVE: return lk_p2p_send(algorithm->p2p, root[0] + s.begin, length(s), act->peer);
    case LK_RELAY_GET: return lk_p2p_receive(algorithm->p2p, root[0] + s.begin, length(s), act->peer);
    case LK_RELAY_ADD:
    case LK_RELAY_MOVE: break;
    }
    return LK_OK;
}

static lk_status add(tree_state *algorithm, const lk_relay_act *act, float *const *root, lk_range s, const float *place)
{
    const lk_mem_space space = algorithm->space;
    float *into = root[act->root] + s.begin;

    switch (act->kind) {
    case LK_RELAY_RECEIVE: return lk_mem_space_add(space, into, place, length(s));
    case LK_RELAY_ADD: return lk_mem_space_add(space, into, root[act->from] + s.begin, length(s));
    case LK_RELAY_MOVE: return lk_mem_space_copy(space, root[0] + s.begin, root[act->from] + s.begin, length(s));
    case LK_RELAY_SEND:
    case LK_RELAY_GIVE:
    case LK_RELAY_GET: break;
    }
    return LK_OK;
}

static lk_status sum_relayed(tree_state *algorithm, float *const *root, lk_range bucket)
{
    const bool all = is_short(length(bucket));
    const lk_relay *relay = all ? &algorithm->one : &algorithm->segments;
    const int n_segments = all ? 1 : LK_RELAY_SEGMENTS;

    for (int first = 0, end; first < relay->n; first = end) {
        float *place = algorithm->scratch;

        end = end_of_round(relay, first);
        for (int i = first; i < end; i++) {
            const lk_range s = lk_range_part(bucket, relay->act[i].segment, n_segments);
            if (length(s) > 0) LK_TRY(post(algorithm, &relay->act[i], root, s, place));
            if (relay->act[i].kind == LK_RELAY_RECEIVE) place += length(s);
        }
        LK_TRY(lk_p2p_complete(algorithm->p2p));
        place = algorithm->scratch;
        for (int i = first; i < end; i++) {
            const lk_range s = lk_range_part(bucket, relay->act[i].segment, n_segments);
            LK_TRY(add(algorithm, &relay->act[i], root, s, place));
            if (relay->act[i].kind == LK_RELAY_RECEIVE) place += length(s);
        }
        LK_TRY(lk_mem_space_sync(algorithm->space));
    }
    return LK_OK;
}

/* ----------------------------------------------------------------- contract */

static bool halves(const tree_state *algorithm, const size_t *border)
{
    return algorithm->join.perfect && !is_direct(algorithm, length(whole(algorithm, border)));
}

static lk_status scatter(void *state, float *const *root, const size_t *border)
{
    tree_state *algorithm = state;

    algorithm->space.rounds = algorithm->p2p->halves;
    return halves(algorithm, border) ? scatter_halving(algorithm, root[0], border)
                                     : scatter_slices(algorithm, root, border);
}

static lk_status gather(void *state, float *array, const size_t *border)
{
    tree_state *algorithm = state;

    return halves(algorithm, border) ? gather_doubling(algorithm, array, border)
                                     : gather_slices(algorithm, array, border);
}

static lk_status sum(void *state, float *const *root, lk_range bucket)
{
    tree_state *algorithm = state;

    algorithm->space.rounds = algorithm->p2p->halves;
    for (int p = 0; p < algorithm->size; p++)
        algorithm->even[p] = lk_range_part(bucket, p, algorithm->size).begin;
    algorithm->even[algorithm->size] = bucket.end;
    if (is_direct(algorithm, length(bucket))) return sum_direct(algorithm, root, algorithm->even);
    if (relays(algorithm)) return sum_relayed(algorithm, root, bucket);
    LK_TRY(scatter(state, root, algorithm->even));
    return gather(state, root[0], algorithm->even);
}

const lk_algorithm lk_reduce_tree = {false, open_algorithm, close_algorithm, nbytes, sum, scatter, gather};
