/* The arithmetic of a reduction in host memory, where it is done at once, and on a device, where it is queued. */
#include "dist/reduce/mem_space.h"

#include <string.h>

lk_status lk_memory_alloc(lk_memory memory, size_t nbytes, void **out)
{
    if (memory.engine) return lk_engine_alloc(memory.engine, nbytes, out);
    *out = lk_alloc(nbytes);
    LK_TRY_ALLOC(*out, nbytes);
    return LK_OK;
}

void lk_memory_free(lk_memory memory, void *address_of_pointer)
{
    if (memory.engine) lk_engine_release(memory.engine, address_of_pointer);
    else lk_free(address_of_pointer);
}

lk_status lk_memory_apply(lk_memory memory, const lk_tree_add *add, int n_adds, float *const *buffer, size_t begin,
                          size_t end)
{
    if (!memory.engine) {
        lk_tree_apply(add, n_adds, buffer, begin, end);
        return LK_OK;
    }
    for (int i = 0; i < n_adds; i++)
        LK_TRY(lk_engine_add(memory.engine, memory.queue, buffer[add[i].into] + begin, buffer[add[i].from] + begin,
                             end - begin));
    return LK_OK;
}

lk_status lk_memory_add(lk_memory memory, float *into, const float *from, size_t n_elem)
{
    if (memory.engine) return lk_engine_add(memory.engine, memory.queue, into, from, n_elem);
    lk_add_f32(into, from, n_elem);
    return LK_OK;
}

lk_status lk_memory_copy(lk_memory memory, float *into, const float *from, size_t n_elem)
{
    if (memory.engine) return lk_engine_copy(memory.engine, memory.queue, into, from, n_elem * sizeof *into);
    memcpy(into, from, n_elem * sizeof *into);
    return LK_OK;
}

lk_status lk_memory_zero(lk_memory memory, float *at, size_t n_elem)
{
    if (memory.engine) return lk_engine_zero(memory.engine, memory.queue, at, n_elem * sizeof *at);
    memset(at, 0, n_elem * sizeof *at);
    return LK_OK;
}

lk_status lk_memory_settle(lk_memory memory) { return memory.engine ? lk_engine_wait(memory.engine) : LK_OK; }
