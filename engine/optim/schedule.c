/*
 * Schedules of the learning rate, one dispatch over their kinds.
 *
 *   none               base_lr
 *   lambda             base_lr * expr(epoch, step), as torch's LambdaLR; see expression.c
 *   reduce_on_plateau  see plateau.c
 *
 * An expression sees both the epoch and the training step as they are now, so its value is a function of the two and
 * nothing has to be remembered; `every` adds nothing to it.  `every` says which of them one observation of a plateau
 * is counted in, and the caller keeps that promise.
 */
#include "engine/optim/expression.h"
#include "engine/optim/plateau.h"

#include <math.h>

struct lk_schedule {
    lk_schedule_spec spec;     /* expr is not kept */
    double base_lr;
    lk_expression *expression; /* owned; lambda */
    lk_schedule_state state;
};

static lk_status check_spec(const lk_schedule_spec *spec, double base_lr)
{
    if (!(base_lr >= 0.0 && isfinite(base_lr)))
        return LK_FAIL(LK_ERR_USAGE, "optimizer.lr: %g is out of range, want 0 or more", base_lr);
    if (spec->kind == LK_SCHEDULE_LAMBDA && !spec->expr)
        return LK_FAIL(LK_ERR_USAGE, "scheduler.expr: lambda needs an expression in epoch and step, such as "
                       "0.95^epoch");
    return spec->kind == LK_SCHEDULE_PLATEAU ? lk_plateau_check(spec) : LK_OK;
}

lk_status lk_schedule_new(const lk_schedule_spec *spec, double base_lr, lk_schedule **out)
{
    lk_expression *expression = NULL;

    *out = NULL;
    LK_TRY(check_spec(spec, base_lr));
    if (spec->kind == LK_SCHEDULE_LAMBDA) LK_TRY(lk_expression_new("scheduler.expr", spec->expr, &expression));

    lk_schedule *schedule = lk_alloc(sizeof *schedule);
    if (!schedule) lk_expression_free(&expression);
    LK_TRY_ALLOC(schedule, sizeof *schedule);
    schedule->spec = *spec;
    schedule->spec.expr = NULL;
    schedule->base_lr = base_lr;
    schedule->expression = expression;
    schedule->state = (lk_schedule_state){.lr = base_lr, .best = lk_plateau_worst(spec)};
    *out = schedule;
    return LK_OK;
}

void lk_schedule_free(lk_schedule **schedule)
{
    if (!schedule || !*schedule) return;
    lk_expression_free(&(*schedule)->expression);
    lk_free(schedule);
}

lk_status lk_schedule_lr(lk_schedule *schedule, int64_t step, int64_t epoch, double *out)
{
    if (schedule->expression) {
        double factor;

        LK_TRY(lk_expression_eval(schedule->expression, epoch, step, &factor));
        schedule->state.lr = schedule->base_lr * factor;
    }
    *out = schedule->state.lr;
    return LK_OK;
}

void lk_schedule_observe(lk_schedule *schedule, double metric, bool *reduced)
{
    *reduced = schedule->spec.kind == LK_SCHEDULE_PLATEAU &&
               lk_plateau_observe(&schedule->spec, &schedule->state, metric);
}

void lk_schedule_get(const lk_schedule *schedule, lk_schedule_state *out) { *out = schedule->state; }
void lk_schedule_set(lk_schedule *schedule, const lk_schedule_state *state) { schedule->state = *state; }
