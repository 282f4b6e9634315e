/*
 * Losses over single values: mean squared error, L1, smooth L1, Huber, binary cross-entropy; and what all losses share.
 * The formulas are in engine/ops/loss.c and engine/base/formulas.h.  Within a block sums go in the order of partials.h.
 */
#include "engine/cpu/logits.h"
#include "engine/cpu/loss.h"

#include "engine/base/formulas.h"
#include "engine/cpu/bf16.h"
#include "engine/cpu/partials.h"

#include <math.h>

enum { BLOCK_ELEMS = 4096 };

/* ------------------------------------------------------------------- shared */

const cpu_loss *cpu_loss_begin(void *state, const lk_launch_args *args)
{
    cpu_loss *s = state;

    s->block = args->base[LK_ARENA_SCRATCH];
    return s;
}

cpu_loss_job cpu_loss_job_of(const cpu_loss *s, const lk_launch_args *args)
{
    return (cpu_loss_job){.s = s, .x = cpu_at(args, s->x), .target = cpu_at(args, s->target), .dx = cpu_at(args, s->dx),
                          .inv_count = args->inv_count, .n_rows = s->n_rows};
}

void cpu_loss_store(const cpu_loss *s, const lk_launch_args *args)
{
    cpu_loss_sums total = s->block[0];

    for (size_t b = 1; b < s->n_blocks; b++)
        for (int k = 0; k < LK_N_SUMS; k++) total.of[k] += s->block[b].of[k];
    if (s->train)
        *(float *)cpu_at(args, s->to) = (float)(total.of[LK_SUM_LOSS] * (double)args->inv_count);
    else
        memcpy(cpu_at(args, s->to), total.of, sizeof total.of);
}

static void rows_part(void *arg, size_t begin, size_t end)
{
    const cpu_loss_job *j = arg;
    const size_t n_rows = j->n_rows;

    for (size_t b = begin; b < end; b++) {
        const size_t first = b * CPU_LOGIT_ROWS, most = first + CPU_LOGIT_ROWS;

        j->s->block[b] = j->sum_rows(j, first < n_rows ? first : n_rows, most < n_rows ? most : n_rows);
    }
}

/* The labels of the rows that are there, behind the blocks' sums. */
static void take_labels(const cpu_loss *s, const lk_launch_args *args, cpu_loss_job *j)
{
    const int32_t *labels = j->target;
    int32_t *taken = (int32_t *)(s->block + s->n_blocks);

    j->target = taken;
    j->n_rows = 0;
    for (size_t n = 0; n < s->rows.N; n++) {
        const size_t L = cpu_rows_in(&s->rows, args, n);

        memcpy(taken + j->n_rows, labels + n * s->rows.L, L * sizeof *taken);
        j->n_rows += L;
    }
}

lk_status cpu_loss_run_rows(void *state, const lk_launch_args *args, cpu_loss_rows_fn *sum_rows)
{
    const cpu_loss *s = cpu_loss_begin(state, args);
    const size_t block_elems = CPU_LOGIT_ROWS * s->n_outputs;
    cpu_loss_job j = cpu_loss_job_of(s, args);

    j.sum_rows = sum_rows;
    if (s->rows.ends.present) take_labels(s, args, &j);
    cpu_split(s->threads, s->n_blocks, (CPU_LOSS_GRAIN + block_elems - 1) / block_elems, rows_part, &j);
    cpu_loss_store(s, args);
    return LK_OK;
}

static void loss_free(void *state)
{
    cpu_loss *s = state;

    lk_free(&s->weight);
    lk_free(&s);
}

/* The weights as fp32, one an output. */
static lk_status take_weights(cpu_loss *s)
{
    const bool classes = lk_loss_get(s->spec.kind)->reads == LK_READS_CLASSES;
    const double *weight = classes ? s->spec.weight : s->spec.pos_weight;
    const unsigned n = classes ? s->spec.n_weight : s->spec.n_pos_weight;

    if (n == 0) return LK_OK;
    s->weight = lk_alloc(s->n_outputs * sizeof *s->weight);
    LK_TRY_ALLOC(s->weight, s->n_outputs * sizeof *s->weight);
    double sum = 0.0;
    for (size_t o = 0; o < s->n_outputs; o++) sum += (double)(s->weight[o] = (float)weight[n == 1 ? 0 : o]);
    s->sum_w = (float)sum;
    return LK_OK;
}

lk_status cpu_loss_bind(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, size_t n_blocks,
                        lk_status (*run)(void *state, const lk_launch_args *args), lk_kernel *out)
{
    const lk_tensor *x = cpu_in(graph, node, 0);
    cpu_loss *s = lk_alloc(sizeof *s);

    LK_TRY_ALLOC(s, sizeof *s);
    *s = (cpu_loss){
        .x = cpu_ref_of(graph, node->in[0]),
        .target = cpu_ref_of(graph, node->in[1]),
        .dx = cpu_ref_of(graph, node->out[0]),
        .to = cpu_ref_of(graph, node->out[1]),
        .n_outputs = (size_t)x->shape[x->ndim - 1],
        .n_blocks = n_blocks,
        .rows = cpu_rows_of(graph, node->in[0]),
        .spec = node->attrs.loss.spec,
        .train = node->attrs.loss.mode == LK_TRAIN,
        .dtype = x->dtype,
        .threads = ctx->threads,
    };
    s->n_rows = x->n_elem / s->n_outputs;
    const lk_status status = take_weights(s);
    if (status != LK_OK) {
        loss_free(s);
        return lk_trace(status, __FILE__, __LINE__);
    }
    *out = (lk_kernel){.run = run, .free = loss_free, .state = s, .scratch_nbytes = n_blocks * sizeof *s->block};
    if (s->rows.ends.present) out->scratch_nbytes += s->n_rows * sizeof(int32_t);
    return LK_OK;
}

/* -------------------------------------------------------------------- terms */

typedef struct lanes {
    double term[CPU_PARTIALS], squared[CPU_PARTIALS], abs[CPU_PARTIALS], correct[CPU_PARTIALS];
} lanes;

/* mse and l1 have no term of their own: theirs are the sums of squares and sizes. */
CPU_INLINE float term_of(const cpu_loss *s, float x, float t, float p, lk_loss_kind kind)
{
    switch (kind) {
    case LK_LOSS_SMOOTH_L1: return lk_smooth_l1_term(x - t, s->spec.beta);
    case LK_LOSS_HUBER: return lk_huber_term(x - t, s->spec.delta);
    case LK_LOSS_BCE: return lk_bce_term(x, t, p, log1pf(lk_exp(-lk_abs(x))));
    default: return 0.0f;
    }
}

CPU_INLINE float grad_of(const cpu_loss *s, float x, float t, float p, lk_loss_kind kind)
{
    switch (kind) {
    case LK_LOSS_MSE: return 2.0f * (x - t);
    case LK_LOSS_L1: return lk_sign(x - t);
    case LK_LOSS_SMOOTH_L1: return lk_smooth_l1_grad(x - t, s->spec.beta);
    case LK_LOSS_HUBER: return lk_huber_grad(x - t, s->spec.delta);
    case LK_LOSS_BCE: return lk_bce_grad(x, t, p);
    default: return 0.0f;
    }
}

/* n elements from i on, at most one for each lane; kind, train and dtype are known where it is inlined. */
CPU_INLINE void add_terms(const cpu_loss_job *j, size_t i, size_t n, lanes *sum, lk_loss_kind kind, bool train,
                          lk_dtype dtype)
{
    const bool mse = kind == LK_LOSS_MSE, l1 = kind == LK_LOSS_L1, bce = kind == LK_LOSS_BCE;
    const float *restrict target = j->target, *restrict weight = j->s->weight;
    const void *restrict x = j->x;
    void *restrict dx = j->dx;

    for (size_t k = 0; k < n; k++) {
        const float v = cpu_load(x, i + k, dtype), t = target[i + k], d = v - t;
        const float p = bce && weight ? weight[(i + k) % j->s->n_outputs] : 1.0f;

        if (!mse && !l1) sum->term[k] += (double)term_of(j->s, v, t, p, kind);
        if (mse || (!train && !bce)) sum->squared[k] += (double)d * (double)d;
        if (l1 || (!train && !bce)) sum->abs[k] += fabs((double)d);
        if (bce && !train) sum->correct[k] += (v > 0.0f) == (t > 0.5f) && v == v;
        if (train) cpu_store(dx, i + k, grad_of(j->s, v, t, p, kind) * j->inv_count, dtype);
    }
}

CPU_INLINE cpu_loss_sums sum_block(const cpu_loss_job *j, size_t begin, size_t end, lk_loss_kind kind, bool train,
                                   lk_dtype dtype)
{
    const bool mse = kind == LK_LOSS_MSE, l1 = kind == LK_LOSS_L1, bce = kind == LK_LOSS_BCE;
    lanes sum = {0};
    cpu_loss_sums made = {0};
    size_t i;

    for (i = begin; i + CPU_PARTIALS <= end; i += CPU_PARTIALS) add_terms(j, i, CPU_PARTIALS, &sum, kind, train, dtype);
    add_terms(j, i, end - i, &sum, kind, train, dtype);
    if (mse || (!train && !bce)) made.of[LK_SUM_SQUARED] = cpu_add_partials_f64(sum.squared);
    if (l1 || (!train && !bce)) made.of[LK_SUM_ABS] = cpu_add_partials_f64(sum.abs);
    if (bce && !train) made.of[LK_SUM_CORRECT] = cpu_add_partials_f64(sum.correct);
    if (!mse && !l1) made.of[LK_SUM_LOSS] = cpu_add_partials_f64(sum.term);
    else made.of[LK_SUM_LOSS] = made.of[mse ? LK_SUM_SQUARED : LK_SUM_ABS];
    made.of[LK_SUM_COUNT] = made.of[LK_SUM_TERMS] = (double)(end - begin);
    return made;
}

CPU_INLINE void sum_blocks(const cpu_loss_job *j, size_t begin, size_t end, lk_loss_kind kind, bool train,
                           lk_dtype dtype)
{
    const size_t n_elem = j->s->n_rows * j->s->n_outputs;

    for (size_t b = begin; b < end; b++) {
        const size_t first = b * BLOCK_ELEMS, last = first + BLOCK_ELEMS < n_elem ? first + BLOCK_ELEMS : n_elem;
        j->s->block[b] = sum_block(j, first, last, kind, train, dtype);
    }
}

CPU_INLINE void sum_part(const cpu_loss_job *j, size_t begin, size_t end, lk_loss_kind kind)
{
    const bool bf16 = j->s->dtype == LK_DTYPE_BF16;

    if (j->s->train && bf16) sum_blocks(j, begin, end, kind, true, LK_DTYPE_BF16);
    if (j->s->train && !bf16) sum_blocks(j, begin, end, kind, true, LK_DTYPE_F32);
    if (!j->s->train && bf16) sum_blocks(j, begin, end, kind, false, LK_DTYPE_BF16);
    if (!j->s->train && !bf16) sum_blocks(j, begin, end, kind, false, LK_DTYPE_F32);
}

static void pointwise_part(void *arg, size_t begin, size_t end)
{
    const cpu_loss_job *j = arg;

    switch (j->s->spec.kind) {
    case LK_LOSS_MSE: sum_part(j, begin, end, LK_LOSS_MSE); return;
    case LK_LOSS_L1: sum_part(j, begin, end, LK_LOSS_L1); return;
    case LK_LOSS_SMOOTH_L1: sum_part(j, begin, end, LK_LOSS_SMOOTH_L1); return;
    case LK_LOSS_HUBER: sum_part(j, begin, end, LK_LOSS_HUBER); return;
    case LK_LOSS_BCE: sum_part(j, begin, end, LK_LOSS_BCE); return;
    case LK_LOSS_CROSS_ENTROPY: break;
    }
    assert(!"a loss over values");
}

/* ------------------------------------------------------- sums of each output */

/* Rows in order; sums: (LK_N_OUTPUT_SUMS, n_outputs). */
static void add_outputs(const cpu_loss_job *j, double *sums)
{
    const size_t O = j->s->n_outputs;
    double *error = sums + LK_OUTPUT_SUM_ERROR * O, *total = sums + LK_OUTPUT_SUM_TARGET * O;
    double *squares = sums + LK_OUTPUT_SUM_SQUARES * O, *changes = sums + LK_OUTPUT_SUM_CHANGES * O;
    const float *target = j->target;

    memset(sums, 0, LK_N_OUTPUT_SUMS * O * sizeof *sums);
    for (size_t n = 0; n < j->s->n_rows; n++)
        for (size_t o = 0; o < O; o++) {
            const double t = (double)target[n * O + o], d = (double)cpu_load(j->x, n * O + o, j->s->dtype) - t;

            error[o] += d * d;
            total[o] += t;
            squares[o] += t * t;
            changes[o] += n > 0 && target[n * O + o] != target[(n - 1) * O + o];
        }
}

static lk_status run_pointwise(void *state, const lk_launch_args *args)
{
    const cpu_loss *s = cpu_loss_begin(state, args);
    cpu_loss_job j = cpu_loss_job_of(s, args);

    cpu_split(s->threads, s->n_blocks, CPU_LOSS_GRAIN / BLOCK_ELEMS, pointwise_part, &j);
    cpu_loss_store(s, args);
    if (!s->train && lk_loss_n_sums(s->spec.kind, s->n_outputs) > LK_N_SUMS)
        add_outputs(&j, (double *)cpu_at(args, s->to) + LK_N_SUMS);
    return LK_OK;
}

lk_status cpu_bind_pointwise_loss(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    const size_t n_elem = cpu_in(graph, node, 0)->n_elem;

    return cpu_loss_bind(ctx, graph, node, (n_elem + BLOCK_ELEMS - 1) / BLOCK_ELEMS, run_pointwise, out);
}
