/*
 * Philox4x32-10 (base/philox.h) of eight counters at once: the words of one group of dropout.  Private to engine/cpu/.
 *
 * A counter's word is the lower half of a lane of 64 bits, for there is an instruction that multiplies lower halves to
 * whole lanes.  Left to itself the compiler takes 64-bit products, which cost three times as much or more.  What
 * the upper halves hold is nobody's: products do not read them, and the last step leaves them behind.
 */
#ifndef LK_CPU_PHILOX_H
#define LK_CPU_PHILOX_H

#include "engine/base/formulas.h"
#include "engine/base/philox.h"
#include "engine/cpu/bf16.h"

enum { CPU_PHILOX_COUNTERS = LK_DROPOUT_BLOCKS };

/* The first counter's words; the others' have c0 + 1, c0 + 2, ... */
typedef struct cpu_philox_counter { uint32_t c0, c1, c2, c3; } cpu_philox_counter;

#if defined __AVX512F__ || defined __AVX2__

#include <immintrin.h>

#ifdef __AVX512F__

enum { CPU_PHILOX_VECTORS = 1 };
typedef __m512i cpu_philox_vector;

#define CPU_PHILOX_ALL(word) _mm512_set1_epi32((int)(word))
#define CPU_PHILOX_NEXT(v, first) _mm512_add_epi32(v, _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0))
#define CPU_PHILOX_PRODUCT(a, b) _mm512_mul_epu32(a, b)
#define CPU_PHILOX_UPPER(v) _mm512_shuffle_epi32(v, _MM_PERM_DDBB)
#define CPU_PHILOX_XOR(a, b, c) _mm512_ternarylogic_epi32(a, b, c, 0x96 /* a ^ b ^ c */)

CPU_INLINE void cpu_philox_store(uint32_t *to, const cpu_philox_vector v[CPU_PHILOX_VECTORS])
{
    _mm256_storeu_si256((__m256i *)to, _mm512_cvtepi64_epi32(v[0]));
}

#else

enum { CPU_PHILOX_VECTORS = 2 };
typedef __m256i cpu_philox_vector;

#define CPU_PHILOX_ALL(word) _mm256_set1_epi32((int)(word))
#define CPU_PHILOX_NEXT(v, first) _mm256_add_epi32(v, _mm256_set_epi64x((first) + 3, (first) + 2, (first) + 1, first))
#define CPU_PHILOX_PRODUCT(a, b) _mm256_mul_epu32(a, b)
#define CPU_PHILOX_UPPER(v) _mm256_srli_epi64(v, 32)
#define CPU_PHILOX_XOR(a, b, c) _mm256_xor_si256(_mm256_xor_si256(a, b), c)

CPU_INLINE void cpu_philox_store(uint32_t *to, const cpu_philox_vector v[CPU_PHILOX_VECTORS])
{
    const __m256i even = _mm256_castps_si256(
        _mm256_shuffle_ps(_mm256_castsi256_ps(v[0]), _mm256_castsi256_ps(v[1]), _MM_SHUFFLE(2, 0, 2, 0)));

    _mm256_storeu_si256((__m256i *)to, _mm256_permute4x64_epi64(even, _MM_SHUFFLE(3, 1, 2, 0)));
}

#endif

/* Word w of counter i goes to words[8 w + i]. */
CPU_INLINE void cpu_philox_draw(lk_philox_key key, cpu_philox_counter first, uint32_t words[4 * CPU_PHILOX_COUNTERS])
{
    enum { N = CPU_PHILOX_VECTORS };
    const cpu_philox_vector m0 = CPU_PHILOX_ALL(LK_PHILOX_M0), m1 = CPU_PHILOX_ALL(LK_PHILOX_M1);
    cpu_philox_vector c0[N], c1[N], c2[N], c3[N];

    for (int i = 0; i < N; i++) {
        c0[i] = CPU_PHILOX_NEXT(CPU_PHILOX_ALL(first.c0), i * CPU_PHILOX_COUNTERS / N);
        c1[i] = CPU_PHILOX_ALL(first.c1), c2[i] = CPU_PHILOX_ALL(first.c2), c3[i] = CPU_PHILOX_ALL(first.c3);
    }
#pragma GCC unroll 10
    for (uint32_t round = 0; round < LK_PHILOX_ROUNDS; round++) {
        const cpu_philox_vector k0 = CPU_PHILOX_ALL(key.k[0] + round * LK_PHILOX_W0);
        const cpu_philox_vector k1 = CPU_PHILOX_ALL(key.k[1] + round * LK_PHILOX_W1);

        for (int i = 0; i < N; i++) {
            const cpu_philox_vector p0 = CPU_PHILOX_PRODUCT(m0, c0[i]), p1 = CPU_PHILOX_PRODUCT(m1, c2[i]);

            c0[i] = CPU_PHILOX_XOR(CPU_PHILOX_UPPER(p1), c1[i], k0);
            c2[i] = CPU_PHILOX_XOR(CPU_PHILOX_UPPER(p0), c3[i], k1);
            c1[i] = p1, c3[i] = p0;
        }
    }
    cpu_philox_store(words, c0);
    cpu_philox_store(words + CPU_PHILOX_COUNTERS, c1);
    cpu_philox_store(words + 2 * CPU_PHILOX_COUNTERS, c2);
    cpu_philox_store(words + 3 * CPU_PHILOX_COUNTERS, c3);
}

#else

CPU_INLINE void cpu_philox_draw(lk_philox_key key, cpu_philox_counter first, uint32_t words[4 * CPU_PHILOX_COUNTERS])
{
    for (uint32_t i = 0; i < CPU_PHILOX_COUNTERS; i++) {
        uint32_t out[4];

        lk_philox_words(key.k[0], key.k[1], first.c0 + i, first.c1, first.c2, first.c3, out);
        for (uint32_t w = 0; w < 4; w++) words[w * CPU_PHILOX_COUNTERS + i] = out[w];
    }
}

#endif
#endif
