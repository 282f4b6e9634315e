/*
 * Batch norm over the last axis of x (R, C): training, its gradient, evaluation.  The formulas are in
 * engine/ops/batch_norm.c.
 *
 * The variance is taken in two passes (mean first, then squares of differences), so it does not cancel; both passes
 * run over one block of rows while it is in cache, and the blocks' means and sums of squares are merged by
 *
 *     n = na + nb,   d = mean_b - mean_a,   mean = mean_a + d nb / n,   m2 = m2_a + m2_b + d^2 na nb / n
 *
 * (Chan, Golub and LeVeque, 1979), in double and in order.  x is thus read twice: once for both sums, once for y.
 */
#include "engine/cpu/norm.h"

#include <math.h>

typedef struct job {
    const norm_state *s;
    const void *x, *dy;
    void *to;               /* y or dx */
    const float *mean, *g, *b, *rstd;
} job;

/* ------------------------------------------------------------ statistics */

/* mean[c], m2[c] of rows [begin, end); four rows at a time, for precision and to touch the sums less often. */
CPU_INLINE void block_stats(const norm_state *s, const void *restrict x, size_t begin, size_t end,
                            float *restrict mean, float *restrict m2, lk_dtype dtype)
{
    const size_t C = s->n_channels;
    const float inv_n = 1.0f / (float)(end - begin);
    size_t r;

    for (size_t c = 0; c < C; c++) mean[c] = m2[c] = 0.0f;
    for (r = begin; r + 4 <= end; r += 4)
        for (size_t c = 0, i = r * C; c < C; c++, i++)
            mean[c] += (cpu_load(x, i, dtype) + cpu_load(x, i + C, dtype)) +
                       (cpu_load(x, i + 2 * C, dtype) + cpu_load(x, i + 3 * C, dtype));
    for (; r < end; r++)
        for (size_t c = 0, i = r * C; c < C; c++, i++) mean[c] += cpu_load(x, i, dtype);
    for (size_t c = 0; c < C; c++) mean[c] *= inv_n;

    for (r = begin; r + 2 <= end; r += 2)
        for (size_t c = 0, i = r * C; c < C; c++, i++) {
            const float d0 = cpu_load(x, i, dtype) - mean[c], d1 = cpu_load(x, i + C, dtype) - mean[c];
            m2[c] += d0 * d0 + d1 * d1;
        }
    for (; r < end; r++)
        for (size_t c = 0, i = r * C; c < C; c++, i++) {
            const float d = cpu_load(x, i, dtype) - mean[c];
            m2[c] += d * d;
        }
}

static void stats_part(void *arg, size_t begin, size_t end)
{
    const job *j = arg;
    const norm_state *s = j->s;

    for (size_t block = begin; block < end; block++) {
        const size_t first = norm_block_begin(s, block), last = norm_block_end(s, block);
        float *mean = norm_partial(s, block), *m2 = mean + s->n_channels;

        if (s->dtype == LK_DTYPE_BF16)
            block_stats(s, j->x, first, last, mean, m2, LK_DTYPE_BF16);
        else
            block_stats(s, j->x, first, last, mean, m2, LK_DTYPE_F32);
    }
}

/* total = (mean, m2) of all rows. */
static void merge_blocks(const norm_state *s)
{
    const size_t C = s->n_channels;
    double *restrict mean = s->total, *restrict m2 = s->total + C;

    for (size_t c = 0; c < C; c++) mean[c] = (double)s->partial[c], m2[c] = (double)s->partial[C + c];
    for (size_t block = 1; block < s->n_blocks; block++) {
        const double na = (double)norm_block_begin(s, block), nb = (double)norm_block_end(s, block) - na;
        const double share = nb / (na + nb), weight = na * share;
        const float *restrict mean_b = norm_partial(s, block), *restrict m2_b = mean_b + C;

        for (size_t c = 0; c < C; c++) {
            const double d = (double)mean_b[c] - mean[c];
            mean[c] += d * share;
            m2[c] += (double)m2_b[c] + d * d * weight;
        }
    }
}

static void store_stats(const norm_state *s, float *restrict mean, float *restrict rstd, float *restrict stat_mean,
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

/* y = (x - mean) factor + b; factor is g rstd. */
CPU_INLINE void normalise_rows(const job *j, size_t begin, size_t end, lk_dtype dtype)
{
    const size_t C = j->s->n_channels;
    const float *restrict mean = j->mean, *restrict factor = j->s->factor, *restrict b = j->b;
    const void *restrict x = j->x;
    void *restrict y = j->to;

    for (size_t r = begin; r < end; r++)
        for (size_t c = 0, i = r * C; c < C; c++, i++)
            cpu_store(y, i, (cpu_load(x, i, dtype) - mean[c]) * factor[c] + b[c], dtype);
}

static void normalise_part(void *arg, size_t begin, size_t end)
{
    const job *j = arg;
    const size_t first = norm_block_begin(j->s, begin), last = norm_block_end(j->s, end - 1);

    if (j->s->dtype == LK_DTYPE_BF16)
        normalise_rows(j, first, last, LK_DTYPE_BF16);
    else
        normalise_rows(j, first, last, LK_DTYPE_F32);
}

static lk_status run_train(void *state, const lk_run *run)
{
    const norm_state *s = state;
    float *mean = cpu_at(run, s->mean), *rstd = cpu_at(run, s->rstd);
    job j = {.s = s, .x = cpu_at(run, s->x), .to = cpu_at(run, s->y), .mean = mean, .g = cpu_at(run, s->g),
             .b = cpu_at(run, s->b)};

    cpu_split(s->threads, s->n_blocks, NORM_GRAIN, stats_part, &j);
    merge_blocks(s);
    store_stats(s, mean, rstd, cpu_at(run, s->stat_mean), cpu_at(run, s->stat_var));
    for (size_t c = 0; c < s->n_channels; c++) s->factor[c] = j.g[c] * rstd[c];
    cpu_split(s->threads, s->n_blocks, NORM_GRAIN, normalise_part, &j);
    return LK_OK;
}

/* mean and rstd hold the places of the running mean and variance. */
static lk_status run_eval(void *state, const lk_run *run)
{
    const norm_state *s = state;
    const float *var = cpu_at(run, s->rstd);
    job j = {.s = s, .x = cpu_at(run, s->x), .to = cpu_at(run, s->y), .mean = cpu_at(run, s->mean),
             .g = cpu_at(run, s->g), .b = cpu_at(run, s->b)};

    for (size_t c = 0; c < s->n_channels; c++) s->factor[c] = j.g[c] * (1.0f / sqrtf(var[c] + s->eps));
    cpu_split(s->threads, s->n_blocks, NORM_GRAIN, normalise_part, &j);
    return LK_OK;
}

/* --------------------------------------------------------------- gradient */

/* sum_dy[c] and sum_dyh[c] of rows [begin, end), where dyh = dy h. */
CPU_INLINE void block_sums(const job *j, size_t begin, size_t end, float *restrict sum_dy, float *restrict sum_dyh,
                           lk_dtype dtype)
{
    const size_t C = j->s->n_channels;
    const float *restrict mean = j->mean, *restrict rstd = j->rstd;
    const void *restrict x = j->x, *restrict dy = j->dy;
    size_t r;

    for (size_t c = 0; c < C; c++) sum_dy[c] = sum_dyh[c] = 0.0f;
    for (r = begin; r + 2 <= end; r += 2)
        for (size_t c = 0, i = r * C; c < C; c++, i++) {
            const float dy0 = cpu_load(dy, i, dtype), dy1 = cpu_load(dy, i + C, dtype);
            const float d0 = cpu_load(x, i, dtype) - mean[c], d1 = cpu_load(x, i + C, dtype) - mean[c];
            sum_dy[c] += dy0 + dy1;
            sum_dyh[c] += dy0 * d0 + dy1 * d1;
        }
    for (; r < end; r++)
        for (size_t c = 0, i = r * C; c < C; c++, i++) {
            const float dy0 = cpu_load(dy, i, dtype);
            sum_dy[c] += dy0;
            sum_dyh[c] += dy0 * (cpu_load(x, i, dtype) - mean[c]);
        }
    for (size_t c = 0; c < C; c++) sum_dyh[c] *= rstd[c];
}

static void sums_part(void *arg, size_t begin, size_t end)
{
    const job *j = arg;
    const norm_state *s = j->s;

    for (size_t block = begin; block < end; block++) {
        const size_t first = norm_block_begin(s, block), last = norm_block_end(s, block);
        float *sum_dy = norm_partial(s, block), *sum_dyh = sum_dy + s->n_channels;

        if (s->dtype == LK_DTYPE_BF16)
            block_sums(j, first, last, sum_dy, sum_dyh, LK_DTYPE_BF16);
        else
            block_sums(j, first, last, sum_dy, sum_dyh, LK_DTYPE_F32);
    }
}

/* dx = scale (dy - mean_dy - (x - mean) slope); scale = g rstd, mean_dy = db / R, slope = rstd dg / R. */
CPU_INLINE void dx_rows(const job *j, size_t begin, size_t end, lk_dtype dtype)
{
    const size_t C = j->s->n_channels;
    const float *restrict mean = j->mean, *restrict scale = j->s->factor;
    const float *restrict mean_dy = scale + C, *restrict slope = scale + 2 * C;
    const void *restrict x = j->x, *restrict dy = j->dy;
    void *restrict dx = j->to;

    for (size_t r = begin; r < end; r++)
        for (size_t c = 0, i = r * C; c < C; c++, i++) {
            const float d = cpu_load(x, i, dtype) - mean[c];
            cpu_store(dx, i, scale[c] * (cpu_load(dy, i, dtype) - mean_dy[c] - d * slope[c]), dtype);
        }
}

static void dx_part(void *arg, size_t begin, size_t end)
{
    const job *j = arg;
    const size_t first = norm_block_begin(j->s, begin), last = norm_block_end(j->s, end - 1);

    if (j->s->dtype == LK_DTYPE_BF16)
        dx_rows(j, first, last, LK_DTYPE_BF16);
    else
        dx_rows(j, first, last, LK_DTYPE_F32);
}

static lk_status run_grad(void *state, const lk_run *run)
{
    const norm_state *s = state;
    const size_t C = s->n_channels;
    const double inv_n = 1.0 / (double)s->n_rows;
    job j = {.s = s, .x = cpu_at(run, s->x), .dy = cpu_at(run, s->dy), .to = cpu_at(run, s->dx),
             .mean = cpu_at(run, s->mean), .rstd = cpu_at(run, s->rstd), .g = cpu_at(run, s->g)};

    cpu_split(s->threads, s->n_blocks, NORM_GRAIN, sums_part, &j);
    norm_add_blocks(s);
    norm_store_grads(s, cpu_at(run, s->dg), cpu_at(run, s->db));
    if (!j.to) return LK_OK;
    for (size_t c = 0; c < C; c++) {
        s->factor[c] = j.g[c] * j.rstd[c];
        s->factor[C + c] = (float)(s->total[c] * inv_n);
        s->factor[2 * C + c] = j.rstd[c] * (float)(s->total[C + c] * inv_n);
    }
    cpu_split(s->threads, s->n_blocks, NORM_GRAIN, dx_part, &j);
    return LK_OK;
}

/* ----------------------------------------------------------------- binders */

lk_status cpu_bind_batch_norm(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    norm_state s = {
        .x = cpu_place_of(graph, node->in[0]),
        .g = cpu_place_of(graph, node->in[1]),
        .b = cpu_place_of(graph, node->in[2]),
        .y = cpu_place_of(graph, node->out[0]),
        .mean = cpu_place_of(graph, node->out[1]),
        .rstd = cpu_place_of(graph, node->out[2]),
        .stat_mean = cpu_place_of(graph, node->out[3]),
        .stat_var = cpu_place_of(graph, node->out[4]),
        .eps = node->attrs.norm.eps,
    };

    return norm_keep(ctx, cpu_in(graph, node, 0), run_train, &s, out);
}

lk_status cpu_bind_batch_norm_grad(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    norm_state s = {
        .dy = cpu_place_of(graph, node->in[0]),
        .x = cpu_place_of(graph, node->in[1]),
        .g = cpu_place_of(graph, node->in[2]),
        .mean = cpu_place_of(graph, node->in[3]),
        .rstd = cpu_place_of(graph, node->in[4]),
        .dx = cpu_place_of(graph, node->out[0]),
        .dg = cpu_place_of(graph, node->out[1]),
        .db = cpu_place_of(graph, node->out[2]),
    };

    return norm_keep(ctx, cpu_in(graph, node, 1), run_grad, &s, out);
}

lk_status cpu_bind_batch_norm_eval(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    norm_state s = {
        .x = cpu_place_of(graph, node->in[0]),
        .g = cpu_place_of(graph, node->in[1]),
        .b = cpu_place_of(graph, node->in[2]),
        .mean = cpu_place_of(graph, node->in[3]),
        .rstd = cpu_place_of(graph, node->in[4]),
        .y = cpu_place_of(graph, node->out[0]),
        .eps = node->attrs.norm.eps,
    };

    return norm_keep(ctx, cpu_in(graph, node, 0), run_eval, &s, out);
}
