/* Where the arrays that are summed lie, and the arithmetic done there: host memory, or a device's. */
#ifndef LK_DIST_MEM_SPACE_H
#define LK_DIST_MEM_SPACE_H

#include "dist/reduce/tree.h"
#include "engine/run.h"

typedef struct lk_mem_space {
    lk_engine *engine; /* borrowed; NULL: host memory.  Else calls only queue, on `queue` */
    lk_queue queue;
    bool rounds;       /* of host memory: every sum is rounded to bf16 */
} lk_mem_space;

static inline bool lk_mem_space_is_device(lk_mem_space space) { return space.engine != NULL; }

/* All here is Local.  Zeroed; release with lk_mem_space_free(). */
lk_status lk_mem_space_alloc(lk_mem_space space, size_t nbytes, void **out);
void      lk_mem_space_free(lk_mem_space space, void *address_of_pointer);
/* As lk_tree_apply(). */
lk_status lk_mem_space_apply(lk_mem_space space, const lk_tree_add *add, int n_adds, float *const *buffer, size_t begin,
                             size_t end);
lk_status lk_mem_space_add(lk_mem_space space, float *into, const float *from, size_t n_elem);
lk_status lk_mem_space_copy(lk_mem_space space, float *into, const float *from, size_t n_elem);
lk_status lk_mem_space_zero(lk_mem_space space, float *at, size_t n_elem);
/* Until what was queued is done, so that others may touch the memory. */
lk_status lk_mem_space_sync(lk_mem_space space);

#endif
