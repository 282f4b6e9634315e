/*
 * The leader's orders: one small broadcast a step, begun before the forward pass and awaited when it is needed, so
 * that nobody waits for it on the way.
 */
#include "dist/world/wait.h"

#include <assert.h>

lk_status lk_order_begin(lk_world *world, lk_order *order)
{
    assert(!world->order);
    world->order = order;
    if (world->size == 1) return LK_OK;
    LK_MPI(world, MPI_Ibcast(order, sizeof *order, MPI_BYTE, 0, world->comm, &world->order_request));
    return LK_OK;
}

lk_status lk_order_wait(lk_world *world, int64_t step)
{
    const lk_order *order = world->order;

    assert(order);
    world->order = NULL;
    if (world->size > 1) {
        lk_wait_begin(world, "the leader's order");
        const lk_status status = lk_wait_all(world, 1, &world->order_request);
        lk_wait_end(world);
        LK_TRY(status);
    }
    if (order->step != step)
        return LK_FAIL(LK_ERR_PEER, "rank %d (%s) is at step %lld but the leader's order is for step %lld", world->rank,
                       world->hosts[world->rank], (long long)step, (long long)order->step);
    return LK_OK;
}
