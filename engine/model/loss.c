/*
 * The tables of losses and metrics, and the formulas of the metrics over an evaluation's sums.
 *
 *     loss                     sum of the terms / their number, or the sum of their labels' weights, as PyTorch's mean
 *     accuracy, accuracy_top5  share of the labels (of events: of the values) that are hit
 *     perplexity               exp(- mean over the labels of log softmax): of the model, whatever smooths or weighs
 *                              its loss
 *     bleu, bleu2              of translations, counted where they are made (io/text/bleu.c has the formulas)
 *     mse, rmse, mae           over all values
 *     r2                       mean over outputs of 1 - E / S; E: squared errors, S: squared deviations of the targets
 *                              from their mean.  A constant target gives 1 where every prediction is right, else 0:
 *                              sklearn.metrics.r2_score by default (multioutput="uniform_average", force_finite)
 */
#include "engine/model/loss.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <string.h>

enum { TOP = 5 };

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
    if (lk_loss_get(spec->kind)->reads != LK_READS_CLASSES || spec->probabilities) return;
    target->dtype = LK_DTYPE_I32;
    target->ndim = output->ndim - 1;
    target->n_values = output->shape[output->ndim - 1];
    strcpy(target->name, "label");
}

/* Weights in fp32, as kernels have them. */
static double weigh(const lk_loss_spec *spec, int32_t label)
{
    if (label == spec->ignore_index) return 0.0;
    return spec->n_weight ? (double)(float)spec->weight[label] : 1.0;
}

double lk_loss_count_terms(const lk_loss_spec *spec, const void *target, size_t n_elem)
{
    const int32_t *label = target;
    double terms = 0.0;

    if (lk_loss_get(spec->kind)->reads != LK_READS_CLASSES) return (double)n_elem;
    for (size_t i = 0; i < n_elem; i++) terms += weigh(spec, label[i]);
    return terms;
}

/* -------------------------------------------------------------------- specs */

static lk_status check_weights(const char *key, const double *weight, unsigned n, double *sum)
{
    *sum = 0.0;
    for (unsigned i = 0; i < n; i++) {
        if (!(weight[i] >= 0.0 && weight[i] <= (double)FLT_MAX))
            return LK_FAIL(LK_ERR_USAGE, "%s: number %u is %g; weights are at least 0", key, i, weight[i]);
        *sum += weight[i];
    }
    return LK_OK;
}

lk_status lk_loss_check(const lk_loss_spec *spec, size_t n_output)
{
    double sum;

    if (!(spec->label_smoothing >= 0.0f && spec->label_smoothing <= 1.0f))
        return LK_FAIL(LK_ERR_USAGE, "loss.label_smoothing: it is %g and must be in [0, 1]",
                       (double)spec->label_smoothing);
    if (spec->kind == LK_LOSS_HUBER && !(spec->delta > 0.0f))
        return LK_FAIL(LK_ERR_USAGE, "loss.delta: it is %g and must be above 0", (double)spec->delta);
    if (spec->kind == LK_LOSS_SMOOTH_L1 && !(spec->beta >= 0.0f))
        return LK_FAIL(LK_ERR_USAGE, "loss.beta: it is %g and must be at least 0", (double)spec->beta);
    if (spec->n_weight && spec->n_weight != n_output)
        return LK_FAIL(LK_ERR_USAGE, "loss.weight: it has %u numbers, but there are %zu classes: give one for each",
                       spec->n_weight, n_output);
    LK_TRY(check_weights("loss.weight", spec->weight, spec->n_weight, &sum));
    if (spec->n_weight && sum == 0.0) return LK_FAIL(LK_ERR_USAGE, "loss.weight: all are 0, so nothing counts");
    if (spec->n_pos_weight > 1 && spec->n_pos_weight != n_output)
        return LK_FAIL(LK_ERR_USAGE,
                       "loss.pos_weight: it has %u numbers, but there are %zu outputs: give one for each, or "
                       "one for all",
                       spec->n_pos_weight, n_output);
    return check_weights("loss.pos_weight", spec->pos_weight, spec->n_pos_weight, &sum);
}

size_t lk_loss_n_sums(lk_loss_kind kind, size_t n_output)
{
    return LK_N_SUMS + (lk_loss_get(kind)->reads == LK_READS_VALUES ? LK_N_OUTPUT_SUMS * n_output : 0);
}

/* ------------------------------------------------------------------ formulas */

static double mean_of(const lk_sums *s, lk_sum sum) { return s->of[sum] / s->of[LK_SUM_TERMS]; }

static double value_LOSS(const lk_sums *s) { return s->of[LK_SUM_LOSS] / s->of[LK_SUM_COUNT]; }
static double value_ACCURACY(const lk_sums *s) { return mean_of(s, LK_SUM_CORRECT); }
static double value_PERPLEXITY(const lk_sums *s) { return exp(-mean_of(s, LK_SUM_LOG_LIKELIHOOD)); }
static double value_BLEU(const lk_sums *s) { return s->bleu; }
static double value_BLEU2(const lk_sums *s) { return s->textbook_bleu2; }
static double value_MSE(const lk_sums *s) { return mean_of(s, LK_SUM_SQUARED); }
static double value_RMSE(const lk_sums *s) { return sqrt(mean_of(s, LK_SUM_SQUARED)); }
static double value_MAE(const lk_sums *s) { return mean_of(s, LK_SUM_ABS); }

/* Of five classes all are among the first five: that says nothing. */
static double value_ACCURACY_TOP5(const lk_sums *s)
{
    return s->n_output > TOP ? mean_of(s, LK_SUM_CORRECT_TOP5) : (double)NAN;
}

/* Of output o over n rows.  The sums are in double and their rounding is below that of the fp32 targets, but for a
 * constant target it must not pass for a spread: then no row differs from the one before, nor lanes by more than
 * rounding. */
static double r2_of(const lk_sums *s, size_t o, double n)
{
    const double *sum = s->of + LK_N_SUMS + o;
    const double error = sum[LK_OUTPUT_SUM_ERROR * s->n_output], target = sum[LK_OUTPUT_SUM_TARGET * s->n_output];
    const double squares = sum[LK_OUTPUT_SUM_SQUARES * s->n_output], spread = squares - target * target / n;
    const bool constant = sum[LK_OUTPUT_SUM_CHANGES * s->n_output] == 0.0 && spread <= n * DBL_EPSILON * squares;

    if (isnan(error)) return error;
    if (constant) return error > 0.0 ? 0.0 : 1.0;
    return 1.0 - error / spread;
}

static double value_R2(const lk_sums *s)
{
    const double rows = s->of[LK_SUM_TERMS] / (double)s->n_output;
    double sum = 0.0;

    for (size_t o = 0; o < s->n_output; o++) sum += r2_of(s, o, rows);
    return sum / (double)s->n_output;
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
