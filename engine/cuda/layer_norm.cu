/*
 * Layer norm over the rows of x (N, C), and its gradients.  The formulas are in engine/ops/layer_norm.c.
 *
 * A row belongs to a warp where it is short, else to a block; the variance is taken about the mean, in a second pass
 * that finds the row in the cache.  dg and db are sums of columns (reduce.cuh).
 */
#include "engine/cuda/norm.h"

enum { SHORT_ROW = 1024, ROW_BLOCK = 256 };

/* Row of this team, of TEAM threads, and this thread's place in it. */
template <int TEAM> static __device__ inline size_t team_row(void)
{
    return blockIdx.x * (size_t)(ROW_BLOCK / TEAM) + threadIdx.x / TEAM;
}

template <int TEAM> static __device__ inline float team_sum(float v)
{
    return TEAM == WARP_LANES ? warp_sum(v) : block_sum<float, ROW_BLOCK>(v);
}

/* What both kernels read; the forward pass writes mean and rstd, the other reads them. */
typedef struct row_norm {
    const void *x;
    const float *g, *b;
    float *mean, *rstd;
    size_t N, C;
    float eps;
    bool bf16;
} row_norm;

template <int TEAM> static __global__ void layer_norm(const __grid_constant__ row_norm s, void *y)
{
    const size_t n = team_row<TEAM>(), first = n * s.C;
    const unsigned at = threadIdx.x % TEAM;
    float sum = 0.0f, m2 = 0.0f;

    if (n >= s.N) return; /* a whole team */
    for (size_t c = at; c < s.C; c += TEAM) sum += element_load(s.x, first + c, s.bf16);
    const float mean = team_sum<TEAM>(sum) / (float)s.C;
    for (size_t c = at; c < s.C; c += TEAM) {
        const float d = element_load(s.x, first + c, s.bf16) - mean;
        m2 += d * d;
    }
    const float r = 1.0f / sqrtf(team_sum<TEAM>(m2) / (float)s.C + s.eps);
    for (size_t c = at; c < s.C; c += TEAM)
        element_store(y, first + c, (element_load(s.x, first + c, s.bf16) - mean) * r * s.g[c] + s.b[c], s.bf16);
    if (at == 0) s.mean[n] = mean, s.rstd[n] = r;
}

template <int TEAM> static __global__ void layer_norm_dx(const __grid_constant__ row_norm s, void *dx, const void *dy)
{
    const size_t n = team_row<TEAM>(), first = n * s.C;
    const unsigned at = threadIdx.x % TEAM;
    float sum_w = 0.0f, sum_wh = 0.0f;

    if (n >= s.N) return;
    const float mean = s.mean[n], r = s.rstd[n];
    for (size_t c = at; c < s.C; c += TEAM) {
        const float w = s.g[c] * element_load(dy, first + c, s.bf16);
        sum_w += w;
        sum_wh += w * ((element_load(s.x, first + c, s.bf16) - mean) * r);
    }
    const float mean_w = team_sum<TEAM>(sum_w) / (float)s.C, mean_wh = team_sum<TEAM>(sum_wh) / (float)s.C;
    for (size_t c = at; c < s.C; c += TEAM) {
        const float h = (element_load(s.x, first + c, s.bf16) - mean) * r;
        element_store(dx, first + c, r * (s.g[c] * element_load(dy, first + c, s.bf16) - mean_w - h * mean_wh), s.bf16);
    }
}

static unsigned row_blocks(const norm_state *s, int team)
{
    const size_t rows_a_block = (size_t)(ROW_BLOCK / team);

    return (unsigned)((s->cut.rows + rows_a_block - 1) / rows_a_block);
}

static row_norm row_norm_of(const norm_state *s, const lk_launch_args *args)
{
    const row_norm norm = {cuda_at(args, s->x), (const float *)cuda_at(args, s->g), (const float *)cuda_at(args, s->b),
                           (float *)cuda_at(args, s->mean), (float *)cuda_at(args, s->rstd),
                           s->cut.rows, s->cut.C, s->eps, s->bf16};

    return norm;
}

static lk_status run_forward(void *state, const lk_launch_args *args)
{
    const norm_state *s = cuda_norm_begin(state, args);
    const row_norm norm = row_norm_of(s, args);
    void *y = cuda_at(args, s->y);

    if (norm.C <= SHORT_ROW)
        LK_LAUNCH((layer_norm<WARP_LANES>), row_blocks(s, WARP_LANES), ROW_BLOCK, s->ctx->stream, norm, y);
    else
        LK_LAUNCH((layer_norm<ROW_BLOCK>), row_blocks(s, ROW_BLOCK), ROW_BLOCK, s->ctx->stream, norm, y);
    return LK_OK;
}

struct layer_norm_term {
    const void *dy, *x;
    const float *mean, *rstd;
    size_t C;
    bool bf16;

    __device__ void at(size_t row, size_t c, float *v) const
    {
        v[0] = element_load(dy, row * C + c, bf16);
        v[1] = v[0] * ((element_load(x, row * C + c, bf16) - mean[row]) * rstd[row]);
    }
};

struct layer_norm_store {
    float *dg, *db; /* either may be NULL */

    __device__ void at(size_t c, const double *total) const
    {
        if (db) db[c] = (float)total[0];
        if (dg) dg[c] = (float)total[1];
    }
};

static lk_status run_backward(void *state, const lk_launch_args *args)
{
    const norm_state *s = cuda_norm_begin(state, args);
    const row_norm norm = row_norm_of(s, args);
    const void *dy = cuda_at(args, s->dy);
    void *dx = cuda_at(args, s->dx);
    const layer_norm_term term = {dy, norm.x, norm.mean, norm.rstd, norm.C, s->bf16};
    const layer_norm_store store = {(float *)cuda_at(args, s->dg), (float *)cuda_at(args, s->db)};

    if (dx && norm.C <= SHORT_ROW)
        LK_LAUNCH((layer_norm_dx<WARP_LANES>), row_blocks(s, WARP_LANES), ROW_BLOCK, s->ctx->stream, norm, dx, dy);
    else if (dx)
        LK_LAUNCH((layer_norm_dx<ROW_BLOCK>), row_blocks(s, ROW_BLOCK), ROW_BLOCK, s->ctx->stream, norm, dx, dy);
    if (!store.dg && !store.db) return LK_OK;
    LK_LAUNCH((column_partials<2, layer_norm_term>), column_grid(&s->cut), COLUMN_THREADS, s->ctx->stream, s->cut, term,
              s->partial);
    LK_LAUNCH_FLAT((column_totals<2, layer_norm_store>), column_total_blocks(&s->cut), ELEMENT_BLOCK, s->ctx->stream,
                   s->cut, (const float *)s->partial, store);
    return LK_OK;
}

lk_status cuda_bind_layer_norm(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return cuda_norm_bind(ctx, graph, node, run_forward, out);
}

lk_status cuda_bind_layer_norm_grad(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return cuda_norm_bind(ctx, graph, node, run_backward, out);
}
