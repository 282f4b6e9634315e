/*
 * Adaptive average pooling over (N, H, W, C), forward and backward; the formula is in engine/ops/adaptive_pool2d.c.
 *
 * Both gather, rows then columns, as the CPU's do: a thread makes one element of the result.  Pixel h lies in the
 * windows from floor(h P / H) up to ceil((h + 1) P / H), the same rule with the sides exchanged, so both directions are
 * one loop; what a term is divided by, its window's area, stands on the other side.
 */
#include "engine/cuda/element.h"

#include <string.h>

typedef struct pool_side { int64_t from, to; } pool_side;

typedef struct pool_shape {
    pool_side rows, cols;
    int64_t n_images, C;
    bool bf16;
} pool_shape;

typedef struct pool_state {
    cuda_ctx *ctx; /* borrowed */
    cuda_ref from, to;
    pool_shape shape;
} pool_state;

typedef struct pool_range { int64_t begin, end; } pool_range;

/* Places along a side of `from` that place i of `to` shares pixels with. */
static __device__ inline pool_range partners(int64_t from, int64_t to, int64_t i)
{
    pool_range r;

    r.begin = i * from / to;
    r.end = ((i + 1) * from + to - 1) / to;
    return r;
}

static __device__ inline int64_t n_partners(int64_t from, int64_t to, int64_t i)
{
    const pool_range r = partners(from, to, i);
    return r.end - r.begin;
}

template <bool BACKWARD>
static __global__ void adaptive_pool(const __grid_constant__ pool_shape s, void *y, const void *x)
{
    const size_t n_elem = (size_t)(s.n_images * s.rows.to * s.cols.to * s.C);

    for (size_t k = element_first(); k < n_elem; k += element_step()) {
        const int64_t c = (int64_t)k % s.C, place = (int64_t)k / s.C, n = place / s.cols.to / s.rows.to;
        const pool_range rows = partners(s.rows.from, s.rows.to, place / s.cols.to % s.rows.to);
        const pool_range cols = partners(s.cols.from, s.cols.to, place % s.cols.to);
        const float area = (float)((rows.end - rows.begin) * (cols.end - cols.begin));
        float sum = 0.0f;

        for (int64_t row = rows.begin; row < rows.end; row++)
            for (int64_t col = cols.begin; col < cols.end; col++) {
                const int64_t at = ((n * s.rows.from + row) * s.cols.from + col) * s.C + c;
                const float v = element_load(x, (size_t)at, s.bf16);
                const float share = BACKWARD ? (float)(n_partners(s.rows.to, s.rows.from, row) *
                                                       n_partners(s.cols.to, s.cols.from, col))
                                             : 1.0f;
                sum += v / share;
            }
        element_store(y, k, BACKWARD ? sum : sum / area, s.bf16);
    }
}

template <bool BACKWARD> static lk_status run(void *state, const lk_launch_args *args)
{
    const pool_state *s = (const pool_state *)state;
    const size_t n_elem = (size_t)(s->shape.n_images * s->shape.rows.to * s->shape.cols.to * s->shape.C);

    LK_LAUNCH_FLAT((adaptive_pool<BACKWARD>), element_blocks(s->ctx, n_elem), ELEMENT_BLOCK, s->ctx->stream, s->shape,
                   cuda_at(args, s->to), (const void *)cuda_at(args, s->from));
    return LK_OK;
}

static lk_status bind(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node,
                      lk_status (*run)(void *state, const lk_launch_args *args), lk_kernel *out)
{
    const lk_tensor *from = &graph->tensors[node->in[0]], *to = &graph->tensors[node->out[0]];
    pool_state s;

    memset(&s, 0, sizeof s);
    s.ctx = ctx;
    s.from = cuda_ref_of(graph, node->in[0]);
    s.to = cuda_ref_of(graph, node->out[0]);
    s.shape.rows.from = from->shape[1], s.shape.rows.to = to->shape[1];
    s.shape.cols.from = from->shape[2], s.shape.cols.to = to->shape[2];
    s.shape.n_images = to->shape[0], s.shape.C = to->shape[3];
    s.shape.bf16 = to->dtype == LK_DTYPE_BF16;
    return cuda_kernel_keep(out, run, &s, sizeof s);
}

lk_status cuda_bind_adaptive_avg_pool2d(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return bind(ctx, graph, node, run<false>, out);
}

lk_status cuda_bind_adaptive_avg_pool2d_grad(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return bind(ctx, graph, node, run<true>, out);
}
