/*
 * Philox4x32-10: a random function from a 128-bit counter and a 64-bit key to 128 bits.
 *
 * Ten rounds, each two 32 x 32 -> 64 bit products whose halves are crossed and mixed with the key; after each round
 * the key is bumped by Weyl's sequence.  There is no state: draw number i is computed, never reached.  It lives in a
 * header, without calls or tables, so that C and CUDA compilers read one text and loops over counters vectorise.
 *
 * Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011; the constants and the
 * known answers in tests/unit/engine/test_random.c are those of its Random123 distribution.
 */
#ifndef LK_PHILOX_H
#define LK_PHILOX_H

#include <stdint.h>

#ifdef __CUDACC__
#define LK_PHILOX_INLINE static __host__ __device__ __forceinline__
#else
#define LK_PHILOX_INLINE static inline
#endif

#define LK_PHILOX_M0 0xD2511F53u
#define LK_PHILOX_M1 0xCD9E8D57u
#define LK_PHILOX_W0 0x9E3779B9u /* golden ratio */
#define LK_PHILOX_W1 0xBB67AE85u /* sqrt(3) - 1 */
#define LK_PHILOX_ROUNDS 10

/* Words of the counter (c0, c1, c2, c3) under the key (k0, k1). */
LK_PHILOX_INLINE void lk_philox_words(uint32_t k0, uint32_t k1, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3,
                                      uint32_t out[4])
{
    for (int round = 0; round < LK_PHILOX_ROUNDS; round++) {
        const uint64_t p0 = (uint64_t)LK_PHILOX_M0 * c0, p1 = (uint64_t)LK_PHILOX_M1 * c2;

        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += LK_PHILOX_W0;
        k1 += LK_PHILOX_W1;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* A word as a number in [0, 1): its upper 24 bits, so the result is exact in fp32 and never 1. */
LK_PHILOX_INLINE float lk_philox_unit(uint32_t word) { return (float)(word >> 8) * 0x1p-24f; }

#endif
