/*
 * The roll call.
 *
 * Heartbeats are read within a host only; who is stopped alone on its host nobody there can name.  So when all of a
 * host wait, its watchdog asks the others' by MPI: a process that is stopped, a host that is dead and a cut network do
 * not answer.  One question and one answer a host, of 4 bytes, and only in an alarm; asked and answered are the first
 * workers of hosts, on a communicator of their own, by the watchdogs' threads.
 *
 * Between hosts calls of MPI wait behind its lock only once all are there (wait.c), so the lock is to be had, but in
 * two cases: dist.reduction mpi, whose sums are calls that wait, and who stops between the meeting and the call itself.
 * Then the verdict is told without a name.
 */
#include "dist/world/roll.h"

#include "dist/world/mpi.h"

#include <errno.h>
#include <time.h>

enum { TAG_ASK = 1, TAG_ANSWER = 2, LOCK_SECONDS = 1, LOOK_NS = 20 * 1000 * 1000 };
static const double ANSWER_S = 3.0; /* what a watchdog gets: several of its ticks */

struct lk_roll {
    MPI_Comm comm;
    int *first;           /* owned, (n_hosts): the first worker of each host, ascending */
    int own;              /* index of this host */
    int32_t *answer;      /* owned, (n_hosts): whether a worker of that host moves */
    MPI_Request *request; /* owned, (n_hosts): of the answers */
    int32_t question;     /* what is sent: nothing but that it is asked */
};

static bool lock_mpi(lk_world *world)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until); /* the time of day may jump */
    until.tv_sec += LOCK_SECONDS;
    return pthread_mutex_clocklock(&world->mpi_lock, CLOCK_MONOTONIC, &until) == 0;
}

/* ------------------------------------------------------------ open and close */

static lk_status alloc_roll(const lk_world *world, lk_roll **out)
{
    const size_t n = (size_t)world->n_hosts;
    lk_roll *roll = *out = lk_alloc(sizeof *roll);

    LK_TRY_ALLOC(roll, sizeof *roll);
    roll->comm = MPI_COMM_NULL;
    roll->first = lk_alloc(n * sizeof *roll->first);
    roll->answer = lk_alloc(n * sizeof *roll->answer);
    roll->request = lk_alloc(n * sizeof *roll->request);
    if (!roll->first || !roll->answer || !roll->request)
        return LK_FAIL(LK_ERR_SYSTEM, "out of memory: a list of %zu hosts", n);
    return LK_OK;
}

static lk_status find_first_workers(lk_world *world, int *host_rank, lk_roll *roll)
{
    int own = world->rank, n = 0;

    LK_MPI(world, MPI_Allgather(&world->host_rank, 1, MPI_INT, host_rank, 1, MPI_INT, world->comm));
    LK_MPI(world, MPI_Bcast(&own, 1, MPI_INT, 0, world->host_comm));
    for (int r = 0; r < world->size; r++) {
        if (host_rank[r] != 0) continue;
        if (r == own) roll->own = n;
        roll->first[n++] = r;
    }
    return LK_OK;
}

static lk_status find_hosts(lk_world *world, lk_roll *roll)
{
    int *host_rank = lk_alloc((size_t)world->size * sizeof *host_rank);

    LK_TRY_ALLOC(host_rank, (size_t)world->size * sizeof *host_rank);
    const lk_status status = find_first_workers(world, host_rank, roll);
    lk_free(&host_rank);
    return status;
}

lk_status lk_roll_open(lk_world *world, lk_roll **out)
{
    *out = NULL;
    if (world->n_hosts < 2 || !world->threads) return LK_OK;
    LK_TRY(alloc_roll(world, out));
    LK_TRY(find_hosts(world, *out));
    LK_MPI(world, MPI_Comm_dup(world->comm, &(*out)->comm));
    LK_MPI(world, MPI_Comm_set_errhandler((*out)->comm, MPI_ERRORS_RETURN));
    return LK_OK;
}

void lk_roll_close(lk_roll **address)
{
    lk_roll *roll = *address;

    if (!roll) return;
    if (roll->comm != MPI_COMM_NULL) MPI_Comm_free(&roll->comm);
    lk_free(&roll->first);
    lk_free(&roll->answer);
    lk_free(&roll->request);
    lk_free(address);
}

/* ------------------------------------------------------------------- answering */

/* The lock is held.  An error ends nothing here: the main thread meets it too. */
static void reply_all(lk_roll *roll, bool moving)
{
    const int32_t answer = moving;
    int32_t question;
    int there = 0;

    for (;;) {
        MPI_Status from;

        if (MPI_Iprobe(MPI_ANY_SOURCE, TAG_ASK, roll->comm, &there, &from) != MPI_SUCCESS || !there) return;
        MPI_Recv(&question, 1, MPI_INT32_T, from.MPI_SOURCE, TAG_ASK, roll->comm, MPI_STATUS_IGNORE);
        MPI_Send(&answer, 1, MPI_INT32_T, from.MPI_SOURCE, TAG_ANSWER, roll->comm); /* who asks is there */
    }
}

void lk_roll_reply(lk_world *world, lk_roll *roll, bool moving)
{
    if (!roll || world->host_rank != 0 || !lock_mpi(world)) return;
    reply_all(roll, moving);
    pthread_mutex_unlock(&world->mpi_lock);
}

/* --------------------------------------------------------------------- calling */

/* The lock is held.  Questions are not waited for: who is stopped may never take them. */
static void ask_all(const lk_world *world, lk_roll *roll)
{
    for (int h = 0; h < world->n_hosts; h++) {
        MPI_Request sent;

        roll->request[h] = MPI_REQUEST_NULL;
        if (h == roll->own) continue;
        MPI_Irecv(&roll->answer[h], 1, MPI_INT32_T, roll->first[h], TAG_ANSWER, roll->comm, &roll->request[h]);
        if (MPI_Isend(&roll->question, 1, MPI_INT32_T, roll->first[h], TAG_ASK, roll->comm, &sent) == MPI_SUCCESS)
            MPI_Request_free(&sent);
    }
}

/* How many answers are missing.  The lock is held. */
static int look_for_answers(const lk_world *world, lk_roll *roll)
{
    int n_missing = 0;

    for (int h = 0; h < world->n_hosts; h++) {
        int done = 0;

        if (roll->request[h] == MPI_REQUEST_NULL) continue;
        if (MPI_Test(&roll->request[h], &done, MPI_STATUS_IGNORE) != MPI_SUCCESS || !done) n_missing++;
    }
    return n_missing;
}

static lk_roll_result conclude(const lk_world *world, const lk_roll *roll)
{
    lk_roll_result result = {.silent = -1};
    int first = -1;

    for (int h = 0; h < world->n_hosts; h++) {
        const bool answers = roll->request[h] == MPI_REQUEST_NULL;

        if (answers && first < 0) first = h;
        if (!answers && result.silent < 0) result.silent = roll->first[h];
        if (answers && h != roll->own && roll->answer[h]) result.moving = true;
    }
    result.speaks = first == roll->own;
    return result;
}

lk_roll_result lk_roll_call(lk_world *world, lk_roll *roll)
{
    const struct timespec nap = {0, LOOK_NS};
    const double until = lk_seconds() + ANSWER_S;
    int n_missing = 1;

    if (!roll || !lock_mpi(world)) return (lk_roll_result){.silent = -1};
    ask_all(world, roll);
    pthread_mutex_unlock(&world->mpi_lock);
    while (n_missing > 0 && lk_seconds() < until) {
        nanosleep(&nap, NULL);
        if (!lock_mpi(world)) continue;
        if (world->host_rank == 0) reply_all(roll, false);
        n_missing = look_for_answers(world, roll);
        pthread_mutex_unlock(&world->mpi_lock);
    }
    return conclude(world, roll);
}
