/* The contract between the adder and the ways of summing a bucket over workers; adder.c holds the one list of them. */
#ifndef LK_DIST_WAY_H
#define LK_DIST_WAY_H

#include "dist/tree.h"
#include "dist/wire.h"

/* Elements [begin, end) of a gradient arena. */
typedef struct lk_slice { size_t begin, end; } lk_slice;

typedef struct lk_way {
    /* Reserves what it needs of the wire, which is borrowed and must outlive the state.  max_elem: of the largest
     * bucket. */
    lk_status (*open)(lk_wire *wire, int lanes, size_t max_elem, void **state);
    void (*close)(void *state);
    /* root: the arenas of this worker's roots.  Their sum over all workers, in this slice, replaces what root[0]
     * held; the others are scratch afterwards.  Every worker calls it for the same slices in the same order. */
    lk_status (*sum)(void *state, float *const *root, lk_slice slice);
} lk_way;

extern const lk_way lk_way_tree; /* bits do not depend on the workers */
extern const lk_way lk_way_mpi;  /* they do */

#endif
