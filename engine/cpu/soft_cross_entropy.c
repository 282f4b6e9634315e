/*
 * Cross-entropy over rows of logits whose targets are probabilities of the classes, with label smoothing and weights of
 * classes.  The formulas are in engine/base/formulas.h; sums go as in cross_entropy.c.
 */
#include "engine/base/formulas.h"
#include "engine/cpu/logits.h"

/* What a row is reduced to; z = x - max, q: of a class its smoothed and weighted probability. */
typedef struct row {
    float max, sum_exp, sum_q, sum_qz;
} row;

CPU_INLINE float q_of(const cpu_loss *s, const float *restrict target, size_t c)
{
    const float w = s->weight ? s->weight[c] : 1.0f;

    return lk_soft_target(target[c], w, s->spec.label_smoothing, 1.0f / (float)s->n_outputs);
}

CPU_INLINE row reduce_row(const cpu_loss_job *j, size_t first, lk_dtype dtype)
{
    const size_t V = j->s->n_outputs;
    const float *restrict target = (const float *)j->target + first;
    row made = {.max = cpu_max_logit(j->x, first, V, dtype)};
    float sum_exp[CPU_PARTIALS] = {0}, sum_q[CPU_PARTIALS] = {0}, sum_qz[CPU_PARTIALS] = {0}, z[CPU_PARTIALS];

    for (size_t c = 0; c < V; c += CPU_PARTIALS) {
        const size_t n = V - c < CPU_PARTIALS ? V - c : CPU_PARTIALS;

        cpu_load_logits(z, j->x, first, c, V, made.max, dtype);
        for (size_t k = 0; k < CPU_PARTIALS; k++) sum_exp[k] += lk_exp(z[k]);
        for (size_t k = 0; k < n; k++) {
            const float q = q_of(j->s, target, c + k);
            sum_q[k] += q;
            sum_qz[k] += q * z[k];
        }
    }
    made.sum_exp = cpu_add_partials(sum_exp);
    made.sum_q = cpu_add_partials(sum_q);
    made.sum_qz = cpu_add_partials(sum_qz);
    return made;
}

CPU_INLINE void store_dx(const cpu_loss_job *j, const row *made, size_t first, lk_dtype dtype)
{
    const float *target = (const float *)j->target + first;
    const float inv_sum = 1.0f / made->sum_exp;

    for (size_t c = 0; c < j->s->n_outputs; c++) {
        const float z = cpu_load(j->x, first + c, dtype) - made->max;
        const float d = lk_soft_cross_entropy_grad(z, inv_sum, made->sum_q, q_of(j->s, target, c));

        cpu_store(j->dx, first + c, d * j->inv_count, dtype);
    }
}

/* The likeliest class stands for a label, of equal ones the first. */
static size_t label_of(const float *target, size_t V)
{
    size_t label = 0;

    for (size_t c = 1; c < V; c++)
        if (target[c] > target[label]) label = c;
    return label;
}

CPU_INLINE void measure_row(const cpu_loss_job *j, const row *made, size_t first, cpu_loss_sums *sums, lk_dtype dtype)
{
    const size_t V = j->s->n_outputs;
    const float *target = (const float *)j->target + first, log_sum_exp = logf(made->sum_exp);
    const size_t rank = cpu_rank_of(j->x, first, label_of(target, V), V, dtype);

    sums->of[LK_SUM_CORRECT] += rank == 0;
    sums->of[LK_SUM_CORRECT_TOP5] += rank < CPU_TOP;
    for (size_t c = 0; c < V; c++)
        if (target[c] > 0.0f)
            sums->of[LK_SUM_LOG_LIKELIHOOD] +=
                (double)(target[c] * (cpu_load(j->x, first + c, dtype) - made->max - log_sum_exp));
}

CPU_INLINE cpu_loss_sums sum_block(const cpu_loss_job *j, size_t begin, size_t end, lk_dtype dtype)
{
    cpu_loss_sums made = {0};

    for (size_t n = begin; n < end; n++) {
        const size_t first = n * j->s->n_outputs;
        const row reduced = reduce_row(j, first, dtype);

        made.of[LK_SUM_LOSS] +=
            (double)lk_soft_cross_entropy_term(logf(reduced.sum_exp), reduced.sum_q, reduced.sum_qz);
        if (j->s->train) store_dx(j, &reduced, first, dtype);
        else measure_row(j, &reduced, first, &made, dtype);
    }
    made.of[LK_SUM_COUNT] = made.of[LK_SUM_TERMS] = (double)(end - begin);
    return made;
}

static cpu_loss_sums sum_rows(const cpu_loss_job *j, size_t begin, size_t end)
{
    if (j->s->dtype == LK_DTYPE_BF16) return sum_block(j, begin, end, LK_DTYPE_BF16);
    return sum_block(j, begin, end, LK_DTYPE_F32);
}

static lk_status run_soft_cross_entropy(void *state, const lk_launch_args *args)
{
    return cpu_loss_run_rows(state, args, sum_rows);
}

lk_status cpu_bind_soft_cross_entropy(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return cpu_loss_bind(ctx, graph, node, cpu_logit_blocks(graph, node), run_soft_cross_entropy, out);
}
