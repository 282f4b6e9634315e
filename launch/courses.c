/* Following a schedule step by step, and the traps that can be seen before a run. */
#include "launch/courses.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

int64_t course_epoch(const course *c, int64_t i) { return c->by_step ? i / c->steps_per_epoch : i; }

void course_free(course *c)
{
    free(c->name);
    free(c->lr);
    free(c->momentum);
    *c = (course){0};
}

/* ----------------------------------------------------------------- following */

/* The next number of --metric; *end when there are no more. */
static lk_status next_observation(FILE *file, const char *path, int64_t line, double *value, bool *end)
{
    char text[128], *rest;

    *end = fgets(text, sizeof text, file) == NULL;
    if (*end) return LK_OK;
    errno = 0;
    *value = strtod(text, &rest);
    rest += strspn(rest, " \t\r\n");
    if (rest == text || *rest || errno == ERANGE)
        return LK_FAIL(LK_ERR_DATA, "%s:%" PRId64 ": not a number", path, line);
    return LK_OK;
}

static lk_status follow(lk_schedule *schedule, course *c, FILE *metric, const char *path)
{
    for (int64_t i = 0; i < c->n; i++) {
        const int64_t step = c->by_step ? i : i * c->steps_per_epoch;
        const double epoch = c->by_step ? (double)i / (double)c->steps_per_epoch : (double)i;
        const double next = c->by_step ? floor((double)(i + 1) / (double)c->steps_per_epoch) : (double)(i + 1);
        bool reduced, end = true;
        double value = 0.0;

        LK_TRY(lk_schedule_at(schedule, step, epoch, &c->lr[i], c->momentum ? &c->momentum[i] : NULL));
        if (metric) LK_TRY(next_observation(metric, path, i + 1, &value, &end));
        if (!end) lk_schedule_observe(schedule, step + (c->by_step ? 1 : c->steps_per_epoch), next, value, &reduced);
    }
    return LK_OK;
}

static lk_status follow_file(lk_schedule *schedule, course *c, const char *path)
{
    FILE *metric = NULL;

    if (path && !(metric = fopen(path, "r")))
        return LK_FAIL(LK_ERR_USAGE, "--metric: cannot read %s: %s", path, strerror(errno));
    const lk_status status = follow(schedule, c, metric, path);
    if (metric) fclose(metric);
    return status;
}

static lk_status make_room(course *c, const options *opt, const lk_recipe *r, bool momentum)
{
    const int64_t by_epochs = c->by_step ? r->train.epochs * c->steps_per_epoch : r->train.epochs;
    const int64_t cap = c->by_step && r->train.steps ? r->train.steps : by_epochs;

    c->n = opt->count ? opt->count : cap < by_epochs ? cap : by_epochs;
    c->lr = malloc((size_t)c->n * sizeof *c->lr);
    LK_TRY_ALLOC(c->lr, (size_t)c->n * sizeof *c->lr);
    if (momentum) {
        c->momentum = malloc((size_t)c->n * sizeof *c->momentum);
        LK_TRY_ALLOC(c->momentum, (size_t)c->n * sizeof *c->momentum);
    }
    return LK_OK;
}

/* ------------------------------------------------------------------- counting */

/* The batches of an epoch decide how steps and epochs go together, so the data is opened. */
static lk_status count_steps(const lk_recipe *r, int64_t *out)
{
    lk_dataset *train = NULL, *validation = NULL;

    LK_TRY(lk_dataset_open(&r->data, r->model.loss.kind, NULL, &train, &validation));
    const int64_t samples = lk_dataset_n(train);
    lk_dataset_free(&train);
    lk_dataset_free(&validation);
    *out = r->data.drop_last ? samples / r->train.batch : (samples + r->train.batch - 1) / r->train.batch;
    if (*out > 0) return LK_OK;
    return LK_FAIL(LK_ERR_USAGE, "%s: train.batch: larger than the data set of %" PRId64 " samples, and drop_last "
                   "leaves nothing", lk_recipe_where(r, "train.batch"), samples);
}

static bool moves_within_epochs(const lk_schedule_spec *spec)
{
    if (spec->kind == LK_SCHEDULE_WARM_RESTARTS && spec->fractional) return true;
    for (unsigned i = 0; i < spec->n_schedulers; i++)
        if (moves_within_epochs(&spec->schedulers[i])) return true;
    return false;
}

static lk_status count_time(const lk_recipe *r, course *c)
{
    const lk_schedule_spec *spec = &r->scheduler.spec;

    c->by_step = spec->every == LK_EVERY_STEP || moves_within_epochs(spec);
    const lk_status status = count_steps(r, &c->steps_per_epoch);
    if (status == LK_OK || c->by_step || (spec->kind == LK_SCHEDULE_LAMBDA && strstr(spec->expr, "step")))
        return status;
    fprintf(stderr, "lockstep: warning: only epochs are counted, for the data cannot be opened: %s\n",
            lk_error_message());
    c->steps_per_epoch = 1;
    return LK_OK;
}

/* ---------------------------------------------------------------------- traps */

/* "lockstep: warning: NAME: ..." */
static void warn(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void warn(const char *name, const char *format, ...)
{
    va_list args;

    fprintf(stderr, "lockstep: warning: %s: ", name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

static void warn_cosine(const lk_schedule_spec *spec, const char *name, int64_t n)
{
    const int64_t T_max = spec->T_max, last = n - 1;

    if (last <= T_max) return;
    if ((last - 1) / T_max % 2 == 1)
        warn(name, "the run ends with the learning rate rising: the cosine is lowest at its step T_max, %" PRId64
             ", and has %" PRId64 " steps; set T_max: %" PRId64, T_max, n, last);
    else
        warn(name, "the cosine swings up and down again: T_max is %" PRId64 " of its %" PRId64 " steps; a fall that "
             "starts anew is kind cosine_warm_restarts", T_max, n);
}

static void warn_onecycle(const lk_schedule_spec *spec, const char *name, int64_t n)
{
    const int64_t total = spec->total_steps ? spec->total_steps : spec->epochs * spec->steps_per_epoch;

    if (total != n)
        warn(name, "onecycle is made for %" PRId64 " steps and has %" PRId64 ": it %s", total, n,
             total < n ? "stays at its end for the rest" : "does not come to its end");
}

/* What of the tree is still in force at the end of the run, n steps after it began. */
static void warn_traps(const lk_schedule_spec *spec, const char *name, int64_t n)
{
    int64_t begin = 0;
    unsigned i = 0;

    n -= spec->warmup.total_iters;
    if (spec->kind == LK_SCHEDULE_COSINE) warn_cosine(spec, name, n);
    if (spec->kind == LK_SCHEDULE_ONECYCLE) warn_onecycle(spec, name, n);
    if (spec->kind == LK_SCHEDULE_CHAINED)
        for (i = 0; i < spec->n_schedulers; i++) warn_traps(&spec->schedulers[i], name, n);
    if (spec->kind != LK_SCHEDULE_SEQUENTIAL) return;
    while (i < spec->n_milestones && spec->milestones[i] < n) begin = spec->milestones[i++];
    if (i < spec->n_milestones)
        warn(name, "the run ends before milestone %" PRId64 ": it has %" PRId64 " steps", spec->milestones[i], n);
    warn_traps(&spec->schedulers[i], name, n - begin);
}

static void warn_plateau(const lk_recipe *r, const options *opt)
{
    const char *metric = r->scheduler.spec.metric;

    if (r->scheduler.spec.kind != LK_SCHEDULE_PLATEAU) return;
    if (r->train.evaluate_every >= r->train.epochs)
        warn(r->run.name, "the plateau never observes %s before the run ends: train.evaluate_every is %" PRId64, metric,
             r->train.evaluate_every);
    if (!opt->metric)
        warn(r->run.name, "a plateau falls by what it observes: give --metric FILE, one number of %s a line", metric);
}

/* -------------------------------------------------------------------- command */

lk_status course_follow(job *j, const options *opt, const char *path, course *out)
{
    lk_schedule *schedule = NULL;

    lk_recipe_free(&j->whole);
    LK_TRY(lk_recipe_read(path, opt->overrides, (size_t)opt->n_overrides, &j->whole));
    j->recipe = j->whole;
    const lk_recipe *r = j->recipe;
    out->name = strdup(r->run.name);
    LK_TRY_ALLOC(out->name, strlen(r->run.name) + 1);
    LK_TRY(count_time(r, out));
    LK_TRY(lk_schedule_new("scheduler", &r->scheduler.spec, r->optimizer.lr, &schedule));
    lk_status status = make_room(out, opt, r, lk_schedule_has_momentum(schedule));
    if (status == LK_OK) status = follow_file(schedule, out, opt->metric);
    lk_schedule_free(&schedule);
    LK_TRY(status);
    warn_plateau(r, opt);
    warn_traps(&r->scheduler.spec, r->run.name, out->n);
    return LK_OK;
}
