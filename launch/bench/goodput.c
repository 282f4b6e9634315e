/*
 * Goodput of a cluster that fails.
 *
 * Work of `interval` seconds and a save take turns.  A failure takes the cluster back to the last checkpoint that is
 * on disk; restarts may fail, too.  With f = 1 / mtbf, in one cycle from restart to restart
 *
 *     finished turns     exp(-write f) / (exp((interval + save) f) - 1)    on average
 *     time               mtbf exp(restart f)
 *
 * and their ratio, times the interval, is the goodput.  Of W hosts that fail by themselves, each with the same rate,
 * the next failure is exponential with W times the rate, whichever hosts have been replaced; so the simulation draws
 * the cluster's failures and not each host's.
 */
#include "launch/bench/goodput.h"

#include <math.h>

enum { OF_FAILURES = 0x6661696c }; /* of the streams of made-up data the one that no data set has */

/* --------------------------------------------------------------------- formulas */

double goodput_young(const goodput_case *c) { return sqrt(2.0 * c->save * c->mtbf); }

double goodput_daly(const goodput_case *c)
{
    if (c->save >= 2.0 * c->mtbf) return c->mtbf;
    const double root = sqrt(c->save / (2.0 * c->mtbf));

    return goodput_young(c) * (1.0 + root / 3.0 + root * root / 9.0) - c->save;
}

goodput goodput_expect(const goodput_case *c, double interval)
{
    const double f = 1.0 / c->mtbf;
    const double turns = exp(-c->write * f) / expm1((interval + c->save) * f);
    const double cycle = c->mtbf * exp(c->restart * f), down = c->mtbf * expm1(c->restart * f);
    goodput g = {.work = turns * interval / cycle, .saving = turns * c->save / cycle, .down = down / cycle};

    g.redone = 1.0 - g.work - g.saving - g.down;
    return g;
}

/* ------------------------------------------------------------------- simulation */

/* Draw number i, attempt number `attempt`: exponential with mean 1, from 53 bits. */
static double exponential(lk_philox_key key, uint64_t i, uint32_t attempt)
{
    const uint32_t counter[4] = {(uint32_t)i, (uint32_t)(i >> 32), attempt, 0};
    uint32_t word[4];

    lk_philox(key, counter, word);
    const double unit = ((double)(word[0] >> 5) * 0x1p26 + (double)(word[1] >> 6)) * 0x1p-53;
    return -log1p(-unit);
}

/* Until a restart has gone through. */
static double time_down(const goodput_case *c, lk_philox_key key, uint64_t i)
{
    double down = 0.0;

    for (uint32_t attempt = 1;; attempt++) {
        const double next = c->mtbf * exponential(key, i, attempt);

        if (next >= c->restart) return down + c->restart;
        down += next;
    }
}

goodput goodput_simulate(const goodput_case *c, double interval, uint64_t seed, size_t n_failures)
{
    const lk_philox_key key = lk_philox_key_new(seed, LK_PURPOSE_DATA, OF_FAILURES);
    double up = 0.0, down = 0.0, turns = 0.0;

    for (uint64_t i = 0; i < n_failures; i++) {
        const double next = c->mtbf * exponential(key, i, 0);

        up += next;
        if (next > c->write) turns += floor((next - c->write) / (interval + c->save));
        down += time_down(c, key, i);
    }
    const double all = up + down;

    return (goodput){.work = turns * interval / all, .saving = turns * c->save / all, .down = down / all,
                     .redone = (up - turns * (interval + c->save)) / all};
}

/* The lowest place of the parabola through n points, by least squares: x evenly spaced in [-1, 1]. */
static double lowest(const double *y, int n)
{
    double s2 = 0.0, s4 = 0.0, sy = 0.0, sxy = 0.0, sxxy = 0.0;

    for (int i = 0; i < n; i++) {
        const double x = 2.0 * i / (n - 1) - 1.0;

        s2 += x * x, s4 += x * x * x * x;
        sy += y[i], sxy += x * y[i], sxxy += x * x * y[i];
    }
    const double curvature = (n * sxxy - s2 * sy) / (n * s4 - s2 * s2), slope = sxy / s2;
    const double at = curvature > 0.0 ? -slope / (2.0 * curvature) : (slope > 0.0 ? -1.0 : 1.0);

    return fmin(fmax(at, -1.0), 1.0);
}

double goodput_search(const goodput_case *c, uint64_t seed, size_t n_failures)
{
    enum { ROUNDS = 4, N_POINTS = 9 };
    double best = goodput_young(c), width = 2.0; /* intervals from best / width to best * width are looked at */

    for (int round = 0; round < ROUNDS; round++, width = fmax(sqrt(width), 1.4)) {
        double lost[N_POINTS];

        for (int i = 0; i < N_POINTS; i++)
            lost[i] = -log(goodput_simulate(c, best * pow(width, 2.0 * i / (N_POINTS - 1) - 1.0), seed,
                                            n_failures).work);
        best *= pow(width, lowest(lost, N_POINTS));
    }
    return best;
}
