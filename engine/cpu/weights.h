/*
 * The one store of packed weights: copies of parameters in the layouts that kernels prefer, shared by all plans and
 * renewed once for each version of the parameters, by the first kernel that reads them.  Private to engine/cpu/.
 */
#ifndef LK_CPU_WEIGHTS_H
#define LK_CPU_WEIGHTS_H

#include "engine/cpu/cpu.h"

/* A copy of one parameter in one layout. */
typedef struct cpu_weight {
    void *at;         /* nbytes; NULL until cpu_weights_reserve() */
    uint64_t version; /* of the parameters it was made from; 0: none */
    size_t nbytes;
} cpu_weight;

lk_status cpu_weights_new(cpu_weights **out);
void      cpu_weights_free(cpu_weights **weights);

/* The copy of the parameter at w in `layout`, a memory descriptor of oneDNN, or NULL for the transposed matrix: the
 * same for everybody who wants the same.  Give it back with cpu_weight_drop(). */
lk_status cpu_weight_want(cpu_weights *weights, cpu_ref w, size_t nbytes, const void *layout, cpu_weight **out);
void      cpu_weight_drop(cpu_weights *weights, cpu_weight **weight);

/* Takes the memory of all copies that have none yet. */
lk_status cpu_weights_reserve(cpu_weights *weights);
size_t    cpu_weights_nbytes(const cpu_weights *weights);

/* Whether a run must renew the copy first.  A weight that is no parameter may differ in every run. */
static inline bool cpu_weight_is_stale(const cpu_weight *weight, cpu_ref w, uint64_t version)
{
    return weight->version != version || version == 0 || w.arena != LK_ARENA_PARAMS;
}

#endif
