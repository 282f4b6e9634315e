/*
 * Counter-based random numbers: streams and addressed draws on Philox4x32-10 (philox.h).
 *
 * A stream's key is itself a Philox word: the seed as key, (purpose, sub) as counter.  So streams of one seed differ
 * in all key bits, whatever small numbers purposes and subs are.  Uniform and normal draws of one stream use
 * counters that differ in the last word and never share bits.
 */
#include "engine/base/base.h"
#include "engine/base/philox.h"

#include <math.h>

enum { COUNTER_UNIFORM = 0, COUNTER_NORMAL = 1 };

lk_philox_key lk_philox_key_new(uint64_t seed, lk_purpose purpose, uint32_t sub)
{
    uint32_t words[4];

    lk_philox_words((uint32_t)seed, (uint32_t)(seed >> 32), (uint32_t)purpose, sub, 0, 0, words);
    return (lk_philox_key){{words[0], words[1]}};
}

void lk_philox(lk_philox_key key, const uint32_t counter[4], uint32_t out[4])
{
    lk_philox_words(key.k[0], key.k[1], counter[0], counter[1], counter[2], counter[3], out);
}

/* Words of block number `block` of a stream; `kind` keeps uniform and normal draws apart. */
static void block_words(lk_philox_key key, uint64_t block, uint32_t kind, uint32_t out[4])
{
    lk_philox_words(key.k[0], key.k[1], (uint32_t)block, (uint32_t)(block >> 32), 0, kind, out);
}

float lk_uniform(lk_philox_key key, uint64_t i)
{
    uint32_t words[4];

    block_words(key, i / 4, COUNTER_UNIFORM, words);
    return lk_philox_unit(words[i % 4]);
}

/* Box-Muller keeps only the cosine: two words a draw, so that each draw stands alone. */
double lk_normal(lk_philox_key key, uint64_t i)
{
    uint32_t words[4];

    block_words(key, i / 2, COUNTER_NORMAL, words);
    const uint32_t *pair = words + 2 * (i % 2);
    const double radius_draw = ((double)pair[0] + 0.5) * 0x1p-32; /* in (0, 1): its logarithm is finite */
    const double angle_draw = (double)pair[1] * 0x1p-32;
    return sqrt(-2.0 * log(radius_draw)) * cos(2.0 * M_PI * angle_draw);
}
