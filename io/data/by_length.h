/* Batches of samples of like length.  Private to io/data. */
#ifndef LK_IO_BY_LENGTH_H
#define LK_IO_BY_LENGTH_H

#include "io/data/shuffle.h"

/* Length of a sample. */
typedef int64_t lk_length_fn(const void *data, int64_t sample);

typedef struct lk_by_length {
    int64_t n;              /* positions of an epoch */
    int64_t batch, window;  /* samples in a batch, batches in a window */
    lk_length_fn *length;
    const void *data;       /* borrowed */
    int64_t longest;

    int64_t epoch, current; /* window of what follows; -1: none yet */
    int64_t *sample;        /* (batch * window) of the current window, batch by batch; owned, as the next two */
    int64_t *sorted;        /* (batch * window) */
    int64_t *begin;         /* (longest + 2): where samples of each length begin among the sorted */
} lk_by_length;

/* No sample is longer than `longest`. */
lk_status lk_by_length_init(lk_by_length *by_length, int64_t n, int64_t batch, int64_t window, lk_length_fn *length,
                            const void *data, int64_t longest);
void      lk_by_length_clear(lk_by_length *by_length);
/* Samples at positions [begin, begin + count) of an epoch, whose order without buckets is `order`. */
void      lk_by_length_range(lk_by_length *by_length, lk_shuffle *order, int64_t epoch, int64_t begin, int64_t count,
                             int64_t *sample);

#endif
