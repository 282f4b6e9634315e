/*
 * Max and average pooling over (N, H, W, C), forward and backward.
 *
 * All four gather: an output element reads everything that contributes to it, in a fixed order (rows, then columns),
 * so threads may share the rows of the result and no sum depends on how.  Backward that means: for each pixel the
 * windows that cover it, with P, Q counting windows down and across.  Channels are innermost in memory; they are taken
 * in chunks whose running maxima or sums, in fp32 for either type, stay in registers.
 *
 * NaN and equal maxima: as PyTorch, a later pixel wins if it is greater or NaN.
 */
#include "engine/cpu/bf16.h"
#include "engine/cpu/cpu.h"

enum { CHUNK = 32, GRAIN = 1 << 14 }; /* channels at a time; elements of the result per thread */

typedef struct pool_state {
    cpu_ref x, y, winner;          /* or dx and dy */
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

/* One place of the result, and the rows and columns it gathers from. */
typedef struct spot {
    int64_t n, row, col;
    range rows, cols;
} spot;

/* Pixels of window p along a side of `size` pixels; never empty, since padding <= kernel / 2. */
static range pixels_of(const pool_state *s, int64_t p, int64_t size)
{
    const int64_t begin = p * s->stride - s->padding, end = begin + s->kernel;

    return (range){begin > 0 ? begin : 0, end < size ? end : size};
}

/* From the windows that cover an earlier pixel to those, of n along a side, that cover pixel h; may be empty. */
static range advance(const pool_state *s, range windows, int64_t h, int64_t n)
{
    while (windows.begin < n && windows.begin * s->stride - s->padding + s->kernel <= h) windows.begin++;
    while (windows.end < n && windows.end * s->stride - s->padding <= h) windows.end++;
    return windows;
}

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

/* --------------------------------------------------- one place, m channels from c on */

CPU_INLINE void max_window(const pool_run *r, const spot *at, size_t c, size_t m, lk_dtype dtype)
{
    const pool_state *s = r->s;
    const size_t y0 = at_window(s, at->n, at->row, at->col) + c;
    float best[CHUNK] = {0}; /* compared, though not heeded, before the first pixel */
    uint8_t winner[CHUNK] = {0};

    for (int64_t h = at->rows.begin; h < at->rows.end; h++) {
        for (int64_t w = at->cols.begin; w < at->cols.end; w++) {
            const size_t x0 = at_pixel(s, at->n, h, w) + c;
            const uint8_t place = place_in(s, at->row, at->col, h, w);
            const bool first = h == at->rows.begin && w == at->cols.begin;

            for (size_t i = 0; i < m; i++) {
                const float x = cpu_load(r->x, x0 + i, dtype);
                const bool wins = first | (x > best[i]) | (x != x);
                best[i] = wins ? x : best[i];
                winner[i] = wins ? place : winner[i];
            }
        }
    }
    for (size_t i = 0; i < m; i++) cpu_store(r->y, y0 + i, best[i], dtype);
    memcpy(r->winner + y0, winner, m);
}

/* A pixel's gradient: dy of the windows it won. */
CPU_INLINE void max_pixel_grad(const pool_run *r, const spot *at, size_t c, size_t m, lk_dtype dtype)
{
    const pool_state *s = r->s;
    const size_t x0 = at_pixel(s, at->n, at->row, at->col) + c;
    float sum[CHUNK] = {0};

    for (int64_t p = at->rows.begin; p < at->rows.end; p++) {
        for (int64_t q = at->cols.begin; q < at->cols.end; q++) {
            const size_t y0 = at_window(s, at->n, p, q) + c;
            const int32_t place = place_in(s, p, q, at->row, at->col);

            for (size_t i = 0; i < m; i++) {
                const float dy = cpu_load(r->y, y0 + i, dtype);
                sum[i] += r->winner[y0 + i] == place ? dy : 0.0f;
            }
        }
    }
    for (size_t i = 0; i < m; i++) cpu_store(r->x, x0 + i, sum[i], dtype);
}

/* The same where a pixel has one window at most: a choice between dy and 0, in whole rows of chunks, no sum. */
#define CHOOSE(type)                                                                                              \
    static void choose_##type(type *restrict dx, const type *restrict dy, const uint8_t *restrict winner,         \
                              uint8_t place, size_t C)                                                            \
    {                                                                                                             \
        size_t c = 0;                                                                                             \
                                                                                                                  \
        for (; C - c >= CHUNK; c += CHUNK)                                                                        \
            for (size_t i = c; i < c + CHUNK; i++) dx[i] = winner[i] == place ? dy[i] : 0;                        \
        for (; c < C; c++) dx[c] = winner[c] == place ? dy[c] : 0;                                                \
    }
CHOOSE(float)
CHOOSE(uint16_t) /* bf16: moved, not computed with */

CPU_INLINE void avg_window(const pool_run *r, const spot *at, size_t c, size_t m, lk_dtype dtype)
{
    const pool_state *s = r->s;
    const size_t y0 = at_window(s, at->n, at->row, at->col) + c;
    const float area = (float)(s->kernel * s->kernel);
    float sum[CHUNK] = {0};

    for (int64_t h = at->rows.begin; h < at->rows.end; h++) {
        for (int64_t w = at->cols.begin; w < at->cols.end; w++) {
            const size_t x0 = at_pixel(s, at->n, h, w) + c;
            for (size_t i = 0; i < m; i++) sum[i] += cpu_load(r->x, x0 + i, dtype);
        }
    }
    for (size_t i = 0; i < m; i++) cpu_store(r->y, y0 + i, sum[i] / area, dtype);
}

CPU_INLINE void avg_pixel_grad(const pool_run *r, const spot *at, size_t c, size_t m, lk_dtype dtype)
{
    const pool_state *s = r->s;
    const size_t x0 = at_pixel(s, at->n, at->row, at->col) + c;
    const float area = (float)(s->kernel * s->kernel);
    float sum[CHUNK] = {0};

    for (int64_t p = at->rows.begin; p < at->rows.end; p++) {
        for (int64_t q = at->cols.begin; q < at->cols.end; q++) {
            const size_t y0 = at_window(s, at->n, p, q) + c;
            for (size_t i = 0; i < m; i++) sum[i] += cpu_load(r->y, y0 + i, dtype);
        }
    }
    for (size_t i = 0; i < m; i++) cpu_store(r->x, x0 + i, sum[i] / area, dtype);
}

/* ----------------------------------------------------------------- rows, binding */

/* All channels of a place: whole chunks, where the compiler knows the length, then the rest. */
#define CHANNELS(name, one, dtype)                                                   \
    static void name(const pool_run *r, const spot *at)                              \
    {                                                                                \
        const size_t C = (size_t)r->s->C, whole = C / CHUNK * CHUNK;                 \
                                                                                     \
        for (size_t c = 0; c < whole; c += CHUNK) one(r, at, c, CHUNK, dtype);       \
        if (whole < C) one(r, at, whole, C - whole, dtype);                          \
    }
CHANNELS(max_f32, max_window, LK_DTYPE_F32)
CHANNELS(max_bf16, max_window, LK_DTYPE_BF16)
CHANNELS(max_grad_f32, max_pixel_grad, LK_DTYPE_F32)
CHANNELS(max_grad_bf16, max_pixel_grad, LK_DTYPE_BF16)
CHANNELS(avg_f32, avg_window, LK_DTYPE_F32)
CHANNELS(avg_bf16, avg_window, LK_DTYPE_BF16)
CHANNELS(avg_grad_f32, avg_pixel_grad, LK_DTYPE_F32)
CHANNELS(avg_grad_bf16, avg_pixel_grad, LK_DTYPE_BF16)

typedef void place_fn(const pool_run *r, const spot *at);

typedef void rows_fn(void *arg, size_t begin, size_t end);

typedef struct pool_job {
    pool_run run;
    place_fn *place;
} pool_job;

/* Rows [begin, end) of y, counted over all samples. */
static void window_rows(void *arg, size_t begin, size_t end)
{
    const pool_job *job = arg;
    const pool_state *s = job->run.s;

    for (int64_t row = (int64_t)begin; row < (int64_t)end; row++) {
        spot at = {.n = row / s->P, .row = row % s->P};

        at.rows = pixels_of(s, at.row, s->H);
        for (at.col = 0; at.col < s->Q; at.col++) {
            at.cols = pixels_of(s, at.col, s->W);
            job->place(&job->run, &at);
        }
    }
}

/* Rows [begin, end) of dx, counted over all samples. */
static void pixel_rows(void *arg, size_t begin, size_t end)
{
    const pool_job *job = arg;
    const pool_state *s = job->run.s;

    for (int64_t row = (int64_t)begin; row < (int64_t)end; row++) {
        spot at = {.n = row / s->H, .row = row % s->H};

        at.rows = advance(s, (range){0, 0}, at.row, s->P);
        for (at.col = 0; at.col < s->W; at.col++) {
            at.cols = advance(s, at.cols, at.col, s->Q);
            job->place(&job->run, &at);
        }
    }
}

/* pixel_rows() of max pooling's gradient where windows do not overlap. */
static void disjoint_pixel_rows(void *arg, size_t begin, size_t end)
{
    const pool_job *job = arg;
    const pool_state *s = job->run.s;
    const size_t size = lk_dtype_size(s->dtype), C = (size_t)s->C;

    for (int64_t row = (int64_t)begin; row < (int64_t)end; row++) {
        const int64_t n = row / s->H, h = row % s->H;
        const range p = advance(s, (range){0, 0}, h, s->P);
        char *dx = (char *)job->run.x + (size_t)row * (size_t)s->W * C * size;

        /* Pixels between and beyond windows get nothing; the row stays in the cache for the next lines. */
        memset(dx, 0, (size_t)s->W * C * size);
        for (int64_t q = 0; q < s->Q && p.begin < p.end; q++) {
            const range cols = pixels_of(s, q, s->W);
            const size_t y0 = at_window(s, n, p.begin, q);

            for (int64_t w = cols.begin; w < cols.end; w++) {
                const uint8_t place = place_in(s, p.begin, q, h, w), *winner = job->run.winner + y0;
                char *to = dx + (size_t)w * C * size;

                if (s->dtype == LK_DTYPE_BF16)
                    choose_uint16_t((uint16_t *)to, (const uint16_t *)job->run.y + y0, winner, place, C);
                else
                    choose_float((float *)to, (const float *)job->run.y + y0, winner, place, C);
            }
        }
    }
}

static lk_status run_windows(const pool_state *s, const lk_launch_args *args, place_fn *f32, place_fn *bf16)
{
    pool_job job = {{s, cpu_at(args, s->x), cpu_at(args, s->y), cpu_at(args, s->winner)},
                    s->dtype == LK_DTYPE_BF16 ? bf16 : f32};

    cpu_split(s->threads, (size_t)(s->N * s->P), 1 + GRAIN / (size_t)(s->Q * s->C), window_rows, &job);
    return LK_OK;
}

static lk_status run_pixels(const pool_state *s, const lk_launch_args *args, rows_fn *rows, place_fn *f32,
                            place_fn *bf16)
{
    pool_job job = {{s, cpu_at(args, s->x), cpu_at(args, s->y), cpu_at(args, s->winner)},
                    s->dtype == LK_DTYPE_BF16 ? bf16 : f32};

    cpu_split(s->threads, (size_t)(s->N * s->H), 1 + GRAIN / (size_t)(s->W * s->C), rows, &job);
    return LK_OK;
}

static lk_status run_max(void *state, const lk_launch_args *args)
{
    return run_windows(state, args, max_f32, max_bf16);
}
static lk_status run_avg(void *state, const lk_launch_args *args)
{
    return run_windows(state, args, avg_f32, avg_bf16);
}

static lk_status run_max_grad(void *state, const lk_launch_args *args)
{
    const pool_state *s = state;
    const bool disjoint = s->stride >= s->kernel;

    return run_pixels(s, args, disjoint ? disjoint_pixel_rows : pixel_rows, max_grad_f32, max_grad_bf16);
}

static lk_status run_avg_grad(void *state, const lk_launch_args *args)
{
    return run_pixels(state, args, pixel_rows, avg_grad_f32, avg_grad_bf16);
}

/* x, y, winner: ids of the tensors or of the gradients in their places. */
static pool_state state_of(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, int x, int y, int winner)
{
    const lk_tensor *image = &graph->tensors[x], *pooled = &graph->tensors[y];

    return (pool_state){
        .x = cpu_ref_of(graph, x), .y = cpu_ref_of(graph, y), .winner = cpu_ref_of(graph, winner),
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
