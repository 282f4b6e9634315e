/*
 * Plain twins of activations, norms and losses: loops that read like the formulas of engine/ops/, in double, for tests
 * to compare with.  x is (R, C).
 */
#ifndef LOOP_TWINS_H
#define LOOP_TWINS_H

#include "engine/engine.h"

#include <math.h>

/* ------------------------------------------------------------- activations */

static inline double twin_activation(lk_activation kind, double x)
{
    const double u = sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x);

    switch (kind) {
    case LK_ACT_RELU: return x > 0.0 ? x : 0.0;
    case LK_ACT_TANH: return tanh(x);
    case LK_ACT_SIGMOID: return 1.0 / (1.0 + exp(-x));
    case LK_ACT_GELU: return 0.5 * x * erfc(-x / sqrt(2.0));
    case LK_ACT_GELU_TANH: return 0.5 * x * (1.0 + tanh(u));
    case LK_ACT_LEAKY_RELU: return x > 0.0 ? x : (double)0.01f * x;
    case LK_ACT_SILU: return x / (1.0 + exp(-x));
    case LK_ACT_ELU: return x > 0.0 ? x : expm1(x);
    case LK_ACT_IDENTITY: return x;
    }
    return NAN;
}

static inline double twin_activation_slope(lk_activation kind, double x)
{
    const double u = sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x), t = tanh(u);
    const double s = 1.0 / (1.0 + exp(-x));

    switch (kind) {
    case LK_ACT_RELU: return x > 0.0 ? 1.0 : 0.0;
    case LK_ACT_TANH: return 1.0 - tanh(x) * tanh(x);
    case LK_ACT_SIGMOID: return s * (1.0 - s);
    case LK_ACT_GELU: return 0.5 * erfc(-x / sqrt(2.0)) + x * exp(-0.5 * x * x) / sqrt(2.0 * M_PI);
    case LK_ACT_GELU_TANH:
        return 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * sqrt(2.0 / M_PI) * (1.0 + 3.0 * 0.044715 * x * x);
    case LK_ACT_LEAKY_RELU: return x > 0.0 ? 1.0 : (double)0.01f;
    case LK_ACT_SILU: return s * (1.0 + x * (1.0 - s));
    case LK_ACT_ELU: return x > 0.0 ? 1.0 : exp(x);
    case LK_ACT_IDENTITY: return 1.0;
    }
    return NAN;
}

/* ------------------------------------------------------------------- norms */

/* mean and biased variance of n numbers, `stride` apart. */
static inline void twin_stats(size_t n, size_t stride, const double *x, double *mean, double *var)
{
    *mean = *var = 0.0;
    for (size_t i = 0; i < n; i++) *mean += x[i * stride] / (double)n;
    for (size_t i = 0; i < n; i++) *var += (x[i * stride] - *mean) * (x[i * stride] - *mean) / (double)n;
}

/* Over rows: mean and var (C). */
static inline void twin_batch_norm(size_t R, size_t C, double eps, const double *x, const double *g, const double *b,
                                   double *y, double *mean, double *var)
{
    for (size_t c = 0; c < C; c++) {
        twin_stats(R, C, x + c, &mean[c], &var[c]);
        for (size_t r = 0; r < R; r++)
            y[r * C + c] = (x[r * C + c] - mean[c]) / sqrt(var[c] + eps) * g[c] + b[c];
    }
}

static inline void twin_batch_norm_grad(size_t R, size_t C, double eps, const double *dy, const double *x,
                                        const double *g, double *dx, double *dg, double *db)
{
    for (size_t c = 0; c < C; c++) {
        double mean, var;

        twin_stats(R, C, x + c, &mean, &var);
        const double rstd = 1.0 / sqrt(var + eps);
        dg[c] = db[c] = 0.0;
        for (size_t r = 0; r < R; r++) {
            db[c] += dy[r * C + c];
            dg[c] += dy[r * C + c] * (x[r * C + c] - mean) * rstd;
        }
        for (size_t r = 0; r < R; r++) {
            const double h = (x[r * C + c] - mean) * rstd;
            dx[r * C + c] = g[c] * rstd * (dy[r * C + c] - db[c] / (double)R - h * dg[c] / (double)R);
        }
    }
}

/* Over channels: mean and var (R). */
static inline void twin_layer_norm(size_t R, size_t C, double eps, const double *x, const double *g, const double *b,
                                   double *y, double *mean, double *var)
{
    for (size_t r = 0; r < R; r++) {
        twin_stats(C, 1, x + r * C, &mean[r], &var[r]);
        for (size_t c = 0; c < C; c++)
            y[r * C + c] = (x[r * C + c] - mean[r]) / sqrt(var[r] + eps) * g[c] + b[c];
    }
}

static inline void twin_layer_norm_grad(size_t R, size_t C, double eps, const double *dy, const double *x,
                                        const double *g, double *dx, double *dg, double *db)
{
    for (size_t c = 0; c < C; c++) dg[c] = db[c] = 0.0;
    for (size_t r = 0; r < R; r++) {
        double mean, var, mean_w = 0.0, mean_wh = 0.0;

        twin_stats(C, 1, x + r * C, &mean, &var);
        const double rstd = 1.0 / sqrt(var + eps);
        for (size_t c = 0; c < C; c++) {
            const double h = (x[r * C + c] - mean) * rstd, w = g[c] * dy[r * C + c];
            mean_w += w / (double)C;
            mean_wh += w * h / (double)C;
            db[c] += dy[r * C + c];
            dg[c] += dy[r * C + c] * h;
        }
        for (size_t c = 0; c < C; c++) {
            const double h = (x[r * C + c] - mean) * rstd, w = g[c] * dy[r * C + c];
            dx[r * C + c] = rstd * (w - mean_w - h * mean_wh);
        }
    }
}

/* ------------------------------------------------------------------ losses */

/* Huber's and smooth L1's d^2 / (2 knee) within the knee, lines beyond; smooth L1 is Huber / beta. */
static inline double twin_huber(double d, double knee)
{
    return fabs(d) <= knee ? 0.5 * d * d : knee * (fabs(d) - 0.5 * knee);
}
static inline double twin_huber_slope(double d, double knee) { return fmin(fmax(d, -knee), knee); }

static inline double twin_bce(double x, double t, double p)
{
    return p * t * log1p(exp(-x)) + (1.0 - t) * log1p(exp(x));
}
static inline double twin_bce_slope(double x, double t, double p)
{
    return (1.0 - t) / (1.0 + exp(-x)) - p * t / (1.0 + exp(x));
}

static inline double twin_weight(const double *weight, unsigned n, size_t o)
{
    return n == 0 ? 1.0 : weight[n == 1 ? 0 : o];
}

static inline double twin_term(const lk_loss_spec *spec, size_t o, double x, double t, double *slope)
{
    const double d = x - t, p = twin_weight(spec->pos_weight, spec->n_pos_weight, o);
    const double delta = (double)spec->delta, beta = (double)spec->beta;

    switch (spec->kind) {
    case LK_LOSS_MSE: *slope = 2.0 * d; return d * d;
    case LK_LOSS_L1: *slope = (d > 0.0) - (d < 0.0); return fabs(d);
    case LK_LOSS_SMOOTH_L1: *slope = twin_huber_slope(d, beta) / beta; return twin_huber(d, beta) / beta;
    case LK_LOSS_HUBER: *slope = twin_huber_slope(d, delta); return twin_huber(d, delta);
    case LK_LOSS_BCE: *slope = twin_bce_slope(x, t, p); return twin_bce(x, t, p);
    case LK_LOSS_CROSS_ENTROPY: break;
    }
    return NAN;
}

/* x and target: (N, O).  Sums: lk_loss_n_sums(); dx is the gradient of the sum of terms. */
static inline void twin_pointwise(const lk_loss_spec *spec, size_t N, size_t O, const double *x, const double *target,
                                  double *sums, double *dx)
{
    const bool values = lk_loss_get(spec->kind)->reads == LK_READS_VALUES;
    double *output = sums + LK_N_SUMS;

    for (size_t k = 0; k < lk_loss_n_sums(spec->kind, O); k++) sums[k] = 0.0;
    for (size_t i = 0; i < N * O; i++) {
        const double d = x[i] - target[i];

        sums[LK_SUM_LOSS] += twin_term(spec, i % O, x[i], target[i], &dx[i]);
        sums[LK_SUM_COUNT] += 1.0;
        sums[LK_SUM_TERMS] += 1.0;
        if (!values) {
            sums[LK_SUM_CORRECT] += (x[i] > 0.0) == (target[i] > 0.5);
            continue;
        }
        sums[LK_SUM_SQUARED] += d * d;
        sums[LK_SUM_ABS] += fabs(d);
        output[LK_OUTPUT_SUM_ERROR * O + i % O] += d * d;
        output[LK_OUTPUT_SUM_TARGET * O + i % O] += target[i];
        output[LK_OUTPUT_SUM_SQUARES * O + i % O] += target[i] * target[i];
        output[LK_OUTPUT_SUM_CHANGES * O + i % O] += i >= O && target[i] != target[i - O];
    }
}

/* One row whose label counts: PyTorch's smoothed targets, each weighed by its class. */
static inline void twin_row(const lk_loss_spec *spec, size_t V, const double *x, size_t label, double *sums, double *dx)
{
    const double s = (double)spec->label_smoothing;
    double sum_exp = 0.0, sum_wanted = 0.0;
    size_t before = 0;

    for (size_t v = 0; v < V; v++) {
        sum_exp += exp(x[v]);
        before += x[v] > x[label] || (x[v] == x[label] && v < label);
    }
    for (size_t v = 0; v < V; v++) {
        const double wanted = (v == label) * (1.0 - s) * twin_weight(spec->weight, spec->n_weight, label) +
                              s / (double)V * twin_weight(spec->weight, spec->n_weight, v);
        sum_wanted += wanted;
        dx[v] = -wanted;
        sums[LK_SUM_LOSS] += wanted * (log(sum_exp) - x[v]);
    }
    for (size_t v = 0; v < V; v++) dx[v] += sum_wanted * exp(x[v]) / sum_exp;
    sums[LK_SUM_COUNT] += twin_weight(spec->weight, spec->n_weight, label);
    sums[LK_SUM_TERMS] += 1.0;
    sums[LK_SUM_CORRECT] += before == 0;
    sums[LK_SUM_CORRECT_TOP5] += before < 5;
    sums[LK_SUM_LOG_LIKELIHOOD] += x[label] - log(sum_exp);
}

static inline void twin_cross_entropy(const lk_loss_spec *spec, size_t N, size_t V, const double *x,
                                      const int32_t *label, double *sums, double *dx)
{
    for (int k = 0; k < LK_N_SUMS; k++) sums[k] = 0.0;
    for (size_t i = 0; i < N * V; i++) dx[i] = 0.0;
    for (size_t n = 0; n < N; n++)
        if (label[n] != spec->ignore_index) twin_row(spec, V, x + n * V, (size_t)label[n], sums, dx + n * V);
}

#endif
