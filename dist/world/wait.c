/*
 * Waiting for other workers.
 *
 * On one host where every worker has a core to itself, MPI waits as it likes best: it spins, and nothing is faster.
 * With several hosts waiting goes by looks, so that the watchdog gets MPI's lock in between and can ask the other hosts
 * (roll.c).  Where workers share cores, who spins holds up the one it waits for, so it goes by looks that give way:
 *
 *     the first YIELDS looks    give the core to whoever wants it: as fast as spinning while only workers want it
 *     after that                sleep for moments that grow to an eighth or less of the time waited, so that a worker
 *                               alone with a long task (evaluation, a checkpoint) has the cores to itself
 *
 * A third party, some busy program, costs more than the workers cost each other: a yield gives up the rest of a time
 * slice, 3 ms of Linux's, and a worker that wakes up waits for the end of the other's.  From Linux 6.12 on a process
 * may ask for shorter slices (sched(7)), which changes its turns but not its share.  ema-regression with 4 workers on 2
 * cores beside 2 busy programs: 11,000 samples a second before, 48,000 with both (medians of 5).
 */
#include "dist/world/wait.h"

#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    YIELDS = 300,
    NAP_NS = 20 * 1000,
    NAPS_A_LENGTH = 16,          /* before they become longer */
    MAX_NAP = 25,                /* of NAP_NS: half a millisecond */
    TIMER_SLACK_NS = 1000,       /* naps end when they should; the kernel rounds by 50 us otherwise */
    SLICE_NS = 100 * 1000,       /* the shortest there is */
};

/* struct sched_attr of sched_setattr(2) in its first form, which glibc has from 2.41 on and the kernel's header cannot
 * be included beside <sched.h> before. */
typedef struct slice_attr {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
} slice_attr;

/* Best effort: kernels that do not know these go on as before. */
void lk_wait_tune(void)
{
    slice_attr attr = {0};

    prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS);
    if (syscall(SYS_sched_getattr, 0, &attr, sizeof attr, 0) != 0 || attr.policy != SCHED_OTHER) return;
    attr.runtime = SLICE_NS;
    syscall(SYS_sched_setattr, 0, &attr, 0);
}

lk_status lk_wait_choose(lk_world *world)
{
    cpu_set_t mine, all;

    CPU_ZERO(&mine);
    if (sched_getaffinity(0, sizeof mine, &mine) != 0) CPU_ZERO(&mine); /* more cores than the set holds */
    LK_MPI(world, MPI_Allreduce(&mine, &all, sizeof mine, MPI_BYTE, MPI_BOR, world->host_comm));
    world->shares_cores = CPU_COUNT(&all) > 0 && world->host_size > CPU_COUNT(&all);

    int looks = world->shares_cores || world->n_hosts > 1;
    LK_MPI(world, MPI_Allreduce(MPI_IN_PLACE, &looks, 1, MPI_INT, MPI_MAX, world->comm));
    world->looks = looks;
    return LK_OK;
}

void lk_give_way(const lk_world *world, int look)
{
    if (!world->shares_cores || look < YIELDS) {
        sched_yield();
        return;
    }
    const int length = 1 + (look - YIELDS) / NAPS_A_LENGTH;
    const struct timespec nap = {0, NAP_NS * (length < MAX_NAP ? length : MAX_NAP)};
    nanosleep(&nap, NULL);
}

static int wait_by_looks(lk_world *world, int n, MPI_Request *request)
{
    for (int look = 0;; look++) {
        int done = 0;

        pthread_mutex_lock(&world->mpi_lock);
        const int code = MPI_Testall(n, request, &done, MPI_STATUSES_IGNORE);
        pthread_mutex_unlock(&world->mpi_lock);
        if (done || code != MPI_SUCCESS) return code;
        lk_give_way(world, look);
    }
}

lk_status lk_wait_all(lk_world *world, int n, MPI_Request *request)
{
    if (!world->looks) {
        LK_MPI(world, MPI_Waitall(n, request, MPI_STATUSES_IGNORE));
        return LK_OK;
    }
    const int code = wait_by_looks(world, n, request);
    return code == MPI_SUCCESS ? LK_OK : lk_mpi_fail(world, code, "MPI_Testall", __FILE__, __LINE__);
}

int lk_wait_meet(lk_world *world)
{
    MPI_Request here;

    if (!world->looks) return MPI_SUCCESS;
    pthread_mutex_lock(&world->mpi_lock);
    const int code = MPI_Ibarrier(world->comm, &here);
    pthread_mutex_unlock(&world->mpi_lock);
    return code == MPI_SUCCESS ? wait_by_looks(world, 1, &here) : code;
}
