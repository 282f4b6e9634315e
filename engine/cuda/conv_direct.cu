/*
 * Convolution as its formula reads: a thread makes one element of the result and adds in one order.
 *
 * For shapes and types that the library has nothing for; slow, and right for every shape.
 */
#include "engine/cuda/conv2d.h"

static __global__ void forward(conv_shape s, void *y, const void *x, const void *w, const void *b, bool bf16)
{
    const int64_t n_elem = s.N * s.P * s.Q * s.O;

    for (int64_t k = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; k < n_elem; k += gridDim.x * (int64_t)blockDim.x) {
        const int64_t o = k % s.O, q = k / s.O % s.Q, p = k / s.O / s.Q % s.P, n = k / s.O / s.Q / s.P;
        const int64_t I = conv_group_in(&s), first = o / conv_group_out(&s) * I;
        float sum = b ? element_load(b, (size_t)o, bf16) : 0.0f;

        for (int64_t r = 0; r < s.KH; r++) {
            const int64_t h = p * s.stride_h - s.padding_h + r;
            for (int64_t t = 0; h >= 0 && h < s.H && t < s.KW; t++) {
                const int64_t v = q * s.stride_w - s.padding_w + t;
                if (v < 0 || v >= s.W) continue;
                const int64_t at_x = ((n * s.H + h) * s.W + v) * s.I + first, at_w = ((o * s.KH + r) * s.KW + t) * I;
                for (int64_t i = 0; i < I; i++)
                    sum += element_load(x, (size_t)(at_x + i), bf16) * element_load(w, (size_t)(at_w + i), bf16);
            }
        }
        element_store(y, (size_t)k, sum, bf16);
    }
}

static __global__ void grad_x(conv_shape s, void *dx, const void *dy, const void *w, bool bf16)
{
    const int64_t n_elem = s.N * s.H * s.W * s.I;

    for (int64_t k = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; k < n_elem; k += gridDim.x * (int64_t)blockDim.x) {
        const int64_t i = k % s.I, v = k / s.I % s.W, h = k / s.I / s.W % s.H, n = k / s.I / s.W / s.H;
        const int64_t I = conv_group_in(&s), O = conv_group_out(&s), first = i / I * O;
        float sum = 0.0f;

        for (int64_t r = 0; r < s.KH; r++) {
            const int64_t down = h + s.padding_h - r, p = down / s.stride_h;
            if (down < 0 || down % s.stride_h || p >= s.P) continue;
            for (int64_t t = 0; t < s.KW; t++) {
                const int64_t across = v + s.padding_w - t, q = across / s.stride_w;
                if (across < 0 || across % s.stride_w || q >= s.Q) continue;
                const int64_t at_dy = ((n * s.P + p) * s.Q + q) * s.O;
                for (int64_t o = first; o < first + O; o++)
                    sum += element_load(dy, (size_t)(at_dy + o), bf16) *
                           element_load(w, (size_t)(((o * s.KH + r) * s.KW + t) * I + i % I), bf16);
            }
        }
        element_store(dx, (size_t)k, sum, bf16);
    }
}

/* The sum is long, so it is kept in double. */
static __global__ void grad_w(conv_shape s, float *dw, const void *dy, const void *x, bool bf16)
{
    const int64_t I = conv_group_in(&s), n_elem = s.O * I * s.KH * s.KW;

    for (int64_t k = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; k < n_elem; k += gridDim.x * (int64_t)blockDim.x) {
        const int64_t t = k % s.KW, r = k / s.KW % s.KH, o = k / s.KW / s.KH / I;
        const int64_t i = o / conv_group_out(&s) * I + k / s.KW / s.KH % I;
        double sum = 0.0;

        for (int64_t row = 0; row < s.N * s.P; row++) {
            const int64_t n = row / s.P, h = row % s.P * s.stride_h - s.padding_h + r;
            for (int64_t q = 0; h >= 0 && h < s.H && q < s.Q; q++) {
                const int64_t v = q * s.stride_w - s.padding_w + t;
                if (v < 0 || v >= s.W) continue;
                sum += (double)element_load(dy, (size_t)((row * s.Q + q) * s.O + o), bf16) *
                       (double)element_load(x, (size_t)(((n * s.H + h) * s.W + v) * s.I + i), bf16);
            }
        }
        dw[k] = (float)sum;
    }
}

lk_status cuda_conv_direct(cuda_ctx *ctx, const conv_shape *s, void *y, const void *x, const void *w, const void *b,
                           bool bf16)
{
    const size_t n_elem = (size_t)(s->N * s->P * s->Q * s->O);

    LK_LAUNCH_FLAT(forward, element_blocks(ctx, n_elem), ELEMENT_BLOCK, ctx->stream, *s, y, x, w, b, bf16);
    return LK_OK;
}

lk_status cuda_conv_direct_grad_x(cuda_ctx *ctx, const conv_shape *s, void *dx, const void *dy, const void *w,
                                  bool bf16)
{
    const size_t n_elem = (size_t)(s->N * s->H * s->W * s->I);

    LK_LAUNCH_FLAT(grad_x, element_blocks(ctx, n_elem), ELEMENT_BLOCK, ctx->stream, *s, dx, dy, w, bf16);
    return LK_OK;
}

lk_status cuda_conv_direct_grad_w(cuda_ctx *ctx, const conv_shape *s, float *dw, const void *dy, const void *x,
                                  bool bf16)
{
    const size_t n_elem = (size_t)conv_n_weights(s);

    LK_LAUNCH_FLAT(grad_w, element_blocks(ctx, n_elem), ELEMENT_BLOCK, ctx->stream, *s, dw, dy, x, bf16);
    return LK_OK;
}
