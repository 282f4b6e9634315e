/*
 * Messages of the reduction.
 *
 * In the foreground they are waited for as everything is (wait.c).  In the background MPI must not wait: it spins, and
 * the core is the backward pass's.  So the communication thread looks a few times (each look moves long messages on),
 * sleeps for a moment, and looks again; once the main thread is waiting for it, it only gives way.
 */
#include "dist/reduce/p2p.h"

#include <assert.h>
#include <time.h>

enum { TAG_GRADIENTS = 1, LOOKS_A_NAP = 16, NAP_NS = 20000 };

lk_status lk_wire_reserve(lk_wire *wire, int messages)
{
    wire->request = lk_alloc((size_t)messages * sizeof *wire->request);
    LK_TRY_ALLOC(wire->request, (size_t)messages * sizeof *wire->request);
    wire->capacity = messages;
    return LK_OK;
}

void lk_wire_close(lk_wire *wire) { lk_free(&wire->request); }

lk_status lk_wire_send(lk_wire *wire, const float *from, size_t n_elem, int to)
{
    lk_world *world = wire->world;

    assert(wire->n < wire->capacity && n_elem <= LK_WIRE_MAX_ELEM);
    LK_MPI(world, MPI_Isend(from, (int)n_elem, MPI_FLOAT, to, TAG_GRADIENTS, world->reduce_comm,
                            &wire->request[wire->n]));
    wire->n++;
    atomic_fetch_add_explicit(&wire->bytes_sent, (int64_t)(n_elem * sizeof *from), memory_order_relaxed);
    return LK_OK;
}

lk_status lk_wire_receive(lk_wire *wire, float *into, size_t n_elem, int from)
{
    lk_world *world = wire->world;

    assert(wire->n < wire->capacity && n_elem <= LK_WIRE_MAX_ELEM);
    LK_MPI(world, MPI_Irecv(into, (int)n_elem, MPI_FLOAT, from, TAG_GRADIENTS, world->reduce_comm,
                            &wire->request[wire->n]));
    wire->n++;
    return LK_OK;
}

static lk_status poll_until_done(lk_wire *wire)
{
    const struct timespec nap = {0, NAP_NS};

    for (int look = 1, hurried = 0;; look++) {
        int done = 0;

        LK_MPI(wire->world, MPI_Testall(wire->n, wire->request, &done, MPI_STATUSES_IGNORE));
        if (done) return LK_OK;
        if (atomic_load_explicit(&wire->hurry, memory_order_relaxed))
            lk_give_way(wire->world, hurried++);
        else if (look % LOOKS_A_NAP == 0)
            nanosleep(&nap, NULL);
    }
}

lk_status lk_wire_complete(lk_wire *wire)
{
    if (wire->background)
        LK_TRY(poll_until_done(wire));
    else
        LK_TRY(lk_wait_all(wire->world, wire->n, wire->request));
    wire->n = 0;
    return LK_OK;
}

lk_status lk_wire_all_reduce(lk_wire *wire, float *values, size_t n_elem)
{
    lk_world *world = wire->world;

    assert(wire->n < wire->capacity && n_elem <= LK_WIRE_MAX_ELEM);
    atomic_fetch_add_explicit(&wire->bytes_sent, (int64_t)(n_elem * sizeof *values), memory_order_relaxed);
    if (!wire->background && !world->shares_cores) {
        LK_MPI(world, MPI_Allreduce(MPI_IN_PLACE, values, (int)n_elem, MPI_FLOAT, MPI_SUM, world->reduce_comm));
        return LK_OK;
    }
    LK_MPI(world, MPI_Iallreduce(MPI_IN_PLACE, values, (int)n_elem, MPI_FLOAT, MPI_SUM, world->reduce_comm,
                                 &wire->request[wire->n]));
    wire->n++;
    return lk_wire_complete(wire);
}
