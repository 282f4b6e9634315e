/*
 * Batch norm over the last axis of x (R, C): training, evaluation, the gradients of both.  The formulas are in
 * engine/ops/batch_norm.c.
 *
 * The variance is taken in two passes over a chunk of rows (mean first, then squares of differences), so it does not
 * cancel; chunks are merged in order and in double by Chan, Golub and LeVeque (1979), as in engine/cpu/batch_norm.c.
 */
#include "engine/cuda/norm.h"

/* ------------------------------------------------------------ statistics */

/* partial (n_chunks, 2, C): mean and sum of squares about it. */
static __global__ void chunk_stats(const __grid_constant__ column_cut cut, const void *x, bool bf16, float *partial)
{
    const column_at at = column_of(&cut);
    const size_t chunk_rows = at.last - at.chunk * cut.chunk;
    float sum = 0.0f, m2 = 0.0f;

    if (at.inside)
        for (size_t row = at.first; row < at.last; row += cut.deep) sum += element_load(x, row * cut.C + at.c, bf16);
    const float mean = column_fold(&cut, &at, sum) * (1.0f / (float)chunk_rows);
    if (at.inside)
        for (size_t row = at.first; row < at.last; row += cut.deep) {
            const float d = element_load(x, row * cut.C + at.c, bf16) - mean;
            m2 += d * d;
        }
    m2 = column_fold(&cut, &at, m2);
    if (!at.inside || at.lane != 0) return;
    partial[at.chunk * 2 * cut.C + at.c] = mean;
    partial[(at.chunk * 2 + 1) * cut.C + at.c] = m2;
}

static __global__ void merge_chunks(const __grid_constant__ column_cut cut, const float *partial, float eps,
                                    float *mean_of, float *rstd, float *stat_mean, float *stat_var)
{
    const size_t c = element_first();

    if (c >= cut.C) return;
    double mean = (double)partial[c], m2 = (double)partial[cut.C + c];
    for (size_t chunk = 1; chunk < cut.n_chunks; chunk++) {
        const size_t end = (chunk + 1) * cut.chunk < cut.rows ? (chunk + 1) * cut.chunk : cut.rows;
        const double na = (double)(chunk * cut.chunk), nb = (double)end - na, share = nb / (na + nb);
        const double d = (double)partial[chunk * 2 * cut.C + c] - mean;

        mean += d * share;
        m2 += (double)partial[(chunk * 2 + 1) * cut.C + c] + d * d * (na * share);
    }
    mean_of[c] = stat_mean[c] = (float)mean;
    rstd[c] = 1.0f / sqrtf((float)(m2 / (double)cut.rows) + eps);
    stat_var[c] = (float)(m2 / (double)(cut.rows - 1));
}

/* -------------------------------------------------------------- normalise */

/* y = (x - mean) g rstd + b; var: rstd is 1 / sqrt(it + eps). */
static __global__ void normalise(void *y, const void *x, const float *g, const float *b, const float *mean,
                                 const float *rstd, const float *var, float eps, size_t n_elem, size_t C, bool bf16)
{
    for (size_t i = element_first(); i < n_elem; i += element_step()) {
        const size_t c = i % C;
        const float r = var ? 1.0f / sqrtf(var[c] + eps) : rstd[c];

        element_store(y, i, (element_load(x, i, bf16) - mean[c]) * (g[c] * r) + b[c], bf16);
    }
}

static lk_status run_normalise(const norm_state *s, const lk_launch_args *args, const float *rstd, const float *var)
{
    const size_t n_elem = s->cut.rows * s->cut.C;

    LK_LAUNCH_FLAT(normalise, element_blocks(s->ctx, n_elem), ELEMENT_BLOCK, s->ctx->stream, cuda_at(args, s->y),
                   (const void *)cuda_at(args, s->x), (const float *)cuda_at(args, s->g),
                   (const float *)cuda_at(args, s->b), (const float *)cuda_at(args, s->mean), rstd, var, s->eps, n_elem,
                   s->cut.C, s->bf16);
    return LK_OK;
}

static lk_status run_train(void *state, const lk_launch_args *args)
{
    const norm_state *s = cuda_norm_begin(state, args);
    float *mean = (float *)cuda_at(args, s->mean), *rstd = (float *)cuda_at(args, s->rstd);

    LK_LAUNCH(chunk_stats, column_grid(&s->cut), COLUMN_THREADS, s->ctx->stream, s->cut,
              (const void *)cuda_at(args, s->x), s->bf16, s->partial);
    LK_LAUNCH_FLAT(merge_chunks, column_total_blocks(&s->cut), ELEMENT_BLOCK, s->ctx->stream, s->cut,
                   (const float *)s->partial, s->eps, mean, rstd, (float *)cuda_at(args, s->stat_mean),
                   (float *)cuda_at(args, s->stat_var));
    return run_normalise(s, args, rstd, NULL);
}

/* mean and rstd hold the places of the running mean and variance. */
static lk_status run_eval(void *state, const lk_launch_args *args)
{
    const norm_state *s = cuda_norm_begin(state, args);

    return run_normalise(s, args, NULL, (const float *)cuda_at(args, s->rstd));
}

/* --------------------------------------------------------------- gradient */

struct norm_grad_term {
    const void *dy, *x;
    const float *mean;
    size_t C;
    bool bf16;

    __device__ void at(size_t row, size_t c, float *v) const
    {
        v[0] = element_load(dy, row * C + c, bf16);
        v[1] = v[0] * (element_load(x, row * C + c, bf16) - mean[c]);
    }
};

/* db, dg (either may be NULL), and what dx needs: factor (3, C). */
struct norm_grad_store {
    float *dg, *db, *factor;
    const float *g, *rstd;
    size_t rows, C;

    __device__ void at(size_t c, const double *total) const
    {
        const double r = (double)rstd[c], n = (double)rows;

        if (db) db[c] = (float)total[0];
        if (dg) dg[c] = (float)(total[1] * r);
        factor[c] = g[c] * rstd[c];
        factor[C + c] = (float)(total[0] / n);
        factor[2 * C + c] = (float)(total[1] * r * r / n);
    }
};

static __global__ void norm_dx(void *dx, const void *dy, const void *x, const float *mean, const float *factor,
                               size_t n_elem, size_t C, bool bf16)
{
    for (size_t i = element_first(); i < n_elem; i += element_step()) {
        const size_t c = i % C;
        const float d = element_load(x, i, bf16) - mean[c];

        element_store(dx, i, factor[c] * (element_load(dy, i, bf16) - factor[C + c] - d * factor[2 * C + c]), bf16);
    }
}

static lk_status run_grad(void *state, const lk_launch_args *args)
{
    const norm_state *s = cuda_norm_begin(state, args);
    const size_t C = s->cut.C, n_elem = s->cut.rows * C;
    const void *dy = cuda_at(args, s->dy), *x = cuda_at(args, s->x);
    const float *mean = (const float *)cuda_at(args, s->mean);
    const norm_grad_term term = {dy, x, mean, C, s->bf16};
    const norm_grad_store store = {(float *)cuda_at(args, s->dg), (float *)cuda_at(args, s->db), s->factor,
                                   (const float *)cuda_at(args, s->g), (const float *)cuda_at(args, s->rstd),
                                   s->cut.rows, C};

    LK_LAUNCH((column_partials<2, norm_grad_term>), column_grid(&s->cut), COLUMN_THREADS, s->ctx->stream, s->cut, term,
              s->partial);
    LK_LAUNCH_FLAT((column_totals<2, norm_grad_store>), column_total_blocks(&s->cut), ELEMENT_BLOCK, s->ctx->stream,
                   s->cut, (const float *)s->partial, store);
    if (!s->dx.present) return LK_OK;
    LK_LAUNCH_FLAT(norm_dx, element_blocks(s->ctx, n_elem), ELEMENT_BLOCK, s->ctx->stream, cuda_at(args, s->dx), dy, x,
                   mean, (const float *)s->factor, n_elem, C, s->bf16);
    return LK_OK;
}

static __global__ void eval_dx(void *dx, const void *dy, const float *g, const float *var, float eps, size_t n_elem,
                               size_t C, bool bf16)
{
    for (size_t i = element_first(); i < n_elem; i += element_step()) {
        const size_t c = i % C;

        element_store(dx, i, element_load(dy, i, bf16) * (g[c] * (1.0f / sqrtf(var[c] + eps))), bf16);
    }
}

/* rstd holds the place of the running variance. */
static lk_status run_eval_grad(void *state, const lk_launch_args *args)
{
    const norm_state *s = cuda_norm_begin(state, args);
    const size_t n_elem = s->cut.rows * s->cut.C;

    LK_LAUNCH_FLAT(eval_dx, element_blocks(s->ctx, n_elem), ELEMENT_BLOCK, s->ctx->stream, cuda_at(args, s->dx),
                   (const void *)cuda_at(args, s->dy), (const float *)cuda_at(args, s->g),
                   (const float *)cuda_at(args, s->rstd), s->eps, n_elem, s->cut.C, s->bf16);
    return LK_OK;
}

/* ----------------------------------------------------------------- binders */

lk_status cuda_bind_batch_norm(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return cuda_norm_bind(ctx, graph, node, run_train, out);
}

lk_status cuda_bind_batch_norm_grad(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return cuda_norm_bind(ctx, graph, node, run_grad, out);
}

lk_status cuda_bind_batch_norm_eval(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return cuda_norm_bind(ctx, graph, node, run_eval, out);
}

lk_status cuda_bind_batch_norm_eval_grad(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return cuda_norm_bind(ctx, graph, node, run_eval_grad, out);
}
