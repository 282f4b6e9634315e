/*
 * The default histogram of TensorFlow: bucket limits grow by a tenth each, from 1e-12 to 1e20 and mirrored below zero,
 * with zero between and the largest double at both ends.  A run of empty buckets is told as one.
 *
 * Source: tensorflow/core/lib/histogram/histogram.cc, InitDefaultBucketsInner, Add and EncodeToProto; torch's
 * SummaryWriter uses the same limits (torch/utils/tensorboard/writer.py, default_bins).
 */
#include "io/log/histogram.h"

#include <float.h>
#include <math.h>
#include <pthread.h>
#include <string.h>

static double limits[LK_HISTOGRAM_MOST_BUCKETS]; /* rising; the upper limit of each bucket */
static size_t n_limits;
static pthread_once_t limits_made = PTHREAD_ONCE_INIT;

static void make_limits(void)
{
    const double first = 1e-12, last = 1e20, growth = 1.1;
    size_t n_positive = 0;

    for (double v = first; v < last; v *= growth) n_positive++;
    const size_t zero = n_positive + 1; /* behind -DBL_MAX and the mirrored limits */
    limits[zero] = 0.0;
    double v = first;
    for (size_t i = 1; i <= n_positive; i++, v *= growth) {
        limits[zero + i] = v;
        limits[zero - i] = -v;
    }
    limits[0] = -DBL_MAX;
    limits[2 * zero] = DBL_MAX;
    n_limits = 2 * zero + 1;
}

/* The first limit above v, which DBL_MAX is for every float. */
static size_t bucket_of(double v)
{
    size_t low = 0, high = n_limits - 1;

    while (low < high) {
        const size_t middle = (low + high) / 2;

        if (limits[middle] > v) high = middle;
        else low = middle + 1;
    }
    return low;
}

/* Of each run of empty buckets only the last limit is kept: the lower edge of what follows. */
static void join_empty(lk_histogram *h, const double *counts)
{
    for (size_t i = 0; i < n_limits; i++) {
        if (counts[i] == 0.0 && i + 1 < n_limits && counts[i + 1] == 0.0) continue;
        h->limit[h->n] = limits[i];
        h->count[h->n++] = counts[i];
    }
}

void lk_histogram_fill(const float *values, size_t n, lk_histogram *out)
{
    double counts[LK_HISTOGRAM_MOST_BUCKETS] = {0};

    pthread_once(&limits_made, make_limits);
    memset(out, 0, sizeof *out);
    out->min = INFINITY;
    out->max = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        const double v = values[i];

        if (!isfinite(v)) continue;
        counts[bucket_of(v)] += 1.0;
        out->min = fmin(out->min, v);
        out->max = fmax(out->max, v);
        out->num += 1.0;
        out->sum += v;
        out->sum_squares += v * v;
    }
    if (out->num == 0.0) out->min = out->max = 0.0;
    join_empty(out, counts);
}
