/*
 * The watchdog: when nothing moves, name the worker that is stuck and end the job.
 *
 * Every worker has a thread that beats in the heartbeats' table and acts when its own main thread has shown no progress
 * for the timeout: it blames a worker of its host (verdict.c), or, when all of them wait, asks the other hosts
 * (roll.c):
 *
 *     a host does not answer      its first worker is named; the lowest rank that is there speaks for all
 *     a worker elsewhere moves    they wait for it with reason: no alarm
 *     all answer and wait         nobody can be blamed: the wait is told
 *
 * Progress is what lk_world_progress() tells and, outside of waits, what lk_alive() counts: files and blocks read,
 * kernels bound.  A process that was suspended as a whole (a laptop's lid, a scheduler) sees the gap between its own
 * beats and counts anew.
 */
#include "dist/world/watchdog.h"

#include "dist/world/end.h"
#include "dist/world/heartbeat.h"
#include "dist/world/mpi.h"
#include "dist/world/report.h"
#include "dist/world/roll.h"
#include "dist/world/stack.h"
#include "engine/layer_now.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    LOOK_NS = 50 * 1000 * 1000,
    LAST_SECONDS = 10, /* for a report, also where the main thread is stuck with a lock that it takes */
};

static const double TICK_S = 0.5;         /* between beats, less for short timeouts */
static const double TICKS_A_TIMEOUT = 10; /* at least */
static const double QUIET_S = 3.0;        /* what another host gets to speak first */

struct lk_watchdog {
    lk_world *world;         /* borrowed */
    lk_heartbeats heartbeats;
    lk_heartbeat_view *view; /* owned, (heartbeats.n), the thread's */
    lk_roll *roll;           /* owned; NULL: one host */
    pthread_t thread;
    bool running;
    pthread_mutex_t lock;    /* guards timeout and stop */
    pthread_cond_t changed;
    double timeout;
    bool stop;
};

/* What the thread remembers between ticks. */
typedef struct memory {
    double last;        /* clock of the last beat */
    double floor;       /* ages count from here: the process was suspended before */
    double quiet_since; /* clock when all of this host began to wait without a culprit among them, 0 while it is not
                         * so */
    uint64_t alive;     /* lk_alive_count() */
} memory;

/* ---------------------------------------------------------------- ending */

/* Leaves who spoke first the time to end the job, and tells it where this process stands. */
static void hold_back(const lk_watchdog *dog)
{
    const struct timespec nap = {0, LOOK_NS};
    const double until = lk_seconds() + lk_hold_back_seconds();

    while (lk_seconds() < until) {
        lk_report_own_stack(dog->world);
        nanosleep(&nap, NULL);
    }
}

/* One voice a host.  silent: who does not answer, -1: the verdict is told. */
static void end_job(lk_watchdog *dog, lk_verdict verdict, int silent)
{
    lk_end_within(LK_ERR_PEER, LAST_SECONDS);
    if (!lk_heartbeat_speaks_first(dog->world))
        hold_back(dog);
    else if (silent >= 0)
        lk_report_silent(dog->world, dog->view, silent);
    else
        lk_report_verdict(dog->world, dog->view, verdict);
    lk_world_end(dog->world, LK_ERR_PEER);
}

/* All of this host wait.  Returns where others have reason to, or another worker of this host is asking them. */
static void ask_others(lk_watchdog *dog, lk_verdict verdict)
{
    _Atomic int *asking = &dog->heartbeats.table[0].asking;

    if (atomic_exchange(asking, 1)) return;
    const lk_roll_result roll = lk_roll_call(dog->world, dog->roll);
    if (roll.silent < 0 && roll.moving) {
        atomic_store(asking, 0);
        return;
    }
    if (roll.silent >= 0 && !roll.speaks) lk_hold_back();
    end_job(dog, verdict, roll.silent);
}

static void check(lk_watchdog *dog, double timeout, memory *m)
{
    const lk_verdict verdict = lk_verdict_of(dog->view, dog->heartbeats.n, dog->world->host_rank, timeout);

    if (verdict.kind == LK_VERDICT_STOPPED || verdict.kind == LK_VERDICT_STUCK) end_job(dog, verdict, -1);
    if (verdict.kind == LK_VERDICT_FINE) {
        m->quiet_since = 0;
    } else if (m->quiet_since == 0) {
        m->quiet_since = m->last;
    } else if (m->last - m->quiet_since > QUIET_S) {
        ask_others(dog, verdict);
        m->quiet_since = 0;
    }
}

/* ---------------------------------------------------------------- the thread */

static double tick_of(double timeout)
{
    const double tick = timeout / TICKS_A_TIMEOUT;

    return tick > 0 && tick < TICK_S ? tick : TICK_S;
}

/* Until the next tick, or until something changed.  The lock is held. */
static void wait_tick(lk_watchdog *dog)
{
    const double until = lk_seconds() + tick_of(dog->timeout);
    const struct timespec t = {(time_t)until, (long)((until - (double)(time_t)until) * 1e9)};

    pthread_cond_timedwait(&dog->changed, &dog->lock, &t);
}

/* What lk_alive() counted is progress too, unless the main thread waits: then it is some other thread's. */
static void note_alive(lk_watchdog *dog, memory *m)
{
    const uint64_t alive = lk_alive_count();

    if (alive != m->alive && !atomic_load(&dog->heartbeats.mine->waiting)) lk_heartbeat_stamp(dog->heartbeats.mine);
    m->alive = alive;
}

/* Where it computes, once that has taken long: the name is not looked at while it may go away. */
static void note_layer(lk_watchdog *dog, double timeout)
{
    const char *layer = lk_layer_now();

    if (dog->view[dog->world->host_rank].age <= LK_STALE * timeout) layer = NULL;
    lk_heartbeat_set_layer(&dog->heartbeats, layer ? layer : "");
}

static bool is_moving(const lk_watchdog *dog, double timeout)
{
    for (int i = 0; i < dog->heartbeats.n; i++)
        if (dog->view[i].age <= timeout) return true;
    return false;
}

static void tick(lk_watchdog *dog, double timeout, memory *m)
{
    const double now = lk_seconds();

    if (now - m->last > LK_STALE * timeout) m->floor = now;
    m->last = now;
    atomic_store_explicit(&dog->heartbeats.mine->beat, now, memory_order_relaxed);
    note_alive(dog, m);
    if (timeout == 0) return;
    lk_heartbeat_look(&dog->heartbeats, now, m->floor, dog->view);
    note_layer(dog, timeout);
    lk_report_own_stack(dog->world);
    lk_roll_reply(dog->world, dog->roll, is_moving(dog, timeout));
    check(dog, timeout, m);
}

static void *watch(void *arg)
{
    lk_watchdog *dog = arg;
    const double start = lk_seconds();
    memory m = {.last = start, .floor = start, .alive = lk_alive_count()};

    pthread_mutex_lock(&dog->lock);
    while (!dog->stop) {
        const double timeout = dog->timeout;

        pthread_mutex_unlock(&dog->lock);
        tick(dog, timeout, &m);
        pthread_mutex_lock(&dog->lock);
        if (!dog->stop) wait_tick(dog);
    }
    pthread_mutex_unlock(&dog->lock);
    return NULL;
}

lk_status lk_watchdog_set_timeout(lk_world *world, double timeout_s)
{
    lk_watchdog *dog = world->watchdog;

    pthread_mutex_lock(&dog->lock);
    dog->timeout = timeout_s;
    pthread_cond_signal(&dog->changed);
    pthread_mutex_unlock(&dog->lock);
    if (dog->running || timeout_s == 0) return LK_OK;

    const int error = lk_thread_start(&dog->thread, watch, dog);
    if (error) return LK_FAIL(LK_ERR_SYSTEM, "cannot start the watchdog's thread: %s", strerror(error));
    dog->running = true;
    return LK_OK;
}

/* ---------------------------------------------------------------- new, free */

static lk_status share_table(lk_world *world, lk_heartbeats *h)
{
    const MPI_Aint nbytes = world->host_rank == 0 ? (MPI_Aint)(h->n * (int)sizeof(lk_heartbeat)) : 0;
    MPI_Aint size;
    int unit;
    void *base;

    LK_MPI(world, MPI_Win_allocate_shared(nbytes, 1, MPI_INFO_NULL, world->host_comm, &base, &h->window));
    LK_MPI(world, MPI_Win_set_errhandler(h->window, MPI_ERRORS_RETURN));
    LK_MPI(world, MPI_Win_shared_query(h->window, 0, &size, &unit, &base));
    h->table = base;
    if (world->host_rank == 0) memset(base, 0, (size_t)nbytes);
    LK_MPI(world, MPI_Barrier(world->host_comm));
    return LK_OK;
}

static lk_status open_table(lk_world *world, lk_heartbeats *h)
{
    h->n = world->host_size;
    if (world->mpi) {
        LK_TRY(share_table(world, h));
    } else {
        h->table = h->own = lk_alloc(sizeof *h->own);
        LK_TRY_ALLOC(h->own, sizeof *h->own);
    }
    h->mine = &h->table[world->host_rank];
    atomic_store(&h->mine->rank, world->rank);
    atomic_store(&h->mine->pid, (int)getpid());
    atomic_store(&h->mine->pid_space, lk_pid_space());
    lk_heartbeat_set_phase(h, "start");
    lk_heartbeat_stamp(h->mine);
    return LK_OK;
}

static lk_status open_watchdog(lk_world *world, lk_watchdog *dog, double timeout_s)
{
    LK_TRY(open_table(world, &dog->heartbeats));
    dog->view = lk_alloc((size_t)dog->heartbeats.n * sizeof *dog->view);
    LK_TRY_ALLOC(dog->view, (size_t)dog->heartbeats.n * sizeof *dog->view);
    LK_TRY(lk_roll_open(world, &dog->roll));
    world->heartbeats = &dog->heartbeats;
    return lk_watchdog_set_timeout(world, timeout_s);
}

lk_status lk_watchdog_new(lk_world *world, double timeout_s)
{
    lk_watchdog *dog = lk_alloc(sizeof *dog);
    pthread_condattr_t monotonic;

    LK_TRY_ALLOC(dog, sizeof *dog);
    dog->world = world;
    dog->heartbeats.window = MPI_WIN_NULL;
    pthread_mutex_init(&dog->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&dog->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);

    world->watchdog = dog;
    lk_stack_open();
    return open_watchdog(world, dog, timeout_s);
}

void lk_watchdog_free(lk_world *world)
{
    lk_watchdog *dog = world->watchdog;

    if (!dog) return;
    pthread_mutex_lock(&dog->lock);
    dog->stop = true;
    pthread_cond_signal(&dog->changed);
    pthread_mutex_unlock(&dog->lock);
    if (dog->running) pthread_join(dog->thread, NULL);
    if (world->heartbeats) {
        atomic_store(&dog->heartbeats.mine->beat, 0);
        lk_wait_begin(world, "the end"); /* for good: who is still watching must not blame who has left */
        world->heartbeats = NULL;
    }
    lk_roll_close(&dog->roll);
    if (dog->heartbeats.window != MPI_WIN_NULL) MPI_Win_free(&dog->heartbeats.window);
    pthread_cond_destroy(&dog->changed);
    pthread_mutex_destroy(&dog->lock);
    lk_free(&dog->heartbeats.own);
    lk_free(&dog->view);
    lk_free(&world->watchdog);
}
