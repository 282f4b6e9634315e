/* Sums plain arrays over all lanes of all workers: no engine, no model.  reducer.c puts it over a model's gradients. */
#ifndef LK_DIST_ADDER_H
#define LK_DIST_ADDER_H

#include "dist/reduce/algorithm.h"

/* Buckets in the order in which they are summed: [0, n_elem) from its end to its front, cut at cut[0 .. n_cuts)
 * (ascending, cut[0] = 0, multiples of 16) and closed at bucket_bytes.  *out is owned by the caller, release with
 * lk_free(). */
lk_status lk_buckets_new(const size_t *cut, size_t n_cuts, size_t n_elem, size_t bucket_bytes, lk_range **out,
                         size_t *n_out);

typedef struct lk_adder lk_adder;

/* engine: the arenas lie in its memory; NULL: in the host's.  bucket: tiles [0, n_elem), copied.  The arenas that own
 * lanes need are given after: lk_adder_n_arenas() of (n_elem), borrowed.  Collective. */
lk_status lk_adder_new(lk_world *world, lk_engine *engine, lk_reduction kind, int lanes, const lk_range *bucket,
                       size_t n_buckets, lk_adder **out);
void      lk_adder_free(lk_adder **adder);
int       lk_adder_n_arenas(const lk_adder *adder);
void      lk_adder_set_arenas(lk_adder *adder, float *const *arena);
/* As lk_reducer_lane() and so on. */
lk_status lk_adder_lane(lk_adder *adder, int lane, float **grads);
lk_status lk_adder_empty_lane(lk_adder *adder);
void      lk_adder_ready(lk_adder *adder, size_t begin, size_t end);
lk_status lk_adder_finish(lk_adder *adder, const float **sum);
void      lk_adder_get_stats(const lk_adder *adder, lk_reducer_stats *out);

#endif
