/*
 * lockstep plot: the course of runs as a picture, from their metrics.csv.
 *
 * One panel for the loss, one for each further metric, one for the learning rate; in each, every run's training,
 * validation and EMA curve.  One run: a colour for each kind of curve.  Several: a colour for each run and a dash for
 * each kind.  The legend stands once, above the panels.  A scale is logarithmic when its values are positive and span
 * more than a decade and a half.
 */
#include "launch/plot/plot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PATH_BYTES = 4096 };

/* --------------------------------------------------------------------- runs */

/* The last part of the path, unless another run has the same: then the whole path. */
static void name_runs(page *p)
{
    for (int i = 0; i < p->n_runs; i++) {
        const size_t length = strlen(p->run[i].path);
        size_t end = length, begin;

        while (end > 1 && p->run[i].path[end - 1] == '/') end--;
        for (begin = end; begin > 0 && p->run[i].path[begin - 1] != '/'; begin--) {}
        snprintf(p->run[i].name, PLOT_LABEL_BYTES, "%.*s", (int)(end - begin), p->run[i].path + begin);
    }
    for (int i = 0; i < p->n_runs; i++)
        for (int k = 0; k < p->n_runs; k++)
            if (k != i && strcmp(p->run[i].name, p->run[k].name) == 0) {
                snprintf(p->run[i].name, PLOT_LABEL_BYTES, "%s", p->run[i].path);
                snprintf(p->run[k].name, PLOT_LABEL_BYTES, "%s", p->run[k].path);
            }
}

static lk_status read_run(plotted *run)
{
    char path[PATH_BYTES];
    struct stat info;

    if (stat(run->path, &info) != 0) return LK_FAIL(LK_ERR_USAGE, "cannot find the run %s: %m", run->path);
    snprintf(path, sizeof path, "%s/metrics.csv", run->path);
    if (!S_ISDIR(info.st_mode) || stat(path, &info) != 0)
        return LK_FAIL(LK_ERR_USAGE, "%s is no run: there is no %s; give the folder that train wrote, its run.dir",
                       run->path, path);
    LK_TRY(lk_metrics_read(path, &run->table));
    if (run->table->n_rows == 0)
        return LK_FAIL(LK_ERR_DATA, "%s has no evaluation yet: it fills as train.evaluate_every and "
                       "train.evaluate_unit say", path);
    snprintf(path, sizeof path, "%s/recipe.yaml", run->path);
    if (lk_recipe_read(path, NULL, 0, &run->recipe) != LK_OK) run->recipe = NULL;
    return LK_OK;
}

/* Epochs are what people count in; a run that was evaluated twice in one, at a stop in its middle, needs steps, and so
 * does one whose evaluations all lie in its first. */
static void choose_axis(page *p)
{
    for (int i = 0; i < p->n_runs; i++) {
        const double *epoch = lk_metrics_column(p->run[i].table, "epoch");

        for (size_t row = 1; row < p->run[i].table->n_rows; row++) p->by_step |= epoch[row] <= epoch[row - 1];
        p->by_step |= epoch[p->run[i].table->n_rows - 1] == 0.0; /* it has not come to the end of its first */
    }
    p->last = 1.0;
    for (int i = 0; i < p->n_runs; i++) {
        const double *x = lk_metrics_column(p->run[i].table, p->by_step ? "step" : "epoch");

        p->last = fmax(p->last, x[p->run[i].table->n_rows - 1]);
    }
}

/* ------------------------------------------------------------------- panels */

static panel *panel_of(page *p, const char *metric)
{
    for (int i = 0; i < p->n_panels; i++)
        if (strcmp(p->panel[i].metric, metric) == 0) return &p->panel[i];
    if (p->n_panels == PLOT_MAX_PANELS) return NULL;
    panel *added = &p->panel[p->n_panels++];
    *added = (panel){.low = INFINITY, .high = -INFINITY, .scale = 1.0};
    snprintf(added->metric, PLOT_NAME_BYTES, "%s", metric);
    return added;
}

static void add_curve(page *p, const char *metric, const char *column)
{
    panel *to = panel_of(p, metric);

    for (int c = 0; to && c < to->n_curves; c++)
        if (strcmp(to->column[c], column) == 0) return;
    if (!to || to->n_curves == PLOT_MAX_CURVES || strlen(column) >= PLOT_NAME_BYTES) return;
    snprintf(to->column[to->n_curves++], PLOT_NAME_BYTES, "%s", column);
}

/* "loss" of "ema.validation.loss"; NULL for a column that is no metric of a part. */
static const char *metric_of(const char *column)
{
    const int part = lk_metric_part_of(column);

    return part < 0 ? NULL : column + strlen(lk_metric_parts[part].prefix);
}

/* Where the loss is the squared error, a panel of mse would show the same curves again; so with mae. */
static bool repeats_loss(const page *p, const char *column)
{
    char loss[PLOT_NAME_BYTES];
    const char *metric = metric_of(column);

    if (strcmp(metric, "loss") == 0) return false;
    snprintf(loss, sizeof loss, "%.*sloss", (int)(metric - column), column);
    for (int i = 0; i < p->n_runs; i++) {
        const double *a = lk_metrics_column(p->run[i].table, column), *b = lk_metrics_column(p->run[i].table, loss);

        if (a && (!b || memcmp(a, b, p->run[i].table->n_rows * sizeof *a) != 0)) return false;
    }
    return true;
}

static void list_panels(page *p)
{
    panel_of(p, "loss"); /* the first, and the learning rate the last */
    for (int i = 0; i < p->n_runs; i++)
        for (size_t c = 0; c < p->run[i].table->n_columns; c++) {
            const char *column = p->run[i].table->name[c], *metric = metric_of(column);

            if (metric && !repeats_loss(p, column)) add_curve(p, metric, column);
        }
    for (int i = 0; i < p->n_runs; i++)
        for (size_t c = 0; c < p->run[i].table->n_columns; c++) {
            const char *column = p->run[i].table->name[c];

            if (strcmp(column, "lr") == 0 || strncmp(column, "lr.", 3) == 0) add_curve(p, "lr", column);
        }
}

static void measure(const page *p, panel *m)
{
    for (int i = 0; i < p->n_runs; i++)
        for (int c = 0; c < m->n_curves; c++) {
            const double *y = lk_metrics_column(p->run[i].table, m->column[c]);

            for (size_t row = 0; y && row < p->run[i].table->n_rows; row++) {
                if (!isfinite(y[row])) continue;
                m->low = fmin(m->low, y[row]);
                m->high = fmax(m->high, y[row]);
            }
        }
}

/* What all runs' recipes say; false where one cannot be read or says otherwise. */
static bool all_standardized(const page *p)
{
    for (int i = 0; i < p->n_runs; i++) {
        const lk_recipe *r = p->run[i].recipe;

        if (!r || (r->data.standardize != LK_STANDARDIZE_ALL && r->data.standardize != LK_STANDARDIZE_TARGET))
            return false;
    }
    return true;
}

/* The loss of all runs, NULL where they differ or a recipe cannot be read. */
static const lk_loss *common_loss(const page *p)
{
    for (int i = 0; i < p->n_runs; i++)
        if (!p->run[i].recipe || p->run[i].recipe->model.loss.kind != p->run[0].recipe->model.loss.kind) return NULL;
    return lk_loss_get(p->run[0].recipe->model.loss.kind);
}

static void label_metric(const page *p, panel *m)
{
    const lk_metric *metric = lk_metric_find(m->metric);
    const lk_loss *loss = common_loss(p);
    const char *axis = m->metric, *standardized = NULL;

    if (metric && metric->axis) axis = metric->axis, standardized = metric->standardized_axis;
    else if (metric && loss) axis = loss->axis, standardized = loss->standardized_axis;
    else if (metric) axis = "Loss"; /* runs of several kinds */
    if (metric) m->scale = metric->axis_scale;
    snprintf(m->label, PLOT_LABEL_BYTES, "%s", standardized && all_standardized(p) ? standardized : axis);
}

/* Small rates on a linear axis are told in units of their power of ten. */
static void label_lr(panel *m)
{
    const int exponent = m->high > 0 ? (int)floor(log10(m->high)) : 0;

    snprintf(m->label, PLOT_LABEL_BYTES, "Learning rate");
    if (m->logarithmic || exponent > -2) return;
    m->scale = pow(10.0, -exponent);
    snprintf(m->label, PLOT_LABEL_BYTES, "Learning rate (×10^{%d})", exponent);
}

static void finish_panels(page *p)
{
    const double decades = 1.5;

    for (int i = 0; i < p->n_panels; i++) {
        panel *m = &p->panel[i];
        const lk_metric *metric = lk_metric_find(m->metric);

        measure(p, m);
        m->logarithmic = !(metric && metric->fraction) && m->low > 0 && log10(m->high / m->low) > decades;
        if (strcmp(m->metric, "lr") == 0) label_lr(m);
        else label_metric(p, m);
    }
}

/* ------------------------------------------------------------------ command */

static lk_status check_arguments(const options *opt)
{
    if (opt->n_positional < 1 || !opt->out)
        return LK_FAIL(LK_ERR_USAGE, "lockstep plot needs runs and a picture: lockstep plot RUN [RUN ...] -o FILE.png");
    if (opt->n_positional > PLOT_MAX_RUNS)
        return LK_FAIL(LK_ERR_USAGE, "%d runs in one picture: more than %d cannot be told apart by colour",
                       opt->n_positional, PLOT_MAX_RUNS);
    return gnuplot_check_name("-o", opt->out);
}

lk_status command_plot(job *j, const options *opt)
{
    page *p;
    lk_status status = LK_OK;

    if (opt->batch) return plot_batch(j, opt);
    LK_TRY(check_arguments(opt));
    p = calloc(1, sizeof *p);
    LK_TRY_ALLOC(p, sizeof *p);
    p->n_runs = opt->n_positional;
    for (int i = 0; i < p->n_runs && status == LK_OK; i++) {
        p->run[i].path = opt->positional[i];
        status = read_run(&p->run[i]);
    }
    if (status == LK_OK) {
        name_runs(p);
        choose_axis(p);
        list_panels(p);
        finish_panels(p);
        status = plot_draw(p, opt->out);
    }
    for (int i = 0; i < p->n_runs; i++) {
        lk_metrics_table_free(&p->run[i].table);
        lk_recipe_free(&p->run[i].recipe);
    }
    free(p);
    return status;
}
