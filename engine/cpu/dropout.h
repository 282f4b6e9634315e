/*
 * The random words that dropout reads, drawn for two groups of elements at once.  Private to engine/cpu/.  Which word
 * decides an element is laid down in engine/base/formulas.h.
 */
#ifndef LK_CPU_DROPOUT_H
#define LK_CPU_DROPOUT_H

#include "engine/base/base.h"
#include "engine/cpu/philox.h"

enum { CPU_DROPOUT_GROUPS = 2, CPU_DROPOUT_WORDS = CPU_DROPOUT_GROUPS * LK_DROPOUT_GROUP };

/* What all counters of one group share. */
typedef struct cpu_dropout_group { uint32_t block, sample, high; } cpu_dropout_group;

/* Group number `group` of a sample's elements. */
static inline cpu_dropout_group cpu_dropout_group_of(int64_t step, int64_t sample, size_t group)
{
    return (cpu_dropout_group){.block = (uint32_t)group * LK_DROPOUT_BLOCKS, .sample = (uint32_t)sample,
                               .high = lk_dropout_high(step, sample)};
}

/* Words of one group, in the order of the elements they decide. */
CPU_INLINE void cpu_dropout_draw_group(lk_philox_key key, int64_t step, const cpu_dropout_group *g,
                                       uint32_t words[LK_DROPOUT_GROUP])
{
    cpu_philox_draw(key, (cpu_philox_counter){g->block, g->sample, (uint32_t)step, g->high}, words);
}

/* Of two, one behind the other: enough to do while a product is on its way. */
CPU_INLINE void cpu_dropout_draw(lk_philox_key key, int64_t step, const cpu_dropout_group *a,
                                 const cpu_dropout_group *b, uint32_t words[CPU_DROPOUT_WORDS])
{
    cpu_dropout_draw_group(key, step, a, words);
    cpu_dropout_draw_group(key, step, b, words + LK_DROPOUT_GROUP);
}

#endif
