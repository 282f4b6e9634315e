/*
 * The arithmetic behind cudnn.cpp: plain convolutions (cross-correlations) over packed fp32 arrays.
 *
 * x: (N, H, W, C); y: (N, P, Q, K); w: (K, R, S, C / groups).  Gradients are d + name.
 */
#ifndef STANDIN_CONVOLUTION_H
#define STANDIN_CONVOLUTION_H

namespace standin {

struct convolution {
    int N, H, W, C, K, R, S, P, Q;
    int stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, groups;
};

void convolve(const convolution &v, float *y, const float *x, const float *w);
void convolve_grad_x(const convolution &v, float *dx, const float *dy, const float *w);
void convolve_grad_w(const convolution &v, float *dw, const float *dy, const float *x);

} // namespace standin

#endif
