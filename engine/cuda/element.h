/* What element-wise kernels share: types of activations, and how many threads do n elements.  Private to
 * engine/cuda/. */
#ifndef LK_CUDA_ELEMENT_H
#define LK_CUDA_ELEMENT_H

#include "engine/base/formulas.h"
#include "engine/cuda/cuda.h"

enum { ELEMENT_BLOCK = 256, ELEMENT_BLOCKS_PER_SM = 8, ARENA_MOST_BLOCKS = 1024 };

/* Blocks for n_threads threads; each then goes on in steps of the whole grid. */
static inline unsigned element_blocks(const cuda_ctx *ctx, size_t n_threads)
{
    const size_t most = (size_t)ctx->n_sms * ELEMENT_BLOCKS_PER_SM,
                 wanted = (n_threads + ELEMENT_BLOCK - 1) / ELEMENT_BLOCK;

    return (unsigned)(wanted < 1 ? 1 : wanted < most ? wanted : most);
}

/* The same of a pass over an arena, which any device gets through. */
static inline unsigned arena_blocks(size_t n_threads)
{
    const size_t most = ARENA_MOST_BLOCKS, wanted = (n_threads + ELEMENT_BLOCK - 1) / ELEMENT_BLOCK;

    return (unsigned)(wanted < 1 ? 1 : wanted < most ? wanted : most);
}

static __device__ inline size_t element_first(void) { return blockIdx.x * (size_t)blockDim.x + threadIdx.x; }
static __device__ inline size_t element_step(void) { return gridDim.x * (size_t)blockDim.x; }

/* Element i of an array of float or bfloat16. */
static __device__ inline float element_load(const void *x, size_t i, bool bf16)
{
    return bf16 ? __bfloat162float(((const __nv_bfloat16 *)x)[i]) : ((const float *)x)[i];
}

static __device__ inline void element_store(void *y, size_t i, float value, bool bf16)
{
    if (bf16) ((__nv_bfloat16 *)y)[i] = __float2bfloat16_rn(value);
    else ((float *)y)[i] = value;
}

/* Elements i to i + 3, moved at once: 16 bytes, or 8 of bfloat16, that begin at a multiple of as many. */
static __device__ inline void element_load_four(float v[4], const void *x, size_t i, bool bf16)
{
    if (bf16) {
        const uint2 all = *(const uint2 *)((const __nv_bfloat16 *)x + i);
        v[0] = lk_f32_of_bits(all.x << 16), v[1] = lk_f32_of_bits(all.x & 0xffff0000u);
        v[2] = lk_f32_of_bits(all.y << 16), v[3] = lk_f32_of_bits(all.y & 0xffff0000u);
    } else {
        const float4 all = *(const float4 *)((const float *)x + i);
        v[0] = all.x, v[1] = all.y, v[2] = all.z, v[3] = all.w;
    }
}

static __device__ inline uint32_t element_bf16_bits(float v)
{
    return (uint32_t)__bfloat16_as_ushort(__float2bfloat16_rn(v));
}

static __device__ inline void element_store_four(void *y, size_t i, const float v[4], bool bf16)
{
    if (bf16) {
        uint2 all;
        all.x = element_bf16_bits(v[0]) | element_bf16_bits(v[1]) << 16;
        all.y = element_bf16_bits(v[2]) | element_bf16_bits(v[3]) << 16;
        *(uint2 *)((__nv_bfloat16 *)y + i) = all;
    } else {
        float4 all;
        all.x = v[0], all.y = v[1], all.z = v[2], all.w = v[3];
        *(float4 *)((float *)y + i) = all;
    }
}

/* The same of a row's elements, of which there may be fewer than four: 0 is read in the place of the others, and they
 * are not written.  wide: rows begin where four may be moved at once. */
static __device__ inline void element_load_row(float v[4], const void *x, size_t i, size_t n, bool wide, bool bf16)
{
    if (wide && n >= 4) {
        element_load_four(v, x, i, bf16);
    } else {
#pragma unroll
        for (size_t k = 0; k < 4; k++) v[k] = k < n ? element_load(x, i + k, bf16) : 0.0f;
    }
}

static __device__ inline void element_store_row(void *y, size_t i, size_t n, const float v[4], bool wide, bool bf16)
{
    if (wide && n >= 4) {
        element_store_four(y, i, v, bf16);
    } else {
#pragma unroll
        for (size_t k = 0; k < 4; k++)
            if (k < n) element_store(y, i + k, v[k], bf16);
    }
}

#endif
