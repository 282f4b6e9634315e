/* What the engine asks of a trainable set beyond engine.h.  Private to engine/. */
#ifndef LK_TRAINED_H
#define LK_TRAINED_H

#include "engine/model/grid.h"
#include "engine/model/model.h"

#define LK_BATCH_NORM_MOMENTUM 0.1f /* PyTorch's default, of every batch norm here */

/* Buffers that follow the lanes' statistics: runs as those of parameters, of the same two arenas; group is 0. */
size_t lk_trainable_n_stat_ranges(const lk_trainable *trainable);
const lk_trainable_range *lk_trainable_get_stat_range(const lk_trainable *trainable, size_t r);

/* The layer at `path` draws no random numbers in training: the spec wants what is frozen as in evaluation, and nothing
 * trains of the innermost module around the layer that has parameters.  So `mlp.2` between `mlp.0` and `mlp.3` draws
 * none where these two are frozen; a layer beside others in the root always draws, for something trains there. */
bool lk_trainable_in_eval(const lk_trainable *trainable, const char *path);

/* Differs between any two sets that were ever made. */
uint64_t lk_trainable_id(const lk_trainable *trainable);

#endif
