/*
 * bfloat16: the upper half of a float.  Loops over either type of activation are written once, with the dtype as a
 * constant argument of an inline function, so that the compiler makes one vectorised loop per type:
 *
 *     static inline void relu(void *y, const void *x, size_t n, lk_dtype dtype)
 *     {
 *         for (size_t i = 0; i < n; i++) cpu_store(y, i, fmaxf(cpu_load(x, i, dtype), 0.0f), dtype);
 *     }
 *     ... dtype == LK_DTYPE_F32 ? relu(y, x, n, LK_DTYPE_F32) : relu(y, x, n, LK_DTYPE_BF16);
 */
#ifndef LK_CPU_BF16_H
#define LK_CPU_BF16_H

#include "engine/graph/graph.h"

#include <string.h>

/* For the loop functions described above: without it the compiler may keep dtype as a variable. */
#define CPU_INLINE static inline __attribute__((always_inline))

CPU_INLINE float cpu_bf16_to_f32(uint16_t h)
{
    const uint32_t bits = (uint32_t)h << 16;
    float f;

    memcpy(&f, &bits, sizeof f);
    return f;
}

/* Rounds to nearest, ties to even; a NaN stays one (made quiet), what is too large becomes infinity. */
CPU_INLINE uint16_t cpu_bf16_from_f32(float f)
{
    uint32_t bits;

    memcpy(&bits, &f, sizeof bits);
    const uint32_t quiet_nan = (bits >> 16) | 0x40u;
    const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    return (uint16_t)((bits & 0x7fffffffu) > 0x7f800000u ? quiet_nan : rounded);
}

/* Element i of an array of float or bfloat16. */
CPU_INLINE float cpu_load(const void *x, size_t i, lk_dtype dtype)
{
    return dtype == LK_DTYPE_BF16 ? cpu_bf16_to_f32(((const uint16_t *)x)[i]) : ((const float *)x)[i];
}

CPU_INLINE void cpu_store(void *y, size_t i, float value, lk_dtype dtype)
{
    if (dtype == LK_DTYPE_BF16)
        ((uint16_t *)y)[i] = cpu_bf16_from_f32(value);
    else
        ((float *)y)[i] = value;
}

#endif
