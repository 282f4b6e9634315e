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

/* Sums as LK_N_SUMS has them; dx is the gradient of the sum of terms. */
static inline void twin_regression(bool l1, size_t n, const double *x, const double *target, double sums[LK_N_SUMS],
                                   double *dx)
{
    for (int k = 0; k < LK_N_SUMS; k++) sums[k] = 0.0;
    for (size_t i = 0; i < n; i++) {
        const double d = x[i] - target[i];

        sums[LK_SUM_SQUARED] += d * d;
        sums[LK_SUM_ABS] += fabs(d);
        sums[LK_SUM_COUNT] += 1.0;
        dx[i] = l1 ? (d > 0.0) - (d < 0.0) : 2.0 * d;
    }
    sums[LK_SUM_LOSS] = sums[l1 ? LK_SUM_ABS : LK_SUM_SQUARED];
}

static inline void twin_cross_entropy(size_t N, size_t V, double smoothing, int32_t ignore_index, const double *x,
                                      const int32_t *label, double sums[LK_N_SUMS], double *dx)
{
    for (int k = 0; k < LK_N_SUMS; k++) sums[k] = 0.0;
    for (size_t n = 0; n < N; n++) {
        const double *xn = x + n * V;
        double sum_exp = 0.0;
        size_t best = 0;

        for (size_t v = 0; v < V; v++) {
            sum_exp += exp(xn[v]);
            if (xn[v] > xn[best]) best = v;
        }
        for (size_t v = 0; v < V; v++) {
            const double wanted = (v == (size_t)label[n]) * (1.0 - smoothing) + smoothing / (double)V;
            dx[n * V + v] = label[n] == ignore_index ? 0.0 : exp(xn[v]) / sum_exp - wanted;
            if (label[n] != ignore_index) sums[LK_SUM_LOSS] += wanted * (log(sum_exp) - xn[v]);
        }
        sums[LK_SUM_COUNT] += label[n] != ignore_index;
        sums[LK_SUM_CORRECT] += label[n] != ignore_index && (size_t)label[n] == best;
    }
}

#endif
