/*
 * The watchdog's words:
 *
 *     lockstep: rank 2 (b) is stuck at step 120 in `train`, layer layer3.0.conv1, for 61 s; ending the job
 *       rank 0 (b) waits at step 120 in `train` for 61 s, reducing bucket 4 of 9 with rank 2 (b)
 *       rank 1 (b) waits at step 120 in `evaluate` for 60 s, in MPI_Allreduce
 *       where rank 2 is (process 4711), innermost first:
 *         read (libc.so.6+0xf9e4c)
 *         ...
 *
 * The first line names the cause, the others are those of its host that wait for it.  The stack is told by the stuck
 * process itself: its own watchdog is asked in the table.
 *
 * All goes straight to the descriptor, for the main thread may be stuck with stdio's lock in its hands.
 */
#include "dist/world/report.h"

#include "dist/world/stack.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    TEXT_BYTES = 8192,
    WORDS_BYTES = 256,
    MOST_WAITING = 16, /* of a host are told; more say no more */
    NAP_NS = 20 * 1000 * 1000,
    NAPS = 100,        /* two seconds for the stuck worker's watchdog: some of its ticks */
};

typedef struct text {
    size_t n;
    char bytes[TEXT_BYTES];
} text;

__attribute__((format(printf, 2, 3))) static void add(text *t, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    const int n = vsnprintf(t->bytes + t->n, sizeof t->bytes - t->n, format, args);
    va_end(args);
    if (n > 0) t->n = t->n + (size_t)n < sizeof t->bytes ? t->n + (size_t)n : sizeof t->bytes - 1;
}

/* In one piece, so that other processes' lines come before or behind it. */
static void print(const text *t)
{
    if (write(STDERR_FILENO, t->bytes, t->n) < 0) return; /* nobody reads: the exit status says it too */
}

/* -------------------------------------------------------------------- words */

/* "rank 2 (b)" */
static void add_rank(text *t, const lk_world *world, int rank)
{
    add(t, "rank %d (%s)", rank, world->hosts[rank]);
}

/* "at step 120 in `train`, layer fc1, for 61 s" */
static void add_place(text *t, const lk_heartbeat *s, const lk_heartbeat_view *seen)
{
    char phase[LK_PHASE_BYTES], layer[LK_LAYER_BYTES];

    lk_heartbeat_phase(s, phase);
    lk_heartbeat_layer(s, layer);
    add(t, "at step %lld in `%s`", (long long)seen->step, phase);
    if (layer[0] && !seen->waiting) add(t, ", layer %s,", layer);
    add(t, " for %.0f s", seen->age);
}

static void add_sum(text *t, const lk_world *world, const lk_heartbeat *s, int bucket)
{
    const int peer = atomic_load(&s->peer) - 1;

    add(t, ", reducing bucket %d of %d with ", bucket, atomic_load(&s->n_buckets));
    if (peer >= 0 && peer < world->size) add_rank(t, world, peer);
    else add(t, "several workers");
}

static void add_awaited(text *t, const lk_world *world, const lk_heartbeat *s)
{
    static const char mpi[] = "MPI_";
    char what[LK_PHASE_BYTES];
    const int bucket = atomic_load(&s->bucket);

    lk_heartbeat_awaits(s, what);
    if (bucket > 0 && strcmp(what, LK_AWAITS_SUMS) == 0) add_sum(t, world, s, bucket);
    else if (strncmp(what, mpi, strlen(mpi)) == 0) add(t, ", in %.*s", (int)strcspn(what, "("), what);
    else add(t, ", for %s", what);
}

/* Those of this host that wait, but `except`, a line each. */
static void add_waiting(text *t, const lk_world *world, const lk_heartbeat_view *view, int except)
{
    const lk_heartbeats *h = world->heartbeats;
    int n_waiting = 0;

    for (int i = 0; i < h->n; i++) {
        if (i == except || !view[i].waiting || ++n_waiting > MOST_WAITING) continue;
        add(t, "  ");
        add_rank(t, world, atomic_load(&h->table[i].rank));
        add(t, " waits ");
        add_place(t, &h->table[i], &view[i]);
        add_awaited(t, world, &h->table[i]);
        add(t, "\n");
    }
    if (n_waiting > MOST_WAITING) add(t, "  and %d more of this host wait\n", n_waiting - MOST_WAITING);
}

/* ": its process is stopped or dead (4711: state T)" */
static void add_stopped(text *t, const lk_heartbeat *s)
{
    const int pid = atomic_load(&s->pid);

    add(t, ": its process is stopped or dead");
    if (lk_pid_space() == 0 || lk_pid_space() != atomic_load(&s->pid_space)) return;
    const char state = lk_process_state(pid);
    if (state) add(t, " (process %d, state %c)", pid, state);
    else add(t, " (process %d is gone)", pid);
}

/* -------------------------------------------------------------------- stacks */

void lk_report_own_stack(const lk_world *world)
{
    _Atomic int *stack = &world->heartbeats->mine->stack;

    if (atomic_load(stack) != LK_STACK_ASKED) return;
    lk_stack_print(STDERR_FILENO, world->rank);
    atomic_store(stack, LK_STACK_TOLD);
}

/* The stack of worker i of this host, by whoever can take it. */
static void print_stack(const lk_world *world, int i)
{
    const struct timespec nap = {0, NAP_NS};
    lk_heartbeat *s = &world->heartbeats->table[i];

    atomic_store(&s->stack, LK_STACK_ASKED);
    if (s == world->heartbeats->mine) lk_report_own_stack(world);
    for (int n = 0; n < NAPS && atomic_load(&s->stack) == LK_STACK_ASKED; n++) nanosleep(&nap, NULL);
}

/* -------------------------------------------------------------------- reports */

void lk_report_verdict(const lk_world *world, const lk_heartbeat_view *view, lk_verdict verdict)
{
    const lk_heartbeat *s = &world->heartbeats->table[verdict.culprit];
    const bool all_wait = verdict.kind == LK_VERDICT_ELSEWHERE;
    text t = {0};

    add(&t, "lockstep: ");
    add_rank(&t, world, atomic_load(&s->rank));
    add(&t, all_wait ? " has waited " : " is stuck ");
    add_place(&t, s, &view[verdict.culprit]);
    if (verdict.kind == LK_VERDICT_STOPPED) add_stopped(&t, s);
    if (all_wait)
        add(&t, world->n_hosts > 1 ? " for workers of other hosts, or the network"
                                   : " for workers that all wait as well");
    add(&t, "; ending the job\n");
    add_waiting(&t, world, view, all_wait ? -1 : verdict.culprit);
    print(&t);
    if (verdict.kind == LK_VERDICT_STUCK) print_stack(world, verdict.culprit);
}

void lk_report_silent(const lk_world *world, const lk_heartbeat_view *view, int silent)
{
    text t = {0};

    add(&t, "lockstep: ");
    add_rank(&t, world, silent);
    add(&t, " does not answer: its process is stopped, or its host or the network is gone; ");
    add_rank(&t, world, world->rank);
    add(&t, " has waited ");
    add_place(&t, world->heartbeats->mine, &view[world->host_rank]);
    add(&t, "; ending the job\n");
    add_waiting(&t, world, view, -1);
    print(&t);
}
