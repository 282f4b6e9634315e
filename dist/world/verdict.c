/*
 * What a worker without progress for the timeout concludes from the heartbeats of its host:
 *
 *     no beat from a worker for half that time   it is stopped (SIGSTOP, a dead core): that one
 *     a worker that does not wait, and is late   it is stuck in its own work: lowest step first, then the stalest
 *     a worker that moved within the timeout     the others wait for it with reason: no alarm
 *     all wait                                   the culprit is on another host
 */
#include "dist/world/verdict.h"

#include <stddef.h>

lk_verdict lk_verdict_of(const lk_heartbeat_view *view, int n, int self, double timeout)
{
    int stuck = -1, stopped = -1;
    bool moving = false;

    if (view[self].age <= timeout) return (lk_verdict){LK_VERDICT_FINE, -1};
    for (int i = 0; i < n; i++) {
        const lk_heartbeat_view *s = &view[i];

        if (i != self && s->beat_age > LK_STALE * timeout) {
            if (stopped < 0 || s->beat_age > view[stopped].beat_age) stopped = i;
        } else if (s->age <= timeout) {
            moving = true;
        } else if (!s->waiting) {
            const lk_heartbeat_view *worst = stuck < 0 ? NULL : &view[stuck];
            if (!worst || s->step < worst->step || (s->step == worst->step && s->age > worst->age)) stuck = i;
        }
    }
    /* In this order: a culprit is one however busy the others are. */
    if (stopped >= 0) return (lk_verdict){LK_VERDICT_STOPPED, stopped};
    if (stuck >= 0) return (lk_verdict){LK_VERDICT_STUCK, stuck};
    if (moving) return (lk_verdict){LK_VERDICT_FINE, -1};
    return (lk_verdict){LK_VERDICT_ELSEWHERE, self};
}
