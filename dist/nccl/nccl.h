/*
 * NCCL as dist/ sees it: a table of calls without NCCL's types, made by dist/nccl/nccl.c in the CUDA module and handed
 * out by lk_engine_collectives().  So the program runs where there is no NCCL.
 *
 * Calls that move data queue it on a stream of the device (a cudaStream_t) and return; counts are in floats.  Between
 * group_start and group_end they are one operation, whose parts wait for each other in no order.
 */
#ifndef LK_DIST_NCCL_H
#define LK_DIST_NCCL_H

#include "engine/run.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { LK_NCCL_ID_BYTES = 128 };

typedef struct lk_nccl {
    /* "2.27.3"; writes at most nbytes. */
    void (*version)(char *text, size_t nbytes);
    /* Names a communicator; one worker asks and tells the others. */
    lk_status (*unique_id)(char id[LK_NCCL_ID_BYTES]);
    /* Joins `size` workers, on the device that is current.  Every worker at once.  NCCL is told not to register buffers
     * of captured operations (NCCL_GRAPH_REGISTER=0, unless it is set): both sides of a message would have to. */
    lk_status (*open)(const char id[LK_NCCL_ID_BYTES], int size, int rank, void **comm);
    void (*close)(void *comm);
    /* Gives it up at once, also while operations are stuck.  comm is gone afterwards. */
    void (*abort)(void *comm);
    /* LK_ERR_PEER with NCCL's words if something that was queued has failed. */
    lk_status (*poll)(void *comm);
    lk_status (*group_start)(void);
    lk_status (*group_end)(void);
    lk_status (*send)(void *comm, const float *from, size_t n_elem, int to, void *stream);
    lk_status (*receive)(void *comm, float *into, size_t n_elem, int from, void *stream);
    /* Sums in place, in the order that NCCL likes. */
    lk_status (*all_reduce)(void *comm, float *values, size_t n_elem, void *stream);
} lk_nccl;

#ifdef __cplusplus
}
#endif
#endif
