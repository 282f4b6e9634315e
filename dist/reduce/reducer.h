/* The inside of a reducer, for reducer.c, and for tests that reduce plain arrays: no engine, no model. */
#ifndef LK_DIST_REDUCER_H
#define LK_DIST_REDUCER_H

#include "dist/reduce/shards.h"
#include "dist/world/world.h"

/* engine: the arenas are its memory; NULL: the host's.  cuts.apart != 0: gradients, in front of it, travel as bf16.
 * shards: of the same buckets.  Otherwise as lk_reducer_new().  Collective. */
lk_status lk_reducer_new_plain(lk_world *world, lk_engine *engine, lk_reduction kind, int lanes, lk_arena_cuts cuts,
                               size_t bucket_bytes, const lk_shards *shards, lk_reducer **out);
/* With shards: what each worker has in its parts of an array, which is as long as the buckets, goes to all.
 * Collective. */
lk_status lk_reducer_gather_plain(lk_reducer *reducer, float *array);

#endif
