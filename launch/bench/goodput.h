/* What a cluster whose hosts fail makes of its time, and how often to save: by formula and by simulation. */
#ifndef LK_GOODPUT_H
#define LK_GOODPUT_H

#include "engine/base/base.h"

/* All in seconds.  Failures are Poisson: with W hosts that each fail once in H on average, once in mtbf = H / W. */
typedef struct goodput_case {
    double mtbf;     /* of the whole cluster, > 0 */
    double save;     /* that training is held up by a checkpoint, > 0 */
    double write;    /* from then until it is on disk, while training goes on: before that it is none; >= 0 */
    double restart;  /* from a failure to the first new step, if none comes in between; >= 0 */
} goodput_case;

/* Shares of all time: they add up to 1.  What counts is `work`, the goodput. */
typedef struct goodput {
    double work;     /* steps that stay */
    double saving;   /* held up */
    double redone;   /* steps that a failure takes back, and saves that it cuts off */
    double down;     /* restarts */
} goodput;

/* Seconds of work between two checkpoints at which the least is lost.
 * Young, 1974, doi:10.1145/361147.361115: sqrt(2 save mtbf).
 * Daly, 2006, doi:10.1016/j.future.2004.11.016, his equation 37: the same to a higher order. */
double goodput_young(const goodput_case *c);
double goodput_daly(const goodput_case *c);
/* The shares at an interval, exact for failures that are Poisson: Daly's "complete cost function", his equation 20,
 * with `write` as a loss of each failure beside the restart. */
goodput goodput_expect(const goodput_case *c, double interval);
/* The same by going from failure to failure, n_failures of them: a seed has its failures, whatever the interval. */
goodput goodput_simulate(const goodput_case *c, double interval, uint64_t seed, size_t n_failures);
/* The interval that is best in such simulations, all of the same failures. */
double goodput_search(const goodput_case *c, uint64_t seed, size_t n_failures);

#endif
