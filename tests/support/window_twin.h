/*
 * Attention within windows as torchvision's shifted_window_attention() does it, in doubles: the image is padded, rolled
 * and cut; the mask comes from numbered slices.  And its gradient, through the same steps.
 */
#ifndef WINDOW_TWIN_H
#define WINDOW_TWIN_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

typedef struct window_twin {
    int64_t N, H, W, heads, D, M, shift;
    const double *qkv, *table, *pad, *dy; /* (N, H, W, 3C), ((2M-1)^2, heads), (3C), (N, H, W, C) */
    const double *factor;                 /* (N, windows, heads, T, T): what dropout multiplies P by; NULL: nothing */
    double *y, *dqkv, *dtable, *dpad;     /* the results; dtable and dpad begin as zeros */
} window_twin;

typedef struct twin_axis { int64_t side, padded, shift; } twin_axis;

static inline twin_axis twin_axis_of(const window_twin *t, int64_t side)
{
    const int64_t padded = (side + t->M - 1) / t->M * t->M;

    return (twin_axis){side, padded, t->M >= padded ? 0 : t->shift};
}

/* Number of the slice of [0:-M], [-M:-shift], [-shift:] that has this place; the last one to claim it. */
static inline int64_t twin_slice(const window_twin *t, twin_axis axis, int64_t place)
{
    if (place >= axis.padded - axis.shift || axis.shift == 0) return 2;
    return place >= axis.padded - t->M ? 1 : 0;
}

/* One token of a window. */
typedef struct twin_token {
    int64_t at;        /* its row in qkv; -1: padding */
    int64_t i, k;      /* in the window */
    int64_t slice;
} twin_token;

static inline twin_token twin_token_of(const window_twin *t, int64_t n, int64_t down, int64_t across, int64_t place)
{
    const twin_axis h = twin_axis_of(t, t->H), w = twin_axis_of(t, t->W);
    const int64_t rolled_h = down * t->M + place / t->M, rolled_w = across * t->M + place % t->M;
    const int64_t from_h = (rolled_h + h.shift) % h.padded, from_w = (rolled_w + w.shift) % w.padded;

    return (twin_token){
        .at = from_h < t->H && from_w < t->W ? (n * t->H + from_h) * t->W + from_w : -1,
        .i = place / t->M, .k = place % t->M, .slice = 3 * twin_slice(t, h, rolled_h) + twin_slice(t, w, rolled_w),
    };
}

/* Channel c of the third `which` of a token in one head. */
static inline double twin_qkv(const window_twin *t, twin_token token, int which, int64_t head, int64_t c)
{
    const int64_t C = t->heads * t->D, channel = which * C + head * t->D + c;

    return token.at < 0 ? t->pad[channel] : t->qkv[token.at * 3 * C + channel];
}

static inline void twin_add(const window_twin *t, twin_token token, int which, int64_t head, int64_t c, double value)
{
    const int64_t C = t->heads * t->D, channel = which * C + head * t->D + c;

    if (token.at < 0) t->dpad[channel] += value;
    else t->dqkv[token.at * 3 * C + channel] += value;
}

static inline int64_t twin_index(const window_twin *t, twin_token q, twin_token k)
{
    return (q.i - k.i + t->M - 1) * (2 * t->M - 1) + q.k - k.k + t->M - 1;
}

/* p (T): softmax of one query's logits. */
static inline void twin_softmax(const window_twin *t, twin_token q, const twin_token *tokens, int64_t head, double *p)
{
    const int64_t T = t->M * t->M;
    double sum = 0.0;

    for (int64_t u = 0; u < T; u++) {
        p[u] = t->table[twin_index(t, q, tokens[u]) * t->heads + head] + (q.slice != tokens[u].slice ? -100.0 : 0.0);
        for (int64_t c = 0; c < t->D; c++)
            p[u] += twin_qkv(t, q, 0, head, c) * twin_qkv(t, tokens[u], 1, head, c) / sqrt((double)t->D);
        sum += p[u] = exp(p[u]);
    }
    for (int64_t u = 0; u < T; u++) p[u] /= sum;
}

/* One query of one head. */
static inline void twin_query(const window_twin *t, twin_token q, const twin_token *tokens, int64_t head,
                              const double *factor, double *p, double *dp)
{
    const int64_t T = t->M * t->M, C = t->heads * t->D;
    const double root = sqrt((double)t->D);
    double sum = 0.0;

    if (q.at < 0) return;
    twin_softmax(t, q, tokens, head, p);
    for (int64_t u = 0; u < T; u++) {
        const double f = factor ? factor[u] : 1.0;

        dp[u] = 0.0;
        for (int64_t c = 0; c < t->D; c++) {
            const double dy = t->dy[q.at * C + head * t->D + c];

            t->y[q.at * C + head * t->D + c] += p[u] * f * twin_qkv(t, tokens[u], 2, head, c);
            twin_add(t, tokens[u], 2, head, c, p[u] * f * dy);
            dp[u] += dy * f * twin_qkv(t, tokens[u], 2, head, c);
        }
        sum += p[u] * dp[u];
    }
    for (int64_t u = 0; u < T; u++) {
        const double ds = p[u] * (dp[u] - sum);

        t->dtable[twin_index(t, q, tokens[u]) * t->heads + head] += ds;
        for (int64_t c = 0; c < t->D; c++) {
            twin_add(t, q, 0, head, c, ds * twin_qkv(t, tokens[u], 1, head, c) / root);
            twin_add(t, tokens[u], 1, head, c, ds * twin_qkv(t, q, 0, head, c) / root);
        }
    }
}

/* y and the gradients, which begin as zeros. */
static inline void window_twin_run(const window_twin *t)
{
    const int64_t T = t->M * t->M, down = (t->H + t->M - 1) / t->M, across = (t->W + t->M - 1) / t->M;
    twin_token *tokens = malloc((size_t)T * sizeof *tokens);
    double *p = malloc((size_t)T * sizeof *p), *dp = malloc((size_t)T * sizeof *dp);

    for (int64_t w = 0; w < t->N * down * across; w++) {
        for (int64_t u = 0; u < T; u++)
            tokens[u] = twin_token_of(t, w / (down * across), w / across % down, w % across, u);
        for (int64_t head = 0; head < t->heads; head++)
            for (int64_t u = 0; u < T; u++)
                twin_query(t, tokens[u], tokens, head,
                           t->factor ? t->factor + ((w * t->heads + head) * T + u) * T : NULL, p, dp);
    }
    free(dp), free(p), free(tokens);
}

#endif
