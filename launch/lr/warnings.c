/*
 * The traps that can be seen in a stage's schedules before the run.  What groups have in common is told once.
 */
#include "launch/lr/curves.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

enum { SAID_BYTES = 2048, LINE_BYTES = 512 };

/* Whose schedule is looked at, and what was said of the stage so far. */
typedef struct place {
    char name[METRIC_NAME_BYTES * 3];
    char said[SAID_BYTES];
} place;

/* "lockstep: warning: NAME: ...", unless it was said of another group of the stage. */
static void warn(place *at, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void warn(place *at, const char *format, ...)
{
    char text[LINE_BYTES];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (strstr(at->said, text)) return;
    if (strlen(at->said) + strlen(text) < sizeof at->said) strcat(at->said, text);
    fprintf(stderr, "lockstep: warning: %s: %s\n", at->name, text);
}

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

    if (total != n)
        warn(at, "onecycle is made for %" PRId64 " steps and has %" PRId64 ": it %s", total, n,
             total < n ? "stays at its end for the rest" : "does not come to its end");
}

/* What of the tree is still in force at the end of the run, n steps after it began. */
static void warn_of_schedule(const lk_schedule_spec *spec, place *at, int64_t n)
{
    int64_t begin = 0;
    unsigned i = 0;

    n -= spec->warmup.total_iters;
    if (spec->kind == LK_SCHEDULE_COSINE) warn_cosine(spec, at, n);
    if (spec->kind == LK_SCHEDULE_ONECYCLE) warn_onecycle(spec, at, n);
    if (spec->kind == LK_SCHEDULE_CHAINED)
        for (i = 0; i < spec->n_schedulers; i++) warn_of_schedule(&spec->schedulers[i], at, n);
    if (spec->kind != LK_SCHEDULE_SEQUENTIAL) return;
    while (i < spec->n_milestones && spec->milestones[i] < n) begin = spec->milestones[i++];
    if (i < spec->n_milestones)
        warn(at, "the run ends before milestone %" PRId64 ": it has %" PRId64 " steps", spec->milestones[i], n);
    warn_of_schedule(&spec->schedulers[i], at, n - begin);
}

static void warn_plateau(const lk_recipe *r, const options *opt, place *at)
{
    const char *metric = r->scheduler.spec.metric;

    if (r->scheduler.spec.kind != LK_SCHEDULE_PLATEAU) return;
    if (r->train.evaluate_every >= r->train.epochs)
        warn(at, "the plateau never observes %s before the run ends: train.evaluate_every is %" PRId64, metric,
             r->train.evaluate_every);
    if (!opt->metric)
        warn(at, "a plateau falls by what it observes: give --metric FILE, one number of %s a line", metric);
}

static void name_place(place *at, const lk_recipe *r)
{
    snprintf(at->name, sizeof at->name, "%s%s%s%s%s", r->run.name, r->stage ? ": " : "", r->stage ? r->stage : "",
             r->group ? ": group " : "", r->group ? r->group : "");
}

/* Counted in the group's own scheduler steps, whatever the rows are. */
void warn_of_schedules(const options *opt, const lr_curves *c, const stage_span *s)
{
    const int64_t rows = s->end - s->begin;
    place at = {.said = ""};

    if (rows == 0) return;
    for (unsigned g = 0; g < s->recipe->n_groups; g++) {
        const lk_recipe *r = s->recipe->groups[g];
        const bool epochs_in_steps = c->by_step && r->scheduler.spec.every == LK_EVERY_EPOCH;

        name_place(&at, r);
        warn_plateau(r, opt, &at);
        warn_of_schedule(&r->scheduler.spec, &at,
                         epochs_in_steps ? (rows + s->steps_per_epoch - 1) / s->steps_per_epoch : rows);
    }
}
