/* The parts of convolution: its kernels (conv2d.cu), what is settled at bind time (conv_plan.cu), and plain kernels for
 * what the library refuses (conv_direct.cu).  Private to engine/cuda/. */
#ifndef LK_CUDA_CONV2D_H
#define LK_CUDA_CONV2D_H

#include "engine/cuda/conv.h"
#include "engine/cuda/product.h"

/* Some images of the batch, and what convolves them. */
typedef struct conv_piece {
    int64_t n;      /* images; 0: there is no such piece */
    cuda_conv *run; /* owned */
} conv_piece;

typedef struct conv {
    cuda_ctx *ctx;  /* borrowed */
    cuda_pass pass;
    conv_shape shape;
    product_refs at;
    cuda_weight w, b;             /* b absent in grad_w, which makes db */
    bool bf16;
    bool direct;                  /* the library has nothing for it; nothing below is used but db */
    bool bias_first;              /* y begins as rows of bias */
    bool packed;                  /* dw is made where it lies */
    conv_piece first, again, rest; /* first.n images, then as many once and again, then rest.n */
    size_t widened_x, widened_y, workspace; /* places in scratch; a packed dw is at 0 */
    size_t scratch_nbytes;
    lk_kernel db;                 /* owned; run NULL: nothing to do */
} conv;

/* Whether this pass works on widened copies of x and dy. */
static inline bool conv_widens(const conv *s) { return s->bf16 && s->pass == CUDA_GRAD_W; }
static inline int64_t conv_x_per_image(const conv_shape *s) { return s->H * s->W * s->I; }
static inline int64_t conv_y_per_image(const conv_shape *s) { return s->P * s->Q * s->O; }

static inline size_t conv_activation_size(const conv *s) { return s->bf16 ? sizeof(__nv_bfloat16) : sizeof(float); }

/* Settles the pieces of *s and scratch, from its shape and types, or sets s->direct. */
lk_status cuda_conv_plan(conv *s, lk_precision precision);
void cuda_conv_unplan(conv *s);

/* All queue.  w: packed (O, KH, KW, I / groups), in the type of the activations, as b; b may be NULL. */
lk_status cuda_conv_direct(cuda_ctx *ctx, const conv_shape *s, void *y, const void *x, const void *w, const void *b,
                           bool bf16);
lk_status cuda_conv_direct_grad_x(cuda_ctx *ctx, const conv_shape *s, void *dx, const void *dy, const void *w,
                                  bool bf16);
/* dw: (O, I / groups, KH, KW). */
lk_status cuda_conv_direct_grad_w(cuda_ctx *ctx, const conv_shape *s, float *dw, const void *dy, const void *x,
                                  bool bf16);

#endif
