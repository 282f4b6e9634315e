/* The order of samples in an epoch.  Private to io/data. */
#ifndef LK_IO_SHUFFLE_H
#define LK_IO_SHUFFLE_H

#include "io/data/permute.h"

typedef struct lk_shuffle {
    uint64_t seed;
    int64_t n;
    bool shuffle;
    int64_t block, window;  /* samples in a block, blocks in a window; 0 and 0: one order over all samples */

    int64_t epoch;          /* of what follows; -1: none yet */
    lk_permutation order;   /* of the samples; in windows: of the blocks */
    int64_t short_at;       /* place of the last, shorter block in that order; -1: all are equal */
    int64_t current;        /* window of what follows; -1: none yet */
    lk_permutation inside;
    int64_t *blocks;        /* (window) of the current window, owned */
} lk_shuffle;

/* shuffle false: in the order of the data.  block > 0: the bounded shuffle, see shuffle.c. */
lk_status lk_shuffle_init(lk_shuffle *s, int64_t n, bool shuffle, uint64_t seed, int64_t block, int64_t window);
void      lk_shuffle_clear(lk_shuffle *s);
/* Samples at positions [begin, begin + count) of an epoch. */
void      lk_shuffle_range(lk_shuffle *s, int64_t epoch, int64_t begin, int64_t count, int64_t *sample);
/* Blocks of the next window that should be read while positions [begin, begin + count) are used, so that it is there
 * when this one ends; returns how many, at most `most`.  None without windows, and at the end of an epoch. */
int64_t   lk_shuffle_ahead(lk_shuffle *s, int64_t epoch, int64_t begin, int64_t count, int64_t most, int64_t *block);

#endif
