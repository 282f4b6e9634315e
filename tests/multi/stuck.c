/*
 * A job that gets stuck in the way its argument says; the watchdog must end it.  Run by stuck.sh.
 *
 *     fine             nobody is stuck; the job ends well
 *     slow             the last rank is slow but tells progress; the job ends well
 *     stopped          the last rank is stopped (SIGSTOP) in its own work
 *     stopped-waiting  the last rank is stopped while it waits in a collective
 *     asleep           the last rank sleeps in its own work
 *     looping          the last rank computes for ever in its own work
 *     reducing         the same, and the others already sum gradients
 *     crossed          the last rank calls another collective than the rest
 *     abort            the last rank ends the job with status 5
 *     alone            a world of one sleeps
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dist/reduce/reducer.h"

enum { TENSOR = 1 << 16, N_TENSORS = 3 };
enum { STUCK_STEP = 5, N_STEPS = 10, SLOW_PARTS = 20, SLOW_PART_US = 100 * 1000 };
static const double TIMEOUT_S = 1.0;

static bool is(const char *mode, const char *name) { return strcmp(mode, name) == 0; }

/* Not static: a stack names what a program shows. */
void compute_for_ever(volatile int *turns) __attribute__((noreturn, noinline));
void compute_for_ever(volatile int *turns)
{
    for (;;) *turns += 1;
}

/* Three buckets of a tensor each, over one lane a worker. */
static void reduce(lk_world *world, bool stuck)
{
    static const size_t cut[] = {0, TENSOR, 2 * TENSOR};
    const lk_arena_cuts cuts = {.cut = cut, .n = N_TENSORS, .n_elem = N_TENSORS * TENSOR};
    lk_reducer *reducer;
    const float *sum;
    float *grads;
    volatile int turns = 0;

    if (lk_reducer_new_plain(world, NULL, LK_REDUCE_TREE, lk_world_size(world), cuts, TENSOR * sizeof(float),
                             NULL, &reducer) != LK_OK)
        lk_world_abort(world, LK_ERR_PEER, lk_error_message());
    if (stuck) compute_for_ever(&turns);
    lk_reducer_lane(reducer, lk_world_rank(world), &grads);
    lk_reducer_empty_lane(reducer);
    lk_reducer_finish(reducer, &sum);
}

static void misbehave(lk_world *world, const char *mode)
{
    if (is(mode, "stopped")) raise(SIGSTOP);
    if (is(mode, "asleep")) pause();
    if (is(mode, "looping")) {
        volatile int turns = 0;
        compute_for_ever(&turns);
    }
    if (is(mode, "crossed")) lk_world_gather(world, mode, 1, NULL), lk_world_agree(world, LK_OK);
    if (is(mode, "abort")) lk_world_abort(world, LK_ERR_NUMBERS, "loss is not finite");
    if (is(mode, "slow"))
        for (int i = 0; i < SLOW_PARTS; i++) {
            lk_world_progress(world, STUCK_STEP, "evaluate");
            usleep(SLOW_PART_US);
        }
}

/* Stops the whole process from outside its main thread, a moment later: then that thread waits in a collective. */
static void stop_soon(void)
{
    const pid_t me = getpid();

    if (fork() != 0) return;
    usleep(3 * SLOW_PART_US);
    kill(me, SIGSTOP);
    _exit(0);
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "fine";
    lk_world *world;

    if (lk_world_new(TIMEOUT_S, &world) != LK_OK) return LK_ERR_SYSTEM;
    const int last = lk_world_size(world) - 1;

    for (int step = 0; step < N_STEPS; step++) {
        lk_world_progress(world, step, "forward");
        if (step == STUCK_STEP && lk_world_rank(world) == last) {
            if (is(mode, "stopped-waiting")) stop_soon();
            misbehave(world, is(mode, "alone") ? "asleep" : mode);
        }
        if (step == STUCK_STEP && is(mode, "reducing")) reduce(world, lk_world_rank(world) == last);
        if (step == STUCK_STEP && lk_world_rank(world) == 0 && is(mode, "stopped-waiting")) usleep(6 * SLOW_PART_US);
        if (lk_world_barrier(world) != LK_OK) lk_world_abort(world, LK_ERR_PEER, lk_error_message());
    }
    lk_world_free(&world);
    return 0;
}
