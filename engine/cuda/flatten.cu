/*
 * Flatten and its gradient: per sample a transpose between (H*W, C) in memory and (C, H*W) in PyTorch's order.
 *
 * A block moves one tile through shared memory, so that both sides are read and written along their rows; the tile is
 * a column wider than it is, so that its columns lie in different banks.  Nothing is computed; bf16 moves as its bits.
 */
#include "engine/cuda/cuda.h"

#include <string.h>

enum { TILE = 32, ROWS = 8 };

typedef struct flatten_state {
    cuda_ctx *ctx; /* borrowed */
    cuda_ref from, to;
    size_t n, rows, cols; /* per sample: from (rows, cols), to (cols, rows) */
    bool half;            /* elements of 2 bytes, not 4 */
} flatten_state;

template <class T> static __global__ void transpose(T *to, const T *from, size_t rows, size_t cols)
{
    __shared__ T tile[TILE][TILE + 1];
    const size_t tiles_down = (rows + TILE - 1) / TILE, tiles_across = (cols + TILE - 1) / TILE;
    const size_t sample = blockIdx.x / (tiles_down * tiles_across),
                 in_sample = blockIdx.x % (tiles_down * tiles_across);
    const size_t r0 = in_sample / tiles_across * TILE, c0 = in_sample % tiles_across * TILE,
                 base = sample * rows * cols;

    for (size_t r = r0 + threadIdx.y; r < r0 + TILE && r < rows; r += ROWS)
        if (c0 + threadIdx.x < cols) tile[r - r0][threadIdx.x] = from[base + r * cols + c0 + threadIdx.x];
    __syncthreads();
    for (size_t c = c0 + threadIdx.y; c < c0 + TILE && c < cols; c += ROWS)
        if (r0 + threadIdx.x < rows) to[base + c * rows + r0 + threadIdx.x] = tile[threadIdx.x][c - c0];
}

static lk_status run_flatten(void *state, const lk_launch_args *args)
{
    const flatten_state *s = (const flatten_state *)state;
    const size_t blocks = s->n * ((s->rows + TILE - 1) / TILE) * ((s->cols + TILE - 1) / TILE);
    const void *from = cuda_at(args, s->from);
    void *to = cuda_at(args, s->to);

    if (s->half)
        LK_LAUNCH((transpose<uint16_t>), (unsigned)blocks, dim3(TILE, ROWS), s->ctx->stream, (uint16_t *)to,
                  (const uint16_t *)from, s->rows, s->cols);
    else
        LK_LAUNCH((transpose<uint32_t>), (unsigned)blocks, dim3(TILE, ROWS), s->ctx->stream, (uint32_t *)to,
                  (const uint32_t *)from, s->rows, s->cols);
    return LK_OK;
}

/* image: the tensor (N, H, W, C) of the two. */
static lk_status bind_either(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, const lk_tensor *image,
                             bool forward, lk_kernel *out)
{
    const size_t pixels = (size_t)(image->shape[1] * image->shape[2]), channels = (size_t)image->shape[3];
    flatten_state s;

    memset(&s, 0, sizeof s);
    s.ctx = ctx;
    s.from = cuda_ref_of(graph, node->in[0]);
    s.to = cuda_ref_of(graph, node->out[0]);
    s.n = (size_t)image->shape[0];
    s.rows = forward ? pixels : channels;
    s.cols = forward ? channels : pixels;
    s.half = image->dtype == LK_DTYPE_BF16;
    return cuda_kernel_keep(out, run_flatten, &s, sizeof s);
}

lk_status cuda_bind_flatten(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return bind_either(ctx, graph, node, cuda_in(graph, node, 0), true, out);
}

lk_status cuda_bind_flatten_grad(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return bind_either(ctx, graph, node, cuda_out(graph, node, 0), false, out);
}
