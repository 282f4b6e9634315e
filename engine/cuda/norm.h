/* What batch norm and layer norm share: places, sizes, scratch.  Private to engine/cuda/. */
#ifndef LK_CUDA_NORM_H
#define LK_CUDA_NORM_H

#include "engine/cuda/reduce.cuh"

/* The places of a node's tensors (those that it has, by engine/ops/norm.h), its sizes, and scratch. */
typedef struct norm_state {
    cuda_ctx *ctx; /* borrowed */
    cuda_ref x, g, b, y, dy, dx, dg, db, mean, rstd, stat_mean, stat_var;
    column_cut cut;
    float eps;
    bool bf16;
    float *partial; /* (n_chunks, 2, C); both in scratch, set by cuda_norm_begin() */
    float *factor;  /* (3, C) */
} norm_state;

/* The kernel's state with its sums where this run has scratch. */
const norm_state *cuda_norm_begin(void *state, const lk_launch_args *args);
/* Makes run the kernel of a node of LK_NORM_NODE_LIST, with the state of it that *out then owns. */
lk_status cuda_norm_bind(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node,
                         lk_status (*run)(void *state, const lk_launch_args *args), lk_kernel *out);

#endif
