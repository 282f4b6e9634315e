/*
 * A world that is its first workers alone, for a while: communicators of them take the place of the world's, so that
 * all that is asked of it meanwhile knows nothing of the others, who wait.  There is one lock around MPI and one
 * watchdog, which is the world's as before.
 */
#include "dist/world/watchdog.h"
#include "dist/world/wait.h"

struct lk_wide {
    int size, host_size;
    MPI_Comm comm, reduce_comm, host_comm;
};

static lk_status split(lk_world *world, MPI_Comm from, int in, MPI_Comm *out)
{
    LK_MPI(world, MPI_Comm_split(from, in ? 0 : MPI_UNDEFINED, world->rank, out));
    if (in) LK_MPI(world, MPI_Comm_set_errhandler(*out, MPI_ERRORS_RETURN));
    return LK_OK;
}

lk_status lk_world_narrow(lk_world *world, int n, bool *in)
{
    *in = world->rank < n;
    if (n < 1 || n > world->size || world->wide)
        return LK_FAIL(LK_ERR_USAGE, "a world of %d worker%s cannot be narrowed to %d", world->size,
                       world->size == 1 ? "" : "s", n);
    if (n == world->size) return LK_OK;
    struct lk_wide *wide = lk_alloc(sizeof *wide);
    LK_TRY(lk_world_agree(world, wide ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "out of memory: a narrowed world")));
    *wide = (struct lk_wide){world->size, world->host_size, world->comm, world->reduce_comm, world->host_comm};
    if (!*in) LK_TRY(lk_watchdog_set_timeout(world, 0.0)); /* who waits here is not stuck */

    LK_TRY(split(world, wide->comm, *in, &world->comm));
    LK_TRY(split(world, wide->comm, *in, &world->reduce_comm));
    LK_TRY(split(world, wide->host_comm, *in, &world->host_comm));
    world->wide = wide;
    if (!*in) return LK_OK;
    world->size = n;
    LK_MPI(world, MPI_Comm_size(world->host_comm, &world->host_size));
    return LK_OK;
}

static void leave(MPI_Comm *comm)
{
    if (*comm != MPI_COMM_NULL) MPI_Comm_free(comm);
}

lk_status lk_world_widen(lk_world *world)
{
    struct lk_wide *wide = world->wide;

    if (!wide) return LK_OK;
    leave(&world->host_comm);
    leave(&world->reduce_comm);
    leave(&world->comm);
    world->comm = wide->comm;
    world->reduce_comm = wide->reduce_comm;
    world->host_comm = wide->host_comm;
    world->size = wide->size;
    world->host_size = wide->host_size;
    lk_free(&world->wide);
    return lk_world_barrier(world);
}
