/* A cache's entries: collected while programs are built, then looked up. */
#include "engine/graph/cache_layout.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 16, ALIGNMENT = 64 };

void lk_cache_layout_clear(lk_cache_layout *layout)
{
    for (int i = 0; i < layout->n; i++) free(layout->entries[i].name);
    free(layout->entries);
    *layout = (lk_cache_layout){0};
}

static lk_status append(lk_cache_layout *layout, const char *name, lk_dtype dtype, int ndim, const int64_t *shape)
{
    lk_cache_entry made = {.dtype = dtype, .ndim = ndim, .offset = layout->nbytes, .nbytes = lk_dtype_size(dtype)};

    for (int d = 0; d < ndim; d++) {
        made.shape[d] = shape[d];
        made.nbytes *= (size_t)shape[d];
    }
    if (layout->n == layout->cap) {
        const int larger = layout->cap ? 2 * layout->cap : FIRST_CAPACITY;
        lk_cache_entry *moved = realloc(layout->entries, (size_t)larger * sizeof *moved);
        LK_TRY_ALLOC(moved, (size_t)larger * sizeof *moved);
        layout->entries = moved;
        layout->cap = larger;
    }
    made.name = strdup(name);
    LK_TRY_ALLOC(made.name, strlen(name) + 1);
    layout->entries[layout->n++] = made;
    layout->nbytes += (made.nbytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return LK_OK;
}

static const lk_cache_entry *find(const lk_cache_layout *layout, const char *name)
{
    for (int i = 0; i < layout->n; i++)
        if (strcmp(layout->entries[i].name, name) == 0) return &layout->entries[i];
    return NULL;
}

lk_status lk_cache_layout_entry(lk_cache_layout *layout, const char *name, lk_dtype dtype, int ndim,
                                const int64_t *shape, const lk_cache_entry **out)
{
    *out = find(layout, name);
    if (!*out && layout->collecting) {
        LK_TRY(append(layout, name, dtype, ndim, shape));
        *out = find(layout, name);
    }
    if (!*out) return LK_FAIL(LK_ERR_USAGE, "%s: the cache holds nothing of this name", name);
    if ((*out)->dtype != dtype || (*out)->ndim != ndim ||
        memcmp((*out)->shape, shape, (size_t)ndim * sizeof *shape) != 0)
        return LK_FAIL(LK_ERR_USAGE, "%s: the cache keeps another type or shape of this name", name);
    return LK_OK;
}
