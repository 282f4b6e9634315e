/*
 * The world: start-up under mpirun or srun and without them, ranks, hosts, the end.
 *
 * Started alone, or as the only worker, MPI is never initialised: the program is up in milliseconds and runs where
 * MPI would not.  Every communicator returns its errors (LK_MPI); what MPI reports is then LK_ERR_PEER.
 */
#include "dist/world/world.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ABORT_SECONDS = 5 }; /* what MPI_Abort gets before the worker ends by itself */

lk_status lk_mpi_fail(const lk_world *world, int code, const char *call, const char *file, int line)
{
    char text[MPI_MAX_ERROR_STRING] = "unknown error", phase[LK_HOST_BYTES];
    int length = 0;
    int64_t step;

    MPI_Error_string(code, text, &length);
    lk_watchdog_position(world, &step, phase, sizeof phase);
    return lk_fail(LK_ERR_PEER, file, line,
                   "%.*s failed at step %lld in `%s`: %s; another worker has ended or the network is broken",
                   (int)strcspn(call, "("), call, (long long)step, phase, text);
}

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
    return lk_wait_find_sharing(world);
}

static lk_status be_alone(lk_world *world)
{
    world->size = world->host_size = world->n_hosts = 1;
    world->hosts = lk_alloc(sizeof *world->hosts);
    LK_TRY_ALLOC(world->hosts, sizeof *world->hosts);
    gethostname(world->hosts[0], LK_HOST_BYTES - 1);
    return LK_OK;
}

static lk_status start(lk_world *world, double timeout_s)
{
    const lk_launch launch = lk_launch_find();
    const bool alone = launch.n_workers == 1 || (launch.n_workers == 0 && !launch.launcher);

    LK_TRY(alone ? be_alone(world) : join(world, &launch));
    return lk_watchdog_new(world, timeout_s);
}

lk_status lk_world_new(double timeout_s, lk_world **out)
{
    *out = NULL;
    if (!(timeout_s >= 0))
        return LK_FAIL(LK_ERR_USAGE, "a timeout of %g s: it must be 0 (off) or more", timeout_s);

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
    lk_free(&world->hosts);
    lk_free(address);
}

lk_status lk_world_set_timeout(lk_world *world, double timeout_s)
{
    if (!(timeout_s >= 0))
        return LK_FAIL(LK_ERR_USAGE, "a timeout of %g s: it must be 0 (off) or more", timeout_s);
    return lk_watchdog_set_timeout(world, timeout_s);
}

int lk_world_rank(const lk_world *world) { return world->rank; }
int lk_world_size(const lk_world *world) { return world->size; }
int lk_world_host_rank(const lk_world *world) { return world->host_rank; }
int lk_world_host_size(const lk_world *world) { return world->host_size; }
int lk_world_n_hosts(const lk_world *world) { return world->n_hosts; }
const char *lk_world_host(const lk_world *world, int rank) { return world->hosts[rank]; }

/* The exit status for a worker whose MPI_Abort does not come back. */
static volatile sig_atomic_t last_status;

static void end_now(int signal_number)
{
    (void)signal_number;
    _exit(last_status);
}

void lk_world_on_end(lk_world *world, void (*on_end)(void *arg), void *arg)
{
    pthread_mutex_lock(&world->end_lock);
    world->on_end = on_end;
    world->on_end_arg = arg;
    pthread_mutex_unlock(&world->end_lock);
}

static void call_on_end(lk_world *world)
{
    pthread_mutex_lock(&world->end_lock);
    if (world->on_end) world->on_end(world->on_end_arg);
    pthread_mutex_unlock(&world->end_lock);
}

void lk_world_end(lk_world *world, int exit_status)
{
    if (world->mpi) {
        sigset_t alarms;

        last_status = exit_status;
        signal(SIGALRM, end_now);
        sigemptyset(&alarms);
        sigaddset(&alarms, SIGALRM);
        pthread_sigmask(SIG_UNBLOCK, &alarms, NULL);
        alarm(ABORT_SECONDS);
        call_on_end(world);
        /* Not through mpi_lock: its holder may be waiting for a worker that will never come. */
        MPI_Abort(world->comm != MPI_COMM_NULL ? world->comm : MPI_COMM_WORLD, exit_status);
    }
    _exit(exit_status);
}

/* What one worker did wrong the others see as a peer's failure, and need not say again. */
void lk_world_abort(lk_world *world, lk_status status, const char *message)
{
    const bool first = lk_watchdog_speaks_first(world);

    fflush(NULL);
    if (!first && status == LK_ERR_PEER)
        lk_watchdog_hold_back();
    else if (world->size > 1)
        fprintf(stderr, "lockstep: rank %d (%s): %s\n", world->rank, world->hosts[world->rank], message);
    else
        fprintf(stderr, "lockstep: %s\n", message);
    lk_world_end(world, (int)status);
}

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
