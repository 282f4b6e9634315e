/* Buckets: slices of a gradient arena that are summed over workers one after another, each as soon as it is final. */
#ifndef LK_DIST_BUCKETS_H
#define LK_DIST_BUCKETS_H

#include "engine/base/base.h"

/* Where an arena of n_elem may be cut: in front of tensors. */
typedef struct lk_arena_cuts {
    const size_t *cut; /* (n), ascending, cut[0] = 0, multiples of 16 */
    size_t n, n_elem;
    size_t apart;      /* no bucket reaches over it, a multiple of 16; 0: they may */
    size_t alone;      /* what lies behind this cut is a bucket of its own; 0: there is none */
} lk_arena_cuts;

typedef struct lk_buckets {
    lk_range *bucket;  /* owned, (n) in order of summing; together they tile [0, n_elem) */
    int *by_place;     /* owned: buckets from the front of the arena to its end */
    size_t *missing;   /* owned: elements of each that are not final */
    size_t n, n_elem, apart;
    size_t n_complete; /* buckets [0, n_complete) are final */
} lk_buckets;

/* From the arena's end to its front, closed at bucket_bytes.  Errors: LK_ERR_USAGE (bucket_bytes is 0).  Local. */
lk_status lk_buckets_cut(lk_arena_cuts cuts, size_t bucket_bytes, lk_buckets *out);
void      lk_buckets_clear(lk_buckets *buckets);
/* Elements of the longest.  Local. */
size_t    lk_buckets_longest(const lk_buckets *buckets);
/* Nothing is final.  Local. */
void      lk_buckets_begin(lk_buckets *buckets);
/* [begin, end) is; moves n_complete on.  Local. */
void      lk_buckets_ready(lk_buckets *buckets, size_t begin, size_t end);

#endif
