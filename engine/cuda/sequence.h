/* What ops along positions share, one of whose tensors may be an entry of the cache.  Private to engine/cuda/. */
#ifndef LK_CUDA_SEQUENCE_H
#define LK_CUDA_SEQUENCE_H

#include "engine/cuda/element.h"

/* x (N, x_length, C) -> y (N, y_length, C) */
typedef struct sequence_shape {
    size_t N, x_length, y_length, C;
    bool bf16;
    bool cached;    /* x is the cache's */
    bool backwards; /* from the last position to the first */
} sequence_shape;

typedef struct sequence_state {
    cuda_ctx *ctx; /* borrowed */
    cuda_ref x, y;
    sequence_shape shape;
} sequence_state;

/* Makes run the kernel of a node with one input and one output, with a sequence_state that *out then owns. */
lk_status cuda_sequence_bind(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node,
                             lk_status (*run)(void *state, const lk_launch_args *args), bool backwards, lk_kernel *out);

#endif
