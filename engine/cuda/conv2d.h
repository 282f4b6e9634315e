/* The parts of convolution: its kernels (conv2d.cu), what cuDNN is asked at bind time (conv_plan.cu), and plain kernels for
 * what it refuses (conv_direct.cu).  Private to engine/cuda/. */
#ifndef LK_CUDA_CONV2D_H
#define LK_CUDA_CONV2D_H

#include "engine/cuda/product.h"

/* x (N, H, W, I), w (O, I, KH, KW), y (N, P, Q, O). */
typedef struct conv_shape {
    int64_t N, H, W, I, O, KH, KW, P, Q, stride, padding;
} conv_shape;

/* Some images of the batch, and how they are convolved. */
typedef struct conv_piece {
    int64_t n;                    /* images */
    cudnnTensorDescriptor_t x, y; /* owned */
    int algo;                     /* of the pass's enumeration */
    size_t workspace;             /* bytes */
} conv_piece;

typedef struct conv {
    cuda_ctx *ctx;                /* borrowed */
    cuda_pass pass;
    conv_shape shape;
    product_refs at;
    cuda_weight w, b;             /* b absent in grad_w, which makes db */
    bool bf16, relu;
    bool direct;                  /* cuDNN refuses; nothing below is used but db */
    bool bias_first;              /* y begins as rows of bias */
    bool packed;                  /* dw is made where it lies */
    cudnnFilterDescriptor_t filter;          /* owned, as the following */
    cudnnConvolutionDescriptor_t conv;
    cudnnTensorDescriptor_t bias;
    cudnnActivationDescriptor_t activation;
    conv_piece most, rest;        /* most.n images at a time, then rest.n, which may be 0 */
    size_t widened_x, widened_y, workspace; /* places in scratch; a packed dw is at 0 */
    size_t scratch_nbytes;
    lk_kernel db;                 /* owned; run NULL: nothing to do */
} conv;

/* Whether this pass works on widened copies of x and dy. */
static inline bool conv_widens(const conv *s) { return s->bf16 && s->pass == CUDA_GRAD_W; }
static inline int64_t conv_x_per_image(const conv_shape *s) { return s->H * s->W * s->I; }
static inline int64_t conv_y_per_image(const conv_shape *s) { return s->P * s->Q * s->O; }

/* Makes everything of *s that cuDNN needs, from its shape and types, or sets s->direct. */
lk_status cuda_conv_plan(conv *s, lk_precision precision);
void cuda_conv_unplan(conv *s);

/* All queue.  w: packed (O, KH, KW, I), in the type of the activations, as b; b may be NULL. */
lk_status cuda_conv_direct(cuda_ctx *ctx, const conv_shape *s, void *y, const void *x, const void *w, const void *b,
                           bool relu, bool bf16);
lk_status cuda_conv_direct_grad_x(cuda_ctx *ctx, const conv_shape *s, void *dx, const void *dy, const void *w,
                                  bool bf16);
/* dw: (O, I, KH, KW). */
lk_status cuda_conv_direct_grad_w(cuda_ctx *ctx, const conv_shape *s, float *dw, const void *dy, const void *x,
                                  bool bf16);

#endif
