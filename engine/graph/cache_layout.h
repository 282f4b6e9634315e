/*
 * Where in a cache's memory the entries that layers keep are.  Programs that share a cache (encode, decode) name the
 * same entries, in whatever order, so a layout is collected from all of them before any is compiled.  Private to
 * engine/.
 */
#ifndef LK_CACHE_LAYOUT_H
#define LK_CACHE_LAYOUT_H

#include "engine/base/sample.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lk_cache_entry {
    char *name;     /* owned */
    lk_dtype dtype;
    int ndim;
    int64_t shape[LK_MAX_DIMS]; /* (rows, capacity, ...) */
    size_t offset, nbytes;
} lk_cache_entry;

typedef struct lk_cache_layout {
    int64_t rows, capacity;
    bool collecting; /* an unknown entry is appended; else it is an error */
    lk_cache_entry *entries; /* owned */
    int n, cap;
    size_t nbytes;
} lk_cache_layout;

void lk_cache_layout_clear(lk_cache_layout *layout);
/* The entry of this name, type and shape.  Errors: LK_ERR_USAGE (there is none, or it is another there). */
lk_status lk_cache_layout_entry(lk_cache_layout *layout, const char *name, lk_dtype dtype, int ndim,
                                const int64_t *shape, const lk_cache_entry **out);

#ifdef __cplusplus
}
#endif
#endif
