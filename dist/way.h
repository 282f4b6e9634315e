/* The contract between the adder and the ways of summing a bucket over workers; adder.c holds the one list of them. */
#ifndef LK_DIST_WAY_H
#define LK_DIST_WAY_H

#include "dist/memory.h"
#include "dist/wire.h"

/* Elements [begin, end) of a gradient arena. */
typedef struct lk_slice { size_t begin, end; } lk_slice;

/* Worker s's part of a slice that `size` workers share. */
static inline lk_slice lk_slice_part(lk_slice slice, int s, int size)
{
    const size_t n = slice.end - slice.begin, base = n / (size_t)size, extra = n % (size_t)size, i = (size_t)s;
    const size_t begin = slice.begin + i * base + (i < extra ? i : extra);

    return (lk_slice){begin, begin + base + (i < extra)};
}

typedef struct lk_way {
    const char *transport; /* what carries the messages, in a word for people */
    bool queues;           /* sum() only queues, on the device's queue for reductions; else it is done when it returns */
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
