/* What element-wise kernels share: types of activations, and how many threads do n elements.  Private to
 * engine/cuda/. */
#ifndef LK_CUDA_ELEMENT_H
#define LK_CUDA_ELEMENT_H

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

#endif
