/* The watchdog of a world: names the worker that is stuck and ends the job. */
#ifndef LK_DIST_WATCHDOG_H
#define LK_DIST_WATCHDOG_H

#include "dist/world/world.h"

/* timeout_s as lk_world_new().  Collective. */
lk_status lk_watchdog_new(lk_world *world, double timeout_s);
/* Collective. */
void      lk_watchdog_free(lk_world *world);
/* Local. */
lk_status lk_watchdog_set_timeout(lk_world *world, double timeout_s);

#endif
