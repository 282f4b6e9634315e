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

/* Transposes of CPU_TURN x CPU_TURN elements: to (., to_row) of from (., from_row). */
enum { CPU_TURN = 8 };

#ifdef __AVX2__

CPU_INLINE void cpu_turn(float *restrict to, size_t to_row, const float *restrict from, size_t from_row)
{
    __m256 r[CPU_TURN], s[CPU_TURN];

    /* Neighbours of two rows, then of four, then the halves of all. */
    for (size_t i = 0; i < CPU_TURN; i++) r[i] = _mm256_loadu_ps(from + i * from_row);
    for (size_t i = 0; i < CPU_TURN; i += 2) {
        s[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        s[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    for (size_t i = 0; i < CPU_TURN; i += 4)
        for (size_t half = 0; half < 2; half++) {
            r[i + 2 * half] = _mm256_shuffle_ps(s[i + half], s[i + half + 2], _MM_SHUFFLE(1, 0, 1, 0));
            r[i + 2 * half + 1] = _mm256_shuffle_ps(s[i + half], s[i + half + 2], _MM_SHUFFLE(3, 2, 3, 2));
        }
    for (size_t i = 0; i < CPU_TURN / 2; i++) {
        _mm256_storeu_ps(to + i * to_row, _mm256_permute2f128_ps(r[i], r[i + CPU_TURN / 2], 0x20));
        _mm256_storeu_ps(to + (i + CPU_TURN / 2) * to_row, _mm256_permute2f128_ps(r[i], r[i + CPU_TURN / 2], 0x31));
    }
}

#else

CPU_INLINE void cpu_turn(float *restrict to, size_t to_row, const float *restrict from, size_t from_row)
{
    for (size_t i = 0; i < CPU_TURN; i++)
        for (size_t j = 0; j < CPU_TURN; j++) to[j * to_row + i] = from[i * from_row + j];
}

#endif
#endif
