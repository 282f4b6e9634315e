/*
 * Windows of an image as kernels see them: where their tokens are and what these have.  Private to engine/cuda/.
 *
 * The formulas, and which windows there are, say engine/ops/window_attention.c and engine/cpu/windows.h.
 */
#ifndef LK_CUDA_WINDOWS_CUH
#define LK_CUDA_WINDOWS_CUH

#include "engine/cuda/element.h"

#define WINDOW_OUTSIDE SIZE_MAX
#define WINDOW_UNSEEN (-100.0f) /* torchvision's */

/* Arrays and sizes of one node; D channels a head, T = M M tokens a window.  Sizes have 32 bits, for they are divided
 * by, and threads want the registers. */
typedef struct windows {
    const void *qkv, *dy;
    const float *table, *pad;
    unsigned H, W, C, heads, D, M, T, down, across;
    unsigned shift[2];
    unsigned n_windows;
    float inv_root;
    bool bf16;
    float *p, *ds; /* (windows, heads, keys, queries): P as v meets it; dS.  Queries are neighbours, as threads are */
} windows;

/* Along one axis: where the place-th token of the window-th of n windows is, and which end of the image it is from. */
static __device__ inline unsigned axis_at(unsigned M, unsigned shift, unsigned window, unsigned n, unsigned place)
{
    const unsigned at = window * M + place + shift;

    return at < n * M ? at : at - n * M;
}
static __device__ inline int axis_end(unsigned M, unsigned shift, unsigned window, unsigned n, unsigned place)
{
    return window + 1 == n && place >= M - shift;
}

/* Row of qkv and y of token t. */
static __device__ inline size_t window_token(const windows *s, unsigned window, unsigned t)
{
    const unsigned in_sample = window % (s->down * s->across);
    const unsigned h = axis_at(s->M, s->shift[0], in_sample / s->across, s->down, t / s->M);
    const unsigned w = axis_at(s->M, s->shift[1], in_sample % s->across, s->across, t % s->M);

    return h < s->H && w < s->W ? ((size_t)(window / (s->down * s->across)) * s->H + h) * s->W + w
                                  : WINDOW_OUTSIDE;
}

static __device__ inline int window_region(const windows *s, unsigned window, unsigned t)
{
    const unsigned in_sample = window % (s->down * s->across);

    return 2 * axis_end(s->M, s->shift[0], in_sample / s->across, s->down, t / s->M) +
           axis_end(s->M, s->shift[1], in_sample % s->across, s->across, t % s->M);
}

/* Row of the table for query t and key u. */
static __device__ inline unsigned window_relative(const windows *s, unsigned t, unsigned u)
{
    return (t / s->M + s->M - 1 - u / s->M) * (2 * s->M - 1) + t % s->M + s->M - 1 - u % s->M;
}

/* Channel of a token's q, k and v (3C); of one outside what pad has, rounded as the layer that makes qkv rounds it. */
static __device__ inline float window_load(const windows *s, size_t token, unsigned channel)
{
    if (token != WINDOW_OUTSIDE) return element_load(s->qkv, token * 3 * s->C + channel, s->bf16);
    return s->bf16 ? __bfloat162float(__float2bfloat16_rn(s->pad[channel])) : s->pad[channel];
}

/* Place in p and ds of key u and query t. */
static __device__ inline size_t window_pair(const windows *s, unsigned window, unsigned head, unsigned u, unsigned t)
{
    return ((size_t)(window * s->heads + head) * s->T + u) * s->T + t;
}

#endif
