/*
 *     y[n,p,q,k]  = sum_r,s,c  x[n,h,w,c] w[k,r,s,c]            h = p stride_h - pad_h + r dilation_h, w alike
 *     dx[n,h,w,c] = sum_r,s,k  dy[n,p,q,k] w[k,r,s,c]           over the p, q that reach h, w
 *     dw[k,r,s,c] = sum_n,p (sum_q  dy[n,p,q,k] x[n,h,w,c])     row by row, image by image: long sums stay accurate
 *
 * The innermost loops run along channels in memory.
 */
#include "tests/gpu/standin/convolution.h"

#include <cstddef>
#include <vector>

namespace standin {

/* w[k,r,s,c] as [g,r,s,c,k]. */
static std::vector<float> filters_last(const convolution &v, const float *w)
{
    const size_t C = (size_t)(v.C / v.groups), K = (size_t)(v.K / v.groups), taps = (size_t)v.R * v.S * C;
    std::vector<float> out((size_t)v.K * taps);

    for (size_t k = 0; k < (size_t)v.K; k++)
        for (size_t t = 0; t < taps; t++) out[((k / K) * taps + t) * K + k % K] = w[k * taps + t];
    return out;
}

/* Where input position `at` of a filter tap lies in x, or -1 outside. */
static int input_at(int out, int tap, int stride, int pad, int dilation, int size)
{
    const int at = out * stride - pad + tap * dilation;
    return at >= 0 && at < size ? at : -1;
}

/* The output position that reads input position `at` with this tap, or -1. */
static int output_at(int in, int tap, int stride, int pad, int dilation, int size)
{
    const int at = in + pad - tap * dilation;
    return at >= 0 && at % stride == 0 && at / stride < size ? at / stride : -1;
}

static const float *pixel(const float *at, int n, int h, int w, int H, int W, int C)
{
    return at + (((size_t)n * H + h) * W + w) * C;
}

/* y[0 .. K) of one group at one position. */
static void gather_y(const convolution &v, float *y, const float *x, const float *wt, int g, int n, int p, int q)
{
    const int C = v.C / v.groups, K = v.K / v.groups;

    for (int k = 0; k < K; k++) y[k] = 0.0f;
    for (int r = 0; r < v.R; r++)
        for (int s = 0; s < v.S; s++) {
            const int h = input_at(p, r, v.stride_h, v.pad_h, v.dilation_h, v.H);
            const int w = input_at(q, s, v.stride_w, v.pad_w, v.dilation_w, v.W);
            if (h < 0 || w < 0) continue;
            const float *xn = pixel(x, n, h, w, v.H, v.W, v.C) + g * C;
            const float *row = wt + ((size_t)(g * v.R + r) * v.S + s) * C * K;
            for (int c = 0; c < C; c++)
                for (int k = 0; k < K; k++) y[k] += xn[c] * row[(size_t)c * K + k];
        }
}

void convolve(const convolution &v, float *y, const float *x, const float *w)
{
    const std::vector<float> wt = filters_last(v, w);

    for (int n = 0; n < v.N; n++)
        for (int p = 0; p < v.P; p++)
            for (int q = 0; q < v.Q; q++)
                for (int g = 0; g < v.groups; g++)
                    gather_y(v, (float *)pixel(y, n, p, q, v.P, v.Q, v.K) + g * (v.K / v.groups), x, wt.data(), g, n, p, q);
}

static void gather_dx(const convolution &v, float *dx, const float *dy, const float *w, int g, int n, int h, int wx)
{
    const int C = v.C / v.groups, K = v.K / v.groups;

    for (int c = 0; c < C; c++) dx[c] = 0.0f;
    for (int r = 0; r < v.R; r++)
        for (int s = 0; s < v.S; s++) {
            const int p = output_at(h, r, v.stride_h, v.pad_h, v.dilation_h, v.P);
            const int q = output_at(wx, s, v.stride_w, v.pad_w, v.dilation_w, v.Q);
            if (p < 0 || q < 0) continue;
            const float *dyn = pixel(dy, n, p, q, v.P, v.Q, v.K) + g * K;
            for (int k = 0; k < K; k++) {
                const float *row = w + (((size_t)(g * K + k) * v.R + r) * v.S + s) * C;
                for (int c = 0; c < C; c++) dx[c] += dyn[k] * row[c];
            }
        }
}

void convolve_grad_x(const convolution &v, float *dx, const float *dy, const float *w)
{
    for (int n = 0; n < v.N; n++)
        for (int h = 0; h < v.H; h++)
            for (int wx = 0; wx < v.W; wx++)
                for (int g = 0; g < v.groups; g++)
                    gather_dx(v, (float *)pixel(dx, n, h, wx, v.H, v.W, v.C) + g * (v.C / v.groups), dy, w, g, n, h, wx);
}

/* What position (p, q) of image n adds to dw of one group. */
static void scatter_dw(const convolution &v, float *dw, const float *dy, const float *x, int g, int n, int p, int q)
{
    const int C = v.C / v.groups, K = v.K / v.groups;
    const float *dyn = pixel(dy, n, p, q, v.P, v.Q, v.K) + g * K;

    for (int r = 0; r < v.R; r++)
        for (int s = 0; s < v.S; s++) {
            const int h = input_at(p, r, v.stride_h, v.pad_h, v.dilation_h, v.H);
            const int w = input_at(q, s, v.stride_w, v.pad_w, v.dilation_w, v.W);
            if (h < 0 || w < 0) continue;
            const float *xn = pixel(x, n, h, w, v.H, v.W, v.C) + g * C;
            for (int k = 0; k < K; k++) {
                float *row = dw + (((size_t)(g * K + k) * v.R + r) * v.S + s) * C;
                for (int c = 0; c < C; c++) row[c] += dyn[k] * xn[c];
            }
        }
}

static void add_to(std::vector<float> *sum, const std::vector<float> &part)
{
    for (size_t i = 0; i < part.size(); i++) (*sum)[i] += part[i];
}

void convolve_grad_w(const convolution &v, float *dw, const float *dy, const float *x)
{
    const size_t n_elem = (size_t)v.K * v.R * v.S * (v.C / v.groups);
    std::vector<float> all(n_elem), image(n_elem), row(n_elem);

    for (int n = 0; n < v.N; n++) {
        image.assign(n_elem, 0.0f);
        for (int p = 0; p < v.P; p++) {
            row.assign(n_elem, 0.0f);
            for (int q = 0; q < v.Q; q++)
                for (int g = 0; g < v.groups; g++) scatter_dw(v, row.data(), dy, x, g, n, p, q);
            add_to(&image, row);
        }
        add_to(&all, image);
    }
    for (size_t i = 0; i < n_elem; i++) dw[i] = all[i];
}

} // namespace standin
