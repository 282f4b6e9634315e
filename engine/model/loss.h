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
    LK_READS_VALUES,  /* numbers; the targets are numbers, too */
    LK_READS_CLASSES, /* a row of logits, one a class, of which one is right: the target is a label a row, or where the
                       * specification says so a probability for each */
    LK_READS_EVENTS,  /* logits of events, each of which happens or not: the targets are numbers from 0 to 1 */
} lk_reading;

/* X(ID, "recipe word", how outputs are read, axis label, the same where targets are standardised).  An error of
 * standardised targets is counted in the target's deviation, sigma. */
#define LK_LOSS_LIST(X)                                                                             \
    X(LK_LOSS_MSE, "mse", LK_READS_VALUES, "Loss (MSE)", "Loss (MSE, target σ²)")                   \
    X(LK_LOSS_L1, "l1", LK_READS_VALUES, "Loss (MAE)", "Loss (MAE, target σ)")                      \
    X(LK_LOSS_SMOOTH_L1, "smooth_l1", LK_READS_VALUES, "Loss (smooth L1)", "Loss (smooth L1, target σ)") \
    X(LK_LOSS_HUBER, "huber", LK_READS_VALUES, "Loss (Huber)", "Loss (Huber, target σ)")            \
    X(LK_LOSS_BCE, "bce", LK_READS_EVENTS, "Loss (binary cross-entropy, nats)", NULL)               \
    X(LK_LOSS_CROSS_ENTROPY, "cross_entropy", LK_READS_CLASSES, "Loss (cross-entropy, nats)", NULL)

typedef enum lk_loss_kind { LK_LOSS_LIST(LK_WORD_ENUM) } lk_loss_kind;
#define LK_LOSS_ONE(...) +1
enum { LK_N_LOSSES = 0 LK_LOSS_LIST(LK_LOSS_ONE) };

/* What a batch's sum of terms is divided by: their number (or the weights of their labels), or the steps that its
 * targets are filled up to, so that a sentence counts its mean over them and a batch the sum of its sentences. */
#define LK_LOSS_REDUCTION_LIST(X) X(LK_LOSS_MEAN, "mean") X(LK_LOSS_SEQUENCE, "sequence")
typedef enum lk_loss_reduction { LK_LOSS_REDUCTION_LIST(LK_WORD_ENUM) } lk_loss_reduction;

/* Parameters as PyTorch has them. */
typedef struct lk_loss_spec {
    lk_loss_kind kind;
    lk_loss_reduction reduction; /* cross_entropy, of models that give a row of logits for each step */
    float label_smoothing; /* cross_entropy: in [0, 1] */
    int32_t ignore_index;  /* cross_entropy: a label that counts for nothing, PyTorch's default -100 */
    double *weight;        /* cross_entropy: (n_weight), of each class, >= 0; NULL: 1 */
    double *pos_weight;    /* bce: (n_pos_weight), of each output where its event happens, >= 0; one for all; NULL: 1 */
    unsigned n_weight, n_pos_weight;
    bool probabilities;    /* cross_entropy: targets are a probability for each class, not a label */
    float delta;           /* huber: > 0 */
    float beta;            /* smooth_l1: >= 0 */
} lk_loss_spec;

/* A row. */
typedef struct lk_loss {
    const char *word;
    lk_reading reads;
    const char *axis, *standardized_axis; /* the second NULL: like the first */
} lk_loss;

const lk_loss *lk_loss_get(lk_loss_kind kind);
/* Errors: LK_ERR_USAGE naming the recipe's key: a parameter out of its range, a number of weights that does not fit a
 * row of n_output outputs. */
lk_status lk_loss_check(const lk_loss_spec *spec, size_t n_output);
/* The field it reads beside an output of this shape: "label" (int32, without the axis of classes), or "target"
 * (fp32), also where labels are probabilities. */
void   lk_loss_target(const lk_loss_spec *spec, const lk_field *output, lk_field *target);
/* What n_elem elements of a target field add to the number that the loss's mean divides by: 1 each; a label the weight
 * of its class, an ignored one nothing.  In the order of the elements.  Not for probabilities: a row counts 1. */
double lk_loss_count_terms(const lk_loss_spec *spec, const void *target, size_t n_elem);

/* ---------------------------------------------------------------------- sums */

/* What one lane adds to an evaluation, in doubles; over lanes and batches they add up. */
typedef enum lk_sum {
    LK_SUM_LOSS,         /* of loss terms, unscaled */
    LK_SUM_COUNT,        /* what the loss's mean divides by: the terms, or the weights of the labels */
    LK_SUM_TERMS,        /* number of terms: values of the output, or labels that are not ignored */
    LK_SUM_SQUARED,      /* values: of (output - target)^2 */
    LK_SUM_ABS,          /* values: of |output - target| */
    LK_SUM_CORRECT,      /* classes: labels (or likeliest classes) hit by the largest output; events: logits above 0
                          * where the target is above 1/2, or neither */
    LK_SUM_CORRECT_TOP5, /* classes: labels among the five largest outputs, of equal ones the first */
    LK_SUM_LOG_LIKELIHOOD, /* classes: of log softmax at the label, without weights and smoothing */
    LK_N_SUMS,
} lk_sum;

/* Behind them for values, n_output of each: sums over rows, of one output each. */
typedef enum lk_output_sum {
    LK_OUTPUT_SUM_ERROR,   /* of (output - target)^2 */
    LK_OUTPUT_SUM_TARGET,  /* of target */
    LK_OUTPUT_SUM_SQUARES, /* of target^2 */
    LK_OUTPUT_SUM_CHANGES, /* rows whose target is another than that of the row before in their lane */
    LK_N_OUTPUT_SUMS,
} lk_output_sum;

/* Doubles in all, for rows of n_output. */
size_t lk_loss_n_sums(lk_loss_kind kind, size_t n_output);

/* What the formulas of metrics read. */
typedef struct lk_sums {
    const double *of;  /* (lk_loss_n_sums) */
    size_t n_output;
    double bleu, textbook_bleu2; /* of translations, where such a metric was asked for */
} lk_sums;

/* ------------------------------------------------------------------- metrics */

#define LK_FOR_VALUES (1u << LK_READS_VALUES)
#define LK_FOR_CLASSES (1u << LK_READS_CLASSES)
#define LK_FOR_EVENTS (1u << LK_READS_EVENTS)
#define LK_FOR_ALL (LK_FOR_VALUES | LK_FOR_CLASSES | LK_FOR_EVENTS)

/* X(ID, "name", outputs it is for, measured without being asked for, larger is better, axis label, the same where
 * targets are standardised, what axes multiply it by, a fraction: its axis is never logarithmic, of translations that
 * an evaluation makes).  The formula of ID is in loss.c.  No label: the loss's. */
#define LK_METRIC_LIST(X)                                                                                           \
    X(LOSS, "loss", LK_FOR_ALL, true, false, NULL, NULL, 1.0, false, false)                                         \
    X(ACCURACY, "accuracy", LK_FOR_CLASSES | LK_FOR_EVENTS, true, true, "Accuracy (%)", NULL, 100.0, true, false)   \
    X(ACCURACY_TOP5, "accuracy_top5", LK_FOR_CLASSES, false, true, "Top-5 accuracy (%)", NULL, 100.0, true, false)  \
    X(PERPLEXITY, "perplexity", LK_FOR_CLASSES, false, false, "Perplexity", NULL, 1.0, false, false)                \
    X(BLEU, "bleu", LK_FOR_CLASSES, false, true, "BLEU", NULL, 1.0, true, true)                                     \
    X(BLEU2, "bleu2", LK_FOR_CLASSES, false, true, "BLEU-2 (textbook, mean)", NULL, 1.0, true, true)                \
    X(MSE, "mse", LK_FOR_VALUES, true, false, "Mean squared error", "Mean squared error (target σ²)", 1.0, false,   \
      false)                                                                                                        \
    X(RMSE, "rmse", LK_FOR_VALUES, false, false, "Root mean squared error",                                         \
      "Root mean squared error (target σ)", 1.0, false, false)                                                      \
    X(MAE, "mae", LK_FOR_VALUES, true, false, "Mean absolute error", "Mean absolute error (target σ)", 1.0, false,  \
      false)                                                                                                        \
    X(R2, "r2", LK_FOR_VALUES, true, true, "R²", NULL, 1.0, true, false)

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
    bool usual;        /* measured without being asked for */
    bool larger_is_better;
    const char *axis, *standardized_axis; /* axis NULL: the loss's; the second NULL: like the first */
    double axis_scale;
    bool fraction;
    bool of_translations;
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
