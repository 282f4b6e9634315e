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
        printf("%" PRId64 ",%" PRId64 ",%.17g", i, (int64_t)c->epoch[i], c->lr[i]);
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

enum { WIDTH = 560, HEIGHT = 320, HEIGHT_WITH_MOMENTUM = 460, KEYS_A_ROW = 3 };

/* A value holds until the next step, so short courses are drawn as stairs. */
enum { MOST_STAIRS = 200 };

/* Recipes that all count steps keep steps on the axis; else it shows epochs. */
static bool all_by_step(const course *courses, int n)
{
    for (int i = 0; i < n; i++)
        if (!courses[i].by_step) return false;
    return true;
}

/* The points of a course, and one more where its last step ends. */
static lk_status add_block(gnuplot *plot, const course *c, const char *what, int i, const double *values, bool by_step)
{
    const size_t n = (size_t)c->n + 1;
    double *x = malloc(2 * n * sizeof *x), *y = x ? x + n : NULL;
    char name[32];

    LK_TRY_ALLOC(x, 2 * n * sizeof *x);
    for (size_t k = 0; k < n; k++) {
        x[k] = by_step ? (double)k : c->epoch[k];
        y[k] = values[k + 1 < n ? k : k - 1];
    }
    snprintf(name, sizeof name, "%s%d", what, i);
    gnuplot_block(plot, name, x, y, n);
    free(x);
    return LK_OK;
}

/* One panel between two heights of the picture: a line for each course that has `what`. */
static void draw_panel(gnuplot *plot, const course *courses, int n, const char *what, double bottom, double top)
{
    FILE *f = gnuplot_script(plot);
    const bool is_lr = strcmp(what, "lr") == 0;
    const char *comma = "plot ";

    fprintf(f, "set bmargin at screen %g\nset tmargin at screen %g\n", bottom, top);
    for (int i = 0; i < n; i++) {
        if (!is_lr && !courses[i].momentum) continue;
        fprintf(f, "%s$%s%d using 1:2 with %s linetype %d ", comma, what, i,
                courses[i].n <= MOST_STAIRS ? "steps" : "lines", i % GNUPLOT_N_COLOURS + 1);
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

/* Where the longest course ends: panels above one another share the axis. */
static double last_of(const course *courses, int n, bool by_step)
{
    double last = 0.0;

    for (int i = 0; i < n; i++) last = fmax(last, by_step ? (double)courses[i].n : courses[i].epoch[courses[i].n]);
    return last;
}

static bool any_momentum(const course *courses, int n)
{
    for (int i = 0; i < n; i++)
        if (courses[i].momentum) return true;
    return false;
}

/* Momentum, where there is one, has a panel of its own below. */
static lk_status fill_plot(gnuplot *plot, const course *courses, int n)
{
    FILE *f = gnuplot_script(plot);
    const bool by_step = all_by_step(courses, n), momentum = any_momentum(courses, n);
    const int rows = n > 1 ? (n + KEYS_A_ROW - 1) / KEYS_A_ROW : 0;
    const double row = momentum ? 0.05 : 0.07, top = 0.96 - row * rows, bottom = momentum ? 0.48 : 0.17;
    char label[32];

    for (int i = 0; i < n; i++) {
        LK_TRY(add_block(plot, &courses[i], "lr", i, courses[i].lr, by_step));
        if (courses[i].momentum) LK_TRY(add_block(plot, &courses[i], "momentum", i, courses[i].momentum, by_step));
    }
    snprintf(label, sizeof label, "set xlabel '%s'\n", by_step ? "step" : "epoch");
    fprintf(f, "set multiplot\nset lmargin at screen 0.12\nset rmargin at screen 0.96\nset format y '%%g'\n"
               "set key at screen 0.54, 0.985 center top horizontal maxcols %d samplen 2\n"
               "set xrange [0:%.17g]\nset yrange [0:*]\nset offsets 0, 0, graph 0.05, 0\n"
               "set ylabel 'learning rate' offset 0.5,0\n%s",
            KEYS_A_ROW, last_of(courses, n, by_step), momentum ? "" : label);
    draw_panel(plot, courses, n, "lr", bottom, top);
    if (momentum) {
        fprintf(f, "set yrange [*:*]\nset offsets 0, 0, graph 0.08, graph 0.08\nset ylabel 'momentum'\n%s", label);
        draw_panel(plot, courses, n, "momentum", 0.12, 0.38);
    }
    fprintf(f, "unset multiplot\n");
    return LK_OK;
}

static lk_status draw(const char *path, const course *courses, int n)
{
    gnuplot *plot;

    LK_TRY(gnuplot_new(path, WIDTH, any_momentum(courses, n) ? HEIGHT_WITH_MOMENTUM : HEIGHT, &plot));
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
