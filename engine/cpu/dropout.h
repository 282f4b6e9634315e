/*
 * The random words that dropout reads, drawn for two groups of elements at once: 16 counters fill a vector of 512 bits.
 * Private to engine/cpu/.  Which word decides an element is laid down in engine/base/formulas.h.
 */
#ifndef LK_CPU_DROPOUT_H
#define LK_CPU_DROPOUT_H

#include "engine/base/base.h"
#include "engine/base/formulas.h"
#include "engine/base/philox.h"
#include "engine/cpu/bf16.h"

enum { CPU_DROPOUT_GROUPS = 2, CPU_DROPOUT_WORDS = CPU_DROPOUT_GROUPS * LK_DROPOUT_GROUP };

/* What all counters of one group share. */
typedef struct cpu_dropout_group { uint32_t block, sample, high; } cpu_dropout_group;

/* Group number `group` of a sample's elements. */
static inline cpu_dropout_group cpu_dropout_group_of(int64_t step, int64_t sample, size_t group)
{
    return (cpu_dropout_group){.block = (uint32_t)group * LK_DROPOUT_BLOCKS, .sample = (uint32_t)sample,
                               .high = lk_dropout_high(step, sample)};
}

/* Words of both groups, in the order of the elements they decide. */
CPU_INLINE void cpu_dropout_draw(lk_philox_key key, int64_t step, const cpu_dropout_group *a,
                                 const cpu_dropout_group *b, uint32_t words[CPU_DROPOUT_WORDS])
{
    enum { WORDS = 4, PARTIALS = CPU_DROPOUT_GROUPS * LK_DROPOUT_BLOCKS }; /* of a counter; counters */
    uint32_t drawn[WORDS][PARTIALS];

    for (uint32_t lane = 0; lane < PARTIALS; lane++) {
        const bool second = lane >= LK_DROPOUT_BLOCKS;
        uint32_t out[WORDS];

        lk_philox_words(key.k[0], key.k[1], (second ? b->block : a->block) + lane % LK_DROPOUT_BLOCKS,
                        second ? b->sample : a->sample, (uint32_t)step, second ? b->high : a->high, out);
        for (int w = 0; w < WORDS; w++) drawn[w][lane] = out[w];
    }
    for (size_t k = 0; k < CPU_DROPOUT_GROUPS; k++)
        for (size_t w = 0; w < WORDS; w++)
            memcpy(words + k * LK_DROPOUT_GROUP + w * LK_DROPOUT_BLOCKS, &drawn[w][k * LK_DROPOUT_BLOCKS],
                   LK_DROPOUT_BLOCKS * sizeof *words);
}

#endif
