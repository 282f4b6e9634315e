/* Shards of plain arrays, for tests of the reduction without a model. */
#ifndef LK_TESTS_UNEVEN_SHARDS_H
#define LK_TESTS_UNEVEN_SHARDS_H

#include <stdlib.h>

#include "dist/reduce/shards.h"

/* Cuts every bucket but the first into parts of uneven lengths, some of them empty; the same on all workers.  Release
 * .border with free(). */
static inline lk_shards uneven_shards(lk_arena_cuts cuts, size_t bucket_bytes, int size)
{
    lk_buckets buckets;

    if (lk_buckets_cut(cuts, bucket_bytes, &buckets) != LK_OK) abort();
    lk_shards shards = {.size = size, .n = buckets.n,
                        .border = (size_t *)calloc(buckets.n * (size_t)(size + 1), sizeof *shards.border)};
    for (size_t b = 0; b < buckets.n; b++) {
        const lk_range bucket = buckets.bucket[b];
        const size_t all = bucket.end - bucket.begin;

        for (int p = 0; p <= size; p++) {
            const size_t skewed = all * (size_t)(p * p) / (size_t)(size * size) / 16 * 16;
            const size_t part = p == size ? all : b % 3 == 1 && p < size / 2 ? 0 : skewed;
            shards.border[b * (size_t)(size + 1) + (size_t)p] = bucket.begin + (b == 0 ? 0 : part);
        }
    }
    lk_buckets_clear(&buckets);
    return shards;
}

/* Of bucket b, which is not the first, what the worker in a place gets. */
static inline lk_range uneven_part(const lk_shards *shards, size_t b, int place)
{
    const size_t *border = lk_shard_borders(shards, b) + lk_shard_part(place, shards->size);

    return (lk_range){border[0], border[1]};
}

#endif
