/*
 * The tables of losses and metrics, and the formulas of the metrics over an evaluation's sums.
 *
 *     loss      mean of the loss terms
 *     accuracy  share of the labels that the largest output hits
 *     mse, mae  means over all values
 *     r2        of each output 1 - sum of squared errors / spread of its targets about their mean, and the plain mean of
 *               these, as scikit-learn's r2_score by default; of targets that never change 1 if they are hit, else 0
 */
#include "engine/model/loss.h"

#include <assert.h>
#include <math.h>
#include <string.h>

static const lk_loss losses[LK_N_LOSSES] = {
#define ROW(id, ...) [id] = {__VA_ARGS__},
    LK_LOSS_LIST(ROW)
#undef ROW
};

const lk_loss *lk_loss_get(lk_loss_kind kind)
{
    assert((unsigned)kind < LK_N_LOSSES);
    return &losses[kind];
}

void lk_loss_target(const lk_loss_spec *spec, const lk_field *output, lk_field *target)
{
    *target = *output;
    target->target = true;
    target->dtype = LK_DTYPE_F32;
    strcpy(target->name, "target");
    if (lk_loss_get(spec->kind)->reads != LK_READS_CLASSES) return;
    target->dtype = LK_DTYPE_I32;
    target->ndim = output->ndim - 1;
    target->n_values = output->shape[output->ndim - 1];
    strcpy(target->name, "label");
}

int64_t lk_loss_count_terms(const lk_loss_spec *spec, const void *target, size_t n_elem)
{
    const int32_t *label = target;
    int64_t terms = 0;

    if (lk_loss_get(spec->kind)->reads != LK_READS_CLASSES) return (int64_t)n_elem;
    for (size_t i = 0; i < n_elem; i++) terms += label[i] != spec->ignore_index;
    return terms;
}

/* ------------------------------------------------------------------ formulas */

static double mean_of(const lk_sums *s, lk_sum sum) { return s->of[sum] / s->of[LK_SUM_COUNT]; }

static double value_LOSS(const lk_sums *s) { return mean_of(s, LK_SUM_LOSS); }
static double value_ACCURACY(const lk_sums *s) { return mean_of(s, LK_SUM_CORRECT); }
static double value_MSE(const lk_sums *s) { return mean_of(s, LK_SUM_SQUARED); }
static double value_MAE(const lk_sums *s) { return mean_of(s, LK_SUM_ABS); }

static double r2_of(double squared, double spread)
{
    if (spread > 0.0) return 1.0 - squared / spread;
    return isnan(squared) ? squared : squared == 0.0 ? 1.0 : 0.0;
}

static double value_R2(const lk_sums *s)
{
    double sum = 0.0;

    for (size_t o = 0; o < s->n_outputs; o++) sum += r2_of(s->squared[o], s->spread[o]);
    return sum / (double)s->n_outputs;
}

/* ------------------------------------------------------------------- metrics */

static const lk_metric metrics[LK_N_METRICS] = {
#define ROW(id, ...) [LK_METRIC_##id] = {__VA_ARGS__, value_##id},
    LK_METRIC_LIST(ROW)
#undef ROW
};

const lk_metric *lk_metric_get(lk_metric_id id)
{
    assert((unsigned)id < LK_N_METRICS);
    return &metrics[id];
}

const lk_metric *lk_metric_find(const char *name)
{
    for (int i = 0; i < LK_N_METRICS; i++)
        if (strcmp(metrics[i].name, name) == 0) return &metrics[i];
    return NULL;
}

bool lk_metric_fits(const lk_metric *metric, lk_loss_kind loss)
{
    return metric->readings >> lk_loss_get(loss)->reads & 1u;
}
