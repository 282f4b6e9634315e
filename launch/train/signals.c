/*
 * Requests to stop.  Schedulers send SIGTERM or SIGUSR1 some time before they kill, and requeue a job that leaves with
 * 75.  The handler only notes the request; the step in progress is finished, a checkpoint written.  A second
 * Ctrl-C ends the process at once, for people in a hurry.
 */
#include "launch/launch.h"

#include <signal.h>
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

void signals_install(void)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = note_request;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGINT, &action, NULL);
}

bool signals_stop_requested(void) { return stop_requested != 0; }
