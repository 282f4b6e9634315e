/* Cumulative sums over positions, a thread a column, in the CPU's order; the gradient is the same from the end. */
#include "engine/cuda/sequence.h"

/* y begins at the lane's position where x is the cache's. */
static __global__ void cumsum(void *y, const void *x, sequence_shape s, const lk_lane_args *lane)
{
    const size_t first = s.cached ? (size_t)lane->position : 0;

    for (size_t k = element_first(); k < s.N * s.C; k += element_step()) {
        const size_t row = k / s.C, c = k % s.C;
        float sum = 0.0f;

        for (size_t i = 0; i < first + s.y_length; i++) {
            const size_t at = s.backwards ? s.y_length - 1 - i : i;

            sum += element_load(x, (row * s.x_length + at) * s.C + c, s.bf16);
            if (i >= first) element_store(y, (row * s.y_length + at - first) * s.C + c, sum, s.bf16);
        }
    }
}

static lk_status run_cumsum(void *state, const lk_launch_args *args)
{
    const sequence_state *s = (const sequence_state *)state;

    LK_LAUNCH_FLAT(cumsum, element_blocks(s->ctx, s->shape.N * s->shape.C), ELEMENT_BLOCK, s->ctx->stream,
                   cuda_at(args, s->y), (const void *)cuda_at(args, s->x), s->shape, args->lane);
    return LK_OK;
}

lk_status cuda_bind_cumsum(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return cuda_sequence_bind(ctx, graph, node, run_cumsum, false, out);
}

lk_status cuda_bind_cumsum_grad(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return cuda_sequence_bind(ctx, graph, node, run_cumsum, true, out);
}
