/* How gradients travel between workers: chosen once for all of them. */
#ifndef LK_DIST_TRANSPORT_H
#define LK_DIST_TRANSPORT_H

#include "dist/reduce/algorithm.h"

typedef struct lk_transport {
    const lk_algorithm *algorithm;
    bool staged;       /* roots on a device are summed in copies on the host */
    const char *name;  /* as in lk_reducer_stats */
} lk_transport;

/* engine: NULL for host memory.  Collective; the leader says on stderr, once, when devices are shared.
 * Errors, the same on every worker: LK_ERR_USAGE (nccl without devices, without NCCL, or with shared ones). */
lk_status lk_transport_choose(lk_world *world, const lk_engine *engine, lk_reduction kind, lk_transport *out);

#endif
