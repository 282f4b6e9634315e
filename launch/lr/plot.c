/*
 * Courses as a picture: a panel for each quantity that moves, the learning rates above, and in it a line for each
 * group of each recipe.
 */
#include "launch/lr/curves.h"
#include "launch/plot/gnuplot.h"

#include <math.h>
#include <stdlib.h>

/* In points: width and height of a picture of one panel, what each further one adds, and the places within. */
enum { WIDTH = 560, HEIGHT = 320, LOWER = 110, GAP = 45, AXIS = 55, TOP = 14, KEY_ROW = 17 };

/* A value holds until the next step, so short courses are drawn as stairs. */
enum { MOST_STAIRS = 200 };

/* One picture on its way. */
typedef struct picture {
    gnuplot *plot;           /* owned */
    const lr_curves *runs;   /* borrowed */
    int n;
    bool by_step;
    int n_panels, height;
} picture;

/* Recipes that all count steps keep steps on the axis; else it shows epochs. */
static bool all_by_step(const lr_curves *runs, int n)
{
    for (int i = 0; i < n; i++)
        if (!runs[i].by_step) return false;
    return true;
}

static int count_curves(const lr_curves *runs, int n, quantity what)
{
    int found = 0;

    for (int i = 0; i < n; i++)
        for (int k = 0; k < runs[i].n_curves; k++) found += runs[i].curves[k].what == what;
    return found;
}

/* Names of recipes and groups together are long. */
static int keys_a_row(const picture *p)
{
    return p->n > 1 && count_curves(p->runs, p->n, QUANTITY_LR) > p->n ? 2 : 3;
}

/* The points of a curve, and one more wherever it ends: a value holds until its step is over. */
static size_t put_points(const picture *p, const lr_curves *c, const double *value, double *x, double *y)
{
    size_t used = 0;

    for (int64_t i = 0; i <= c->n; i++) {
        const double at = p->by_step ? (double)i : c->epoch[i];
        const double before = i > 0 ? value[i - 1] : NAN, here = i < c->n ? value[i] : NAN;

        if (isnan(here) && !isnan(before)) x[used] = at, y[used++] = before;
        x[used] = at;
        y[used++] = here;
    }
    return used;
}

static lk_status add_block(const picture *p, int i, int k)
{
    const lr_curves *c = &p->runs[i];
    const size_t most = 2 * ((size_t)c->n + 1);
    double *x = malloc(2 * most * sizeof *x), *y = x ? x + most : NULL;
    char name[32];

    LK_TRY_ALLOC(x, 2 * most * sizeof *x);
    snprintf(name, sizeof name, "curve%d_%d", i, k);
    gnuplot_block(p->plot, name, x, y, put_points(p, c, c->curves[k].value, x, y));
    free(x);
    return LK_OK;
}

/* Named by recipe where there are several, and by group where it has several. */
static void put_title(const picture *p, const lr_curves *c, const curve *v)
{
    const bool groups = count_curves(c, 1, QUANTITY_LR) > 1;
    const char *group = !groups ? "" : v->group ? v->group : "rest";
    char text[METRIC_NAME_BYTES * 2];

    if (v->what != QUANTITY_LR || (p->n == 1 && !groups)) {
        fprintf(gnuplot_script(p->plot), "notitle");
        return;
    }
    snprintf(text, sizeof text, "%s%s%s", p->n > 1 ? c->name : "", p->n > 1 && groups ? ": " : "", group);
    fprintf(gnuplot_script(p->plot), "title ");
    gnuplot_quote(p->plot, text);
}

/* The same group of the same recipe has one colour in all panels: its place among the learning rates of all. */
static int colour_of(const picture *p, int i, const curve *v)
{
    const lr_curves *c = &p->runs[i];
    const int place =
        count_curves(p->runs, i, QUANTITY_LR) + (int)(lr_curves_find(c, QUANTITY_LR, v->group) - c->curves);

    return place % GNUPLOT_N_COLOURS + 1;
}

static void draw_panel(const picture *p, quantity what, int bottom, int top)
{
    FILE *f = gnuplot_script(p->plot);
    const char *comma = "plot ";

    fprintf(f, "set bmargin at screen %g\nset tmargin at screen %g\n", (double)bottom / p->height,
            (double)top / p->height);
    for (int i = 0; i < p->n; i++)
        for (int k = 0; k < p->runs[i].n_curves; k++) {
            const curve *v = &p->runs[i].curves[k];

            if (v->what != what) continue;
            fprintf(f, "%s$curve%d_%d using 1:2 with %s linetype %d ", comma, i, k,
                    p->runs[i].n <= MOST_STAIRS ? "steps" : "lines", colour_of(p, i, v));
            put_title(p, &p->runs[i], v);
            comma = ", ";
        }
    fprintf(f, "\n");
}

/* From the top down; the lowest panel has the axis. */
static void draw_panels(const picture *p)
{
#define QUANTITY_WORDS(name, column, words) words,
    static const char *const words[] = {QUANTITY_LIST(QUANTITY_WORDS)};
#undef QUANTITY_WORDS
    FILE *f = gnuplot_script(p->plot);
    const int lines = count_curves(p->runs, p->n, QUANTITY_LR);
    const int a_row = keys_a_row(p), key_rows = lines > 1 ? (lines + a_row - 1) / a_row : 0;
    const int top = p->height - TOP - key_rows * KEY_ROW;
    int drawn = 0;

    for (int q = 0; q < N_QUANTITIES; q++) {
        if (count_curves(p->runs, p->n, (quantity)q) == 0) continue;
        const int bottom = AXIS + (p->n_panels - ++drawn) * (LOWER + GAP);

        if (drawn == p->n_panels) fprintf(f, "set xlabel '%s'\n", p->by_step ? "step" : "epoch");
        if (q == QUANTITY_MOMENTUM) fprintf(f, "set yrange [*:*]\nset offsets 0, 0, graph 0.08, graph 0.08\n");
        else fprintf(f, "set yrange [0:*]\nset offsets 0, 0, graph 0.08, 0\n");
        fprintf(f, "set ylabel '%s' offset 0.5,0\n", words[q]);
        draw_panel(p, (quantity)q, bottom, drawn == 1 ? top : bottom + LOWER);
    }
}

/* Where the longest course ends: panels above one another share the axis. */
static double last_of(const picture *p)
{
    double last = 0.0;

    for (int i = 0; i < p->n; i++) {
        const lr_curves *c = &p->runs[i];
        last = fmax(last, p->by_step ? (double)c->n : c->epoch[c->n]);
    }
    return last;
}

static lk_status fill(const picture *p)
{
    FILE *f = gnuplot_script(p->plot);

    for (int i = 0; i < p->n; i++)
        for (int k = 0; k < p->runs[i].n_curves; k++) LK_TRY(add_block(p, i, k));
    fprintf(f, "set multiplot\nset lmargin at screen 0.14\nset rmargin at screen 0.96\nset format y '%%g'\n"
               "set key at screen 0.54, 0.985 center top horizontal maxcols %d samplen 2\nset xrange [0:%g]\n",
            keys_a_row(p), last_of(p));
    draw_panels(p);
    fprintf(f, "unset multiplot\n");
    return LK_OK;
}

lk_status draw_lr_curves(const char *path, const lr_curves *runs, int n)
{
    picture p = {.runs = runs, .n = n, .by_step = all_by_step(runs, n)};

    for (int q = 0; q < N_QUANTITIES; q++) p.n_panels += count_curves(runs, n, (quantity)q) > 0;
    p.height = HEIGHT + (p.n_panels - 1) * (LOWER + GAP);
    LK_TRY(gnuplot_new(path, WIDTH, p.height, &p.plot));
    lk_status status = fill(&p);
    if (status == LK_OK) status = gnuplot_draw(p.plot);
    gnuplot_free(&p.plot);
    if (status == LK_OK) printf("%s\n", path);
    return status;
}
