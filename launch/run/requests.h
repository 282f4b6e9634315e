/* Signals that ask a command to stop which starts training and waits for it. */
#ifndef LK_REQUESTS_H
#define LK_REQUESTS_H

#include "engine/engine.h"

#include <signal.h>

typedef struct requests {
    int fd;          /* a signalfd: it can be read when one has come, or a child has ended; -1: not open */
    sigset_t before; /* what was blocked before: a child's */
    bool stop;       /* finish the step, write a checkpoint, end */
    bool now;        /* end at once: Ctrl-C behind another request */
} requests;

/* From here on to requests_close() the signals of signals_install() wait to be taken.  Errors: LK_ERR_SYSTEM. */
lk_status requests_open(requests *r);
void      requests_close(requests *r);
/* Takes all that have come. */
void      requests_take(requests *r);
/* Waits so long, or until one asks to stop; returns r->stop. */
bool      requests_wait(requests *r, double seconds);

#endif
