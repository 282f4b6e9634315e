/* The model of `bench scaling`: predict.h says what it is. */
#include "launch/bench/predict.h"

#include <math.h>

static double messages(double workers) { return 2.0 * ceil(log2(workers)); }
static double share_sent(double workers) { return 2.0 * (workers - 1.0) / workers; }

double network_sum(const network *net, double workers, double nbytes)
{
    return messages(workers) * net->alpha + share_sent(workers) * nbytes * net->beta;
}

/* The best alpha alone, or beta: where the other would be below 0. */
static double alone(const sum_point *points, size_t n, bool alpha)
{
    double xx = 0.0, x1 = 0.0;

    for (size_t i = 0; i < n; i++) {
        const sum_point *p = &points[i];
        const double x = (alpha ? messages(p->workers) : share_sent(p->workers) * p->nbytes) / p->seconds;

        xx += x * x, x1 += x;
    }
    return x1 / xx;
}

/* Each row is divided by its time, so that errors of short sums count as those of long ones. */
bool network_fit(const sum_point *points, size_t n, network *out)
{
    double aa = 0.0, ab = 0.0, bb = 0.0, a1 = 0.0, b1 = 0.0;

    for (size_t i = 0; i < n; i++) {
        const sum_point *p = &points[i];
        const double a = messages(p->workers) / p->seconds, b = share_sent(p->workers) * p->nbytes / p->seconds;

        aa += a * a, ab += a * b, bb += b * b, a1 += a, b1 += b;
    }
    const double determinant = aa * bb - ab * ab;

    if (!(determinant > 1e-9 * aa * bb)) return false;
    *out = (network){.alpha = (a1 * bb - b1 * ab) / determinant, .beta = (b1 * aa - a1 * ab) / determinant};
    if (out->alpha < 0.0) *out = (network){.beta = alone(points, n, false)};
    if (out->beta < 0.0) *out = (network){.alpha = alone(points, n, true)};
    return true;
}

double network_error(const network *net, const sum_point *points, size_t n)
{
    double sum = 0.0;

    for (size_t i = 0; i < n; i++)
        sum += fabs(network_sum(net, points[i].workers, points[i].nbytes) / points[i].seconds - 1.0);
    return n ? sum / (double)n : 0.0;
}

prediction predict_step(const network *net, const part *work, const gradients *g, double workers)
{
    const double bucket = network_sum(net, workers, g->nbytes / g->n_buckets), all = g->n_buckets * bucket;
    const double summed = fmax(work->rest + bucket, work->rest / g->n_buckets + all);
    const double waited = workers > 1.0 ? summed - work->rest : 0.0;

    return (prediction){.step = work->first + work->rest + waited + work->update, .reduction = all,
                        .hidden = all > 0.0 ? fmax(0.0, 1.0 - waited / all) : 1.0};
}
