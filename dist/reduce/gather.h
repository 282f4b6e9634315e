/* Parameters after a sharded update, for reducer.c. */
#ifndef LK_DIST_GATHER_H
#define LK_DIST_GATHER_H

#include "dist/reduce/exchange.h"

/* params: (lk_model_n_elem), of which each worker has updated its shard; becomes the same on all.  scratch: as long as
 * the packed gradients; what it holds is lost.  Collective. */
lk_status lk_gather_params(lk_exchange *exchange, const lk_trainable *trainable, float *scratch, float *params);

#endif
