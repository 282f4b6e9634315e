/* The contract between the exchange and the algorithms that sum a bucket over workers; transport.c chooses among
 * them. */
#ifndef LK_DIST_ALGORITHM_H
#define LK_DIST_ALGORITHM_H

#include "dist/reduce/mem_space.h"
#include "dist/reduce/p2p.h"

enum { LK_RANGE_ALIGN = 16 }; /* ranges and their parts begin at cache lines, where copies are fastest */

/* Worker s's part of a range that `size` workers share; the first is the longest, the last may be empty. */
static inline lk_range lk_range_part(lk_range slice, int s, int size)
{
    const size_t lines = (slice.end - slice.begin + LK_RANGE_ALIGN - 1) / LK_RANGE_ALIGN;
    const size_t each = (lines + (size_t)size - 1) / (size_t)size * LK_RANGE_ALIGN;
    const size_t begin = slice.begin + (size_t)s * each, end = begin + each;

    return (lk_range){begin < slice.end ? begin : slice.end, end < slice.end ? end : slice.end};
}

/* The longest bucket, and of a bucket the longest part and the longest half; whether buckets are scattered. */
typedef struct lk_lengths { size_t bucket, part, half; bool scatters; } lk_lengths;

typedef struct lk_algorithm {
    bool queues; /* sum() only queues, on the device's queue for reductions; else it is done when it returns */
    /* Reserves what it needs of the p2p, which is borrowed and must outlive the state.  memory: where the arenas lie;
     * longest: in elements.  Collective where queues is set, else Local. */
    lk_status (*open)(lk_p2p *p2p, lk_mem_space space, int lanes, const lk_lengths *longest,
                      void **state);
    void (*close)(void *state); /* Collective where queues is set, else Local */
    size_t (*nbytes)(const void *state); /* held beside the arenas, where they lie */
    /* root: the arenas of this worker's roots.  Their sum over all workers, in this slice, replaces what root[0]
     * held; the others are scratch afterwards.  Every worker calls it for the same slices in the same order.
     * Collective. */
    lk_status (*sum)(void *state, float *const *root, lk_range slice);
    /* The same in two halves.  border: (size + 1), the parts of the slice, of which part lk_shard_part() is a
     * worker's.  scatter: this worker's part alone becomes the sum, and all else of the slice is scratch.  gather:
     * every worker's part of an array, which may be another, goes to all.  NULL, both: the algorithm has them not. */
    lk_status (*scatter)(void *state, float *const *root, const size_t *border);
    lk_status (*gather)(void *state, float *array, const size_t *border);
} lk_algorithm;

extern const lk_algorithm lk_reduce_tree; /* bits do not depend on the workers */
extern const lk_algorithm lk_reduce_mpi; /* they do */
extern const lk_algorithm lk_reduce_nccl_tree, lk_reduce_nccl; /* the same two on devices, one a worker */

#endif
