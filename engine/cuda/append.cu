/* The lane's positions into the cache's; the position is read from device memory, so a recording serves all of them. */
#include "engine/cuda/sequence.h"

static __global__ void append(void *y, const void *x, sequence_shape s, const lk_lane_args *lane)
{
    const size_t row_elem = s.x_length * s.C, n = s.N * row_elem;

    for (size_t i = element_first(); i < n; i += element_step()) {
        const size_t row = i / row_elem, in_row = i % row_elem;
        const size_t to = (row * s.y_length + (size_t)lane->position) * s.C + in_row;

        if (s.bf16) ((__nv_bfloat16 *)y)[to] = ((const __nv_bfloat16 *)x)[i];
        else ((float *)y)[to] = ((const float *)x)[i];
    }
}

static lk_status run_append(void *state, const lk_launch_args *args)
{
    const sequence_state *s = (const sequence_state *)state;
    const size_t n = s->shape.N * s->shape.x_length * s->shape.C;

    LK_LAUNCH_FLAT(append, element_blocks(s->ctx, n), ELEMENT_BLOCK, s->ctx->stream, cuda_at(args, s->y),
                   (const void *)cuda_at(args, s->x), s->shape, args->lane);
    return LK_OK;
}

lk_status cuda_bind_append(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return cuda_sequence_bind(ctx, graph, node, run_append, false, out);
}
