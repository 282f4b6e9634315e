/*
 * Plain twins of the products and pools: loops that read like the formula, in double, for tests to compare with.
 * Layouts are those of the kernels: images (N, H, W, C), weights as PyTorch's.  Results must come in zeroed.
 */
#ifndef TWINS_H
#define TWINS_H

#include <stdbool.h>
#include <stdint.h>

/* y[n,o] = b[o] + sum_i x[n,i] * w[o,i]; b may be NULL. */
static inline void twin_linear(int64_t N, int64_t I, int64_t O, const double *x, const double *w, const double *b,
                               double *y)
{
    for (int64_t n = 0; n < N; n++)
        for (int64_t o = 0; o < O; o++) {
            y[n * O + o] = b ? b[o] : 0.0;
            for (int64_t i = 0; i < I; i++) y[n * O + o] += x[n * I + i] * w[o * I + i];
        }
}

static inline void twin_linear_grad(int64_t N, int64_t I, int64_t O, const double *dy, const double *x, const double *w,
                                    double *dx, double *dw, double *db)
{
    for (int64_t n = 0; n < N; n++)
        for (int64_t o = 0; o < O; o++) {
            db[o] += dy[n * O + o];
            for (int64_t i = 0; i < I; i++) {
                dx[n * I + i] += dy[n * O + o] * w[o * I + i];
                dw[o * I + i] += dy[n * O + o] * x[n * I + i];
            }
        }
}

/* A window of K pixels that slides over an image, down and across; P, Q: its places.  A convolution has groups. */
typedef struct twin_shape {
    int64_t N, H, W, I, O, K[2], stride[2], padding[2], groups, P, Q;
} twin_shape;

static inline twin_shape twin_shape_placed(twin_shape s)
{
    s.P = (s.H + 2 * s.padding[0] - s.K[0]) / s.stride[0] + 1;
    s.Q = (s.W + 2 * s.padding[1] - s.K[1]) / s.stride[1] + 1;
    return s;
}

/* A square window. */
static inline twin_shape twin_shape_of(int64_t N, int64_t H, int64_t W, int64_t I, int64_t O, int64_t K, int64_t stride,
                                       int64_t padding)
{
    return twin_shape_placed((twin_shape){.N = N, .H = H, .W = W, .I = I, .O = O, .K = {K, K},
                                          .stride = {stride, stride}, .padding = {padding, padding}, .groups = 1});
}

static inline int64_t twin_x(const twin_shape *s, int64_t n, int64_t h, int64_t w, int64_t i)
{
    return ((n * s->H + h) * s->W + w) * s->I + i;
}

static inline int64_t twin_y(const twin_shape *s, int64_t n, int64_t p, int64_t q, int64_t o)
{
    return ((n * s->P + p) * s->Q + q) * s->O + o;
}

static inline bool twin_inside(const twin_shape *s, int64_t h, int64_t w)
{
    return h >= 0 && h < s->H && w >= 0 && w < s->W;
}

/* One place (n, p, q) and output channel o: y[n,p,q,o], or what dy[n,p,q,o] adds to dx and dw. */
static inline void twin_conv_place(const twin_shape *s, int64_t n, int64_t p, int64_t q, int64_t o, const double *x,
                                   const double *w, double *y, const double *dy, double *dx, double *dw)
{
    const int64_t yi = twin_y(s, n, p, q, o), I = s->I / s->groups, first = o / (s->O / s->groups) * I;

    for (int64_t r = 0; r < s->K[0]; r++)
        for (int64_t t = 0; t < s->K[1]; t++) {
            const int64_t row = p * s->stride[0] - s->padding[0] + r, col = q * s->stride[1] - s->padding[1] + t;
            if (!twin_inside(s, row, col)) continue;
            for (int64_t i = 0; i < I; i++) {
                const int64_t xi = twin_x(s, n, row, col, first + i), wi = ((o * I + i) * s->K[0] + r) * s->K[1] + t;
                if (y) y[yi] += x[xi] * w[wi];
                if (dx) dx[xi] += dy[yi] * w[wi];
                if (dw) dw[wi] += dy[yi] * x[xi];
            }
        }
}

static inline void twin_conv2d(const twin_shape *s, const double *x, const double *w, const double *b, double *y)
{
    for (int64_t n = 0; n < s->N; n++)
        for (int64_t p = 0; p < s->P; p++)
            for (int64_t q = 0; q < s->Q; q++)
                for (int64_t o = 0; o < s->O; o++) {
                    y[twin_y(s, n, p, q, o)] = b ? b[o] : 0.0;
                    twin_conv_place(s, n, p, q, o, x, w, y, NULL, NULL, NULL);
                }
}

static inline void twin_conv2d_grad(const twin_shape *s, const double *dy, const double *x, const double *w, double *dx,
                                    double *dw, double *db)
{
    for (int64_t n = 0; n < s->N; n++)
        for (int64_t p = 0; p < s->P; p++)
            for (int64_t q = 0; q < s->Q; q++)
                for (int64_t o = 0; o < s->O; o++) {
                    db[o] += dy[twin_y(s, n, p, q, o)];
                    twin_conv_place(s, n, p, q, o, x, w, NULL, dy, dx, dw);
                }
}

/* The pixel that wins window (n, p, q) in channel c, as (row, column) in the window: the first of the greatest. */
static inline void twin_winner(const twin_shape *s, int64_t n, int64_t p, int64_t q, int64_t c, const double *x,
                               int64_t *win_r, int64_t *win_t)
{
    double best = 0.0;
    bool found = false;

    for (int64_t r = 0; r < s->K[0]; r++)
        for (int64_t t = 0; t < s->K[1]; t++) {
            const int64_t row = p * s->stride[0] - s->padding[0] + r, col = q * s->stride[1] - s->padding[1] + t;
            if (!twin_inside(s, row, col)) continue;
            const double value = x[twin_x(s, n, row, col, c)];
            if (found && !(value > best)) continue;
            found = true;
            best = value;
            *win_r = r;
            *win_t = t;
        }
}

/* Max pooling and its gradient at once; s->I and s->O are the channels. */
static inline void twin_max_pool2d(const twin_shape *s, const double *x, const double *dy, double *y, double *winner,
                                   double *dx)
{
    for (int64_t n = 0; n < s->N; n++)
        for (int64_t p = 0; p < s->P; p++)
            for (int64_t q = 0; q < s->Q; q++)
                for (int64_t c = 0; c < s->I; c++) {
                    const int64_t yi = twin_y(s, n, p, q, c);
                    int64_t r = 0, t = 0;

                    twin_winner(s, n, p, q, c, x, &r, &t);
                    const int64_t row = p * s->stride[0] - s->padding[0] + r;
                    const int64_t col = q * s->stride[1] - s->padding[1] + t;
                    const int64_t xi = twin_x(s, n, row, col, c);
                    y[yi] = x[xi];
                    winner[yi] = (double)(r * s->K[1] + t);
                    dx[xi] += dy[yi];
                }
}

static inline void twin_avg_pool2d(const twin_shape *s, const double *x, const double *dy, double *y, double *dx)
{
    const double area = (double)(s->K[0] * s->K[1]);

    for (int64_t n = 0; n < s->N; n++)
        for (int64_t p = 0; p < s->P; p++)
            for (int64_t q = 0; q < s->Q; q++)
                for (int64_t c = 0; c < s->I; c++)
                    for (int64_t r = 0; r < s->K[0]; r++)
                        for (int64_t t = 0; t < s->K[1]; t++) {
                            const int64_t row = p * s->stride[0] - s->padding[0] + r;
                            const int64_t col = q * s->stride[1] - s->padding[1] + t;
                            if (!twin_inside(s, row, col)) continue;
                            y[twin_y(s, n, p, q, c)] += x[twin_x(s, n, row, col, c)] / area;
                            dx[twin_x(s, n, row, col, c)] += dy[twin_y(s, n, p, q, c)] / area;
                        }
}

/* The first place of window i along a side that `to` windows share `from` pixels of, and that behind its last. */
static inline int64_t twin_adaptive_begin(int64_t from, int64_t to, int64_t i) { return i * from / to; }
static inline int64_t twin_adaptive_end(int64_t from, int64_t to, int64_t i)
{
    return (i + 1) * from / to + ((i + 1) * from % to != 0);
}

/* To (P, Q) pixels, and its gradient at once; s->I and s->O are the channels. */
static inline void twin_adaptive_avg_pool2d(const twin_shape *s, const double *x, const double *dy, double *y,
                                            double *dx)
{
    for (int64_t n = 0; n < s->N; n++)
        for (int64_t p = 0; p < s->P; p++)
            for (int64_t q = 0; q < s->Q; q++) {
                const int64_t top = twin_adaptive_begin(s->H, s->P, p), bottom = twin_adaptive_end(s->H, s->P, p);
                const int64_t left = twin_adaptive_begin(s->W, s->Q, q), right = twin_adaptive_end(s->W, s->Q, q);
                const double area = (double)((bottom - top) * (right - left));

                for (int64_t h = top; h < bottom; h++)
                    for (int64_t w = left; w < right; w++)
                        for (int64_t c = 0; c < s->I; c++) {
                            y[twin_y(s, n, p, q, c)] += x[twin_x(s, n, h, w, c)] / area;
                            dx[twin_x(s, n, h, w, c)] += dy[twin_y(s, n, p, q, c)] / area;
                        }
            }
}

#endif
