/*
 * Cross-entropy over rows of logits whose targets are probabilities of the classes, with its gradient in the same pass.
 * The formulas are in engine/base/formulas.h.  A warp takes a row.
 */
#include "engine/cuda/loss.h"

#include "engine/base/formulas.h"
#include "engine/cuda/reduce.cuh"

enum { TOP = 5, ROWS = LOSS_BLOCK / WARP_LANES };

/* What a row is reduced to, on every thread of its warp; z = x - most, q: a class's smoothed and weighted
 * probability. */
typedef struct row_sums {
    float most, sum_exp, sum_q, sum_qz;
} row_sums;

static __device__ inline float q_of(const loss_call *call, size_t first, size_t c)
{
    const float w = call->weight ? call->weight[c] : 1.0f;

    return lk_soft_target(((const float *)call->target)[first + c], w, call->smoothing, 1.0f / (float)call->n_outputs);
}

static __device__ inline row_sums reduce_row(const loss_call *call, size_t first)
{
    const unsigned at = threadIdx.x % WARP_LANES;
    row_sums made = {-INFINITY, 0.0f, 0.0f, 0.0f};

    for (size_t c = at; c < call->n_outputs; c += WARP_LANES)
        made.most = fmaxf(made.most, element_load(call->x, first + c, call->bf16));
    made.most = warp_max(made.most);
    for (size_t c = at; c < call->n_outputs; c += WARP_LANES) {
        const float z = element_load(call->x, first + c, call->bf16) - made.most, q = q_of(call, first, c);

        made.sum_exp += lk_exp(z);
        made.sum_q += q;
        made.sum_qz += q * z;
    }
    made.sum_exp = warp_sum(made.sum_exp);
    made.sum_q = warp_sum(made.sum_q);
    made.sum_qz = warp_sum(made.sum_qz);
    return made;
}

static __device__ inline void store_dx(const loss_call *call, const row_sums *row, size_t first, float inv_count)
{
    const float inv_sum = 1.0f / row->sum_exp;

    for (size_t c = threadIdx.x % WARP_LANES; c < call->n_outputs; c += WARP_LANES) {
        const float z = element_load(call->x, first + c, call->bf16) - row->most;
        const float d = lk_soft_cross_entropy_grad(z, inv_sum, row->sum_q, q_of(call, first, c));

        element_store(call->dx, first + c, d * inv_count, call->bf16);
    }
}

/* The first of the likeliest classes stands for a label: each thread looks through all, and all find the same. */
static __device__ inline size_t label_of(const loss_call *call, size_t first)
{
    const float *target = (const float *)call->target + first;
    size_t label = 0;

    for (size_t c = 1; c < call->n_outputs; c++)
        if (target[c] > target[label]) label = c;
    return label;
}

/* Logits that come before the label's: larger ones, and equal ones of lower classes. */
static __device__ inline float rank_of(const loss_call *call, size_t first, size_t label)
{
    const float own = element_load(call->x, first + label, call->bf16);
    float before = 0.0f;

    for (size_t c = threadIdx.x % WARP_LANES; c < call->n_outputs; c += WARP_LANES) {
        const float x = element_load(call->x, first + c, call->bf16);

        before += x > own || (x == own && c < label) ? 1.0f : 0.0f;
    }
    before = warp_sum(before);
    return own == own ? before : (float)call->n_outputs; /* a NaN is no hit */
}

static __device__ inline float log_likelihood(const loss_call *call, const row_sums *row, size_t first)
{
    const float *target = (const float *)call->target + first, log_sum_exp = logf(row->sum_exp);
    float sum = 0.0f;

    for (size_t c = threadIdx.x % WARP_LANES; c < call->n_outputs; c += WARP_LANES)
        if (target[c] > 0.0f)
            sum += target[c] * (element_load(call->x, first + c, call->bf16) - row->most - log_sum_exp);
    return warp_sum(sum);
}

/* What the row adds; one thread of its warp says it. */
static __device__ inline void add_row(const loss_call *call, size_t n, float inv_count, double *sum)
{
    const size_t first = n * call->n_outputs;
    const row_sums row = reduce_row(call, first);
    const bool speaks = threadIdx.x % WARP_LANES == 0;

    if (speaks) {
        sum[LK_SUM_LOSS] = (double)lk_soft_cross_entropy_term(logf(row.sum_exp), row.sum_q, row.sum_qz);
        sum[LK_SUM_COUNT] = sum[LK_SUM_TERMS] = 1.0;
    }
    if (call->dx) {
        store_dx(call, &row, first, inv_count);
        return;
    }
    const float rank = rank_of(call, first, label_of(call, first)), likelihood = log_likelihood(call, &row, first);
    if (!speaks) return;
    sum[LK_SUM_CORRECT] = rank < 1.0f ? 1.0 : 0.0;
    sum[LK_SUM_CORRECT_TOP5] = rank < (float)TOP ? 1.0 : 0.0;
    sum[LK_SUM_LOG_LIKELIHOOD] = (double)likelihood;
}

/* A block takes ROWS rows. */
static __global__ void soft_cross_entropy(const __grid_constant__ loss_call call, const lk_lane_args *lane)
{
    const size_t n = blockIdx.x * (size_t)ROWS + threadIdx.x / WARP_LANES;
    double sum[LK_N_SUMS] = {0.0};

    if (n < call.n_rows) add_row(&call, n, call.dx ? lane->inv_count : 0.0f, sum);
#pragma unroll
    for (int k = 0; k < LK_N_SUMS; k++) {
        const double total = block_sum<double, LOSS_BLOCK>(sum[k]);
        if (threadIdx.x == 0) call.partial[blockIdx.x * (size_t)LK_N_SUMS + (size_t)k] = total;
    }
}

static lk_status run_soft_cross_entropy(void *state, const lk_launch_args *args)
{
    const cuda_loss *s = (const cuda_loss *)state;
    const loss_call call = cuda_loss_call_of(s, args);

    LK_LAUNCH(soft_cross_entropy, (unsigned)s->n_blocks, LOSS_BLOCK, s->ctx->stream, call, args->lane);
    return cuda_loss_store(s, args);
}

lk_status cuda_bind_soft_cross_entropy(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    const lk_tensor *x = cuda_in(graph, node, 0);
    const size_t n_rows = x->n_elem / (size_t)x->shape[x->ndim - 1];

    return cuda_loss_bind(ctx, graph, node, (n_rows + ROWS - 1) / ROWS, run_soft_cross_entropy, out);
}
