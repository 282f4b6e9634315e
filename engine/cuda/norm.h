/* What batch norm and layer norm share: places, sizes, scratch.  Private to engine/cuda/. */
#ifndef LK_CUDA_NORM_H
#define LK_CUDA_NORM_H

#include "engine/cuda/reduce.cuh"

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
const norm_state *cuda_norm_begin(void *state, const lk_launch_args *run);
/* Sizes for x (..., C); the rest of *state is kept.  On success *out owns a copy of it. */
lk_status cuda_norm_keep(cuda_ctx *ctx, const lk_tensor *x, lk_status (*run)(void *state, const lk_launch_args *run),
                         norm_state *state, lk_kernel *out);

#endif
