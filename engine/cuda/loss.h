/*
 * What the two kinds of losses share: their state, and how the sums of blocks become the slot or the sums.  Private to
 * engine/cuda/.
 *
 * Terms are summed in double and in an order that the shape fixes: each block of a loss's kernel leaves its sums, and
 * one block of another kernel adds them, thread by thread in steps of its width and then in a tree.
 */
#ifndef LK_CUDA_LOSS_H
#define LK_CUDA_LOSS_H

#include "engine/cuda/cuda.h"

enum { LOSS_BLOCK = 256 };

/* What kernels read; passed by value. */
typedef struct loss_call {
    void *dx; /* NULL outside training */
    const void *x, *target;
    size_t n_rows, n_outputs;
    const float *weight; /* (n_outputs), of classes or of events; NULL: 1 */
    float sum_w;         /* of them */
    float smoothing, knee; /* knee: huber's delta, smooth_l1's beta */
    int32_t ignore_index;
    lk_loss_kind kind;
    bool bf16;
    double *partial;     /* (n_blocks, LK_N_SUMS); in scratch */
} loss_call;

typedef struct cuda_loss {
    cuda_ctx *ctx; /* borrowed */
    cuda_ref x, target, dx, to;   /* to: the slot or the sums */
    size_t n_blocks;
    bool train;
    loss_call call; /* weight is owned, device; dx, x, target and partial differ from run to run */
} cuda_loss;

loss_call cuda_loss_call_of(const cuda_loss *s, const lk_launch_args *args);
/* Adds the blocks up and writes the loss slot, or the first LK_N_SUMS sums. */
lk_status cuda_loss_store(const cuda_loss *s, const lk_launch_args *args);
lk_status cuda_loss_bind(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, size_t n_blocks,
                         lk_status (*run)(void *state, const lk_launch_args *args), lk_kernel *out);
/* Cross-entropy where targets are probabilities: soft_cross_entropy.cu. */
lk_status cuda_bind_soft_cross_entropy(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out);

#endif
