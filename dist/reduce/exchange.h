/* Sums over workers: what each has added up of its own lanes (its roots) becomes the sum of all, bucket by bucket. */
#ifndef LK_DIST_EXCHANGE_H
#define LK_DIST_EXCHANGE_H

#include "dist/reduce/background.h"
#include "dist/reduce/shards.h"
#include "dist/reduce/transport.h"

typedef struct lk_exchange {
    lk_world *world;             /* borrowed */
    lk_mem_space space;          /* of the roots */
    const lk_buckets *buckets;   /* borrowed */
    const lk_shards *shards;     /* borrowed; NULL: every worker gets the whole sum */
    float *const *root;          /* borrowed, (n_roots): their sum over all workers comes to root[0] */
    int n_roots;
    lk_transport transport;
    void *state;                 /* owned, the algorithm's; NULL: a world of one, nothing to exchange */
    float *staged[LK_TREE_DEPTH]; /* owned, page-locked: the roots on the host, where MPI needs them there */
    lk_p2p p2p;
    lk_background *background;   /* owned, sums while the backward pass goes on; NULL: finish sums */
    double seconds_waited;
} lk_exchange;

/* The fields before `transport` are set; the buckets are cut.  On failure, too, lk_exchange_close() is due.
 * Collective. */
lk_status lk_exchange_open(lk_exchange *exchange, lk_reduction kind, int lanes);
/* Collective by NCCL, where it waits for the others; else Local. */
void      lk_exchange_close(lk_exchange *exchange);
/* Buckets [before, n_complete) have become final here.  Local. */
lk_status lk_exchange_post(lk_exchange *exchange, size_t before, size_t n_complete);
/* Memory beside the roots. */
size_t    lk_exchange_nbytes(const lk_exchange *exchange);
/* All are: waits for their sums, or queues that on the device.  Collective. */
lk_status lk_exchange_finish(lk_exchange *exchange);
/* With shards, between two steps: what each worker has in its parts of an array, as long as those reach, goes to all.
 * Collective. */
lk_status lk_exchange_gather(lk_exchange *exchange, float *array);

#endif
