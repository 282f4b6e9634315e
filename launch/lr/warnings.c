/*
 * The traps that can be seen in a recipe's schedules before the run: what is never reached, what is cut off, and what
 * counts other steps than its numbers are made for.  `lr` prints them, and `train` does before its first step.
 *
 * Lengths are in the schedule's own steps: a schedule inside a sequential is looked at over its own part of the run.
 * What groups have in common is told once.
 */
#include "launch/launch.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

enum { SAID_BYTES = 4096, LINE_BYTES = 512, PLACE_BYTES = 192 };

/* Whose schedule is looked at, and what was said of the stage so far. */
typedef struct place {
    char name[PLACE_BYTES];
    char said[SAID_BYTES];
    const lk_schedule_spec *outermost;
    warning_fn *say;
    void *arg;
} place;

/* "NAME: ...", unless it was said of another group of the stage. */
static void warn(place *at, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void warn(place *at, const char *format, ...)
{
    char text[LINE_BYTES], line[PLACE_BYTES + sizeof ": " + LINE_BYTES];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (strstr(at->said, text)) return;
    if (strlen(at->said) + strlen(text) < sizeof at->said) strcat(at->said, text);
    snprintf(line, sizeof line, "%s: %s", at->name, text);
    at->say(at->arg, line);
}

/* ---------------------------------------------------------------- its kinds */

static void warn_cosine(const lk_schedule_spec *spec, place *at, int64_t n)
{
    const int64_t T_max = spec->T_max, last = n - 1;

    if (last <= T_max) return;
    if ((last - 1) / T_max % 2 == 1)
        warn(at, "the run ends with the learning rate rising: the cosine is lowest at its step T_max, %" PRId64
             ", and has %" PRId64 " steps; set T_max: %" PRId64, T_max, n, last);
    else
        warn(at, "the cosine swings up and down again: T_max is %" PRId64 " of its %" PRId64 " steps; a fall that "
             "starts anew is kind cosine_warm_restarts", T_max, n);
}

static void warn_onecycle(const lk_schedule_spec *spec, place *at, int64_t n)
{
    const int64_t total = spec->total_steps ? spec->total_steps : spec->epochs * spec->steps_per_epoch;

    if (total == n) return;
    if (spec->steps_per_epoch > 1 && at->outermost->every == LK_EVERY_EPOCH)
        warn(at,
             "onecycle is made for training steps, %" PRId64 " an epoch, and this one counts epochs: it has %" PRId64
             " of its %" PRId64 " steps; set every: step",
             spec->steps_per_epoch, n, total);
    else
        warn(at, "onecycle is made for %" PRId64 " steps and has %" PRId64 ": it %s", total, n,
             total < n ? "stays at its end for the rest" : "does not come to its end");
}

static void warn_cyclic(const lk_schedule_spec *spec, place *at, int64_t n)
{
    if ((double)n <= spec->step_size_up)
        warn(at, "cyclic never leaves its first rise: step_size_up is %.10g and it has %" PRId64 " steps",
             spec->step_size_up, n);
}

static void warn_milestones(const lk_schedule_spec *spec, place *at, int64_t n)
{
    for (unsigned i = 0; i < spec->n_milestones; i++)
        if (spec->milestones[i] >= n) {
            warn(at, "milestone %" PRId64 " is never reached: it has %" PRId64 " steps", spec->milestones[i], n);
            return;
        }
}

/* A kind that is over after `length` steps. */
static void warn_end(const char *kind, const char *key, int64_t length, place *at, int64_t n)
{
    if (length > n)
        warn(at, "%s does not come to its end: %s %" PRId64 " and it has %" PRId64 " steps", kind, key, length, n);
}

/* The counter of a schedule is called what `every` says; the other word counts the run. */
static void warn_lambda(const lk_schedule_spec *spec, place *at)
{
    if (at->outermost->every == LK_EVERY_EPOCH && lk_expression_mentions(spec->expr, "step"))
        warn(at, "`step` counts training steps, and this schedule counts epochs: write `epoch`, or set every: step");
}

static void warn_of_kind(const lk_schedule_spec *spec, place *at, int64_t n)
{
    switch (spec->kind) {
    case LK_SCHEDULE_COSINE: warn_cosine(spec, at, n); break;
    case LK_SCHEDULE_ONECYCLE: warn_onecycle(spec, at, n); break;
    case LK_SCHEDULE_CYCLIC: warn_cyclic(spec, at, n); break;
    case LK_SCHEDULE_MULTISTEP: warn_milestones(spec, at, n); break;
    case LK_SCHEDULE_LAMBDA: warn_lambda(spec, at); break;
    case LK_SCHEDULE_LINEAR: warn_end("linear", "total_iters is", spec->total_iters, at, n); break;
    case LK_SCHEDULE_POLYNOMIAL: warn_end("polynomial", "total_iters is", spec->total_iters, at, n); break;
    case LK_SCHEDULE_WSD:
        warn_end("wsd", "its parts take", spec->warmup_steps + spec->stable_steps + spec->decay_steps, at, n);
        break;
    default: break;
    }
}

/* ------------------------------------------------------------------ its tree */

static void warn_of_schedule(const lk_schedule_spec *spec, place *at, int64_t n);

/* Each part over the steps between its milestones, the last to the end. */
static void warn_of_sequence(const lk_schedule_spec *spec, place *at, int64_t n)
{
    int64_t begin = 0;

    for (unsigned i = 0; i < spec->n_schedulers && begin < n; i++) {
        const bool is_last = i == spec->n_milestones || spec->milestones[i] >= n;
        const int64_t end = is_last ? n : spec->milestones[i];

        if (is_last && i < spec->n_milestones)
            warn(at, "the run ends before milestone %" PRId64 ": it has %" PRId64 " steps", spec->milestones[i], n);
        warn_of_schedule(&spec->schedulers[i], at, end - begin);
        begin = end;
    }
}

static void warn_of_schedule(const lk_schedule_spec *spec, place *at, int64_t n)
{
    const int64_t own = n - spec->warmup.total_iters;

    if (own <= 0 && spec->warmup.total_iters > 0)
        warn(at, "the warmup takes %" PRId64 " of its %" PRId64 " steps", spec->warmup.total_iters, n);
    else if (spec->kind == LK_SCHEDULE_SEQUENTIAL) warn_of_sequence(spec, at, own);
    else if (spec->kind == LK_SCHEDULE_CHAINED)
        for (unsigned i = 0; i < spec->n_schedulers; i++) warn_of_schedule(&spec->schedulers[i], at, own);
    else warn_of_kind(spec, at, own);
}

/* n: what the stage has of evaluate_unit; 0: only the data would tell. */
static void warn_plateau(const lk_recipe *r, place *at, int64_t n)
{
    if (r->scheduler.spec.kind == LK_SCHEDULE_PLATEAU && n > 0 && r->train.evaluate_every >= n)
        warn(at, "the plateau never observes %s before the run ends: train.evaluate_every is %" PRId64,
             r->scheduler.spec.metric, r->train.evaluate_every);
}

/* --------------------------------------------------------------- the recipe */

static void name_place(place *at, const lk_recipe *r)
{
    snprintf(at->name, sizeof at->name, "%s%s%s%s%s", r->run.name, r->stage ? ": " : "", r->stage ? r->stage : "",
             r->group ? ": group " : "", r->group ? r->group : "");
}

/* Scheduler steps of a stage; 0: only the data would tell. */
static int64_t length_of(const lk_recipe *stage, const lk_schedule_spec *spec, int64_t samples)
{
    if (spec->every == LK_EVERY_EPOCH && !stage->train.steps) return stage->train.epochs;
    if (samples == 0) return spec->every == LK_EVERY_STEP ? stage->train.steps : 0;
    const int64_t steps = stage_steps(stage, samples), batches = stage_batches(stage, samples);
    return spec->every == LK_EVERY_STEP || batches == 0 ? steps : (steps + batches - 1) / batches;
}

static void warn_of_group(const lk_recipe *stage, const lk_recipe *group, place *at, int64_t samples)
{
    const lk_schedule_spec *all[] = {&group->scheduler.spec, &group->momentum_scheduler.spec,
                                     &group->weight_decay_scheduler.spec};

    name_place(at, group);
    const lk_schedule_spec steps = {.every = LK_EVERY_STEP};
    const bool by_step = stage->train.evaluate_unit == LK_UNIT_STEP;

    warn_plateau(group, at, by_step ? length_of(stage, &steps, samples) : stage->train.epochs);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const int64_t n = length_of(stage, all[i], samples);

        at->outermost = all[i];
        if (n > 0) warn_of_schedule(all[i], at, n + all[i]->start_step);
    }
}

void warn_of_schedules(const lk_recipe *whole, int64_t samples, warning_fn *say, void *arg)
{
    for (unsigned s = 0; s < whole->n_stages; s++) {
        const lk_recipe *stage = whole->stages[s];
        place at = {.said = "", .say = say, .arg = arg};

        for (unsigned g = 0; g < stage->n_groups; g++) warn_of_group(stage, stage->groups[g], &at, samples);
    }
}
