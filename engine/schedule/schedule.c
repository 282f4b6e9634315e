/*
 * Schedules: the course of a scalar over a run, from a base value.
 *
 * Time is counted in scheduler steps: epochs, or training steps with `every: step`.  All kinds but
 * reduce_on_plateau are functions of it (node.h); a plateau's value is its state (plateau.c), times the
 * factor of its warmup.
 */
#include "engine/schedule/node.h"

#include <math.h>

struct lk_schedule {
    lk_schedule_node root;
    double start; /* what the root begins from */
    lk_schedule_state state;
};

static bool is_plateau(const lk_schedule *schedule) { return schedule->root.spec.kind == LK_SCHEDULE_PLATEAU; }

lk_status lk_schedule_new(const char *path, const lk_schedule_spec *spec, double base, lk_schedule **out)
{
    double initial = NAN;

    *out = NULL;
    if (!(base >= 0.0 && isfinite(base)))
        return LK_FAIL(LK_ERR_USAGE, "%s: begins from %g, want 0 or more", path, base);
    LK_TRY(lk_schedule_check(path, spec, true));
    lk_schedule *schedule = lk_alloc(sizeof *schedule);
    LK_TRY_ALLOC(schedule, sizeof *schedule);
    const lk_status status = lk_schedule_node_make(&schedule->root, path, spec, NULL, base, &initial);
    if (status != LK_OK) lk_schedule_free(&schedule);
    LK_TRY(status);
    schedule->start = spec->kind == LK_SCHEDULE_CHAINED ? base : initial;
    schedule->state = (lk_schedule_state){.lr = base, .best = lk_plateau_worst(spec)};
    *out = schedule;
    return LK_OK;
}

void lk_schedule_free(lk_schedule **schedule)
{
    if (!schedule || !*schedule) return;
    lk_schedule_node_clear(&(*schedule)->root);
    lk_free(schedule);
}

bool lk_schedule_has_momentum(const lk_schedule *schedule) { return lk_schedule_node_has_momentum(&schedule->root); }

static lk_moment moment_of(const lk_schedule *schedule, int64_t step, double epoch)
{
    const bool by_step = schedule->root.spec.every == LK_EVERY_STEP;
    const int64_t done = schedule->root.spec.start_step;

    if (by_step) step += done;
    else epoch += (double)done;
    return (lk_moment){.n = by_step ? (double)step : epoch, .step = step, .epoch = (int64_t)floor(epoch)};
}

lk_status lk_schedule_at(lk_schedule *schedule, int64_t step, double epoch, double *value, double *momentum)
{
    const lk_moment moment = moment_of(schedule, step, epoch);

    LK_TRY(lk_schedule_node_at(&schedule->root, &moment, is_plateau(schedule) ? schedule->state.lr : schedule->start,
                               value));
    return momentum ? lk_schedule_node_momentum(&schedule->root, &moment, momentum) : LK_OK;
}

void lk_schedule_observe(lk_schedule *schedule, int64_t step, double epoch, double metric, bool *reduced)
{
    const bool warm = moment_of(schedule, step, epoch).n >= (double)schedule->root.spec.warmup.total_iters;

    *reduced = is_plateau(schedule) && warm && lk_plateau_observe(&schedule->root.spec, &schedule->state, metric);
}

void lk_schedule_get(const lk_schedule *schedule, lk_schedule_state *out) { *out = schedule->state; }
void lk_schedule_set(lk_schedule *schedule, const lk_schedule_state *state) { schedule->state = *state; }
