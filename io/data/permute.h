/* A keyed bijection on [0, n): the order of samples without a table of it.  Private to io/. */
#ifndef LK_IO_PERMUTE_H
#define LK_IO_PERMUTE_H

#include "engine/base/base.h"

enum { LK_PERMUTE_ROUNDS = 24 };

typedef struct lk_permutation {
    uint64_t n;
    unsigned left_bits, right_bits; /* halves of the counter; left_bits <= right_bits */
    uint32_t key[LK_PERMUTE_ROUNDS];
} lk_permutation;

/* The permutation of [0, n) that (seed, purpose, sub) names; n >= 1.  For an epoch: LK_PURPOSE_SHUFFLE and its
 * number. */
void lk_permutation_init(lk_permutation *permutation, uint64_t seed, lk_purpose purpose, uint32_t sub, int64_t n);
/* out[i] = where position begin + i goes, for i in [0, count); begin + count <= n. */
void lk_permutation_range(const lk_permutation *permutation, int64_t begin, int64_t count, int64_t *out);

#endif
