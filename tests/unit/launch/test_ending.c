/* What mpirun's status and words tell of the end of a try. */
#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

#include "launch/run/ending.h"

static ending hear(int status, const char *const *lines)
{
    ending end = {.status = status};

    for (; *lines; lines++) ending_hear(&end, *lines);
    return end;
}

static void expect(const ending *end, lk_status want, const char *words, bool again)
{
    char text[ENDING_BYTES];

    cr_expect_eq(ending_status(end), want, "%s: got status %d, want %d", words, (int)ending_status(end), (int)want);
    cr_expect(strstr(ending_describe(end, text), words), "got `%s`, want `%s`", text, words);
    cr_expect_eq(ending_comes_again(end), again, "%s: comes again is %d, want %d", words, !again, again);
}

static const char killed[] = "mpirun noticed that process rank 3 with PID 4711 on node b exited on signal 9 (Killed).";

Test(ending, a_killed_worker_by_either_status)
{
    const ending by_signal = hear(137, (const char *[]){"lockstep: resuming at step 7 with 1 change: x", killed, NULL});
    const ending by_one = hear(1, (const char *[]){"lockstep: warning: w", killed, NULL});
    const ending srun = hear(137, (const char *[]){"srun: error: b: task 3: Killed",
                                                   "srun: error: a: tasks 0-1: Killed", NULL});
    const ending silent = hear(128 + SIGSEGV, (const char *[]){"epoch 3", NULL});

    expect(&by_signal, LK_ERR_PEER, "rank 3 on node b exited on signal 9 (Killed)", false);
    expect(&by_one, LK_ERR_PEER, "rank 3 on node b exited on signal 9 (Killed)", false);
    expect(&srun, LK_ERR_PEER, "task 3 on node b: Killed", false);
    expect(&silent, LK_ERR_PEER, "was ended by signal 11 (Segmentation fault)", false);
}

Test(ending, a_lost_host)
{
    const ending end = hear(1, (const char *[]){"  HNP daemon   : [[1,0],0] on node a",
                                                "  Remote daemon: [[1,0],1] on node b", NULL});
    const ending srun = hear(137, (const char *[]){"srun: error: Node failure on c", "srun: error: a: task 0: Killed",
                                                   NULL});

    expect(&end, LK_ERR_PEER, "host b was lost", false);
    expect(&srun, LK_ERR_PEER, "host c was lost", false);
}

Test(ending, what_lockstep_said)
{
    const ending recipe = hear(2, (const char *[]){"lockstep: warning: w", "lockstep: r.yaml:3: no such key", "--",
                                                   NULL});
    const ending stuck = hear(6, (const char *[]){"lockstep: rank 1 (b) is stuck at step 9 in data", NULL});
    const ending disk = hear(1, (const char *[]){"[1,0]<stderr>:lockstep: cannot write", NULL});
    const ending data = hear(3, (const char *[]){"lockstep: d.csv:3: no number",
                                                 "srun: error: a: task 0: Exited with exit code 3", NULL});
    const ending unknown = hear(2, (const char *[]){"mpirun: unrecognized option", NULL});

    expect(&recipe, LK_ERR_USAGE, "exit status 2: r.yaml:3: no such key", true);
    expect(&stuck, LK_ERR_PEER, "exit status 6: rank 1 (b) is stuck at step 9", false);
    expect(&disk, LK_ERR_SYSTEM, "exit status 1: cannot write", false);
    expect(&data, LK_ERR_DATA, "exit status 3: d.csv:3: no number", true);
    expect(&unknown, LK_ERR_PEER, "exit status 2, and no worker has said why", false);
}

Test(ending, the_same_once_more)
{
    const char *const at_9[] = {"lockstep: rank 0 (a): step 9: cannot write", NULL};
    const char *const at_12[] = {"lockstep: rank 0 (a): step 12: cannot write", NULL};
    const ending first = hear(1, at_9), second = hear(1, at_9), later = hear(1, at_12);
    const ending kill = hear(137, (const char *[]){killed, NULL});

    cr_expect(ending_is_repeated(&first, &second));
    cr_expect_not(ending_is_repeated(&first, &later), "another step is another failure");
    cr_expect_not(ending_is_repeated(&kill, &kill), "SIGKILL comes from outside");
}
