/*
 * lockstep lr: the course of the learning rate, and of momentum where it is scheduled, without training.
 *
 * Values are those in force at scheduler step 0, 1, 2, ...: epochs, or training steps with `every: step` (and
 * where a schedule moves within the epoch).  A plateau needs something to observe: --metric FILE.  The data set
 * is opened only to count its batches; where only epochs are counted and it cannot be, the course is shown all
 * the same.
 */
#include "launch/courses.h"
#include "launch/gnuplot.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHART_WIDTH = 48, CHART_ROWS = 40 };

static void print_csv(const course *c)
{
    printf("step,epoch,lr%s\n", c->momentum ? ",momentum" : "");
    for (int64_t i = 0; i < c->n; i++) {
        printf("%" PRId64 ",%" PRId64 ",%.17g", i, course_epoch(c, i), c->lr[i]);
        if (c->momentum) printf(",%.17g", c->momentum[i]);
        putchar('\n');
    }
}

static void print_chart(const course *c)
{
    const int64_t rows = c->n < CHART_ROWS ? c->n : CHART_ROWS;
    double top = 0.0;

    for (int64_t i = 0; i < c->n; i++)
        if (c->lr[i] > top) top = c->lr[i];
    printf("%8s  %-12s%s\n", c->by_step ? "step" : "epoch", "lr", c->momentum ? " momentum" : "");
    for (int64_t row = 0; row < rows; row++) {
        const int64_t i = rows > 1 ? row * (c->n - 1) / (rows - 1) : 0;
        const int length = top > 0.0 && c->lr[i] > 0.0 ? (int)(c->lr[i] / top * CHART_WIDTH + 0.5) : 0;

        printf("%8" PRId64 "  %-12.6g ", i, c->lr[i]);
        if (c->momentum) printf("%-8.4g ", c->momentum[i]);
        for (int k = 0; k < length; k++) putchar('#');
        putchar('\n');
    }
}

/* --------------------------------------------------------------------- plot */

enum { WIDTH = 520, HEIGHT = 300, MOMENTUM_HEIGHT = 130 };

/* The value holds until the next step, so short courses are drawn as stairs. */
enum { MOST_STAIRS = 200 };

static const char *line_style(const course *c) { return c->n <= MOST_STAIRS ? "steps" : "lines"; }

/* Recipes that count alike keep their unit on the axis; epochs where they do not. */
static bool all_by_step(const course *courses, int n)
{
    for (int i = 0; i < n; i++)
        if (!courses[i].by_step) return false;
    return true;
}

static lk_status add_block(gnuplot *plot, const course *c, const char *what, int i, const double *y, bool by_step)
{
    double *x = malloc((size_t)c->n * sizeof *x);
    char name[32];

    LK_TRY_ALLOC(x, (size_t)c->n * sizeof *x);
    snprintf(name, sizeof name, "%s%d", what, i);
    for (int64_t k = 0; k < c->n; k++)
        x[k] = c->by_step && !by_step ? (double)k / (double)c->steps_per_epoch : (double)k;
    gnuplot_block(plot, name, x, y, (size_t)c->n);
    free(x);
    return LK_OK;
}

/* One panel: a line for each course that has `what`. */
static void draw_panel(gnuplot *plot, const course *courses, int n, const char *what)
{
    FILE *f = gnuplot_script(plot);
    const bool is_lr = strcmp(what, "lr") == 0;
    const char *comma = "plot ";

    for (int i = 0; i < n; i++) {
        if (!is_lr && !courses[i].momentum) continue;
        fprintf(f, "%s$%s%d using 1:2 with %s linetype %d ", comma, what, i, line_style(&courses[i]), i + 1);
        if (is_lr && n > 1) {
            fprintf(f, "title ");
            gnuplot_quote(plot, courses[i].name);
        } else {
            fprintf(f, "notitle");
        }
        comma = ", ";
    }
    fprintf(f, "\n");
}

static bool any_momentum(const course *courses, int n)
{
    for (int i = 0; i < n; i++)
        if (courses[i].momentum) return true;
    return false;
}

static lk_status fill_plot(gnuplot *plot, const course *courses, int n)
{
    FILE *f = gnuplot_script(plot);
    const bool by_step = all_by_step(courses, n), momentum = any_momentum(courses, n);

    for (int i = 0; i < n; i++) {
        LK_TRY(add_block(plot, &courses[i], "lr", i, courses[i].lr, by_step));
        if (courses[i].momentum) LK_TRY(add_block(plot, &courses[i], "momentum", i, courses[i].momentum, by_step));
    }
    fprintf(f, "set yrange [0:*]\nset offsets graph 0, graph 0, graph 0.04, 0\nset format y '%%g'\n"
               "set key outside top center horizontal samplen 2\nset ylabel 'learning rate'\n");
    if (momentum)
        fprintf(f, "set multiplot layout 2,1 margins 0.13,0.97,0.14,%s spacing 0.09\n", n > 1 ? "0.90" : "0.97");
    else
        fprintf(f, "set xlabel '%s'\n", by_step ? "step" : "epoch");
    draw_panel(plot, courses, n, "lr");
    if (!momentum) return LK_OK;
    fprintf(f, "set yrange [*:*]\nset offsets graph 0, graph 0, graph 0.08, graph 0.08\nset ylabel 'momentum'\n"
               "set xlabel '%s'\n", by_step ? "step" : "epoch");
    draw_panel(plot, courses, n, "momentum");
    fprintf(f, "unset multiplot\n");
    return LK_OK;
}

static lk_status draw(const char *path, const course *courses, int n)
{
    gnuplot *plot;

    LK_TRY(gnuplot_new(path, WIDTH, HEIGHT + (any_momentum(courses, n) ? MOMENTUM_HEIGHT : 0), &plot));
    lk_status status = fill_plot(plot, courses, n);
    if (status == LK_OK) status = gnuplot_draw(plot);
    gnuplot_free(&plot);
    if (status == LK_OK) printf("%s\n", path);
    return status;
}

/* ------------------------------------------------------------------ command */

static lk_status show(const options *opt, const course *courses, int n)
{
    if (opt->plot) return draw(opt->plot, courses, n);
    if (opt->csv) print_csv(&courses[0]);
    else print_chart(&courses[0]);
    return LK_OK;
}

lk_status command_lr(job *j, const options *opt)
{
    course courses[MAX_POSITIONAL] = {0};
    lk_status status = LK_OK;
    int n = 0;

    if (opt->n_positional < 1 || (opt->n_positional > 1 && !opt->plot))
        return LK_FAIL(LK_ERR_USAGE, "lockstep lr needs one recipe: lockstep lr RECIPE [--count N] [--csv]; or "
                       "several with --plot FILE.png");
    for (; status == LK_OK && n < opt->n_positional; n++)
        status = course_follow(j, opt, opt->positional[n], &courses[n]);
    if (status == LK_OK) status = show(opt, courses, n);
    while (n > 0) course_free(&courses[--n]);
    return status;
}
