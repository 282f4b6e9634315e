/*
 * Losses: mean squared error, L1 and cross-entropy, each with its gradient in the same pass.  The formulas are in
 * engine/ops/loss.c and engine/base/formulas.h.
 *
 * Terms are summed in double and in an order that the shape fixes: each block of the first kernel leaves its sums, and
 * one block of the second adds them, thread by thread in steps of its width and then in a tree.
 */
#include "engine/cuda/reduce.cuh"

#include "engine/base/formulas.h"

#include <string.h>

enum {
    LOSS_BLOCK = 256,
    LOSS_ELEMS = 4096, /* of the regression's, by one block */
    SHORT_ROW = 1024,  /* cross-entropy: logits that one warp takes; longer rows get a block */
};

/* Sums of one block, as far as they are not known beforehand. */
enum { PART_LOSS, PART_COUNT, PART_SQUARED, PART_ABS, PART_CORRECT, N_PARTS };

typedef struct loss_state {
    cuda_ctx *ctx; /* borrowed */
    cuda_ref x, target, dx, to;   /* to: the slot or the sums */
    size_t n_rows, n_outputs, n_blocks;
    float label_smoothing;
    int32_t ignore_index;
    bool l1, train, bf16;
    double *partial; /* owned, device: (n_blocks, N_PARTS) */
} loss_state;

/* The loss slot, or all sums. */
static __global__ void add_parts(const double *partial, size_t n_blocks, float *slot, double *sums,
                                 const lk_lane_args *args)
{
    double total[N_PARTS];

    for (int k = 0; k < N_PARTS; k++) {
        double mine = 0.0;
        for (size_t b = threadIdx.x; b < n_blocks; b += LOSS_BLOCK) mine += partial[b * N_PARTS + (size_t)k];
        total[k] = block_sum<double, LOSS_BLOCK>(mine);
    }
    if (threadIdx.x != 0) return;
    if (slot) {
        *slot = (float)(total[PART_LOSS] * (double)args->inv_count);
        return;
    }
    sums[LK_SUM_LOSS] = total[PART_LOSS];
    sums[LK_SUM_COUNT] = total[PART_COUNT];
    sums[LK_SUM_SQUARED] = total[PART_SQUARED];
    sums[LK_SUM_ABS] = total[PART_ABS];
    sums[LK_SUM_CORRECT] = total[PART_CORRECT];
}

static lk_status run_add_parts(const loss_state *s, const lk_launch_args *run)
{
    void *to = cuda_at(run, s->to);

    LK_LAUNCH(add_parts, 1, LOSS_BLOCK, s->ctx->stream, (const double *)s->partial, s->n_blocks,
              s->train ? (float *)to : (float *)NULL, s->train ? (double *)NULL : (double *)to, run->args);
    return LK_OK;
}

/* -------------------------------------------------------------- regression */

/* dx is NULL outside training. */
static __global__ void regression(void *dx, const void *x, const float *target, size_t n_elem, bool l1, bool bf16,
                                  const lk_lane_args *args, double *partial)
{
    const size_t first = blockIdx.x * (size_t)LOSS_ELEMS;
    const size_t last = first + LOSS_ELEMS < n_elem ? first + LOSS_ELEMS : n_elem;
    const float inv_count = dx ? args->inv_count : 0.0f;
    double squared = 0.0, abs = 0.0;

    for (size_t i = first + threadIdx.x; i < last; i += LOSS_BLOCK) {
        const float d = element_load(x, i, bf16) - target[i];

        squared += (double)d * (double)d;
        abs += fabs((double)d);
        if (dx) element_store(dx, i, (l1 ? lk_sign(d) : 2.0f * d) * inv_count, bf16);
    }
    squared = block_sum<double, LOSS_BLOCK>(squared);
    abs = block_sum<double, LOSS_BLOCK>(abs);
    if (threadIdx.x != 0) return;
    double *mine = partial + blockIdx.x * (size_t)N_PARTS;
    mine[PART_LOSS] = l1 ? abs : squared;
    mine[PART_COUNT] = (double)(last - first);
    mine[PART_SQUARED] = squared;
    mine[PART_ABS] = abs;
    mine[PART_CORRECT] = 0.0;
}

static lk_status run_regression(void *state, const lk_launch_args *run)
{
    const loss_state *s = (const loss_state *)state;

    LK_LAUNCH(regression, (unsigned)s->n_blocks, LOSS_BLOCK, s->ctx->stream, cuda_at(run, s->dx),
              (const void *)cuda_at(run, s->x), (const float *)cuda_at(run, s->target), s->n_rows * s->n_outputs, s->l1,
              s->bf16, run->args, s->partial);
    return run_add_parts(s, run);
}

/* ----------------------------------------------------------- cross-entropy */

typedef struct entropy_call {
    void *dx; /* NULL outside training */
    const void *x;
    const int32_t *labels;
    size_t n_rows, V;
    float smoothing;
    int32_t ignore_index;
    bool bf16;
} entropy_call;

template <int TEAM> static __device__ inline float team_sum(float v)
{
    return TEAM == WARP_LANES ? warp_sum(v) : block_sum<float, LOSS_BLOCK>(v);
}
template <int TEAM> static __device__ inline float team_max(float v)
{
    return TEAM == WARP_LANES ? warp_max(v) : block_max<LOSS_BLOCK>(v);
}

/* One row by TEAM threads: its term, and whether its label is the first of the largest. */
template <int TEAM>
static __device__ inline float entropy_row(const entropy_call *call, size_t row, float inv_count, bool *hit)
{
    const size_t V = call->V, first = row * V, label = (size_t)call->labels[row];
    const unsigned at = threadIdx.x % TEAM;
    const float inv_v = 1.0f / (float)V;
    float most = -INFINITY, sum_exp = 0.0f, sum_z = 0.0f, before = 0.0f;

    for (size_t c = at; c < V; c += TEAM) most = fmaxf(most, element_load(call->x, first + c, call->bf16));
    most = team_max<TEAM>(most);
    for (size_t c = at; c < V; c += TEAM) {
        const float x = element_load(call->x, first + c, call->bf16), z = x - most;

        sum_exp += lk_exp(z);
        sum_z += z;
        before += c < label && x == most ? 1.0f : 0.0f;
    }
    sum_exp = team_sum<TEAM>(sum_exp);
    sum_z = team_sum<TEAM>(sum_z);
    before = team_sum<TEAM>(before);
    const float x_label = element_load(call->x, first + label, call->bf16), inv_sum = 1.0f / sum_exp;

    if (call->dx)
        for (size_t c = at; c < V; c += TEAM) {
            const float z = element_load(call->x, first + c, call->bf16) - most;
            const float d = lk_cross_entropy_grad(z, inv_sum, c == label, call->smoothing, inv_v);
            element_store(call->dx, first + c, d * inv_count, call->bf16);
        }
    *hit = x_label == most && before == 0.0f;
    return lk_cross_entropy_term(logf(sum_exp), x_label - most, sum_z, call->smoothing, inv_v);
}

/* A block takes LOSS_BLOCK / TEAM rows. */
template <int TEAM>
static __global__ void cross_entropy(const __grid_constant__ entropy_call call, const lk_lane_args *args, double *partial)
{
    const size_t row = blockIdx.x * (size_t)(LOSS_BLOCK / TEAM) + threadIdx.x / TEAM;
    const bool counts = row < call.n_rows && call.labels[row] != call.ignore_index;
    const bool speaks = threadIdx.x % TEAM == 0; /* one thread says what a row adds */
    double loss = 0.0, count = 0.0, correct = 0.0;

    if (counts) {
        bool hit;
        const float term = entropy_row<TEAM>(&call, row, call.dx ? args->inv_count : 0.0f, &hit);

        if (speaks) loss = (double)term, count = 1.0, correct = hit ? 1.0 : 0.0;
    } else if (row < call.n_rows && call.dx) {
        for (size_t c = threadIdx.x % TEAM; c < call.V; c += TEAM) element_store(call.dx, row * call.V + c, 0.0f, call.bf16);
    }
    loss = block_sum<double, LOSS_BLOCK>(loss);
    count = block_sum<double, LOSS_BLOCK>(count);
    correct = block_sum<double, LOSS_BLOCK>(correct);
    if (threadIdx.x != 0) return;
    double *mine = partial + blockIdx.x * (size_t)N_PARTS;
    mine[PART_LOSS] = loss;
    mine[PART_COUNT] = count;
    mine[PART_SQUARED] = mine[PART_ABS] = 0.0;
    mine[PART_CORRECT] = correct;
}

static lk_status run_cross_entropy(void *state, const lk_launch_args *run)
{
    const loss_state *s = (const loss_state *)state;
    entropy_call call;

    memset(&call, 0, sizeof call);
    call.dx = cuda_at(run, s->dx);
    call.x = cuda_at(run, s->x);
    call.labels = (const int32_t *)cuda_at(run, s->target);
    call.n_rows = s->n_rows;
    call.V = s->n_outputs;
    call.smoothing = s->label_smoothing;
    call.ignore_index = s->ignore_index;
    call.bf16 = s->bf16;
    if (call.V <= SHORT_ROW)
        LK_LAUNCH((cross_entropy<WARP_LANES>), (unsigned)s->n_blocks, LOSS_BLOCK, s->ctx->stream, call, run->args,
                  s->partial);
    else
        LK_LAUNCH((cross_entropy<LOSS_BLOCK>), (unsigned)s->n_blocks, LOSS_BLOCK, s->ctx->stream, call, run->args,
                  s->partial);
    return run_add_parts(s, run);
}

/* ----------------------------------------------------------------- binders */

static void loss_free(void *state)
{
    cudaFree(((loss_state *)state)->partial);
    lk_free(&state);
}

static lk_status bind_loss(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, size_t n_blocks,
                           lk_status (*run)(void *state, const lk_launch_args *run), lk_kernel *out)
{
    const lk_tensor *x = cuda_in(graph, node, 0);
    const size_t nbytes = n_blocks * N_PARTS * sizeof(double);
    loss_state s;

    memset(&s, 0, sizeof s);
    s.ctx = ctx;
    s.x = cuda_ref_of(graph, node->in[0]);
    s.target = cuda_ref_of(graph, node->in[1]);
    s.dx = cuda_ref_of(graph, node->out[0]);
    s.to = cuda_ref_of(graph, node->out[1]);
    s.n_rows = (size_t)x->shape[0];
    s.n_outputs = (size_t)x->shape[1];
    s.n_blocks = n_blocks;
    s.label_smoothing = node->attrs.loss.label_smoothing;
    s.ignore_index = node->attrs.loss.ignore_index;
    s.l1 = node->op == LK_OP_L1_LOSS;
    s.train = node->attrs.loss.mode == LK_TRAIN;
    s.bf16 = x->dtype == LK_DTYPE_BF16;
    LK_CUDA(cudaMalloc((void **)&s.partial, nbytes));
    const lk_status status = cuda_kernel_keep(out, run, &s, sizeof s);
    if (status != LK_OK) {
        cudaFree(s.partial);
        return lk_trace(status, __FILE__, __LINE__);
    }
    out->free = loss_free;
    out->nbytes = nbytes;
    return LK_OK;
}

static size_t n_parts(size_t n, size_t part) { return (n + part - 1) / part; }

lk_status cuda_bind_mse_loss(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return bind_loss(ctx, graph, node, n_parts(cuda_in(graph, node, 0)->n_elem, LOSS_ELEMS), run_regression, out);
}

lk_status cuda_bind_l1_loss(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return cuda_bind_mse_loss(ctx, graph, node, out);
}

lk_status cuda_bind_cross_entropy(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    const lk_tensor *x = cuda_in(graph, node, 0);
    const size_t rows_a_block = x->shape[1] <= SHORT_ROW ? LOSS_BLOCK / WARP_LANES : 1;

    return bind_loss(ctx, graph, node, n_parts((size_t)x->shape[0], rows_a_block), run_cross_entropy, out);
}
