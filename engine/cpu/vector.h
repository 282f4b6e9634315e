/*
 * One vector of floats of the machine, for the few loops that the compiler's own vectors do not do.  Private to
 * engine/cpu/.
 *
 * n is how many floats there are, from 1 on: of the last vector of a row fewer than CPU_WIDE; no others are touched.
 */
#ifndef LK_CPU_VECTOR_H
#define LK_CPU_VECTOR_H

#include "engine/cpu/bf16.h"

/* a * b + c, rounded once where the processor can.  clang never defines C's own macro; where the processor has the
 * instruction, its builds shall have the bits of gcc's. */
#if defined FP_FAST_FMAF || defined __FMA__ || defined __ARM_FEATURE_FMA
#define CPU_MULTIPLY_ADD(a, b, c) __builtin_fmaf((a), (b), (c))
#else
#define CPU_MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))
#endif

#if defined __AVX512F__ || (defined __AVX2__ && defined __FMA__)
#include <immintrin.h>
#endif

#ifdef __AVX512F__

enum { CPU_WIDE = 16 };
typedef __m512 cpu_vector;

CPU_INLINE __mmask16 cpu_vector_mask(size_t n) { return (__mmask16)(0xffffu >> (CPU_WIDE - n)); }

CPU_INLINE cpu_vector cpu_vector_load(const float *from, size_t n)
{
    return n >= CPU_WIDE ? _mm512_loadu_ps(from) : _mm512_maskz_loadu_ps(cpu_vector_mask(n), from);
}

CPU_INLINE void cpu_vector_store(float *to, cpu_vector v, size_t n)
{
    if (n >= CPU_WIDE) _mm512_storeu_ps(to, v);
    else _mm512_mask_storeu_ps(to, cpu_vector_mask(n), v);
}

CPU_INLINE cpu_vector cpu_vector_all(float x) { return _mm512_set1_ps(x); }
/* a * b + c, as CPU_MULTIPLY_ADD. */
CPU_INLINE cpu_vector cpu_vector_multiply_add(cpu_vector a, cpu_vector b, cpu_vector c)
{
    return _mm512_fmadd_ps(a, b, c);
}

#elif defined __AVX2__ && defined __FMA__

enum { CPU_WIDE = 8 };
typedef __m256 cpu_vector;

CPU_INLINE __m256i cpu_vector_mask(size_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0));
}

CPU_INLINE cpu_vector cpu_vector_load(const float *from, size_t n)
{
    return n >= CPU_WIDE ? _mm256_loadu_ps(from) : _mm256_maskload_ps(from, cpu_vector_mask(n));
}

CPU_INLINE void cpu_vector_store(float *to, cpu_vector v, size_t n)
{
    if (n >= CPU_WIDE) _mm256_storeu_ps(to, v);
    else _mm256_maskstore_ps(to, cpu_vector_mask(n), v);
}

CPU_INLINE cpu_vector cpu_vector_all(float x) { return _mm256_set1_ps(x); }
CPU_INLINE cpu_vector cpu_vector_multiply_add(cpu_vector a, cpu_vector b, cpu_vector c)
{
    return _mm256_fmadd_ps(a, b, c);
}

#else

enum { CPU_WIDE = 4 };
typedef struct cpu_vector { float of[CPU_WIDE]; } cpu_vector;

CPU_INLINE cpu_vector cpu_vector_load(const float *from, size_t n)
{
    cpu_vector v = {{0}};

    for (size_t i = 0; i < CPU_WIDE; i++)
        if (i < n) v.of[i] = from[i];
    return v;
}

CPU_INLINE void cpu_vector_store(float *to, cpu_vector v, size_t n)
{
    for (size_t i = 0; i < CPU_WIDE; i++)
        if (i < n) to[i] = v.of[i];
}

CPU_INLINE cpu_vector cpu_vector_all(float x)
{
    cpu_vector v;

    for (size_t i = 0; i < CPU_WIDE; i++) v.of[i] = x;
    return v;
}

CPU_INLINE cpu_vector cpu_vector_multiply_add(cpu_vector a, cpu_vector b, cpu_vector c)
{
    for (size_t i = 0; i < CPU_WIDE; i++) c.of[i] = CPU_MULTIPLY_ADD(a.of[i], b.of[i], c.of[i]);
    return c;
}

#endif
#endif
