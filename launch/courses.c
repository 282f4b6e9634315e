/*
 * Following the schedules of a recipe's stages, one after the other, and the traps that can be seen before a run.
 *
 * A row is a scheduler step: an epoch, or a training step where any stage counts those or moves within its epochs.
 */
#include "launch/courses.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void course_free(course *c)
{
    free(c->name);
    free(c->epoch);
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
    const bool found = rest != text && errno != ERANGE;
    rest += strspn(rest, " \t\r\n");
    if (!found || *rest) return LK_FAIL(LK_ERR_DATA, "%s:%" PRId64 ": not a number", path, line);
    return LK_OK;
}

/* One stage: rows [begin, end) of the course, the first of them at `epoch`. */
typedef struct stretch {
    const lk_recipe *recipe;
    int64_t begin, end, epoch, steps_per_epoch;
    FILE *metric;            /* borrowed; NULL: nothing is observed */
    const char *metric_path;
} stretch;

static double own_momentum(const lk_optimizer_spec *spec)
{
    return spec->kind == LK_SGD ? spec->momentum : spec->beta1;
}

static lk_status follow(lk_schedule *schedule, course *c, const stretch *s)
{
    for (int64_t i = s->begin; i < s->end; i++) {
        const int64_t row = i - s->begin, step = c->by_step ? row : row * s->steps_per_epoch;
        const int64_t next = step + (c->by_step ? 1 : s->steps_per_epoch);
        const double epoch = (double)step / (double)s->steps_per_epoch;
        bool reduced, end = true;
        double value = 0.0, momentum;

        c->epoch[i] = (double)s->epoch + epoch;
        LK_TRY(lk_schedule_at(schedule, step, epoch, &c->lr[i], &momentum));
        if (c->momentum) c->momentum[i] = isnan(momentum) ? own_momentum(&s->recipe->optimizer) : momentum;
        if (s->metric) LK_TRY(next_observation(s->metric, s->metric_path, i + 1, &value, &end));
        const double epochs_done = floor((double)next / (double)s->steps_per_epoch);
        if (!end) lk_schedule_observe(schedule, next, epochs_done, value, &reduced);
    }
    c->epoch[s->end] = (double)s->epoch + (double)(s->end - s->begin) / (c->by_step ? (double)s->steps_per_epoch : 1.0);
    return LK_OK;
}

static lk_status make_schedule(const lk_recipe *r, lk_schedule **out)
{
    return lk_schedule_new("scheduler", &r->scheduler.spec, r->optimizer.lr, out);
}

static lk_status follow_stage(course *c, const stretch *s)
{
    lk_schedule *schedule;

    LK_TRY(make_schedule(s->recipe, &schedule));
    const lk_status status = follow(schedule, c, s);
    lk_schedule_free(&schedule);
    return status;
}

/* ------------------------------------------------------------------- counting */

/* The samples of the training part; the data is opened for them. */
static lk_status count_samples(const lk_recipe *r, int64_t *out)
{
    lk_dataset *train = NULL, *validation = NULL;

    LK_TRY(lk_dataset_open(&r->data, r->model.loss.kind, NULL, &train, &validation));
    *out = lk_dataset_n(train);
    lk_dataset_free(&train);
    lk_dataset_free(&validation);
    return LK_OK;
}

/* samples 0: not known, and nothing needs it. */
static lk_status count_steps(const lk_recipe *r, int64_t samples, int64_t *out)
{
    *out = r->data.drop_last ? samples / r->train.batch : (samples + r->train.batch - 1) / r->train.batch;
    if (samples == 0) *out = 1;
    if (*out > 0) return LK_OK;
    return LK_FAIL(LK_ERR_USAGE, "%s: train.batch: larger than the data set of %" PRId64 " samples, and drop_last leaves "
                   "nothing", lk_recipe_where(r, "train.batch"), samples);
}

static bool moves_within_epochs(const lk_schedule_spec *spec)
{
    if (spec->kind == LK_SCHEDULE_WARM_RESTARTS && spec->fractional) return true;
    for (unsigned i = 0; i < spec->n_schedulers; i++)
        if (moves_within_epochs(&spec->schedulers[i])) return true;
    return false;
}

static bool counts_steps(const lk_schedule_spec *spec)
{
    return spec->every == LK_EVERY_STEP || moves_within_epochs(spec);
}

static bool sees_steps(const lk_schedule_spec *spec)
{
    return counts_steps(spec) || (spec->kind == LK_SCHEDULE_LAMBDA && strstr(spec->expr, "step"));
}

static lk_status open_data(const lk_recipe *r, bool needed, int64_t *samples)
{
    const lk_status status = count_samples(r, samples);

    if (status == LK_OK || needed) return status;
    fprintf(stderr, "lockstep: warning: only epochs are counted, for the data cannot be opened: %s\n",
            lk_error_message());
    *samples = 0;
    return LK_OK;
}

/* Rows of a stage by itself. */
static int64_t count_rows(const lk_recipe *r, const course *c, int64_t steps_per_epoch)
{
    const int64_t steps = r->train.epochs * steps_per_epoch;

    if (!c->by_step) return r->train.epochs;
    return r->train.steps && r->train.steps < steps ? r->train.steps : steps;
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

static void warn_plateau(const lk_recipe *r, const options *opt, const char *name)
{
    const char *metric = r->scheduler.spec.metric;

    if (r->scheduler.spec.kind != LK_SCHEDULE_PLATEAU) return;
    if (r->train.evaluate_every >= r->train.epochs)
        warn(name, "the plateau never observes %s before the run ends: train.evaluate_every is %" PRId64, metric,
             r->train.evaluate_every);
    if (!opt->metric)
        warn(name, "a plateau falls by what it observes: give --metric FILE, one number of %s a line", metric);
}

/* -------------------------------------------------------------------- command */

/* The rows of each stage, of all, and the room for them.  --count takes the first N; the last stage goes on for more. */
static lk_status lay_out(const lk_recipe *r, const options *opt, int64_t samples, course *c, stretch *stages)
{
    bool momentum = false;
    int64_t begin = 0, epoch = 0;

    for (unsigned s = 0; s < r->n_stages; s++) {
        const lk_recipe *stage = r->stages[s];
        lk_schedule *schedule;

        LK_TRY(make_schedule(stage, &schedule));
        momentum = momentum || lk_schedule_has_momentum(schedule);
        lk_schedule_free(&schedule);
        stages[s] = (stretch){.recipe = stage, .begin = begin, .epoch = epoch};
        LK_TRY(count_steps(stage, samples, &stages[s].steps_per_epoch));
        stages[s].end = begin + count_rows(stage, c, stages[s].steps_per_epoch);
        if (opt->count && (s + 1 == r->n_stages || stages[s].end > opt->count)) stages[s].end = opt->count;
        if (stages[s].end < begin) stages[s].end = begin;
        begin = stages[s].end;
        epoch += stage->train.epochs;
    }
    c->n = begin;
    c->epoch = malloc((size_t)(c->n + 1) * sizeof *c->epoch);
    c->lr = malloc((size_t)c->n * sizeof *c->lr);
    if (momentum) c->momentum = malloc((size_t)c->n * sizeof *c->momentum);
    LK_TRY_ALLOC(c->epoch && c->lr && (c->momentum || !momentum) ? c->lr : NULL, (size_t)c->n * sizeof *c->lr);
    return LK_OK;
}

static lk_status follow_all(const lk_recipe *r, const options *opt, course *c, stretch *stages)
{
    FILE *metric = NULL;
    lk_status status = LK_OK;

    if (opt->metric && !(metric = fopen(opt->metric, "r")))
        return LK_FAIL(LK_ERR_USAGE, "--metric: cannot read %s: %s", opt->metric, strerror(errno));
    for (unsigned s = 0; status == LK_OK && s < r->n_stages; s++) {
        stages[s].metric = metric;
        stages[s].metric_path = opt->metric;
        status = follow_stage(c, &stages[s]);
    }
    if (metric) fclose(metric);
    return status;
}

/* Counted in the stage's own scheduler steps, whatever the rows are. */
static void warn_stage(const options *opt, const course *c, const stretch *s)
{
    const lk_recipe *r = s->recipe;
    const bool epochs_in_steps = c->by_step && r->scheduler.spec.every == LK_EVERY_EPOCH;
    const int64_t rows = s->end - s->begin;
    char name[METRIC_NAME_BYTES * 2];

    if (rows == 0) return;
    snprintf(name, sizeof name, "%s%s%s", r->run.name, r->stage ? ": " : "", r->stage ? r->stage : "");
    warn_plateau(r, opt, name);
    warn_traps(&r->scheduler.spec, name, epochs_in_steps ? (rows + s->steps_per_epoch - 1) / s->steps_per_epoch : rows);
}

static lk_status follow_recipe(const lk_recipe *r, const options *opt, course *c)
{
    stretch *stages = calloc(r->n_stages, sizeof *stages);
    bool needed = false;
    int64_t samples = 0;

    LK_TRY_ALLOC(stages, r->n_stages * sizeof *stages);
    for (unsigned s = 0; s < r->n_stages; s++) {
        c->by_step = c->by_step || counts_steps(&r->stages[s]->scheduler.spec);
        needed = needed || sees_steps(&r->stages[s]->scheduler.spec);
    }
    lk_status status = open_data(r, needed, &samples);
    if (status == LK_OK) status = lay_out(r, opt, samples, c, stages);
    if (status == LK_OK) status = follow_all(r, opt, c, stages);
    for (unsigned s = 0; status == LK_OK && s < r->n_stages; s++) warn_stage(opt, c, &stages[s]);
    free(stages);
    return status;
}

lk_status course_follow(job *j, const options *opt, const char *path, course *out)
{
    lk_recipe_free(&j->whole);
    LK_TRY(lk_recipe_read(path, opt->overrides, (size_t)opt->n_overrides, &j->whole));
    j->recipe = j->whole;
    out->name = strdup(j->whole->run.name);
    LK_TRY_ALLOC(out->name, strlen(j->whole->run.name) + 1);
    return follow_recipe(j->whole, opt, out);
}
