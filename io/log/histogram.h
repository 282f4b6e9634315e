/* Histograms in the buckets that TensorBoard's own writers use; for the files of io/ only. */
#ifndef LK_IO_HISTOGRAM_H
#define LK_IO_HISTOGRAM_H

#include <stddef.h>

enum { LK_HISTOGRAM_MOST_BUCKETS = 1600 };

typedef struct lk_histogram {
    double min, max, num, sum, sum_squares; /* of the values that are finite; min and max 0 when there are none */
    size_t n;                               /* buckets; a run of empty ones is one */
    double limit[LK_HISTOGRAM_MOST_BUCKETS], count[LK_HISTOGRAM_MOST_BUCKETS];
} lk_histogram;

/* Bucket i counts values in [limit[i - 1], limit[i]).  Values that are not finite are left out. */
void lk_histogram_fill(const float *values, size_t n, lk_histogram *out);

#endif
