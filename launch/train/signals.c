/*
 * Requests to stop.  Schedulers send one of these some time before they kill, and requeue a job that leaves with
 * 75: SIGTERM and SIGUSR1 (Slurm), SIGUSR2 (LSF, SGE, submitit), SIGXCPU (a limit of processor time), SIGHUP (a
 * terminal that is closed).  The handler only notes the request; the step in progress is finished, a checkpoint
 * written.  A second Ctrl-C ends the process at once, for people in a hurry.
 */
#include "launch/launch.h"

#include <string.h>

static volatile sig_atomic_t stop_requested;

static void note_request(int number)
{
    if (number == SIGINT && stop_requested) {
        signal(SIGINT, SIG_DFL);
        raise(SIGINT);
    }
    stop_requested = 1;
}

/* Under nohup a hangup is ignored, and stays so. */
static bool is_ignored(int number)
{
    struct sigaction now;

    return sigaction(number, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

void signals_that_stop(sigset_t *out)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGUSR1, SIGUSR2, SIGXCPU, SIGHUP};

    sigemptyset(out);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i] != SIGHUP || !is_ignored(SIGHUP)) sigaddset(out, numbers[i]);
}

void signals_install(void)
{
    struct sigaction action;
    sigset_t numbers;

    memset(&action, 0, sizeof action);
    action.sa_handler = note_request;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    signals_that_stop(&numbers);
    for (int number = 1; number < NSIG; number++)
        if (sigismember(&numbers, number) == 1) sigaction(number, &action, NULL);
}

bool signals_stop_requested(void) { return stop_requested != 0; }
