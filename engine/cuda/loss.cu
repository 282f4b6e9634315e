/*
 * Losses over single values: mean squared error, L1, smooth L1, Huber, binary cross-entropy, each with its gradient in
 * the same pass; and what all losses share.  The formulas are in engine/ops/loss.c and engine/base/formulas.h.
 */
#include "engine/cuda/loss.h"

#include "engine/base/formulas.h"
#include "engine/cuda/reduce.cuh"

#include <string.h>

enum { LOSS_ELEMS = 4096 /* by one block */ };

/* ------------------------------------------------------------------- shared */

loss_call cuda_loss_call_of(const cuda_loss *s, const lk_launch_args *args)
{
    loss_call call = s->call;

    call.dx = cuda_at(args, s->dx);
    call.x = cuda_at(args, s->x);
    call.target = cuda_at(args, s->target);
    call.partial = (double *)args->base[LK_ARENA_SCRATCH];
    return call;
}

/* slot: training's loss alone; else all sums. */
static __global__ void add_blocks(const double *partial, size_t n_blocks, float *slot, double *sums,
                                  const lk_lane_args *lane)
{
    const int n = slot ? 1 : (int)LK_N_SUMS; /* LK_SUM_LOSS is the first */

    for (int k = 0; k < n; k++) {
        double mine = 0.0;
        for (size_t b = threadIdx.x; b < n_blocks; b += LOSS_BLOCK) mine += partial[b * LK_N_SUMS + (size_t)k];
        const double total = block_sum<double, LOSS_BLOCK>(mine);
        if (threadIdx.x != 0) continue;
        if (slot) *slot = (float)(total * (double)lane->inv_count);
        else sums[k] = total;
    }
}

lk_status cuda_loss_store(const cuda_loss *s, const lk_launch_args *args)
{
    void *to = cuda_at(args, s->to);

    LK_LAUNCH(add_blocks, 1, LOSS_BLOCK, s->ctx->stream, (const double *)args->base[LK_ARENA_SCRATCH], s->n_blocks,
              s->train ? (float *)to : (float *)NULL, s->train ? (double *)NULL : (double *)to, args->lane);
    return LK_OK;
}

static void loss_free(void *state)
{
    cudaFree((void *)((cuda_loss *)state)->call.weight);
    lk_free(&state);
}

/* The weights as fp32 on the device, one an output. */
static lk_status take_weights(cuda_ctx *ctx, const lk_loss_spec *spec, loss_call *call)
{
    const bool classes = lk_loss_get(spec->kind)->reads == LK_READS_CLASSES;
    const double *weight = classes ? spec->weight : spec->pos_weight;
    const unsigned n = classes ? spec->n_weight : spec->n_pos_weight;
    const size_t nbytes = call->n_outputs * sizeof(float);
    double sum = 0.0;

    if (n == 0) return LK_OK;
    float *host = (float *)lk_alloc(nbytes), *there = NULL;
    LK_TRY_ALLOC(host, nbytes);
    for (size_t o = 0; o < call->n_outputs; o++) sum += (double)(host[o] = (float)weight[n == 1 ? 0 : o]);
    call->sum_w = (float)sum;
    const lk_status status = cuda_keep_floats(ctx, host, call->n_outputs, &there);
    call->weight = there;
    lk_free(&host);
    return status;
}

static loss_call call_of(const lk_loss_spec *spec, const lk_tensor *x)
{
    loss_call call;

    memset(&call, 0, sizeof call); /* padding too: a recorded launch is compared by its bytes */
    call.n_outputs = (size_t)x->shape[x->ndim - 1];
    call.n_rows = x->n_elem / call.n_outputs;
    call.smoothing = spec->label_smoothing;
    call.knee = spec->kind == LK_LOSS_HUBER ? spec->delta : spec->beta;
    call.ignore_index = spec->ignore_index;
    call.kind = spec->kind;
    call.bf16 = x->dtype == LK_DTYPE_BF16;
    return call;
}

lk_status cuda_loss_bind(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, size_t n_blocks,
                         lk_status (*run)(void *state, const lk_launch_args *args), lk_kernel *out)
{
    const lk_loss_spec *spec = &node->attrs.loss.spec;
    cuda_loss s;

    memset(&s, 0, sizeof s);
    s.ctx = ctx;
    s.x = cuda_ref_of(graph, node->in[0]);
    s.target = cuda_ref_of(graph, node->in[1]);
    s.dx = cuda_ref_of(graph, node->out[0]);
    s.to = cuda_ref_of(graph, node->out[1]);
    s.n_blocks = n_blocks;
    s.train = node->attrs.loss.mode == LK_TRAIN;
    s.call = call_of(spec, cuda_in(graph, node, 0));
    lk_status status = take_weights(ctx, spec, &s.call);
    if (status == LK_OK) status = cuda_kernel_keep(out, run, &s, sizeof s);
    if (status != LK_OK) {
        cudaFree((void *)s.call.weight);
        return lk_trace(status, __FILE__, __LINE__);
    }
    out->free = loss_free;
    out->scratch_nbytes = n_blocks * LK_N_SUMS * sizeof(double);
    return LK_OK;
}

/* -------------------------------------------------------------------- terms */

/* Of one value: its term, and its gradient. */
static __device__ inline float term_of(const loss_call *call, float x, float t, float p, float *grad)
{
    const float d = x - t;

    switch (call->kind) {
    case LK_LOSS_L1: *grad = lk_sign(d); return lk_abs(d);
    case LK_LOSS_SMOOTH_L1: *grad = lk_smooth_l1_grad(d, call->knee); return lk_smooth_l1_term(d, call->knee);
    case LK_LOSS_HUBER: *grad = lk_huber_grad(d, call->knee); return lk_huber_term(d, call->knee);
    case LK_LOSS_BCE: *grad = lk_bce_grad(x, t, p); return lk_bce_term(x, t, p, log1pf(lk_exp(-lk_abs(x))));
    default: *grad = 2.0f * d; return 0.0f; /* mse: its term is the square, summed in double */
    }
}

static __global__ void pointwise(const __grid_constant__ loss_call call, const lk_lane_args *lane)
{
    const size_t first = blockIdx.x * (size_t)LOSS_ELEMS, n_elem = call.n_rows * call.n_outputs;
    const size_t last = first + LOSS_ELEMS < n_elem ? first + LOSS_ELEMS : n_elem;
    const float inv_count = call.dx ? lane->inv_count : 0.0f;
    const bool bce = call.kind == LK_LOSS_BCE;
    double sum[LK_N_SUMS] = {0.0};

    for (size_t i = first + threadIdx.x; i < last; i += LOSS_BLOCK) {
        const float x = element_load(call.x, i, call.bf16), t = ((const float *)call.target)[i], d = x - t;
        const float p = call.weight ? call.weight[i % call.n_outputs] : 1.0f;
        float grad;

        sum[LK_SUM_LOSS] += (double)term_of(&call, x, t, p, &grad);
        if (!bce) sum[LK_SUM_SQUARED] += (double)d * (double)d;
        if (!bce) sum[LK_SUM_ABS] += fabs((double)d);
        if (bce) sum[LK_SUM_CORRECT] += (x > 0.0f) == (t > 0.5f) && x == x ? 1.0 : 0.0;
        if (call.dx) element_store(call.dx, i, grad * inv_count, call.bf16);
    }
#pragma unroll
    for (int k = 0; k < LK_N_SUMS; k++) sum[k] = block_sum<double, LOSS_BLOCK>(sum[k]);
    if (threadIdx.x != 0) return;
    if (call.kind == LK_LOSS_MSE) sum[LK_SUM_LOSS] = sum[LK_SUM_SQUARED];
    sum[LK_SUM_COUNT] = sum[LK_SUM_TERMS] = (double)(last - first);
#pragma unroll
    for (int k = 0; k < LK_N_SUMS; k++) call.partial[blockIdx.x * (size_t)LK_N_SUMS + (size_t)k] = sum[k];
}

/* One block an output; sums: (LK_N_OUTPUT_SUMS, n_outputs). */
static __global__ void add_outputs(const __grid_constant__ loss_call call, double *sums)
{
    const size_t O = call.n_outputs, o = blockIdx.x;
    const float *target = (const float *)call.target;
    double sum[LK_N_OUTPUT_SUMS] = {0.0};

    for (size_t n = threadIdx.x; n < call.n_rows; n += LOSS_BLOCK) {
        const double t = (double)target[n * O + o], d = (double)element_load(call.x, n * O + o, call.bf16) - t;

        sum[LK_OUTPUT_SUM_ERROR] += d * d;
        sum[LK_OUTPUT_SUM_TARGET] += t;
        sum[LK_OUTPUT_SUM_SQUARES] += t * t;
        sum[LK_OUTPUT_SUM_CHANGES] += n > 0 && target[n * O + o] != target[(n - 1) * O + o] ? 1.0 : 0.0;
    }
#pragma unroll
    for (int k = 0; k < LK_N_OUTPUT_SUMS; k++) {
        const double total = block_sum<double, LOSS_BLOCK>(sum[k]);
        if (threadIdx.x == 0) sums[(size_t)k * O + o] = total;
    }
}

static lk_status run_pointwise(void *state, const lk_launch_args *args)
{
    const cuda_loss *s = (const cuda_loss *)state;
    const loss_call call = cuda_loss_call_of(s, args);

    LK_LAUNCH(pointwise, (unsigned)s->n_blocks, LOSS_BLOCK, s->ctx->stream, call, args->lane);
    LK_TRY(cuda_loss_store(s, args));
    if (s->train || lk_loss_n_sums(call.kind, call.n_outputs) == LK_N_SUMS) return LK_OK;
    LK_LAUNCH(add_outputs, (unsigned)call.n_outputs, LOSS_BLOCK, s->ctx->stream, call,
              (double *)cuda_at(args, s->to) + LK_N_SUMS);
    return LK_OK;
}

lk_status cuda_bind_pointwise_loss(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    const size_t n_elem = cuda_in(graph, node, 0)->n_elem;

    return cuda_loss_bind(ctx, graph, node, (n_elem + LOSS_ELEMS - 1) / LOSS_ELEMS, run_pointwise, out);
}
