/*
 * What a network is trained towards and judged by: the one table of losses and the one of metrics.
 *
 * Recipes are checked against the tables, evaluations fill what they list, pictures are labelled by them; nobody else
 * asks which loss a model has.  A metric is a row: a formula over what the loss sums.  A loss is a row and a kernel.
 */
#ifndef LK_LOSS_H
#define LK_LOSS_H

#include "engine/base/sample.h"

#ifdef __cplusplus
extern "C" {
#endif

/* -------------------------------------------------------------------- losses */

/* How the outputs of a network are to be read, and so what they are compared with. */
typedef enum lk_reading {
    LK_READS_VALUES,  /* numbers, like the targets */
    LK_READS_CLASSES, /* logits of classes, one of which is right: the target is a label a row */
} lk_reading;

/* X(ID, "recipe word", how outputs are read, axis label, the same where targets are standardised).  An error of
 * standardised targets is counted in the target's deviation, sigma. */
#define LK_LOSS_LIST(X)                                                                       \
    X(LK_LOSS_MSE, "mse", LK_READS_VALUES, "Loss (MSE)", "Loss (MSE, target σ²)")             \
    X(LK_LOSS_L1, "l1", LK_READS_VALUES, "Loss (MAE)", "Loss (MAE, target σ)")                \
    X(LK_LOSS_CROSS_ENTROPY, "cross_entropy", LK_READS_CLASSES, "Loss (cross-entropy, nats)", NULL)

typedef enum lk_loss_kind { LK_LOSS_LIST(LK_WORD_ENUM) } lk_loss_kind;
#define LK_LOSS_ONE(...) +1
enum { LK_N_LOSSES = 0 LK_LOSS_LIST(LK_LOSS_ONE) };

typedef struct lk_loss_spec {
    lk_loss_kind kind;
    float label_smoothing; /* cross_entropy: in [0, 1] */
    int32_t ignore_index;  /* cross_entropy: a label that counts for nothing, PyTorch's default -100 */
} lk_loss_spec;

/* A row. */
typedef struct lk_loss {
    const char *word;
    lk_reading reads;
    const char *axis, *standardized_axis; /* the second NULL: like the first */
} lk_loss;

const lk_loss *lk_loss_get(lk_loss_kind kind);
/* The field it reads beside an output of this shape: "label" (int32, without the axis of classes), or "target". */
void    lk_loss_target(const lk_loss_spec *spec, const lk_field *output, lk_field *target);
/* Loss terms among n_elem elements of a target field: all, but for labels that are ignored. */
int64_t lk_loss_count_terms(const lk_loss_spec *spec, const void *target, size_t n_elem);

/* ---------------------------------------------------------------------- sums */

/* What one lane adds to an evaluation, in doubles; over lanes and batches they add up. */
typedef enum lk_sum {
    LK_SUM_LOSS,    /* sum of loss terms, unscaled */
    LK_SUM_COUNT,   /* number of loss terms: values of the output, or labels that are not ignored */
    LK_SUM_SQUARED, /* values: sum of (output - target)^2 */
    LK_SUM_ABS,     /* values: sum of |output - target| */
    LK_SUM_CORRECT, /* classes: labels hit by the largest output */
    LK_N_SUMS,
} lk_sum;

/* What the formulas of metrics read. */
typedef struct lk_sums {
    const double *of;      /* (LK_N_SUMS) */
    size_t n_outputs;      /* values: outputs of a sample */
    const double *squared; /* (n_outputs), values: LK_SUM_SQUARED of each */
    const double *spread;  /* (n_outputs), values: sum of squared deviations of its targets from their mean */
} lk_sums;

/* ------------------------------------------------------------------- metrics */

#define LK_ALL_READINGS (1u << LK_READS_VALUES | 1u << LK_READS_CLASSES)

/* X(ID, "name", outputs it is for, larger is better, axis label, the same where targets are standardised, what axes
 * multiply it by, a fraction: its axis is never logarithmic).  The formula of ID is in loss.c.  No label: the loss's. */
#define LK_METRIC_LIST(X)                                                                                     \
    X(LOSS, "loss", LK_ALL_READINGS, false, NULL, NULL, 1.0, false)                                           \
    X(ACCURACY, "accuracy", 1u << LK_READS_CLASSES, true, "Accuracy (%)", NULL, 100.0, true)                  \
    X(MSE, "mse", 1u << LK_READS_VALUES, false, "Mean squared error", "Mean squared error (target σ²)", 1.0, false) \
    X(MAE, "mae", 1u << LK_READS_VALUES, false, "Mean absolute error", "Mean absolute error (target σ)", 1.0, false) \
    X(R2, "r2", 1u << LK_READS_VALUES, true, "R²", NULL, 1.0, true)

typedef enum lk_metric_id {
#define LK_METRIC_ENUM(id, ...) LK_METRIC_##id,
    LK_METRIC_LIST(LK_METRIC_ENUM)
#undef LK_METRIC_ENUM
    LK_N_METRICS,
} lk_metric_id;

/* A row. */
typedef struct lk_metric {
    const char *name;
    unsigned readings; /* bit r: goes with losses that read outputs as r */
    bool larger_is_better;
    const char *axis, *standardized_axis; /* axis NULL: the loss's; the second NULL: like the first */
    double axis_scale;
    bool fraction;
    double (*value)(const lk_sums *sums);
} lk_metric;

const lk_metric *lk_metric_get(lk_metric_id id);
/* By its name, NULL: there is none. */
const lk_metric *lk_metric_find(const char *name);
/* Whether a model with this loss has it. */
bool lk_metric_fits(const lk_metric *metric, lk_loss_kind loss);

#ifdef __cplusplus
}
#endif
#endif
