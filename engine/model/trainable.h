/* What the engine asks of a trained set beyond engine.h.  Private to engine/. */
#ifndef LK_TRAINED_H
#define LK_TRAINED_H

#include "engine/engine.h"

enum { LK_ALIGN_ELEM = 16 }; /* every tensor begins at a multiple of it, in every arena: a cache line of floats */

static inline size_t lk_round_up(size_t n_elem)
{
    return (n_elem + LK_ALIGN_ELEM - 1) / LK_ALIGN_ELEM * LK_ALIGN_ELEM;
}

/* Buffers that follow the lanes' statistics: runs as those of parameters, of the same two arenas; group is 0. */
size_t lk_trained_n_stat_runs(const lk_trained *trained);
const lk_trained_run *lk_trained_get_stat_run(const lk_trained *trained, size_t r);

/* Differs between any two sets that were ever made. */
uint64_t lk_trained_id(const lk_trained *trained);

#endif
