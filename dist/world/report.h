/* What the watchdog tells when it ends a job: who is the cause, where it stands, and for what the others wait. */
#ifndef LK_DIST_REPORT_H
#define LK_DIST_REPORT_H

#include "dist/world/heartbeat.h"

/* All are Local, write to stderr without stdio, and read the table as `view` saw it, (heartbeats->n). */
void lk_report_verdict(const lk_world *world, const lk_heartbeat_view *view, lk_verdict verdict);
/* Rank `silent`, of another host, does not answer. */
void lk_report_silent(const lk_world *world, const lk_heartbeat_view *view, int silent);
/* Where the main thread of this process stands, if another worker asked for that. */
void lk_report_own_stack(const lk_world *world);

#endif
