/*
 * Batch norm over the last axis of x (R, C): training, evaluation, the gradients of both.  The formulas are in
 * engine/ops/batch_norm.c.
 *
 * The variance is taken in two passes (mean first, then squares of differences), so it does not cancel; both passes
 * run over one block of rows while it is in cache, and the blocks' means and sums of squares are merged by
 *
 *     n = na + nb,   d = mean_b - mean_a,   mean = mean_a + d nb / n,   m2 = m2_a + m2_b + d^2 na nb / n
 *
 * (Chan, Golub and LeVeque, 1979), in double and in order.  x is thus read twice: once for both sums, once for y.
 *
 * Few channels make short loops.  So as many rows as give about CPU_NORM_WIDTH elements are taken as one row of W = k C
 * channels: they are contiguous, sums are folded to C at a block's end, and what a pass needs per channel is repeated
 * k times.
 *
 * A ReLU next to it, and an addition between them, are done in the same passes (cpu_norm_group()), with the bits of one
 * by one.
 */
#include "engine/base/formulas.h"
#include "engine/cpu/norm.h"

#include <math.h>

typedef struct job {
    const cpu_norm_state *s;
    const void *x, *dy;
    const void *addend;               /* of a group with an addition; else NULL */
    const void *relu_y;               /* of the gradient of a group with a ReLU: what that is taken by; else NULL */
    void *to;                         /* y or dx */
    void *relu_dx;                    /* where the ReLU's gradient is wanted by others; else NULL */
    const float *mean, *a0, *a1, *a2; /* (W): the mean, and what the pass needs */
} job;

/* to (W) = from (C), repeated. */
static void repeat(const cpu_norm_state *s, float *restrict to, const float *restrict from)
{
    for (size_t first = 0; first < s->width; first += s->n_channels)
        for (size_t c = 0; c < s->n_channels; c++) to[first + c] = from[c];
}

/* sum (C) = the k parts of wide (W), added in order; they may be the same array when k is 1. */
static void fold(const cpu_norm_state *s, float *sum, const float *wide)
{
    const size_t C = s->n_channels;

    for (size_t c = 0; c < C; c++) sum[c] = wide[c];
    for (size_t first = C; first < s->width; first += C)
        for (size_t c = 0; c < C; c++) sum[c] += wide[first + c];
}

/* ------------------------------------------------------------ statistics */

/* sum (W) over elements [begin, end), whole rows, of x, or of (x - mean)^2 where mean (W) is given. */
CPU_INLINE void add_rows(float *restrict sum, const void *restrict x, const float *restrict mean, size_t begin,
                         size_t end, size_t W, lk_dtype dtype)
{
    for (size_t w = 0; w < W; w++) sum[w] = 0.0f;
    for (size_t first = begin; first < end; first += W) {
        const size_t n = end - first < W ? end - first : W;

        for (size_t w = 0; w < n; w++) {
            const float x_w = cpu_load(x, first + w, dtype), d = mean ? x_w - mean[w] : x_w;
            sum[w] += mean ? d * d : d;
        }
    }
}

/* mean (C) and m2 (C) of rows [begin, end). */
CPU_INLINE void block_stats(const cpu_norm_state *s, const void *x, size_t begin, size_t end, float *mean, float *m2,
                            lk_dtype dtype)
{
    const size_t C = s->n_channels, W = s->width;
    const float inv_n = 1.0f / (float)(end - begin);
    float wide_mean[CPU_NORM_WIDTH], wide_sum[CPU_NORM_WIDTH];

    add_rows(W > C ? wide_sum : mean, x, NULL, begin * C, end * C, W, dtype);
    if (W > C) fold(s, mean, wide_sum);
    for (size_t c = 0; c < C; c++) mean[c] *= inv_n;
    if (W > C) repeat(s, wide_mean, mean);
    add_rows(W > C ? wide_sum : m2, x, W > C ? wide_mean : mean, begin * C, end * C, W, dtype);
    if (W > C) fold(s, m2, wide_sum);
}

static void stats_part(void *arg, size_t begin, size_t end)
{
    const job *j = arg;
    const cpu_norm_state *s = j->s;

    for (size_t block = begin; block < end; block++) {
        const size_t first = cpu_norm_block_begin(s, block), last = cpu_norm_block_end(s, block);
        float *mean = cpu_norm_partial(s, block), *m2 = mean + s->n_channels;

        if (s->dtype == LK_DTYPE_BF16)
            block_stats(s, j->x, first, last, mean, m2, LK_DTYPE_BF16);
        else
            block_stats(s, j->x, first, last, mean, m2, LK_DTYPE_F32);
    }
}

/* total = (mean, m2) of all rows. */
static void merge_blocks(const cpu_norm_state *s)
{
    const size_t C = s->n_channels;
    double *restrict mean = s->total, *restrict m2 = s->total + C;

    for (size_t c = 0; c < C; c++) mean[c] = (double)s->partial[c], m2[c] = (double)s->partial[C + c];
    for (size_t block = 1; block < s->n_blocks; block++) {
        const double na = (double)cpu_norm_block_begin(s, block), nb = (double)cpu_norm_block_end(s, block) - na;
        const double share = nb / (na + nb), weight = na * share;
        const float *restrict mean_b = cpu_norm_partial(s, block), *restrict m2_b = mean_b + C;

        for (size_t c = 0; c < C; c++) {
            const double d = (double)mean_b[c] - mean[c];
            mean[c] += d * share;
            m2[c] += (double)m2_b[c] + d * d * weight;
        }
    }
}

static void store_stats(const cpu_norm_state *s, float *restrict mean, float *restrict rstd, float *restrict stat_mean,
                        float *restrict stat_var)
{
    const size_t C = s->n_channels;
    const double inv_n = 1.0 / (double)s->n_rows, inv_unbiased = 1.0 / (double)(s->n_rows - 1);

    for (size_t c = 0; c < C; c++) {
        const double m2 = s->total[C + c];

        mean[c] = stat_mean[c] = (float)s->total[c];
        rstd[c] = 1.0f / sqrtf((float)(m2 * inv_n) + s->eps);
        stat_var[c] = (float)(m2 * inv_unbiased);
    }
}

/* -------------------------------------------------------------- normalise */

/* A value as it would have been left to the next node. */
CPU_INLINE float rounded(float value, lk_dtype dtype)
{
    return dtype == LK_DTYPE_BF16 ? cpu_bf16_to_f32(cpu_bf16_from_f32(value)) : value;
}

/* What happens to (x - mean) a0 + a1 behind the norm: nothing, a ReLU, or a ReLU of that and an addend. */
typedef enum tail { TAIL_NONE, TAIL_RELU, TAIL_ADD_RELU } tail;

/* y over elements [begin, end), whole rows. */
CPU_INLINE void normalise_rows(const job *j, size_t begin, size_t end, tail behind, lk_dtype dtype)
{
    const size_t W = j->s->width;
    const float *restrict mean = j->mean, *restrict a0 = j->a0, *restrict a1 = j->a1;
    const void *restrict x = j->x, *restrict addend = j->addend;
    void *restrict y = j->to;

    for (size_t first = begin; first < end; first += W) {
        const size_t n = end - first < W ? end - first : W;

        for (size_t w = 0; w < n; w++) {
            float value = (cpu_load(x, first + w, dtype) - mean[w]) * a0[w] + a1[w];
            if (behind == TAIL_ADD_RELU) value = rounded(value, dtype) + cpu_load(addend, first + w, dtype);
            cpu_store(y, first + w, behind == TAIL_NONE ? value : lk_relu(rounded(value, dtype)), dtype);
        }
    }
}

static void normalise_part(void *arg, size_t begin, size_t end)
{
    const job *j = arg;
    const cpu_norm_state *s = j->s;
    const size_t first = cpu_norm_block_begin(s, begin) * s->n_channels;
    const size_t last = cpu_norm_block_end(s, end - 1) * s->n_channels;

#define NORMALISE(dtype)                                                                \
    do {                                                                                \
        if (j->addend) normalise_rows(j, first, last, TAIL_ADD_RELU, dtype);            \
        else if (s->relu_y.present) normalise_rows(j, first, last, TAIL_RELU, dtype);   \
        else normalise_rows(j, first, last, TAIL_NONE, dtype);                          \
    } while (0)
    if (s->dtype == LK_DTYPE_BF16) NORMALISE(LK_DTYPE_BF16);
    else NORMALISE(LK_DTYPE_F32);
#undef NORMALISE
}

/* mean, rstd (C) -> y. */
static void normalise(const cpu_norm_state *s, const lk_launch_args *args, const float *mean, const float *rstd)
{
    const size_t C = s->n_channels, W = s->width;
    const float *g = cpu_at(args, s->g), *b = cpu_at(args, s->b);
    float *wide_mean = s->factor, *factor = wide_mean + W, *wide_b = factor + W, *product = wide_b + W;
    job j = {.s = s, .x = cpu_at(args, s->x), .addend = cpu_at(args, s->addend), .to = cpu_at(args, s->y),
             .mean = wide_mean, .a0 = factor, .a1 = wide_b};

    for (size_t c = 0; c < C; c++) product[c] = g[c] * rstd[c];
    repeat(s, factor, product);
    repeat(s, wide_mean, mean);
    repeat(s, wide_b, b);
    cpu_split(s->threads, s->n_blocks, CPU_NORM_GRAIN, normalise_part, &j);
}

static lk_status run_train(void *state, const lk_launch_args *args)
{
    const cpu_norm_state *s = cpu_norm_begin(state, args);
    float *mean = cpu_at(args, s->mean), *rstd = cpu_at(args, s->rstd);
    job j = {.s = s, .x = cpu_at(args, s->x)};

    cpu_split(s->threads, s->n_blocks, CPU_NORM_GRAIN, stats_part, &j);
    merge_blocks(s);
    store_stats(s, mean, rstd, cpu_at(args, s->stat_mean), cpu_at(args, s->stat_var));
    normalise(s, args, mean, rstd);
    return LK_OK;
}

/* mean and rstd hold the places of the running mean and variance. */
static lk_status run_eval(void *state, const lk_launch_args *args)
{
    const cpu_norm_state *s = cpu_norm_begin(state, args);
    const float *running_var = cpu_at(args, s->rstd);
    float *rstd = s->partial; /* unused otherwise: there are no sums */

    for (size_t c = 0; c < s->n_channels; c++) rstd[c] = 1.0f / sqrtf(running_var[c] + s->eps);
    normalise(s, args, cpu_at(args, s->mean), rstd);
    return LK_OK;
}

/* --------------------------------------------------------------- gradient */

/* Element i of the norm's dy. */
CPU_INLINE float dy_at(const void *restrict dy, const void *restrict relu_y, size_t i, lk_dtype dtype)
{
    const float value = cpu_load(dy, i, dtype);

    return relu_y ? lk_relu_grad(value, cpu_load(relu_y, i, dtype)) : value;
}

/* sum_dy and sum_dyd (W) over elements [begin, end), whole rows, of dy and dy (x - mean). */
CPU_INLINE void add_grad_rows(float *restrict sum_dy, float *restrict sum_dyd, const void *restrict dy,
                              const void *restrict relu_y, const void *restrict x, const float *restrict mean,
                              size_t begin, size_t end, size_t W, lk_dtype dtype)
{
    for (size_t w = 0; w < W; w++) sum_dy[w] = sum_dyd[w] = 0.0f;
    for (size_t first = begin; first < end; first += W) {
        const size_t n = end - first < W ? end - first : W;

        for (size_t w = 0; w < n; w++) {
            const float dy_w = dy_at(dy, relu_y, first + w, dtype);
            sum_dy[w] += dy_w;
            sum_dyd[w] += dy_w * (cpu_load(x, first + w, dtype) - mean[w]);
        }
    }
}

CPU_INLINE void block_sums(const job *j, size_t block, const void *relu_y, lk_dtype dtype)
{
    const cpu_norm_state *s = j->s;
    const size_t C = s->n_channels, W = s->width;
    const size_t first = cpu_norm_block_begin(s, block) * C, last = cpu_norm_block_end(s, block) * C;
    float *sum_dy = cpu_norm_partial(s, block), *sum_dyd = sum_dy + C;
    float wide_dy[CPU_NORM_WIDTH], wide_dyd[CPU_NORM_WIDTH];

    if (W == C) {
        add_grad_rows(sum_dy, sum_dyd, j->dy, relu_y, j->x, j->mean, first, last, W, dtype);
        return;
    }
    add_grad_rows(wide_dy, wide_dyd, j->dy, relu_y, j->x, j->mean, first, last, W, dtype);
    fold(s, sum_dy, wide_dy);
    fold(s, sum_dyd, wide_dyd);
}

static void sums_part(void *arg, size_t begin, size_t end)
{
    const job *j = arg;

    for (size_t block = begin; block < end; block++)
        if (j->relu_y && j->s->dtype == LK_DTYPE_BF16) block_sums(j, block, j->relu_y, LK_DTYPE_BF16);
        else if (j->relu_y) block_sums(j, block, j->relu_y, LK_DTYPE_F32);
        else if (j->s->dtype == LK_DTYPE_BF16) block_sums(j, block, NULL, LK_DTYPE_BF16);
        else block_sums(j, block, NULL, LK_DTYPE_F32);
}

/* dx = a0 (dy - a1 - (x - mean) a2) over elements [begin, end), whole rows; relu_dx gets dy, where there is one. */
CPU_INLINE void dx_rows(const job *j, const void *restrict relu_y, void *restrict relu_dx, size_t begin, size_t end,
                        lk_dtype dtype)
{
    const size_t W = j->s->width;
    const float *restrict mean = j->mean, *restrict a0 = j->a0, *restrict a1 = j->a1, *restrict a2 = j->a2;
    const void *restrict dy = j->dy, *restrict x = j->x;
    void *restrict dx = j->to;

    for (size_t first = begin; first < end; first += W) {
        const size_t n = end - first < W ? end - first : W;

        for (size_t w = 0; w < n; w++) {
            const float d = cpu_load(x, first + w, dtype) - mean[w], dy_w = dy_at(dy, relu_y, first + w, dtype);
            if (relu_dx) cpu_store(relu_dx, first + w, dy_w, dtype);
            cpu_store(dx, first + w, a0[w] * (dy_w - a1[w] - d * a2[w]), dtype);
        }
    }
}

static void dx_part(void *arg, size_t begin, size_t end)
{
    const job *j = arg;
    const cpu_norm_state *s = j->s;
    const size_t first = cpu_norm_block_begin(s, begin) * s->n_channels;
    const size_t last = cpu_norm_block_end(s, end - 1) * s->n_channels;

#define DX(dtype)                                                                       \
    do {                                                                                \
        if (j->relu_dx) dx_rows(j, j->relu_y, j->relu_dx, first, last, dtype);          \
        else if (j->relu_y) dx_rows(j, j->relu_y, NULL, first, last, dtype);            \
        else dx_rows(j, NULL, NULL, first, last, dtype);                                \
    } while (0)
    if (s->dtype == LK_DTYPE_BF16) DX(LK_DTYPE_BF16);
    else DX(LK_DTYPE_F32);
#undef DX
}

/* What dx needs per channel: a0 = g rstd, a1 = db / R, a2 = rstd dg / R. */
static void dx_factors(const cpu_norm_state *s, const float *g, const float *rstd, float *a0, float *a1, float *a2)
{
    const size_t C = s->n_channels;
    const double inv_n = 1.0 / (double)s->n_rows;

    for (size_t c = 0; c < C; c++) {
        a0[c] = g[c] * rstd[c];
        a1[c] = (float)(s->total[c] * inv_n);
        a2[c] = rstd[c] * (float)(s->total[C + c] * inv_n);
    }
    for (size_t first = C; first < s->width; first += C)
        for (size_t c = 0; c < C; c++) {
            a0[first + c] = a0[c];
            a1[first + c] = a1[c];
            a2[first + c] = a2[c];
        }
}

static lk_status run_grad(void *state, const lk_launch_args *args)
{
    const cpu_norm_state *s = cpu_norm_begin(state, args);
    const size_t C = s->n_channels, W = s->width;
    const float *rstd = cpu_at(args, s->rstd);
    float *wide_mean = s->factor, *a0 = wide_mean + W, *a1 = a0 + W, *a2 = a1 + W;
    job j = {.s = s, .x = cpu_at(args, s->x), .dy = cpu_at(args, s->dy), .to = cpu_at(args, s->dx), .mean = wide_mean,
             .relu_y = cpu_at(args, s->relu_y), .relu_dx = cpu_at(args, s->relu_dx), .a0 = a0, .a1 = a1, .a2 = a2};

    repeat(s, wide_mean, cpu_at(args, s->mean));
    cpu_split(s->threads, s->n_blocks, CPU_NORM_GRAIN, sums_part, &j);
    cpu_norm_add_blocks(s);
    for (size_t c = 0; c < C; c++) s->total[C + c] *= (double)rstd[c]; /* h = (x - mean) rstd */
    cpu_norm_store_grads(s, cpu_at(args, s->dg), cpu_at(args, s->db));
    if (!j.to) return LK_OK;
    dx_factors(s, cpu_at(args, s->g), rstd, a0, a1, a2);
    cpu_split(s->threads, s->n_blocks, CPU_NORM_GRAIN, dx_part, &j);
    return LK_OK;
}

/* ------------------------------------------- gradient under running statistics */

/* dx = dy a0 over elements [begin, end), whole rows. */
CPU_INLINE void scale_rows(void *restrict dx, const void *restrict dy, const float *restrict a0, size_t begin,
                           size_t end, size_t W, lk_dtype dtype)
{
    for (size_t first = begin; first < end; first += W) {
        const size_t n = end - first < W ? end - first : W;

        for (size_t w = 0; w < n; w++) cpu_store(dx, first + w, a0[w] * cpu_load(dy, first + w, dtype), dtype);
    }
}

static void scale_part(void *arg, size_t begin, size_t end)
{
    const job *j = arg;
    const cpu_norm_state *s = j->s;
    const size_t first = cpu_norm_block_begin(s, begin) * s->n_channels;
    const size_t last = cpu_norm_block_end(s, end - 1) * s->n_channels;

    if (s->dtype == LK_DTYPE_BF16)
        scale_rows(j->to, j->dy, j->a0, first, last, s->width, LK_DTYPE_BF16);
    else
        scale_rows(j->to, j->dy, j->a0, first, last, s->width, LK_DTYPE_F32);
}

/* rstd holds the place of the running variance. */
static lk_status run_eval_grad(void *state, const lk_launch_args *args)
{
    const cpu_norm_state *s = cpu_norm_begin(state, args);
    const float *g = cpu_at(args, s->g), *running_var = cpu_at(args, s->rstd);
    float *factor = s->partial; /* unused otherwise: there are no sums */
    job j = {.s = s, .dy = cpu_at(args, s->dy), .to = cpu_at(args, s->dx), .a0 = s->factor};

    for (size_t c = 0; c < s->n_channels; c++) factor[c] = g[c] * (1.0f / sqrtf(running_var[c] + s->eps));
    repeat(s, s->factor, factor);
    cpu_split(s->threads, s->n_blocks, CPU_NORM_GRAIN, scale_part, &j);
    return LK_OK;
}

/* ----------------------------------------------------------------- binders */

lk_status cpu_bind_batch_norm(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return cpu_norm_bind(ctx, graph, node, run_train, out);
}

lk_status cpu_bind_batch_norm_grad(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return cpu_norm_bind(ctx, graph, node, run_grad, out);
}

lk_status cpu_bind_batch_norm_eval(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return cpu_norm_bind(ctx, graph, node, run_eval, out);
}

lk_status cpu_bind_batch_norm_eval_grad(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return cpu_norm_bind(ctx, graph, node, run_eval_grad, out);
}
