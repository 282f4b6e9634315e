/*
 * Cross-entropy over rows of logits, with label smoothing, weights of classes and labels that are ignored.  The
 * formulas are in engine/base/formulas.h.  A row is summed in the order of partials.h, a block row by row.
 */
#include "engine/base/formulas.h"
#include "engine/cpu/logits.h"

/* What a row of logits is reduced to; z = x - max. */
typedef struct row {
    float max, sum_exp;
    float sum_z; /* where labels are smoothed: of z, or of w z */
} row;

CPU_INLINE row reduce_row(const void *restrict x, size_t first, size_t V, const float *weight, bool smooth,
                          lk_dtype dtype)
{
    row made = {.max = cpu_max_logit(x, first, V, dtype)};
    float sum_exp[CPU_PARTIALS] = {0}, sum_z[CPU_PARTIALS] = {0}, z[CPU_PARTIALS];

    for (size_t c = 0; c < V; c += CPU_PARTIALS) {
        cpu_load_logits(z, x, first, c, V, made.max, dtype);
        for (size_t k = 0; k < CPU_PARTIALS; k++) sum_exp[k] += lk_exp(z[k]);
        if (!smooth) continue;
        if (weight)
            for (size_t k = 0; k < CPU_PARTIALS; k++) sum_z[k] += c + k < V ? weight[c + k] * z[k] : 0.0f;
        else
            for (size_t k = 0; k < CPU_PARTIALS; k++) sum_z[k] += c + k < V ? z[k] : 0.0f;
    }
    made.sum_exp = cpu_add_partials(sum_exp);
    if (smooth) made.sum_z = cpu_add_partials(sum_z);
    return made;
}

CPU_INLINE void store_row_dx(const cpu_loss_job *j, const row *made, size_t first, size_t label, lk_dtype dtype)
{
    const size_t V = j->s->n_outputs;
    const float inv_sum = 1.0f / made->sum_exp, inv_v = 1.0f / (float)V, smoothing = j->s->spec.label_smoothing;
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

CPU_INLINE void store_weighted_dx(const cpu_loss_job *j, const row *made, size_t first, size_t label, lk_dtype dtype)
{
    const cpu_loss *s = j->s;
    const float inv_sum = 1.0f / made->sum_exp, inv_v = 1.0f / (float)s->n_outputs, max = made->max;
    const float smoothing = s->spec.label_smoothing, w_label = s->weight[label], sum_w = s->sum_w;
    const float *restrict weight = s->weight;

    for (size_t c = 0; c < s->n_outputs; c++) {
        const float z = cpu_load(j->x, first + c, dtype) - max;
        const float d = lk_weighted_cross_entropy_grad(z, inv_sum, c == label, weight[c], w_label, sum_w, smoothing,
                                                       inv_v);
        cpu_store(j->dx, first + c, d * j->inv_count, dtype);
    }
}

CPU_INLINE float term_of(const cpu_loss *s, const row *made, float z_label, size_t label)
{
    const float inv_v = 1.0f / (float)s->n_outputs, smoothing = s->spec.label_smoothing;
    const float log_sum_exp = logf(made->sum_exp);

    if (!s->weight) return lk_cross_entropy_term(log_sum_exp, z_label, made->sum_z, smoothing, inv_v);
    return lk_weighted_cross_entropy_term(log_sum_exp, z_label, s->weight[label], made->sum_z, s->sum_w, smoothing,
                                          inv_v);
}

CPU_INLINE void add_row(const cpu_loss_job *j, size_t n, size_t label, cpu_loss_sums *sums, lk_dtype dtype)
{
    const cpu_loss *s = j->s;
    const size_t V = s->n_outputs, first = n * V;
    const row made = reduce_row(j->x, first, V, s->weight, s->spec.label_smoothing > 0.0f, dtype);
    const float z_label = cpu_load(j->x, first + label, dtype) - made.max;

    sums->of[LK_SUM_LOSS] += (double)term_of(s, &made, z_label, label);
    sums->of[LK_SUM_COUNT] += s->weight ? (double)s->weight[label] : 1.0;
    sums->of[LK_SUM_TERMS] += 1.0;
    if (s->train && s->weight) store_weighted_dx(j, &made, first, label, dtype);
    if (s->train && !s->weight) store_row_dx(j, &made, first, label, dtype);
    if (s->train) return;
    const size_t rank = cpu_rank_of(j->x, first, label, V, dtype);
    sums->of[LK_SUM_CORRECT] += rank == 0;
    sums->of[LK_SUM_CORRECT_TOP5] += rank < CPU_TOP;
    sums->of[LK_SUM_LOG_LIKELIHOOD] += (double)(z_label - logf(made.sum_exp));
}

CPU_INLINE cpu_loss_sums sum_block(const cpu_loss_job *j, size_t begin, size_t end, lk_dtype dtype)
{
    const cpu_loss *s = j->s;
    const size_t V = s->n_outputs;
    const int32_t *labels = j->target;
    cpu_loss_sums made = {0};

    for (size_t n = begin; n < end; n++) {
        if (labels[n] == s->spec.ignore_index) {
            for (size_t c = 0; s->train && c < V; c++) cpu_store(j->dx, n * V + c, 0.0f, dtype);
            continue;
        }
        assert(labels[n] >= 0 && (size_t)labels[n] < V);
        add_row(j, n, (size_t)labels[n], &made, dtype);
    }
    return made;
}

static cpu_loss_sums sum_rows(const cpu_loss_job *j, size_t begin, size_t end)
{
    if (j->s->dtype == LK_DTYPE_BF16) return sum_block(j, begin, end, LK_DTYPE_BF16);
    return sum_block(j, begin, end, LK_DTYPE_F32);
}

static lk_status run_cross_entropy(void *state, const lk_launch_args *args)
{
    return cpu_loss_run_rows(state, args, sum_rows);
}

lk_status cpu_bind_cross_entropy(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    if (node->attrs.loss.spec.probabilities) return cpu_bind_soft_cross_entropy(ctx, graph, node, out);
    return cpu_loss_bind(ctx, graph, node, cpu_logit_blocks(graph, node), run_cross_entropy, out);
}
