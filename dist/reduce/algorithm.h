/* The contract between the adder and the ways of summing a bucket over workers; adder.c holds the one list of them. */
#ifndef LK_DIST_WAY_H
#define LK_DIST_WAY_H

#include "dist/reduce/mem_space.h"
#include "dist/reduce/p2p.h"

/* Elements [begin, end) of a gradient arena. */
typedef struct lk_slice { size_t begin, end; } lk_slice;

enum { LK_SLICE_ALIGN = 16 }; /* slices and their parts begin at cache lines, where copies are fastest */

/* Worker s's part of a slice that `size` workers share; the first is the longest, the last may be empty. */
static inline lk_slice lk_slice_part(lk_slice slice, int s, int size)
{
    const size_t lines = (slice.end - slice.begin + LK_SLICE_ALIGN - 1) / LK_SLICE_ALIGN;
    const size_t each = (lines + (size_t)size - 1) / (size_t)size * LK_SLICE_ALIGN;
    const size_t begin = slice.begin + (size_t)s * each, end = begin + each;

    return (lk_slice){begin < slice.end ? begin : slice.end, end < slice.end ? end : slice.end};
}

typedef struct lk_way {
    bool queues; /* sum() only queues, on the device's queue for reductions; else it is done when it returns */
    /* Reserves what it needs of the wire, which is borrowed and must outlive the state.  memory: where the arenas lie;
     * max_elem: of the largest bucket.  Collective where queues is set. */
    lk_status (*open)(lk_wire *wire, lk_memory memory, int lanes, size_t max_elem, void **state);
    void (*close)(void *state);
    /* root: the arenas of this worker's roots.  Their sum over all workers, in this slice, replaces what root[0]
     * held; the others are scratch afterwards.  Every worker calls it for the same slices in the same order. */
    lk_status (*sum)(void *state, float *const *root, lk_slice slice);
} lk_way;

extern const lk_way lk_way_tree; /* bits do not depend on the workers */
extern const lk_way lk_way_mpi;  /* they do */
extern const lk_way lk_way_nccl_tree, lk_way_nccl; /* the same two on devices, one a worker */

#endif
