/*
 * Cross-entropy over rows of logits with its gradient in the same pass; label smoothing, weights of classes, labels
 * that are ignored.  The formulas are in engine/base/formulas.h.  A row is taken by a team: a warp, or a block where it
 * is long.
 */
#include "engine/cuda/loss.h"

#include "engine/base/formulas.h"
#include "engine/cuda/reduce.cuh"

enum {
    SHORT_ROW = 1024, /* logits that one warp takes; longer rows get a block */
    TOP = 5,
};

template <int TEAM> static __device__ inline float team_sum(float v)
{
    return TEAM == WARP_LANES ? warp_sum(v) : block_sum<float, LOSS_BLOCK>(v);
}
template <int TEAM> static __device__ inline float team_max(float v)
{
    return TEAM == WARP_LANES ? warp_max(v) : block_max<LOSS_BLOCK>(v);
}

/* What a row is reduced to, on every thread of its team; z = x - most. */
typedef struct row_sums {
    float most, sum_exp, sum_z; /* sum_z: of z, or of w z */
    float before;               /* logits that come before the label's: larger ones, equal ones of lower classes */
    float z_label;
} row_sums;

template <int TEAM> static __device__ inline row_sums reduce_row(const loss_call *call, size_t first, size_t label)
{
    const size_t V = call->n_outputs;
    const unsigned at = threadIdx.x % TEAM;
    const float x_label = element_load(call->x, first + label, call->bf16);
    row_sums made = {-INFINITY, 0.0f, 0.0f, 0.0f, 0.0f};

    for (size_t c = at; c < V; c += TEAM) made.most = fmaxf(made.most, element_load(call->x, first + c, call->bf16));
    made.most = team_max<TEAM>(made.most);
    for (size_t c = at; c < V; c += TEAM) {
        const float x = element_load(call->x, first + c, call->bf16), z = x - made.most;

        made.sum_exp += lk_exp(z);
        made.sum_z += call->weight ? call->weight[c] * z : z;
        made.before += x > x_label || (x == x_label && c < label) ? 1.0f : 0.0f;
    }
    made.sum_exp = team_sum<TEAM>(made.sum_exp);
    made.sum_z = team_sum<TEAM>(made.sum_z);
    made.before = x_label == x_label ? team_sum<TEAM>(made.before) : (float)V; /* a NaN is no hit */
    made.z_label = x_label - made.most;
    return made;
}

static __device__ inline float term_of(const loss_call *call, const row_sums *row, size_t label)
{
    const float inv_v = 1.0f / (float)call->n_outputs, log_sum_exp = logf(row->sum_exp);

    if (!call->weight) return lk_cross_entropy_term(log_sum_exp, row->z_label, row->sum_z, call->smoothing, inv_v);
    return lk_weighted_cross_entropy_term(log_sum_exp, row->z_label, call->weight[label], row->sum_z, call->sum_w,
                                          call->smoothing, inv_v);
}

template <int TEAM>
static __device__ inline void store_dx(const loss_call *call, const row_sums *row, size_t first, size_t label,
                                       float inv_count)
{
    const float inv_v = 1.0f / (float)call->n_outputs, inv_sum = 1.0f / row->sum_exp, smoothing = call->smoothing;
    const float *weight = call->weight;

    for (size_t c = threadIdx.x % TEAM; c < call->n_outputs; c += TEAM) {
        const float z = element_load(call->x, first + c, call->bf16) - row->most;
        const float d = weight ? lk_weighted_cross_entropy_grad(z, inv_sum, c == label, weight[c], weight[label],
                                                                call->sum_w, smoothing, inv_v)
                               : lk_cross_entropy_grad(z, inv_sum, c == label, smoothing, inv_v);
        element_store(call->dx, first + c, d * inv_count, call->bf16);
    }
}

/* What the row adds; one thread of its team says it. */
template <int TEAM> static __device__ inline void add_row(const loss_call *call, size_t n, float inv_count, double *sum)
{
    const size_t first = n * call->n_outputs, label = (size_t)((const int32_t *)call->target)[n];
    const row_sums row = reduce_row<TEAM>(call, first, label);
    const float term = term_of(call, &row, label);

    if (call->dx) store_dx<TEAM>(call, &row, first, label, inv_count);
    if (threadIdx.x % TEAM != 0) return;
    sum[LK_SUM_LOSS] = (double)term;
    sum[LK_SUM_COUNT] = call->weight ? (double)call->weight[label] : 1.0;
    sum[LK_SUM_TERMS] = 1.0;
    sum[LK_SUM_CORRECT] = row.before < 1.0f ? 1.0 : 0.0;
    sum[LK_SUM_CORRECT_TOP5] = row.before < (float)TOP ? 1.0 : 0.0;
    sum[LK_SUM_LOG_LIKELIHOOD] = (double)(row.z_label - logf(row.sum_exp));
}

/* A block takes LOSS_BLOCK / TEAM rows. */
template <int TEAM>
static __global__ void cross_entropy(const __grid_constant__ loss_call call, const lk_lane_args *lane)
{
    const size_t n = blockIdx.x * (size_t)(LOSS_BLOCK / TEAM) + threadIdx.x / TEAM;
    const bool counts = n < call.n_rows && ((const int32_t *)call.target)[n] != call.ignore_index;
    double sum[LK_N_SUMS] = {0.0};

    if (counts) {
        add_row<TEAM>(&call, n, call.dx ? lane->inv_count : 0.0f, sum);
    } else if (n < call.n_rows && call.dx) {
        for (size_t c = threadIdx.x % TEAM; c < call.n_outputs; c += TEAM)
            element_store(call.dx, n * call.n_outputs + c, 0.0f, call.bf16);
    }
#pragma unroll
    for (int k = 0; k < LK_N_SUMS; k++) {
        const double total = block_sum<double, LOSS_BLOCK>(sum[k]);
        if (threadIdx.x == 0) call.partial[blockIdx.x * (size_t)LK_N_SUMS + (size_t)k] = total;
    }
}

static lk_status run_cross_entropy(void *state, const lk_launch_args *args)
{
    const cuda_loss *s = (const cuda_loss *)state;
    const loss_call call = cuda_loss_call_of(s, args);

    if (call.n_outputs <= SHORT_ROW)
        LK_LAUNCH((cross_entropy<WARP_LANES>), (unsigned)s->n_blocks, LOSS_BLOCK, s->ctx->stream, call, args->lane);
    else
        LK_LAUNCH((cross_entropy<LOSS_BLOCK>), (unsigned)s->n_blocks, LOSS_BLOCK, s->ctx->stream, call, args->lane);
    return cuda_loss_store(s, args);
}

lk_status cuda_bind_cross_entropy(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    const lk_tensor *x = cuda_in(graph, node, 0);
    const size_t V = (size_t)x->shape[x->ndim - 1], rows_a_block = V <= SHORT_ROW ? LOSS_BLOCK / WARP_LANES : 1;

    if (node->attrs.loss.spec.probabilities) return cuda_bind_soft_cross_entropy(ctx, graph, node, out);
    return cuda_loss_bind(ctx, graph, node, (x->n_elem / V + rows_a_block - 1) / rows_a_block, run_cross_entropy, out);
}
