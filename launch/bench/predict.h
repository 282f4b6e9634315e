/* What a step costs on many workers: the model of `bench scaling`, and its fit.  Times in seconds. */
#ifndef LK_PREDICT_H
#define LK_PREDICT_H

#include "engine/base/base.h"

/* A message takes alpha, a byte that a worker sends beta: Hockney, 1994, doi:10.1016/S0167-8191(06)80021-9. */
typedef struct network { double alpha, beta; } network;

/* One measured sum. */
typedef struct sum_point { int workers; double nbytes, seconds; } sum_point;

/* A sum by the tree: recursive halving and doubling, 2 log2(W) messages and 2 (W - 1) / W times the bytes, the least
 * there is.  Rabenseifner, 2004, doi:10.1007/978-3-540-24685-5_1.  0 for one worker. */
double network_sum(const network *net, double workers, double nbytes);
/* The network that comes nearest to the points by least squares of relative errors, neither number below 0.  false: the
 * points do not tell. */
bool   network_fit(const sum_point *points, size_t n, network *out);
/* The mean of |predicted / measured - 1|. */
double network_error(const network *net, const sum_point *points, size_t n);

/* A worker's part of a step: until its first gradients are final; from there to the last; the update. */
typedef struct part { double first, rest, update; } part;

/* What is summed in a step: n_buckets > 0 buckets, alike, which become final evenly during `rest`. */
typedef struct gradients { double nbytes, n_buckets; } gradients;

/* A step, and its sums by themselves; hidden: the share of them that no worker waits for.
 *
 *     step = first + max(rest + c, rest / k + k c) + update        c = a bucket's sum, k buckets
 *
 * which is max(backward, reduction) + the last bucket's latency, with the first bucket's time before it can begin. */
typedef struct prediction { double step, reduction, hidden; } prediction;
prediction predict_step(const network *net, const part *work, const gradients *g, double workers);

#endif
