/*
 * Memory the engine computes in.  Only one plan runs at a time, so all share one arena for activations and one for
 * scratch, each as large as the largest needs.
 *
 * A dry engine hands out addresses with nothing behind them: whoever plans for a larger machine makes all that a run is
 * made of, and nobody may look inside.
 */
#include "engine/engine_impl.h"

#include <stdlib.h>
#include <sys/mman.h>

/* A range of addresses. */
struct lk_reservation {
    void *at;
    size_t nbytes;
    lk_reservation *next;
};

static lk_status reserve(lk_engine *engine, size_t nbytes, void **out)
{
    lk_reservation *made = malloc(sizeof *made);

    LK_TRY_ALLOC(made, sizeof *made);
    made->nbytes = nbytes ? nbytes : 1;
    made->at = mmap(NULL, made->nbytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (made->at == MAP_FAILED) {
        free(made);
        return LK_FAIL(LK_ERR_SYSTEM, "this machine has no addresses for %zu bytes more", nbytes);
    }
    made->next = engine->reserved;
    engine->reserved = made;
    *out = made->at;
    return LK_OK;
}

static void give_back(lk_engine *engine, void *at)
{
    lk_reservation **link = &engine->reserved;

    while ((*link)->at != at) link = &(*link)->next;
    lk_reservation *gone = *link;
    *link = gone->next;
    munmap(gone->at, gone->nbytes);
    free(gone);
}

lk_status lk_engine_alloc(lk_engine *engine, size_t nbytes, void **out)
{
    *out = NULL;
    return engine->dry ? reserve(engine, nbytes, out) : engine->backend->alloc(engine->ctx, nbytes, out);
}

void lk_engine_release(lk_engine *engine, void *address_of_pointer)
{
    void **p = address_of_pointer;

    if (!p) return;
    if (*p && engine->dry) give_back(engine, *p);
    else if (*p) engine->backend->release(engine->ctx, *p);
    *p = NULL;
}

lk_status lk_engine_read(lk_engine *engine, void *host, const void *device, size_t nbytes)
{
    return engine->backend->read(engine->ctx, host, device, nbytes);
}

lk_status lk_engine_write(lk_engine *engine, void *device, const void *host, size_t nbytes)
{
    return engine->backend->write(engine->ctx, device, host, nbytes);
}

lk_status lk_engine_make_room(lk_engine *engine, void **memory, size_t *has, size_t nbytes)
{
    if (*has >= nbytes) return LK_OK;
    lk_engine_release(engine, memory);
    *has = 0;
    LK_TRY(lk_engine_alloc(engine, nbytes, memory));
    *has = nbytes;
    return LK_OK;
}
