/* How the job ends before its time, from whatever thread. */
#ifndef LK_DIST_END_H
#define LK_DIST_END_H

#include "dist/world/world.h"

/* What must be given up when the job ends from here; it gets a few seconds, also on the watchdog's thread.  NULL:
 * nothing any more.  Local. */
void lk_world_on_end(lk_world *world, void (*on_end)(void *arg), void *arg);
/* Leaves who spoke first the time to end the job; how long that is.  Local. */
void   lk_hold_back(void);
double lk_hold_back_seconds(void);
/* This process ends by itself after so many seconds, whatever its threads are at.  Local. */
void lk_end_within(int exit_status, unsigned seconds);
/* Ends the job with this exit status, without a word and without flushing: also for threads that must not wait for
 * another's lock.  Local; does not return. */
void lk_world_end(lk_world *world, int exit_status) __attribute__((noreturn));

#endif
