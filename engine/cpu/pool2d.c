/*
 * Max and average pooling over (N, H, W, C), forward and backward.
 *
 * All four gather: an output element reads everything that contributes to it, in a fixed order (rows, then columns), so
 * threads may share the rows of the result and no sum depends on how.  Backward that means: for each pixel the windows
 * that cover it, with P, Q counting windows down and across.  Channels are innermost in memory; they are taken in
 * chunks whose running maxima or sums, in fp32 for either type, stay in registers or the first-level cache.
 *
 * NaN and equal maxima: as PyTorch, a later pixel wins if it is greater or NaN.
 */
#include "engine/cpu/bf16.h"
#include "engine/cpu/cpu.h"

enum { CHUNK = 64, GRAIN = 1 << 14 }; /* channels at a time; elements of the result per thread */

typedef struct pool_state {
    cpu_place x, y, winner;        /* or dx and dy */
    int64_t N, H, W, C, P, Q;
    int64_t kernel, stride, padding;
    lk_dtype dtype;
    int threads;
} pool_state;

typedef struct pool_run {
    const pool_state *s;
    void *x, *y;
    uint8_t *winner;
} pool_run;

typedef struct range { int64_t begin, end; } range;

/* Pixels of window p along a side of `size` pixels; never empty, since padding <= kernel / 2. */
static range pixels_of(const pool_state *s, int64_t p, int64_t size)
{
    const int64_t begin = p * s->stride - s->padding, end = begin + s->kernel;

    return (range){begin > 0 ? begin : 0, end < size ? end : size};
}

/* Windows, of n along a side, that cover pixel h; may be empty. */
static range windows_of(const pool_state *s, int64_t h, int64_t n)
{
    const int64_t at = h + s->padding, last = at / s->stride + 1;

    return (range){at < s->kernel ? 0 : (at - s->kernel) / s->stride + 1, last < n ? last : n};
}

static int64_t chunk_length(const pool_state *s, int64_t c) { return s->C - c < CHUNK ? s->C - c : CHUNK; }

/* First element of pixel (n, h, w) or of window (n, p, q). */
static size_t at_pixel(const pool_state *s, int64_t n, int64_t h, int64_t w)
{
    return (size_t)(((n * s->H + h) * s->W + w) * s->C);
}

static size_t at_window(const pool_state *s, int64_t n, int64_t p, int64_t q)
{
    return (size_t)(((n * s->P + p) * s->Q + q) * s->C);
}

/* Place of pixel (h, w) in window (p, q), as `winner` keeps it. */
static uint8_t place_in(const pool_state *s, int64_t p, int64_t q, int64_t h, int64_t w)
{
    return (uint8_t)((h - (p * s->stride - s->padding)) * s->kernel + (w - (q * s->stride - s->padding)));
}

/* ------------------------------------------------------------------------- max */

/* One window, m channels from c on. */
CPU_INLINE void max_window(const pool_run *r, int64_t n, int64_t p, int64_t q, int64_t c, int64_t m, lk_dtype dtype)
{
    const pool_state *s = r->s;
    const range hs = pixels_of(s, p, s->H), ws = pixels_of(s, q, s->W);
    const size_t y0 = at_window(s, n, p, q) + (size_t)c;
    float best[CHUNK];
    uint8_t winner[CHUNK];

    for (int64_t h = hs.begin; h < hs.end; h++) {
        for (int64_t w = ws.begin; w < ws.end; w++) {
            const size_t x0 = at_pixel(s, n, h, w) + (size_t)c;
            const uint8_t place = place_in(s, p, q, h, w);
            const bool first = h == hs.begin && w == ws.begin;

            for (int64_t i = 0; i < m; i++) {
                const float x = cpu_load(r->x, x0 + (size_t)i, dtype);
                const bool wins = first | (x > best[i]) | (x != x);
                best[i] = wins ? x : best[i];
                winner[i] = wins ? place : winner[i];
            }
        }
    }
    for (int64_t i = 0; i < m; i++) cpu_store(r->y, y0 + (size_t)i, best[i], dtype);
    memcpy(r->winner + y0, winner, (size_t)m);
}

/* One pixel's gradient: dy of the windows it won. */
CPU_INLINE void max_pixel_grad(const pool_run *r, int64_t n, int64_t h, int64_t w, int64_t c, int64_t m,
                               lk_dtype dtype)
{
    const pool_state *s = r->s;
    const range ps = windows_of(s, h, s->P), qs = windows_of(s, w, s->Q);
    const size_t x0 = at_pixel(s, n, h, w) + (size_t)c;
    float sum[CHUNK] = {0};

    for (int64_t p = ps.begin; p < ps.end; p++) {
        for (int64_t q = qs.begin; q < qs.end; q++) {
            const size_t y0 = at_window(s, n, p, q) + (size_t)c;
            const uint8_t place = place_in(s, p, q, h, w);

            for (int64_t i = 0; i < m; i++)
                sum[i] += r->winner[y0 + (size_t)i] == place ? cpu_load(r->y, y0 + (size_t)i, dtype) : 0.0f;
        }
    }
    for (int64_t i = 0; i < m; i++) cpu_store(r->x, x0 + (size_t)i, sum[i], dtype);
}

/* --------------------------------------------------------------------- average */

CPU_INLINE void avg_window(const pool_run *r, int64_t n, int64_t p, int64_t q, int64_t c, int64_t m, lk_dtype dtype)
{
    const pool_state *s = r->s;
    const range hs = pixels_of(s, p, s->H), ws = pixels_of(s, q, s->W);
    const size_t y0 = at_window(s, n, p, q) + (size_t)c;
    const float area = (float)(s->kernel * s->kernel);
    float sum[CHUNK] = {0};

    for (int64_t h = hs.begin; h < hs.end; h++) {
        for (int64_t w = ws.begin; w < ws.end; w++) {
            const size_t x0 = at_pixel(s, n, h, w) + (size_t)c;
            for (int64_t i = 0; i < m; i++) sum[i] += cpu_load(r->x, x0 + (size_t)i, dtype);
        }
    }
    for (int64_t i = 0; i < m; i++) cpu_store(r->y, y0 + (size_t)i, sum[i] / area, dtype);
}

CPU_INLINE void avg_pixel_grad(const pool_run *r, int64_t n, int64_t h, int64_t w, int64_t c, int64_t m,
                               lk_dtype dtype)
{
    const pool_state *s = r->s;
    const range ps = windows_of(s, h, s->P), qs = windows_of(s, w, s->Q);
    const size_t x0 = at_pixel(s, n, h, w) + (size_t)c;
    const float area = (float)(s->kernel * s->kernel);
    float sum[CHUNK] = {0};

    for (int64_t p = ps.begin; p < ps.end; p++) {
        for (int64_t q = qs.begin; q < qs.end; q++) {
            const size_t y0 = at_window(s, n, p, q) + (size_t)c;
            for (int64_t i = 0; i < m; i++) sum[i] += cpu_load(r->y, y0 + (size_t)i, dtype);
        }
    }
    for (int64_t i = 0; i < m; i++) cpu_store(r->x, x0 + (size_t)i, sum[i] / area, dtype);
}

/* ----------------------------------------------------------------- rows, binding */

/* Rows [begin, end) of the result, counted over all samples, `rows` a sample; each has `cols` elements of C channels. */
#define ROWS(name, element, rows, cols, dtype)                                                       \
    static void name(void *arg, size_t begin, size_t end)                                            \
    {                                                                                                \
        const pool_run *r = arg;                                                                     \
        const pool_state *s = r->s;                                                                  \
                                                                                                     \
        for (int64_t row = (int64_t)begin; row < (int64_t)end; row++)                                \
            for (int64_t col = 0; col < s->cols; col++)                                              \
                for (int64_t c = 0; c < s->C; c += CHUNK)                                            \
                    element(r, row / s->rows, row % s->rows, col, c, chunk_length(s, c), dtype);     \
    }
ROWS(max_f32, max_window, P, Q, LK_DTYPE_F32)
ROWS(max_bf16, max_window, P, Q, LK_DTYPE_BF16)
ROWS(max_grad_f32, max_pixel_grad, H, W, LK_DTYPE_F32)
ROWS(max_grad_bf16, max_pixel_grad, H, W, LK_DTYPE_BF16)
ROWS(avg_f32, avg_window, P, Q, LK_DTYPE_F32)
ROWS(avg_bf16, avg_window, P, Q, LK_DTYPE_BF16)
ROWS(avg_grad_f32, avg_pixel_grad, H, W, LK_DTYPE_F32)
ROWS(avg_grad_bf16, avg_pixel_grad, H, W, LK_DTYPE_BF16)

typedef void rows_fn(void *arg, size_t begin, size_t end);

static lk_status run_rows(const pool_state *s, const lk_run *run, int64_t rows, int64_t cols, rows_fn *f32, rows_fn *bf16)
{
    pool_run r = {s, cpu_at(run, s->x), cpu_at(run, s->y), cpu_at(run, s->winner)};

    cpu_split(s->threads, (size_t)(s->N * rows), 1 + GRAIN / (size_t)(cols * s->C),
              s->dtype == LK_DTYPE_BF16 ? bf16 : f32, &r);
    return LK_OK;
}

static lk_status run_max(void *state, const lk_run *run)
{
    const pool_state *s = state;
    return run_rows(s, run, s->P, s->Q, max_f32, max_bf16);
}

static lk_status run_max_grad(void *state, const lk_run *run)
{
    const pool_state *s = state;
    return run_rows(s, run, s->H, s->W, max_grad_f32, max_grad_bf16);
}

static lk_status run_avg(void *state, const lk_run *run)
{
    const pool_state *s = state;
    return run_rows(s, run, s->P, s->Q, avg_f32, avg_bf16);
}

static lk_status run_avg_grad(void *state, const lk_run *run)
{
    const pool_state *s = state;
    return run_rows(s, run, s->H, s->W, avg_grad_f32, avg_grad_bf16);
}

/* x, y, winner: ids of the tensors or of the gradients in their places. */
static pool_state state_of(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, int x, int y, int winner)
{
    const lk_tensor *image = &graph->tensors[x], *pooled = &graph->tensors[y];

    return (pool_state){
        .x = cpu_place_of(graph, x), .y = cpu_place_of(graph, y), .winner = cpu_place_of(graph, winner),
        .N = image->shape[0], .H = image->shape[1], .W = image->shape[2], .C = image->shape[3],
        .P = pooled->shape[1], .Q = pooled->shape[2],
        .kernel = node->attrs.pool.kernel, .stride = node->attrs.pool.stride, .padding = node->attrs.pool.padding,
        .dtype = image->dtype, .threads = ctx->threads,
    };
}

lk_status cpu_bind_max_pool2d(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    const pool_state s = state_of(ctx, graph, node, node->in[0], node->out[0], node->out[1]);
    return cpu_kernel_keep(out, run_max, &s, sizeof s);
}

lk_status cpu_bind_max_pool2d_grad(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    const pool_state s = state_of(ctx, graph, node, node->out[0], node->in[0], node->in[1]);
    return cpu_kernel_keep(out, run_max_grad, &s, sizeof s);
}

lk_status cpu_bind_avg_pool2d(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    const pool_state s = state_of(ctx, graph, node, node->in[0], node->out[0], LK_NO_TENSOR);
    return cpu_kernel_keep(out, run_avg, &s, sizeof s);
}

lk_status cpu_bind_avg_pool2d_grad(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    const pool_state s = state_of(ctx, graph, node, node->out[0], node->in[0], LK_NO_TENSOR);
    return cpu_kernel_keep(out, run_avg_grad, &s, sizeof s);
}
