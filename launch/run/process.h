/* A process that is started, listened to and waited for. */
#ifndef LK_PROCESS_H
#define LK_PROCESS_H

#include "launch/run/requests.h"

/* One line of what a process says on its standard error. */
typedef void process_line_fn(void *arg, const char *line);

typedef struct process_spec {
    char *const *argv;      /* argv[0] is the path of the program */
    const char *log;        /* a file that gets all that it says; NULL: it speaks where we do */
    process_line_fn *line;  /* without a log: told of each line of its standard error, too; NULL: nobody */
    void *arg;
    const char *last_words; /* after a line with these in it it is killed if it does not end in 45 s, and its status is
                             * LK_ERR_PEER; NULL: there are none */
} process_spec;

/* Starts it and waits for its end; *status is its exit status, 128 + the signal where one ended it.  A request to stop
 * reaches it as SIGUSR1 (which mpirun and srun hand on to the workers), one to stop at once as SIGTERM.  It ends with
 * us, too.  Errors: LK_ERR_SYSTEM (it could not be started). */
lk_status process_run(requests *r, const process_spec *spec, int *status);

/* Starts n of them at once, and waits up to so many seconds, or until one asks to stop; then those that are left are
 * killed.  good[i]: it ended with 0 in that time.  Errors: LK_ERR_SYSTEM. */
lk_status process_try(requests *r, char *const *const *argv, size_t n, double seconds, bool *good);

#endif
