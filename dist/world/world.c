/*
 * The world: start-up under mpirun or srun and without them, ranks, hosts, the end.
 *
 * Started alone, or as the only worker, MPI is never initialised: the program is up in milliseconds and runs where
 * MPI would not.  Every communicator returns its errors (LK_MPI); what MPI reports is then LK_ERR_PEER.
 */
#include "dist/world/watchdog.h"
#include "dist/world/wait.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static lk_status copy_comm(lk_world *world, MPI_Comm *out)
{
    LK_MPI(world, MPI_Comm_dup(MPI_COMM_WORLD, out));
    LK_MPI(world, MPI_Comm_set_errhandler(*out, MPI_ERRORS_RETURN));
    return LK_OK;
}

/* Every worker's host name and the ranks within hosts. */
static lk_status meet(lk_world *world)
{
    char name[LK_HOST_BYTES] = "";

    LK_MPI(world, MPI_Comm_split_type(world->comm, MPI_COMM_TYPE_SHARED, world->rank, MPI_INFO_NULL,
                                      &world->host_comm));
    LK_MPI(world, MPI_Comm_set_errhandler(world->host_comm, MPI_ERRORS_RETURN));
    LK_MPI(world, MPI_Comm_rank(world->host_comm, &world->host_rank));
    LK_MPI(world, MPI_Comm_size(world->host_comm, &world->host_size));

    const int first = world->host_rank == 0;
    LK_MPI(world, MPI_Allreduce(&first, &world->n_hosts, 1, MPI_INT, MPI_SUM, world->comm));

    gethostname(name, sizeof name - 1);
    LK_MPI(world, MPI_Allgather(name, LK_HOST_BYTES, MPI_CHAR, world->hosts, LK_HOST_BYTES, MPI_CHAR, world->comm));
    return LK_OK;
}

static lk_status take_place(lk_world *world, int *first)
{
    int own = world->rank;

    LK_MPI(world, MPI_Bcast(&own, 1, MPI_INT, 0, world->host_comm));
    LK_MPI(world, MPI_Allgather(&own, 1, MPI_INT, first, 1, MPI_INT, world->comm));
    world->place = lk_places_make(first, world->size, world->rank, world->rank_at);
    return LK_OK;
}

static lk_status take_places(lk_world *world)
{
    const size_t nbytes = (size_t)world->size * sizeof *world->rank_at;
    int *first = lk_alloc(nbytes);

    world->rank_at = lk_alloc(nbytes);
    const lk_status status = first && world->rank_at ? take_place(world, first)
                                                     : LK_FAIL(LK_ERR_SYSTEM, "out of memory: %zu bytes", nbytes);
    lk_free(&first);
    return status;
}

static lk_status join(lk_world *world, const lk_launch *launch)
{
    int provided = MPI_THREAD_SINGLE;

    lk_launch_tune();
    lk_wait_tune();
    LK_MPI(world, MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &provided));
    world->mpi = true;
    world->threads = provided >= MPI_THREAD_SERIALIZED;
    LK_MPI(world, MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
    LK_MPI(world, MPI_Comm_rank(MPI_COMM_WORLD, &world->rank));
    LK_MPI(world, MPI_Comm_size(MPI_COMM_WORLD, &world->size));
    if (world->size == 1 && launch->n_workers > 1) {
        char library[LK_HOST_BYTES];
        lk_mpi_library(library, sizeof library);
        return LK_FAIL(LK_ERR_PEER,
                       "%s started %d workers but MPI sees one: the launcher does not belong to %s; use its mpirun, or "
                       "srun --mpi=pmix", launch->launcher, launch->n_workers, library);
    }
    LK_TRY(copy_comm(world, &world->comm));
    LK_TRY(copy_comm(world, &world->reduce_comm));
    world->hosts = lk_alloc((size_t)world->size * sizeof *world->hosts);
    LK_TRY_ALLOC(world->hosts, (size_t)world->size * sizeof *world->hosts);
    LK_TRY(meet(world));
    LK_TRY(take_places(world));
    return lk_wait_choose(world);
}

static lk_status be_alone(lk_world *world)
{
    world->size = world->host_size = world->n_hosts = 1;
    world->hosts = lk_alloc(sizeof *world->hosts);
    LK_TRY_ALLOC(world->hosts, sizeof *world->hosts);
    gethostname(world->hosts[0], LK_HOST_BYTES - 1);
    world->rank_at = lk_alloc(sizeof *world->rank_at); /* rank 0 in place 0 */
    LK_TRY_ALLOC(world->rank_at, sizeof *world->rank_at);
    return LK_OK;
}

/* ------------------------------------------------------------------- timeout */

static const double MIN_TIMEOUT_S = 30;

static lk_status check_timeout(double timeout_s)
{
    if (timeout_s >= 0) return LK_OK;
    return LK_FAIL(LK_ERR_USAGE, "a timeout of %g s: it must be 0 (off) or more", timeout_s);
}

/* Over several hosts mpirun must know before the workers who is lost, or it waits for ever for their end. */
static double stretch(const lk_world *world, double timeout_s)
{
    if (world->n_hosts < 2 || timeout_s == 0 || timeout_s >= MIN_TIMEOUT_S) return timeout_s;
    if (world->rank == 0)
        fprintf(stderr,
                "lockstep: a timeout of %g s (dist.timeout) is stretched to %g s: it takes mpirun some 20 s to notice "
                "that a host is gone, and before it can end no job cleanly\n",
                timeout_s, MIN_TIMEOUT_S);
    return MIN_TIMEOUT_S;
}

lk_status lk_world_set_timeout(lk_world *world, double timeout_s)
{
    LK_TRY(check_timeout(timeout_s));
    return lk_watchdog_set_timeout(world, stretch(world, timeout_s));
}

/* ----------------------------------------------------------------- new and free */

static lk_status start(lk_world *world, double timeout_s)
{
    const lk_launch launch = lk_launch_find();
    const bool alone = launch.n_workers == 1 || (launch.n_workers == 0 && !launch.launcher);

    LK_TRY(alone ? be_alone(world) : join(world, &launch));
    return lk_watchdog_new(world, stretch(world, timeout_s));
}

lk_status lk_world_new(double timeout_s, lk_world **out)
{
    *out = NULL;
    LK_TRY(check_timeout(timeout_s));

    lk_world *world = lk_alloc(sizeof *world);
    LK_TRY_ALLOC(world, sizeof *world);
    world->comm = world->reduce_comm = world->host_comm = MPI_COMM_NULL;
    world->order_request = MPI_REQUEST_NULL;
    pthread_mutex_init(&world->mpi_lock, NULL);
    pthread_mutex_init(&world->end_lock, NULL);

    const lk_status status = start(world, timeout_s);
    if (status != LK_OK) {
        lk_world_free(&world);
        return lk_trace(status, __FILE__, __LINE__);
    }
    *out = world;
    return LK_OK;
}

static void leave(MPI_Comm *comm)
{
    if (*comm != MPI_COMM_NULL) MPI_Comm_free(comm);
}

void lk_world_free(lk_world **address)
{
    lk_world *world = address ? *address : NULL;

    if (!world) return;
    if (world->order_request != MPI_REQUEST_NULL) MPI_Wait(&world->order_request, MPI_STATUS_IGNORE);
    if (world->watchdog) lk_world_barrier(world); /* all are here, or the watchdog still looks after us */
    lk_watchdog_free(world);
    leave(&world->host_comm);
    leave(&world->reduce_comm);
    leave(&world->comm);
    if (world->mpi) MPI_Finalize();
    pthread_mutex_destroy(&world->end_lock);
    pthread_mutex_destroy(&world->mpi_lock);
    lk_free(&world->rank_at);
    lk_free(&world->hosts);
    lk_free(address);
}

int lk_world_rank(const lk_world *world) { return world->rank; }
int lk_world_size(const lk_world *world) { return world->size; }
int lk_world_host_rank(const lk_world *world) { return world->host_rank; }
int lk_world_n_hosts(const lk_world *world) { return world->n_hosts; }
const char *lk_world_host(const lk_world *world, int rank) { return world->hosts[rank]; }

void lk_world_describe(const lk_world *world, char *text, size_t nbytes)
{
    char library[LK_HOST_BYTES];
    int major = 0, minor = 0;

    lk_mpi_library(library, sizeof library);
    MPI_Get_version(&major, &minor);
    if (!world)
        snprintf(text, nbytes, "%s (MPI %d.%d)", library, major, minor);
    else if (world->mpi)
        snprintf(text, nbytes, "%s (MPI %d.%d), %sCUDA-aware, started by %s: %d worker%s on %d host%s", library, major,
                 minor, lk_mpi_cuda_aware() ? "" : "not ", lk_launch_find().launcher, world->size,
                 world->size == 1 ? "" : "s", world->n_hosts, world->n_hosts == 1 ? "" : "s");
    else
        snprintf(text, nbytes, "%s (MPI %d.%d), %s: one worker, MPI is not used", library, major, minor,
                 lk_launch_find().launcher ? "started for one worker" : "not started under mpirun");
}
