/* Where the arrays that are summed lie, and the arithmetic done there: host memory, or a device's. */
#ifndef LK_DIST_MEMORY_H
#define LK_DIST_MEMORY_H

#include "dist/reduce/tree.h"

typedef struct lk_memory {
    lk_engine *engine; /* borrowed; NULL: host memory.  Else calls only queue, on `queue` */
    lk_queue queue;
} lk_memory;

static inline bool lk_memory_is_device(lk_memory memory) { return memory.engine != NULL; }

/* Zeroed; release with lk_memory_free(). */
lk_status lk_memory_alloc(lk_memory memory, size_t nbytes, void **out);
void      lk_memory_free(lk_memory memory, void *address_of_pointer);
/* As lk_tree_apply(). */
lk_status lk_memory_apply(lk_memory memory, const lk_tree_add *add, int n_adds, float *const *buffer, size_t begin,
                          size_t end);
lk_status lk_memory_add(lk_memory memory, float *into, const float *from, size_t n_elem);
lk_status lk_memory_copy(lk_memory memory, float *into, const float *from, size_t n_elem);
lk_status lk_memory_zero(lk_memory memory, float *at, size_t n_elem);
/* Until what was queued is done, so that others may touch the memory. */
lk_status lk_memory_settle(lk_memory memory);

#endif
