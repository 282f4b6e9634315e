/* Shards of a set's gradients, for the files of dist/reduce/: each bucket of gradients is cut into a part a worker. */
#ifndef LK_DIST_SHARDS_H
#define LK_DIST_SHARDS_H

#include "dist/reduce/buckets.h"
#include "dist/world/world.h"

struct lk_shards {
    int size;
    int *part_of;   /* owned, (size): of a rank */
    size_t n;       /* buckets */
    size_t *border; /* owned, (n, size + 1): part p of bucket b is [border[b][p], border[b][p + 1]) */
};

/* Which part of each bucket is that of the worker in a place: by the bits of the place, lowest first, where halving at
 * distances 1, 2, 4 ... leads it; in order of places where the workers are no power of two. */
int lk_shard_part(int place, int size);
/* rank_at: the ranks in the places, (size); NULL: they are the places. */
lk_status lk_shards_new_plain(const lk_trainable *trainable, size_t bucket_bytes, int size, const int *rank_at,
                              lk_shards **out);
/* The borders of bucket b, (size + 1). */
const size_t *lk_shard_borders(const lk_shards *shards, size_t b);
/* The longest part of a bucket, and the longest half of one. */
void lk_shards_longest(const lk_shards *shards, size_t *part, size_t *half);
/* Where a set's buckets may be cut, of which cut is (lk_model_n_tensors + 1).  sharded: what is not of the trained
 * tensors, statistics and slots, is a bucket of its own, the first. */
lk_arena_cuts lk_cuts_of(const lk_trainable *trainable, bool sharded, size_t *cut);

#endif
