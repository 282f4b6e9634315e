/*
 * Cutting a gradient arena into buckets.
 *
 * The backward pass finishes the last layers first, so buckets go from the end of the trained part to its front.  They
 * are cut at tensors, for a part of a tensor is never ready before the rest, where a chunk of the grid begins with one.
 * Statistics and slots lie behind the trained
 * part and are known when the loss is, before all gradients; so they ride in the first bucket.
 */
#include "dist/reduce/buckets.h"

#include "dist/reduce/p2p.h"

#include <assert.h>

typedef struct list {
    lk_range *slice; /* NULL: count only */
    size_t n;
} list;

/* Appends [begin, end), in pieces when it is longer than MPI can count, back to front. */
static void append(list *l, size_t begin, size_t end)
{
    while (end > begin) {
        const size_t from = end - begin > LK_P2P_MAX_ELEM ? end - LK_P2P_MAX_ELEM : begin;
        if (l->slice) l->slice[l->n] = (lk_range){from, end};
        l->n++;
        end = from;
    }
}

static void cut_up(lk_arena_cuts cuts, size_t bucket_bytes, list *l)
{
    size_t end = cuts.n_elem;

    if (cuts.apart > 0) {
        append(l, cuts.apart, end);
        end = cuts.apart;
    }
    for (size_t i = cuts.n; i-- > 0;)
        if (i == 0 || cuts.cut[i] == cuts.alone || (end - cuts.cut[i]) * sizeof(float) >= bucket_bytes) {
            append(l, cuts.cut[i], end);
            end = cuts.cut[i];
        }
}

/* Buckets from the front of the arena to its end: their places are found by where the one before ends. */
static void order_by_place(lk_buckets *b)
{
    size_t place = 0;

    for (size_t i = 0; i < b->n; i++) {
        size_t next = 0;
        while (b->bucket[next].begin != place) next++;
        b->by_place[i] = (int)next;
        place = b->bucket[next].end;
    }
}

lk_status lk_buckets_cut(lk_arena_cuts cuts, size_t bucket_bytes, lk_buckets *out)
{
    list l = {0};

    assert(cuts.n > 0 && cuts.cut[0] == 0);
    *out = (lk_buckets){.n_elem = cuts.n_elem, .apart = cuts.apart};
    if (bucket_bytes == 0) return LK_FAIL(LK_ERR_USAGE, "buckets of 0 bytes: dist.bucket_bytes must be positive");

    cut_up(cuts, bucket_bytes, &l);
    out->n = l.n;
    out->bucket = l.slice = lk_alloc(out->n * sizeof *out->bucket);
    out->by_place = lk_alloc(out->n * sizeof *out->by_place);
    out->missing = lk_alloc(out->n * sizeof *out->missing);
    if (!out->bucket || !out->by_place || !out->missing)
        return LK_FAIL(LK_ERR_SYSTEM, "out of memory: %zu buckets", out->n);
    l.n = 0;
    cut_up(cuts, bucket_bytes, &l);
    order_by_place(out);
    return LK_OK;
}

void lk_buckets_clear(lk_buckets *b)
{
    lk_free(&b->bucket);
    lk_free(&b->by_place);
    lk_free(&b->missing);
}

static size_t length(lk_range slice) { return slice.end - slice.begin; }

size_t lk_buckets_longest(const lk_buckets *b)
{
    size_t most = 0;

    for (size_t i = 0; i < b->n; i++)
        if (length(b->bucket[i]) > most) most = length(b->bucket[i]);
    return most;
}

/* ---------------------------------------------------------------- what is final */

void lk_buckets_begin(lk_buckets *b)
{
    b->n_complete = 0;
    for (size_t i = 0; i < b->n; i++) b->missing[i] = length(b->bucket[i]);
}

/* Place in by_place of the bucket that holds an element. */
static size_t bucket_at(const lk_buckets *b, size_t element)
{
    size_t low = 0, high = b->n;

    while (high - low > 1) {
        const size_t middle = (low + high) / 2;
        if (b->bucket[b->by_place[middle]].begin <= element)
            low = middle;
        else
            high = middle;
    }
    return low;
}

void lk_buckets_ready(lk_buckets *b, size_t begin, size_t end)
{
    for (size_t p = bucket_at(b, begin); begin < end; p++) {
        const int i = b->by_place[p];
        const size_t until = b->bucket[i].end < end ? b->bucket[i].end : end;

        assert(b->missing[i] >= until - begin);
        b->missing[i] -= until - begin;
        begin = until;
    }
    while (b->n_complete < b->n && b->missing[b->n_complete] == 0) b->n_complete++;
}
