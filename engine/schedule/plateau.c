/*
 * reduce_on_plateau: PyTorch's ReduceLROnPlateau (torch/optim/lr_scheduler.py), step by step.
 *
 * One rule differs on purpose.  With threshold_mode rel PyTorch compares with best * (1 - threshold); for a best
 * below zero that lies on the wrong side of it, so a metric that got worse counts as better.  Here the margin is
 * threshold * |best| on the right side, which is the same number for metrics above zero.
 *
 * A metric that is not a number is a bad observation, as in PyTorch.
 */
#include "engine/schedule/plateau.h"

#include <math.h>

static lk_status check(const char *path, const char *key, double value, bool ok, const char *range)
{
    return ok ? LK_OK : LK_FAIL(LK_ERR_USAGE, "%s.%s: %g is out of range, want %s", path, key, value, range);
}

static lk_status check_not_negative(const char *path, const char *key, double value)
{
    return check(path, key, value, value >= 0.0 && isfinite(value), "0 or more");
}

lk_status lk_plateau_check(const char *path, const lk_schedule_spec *spec)
{
    LK_TRY(check(path, "factor", spec->factor, spec->factor >= 0.0 && spec->factor < 1.0, "0 to below 1"));
    LK_TRY(check_not_negative(path, "patience", (double)spec->patience));
    LK_TRY(check_not_negative(path, "threshold", spec->threshold));
    LK_TRY(check_not_negative(path, "cooldown", (double)spec->cooldown));
    LK_TRY(check_not_negative(path, "min_lr", spec->min_lr));
    return check_not_negative(path, "eps", spec->eps);
}

double lk_plateau_worst(const lk_schedule_spec *spec) { return spec->mode == LK_MIN ? INFINITY : -INFINITY; }

/* What a metric must be below (min) or above (max) to count as better. */
static double bar(const lk_schedule_spec *spec, double best)
{
    const double sign = spec->mode == LK_MIN ? -1.0 : 1.0;

    if (isinf(best)) return best; /* nothing seen yet; infinity less a share of itself is no number */
    if (spec->threshold_mode == LK_THRESHOLD_ABS) return best + sign * spec->threshold;
    return best * (1.0 + (best < 0.0 ? -sign : sign) * spec->threshold);
}

static bool is_better(const lk_schedule_spec *spec, double metric, double best)
{
    return spec->mode == LK_MIN ? metric < bar(spec, best) : metric > bar(spec, best);
}

/* A fall of no more than eps is not worth a change. */
static bool reduce(const lk_schedule_spec *spec, lk_schedule_state *state)
{
    const double lr = fmax(state->lr * spec->factor, spec->min_lr);
    const bool falls = state->lr - lr > spec->eps;

    if (falls) state->lr = lr;
    return falls;
}

bool lk_plateau_observe(const lk_schedule_spec *spec, lk_schedule_state *state, double metric)
{
    if (is_better(spec, metric, state->best)) {
        state->best = metric;
        state->num_bad = 0;
    } else {
        state->num_bad++;
    }
    if (state->cooldown_counter > 0) {
        state->cooldown_counter--;
        state->num_bad = 0;
    }
    if (state->num_bad <= spec->patience) return false;
    state->cooldown_counter = spec->cooldown;
    state->num_bad = 0;
    return reduce(spec, state);
}
