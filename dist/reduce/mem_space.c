/* The arithmetic of a reduction in host memory, where it is done at once, and on a device, where it is queued. */
#include "dist/reduce/mem_space.h"

#include <string.h>

lk_status lk_mem_space_alloc(lk_mem_space space, size_t nbytes, void **out)
{
    if (space.engine) return lk_engine_alloc(space.engine, nbytes, out);
    *out = lk_alloc(nbytes);
    LK_TRY_ALLOC(*out, nbytes);
    return LK_OK;
}

void lk_mem_space_free(lk_mem_space space, void *address_of_pointer)
{
    if (space.engine) lk_engine_release(space.engine, address_of_pointer);
    else lk_free(address_of_pointer);
}

lk_status lk_mem_space_apply(lk_mem_space space, const lk_tree_add *add, int n_adds, float *const *buffer, size_t begin,
                             size_t end)
{
    if (!space.engine) {
        if (space.rounds) lk_tree_apply_bf16(add, n_adds, buffer, begin, end);
        else lk_tree_apply(add, n_adds, buffer, begin, end);
        return LK_OK;
    }
    for (int i = 0; i < n_adds; i++)
        LK_TRY(lk_engine_add(space.engine, space.queue, buffer[add[i].into] + begin, buffer[add[i].from] + begin,
                             end - begin));
    return LK_OK;
}

lk_status lk_mem_space_add(lk_mem_space space, float *into, const float *from, size_t n_elem)
{
    if (space.engine) return lk_engine_add(space.engine, space.queue, into, from, n_elem);
    const lk_tree_add one = {0, 1};
    float *const both[] = {into, (float *)from}; /* `from` is read alone */

    return lk_mem_space_apply(space, &one, 1, both, 0, n_elem);
}

lk_status lk_mem_space_copy(lk_mem_space space, float *into, const float *from, size_t n_elem)
{
    if (space.engine) return lk_engine_copy(space.engine, space.queue, into, from, n_elem * sizeof *into);
    memcpy(into, from, n_elem * sizeof *into);
    return LK_OK;
}

lk_status lk_mem_space_zero(lk_mem_space space, float *at, size_t n_elem)
{
    if (space.engine) return lk_engine_zero(space.engine, space.queue, at, n_elem * sizeof *at);
    memset(at, 0, n_elem * sizeof *at);
    return LK_OK;
}

lk_status lk_mem_space_sync(lk_mem_space space) { return space.engine ? lk_engine_wait(space.engine) : LK_OK; }
