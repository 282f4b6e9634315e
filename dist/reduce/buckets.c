/*
 * Cutting a gradient arena into buckets.
 *
 * The backward pass finishes the last layers first, so buckets go from the end of the trained part to its front.  They
 * are cut at tensors: a part of a tensor is never ready before the rest.  Statistics and slots lie behind the trained
 * part and are known when the loss is, before all gradients; so they ride in the first bucket.
 */
#include "dist/reduce/adder.h"

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

static void cut_up(const size_t *cut, size_t n_cuts, size_t n_elem, size_t bucket_bytes, list *l)
{
    size_t end = n_elem;

    for (size_t i = n_cuts; i-- > 0;)
        if (i == 0 || (end - cut[i]) * sizeof(float) >= bucket_bytes) {
            append(l, cut[i], end);
            end = cut[i];
        }
}

lk_status lk_buckets_new(const size_t *cut, size_t n_cuts, size_t n_elem, size_t bucket_bytes, lk_range **out,
                         size_t *n_out)
{
    list l = {0};

    assert(n_cuts > 0 && cut[0] == 0);
    *out = NULL;
    if (bucket_bytes == 0) return LK_FAIL(LK_ERR_USAGE, "buckets of 0 bytes: dist.bucket_bytes must be positive");

    cut_up(cut, n_cuts, n_elem, bucket_bytes, &l);
    l.slice = lk_alloc(l.n * sizeof *l.slice);
    LK_TRY_ALLOC(l.slice, l.n * sizeof *l.slice);
    l.n = 0;
    cut_up(cut, n_cuts, n_elem, bucket_bytes, &l);
    *out = l.slice;
    *n_out = l.n;
    return LK_OK;
}
