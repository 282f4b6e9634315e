/*
 * The watchdog: when nothing moves, name the worker that is stuck and end the job.
 *
 * Every worker keeps a heartbeat (step, phase, when, waiting or not) in a table that the workers of its host share, and a
 * thread that beats in the same table.  The thread acts when its own main thread has shown no progress for the timeout:
 *
 *     no beat from a worker for half that time   it is stopped (SIGSTOP, a dead core): that one
 *     a worker that does not wait, and is late   it is stuck in its own work: lowest step first, then the stalest
 *     a worker that moved within the timeout     the others wait for it with reason: no alarm
 *     all wait                                   the culprit is on another host: let that host speak first, then end
 *
 * Collectives of dist/ mark their worker as waiting by themselves, so a phase is only a word for people.  A process
 * that was suspended as a whole (a laptop's lid, a scheduler) sees the gap between its own beats and counts anew.
 */
#include "dist/world/world.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "dist/world/watchdog.h"

enum { PADDING_BYTES = 64, PHASE_WORDS = 4, PHASE_BYTES = PHASE_WORDS * 8, LINE_BYTES = 512 };

static const double TICK_S = 0.5;         /* between beats, less for short timeouts */
static const double TICKS_A_TIMEOUT = 10; /* at least */
static const double GRACE_S = 3.0;        /* what another host or worker gets to speak first */
static const double STALE = 0.5;          /* of the timeout without a beat: stopped */

/* One worker's heartbeat.  Written by that worker alone, read by all of its host; each field is atomic by itself, so a
 * phase caught while it changes can only spoil a word in a message. */
typedef struct heartbeat {
    _Atomic int64_t step;
    _Atomic double since;              /* clock when progress was last told, or waiting began or ended */
    _Atomic double beat;               /* clock of the watchdog's last beat, 0 when it is off */
    _Atomic uint64_t phase[PHASE_WORDS];
    _Atomic int waiting;
    _Atomic int rank;
    _Atomic int spoken;                /* in the first heartbeat: a worker of this host is ending the job */
    char padding[PADDING_BYTES];       /* keeps neighbours out of each other's cache lines, wherever MPI begins */
} heartbeat;

struct lk_watchdog {
    lk_world *world;       /* borrowed */
    heartbeat *table;      /* (n), owned by the window or, alone, by `own` */
    heartbeat *mine;
    int n;
    MPI_Win window;
    heartbeat *own;        /* owned; NULL with a window */
    lk_heartbeat_view *view; /* owned, (n), the thread's */
    const char *phase;     /* what mine->phase holds; main thread only */
    bool device_wait;      /* it waits for its device; main thread only */
    pthread_t thread;
    bool running;
    pthread_mutex_t lock;  /* guards timeout and stop */
    pthread_cond_t changed;
    double timeout;
    bool stop;
};

/* ---------------------------------------------------------------- heartbeats */

static void set_phase(heartbeat *s, const char *phase)
{
    uint64_t words[PHASE_WORDS] = {0};

    strncpy((char *)words, phase, PHASE_BYTES - 1);
    for (int i = 0; i < PHASE_WORDS; i++) atomic_store_explicit(&s->phase[i], words[i], memory_order_relaxed);
}

static void get_phase(const heartbeat *s, char out[PHASE_BYTES])
{
    uint64_t words[PHASE_WORDS];

    for (int i = 0; i < PHASE_WORDS; i++) words[i] = atomic_load_explicit(&s->phase[i], memory_order_relaxed);
    memcpy(out, words, PHASE_BYTES);
    out[PHASE_BYTES - 1] = '\0';
}

static void stamp(heartbeat *s) { atomic_store_explicit(&s->since, lk_seconds(), memory_order_release); }

void lk_world_progress(lk_world *world, int64_t step, const char *phase)
{
    lk_watchdog *dog = world->watchdog;

    if (dog->device_wait) lk_wait_end(world);
    atomic_store_explicit(&dog->mine->step, step, memory_order_relaxed);
    if (phase != dog->phase) set_phase(dog->mine, dog->phase = phase);
    stamp(dog->mine);
}

void lk_wait_begin(lk_world *world)
{
    if (!world->watchdog) return; /* while the world is being made */
    stamp(world->watchdog->mine);
    atomic_store_explicit(&world->watchdog->mine->waiting, 1, memory_order_release);
}

void lk_wait_end(lk_world *world)
{
    if (!world->watchdog) return;
    world->watchdog->device_wait = false;
    stamp(world->watchdog->mine);
    atomic_store_explicit(&world->watchdog->mine->waiting, 0, memory_order_release);
}

/* Called again and again in one wait, which began with the first call. */
void lk_wait_on_device(lk_world *world)
{
    if (!world->watchdog || world->watchdog->device_wait) return;
    lk_wait_begin(world);
    world->watchdog->device_wait = true;
}

void lk_watchdog_position(const lk_world *world, int64_t *step, char *phase, size_t nbytes)
{
    char text[PHASE_BYTES] = "start";

    *step = world->watchdog ? atomic_load(&world->watchdog->mine->step) : 0;
    if (world->watchdog) get_phase(world->watchdog->mine, text);
    snprintf(phase, nbytes, "%s", text);
}

/* ---------------------------------------------------------------- judging */

lk_verdict lk_watchdog_judge(const lk_heartbeat_view *view, int n, int self, double timeout)
{
    int stuck = -1, stopped = -1;
    bool moving = false;

    if (view[self].age <= timeout) return (lk_verdict){LK_VERDICT_FINE, -1};
    for (int i = 0; i < n; i++) {
        const lk_heartbeat_view *s = &view[i];

        if (i != self && s->beat_age > STALE * timeout) {
            if (stopped < 0 || s->beat_age > view[stopped].beat_age) stopped = i;
        } else if (s->age <= timeout) {
            moving = true;
        } else if (!s->waiting) {
            const lk_heartbeat_view *worst = stuck < 0 ? NULL : &view[stuck];
            if (!worst || s->step < worst->step || (s->step == worst->step && s->age > worst->age)) stuck = i;
        }
    }
    /* In this order: a culprit is one however busy the others are. */
    if (stopped >= 0) return (lk_verdict){LK_VERDICT_STOPPED, stopped};
    if (stuck >= 0) return (lk_verdict){LK_VERDICT_STUCK, stuck};
    if (moving) return (lk_verdict){LK_VERDICT_FINE, -1};
    return (lk_verdict){LK_VERDICT_ELSEWHERE, self};
}

static void look(const lk_watchdog *dog, double now, double floor, lk_heartbeat_view *out)
{
    for (int i = 0; i < dog->n; i++) {
        const heartbeat *s = &dog->table[i];
        const double since = atomic_load_explicit(&s->since, memory_order_acquire);
        const double beat = atomic_load_explicit(&s->beat, memory_order_relaxed);

        out[i].step = atomic_load_explicit(&s->step, memory_order_relaxed);
        out[i].waiting = atomic_load_explicit(&s->waiting, memory_order_acquire);
        out[i].age = now - (since > floor ? since : floor);
        out[i].beat_age = beat > 0 ? now - (beat > floor ? beat : floor) : 0;
    }
}

/* ---------------------------------------------------------------- ending */

/* Straight to the descriptor: the main thread may be stuck with stdio's lock in its hands. */
static void print_verdict(const lk_watchdog *dog, lk_verdict verdict)
{
    const heartbeat *s = &dog->table[verdict.culprit];
    const lk_heartbeat_view *seen = &dog->view[verdict.culprit];
    const int rank = atomic_load(&s->rank);
    char phase[PHASE_BYTES], line[LINE_BYTES];
    const char *why = "";

    if (verdict.kind == LK_VERDICT_STOPPED) why = ": its process is stopped or dead";
    if (verdict.kind == LK_VERDICT_ELSEWHERE)
        why = dog->world->n_hosts > 1 ? " for workers of other hosts, or the network"
                                      : " for workers that all wait as well";
    get_phase(s, phase);
    snprintf(line, sizeof line, "lockstep: rank %d (%s) %s at step %lld in `%s` for %.0f s%s; ending the job\n", rank,
             dog->world->hosts[rank], verdict.kind == LK_VERDICT_ELSEWHERE ? "has waited" : "is stuck",
             (long long)seen->step, phase, seen->age, why);
    if (write(STDERR_FILENO, line, strlen(line)) < 0) return; /* nobody reads: the exit status says it too */
}

static void pause_s(double seconds)
{
    struct timespec left = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};

    while (nanosleep(&left, &left) != 0 && errno == EINTR) {}
}

bool lk_watchdog_speaks_first(lk_world *world)
{
    return !world->watchdog || atomic_exchange(&world->watchdog->table[0].spoken, 1) == 0;
}

void lk_watchdog_hold_back(void) { pause_s(GRACE_S); }

/* One voice a host; who comes second leaves the first the time to end the job. */
static void end_job(lk_watchdog *dog, lk_verdict verdict)
{
    if (lk_watchdog_speaks_first(dog->world))
        print_verdict(dog, verdict);
    else
        lk_watchdog_hold_back();
    lk_world_end(dog->world, LK_ERR_PEER);
}

/* *quiet_since: the clock when all of this host began to wait without a culprit among them, 0 while it is not so. */
static void check(lk_watchdog *dog, double now, double floor, double timeout, double *quiet_since)
{
    look(dog, now, floor, dog->view);
    const lk_verdict verdict = lk_watchdog_judge(dog->view, dog->n, dog->world->host_rank, timeout);

    if (verdict.kind == LK_VERDICT_STOPPED || verdict.kind == LK_VERDICT_STUCK) end_job(dog, verdict);
    if (verdict.kind == LK_VERDICT_FINE)
        *quiet_since = 0;
    else if (*quiet_since == 0)
        *quiet_since = now;
    else if (now - *quiet_since > GRACE_S)
        end_job(dog, verdict);
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

static void *watch(void *arg)
{
    lk_watchdog *dog = arg;
    double last = lk_seconds(), floor = last, quiet_since = 0;

    pthread_mutex_lock(&dog->lock);
    while (!dog->stop) {
        const double timeout = dog->timeout, now = lk_seconds();

        pthread_mutex_unlock(&dog->lock);
        if (now - last > STALE * timeout) floor = now; /* we were suspended: ages count from here */
        last = now;
        atomic_store_explicit(&dog->mine->beat, now, memory_order_relaxed);
        if (timeout > 0) check(dog, now, floor, timeout, &quiet_since);
        pthread_mutex_lock(&dog->lock);
        if (!dog->stop) wait_tick(dog);
    }
    pthread_mutex_unlock(&dog->lock);
    return NULL;
}

/* Signals are the main thread's business. */
static int start_thread(lk_watchdog *dog)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int error = pthread_create(&dog->thread, NULL, watch, dog);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

lk_status lk_watchdog_set_timeout(lk_world *world, double timeout_s)
{
    lk_watchdog *dog = world->watchdog;

    pthread_mutex_lock(&dog->lock);
    dog->timeout = timeout_s;
    pthread_cond_signal(&dog->changed);
    pthread_mutex_unlock(&dog->lock);
    if (dog->running || timeout_s == 0) return LK_OK;

    const int error = start_thread(dog);
    if (error) return LK_FAIL(LK_ERR_SYSTEM, "cannot start the watchdog's thread: %s", strerror(error));
    dog->running = true;
    return LK_OK;
}

/* ---------------------------------------------------------------- new, free */

static lk_status share_table(lk_world *world, lk_watchdog *dog)
{
    const MPI_Aint nbytes = world->host_rank == 0 ? (MPI_Aint)(dog->n * (int)sizeof(heartbeat)) : 0;
    MPI_Aint size;
    int unit;
    void *base;

    LK_MPI(world, MPI_Win_allocate_shared(nbytes, 1, MPI_INFO_NULL, world->host_comm, &base, &dog->window));
    LK_MPI(world, MPI_Win_set_errhandler(dog->window, MPI_ERRORS_RETURN));
    LK_MPI(world, MPI_Win_shared_query(dog->window, 0, &size, &unit, &base));
    dog->table = base;
    if (world->host_rank == 0) memset(base, 0, (size_t)nbytes);
    LK_MPI(world, MPI_Barrier(world->host_comm));
    return LK_OK;
}

static lk_status open_table(lk_world *world, lk_watchdog *dog)
{
    dog->n = world->host_size;
    dog->view = lk_alloc((size_t)dog->n * sizeof *dog->view);
    LK_TRY_ALLOC(dog->view, (size_t)dog->n * sizeof *dog->view);
    if (world->mpi) {
        LK_TRY(share_table(world, dog));
    } else {
        dog->table = dog->own = lk_alloc(sizeof *dog->own);
        LK_TRY_ALLOC(dog->own, sizeof *dog->own);
    }
    dog->mine = &dog->table[world->host_rank];
    atomic_store(&dog->mine->rank, world->rank);
    set_phase(dog->mine, dog->phase = "start");
    stamp(dog->mine);
    return LK_OK;
}

lk_status lk_watchdog_new(lk_world *world, double timeout_s)
{
    lk_watchdog *dog = lk_alloc(sizeof *dog);
    pthread_condattr_t monotonic;

    LK_TRY_ALLOC(dog, sizeof *dog);
    dog->world = world;
    dog->window = MPI_WIN_NULL;
    pthread_mutex_init(&dog->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&dog->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);

    const lk_status status = open_table(world, dog);
    world->watchdog = dog;
    return status == LK_OK ? lk_watchdog_set_timeout(world, timeout_s) : lk_trace(status, __FILE__, __LINE__);
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
    if (dog->mine) {
        atomic_store(&dog->mine->beat, 0);
        lk_wait_begin(world); /* for good: who is still watching must not blame who has left */
    }
    if (dog->window != MPI_WIN_NULL) MPI_Win_free(&dog->window);
    pthread_cond_destroy(&dog->changed);
    pthread_mutex_destroy(&dog->lock);
    lk_free(&dog->own);
    lk_free(&dog->view);
    lk_free(&world->watchdog);
}
