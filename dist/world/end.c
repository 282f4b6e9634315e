/*
 * The end of a job that one worker ends: its message, what must be given up, MPI_Abort, and, where that does not come
 * back, an alarm.
 */
#include "dist/world/end.h"

#include "dist/world/heartbeat.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum {
    ABORT_SECONDS = 5,     /* what MPI_Abort gets before the worker ends by itself */
    HOLD_BACK_SECONDS = 4, /* what another host or worker gets to speak first */
};

void lk_hold_back(void)
{
    struct timespec left = {HOLD_BACK_SECONDS, 0};

    while (nanosleep(&left, &left) != 0 && errno == EINTR) {}
}

double lk_hold_back_seconds(void) { return HOLD_BACK_SECONDS; }

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

void lk_end_within(int exit_status, unsigned seconds)
{
    sigset_t alarms;

    last_status = exit_status;
    signal(SIGALRM, end_now);
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    pthread_sigmask(SIG_UNBLOCK, &alarms, NULL);
    alarm(seconds);
}

void lk_world_end(lk_world *world, int exit_status)
{
    if (world->mpi) {
        lk_end_within(exit_status, ABORT_SECONDS);
        call_on_end(world);
        /* Not through mpi_lock: its holder may be waiting for a worker that will never come. */
        MPI_Abort(world->comm != MPI_COMM_NULL ? world->comm : MPI_COMM_WORLD, exit_status);
    }
    _exit(exit_status);
}

/* What one worker did wrong the others see as a peer's failure, and need not say again. */
void lk_world_abort(lk_world *world, lk_status status, const char *message)
{
    const bool first = lk_heartbeat_speaks_first(world);

    fflush(NULL);
    if (!first && status == LK_ERR_PEER)
        lk_hold_back();
    else if (world->size > 1)
        fprintf(stderr, "lockstep: rank %d (%s): %s\n", world->rank, world->hosts[world->rank], message);
    else
        fprintf(stderr, "lockstep: %s\n", message);
    lk_world_end(world, (int)status);
}
