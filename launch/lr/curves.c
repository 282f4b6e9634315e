/*
 * Following the schedules of a recipe's stages and groups, one stage after the other, by the rates that training uses.
 *
 * A row is a scheduler step: an epoch, or a training step where any schedule of any stage counts those or moves within
 * its epochs.  Plateaus observe where training evaluates: at the epochs or steps that train.evaluate_every divides.
 */
#include "launch/lr/curves.h"
#include "launch/job/hyperparams.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void lr_curves_free(lr_curves *c)
{
    for (int k = 0; k < c->n_curves; k++) {
        free(c->curves[k].group);
        free(c->curves[k].value);
    }
    free(c->name);
    free(c->epoch);
    free(c->stages);
    *c = (lr_curves){0};
}

const char *curve_name(const curve *v, char text[METRIC_NAME_BYTES])
{
#define QUANTITY_COLUMN(name, column, words) column,
    static const char *const column[] = {QUANTITY_LIST(QUANTITY_COLUMN)};
#undef QUANTITY_COLUMN

    snprintf(text, METRIC_NAME_BYTES, "%s%s%s", column[v->what], v->group ? "." : "", v->group ? v->group : "");
    return text;
}

const curve *lr_curves_find(const lr_curves *c, quantity what, const char *group)
{
    for (int k = 0; k < c->n_curves; k++) {
        const curve *v = &c->curves[k];

        if (v->what == what && (v->group && group ? strcmp(v->group, group) == 0 : v->group == group)) return v;
    }
    return NULL;
}

/* -------------------------------------------------------------- observations */

/* The file of --metric. */
typedef struct observer {
    FILE *file;              /* NULL: nothing is observed */
    const char *path;
    int64_t line;
} observer;

/* The next number; *end when there are no more. */
static lk_status next_observation(observer *o, double *value, bool *end)
{
    char text[128], *rest;

    *end = !o->file || fgets(text, sizeof text, o->file) == NULL;
    if (*end) return LK_OK;
    o->line++;
    errno = 0;
    *value = strtod(text, &rest);
    const bool found = rest != text && errno != ERANGE;
    rest += strspn(rest, " \t\r\n");
    if (!found || *rest) return LK_FAIL(LK_ERR_DATA, "%s:%" PRId64 ": not a number", o->path, o->line);
    return LK_OK;
}

/* After `step` steps of the stage: every group's plateau sees the same number. */
static lk_status observe(hyperparams *r, const stage_span *s, int64_t step, observer *o)
{
    const int64_t unit = s->recipe->train.evaluate_unit == LK_UNIT_STEP ? 1 : s->steps_per_epoch;
    const double epochs = (double)step / (double)s->steps_per_epoch;
    double value;
    bool end, reduced;

    if (step % (unit * s->recipe->train.evaluate_every) != 0) return LK_OK;
    LK_TRY(next_observation(o, &value, &end));
    for (int g = 0; !end && g < r->n; g++) lk_schedule_observe(r->group[g].lr, step, epochs, value, &reduced);
    return LK_OK;
}

/* ----------------------------------------------------------------- following */

static double value_of(const curve *v, const hyperparams *r, const lk_order *order)
{
    const int g = hyperparams_find(r, v->group);

    if (g < 0) return NAN;
    const lk_recipe *recipe = r->group[g].recipe;
    if (v->what == QUANTITY_LR) return order->lr[g];
    if (v->what == QUANTITY_MOMENTUM)
        return isnan(order->momentum[g]) ? lk_recipe_momentum(recipe) : order->momentum[g];
    return isnan(order->weight_decay[g]) ? recipe->optimizer.weight_decay : order->weight_decay[g];
}

static lk_status follow(hyperparams *r, lr_curves *c, const stage_span *s, observer *o)
{
    const int64_t steps_a_row = c->by_step ? 1 : s->steps_per_epoch;
    lk_order order;

    for (int64_t i = s->begin; i < s->end; i++) {
        const int64_t step = (i - s->begin) * steps_a_row;
        const double epoch = (double)step / (double)s->steps_per_epoch;

        c->epoch[i] = (double)s->epoch + epoch;
        LK_TRY(hyperparams_at(r, step, epoch, &order));
        for (int k = 0; k < c->n_curves; k++) c->curves[k].value[i] = value_of(&c->curves[k], r, &order);
        LK_TRY(observe(r, s, step + steps_a_row, o));
    }
    c->epoch[s->end] = (double)s->epoch + (double)((s->end - s->begin) * steps_a_row) / (double)s->steps_per_epoch;
    return LK_OK;
}

static lk_status follow_stages(lr_curves *c, observer *o)
{
    lk_status status = LK_OK;

    for (unsigned s = 0; status == LK_OK && s < c->n_stages; s++) {
        hyperparams r;

        status = hyperparams_open(c->stages[s].recipe, &r);
        if (status == LK_OK) status = follow(&r, c, &c->stages[s], o);
        hyperparams_close(&r);
    }
    return status;
}

static lk_status follow_all(lr_curves *c, const options *opt)
{
    observer o = {.path = opt->metric};

    if (opt->metric && !(o.file = fopen(opt->metric, "r")))
        return LK_FAIL(LK_ERR_USAGE, "--metric: cannot read %s: %s", opt->metric, strerror(errno));
    const lk_status status = follow_stages(c, &o);
    if (o.file) fclose(o.file);
    return status;
}

/* ------------------------------------------------------------------- counting */

static bool moves_within_epochs(const lk_schedule_spec *spec)
{
    if (spec->kind == LK_SCHEDULE_WARM_RESTARTS && spec->fractional) return true;
    for (unsigned i = 0; i < spec->n_schedulers; i++)
        if (moves_within_epochs(&spec->schedulers[i])) return true;
    return false;
}

static bool counts_steps(const lk_schedule_spec *spec)
{
    return spec->kind != LK_SCHEDULE_NONE && (spec->every == LK_EVERY_STEP || moves_within_epochs(spec));
}

static bool sees_steps(const lk_schedule_spec *spec)
{
    return counts_steps(spec) || (spec->kind == LK_SCHEDULE_LAMBDA && lk_expression_mentions(spec->expr, "step"));
}

/* Whether any schedule of any group in any stage is so. */
static bool any_schedule(const lk_recipe *whole, bool is_so(const lk_schedule_spec *spec))
{
    for (unsigned s = 0; s < whole->n_stages; s++)
        for (unsigned g = 0; g < whole->stages[s]->n_groups; g++) {
            const lk_recipe *r = whole->stages[s]->groups[g];

            if (is_so(&r->scheduler.spec) || is_so(&r->momentum_scheduler.spec) ||
                is_so(&r->weight_decay_scheduler.spec))
                return true;
        }
    return false;
}

/* The data is opened to count its samples; 0 when it cannot be and nothing needs them. */
static lk_status count_samples(job *j, bool needed, int64_t *samples)
{
    const lk_status status = job_open_data(j);

    *samples = status == LK_OK ? lk_dataset_n(j->train) : 0;
    if (status == LK_OK || needed) return status;
    fprintf(stderr, "lockstep: warning: only epochs are counted, for the data cannot be opened: %s\n",
            lk_error_message());
    return LK_OK;
}

static lk_status count_steps(const lk_recipe *r, int64_t samples, int64_t *out)
{
    *out = samples ? stage_batches(r, samples) : 1;
    if (*out > 0) return LK_OK;
    return LK_FAIL(LK_ERR_USAGE,
                   "%s: train.batch: larger than the data set of %" PRId64 " samples, and drop_last leaves "
                   "nothing",
                   lk_recipe_where(r, "train.batch"), samples);
}

/* ------------------------------------------------------------------- laying out */

/* The rows of each stage and of all.  --count takes the first N; the last stage goes on for more. */
static lk_status lay_out(const lk_recipe *whole, int64_t count, int64_t samples, lr_curves *c)
{
    stage_span next = {0};

    for (unsigned i = 0; i < c->n_stages; i++) {
        const lk_recipe *r = next.recipe = whole->stages[i];

        LK_TRY(count_steps(r, samples, &next.steps_per_epoch));
        next.end = next.begin + (c->by_step ? stage_steps(r, samples) : r->train.epochs);
        if (count && (i + 1 == c->n_stages || next.end > count)) next.end = count;
        if (next.end < next.begin) next.end = next.begin;
        next.n_steps = (next.end - next.begin) * (c->by_step ? 1 : next.steps_per_epoch);
        if (!c->by_step && !count && samples) next.n_steps = stage_steps(r, samples);
        c->stages[i] = next;
        next.begin = next.end;
        next.epoch += r->train.epochs;
        next.step += next.n_steps;
    }
    c->n = next.begin;
    c->epoch = malloc((size_t)(c->n + 1) * sizeof *c->epoch);
    LK_TRY_ALLOC(c->epoch, (size_t)(c->n + 1) * sizeof *c->epoch);
    return LK_OK;
}

/* Whether a stage moves a quantity of a group; a learning rate is shown in any case. */
static bool is_shown(const hyperparams *r, quantity what, const char *name)
{
    const int g = hyperparams_find(r, name);

    if (g < 0) return false;
    const group_rates *group = &r->group[g];
    if (what == QUANTITY_LR) return true;
    if (what == QUANTITY_MOMENTUM) return group->momentum || lk_schedule_has_momentum(group->lr);
    return group->weight_decay != NULL;
}

static lk_status any_shows(const lr_curves *c, quantity what, const char *name, bool *shown)
{
    *shown = false;
    for (unsigned s = 0; !*shown && s < c->n_stages; s++) {
        hyperparams r;

        const lk_status status = hyperparams_open(c->stages[s].recipe, &r);
        *shown = status == LK_OK && is_shown(&r, what, name);
        hyperparams_close(&r);
        LK_TRY(status);
    }
    return LK_OK;
}

static lk_status add_curve(lr_curves *c, quantity what, const char *name)
{
    curve *v = &c->curves[c->n_curves++];
    const size_t nbytes = (size_t)c->n * sizeof *v->value;

    *v = (curve){.what = what, .group = name ? strdup(name) : NULL, .value = malloc(nbytes ? nbytes : 1)};
    LK_TRY_ALLOC(v->value && (v->group || !name) ? v->value : NULL, nbytes);
    return LK_OK;
}

static lk_status add_curves(const lk_recipe *whole, lr_curves *c)
{
    const char *names[LK_MOST_GROUPS];
    int n_names;
    bool shown;

    LK_TRY(hyperparams_names(whole, names, &n_names));
    for (int q = 0; q < N_QUANTITIES; q++)
        for (int k = -1; k < n_names; k++) {
            const char *name = k < 0 ? NULL : names[k];

            LK_TRY(any_shows(c, (quantity)q, name, &shown));
            if (shown) LK_TRY(add_curve(c, (quantity)q, name));
        }
    return LK_OK;
}

/* -------------------------------------------------------------------- command */

static lk_status read_recipe(job *j, const options *opt, const char *path)
{
    lk_model_free(&j->model);
    lk_dataset_free(&j->validation);
    lk_dataset_free(&j->train);
    lk_recipe_free(&j->whole);
    LK_TRY(lk_recipe_read(path, opt->overrides, (size_t)opt->n_overrides, &j->whole));
    job_say_notes(j->whole);
    j->recipe = j->whole;
    return LK_OK;
}

static void say_warning(void *arg, const char *text)
{
    (void)arg;
    fprintf(stderr, "lockstep: warning: %s\n", text);
}

static void ask_for_metric(const lk_recipe *whole)
{
    for (unsigned s = 0; s < whole->n_stages; s++) {
        const lk_recipe *r = whole->stages[s];

        if (r->scheduler.spec.kind == LK_SCHEDULE_PLATEAU)
            fprintf(stderr,
                    "lockstep: warning: %s%s%s: a plateau falls by what it observes: give --metric FILE, one number of "
                    "%s a line\n",
                    r->run.name, r->stage ? ": " : "", r->stage ? r->stage : "", r->scheduler.spec.metric);
    }
}

lk_status lr_curves_follow(job *j, const options *opt, const char *path, lr_curves *out)
{
    int64_t samples;

    LK_TRY(read_recipe(j, opt, path));
    const lk_recipe *whole = j->whole;
    out->name = strdup(whole->run.name);
    LK_TRY_ALLOC(out->name, strlen(whole->run.name) + 1);
    out->n_stages = whole->n_stages;
    out->stages = calloc(whole->n_stages, sizeof *out->stages);
    LK_TRY_ALLOC(out->stages, whole->n_stages * sizeof *out->stages);
    out->by_step = any_schedule(whole, counts_steps);
    LK_TRY(count_samples(j, any_schedule(whole, sees_steps), &samples));
    out->counted = samples > 0;
    LK_TRY(lay_out(whole, opt->count, samples, out));
    LK_TRY(add_curves(whole, out));
    LK_TRY(follow_all(out, opt));
    warn_of_schedules(whole, samples, say_warning, NULL);
    if (!opt->metric) ask_for_metric(whole);
    return LK_OK;
}
