/*
 * Layer norm over the last axis of x (N, C) and its gradient.  The formulas are in engine/ops/layer_norm.c.
 * Sums along a row are in the order of partials.h, sums over rows in that of norm.h.
 */
#include "engine/cpu/partials.h"
#include "engine/cpu/norm.h"

#include <math.h>

typedef struct job {
    const cpu_norm_state *s;
    const void *x, *dy;
    void *to; /* y or dx */
    const float *g, *b;
    float *mean, *rstd; /* written in the forward pass, read in the other */
} job;

/* Sum over one row of x[c], or of (x[c] - mean)^2. */
CPU_INLINE float row_sum(const void *restrict x, size_t first, size_t C, lk_dtype dtype)
{
    float lane[CPU_PARTIALS] = {0};
    size_t c;

    for (c = 0; c + CPU_PARTIALS <= C; c += CPU_PARTIALS)
        for (size_t k = 0; k < CPU_PARTIALS; k++) lane[k] += cpu_load(x, first + c + k, dtype);
    for (size_t k = 0; c + k < C; k++) lane[k] += cpu_load(x, first + c + k, dtype);
    return cpu_add_partials(lane);
}

CPU_INLINE float row_m2(const void *restrict x, size_t first, size_t C, float mean, lk_dtype dtype)
{
    float lane[CPU_PARTIALS] = {0};
    size_t c;

    for (c = 0; c + CPU_PARTIALS <= C; c += CPU_PARTIALS)
        for (size_t k = 0; k < CPU_PARTIALS; k++) {
            const float d = cpu_load(x, first + c + k, dtype) - mean;
            lane[k] += d * d;
        }
    for (size_t k = 0; c + k < C; k++) {
        const float d = cpu_load(x, first + c + k, dtype) - mean;
        lane[k] += d * d;
    }
    return cpu_add_partials(lane);
}

CPU_INLINE void forward_rows(const job *j, size_t begin, size_t end, lk_dtype dtype)
{
    const size_t C = j->s->n_channels;
    const float inv_c = 1.0f / (float)C, eps = j->s->eps;
    const float *restrict g = j->g, *restrict b = j->b;
    const void *restrict x = j->x;
    void *restrict y = j->to;

    for (size_t n = begin; n < end; n++) {
        const float mean = row_sum(x, n * C, C, dtype) * inv_c;
        const float rstd = 1.0f / sqrtf(row_m2(x, n * C, C, mean, dtype) * inv_c + eps);

        j->mean[n] = mean;
        j->rstd[n] = rstd;
        for (size_t c = 0, i = n * C; c < C; c++, i++)
            cpu_store(y, i, ((cpu_load(x, i, dtype) - mean) * rstd) * g[c] + b[c], dtype);
    }
}

static void forward_part(void *arg, size_t begin, size_t end)
{
    const job *j = arg;
    const size_t first = cpu_norm_block_begin(j->s, begin), last = cpu_norm_block_end(j->s, end - 1);

    if (j->s->dtype == LK_DTYPE_BF16)
        forward_rows(j, first, last, LK_DTYPE_BF16);
    else
        forward_rows(j, first, last, LK_DTYPE_F32);
}

static lk_status run_forward(void *state, const lk_launch_args *args)
{
    const cpu_norm_state *s = cpu_norm_begin(state, args);
    job j = {.s = s, .x = cpu_at(args, s->x), .to = cpu_at(args, s->y), .g = cpu_at(args, s->g),
             .b = cpu_at(args, s->b), .mean = cpu_at(args, s->mean), .rstd = cpu_at(args, s->rstd)};

    cpu_split(s->threads, s->n_blocks, CPU_NORM_GRAIN, forward_part, &j);
    return LK_OK;
}

/* What one element adds to the sums of its row (w and w h) and of its channel (dy and dy h). */
#define ADD_ELEMENT(k, c)                                                                           \
    do {                                                                                            \
        const float dy_c = cpu_load(dy, first + (c), dtype);                                        \
        const float h = (cpu_load(x, first + (c), dtype) - mean) * rstd, w = g[c] * dy_c;           \
        lane_w[k] += w;                                                                             \
        lane_wh[k] += w * h;                                                                        \
        sum_dy[c] += dy_c;                                                                          \
        sum_dyh[c] += dy_c * h;                                                                     \
    } while (0)

/* One row: adds to sum_dy and sum_dyh (C), writes dx unless it is NULL. */
CPU_INLINE void backward_row(const job *j, size_t n, void *restrict dx, float *restrict sum_dy,
                             float *restrict sum_dyh, lk_dtype dtype)
{
    const size_t C = j->s->n_channels, first = n * C;
    const float mean = j->mean[n], rstd = j->rstd[n], inv_c = 1.0f / (float)C;
    const float *restrict g = j->g;
    const void *restrict x = j->x, *restrict dy = j->dy;
    float lane_w[CPU_PARTIALS] = {0}, lane_wh[CPU_PARTIALS] = {0};
    size_t c;

    for (c = 0; c + CPU_PARTIALS <= C; c += CPU_PARTIALS)
        for (size_t k = 0; k < CPU_PARTIALS; k++) ADD_ELEMENT(k, c + k);
    for (size_t k = 0; c + k < C; k++) ADD_ELEMENT(k, c + k);
    if (!dx) return;

    const float mean_w = cpu_add_partials(lane_w) * inv_c, mean_wh = cpu_add_partials(lane_wh) * inv_c;
    for (c = 0; c < C; c++) {
        const float h = (cpu_load(x, first + c, dtype) - mean) * rstd;
        const float w = g[c] * cpu_load(dy, first + c, dtype);
        cpu_store(dx, first + c, rstd * (w - mean_w - h * mean_wh), dtype);
    }
}

CPU_INLINE void backward_block(const job *j, size_t block, lk_dtype dtype)
{
    const size_t C = j->s->n_channels;
    float *sum_dy = cpu_norm_partial(j->s, block), *sum_dyh = sum_dy + C;

    for (size_t c = 0; c < C; c++) sum_dy[c] = sum_dyh[c] = 0.0f;
    for (size_t n = cpu_norm_block_begin(j->s, block); n < cpu_norm_block_end(j->s, block); n++)
        backward_row(j, n, j->to, sum_dy, sum_dyh, dtype);
}

static void backward_part(void *arg, size_t begin, size_t end)
{
    const job *j = arg;

    for (size_t block = begin; block < end; block++)
        if (j->s->dtype == LK_DTYPE_BF16)
            backward_block(j, block, LK_DTYPE_BF16);
        else
            backward_block(j, block, LK_DTYPE_F32);
}

static lk_status run_backward(void *state, const lk_launch_args *args)
{
    const cpu_norm_state *s = cpu_norm_begin(state, args);
    job j = {.s = s, .x = cpu_at(args, s->x), .dy = cpu_at(args, s->dy), .to = cpu_at(args, s->dx),
             .g = cpu_at(args, s->g), .mean = cpu_at(args, s->mean), .rstd = cpu_at(args, s->rstd)};

    cpu_split(s->threads, s->n_blocks, CPU_NORM_GRAIN, backward_part, &j);
    cpu_norm_add_blocks(s);
    cpu_norm_store_grads(s, cpu_at(args, s->dg), cpu_at(args, s->db));
    return LK_OK;
}

lk_status cpu_bind_layer_norm(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return cpu_norm_bind(ctx, graph, node, run_forward, out);
}

lk_status cpu_bind_layer_norm_grad(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return cpu_norm_bind(ctx, graph, node, run_backward, out);
}
