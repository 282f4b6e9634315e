/*
 * A convolution of a library: one pass over some images.  The seam: conv_cudnn.cu has it from cuDNN,
 * tests/gpu/standin from loops.  Private to engine/cuda/.
 */
#ifndef LK_CUDA_CONV_H
#define LK_CUDA_CONV_H

#include "engine/cuda/cuda.h"

/* x (N, H, W, I), w (O, KH, KW, I / groups), y (N, P, Q, O).  N may be a part of a batch; stride and padding are those
 * of the height and of the width. */
typedef struct conv_shape {
    int64_t N, H, W, I, O, KH, KW, P, Q, stride_h, stride_w, padding_h, padding_w, groups;
} conv_shape;

/* Input and output channels of a group. */
static inline __host__ __device__ int64_t conv_group_in(const conv_shape *s) { return s->I / s->groups; }
static inline __host__ __device__ int64_t conv_group_out(const conv_shape *s) { return s->O / s->groups; }
static inline int64_t conv_n_weights(const conv_shape *s) { return s->O * s->KH * s->KW * conv_group_in(s); }

/* Sums are fp32, in an order that is fixed by this alone, the device's model and the library's version. */
typedef struct cuda_conv_spec {
    cuda_pass pass;         /* makes y, dx or dw of the other two; gradients stand in the places of what they are of */
    conv_shape shape;
    bool bf16;              /* everything is bf16; else fp32 */
    bool tf32;              /* fp32 factors may be rounded to TF32 */
    bool bias;              /* forward: y = conv + b, rounded once */
    bool add;               /* the result is added to what is there, and rounded once */
    uint32_t align_x, align_w, align_b, align_y; /* bytes */
    size_t most_workspace;  /* bytes */
} cuda_conv_spec;

/* b NULL where the spec has none; the pass's result is one of them. */
typedef struct cuda_conv_at {
    const void *x, *w, *b, *y;
    void *workspace;
} cuda_conv_at;

typedef struct cuda_conv cuda_conv;

/* Of ctx->dnn, which the first cuda_conv_new() opens.  The library's version, 91900 for 9.19.0. */
void   cuda_conv_close(cuda_ctx *ctx);
size_t cuda_conv_version(void);

/* *out is NULL and the status LK_OK where the library has nothing for it. */
lk_status cuda_conv_new(cuda_ctx *ctx, const cuda_conv_spec *spec, cuda_conv **out);
void      cuda_conv_free(cuda_conv **conv);
/* Bytes that a run wants. */
size_t    cuda_conv_workspace(const cuda_conv *conv);
/* Which algorithm it is, for lk_kernel.choice. */
uint64_t  cuda_conv_choice(const cuda_conv *conv);
/* Queues it on ctx->stream. */
lk_status cuda_conv_run(cuda_conv *conv, const cuda_conv_at *at);

#endif
