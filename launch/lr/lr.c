/*
 * lockstep lr: the course of a run before it: the rates of every group, what trains, batch and EMA, stage by stage.
 *
 * Values are those in force at scheduler step 0, 1, 2, ...: epochs, or training steps with `every: step` (and
 * where a schedule moves within the epoch).  A plateau needs something to observe: --metric FILE.  The data set
 * is opened only to count its batches and to shape the model; where only epochs are counted and it cannot be, the
 * course is shown all the same.
 */
#include "launch/lr/curves.h"
#include "launch/plot/gnuplot.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { VARY_BYTES = 256, CHART_WIDTH = 48, CHART_ROWS = 40, LR_WIDTH = 12, OTHER_WIDTH = 8 };

/* As in metrics.csv, a group that a stage does not have is left empty. */
static void print_csv(const lr_curves *c)
{
    char name[METRIC_NAME_BYTES];

    printf("step,epoch");
    for (int k = 0; k < c->n_curves; k++) printf(",%s", curve_name(&c->curves[k], name));
    putchar('\n');
    for (int64_t i = 0; i < c->n; i++) {
        printf("%" PRId64 ",%" PRId64, i, (int64_t)c->epoch[i]);
        for (int k = 0; k < c->n_curves; k++) {
            const double value = c->curves[k].value[i];

            if (isnan(value)) putchar(',');
            else printf(",%.17g", value);
        }
        putchar('\n');
    }
}

/* -------------------------------------------------------------------- chart */

static int width_of(const curve *v)
{
    char name[METRIC_NAME_BYTES];
    const int least = v->what == QUANTITY_LR ? LR_WIDTH : OTHER_WIDTH, length = (int)strlen(curve_name(v, name));

    return length > least ? length : least;
}

static bool same_values(const curve *a, const curve *b, const stage_span *s)
{
    for (int64_t i = s->begin; i < s->end; i++)
        if (a->value[i] != b->value[i]) return false;
    return true;
}

/* Left out: groups that the stage does not have, and momentum and weight decay that are as the rest's. */
static bool is_shown(const lr_curves *c, const stage_span *s, int k)
{
    const curve *v = &c->curves[k];

    if (s->begin == s->end || isnan(v->value[s->begin])) return false;
    if (v->what == QUANTITY_LR || !v->group) return true;
    const curve *rest = lr_curves_find(c, v->what, NULL);
    return !rest || !same_values(v, rest, s);
}

static void print_chart_header(const lr_curves *c, const stage_span *s)
{
    char name[METRIC_NAME_BYTES];

    printf("%8s ", c->by_step ? "step" : "epoch");
    for (int k = 0; k < c->n_curves; k++)
        if (is_shown(c, s, k)) printf(" %-*s", width_of(&c->curves[k]), curve_name(&c->curves[k], name));
    putchar('\n');
}

/* The bar is that of the rest's learning rate. */
static void print_chart_row(const lr_curves *c, const stage_span *s, int64_t i, double top)
{
    const double lr = c->curves[0].value[i];
    const int length = top > 0.0 && lr > 0.0 ? (int)(lr / top * CHART_WIDTH + 0.5) : 0;

    printf("%8" PRId64 " ", i);
    for (int k = 0; k < c->n_curves; k++) {
        const curve *v = &c->curves[k];

        if (is_shown(c, s, k)) printf(v->what == QUANTITY_LR ? " %-*.6g" : " %-*.4g", width_of(v), v->value[i]);
    }
    putchar(' ');
    for (int k = 0; k < length; k++) putchar('#');
    putchar('\n');
}

/* Rows that a stage of n gets of the chart's: by its part of the course, and at least its first and last. */
static int64_t chart_rows(const lr_curves *c, int64_t n)
{
    int64_t rows = c->n > CHART_ROWS ? (n * CHART_ROWS + c->n - 1) / c->n : n;

    if (rows < 2) rows = 2;
    return rows < n ? rows : n;
}

static lk_status print_chart(job *j, const lr_curves *c)
{
    double top = 0.0;

    for (int64_t i = 0; i < c->n; i++)
        if (c->curves[0].value[i] > top) top = c->curves[0].value[i];
    for (unsigned i = 0; i < c->n_stages; i++) {
        const stage_span *s = &c->stages[i];
        const int64_t n = s->end - s->begin, rows = chart_rows(c, n);

        if (i > 0) putchar('\n');
        LK_TRY(describe_stage(j, c, i));
        if (n > 0) print_chart_header(c, s);
        for (int64_t row = 0; row < rows; row++)
            print_chart_row(c, s, s->begin + (rows > 1 ? row * (n - 1) / (rows - 1) : 0), top);
    }
    return LK_OK;
}

/* ------------------------------------------------------------------ command */

static lk_status show(job *j, const options *opt, const lr_curves *runs, int n)
{
    if (opt->plot) return draw_lr_curves(opt->plot, runs, n);
    if (!opt->csv) return print_chart(j, &runs[0]);
    print_csv(&runs[0]);
    return LK_OK;
}

static lk_status check_arguments(const options *opt)
{
    if (opt->n_positional < 1 || (opt->n_positional > 1 && !opt->plot))
        return LK_FAIL(LK_ERR_USAGE, "lockstep lr needs one recipe: lockstep lr RECIPE [--count N] [--csv]; or "
                       "several with --plot FILE.png");
    if (opt->vary && (!opt->plot || opt->n_positional > 1 || !strchr(opt->vary, '=')))
        return LK_FAIL(LK_ERR_USAGE, "--vary draws one recipe: lockstep lr RECIPE --vary KEY=A,B,... --plot FILE.png");
    return opt->plot ? gnuplot_check_name("--plot", opt->plot) : LK_OK;
}

/* One recipe under "KEY=VALUE", which its curves are called after. */
static lk_status follow_value(job *j, const options *opt, const char *override, lr_curves *out)
{
    options one = *opt;

    if (one.n_overrides == MAX_OVERRIDES) return LK_FAIL(LK_ERR_USAGE, "--vary: too many overrides beside it");
    one.overrides[one.n_overrides++] = override;
    LK_TRY(lr_curves_follow(j, &one, opt->positional[0], out));
    free(out->name);
    out->name = strdup(override);
    LK_TRY_ALLOC(out->name, strlen(override) + 1);
    return LK_OK;
}

static lk_status follow_values(job *j, const options *opt, lr_curves runs[MAX_POSITIONAL], int *n)
{
    const int key = (int)(strchr(opt->vary, '=') - opt->vary);

    for (const char *value = opt->vary + key + 1;; value++) {
        const int length = (int)strcspn(value, ",");
        char override[VARY_BYTES];

        if (*n == GNUPLOT_N_COLOURS)
            return LK_FAIL(LK_ERR_USAGE, "--vary: more than %d values cannot be told apart by colour",
                           GNUPLOT_N_COLOURS);
        if (snprintf(override, sizeof override, "%.*s=%.*s", key, opt->vary, length, value) >= (int)sizeof override)
            return LK_FAIL(LK_ERR_USAGE, "--vary: a value is too long: %.40s...", value);
        LK_TRY(follow_value(j, opt, override, &runs[(*n)++]));
        value += length;
        if (!*value) return LK_OK;
    }
}

static lk_status follow_recipes(job *j, const options *opt, lr_curves runs[MAX_POSITIONAL], int *n)
{
    for (int i = 0; i < opt->n_positional; i++) LK_TRY(lr_curves_follow(j, opt, opt->positional[i], &runs[(*n)++]));
    return LK_OK;
}

lk_status command_lr(job *j, const options *opt)
{
    lr_curves runs[MAX_POSITIONAL] = {0};
    int n = 0;

    LK_TRY(check_arguments(opt));
    lk_status status = (opt->vary ? follow_values : follow_recipes)(j, opt, runs, &n);
    if (status == LK_OK) status = show(j, opt, runs, n);
    while (n > 0) lr_curves_free(&runs[--n]);
    return status;
}
