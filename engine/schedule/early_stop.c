/* Early stopping: best metric so far and how many observations in a row did not beat it.  NaN beats nothing. */
#include "engine/schedule/schedule.h"

#include <math.h>

void lk_early_stop_init(const lk_early_stop_spec *spec, lk_early_stop *out)
{
    *out = (lk_early_stop){.best = spec->mode == LK_MIN ? INFINITY : -INFINITY};
}

bool lk_early_stop_observe(const lk_early_stop_spec *spec, lk_early_stop *state, double metric)
{
    const double gain = spec->mode == LK_MIN ? state->best - metric : metric - state->best;

    if (gain > spec->min_delta) {
        state->best = metric;
        state->num_bad = 0;
    } else {
        state->num_bad++;
    }
    return state->num_bad >= spec->patience;
}
