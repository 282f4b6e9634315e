/*
 * Losses: mean squared error, L1 and cross-entropy.  The formulas are in engine/ops/loss.c and engine/base/formulas.h.
 *
 * Terms are summed in double: within a block of the regression in the order of partials.h, of cross-entropy row by row;
 * blocks are added in order.  Blocks are cut by the shape alone, so threads change nothing.
 */
#include "engine/cpu/bf16.h"
#include "engine/cpu/cpu.h"
#include "engine/cpu/partials.h"
#include "engine/base/formulas.h"

#include <math.h>

enum {
    BLOCK_ELEMS = 4096, /* regression */
    BLOCK_ROWS = 64,    /* cross-entropy */
    GRAIN_ELEMS = 1 << 15,
};

/* What a block adds to LK_N_SUMS; LK_SUM_COUNT is set by the regression's run instead. */
typedef struct sums {
    double of[LK_N_SUMS];
} sums;

typedef struct loss_state {
    cpu_ref x, target, dx, to;   /* to: the slot or the sums */
    size_t n_rows, n_outputs, n_blocks;
    float label_smoothing;
    int32_t ignore_index;
    bool l1, train;
    lk_dtype dtype;
    int threads;
    sums *block; /* (n_blocks), owned */
} loss_state;

typedef struct job {
    const loss_state *s;
    const void *x, *target;
    void *dx; /* NULL outside training */
    float inv_count;
} job;

static sums add_blocks(const loss_state *s)
{
    sums total = s->block[0];

    for (size_t b = 1; b < s->n_blocks; b++)
        for (int k = 0; k < LK_N_SUMS; k++) total.of[k] += s->block[b].of[k];
    return total;
}

/* The loss slot, or all sums. */
static void store(const loss_state *s, const lk_launch_args *run, const sums *total)
{
    if (s->train)
        *(float *)cpu_at(run, s->to) = (float)(total->of[LK_SUM_LOSS] * (double)run->inv_count);
    else
        memcpy(cpu_at(run, s->to), total->of, sizeof total->of);
}

/* -------------------------------------------------------------- regression */

typedef struct lanes {
    double squared[CPU_PARTIALS], abs[CPU_PARTIALS];
} lanes;

/* n elements from i on, at most one for each lane; l1 and train are known where it is inlined. */
CPU_INLINE void add_terms(const job *j, size_t i, size_t n, lanes *sum, bool l1, bool train, lk_dtype dtype)
{
    const void *restrict x = j->x;
    const float *restrict target = j->target;
    void *restrict dx = j->dx;

    for (size_t k = 0; k < n; k++) {
        const float d = cpu_load(x, i + k, dtype) - target[i + k];

        if (!l1 || !train) sum->squared[k] += (double)d * (double)d;
        if (l1 || !train) sum->abs[k] += fabs((double)d);
        if (train) cpu_store(dx, i + k, (l1 ? lk_sign(d) : 2.0f * d) * j->inv_count, dtype);
    }
}

CPU_INLINE sums regression_block(const job *j, size_t begin, size_t end, bool l1, bool train, lk_dtype dtype)
{
    lanes sum = {0};
    sums made = {0};
    size_t i;

    for (i = begin; i + CPU_PARTIALS <= end; i += CPU_PARTIALS) add_terms(j, i, CPU_PARTIALS, &sum, l1, train, dtype);
    add_terms(j, i, end - i, &sum, l1, train, dtype);
    made.of[LK_SUM_SQUARED] = cpu_add_partials_f64(sum.squared);
    made.of[LK_SUM_ABS] = cpu_add_partials_f64(sum.abs);
    made.of[LK_SUM_LOSS] = made.of[l1 ? LK_SUM_ABS : LK_SUM_SQUARED];
    return made;
}

CPU_INLINE void regression_blocks(const job *j, size_t begin, size_t end, bool l1, bool train, lk_dtype dtype)
{
    const size_t n_elem = j->s->n_rows * j->s->n_outputs;

    for (size_t b = begin; b < end; b++) {
        const size_t first = b * BLOCK_ELEMS, last = first + BLOCK_ELEMS < n_elem ? first + BLOCK_ELEMS : n_elem;
        j->s->block[b] = regression_block(j, first, last, l1, train, dtype);
    }
}

CPU_INLINE void regression_part(void *arg, size_t begin, size_t end, bool l1)
{
    const job *j = arg;
    const bool bf16 = j->s->dtype == LK_DTYPE_BF16;

    if (j->s->train && bf16) regression_blocks(j, begin, end, l1, true, LK_DTYPE_BF16);
    if (j->s->train && !bf16) regression_blocks(j, begin, end, l1, true, LK_DTYPE_F32);
    if (!j->s->train && bf16) regression_blocks(j, begin, end, l1, false, LK_DTYPE_BF16);
    if (!j->s->train && !bf16) regression_blocks(j, begin, end, l1, false, LK_DTYPE_F32);
}

static void mse_part(void *arg, size_t begin, size_t end) { regression_part(arg, begin, end, false); }
static void l1_part(void *arg, size_t begin, size_t end) { regression_part(arg, begin, end, true); }

static lk_status run_regression(void *state, const lk_launch_args *run)
{
    const loss_state *s = state;
    job j = {.s = s, .x = cpu_at(run, s->x), .target = cpu_at(run, s->target), .dx = cpu_at(run, s->dx),
             .inv_count = run->inv_count};

    cpu_split(s->threads, s->n_blocks, GRAIN_ELEMS / BLOCK_ELEMS, s->l1 ? l1_part : mse_part, &j);
    sums total = add_blocks(s);
    total.of[LK_SUM_COUNT] = (double)(s->n_rows * s->n_outputs);
    store(s, run, &total);
    return LK_OK;
}

/* ----------------------------------------------------------- cross-entropy */

/* CPU_PARTIALS logits from c on, less `shift`; past the end of the row -infinity, whose exponential is 0. */
CPU_INLINE void load_lanes(float z[CPU_PARTIALS], const void *restrict x, size_t first, size_t c, size_t V, float shift,
                           lk_dtype dtype)
{
    if (c + CPU_PARTIALS <= V)
        for (size_t k = 0; k < CPU_PARTIALS; k++) z[k] = cpu_load(x, first + c + k, dtype) - shift;
    else
        for (size_t k = 0; k < CPU_PARTIALS; k++)
            z[k] = c + k < V ? cpu_load(x, first + c + k, dtype) - shift : -INFINITY;
}

/* The largest logit; a NaN is passed over here and shows in the sum of exponentials. */
CPU_INLINE float row_max(const void *restrict x, size_t first, size_t V, lk_dtype dtype)
{
    float most[CPU_PARTIALS], z[CPU_PARTIALS];

    load_lanes(most, x, first, 0, V, 0.0f, dtype);
    for (size_t c = CPU_PARTIALS; c < V; c += CPU_PARTIALS) {
        load_lanes(z, x, first, c, V, 0.0f, dtype);
        for (size_t k = 0; k < CPU_PARTIALS; k++) most[k] = CPU_LARGER(most[k], z[k]);
    }
    return cpu_max_partials(most);
}

/* What the row of one sample is reduced to. */
typedef struct row {
    float max, sum_exp, sum_z; /* z = x - max */
} row;

CPU_INLINE row reduce_row(const void *restrict x, size_t first, size_t V, bool smooth, lk_dtype dtype)
{
    row made = {.max = row_max(x, first, V, dtype)};
    float sum_exp[CPU_PARTIALS] = {0}, sum_z[CPU_PARTIALS] = {0}, z[CPU_PARTIALS];

    for (size_t c = 0; c < V; c += CPU_PARTIALS) {
        load_lanes(z, x, first, c, V, made.max, dtype);
        for (size_t k = 0; k < CPU_PARTIALS; k++) sum_exp[k] += lk_exp(z[k]);
        if (!smooth) continue;
        for (size_t k = 0; k < CPU_PARTIALS; k++) sum_z[k] += c + k < V ? z[k] : 0.0f;
    }
    made.sum_exp = cpu_add_partials(sum_exp);
    if (smooth) made.sum_z = cpu_add_partials(sum_z);
    return made;
}

CPU_INLINE void store_row_dx(const job *j, const row *made, size_t first, size_t label, lk_dtype dtype)
{
    const size_t V = j->s->n_outputs;
    const float inv_sum = 1.0f / made->sum_exp, inv_v = 1.0f / (float)V, smoothing = j->s->label_smoothing;
    const float max = made->max, inv_count = j->inv_count;
    const void *restrict x = j->x;
    void *restrict dx = j->dx;

    for (size_t c = 0; c < V; c++) {
        const float z = cpu_load(x, first + c, dtype) - max;
        cpu_store(dx, first + c, lk_cross_entropy_grad(z, inv_sum, 0, smoothing, inv_v) * inv_count, dtype);
    }
    const float z_label = cpu_load(x, first + label, dtype) - max;
    cpu_store(dx, first + label, lk_cross_entropy_grad(z_label, inv_sum, 1, smoothing, inv_v) * inv_count, dtype);
}

/* Whether the label is the first of the largest logits. */
CPU_INLINE bool is_hit(const void *x, size_t first, size_t label, float max, lk_dtype dtype)
{
    if (!(cpu_load(x, first + label, dtype) == max)) return false;
    for (size_t c = 0; c < label; c++)
        if (cpu_load(x, first + c, dtype) == max) return false;
    return true;
}

CPU_INLINE sums cross_entropy_block(const job *j, size_t begin, size_t end, lk_dtype dtype)
{
    const loss_state *s = j->s;
    const size_t V = s->n_outputs;
    const int32_t *labels = j->target;
    sums made = {0};

    for (size_t n = begin; n < end; n++) {
        const size_t first = n * V;

        if (labels[n] == s->ignore_index) {
            for (size_t c = 0; s->train && c < V; c++) cpu_store(j->dx, first + c, 0.0f, dtype);
            continue;
        }
        assert(labels[n] >= 0 && (size_t)labels[n] < V);
        const size_t label = (size_t)labels[n];
        const row of = reduce_row(j->x, first, V, s->label_smoothing > 0.0f, dtype);
        const float z_label = cpu_load(j->x, first + label, dtype) - of.max;

        made.of[LK_SUM_LOSS] += (double)lk_cross_entropy_term(logf(of.sum_exp), z_label, of.sum_z, s->label_smoothing,
                                                              1.0f / (float)V);
        made.of[LK_SUM_COUNT] += 1.0;
        if (s->train)
            store_row_dx(j, &of, first, label, dtype);
        else
            made.of[LK_SUM_CORRECT] += is_hit(j->x, first, label, of.max, dtype);
    }
    return made;
}

static void cross_entropy_part(void *arg, size_t begin, size_t end)
{
    const job *j = arg;
    const size_t n_rows = j->s->n_rows;

    for (size_t b = begin; b < end; b++) {
        const size_t first = b * BLOCK_ROWS, last = first + BLOCK_ROWS < n_rows ? first + BLOCK_ROWS : n_rows;

        j->s->block[b] = j->s->dtype == LK_DTYPE_BF16 ? cross_entropy_block(j, first, last, LK_DTYPE_BF16)
                                                      : cross_entropy_block(j, first, last, LK_DTYPE_F32);
    }
}

static lk_status run_cross_entropy(void *state, const lk_launch_args *run)
{
    const loss_state *s = state;
    job j = {.s = s, .x = cpu_at(run, s->x), .target = cpu_at(run, s->target), .dx = cpu_at(run, s->dx),
             .inv_count = run->inv_count};
    const size_t block_elems = BLOCK_ROWS * s->n_outputs;

    cpu_split(s->threads, s->n_blocks, (GRAIN_ELEMS + block_elems - 1) / block_elems, cross_entropy_part, &j);
    const sums total = add_blocks(s);
    store(s, run, &total);
    return LK_OK;
}

/* ----------------------------------------------------------------- binders */

static void loss_free(void *state)
{
    loss_state *s = state;

    lk_free(&s->block);
    lk_free(&s);
}

static lk_status bind_loss(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, size_t n_blocks,
                           lk_status (*run)(void *state, const lk_launch_args *run), lk_kernel *out)
{
    const lk_tensor *x = cpu_in(graph, node, 0);
    const size_t block_bytes = n_blocks * sizeof(sums);
    loss_state *s = lk_alloc(sizeof *s);

    LK_TRY_ALLOC(s, sizeof *s);
    *s = (loss_state){
        .x = cpu_ref_of(graph, node->in[0]),
        .target = cpu_ref_of(graph, node->in[1]),
        .dx = cpu_ref_of(graph, node->out[0]),
        .to = cpu_ref_of(graph, node->out[1]),
        .n_rows = (size_t)x->shape[0],
        .n_outputs = (size_t)x->shape[1],
        .n_blocks = n_blocks,
        .label_smoothing = node->attrs.loss.label_smoothing,
        .ignore_index = node->attrs.loss.ignore_index,
        .l1 = node->op == LK_OP_L1_LOSS,
        .train = node->attrs.loss.mode == LK_TRAIN,
        .dtype = x->dtype,
        .threads = ctx->threads,
        .block = lk_alloc(block_bytes),
    };
    if (!s->block) {
        loss_free(s);
        return LK_FAIL(LK_ERR_SYSTEM, "out of memory: %zu bytes for the sums of a loss", block_bytes);
    }
    *out = (lk_kernel){.run = run, .free = loss_free, .state = s, .nbytes = block_bytes};
    return LK_OK;
}

static size_t n_parts(size_t n, size_t part) { return (n + part - 1) / part; }

lk_status cpu_bind_mse_loss(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return bind_loss(ctx, graph, node, n_parts(cpu_in(graph, node, 0)->n_elem, BLOCK_ELEMS), run_regression, out);
}

lk_status cpu_bind_l1_loss(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return bind_loss(ctx, graph, node, n_parts(cpu_in(graph, node, 0)->n_elem, BLOCK_ELEMS), run_regression, out);
}

lk_status cpu_bind_cross_entropy(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    const size_t n_rows = (size_t)cpu_in(graph, node, 0)->shape[0];

    return bind_loss(ctx, graph, node, n_parts(n_rows, BLOCK_ROWS), run_cross_entropy, out);
}
