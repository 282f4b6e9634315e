/* A communicator of NCCL over all workers of a world, watched while the engine waits, given up when the job ends. */
#ifndef LK_DIST_NCCL_COMM_H
#define LK_DIST_NCCL_COMM_H

#include "dist/nccl/nccl.h"
#include "dist/world/world.h"

typedef struct lk_nccl_comm lk_nccl_comm;

/* engine: of a device that no other worker has, borrowed; one communicator at a time, for it takes the engine's poll.
 * Collective.  A worker that fails to join ends the job: the others are inside NCCL, where nothing reaches them. */
lk_status lk_nccl_comm_new(lk_world *world, lk_engine *engine, lk_nccl_comm **out);
/* What was queued on it must be done.  Collective: NCCL waits for the others, unless the engine failed; then it is
 * given up. */
void      lk_nccl_comm_free(lk_nccl_comm **comm);
/* For lk_nccl's calls.  Local.  Errors: LK_ERR_PEER once it was given up. */
lk_status lk_nccl_comm_get(lk_nccl_comm *comm, void **out);

#endif
