/*
 * Max and average pooling over (N, H, W, C), forward and backward.
 *
 * All four gather, as the CPU's do: a thread makes one element of the result from everything that contributes to it,
 * rows then columns, so no sum depends on the order of threads.  Channels are innermost, so neighbouring threads read
 * neighbouring elements.  NaN and equal maxima: as PyTorch, a later pixel wins if it is greater or NaN.
 */
#include "engine/cuda/element.h"

#include <string.h>

typedef struct pool_shape {
    int64_t N, H, W, C, P, Q, kernel, stride, padding;
    bool bf16;
} pool_shape;

typedef struct pool_state {
    cuda_ctx *ctx; /* borrowed */
    cuda_ref x, y, winner;   /* or dx and dy */
    pool_shape shape;
} pool_state;

typedef struct pool_range { int64_t begin, end; } pool_range;

/* Pixels of window p along a side of `size` pixels. */
static __device__ inline pool_range pixels_of(const pool_shape *s, int64_t p, int64_t size)
{
    const int64_t begin = p * s->stride - s->padding, end = begin + s->kernel;
    pool_range r;

    r.begin = begin > 0 ? begin : 0;
    r.end = end < size ? end : size;
    return r;
}

/* Windows, of n along a side, that cover pixel h. */
static __device__ inline pool_range windows_of(const pool_shape *s, int64_t h, int64_t n)
{
    const int64_t first = h + s->padding - s->kernel + 1, end = (h + s->padding) / s->stride + 1;
    pool_range r;

    r.begin = first > 0 ? (first + s->stride - 1) / s->stride : 0;
    r.end = end < n ? end : n;
    return r;
}

static __device__ inline size_t at_pixel(const pool_shape *s, int64_t n, int64_t h, int64_t w, int64_t c)
{
    return (size_t)(((n * s->H + h) * s->W + w) * s->C + c);
}

static __device__ inline size_t at_window(const pool_shape *s, int64_t n, int64_t p, int64_t q, int64_t c)
{
    return (size_t)(((n * s->P + p) * s->Q + q) * s->C + c);
}

/* Element i of (N, rows, cols, C). */
typedef struct pool_spot { int64_t n, row, col, c; } pool_spot;
static __device__ inline pool_spot spot_of(const pool_shape *s, size_t i, int64_t rows, int64_t cols)
{
    pool_spot at;
    const int64_t k = (int64_t)i / s->C;

    at.c = (int64_t)i % s->C;
    at.col = k % cols;
    at.row = k / cols % rows;
    at.n = k / cols / rows;
    return at;
}

template <bool MAX>
static __global__ void pool(const __grid_constant__ pool_shape s, void *y, uint8_t *winner, const void *x)
{
    const size_t n_elem = (size_t)(s.N * s.P * s.Q * s.C);
    const float area = (float)(s.kernel * s.kernel);

    for (size_t i = element_first(); i < n_elem; i += element_step()) {
        const pool_spot at = spot_of(&s, i, s.P, s.Q);
        const pool_range rows = pixels_of(&s, at.row, s.H), cols = pixels_of(&s, at.col, s.W);
        float best = 0.0f;
        int64_t place = 0;

        for (int64_t h = rows.begin; h < rows.end; h++)
            for (int64_t w = cols.begin; w < cols.end; w++) {
                const float v = element_load(x, at_pixel(&s, at.n, h, w, at.c), s.bf16);
                const bool first = h == rows.begin && w == cols.begin;

                if (!MAX) best += v;
                else if (first || v > best || v != v) {
                    best = v;
                    place = (h - (at.row * s.stride - s.padding)) * s.kernel + (w - (at.col * s.stride - s.padding));
                }
            }
        element_store(y, i, MAX ? best : best / area, s.bf16);
        if (MAX) winner[i] = (uint8_t)place;
    }
}

template <bool MAX>
static __global__ void pool_grad(const __grid_constant__ pool_shape s, void *dx, const uint8_t *winner, const void *dy)
{
    const size_t n_elem = (size_t)(s.N * s.H * s.W * s.C);
    const float area = (float)(s.kernel * s.kernel);

    for (size_t i = element_first(); i < n_elem; i += element_step()) {
        const pool_spot at = spot_of(&s, i, s.H, s.W);
        const pool_range rows = windows_of(&s, at.row, s.P), cols = windows_of(&s, at.col, s.Q);
        float sum = 0.0f;

        for (int64_t p = rows.begin; p < rows.end; p++)
            for (int64_t q = cols.begin; q < cols.end; q++) {
                const size_t from = at_window(&s, at.n, p, q, at.c);
                const int64_t place = (at.row - (p * s.stride - s.padding)) * s.kernel +
                                      (at.col - (q * s.stride - s.padding));

                if (!MAX || winner[from] == place) sum += element_load(dy, from, s.bf16);
            }
        element_store(dx, i, MAX ? sum : sum / area, s.bf16);
    }
}

static size_t n_windows(const pool_shape *s) { return (size_t)(s->N * s->P * s->Q * s->C); }
static size_t n_pixels(const pool_shape *s) { return (size_t)(s->N * s->H * s->W * s->C); }

template <bool MAX> static lk_status run_pool(void *state, const lk_launch_args *args)
{
    const pool_state *s = (const pool_state *)state;

    LK_LAUNCH_FLAT((pool<MAX>), element_blocks(s->ctx, n_windows(&s->shape)), ELEMENT_BLOCK, s->ctx->stream, s->shape,
                   cuda_at(args, s->y), (uint8_t *)cuda_at(args, s->winner), (const void *)cuda_at(args, s->x));
    return LK_OK;
}

template <bool MAX> static lk_status run_pool_grad(void *state, const lk_launch_args *args)
{
    const pool_state *s = (const pool_state *)state;

    LK_LAUNCH_FLAT((pool_grad<MAX>), element_blocks(s->ctx, n_pixels(&s->shape)), ELEMENT_BLOCK, s->ctx->stream,
                   s->shape, cuda_at(args, s->x), (const uint8_t *)cuda_at(args, s->winner),
                   (const void *)cuda_at(args, s->y));
    return LK_OK;
}

/* x, y, winner: ids of the tensors or of the gradients in their places. */
static lk_status bind(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, int x, int y, int winner,
                      lk_status (*run)(void *state, const lk_launch_args *args), lk_kernel *out)
{
    const lk_tensor *image = &graph->tensors[x], *pooled = &graph->tensors[y];
    pool_state s;

    memset(&s, 0, sizeof s);
    s.ctx = ctx;
    s.x = cuda_ref_of(graph, x);
    s.y = cuda_ref_of(graph, y);
    s.winner = cuda_ref_of(graph, winner);
    s.shape.N = image->shape[0], s.shape.H = image->shape[1], s.shape.W = image->shape[2], s.shape.C = image->shape[3];
    s.shape.P = pooled->shape[1], s.shape.Q = pooled->shape[2];
    s.shape.kernel = node->attrs.pool.kernel;
    s.shape.stride = node->attrs.pool.stride;
    s.shape.padding = node->attrs.pool.padding;
    s.shape.bf16 = image->dtype == LK_DTYPE_BF16;
    return cuda_kernel_keep(out, run, &s, sizeof s);
}

lk_status cuda_bind_max_pool2d(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return bind(ctx, graph, node, node->in[0], node->out[0], node->out[1], run_pool<true>, out);
}

lk_status cuda_bind_max_pool2d_grad(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return bind(ctx, graph, node, node->out[0], node->in[0], node->in[1], run_pool_grad<true>, out);
}

lk_status cuda_bind_avg_pool2d(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return bind(ctx, graph, node, node->in[0], node->out[0], LK_NO_TENSOR, run_pool<false>, out);
}

lk_status cuda_bind_avg_pool2d_grad(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return bind(ctx, graph, node, node->out[0], node->in[0], LK_NO_TENSOR, run_pool_grad<false>, out);
}
