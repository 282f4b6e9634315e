/* Cumulative sums over positions, a thread a column, in the CPU's order; the gradient is the same from the end. */
#include "engine/cuda/element.h"

#include <string.h>

typedef struct cumsum_shape {
    size_t N, S, L, C; /* positions of x and of y */
    bool bf16;
    bool cached;       /* x holds the cache's positions; y begins at the lane's */
    bool backwards;    /* the gradient */
} cumsum_shape;

typedef struct cumsum_state {
    cuda_ctx *ctx; /* borrowed */
    cuda_ref x, y;
    cumsum_shape shape;
} cumsum_state;

static __global__ void cumsum(void *y, const void *x, cumsum_shape s, const lk_lane_args *args)
{
    const size_t first = s.cached ? (size_t)args->position : 0;

    for (size_t k = element_first(); k < s.N * s.C; k += element_step()) {
        const size_t row = k / s.C, c = k % s.C;
        float sum = 0.0f;

        for (size_t i = 0; i < first + s.L; i++) {
            const size_t at = s.backwards ? s.L - 1 - i : i;

            sum += element_load(x, (row * s.S + at) * s.C + c, s.bf16);
            if (i >= first) element_store(y, (row * s.L + at - first) * s.C + c, sum, s.bf16);
        }
    }
}

static lk_status run_cumsum(void *state, const lk_launch_args *run)
{
    const cumsum_state *s = (const cumsum_state *)state;

    LK_LAUNCH_FLAT(cumsum, element_blocks(s->ctx, s->shape.N * s->shape.C), ELEMENT_BLOCK, s->ctx->stream,
                   cuda_at(run, s->y), (const void *)cuda_at(run, s->x), s->shape, run->args);
    return LK_OK;
}

static lk_status bind(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, bool backwards, lk_kernel *out)
{
    const lk_tensor *x = cuda_in(graph, node, 0), *y = cuda_out(graph, node, 0);
    cumsum_state s;

    memset(&s, 0, sizeof s);
    s.ctx = ctx;
    s.x = cuda_ref_of(graph, node->in[0]);
    s.y = cuda_ref_of(graph, node->out[0]);
    s.shape.N = (size_t)x->shape[0];
    s.shape.S = (size_t)x->shape[1];
    s.shape.L = (size_t)y->shape[1];
    s.shape.C = (size_t)x->shape[2];
    s.shape.bf16 = x->dtype == LK_DTYPE_BF16;
    s.shape.cached = x->arena == LK_ARENA_CACHE;
    s.shape.backwards = backwards;
    return cuda_kernel_keep(out, run_cumsum, &s, sizeof s);
}

lk_status cuda_bind_cumsum(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return bind(ctx, graph, node, false, out);
}

lk_status cuda_bind_cumsum_grad(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return bind(ctx, graph, node, true, out);
}
