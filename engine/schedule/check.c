/*
 * Ranges of a schedule's parameters: PyTorch's, and what its arithmetic needs beyond them.  Each row is judged
 * for the kinds it names alone.
 */
#include "engine/schedule/node.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>

enum { MOST_DEPTH = 8 };

typedef enum type { REAL, WHOLE } type;

typedef struct range {
    const char *key;
    size_t offset;
    type type;
    double low, high;
    bool above, below; /* low or high itself is out of range */
    unsigned kinds;    /* a bit for each */
} range;

#define KIND(name) (1u << LK_SCHEDULE_##name)
#define ROW(field, type_, low_, high_, above_, below_, kinds_) \
    {.key = #field, .offset = offsetof(lk_schedule_spec, field), .type = type_, .low = low_, .high = high_, \
     .above = above_, .below = below_, .kinds = kinds_},
#define AT_LEAST(field, type, low, kinds) ROW(field, type, low, HUGE_VAL, false, false, kinds)
#define ABOVE(field, type, low, kinds) ROW(field, type, low, HUGE_VAL, true, false, kinds)
#define FROM_TO(field, type, low, high, kinds) ROW(field, type, low, high, false, false, kinds)

static const range ranges[] = {
    AT_LEAST(step_size, WHOLE, 1, KIND(STEP))
    AT_LEAST(gamma, REAL, 0, KIND(STEP) | KIND(MULTISTEP) | KIND(EXPONENTIAL) | KIND(CYCLIC))
    AT_LEAST(total_iters, WHOLE, 1, KIND(CONSTANT) | KIND(LINEAR) | KIND(POLYNOMIAL))
    ROW(factor, REAL, 0, 1, true, false, KIND(CONSTANT))
    ROW(start_factor, REAL, 0, 1, true, false, KIND(LINEAR))
    FROM_TO(end_factor, REAL, 0, 1, KIND(LINEAR))
    AT_LEAST(power, REAL, 0, KIND(POLYNOMIAL))
    AT_LEAST(T_max, WHOLE, 1, KIND(COSINE))
    AT_LEAST(eta_min, REAL, 0, KIND(COSINE) | KIND(WARM_RESTARTS) | KIND(WSD))
    AT_LEAST(T_0, WHOLE, 1, KIND(WARM_RESTARTS))
    AT_LEAST(T_mult, WHOLE, 1, KIND(WARM_RESTARTS))
    AT_LEAST(base_lr, REAL, 0, KIND(CYCLIC))
    AT_LEAST(max_lr, REAL, 0, KIND(CYCLIC) | KIND(ONECYCLE))
    ABOVE(step_size_up, REAL, 0, KIND(CYCLIC))
    AT_LEAST(step_size_down, REAL, 0, KIND(CYCLIC))
    ROW(base_momentum, REAL, 0, 1, false, true, KIND(CYCLIC) | KIND(ONECYCLE))
    ROW(max_momentum, REAL, 0, 1, false, true, KIND(CYCLIC) | KIND(ONECYCLE))
    AT_LEAST(total_steps, WHOLE, 0, KIND(ONECYCLE))
    AT_LEAST(epochs, WHOLE, 0, KIND(ONECYCLE))
    AT_LEAST(steps_per_epoch, WHOLE, 0, KIND(ONECYCLE))
    FROM_TO(pct_start, REAL, 0, 1, KIND(ONECYCLE))
    ABOVE(div_factor, REAL, 0, KIND(ONECYCLE))
    ABOVE(final_div_factor, REAL, 0, KIND(ONECYCLE))
    AT_LEAST(swa_lr, REAL, 0, KIND(SWALR))
    AT_LEAST(anneal_epochs, WHOLE, 0, KIND(SWALR))
    AT_LEAST(warmup_steps, WHOLE, 1, KIND(INVERSE_SQRT))
    AT_LEAST(warmup_steps, WHOLE, 0, KIND(WSD))
    AT_LEAST(d_model, WHOLE, 0, KIND(INVERSE_SQRT))
    AT_LEAST(stable_steps, WHOLE, 0, KIND(WSD))
    AT_LEAST(decay_steps, WHOLE, 0, KIND(WSD))
};

static lk_status check_range(const char *path, const lk_schedule_spec *spec, const range *r)
{
    const void *field = (const char *)spec + r->offset;
    const double value = r->type == REAL ? *(const double *)field : (double)*(const int64_t *)field;
    const bool low_enough = r->above ? value > r->low : value >= r->low;
    const bool high_enough = r->below ? value < r->high : value <= r->high;

    if (low_enough && high_enough && isfinite(value)) return LK_OK;
    if (isinf(r->high))
        return LK_FAIL(LK_ERR_USAGE, "%s.%s: %g is out of range, want %s %g", path, r->key, value,
                       r->above ? "above" : "at least", r->low);
    return LK_FAIL(LK_ERR_USAGE, "%s.%s: %g is out of range, want %s%g to %s%g", path, r->key, value,
                   r->above ? "above " : "", r->low, r->below ? "below " : "", r->high);
}

static lk_status check_warmup(const char *path, const lk_schedule_spec *spec)
{
    const double start = spec->warmup.start_factor;

    if (spec->warmup.total_iters < 0)
        return LK_FAIL(LK_ERR_USAGE, "%s.warmup.total_iters: %lld is out of range, want at least 0", path,
                       (long long)spec->warmup.total_iters);
    if (spec->warmup.total_iters > 0 && !(start > 0.0 && start <= 1.0))
        return LK_FAIL(LK_ERR_USAGE, "%s.warmup.start_factor: %g is out of range, want above 0 to 1", path, start);
    return LK_OK;
}

static lk_status check_onecycle(const char *path, const lk_schedule_spec *spec)
{
    const bool by_epochs = spec->epochs > 0 && spec->steps_per_epoch > 0;

    if ((spec->total_steps > 0) == by_epochs)
        return LK_FAIL(LK_ERR_USAGE, "%s.total_steps: onecycle needs total_steps, or epochs and steps_per_epoch%s",
                       path, by_epochs ? ", not both" : "");
    return LK_OK;
}

static lk_status check_milestones(const char *path, const lk_schedule_spec *spec)
{
    const bool ordered = spec->kind == LK_SCHEDULE_SEQUENTIAL;

    for (unsigned i = 0; i < spec->n_milestones; i++)
        if (spec->milestones[i] < (ordered && i > 0 ? spec->milestones[i - 1] : 0))
            return LK_FAIL(LK_ERR_USAGE, "%s.milestones[%u]: %lld is out of order: they count up from 0", path, i,
                           (long long)spec->milestones[i]);
    return LK_OK;
}

static lk_status check_children(const char *path, const lk_schedule_spec *spec, int depth);

static lk_status check_spec(const char *path, const lk_schedule_spec *spec, bool outermost, int depth)
{
    if (depth > MOST_DEPTH)
        return LK_FAIL(LK_ERR_USAGE, "%s: more than %d schedules one inside the other", path, MOST_DEPTH);
    if (spec->start_step < 0 || (spec->start_step > 0 && !outermost))
        return LK_FAIL(LK_ERR_USAGE, "%s.start_step: %lld: want 0 or more, and an outermost schedule", path,
                       (long long)spec->start_step);
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (ranges[i].kinds & (1u << spec->kind)) LK_TRY(check_range(path, spec, &ranges[i]));
    LK_TRY(check_warmup(path, spec));
    switch (spec->kind) {
    case LK_SCHEDULE_LAMBDA: case LK_SCHEDULE_MULTIPLICATIVE:
        if (spec->expr) return LK_OK;
        return LK_FAIL(LK_ERR_USAGE, "%s.expr: is missing: an expression such as 0.95^epoch", path);
    case LK_SCHEDULE_ONECYCLE: return check_onecycle(path, spec);
    case LK_SCHEDULE_MULTISTEP: return check_milestones(path, spec);
    case LK_SCHEDULE_PLATEAU:
        if (outermost) return lk_plateau_check(path, spec);
        return LK_FAIL(LK_ERR_USAGE,
                       "%s.kind: reduce_on_plateau goes by a metric and cannot be part of another schedule", path);
    case LK_SCHEDULE_SEQUENTIAL: case LK_SCHEDULE_CHAINED: return check_children(path, spec, depth);
    default: return LK_OK;
    }
}

static lk_status check_children(const char *path, const lk_schedule_spec *spec, int depth)
{
    if (spec->n_schedulers == 0) return LK_FAIL(LK_ERR_USAGE, "%s.schedulers: at least one is needed", path);
    if (spec->kind == LK_SCHEDULE_SEQUENTIAL) {
        if (spec->n_milestones != spec->n_schedulers - 1)
            return LK_FAIL(LK_ERR_USAGE,
                           "%s.milestones: a list of %u for %u schedulers: one is needed between each two", path,
                           spec->n_milestones, spec->n_schedulers);
        LK_TRY(check_milestones(path, spec));
    }
    for (unsigned i = 0; i < spec->n_schedulers; i++) {
        char inner[LK_SCHEDULE_PATH_BYTES];

        snprintf(inner, sizeof inner, "%s.schedulers[%u]", path, i);
        LK_TRY(check_spec(inner, &spec->schedulers[i], false, depth + 1));
    }
    return LK_OK;
}

lk_status lk_schedule_check(const char *path, const lk_schedule_spec *spec, bool outermost)
{
    return check_spec(path, spec, outermost, 1);
}
