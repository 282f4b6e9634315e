/*
 * A keyed bijection on [0, n): every epoch has its own order of samples, any position of it is computed at once, and
 * nothing is stored.  So each worker finds its own samples alone, and a resumed run starts in the middle.
 *
 * The order is a variable-width Philox: a generalised Feistel network on the smallest 2^bits >= n, whose round is
 * one multiplication,
 *
 *     (hi, lo) = M * left,    left' = hi ^ key[round] ^ right,    right' = lo,
 *
 * cut to the widths of the halves (with an odd number of bits the right half is one wider and keeps its top bit).
 * Results >= n are put in again until one is below n (cycle walking), at most twice on average, which keeps it
 * a bijection on [0, n).
 *
 * Source: Mitchell, Stokes, Frank and Holmes, "Bandwidth-Optimal Random Shuffling for GPUs", ACM TOPC 9(1), 2022,
 * arXiv:2106.06161: VariablePhilox with 24 rounds; cycle walking: Black and Rogaway, "Ciphers with Arbitrary Finite
 * Domains", CT-RSA 2002.  Round keys are words of Philox4x32-10.
 */
#include "io/data/permute.h"

#include <assert.h>

#define MULTIPLIER UINT64_C(0xD2B74407B1CE6E93)

enum {
    MIN_BITS = 4, /* a network on fewer bits has too few keys to tell the orders apart */
    WORDS = 4,    /* that one Philox counter gives */
    TOGETHER = 16, /* values enciphered side by side */
};

static_assert(LK_PERMUTE_ROUNDS % WORDS == 0, "round keys come four at a time");

void lk_permutation_init(lk_permutation *permutation, uint64_t seed, lk_purpose purpose, uint32_t sub, int64_t n)
{
    const lk_philox_key key = lk_philox_key_new(seed, purpose, sub);
    unsigned bits = MIN_BITS;

    assert(n >= 1);
    while ((UINT64_C(1) << bits) < (uint64_t)n) bits++;
    permutation->n = (uint64_t)n;
    permutation->left_bits = bits / 2;
    permutation->right_bits = bits - bits / 2;
    for (uint32_t i = 0; i < LK_PERMUTE_ROUNDS / WORDS; i++) {
        const uint32_t counter[WORDS] = {i, 0, 0, 0};
        lk_philox(key, counter, permutation->key + WORDS * i);
    }
}

/* Enciphers `width` values side by side: the rounds of one value wait for each other, those of several do not. */
static inline void encipher(const lk_permutation *p, uint64_t *value, int width)
{
    const unsigned odd = p->right_bits - p->left_bits;
    const uint64_t left_mask = (UINT64_C(1) << p->left_bits) - 1, right_mask = (UINT64_C(1) << p->right_bits) - 1;
    uint64_t left[TOGETHER], right[TOGETHER];

    for (int i = 0; i < width; i++) left[i] = value[i] >> p->right_bits, right[i] = value[i] & right_mask;
    for (int round = 0; round < LK_PERMUTE_ROUNDS; round++)
        for (int i = 0; i < width; i++) {
            const uint64_t product = MULTIPLIER * left[i];
            const uint64_t low = product << odd | right[i] >> p->left_bits;

            left[i] = ((product >> 32) ^ p->key[round] ^ right[i]) & left_mask;
            right[i] = low & right_mask;
        }
    for (int i = 0; i < width; i++) value[i] = left[i] << p->right_bits | right[i];
}

void lk_permutation_range(const lk_permutation *permutation, int64_t begin, int64_t count, int64_t *out)
{
    const lk_permutation p = *permutation;

    assert(begin >= 0 && count >= 0 && (uint64_t)(begin + count) <= p.n);
    for (int64_t first = 0; first < count; first += TOGETHER) {
        const int width = count - first < TOGETHER ? (int)(count - first) : TOGETHER;
        uint64_t value[TOGETHER] = {0};

        for (int i = 0; i < width; i++) value[i] = (uint64_t)(begin + first + i);
        encipher(&p, value, TOGETHER);
        for (int i = 0; i < width; i++) {
            while (value[i] >= p.n) encipher(&p, &value[i], 1);
            out[first + i] = (int64_t)value[i];
        }
    }
}
