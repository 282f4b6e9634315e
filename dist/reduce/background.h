/* A thread that does numbered jobs in order while its owner goes on: the communication thread. */
#ifndef LK_DIST_BACKGROUND_H
#define LK_DIST_BACKGROUND_H

#include <stdatomic.h>

#include "engine/base/base.h"

typedef struct lk_background lk_background;

/* do_job(arg, i) is called for i = 0, 1, ... of each round.  *hurry is set while the owner waits.  Local, as all
 * here. */
lk_status lk_background_new(lk_status (*do_job)(void *arg, size_t i), void *arg, _Atomic bool *hurry,
                            lk_background **out);
void      lk_background_free(lk_background **background);
/* Jobs [0, n_ready) of this round may be done. */
void      lk_background_post(lk_background *background, size_t n_ready);
/* Until n_jobs are done or one has failed; then the next round begins. */
lk_status lk_background_wait(lk_background *background, size_t n_jobs);

#endif
