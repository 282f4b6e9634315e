/*
 * The page of `lockstep plot`: panels in rows on one grid, and the legend once, in a strip above them.
 *
 * One run: a colour for each kind of curve.  Several: a colour for each run and a dash for each kind.  Margins and
 * axis labels are placed by hand, so that all panels line up whatever their numbers look like.
 */
#include "launch/plot/plot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FEW_ROWS = 30 /* with so few, points show where the values are */, PART_SOLID = LK_PART_OF_WEIGHTS };

/* Of the parts, where colours tell runs apart: dots, dashes and dots, a line, dashes; lengths in widths of the line. */
static const char *const dashes[LK_N_METRIC_PARTS] = {
    [LK_PART_OF_STEPS] = "(2,4)", [LK_PART_OF_TRAINING] = "(7,3,2,3)", [LK_PART_OF_WEIGHTS] = "solid",
    [LK_PART_OF_EMA] = "(7,3)",
};

/* In points.  Panels stand in rows, the legend's strip above them. */
enum { PANEL_WIDTH = 380, PANEL_HEIGHT = 260, LEGEND_LINE = 22, LABEL = 14 };
enum { LEFT = 70, RIGHT = 18, TOP = 10, BOTTOM = 50 }; /* room beside a panel */

typedef struct grid { int columns, rows, width, height, legend; } grid;

static int legend_lines(const page *p) { return p->n_runs > 1 ? 2 : 1; }

static grid grid_of(const page *p)
{
    grid g = {.columns = p->n_panels <= 3 ? p->n_panels : p->n_panels == 4 ? 2 : 3};

    g.rows = (p->n_panels + g.columns - 1) / g.columns;
    g.legend = LEGEND_LINE * legend_lines(p) + TOP;
    g.width = g.columns * PANEL_WIDTH;
    g.height = g.rows * PANEL_HEIGHT + g.legend;
    return g;
}

/* Colour and dash of a curve.  Curves of the learning rate are its groups, in their order. */
static void write_style(gnuplot *plot, const page *p, int run, const panel *m, int curve)
{
    const int part = lk_metric_part_of(m->column[curve]), kind = part >= 0 ? part : curve;
    const char *dash = part >= 0 ? dashes[part] : dashes[(curve + PART_SOLID) % LK_N_METRIC_PARTS];

    /* The learning rate of one run is no kind of curve: it is black, unless its groups need colours. */
    if (p->n_runs == 1 && part < 0 && m->n_curves == 1)
        fprintf(gnuplot_script(plot), " linetype %d", GNUPLOT_N_COLOURS);
    else if (p->n_runs == 1) fprintf(gnuplot_script(plot), " linetype %d", kind % GNUPLOT_N_COLOURS + 1);
    else fprintf(gnuplot_script(plot), " linetype %d dashtype %s", run + 1, dash);
}

static bool part_is_drawn(const page *p, int part)
{
    for (int i = 0; i < p->n_panels; i++)
        for (int c = 0; c < p->panel[i].n_curves; c++)
            if (lk_metric_part_of(p->panel[i].column[c]) == part) return true;
    return false;
}

static void legend_of_kinds(gnuplot *plot, const page *p)
{
    FILE *f = gnuplot_script(plot);
    const char *separator = "plot";

    for (int k = 0; k < LK_N_METRIC_PARTS; k++) {
        if (!part_is_drawn(p, k)) continue;
        if (p->n_runs == 1) fprintf(f, "%s NaN with lines linetype %d title ", separator, k + 1);
        else fprintf(f, "%s NaN with lines linetype 1 linecolor '#606060' dashtype %s title ", separator, dashes[k]);
        gnuplot_quote(plot, lk_metric_parts[k].title);
        separator = ",";
    }
    fprintf(f, "\n");
}

static void legend_of_runs(gnuplot *plot, const page *p)
{
    FILE *f = gnuplot_script(plot);

    for (int i = 0; i < p->n_runs; i++) {
        fprintf(f, "%s NaN with lines linetype %d title ", i ? "," : "plot", i + 1);
        gnuplot_quote(plot, p->run[i].name);
    }
    fprintf(f, "\n");
}

/* A line of the legend is a plot of nothing with a key; the first names the run or runs. */
static void draw_legend(gnuplot *plot, const page *p, const grid *g)
{
    FILE *f = gnuplot_script(plot);
    const double line = (double)LEGEND_LINE / g->height;

    fprintf(f, "unset border\nset xtics scale 0 format ''\nset ytics scale 0 format ''\nunset grid\n"
               "set xrange [0:1]\nset yrange [0:1]\n");
    fprintf(f, "set lmargin at screen 0\nset rmargin at screen 1\n");
    for (int i = 0; i < legend_lines(p); i++) {
        const double middle = 1.0 - (0.5 * TOP / g->height + (i + 0.5) * line);

        fprintf(f, "set bmargin at screen %.4f\nset tmargin at screen %.4f\n", middle - line / 2, middle + line / 2);
        fprintf(f, "set key at screen 0.5,%.4f center center horizontal reverse Left samplen 3 width 1\n", middle);
        if (p->n_runs > 1 && i == 0) legend_of_runs(plot, p);
        else legend_of_kinds(plot, p);
    }
    fprintf(f, "set border 3\nset xtics scale 0.6 format '%%h'\nset ytics scale 0.6\nset grid\nunset key\n");
}

static void set_axes(gnuplot *plot, const page *p, const grid *g, int i)
{
    FILE *f = gnuplot_script(plot);
    const panel *m = &p->panel[i];
    const int column = i % g->columns, row = i / g->columns;
    const double headroom = 1.05; /* the largest rate is not drawn on the edge */
    const double left = column * PANEL_WIDTH, above = g->legend + row * PANEL_HEIGHT;

    fprintf(f, "set lmargin at screen %.4f\nset rmargin at screen %.4f\n", (left + LEFT) / g->width,
            (left + PANEL_WIDTH - RIGHT) / g->width);
    fprintf(f, "set tmargin at screen %.4f\nset bmargin at screen %.4f\n", 1.0 - (above + TOP) / g->height,
            1.0 - (above + PANEL_HEIGHT - BOTTOM) / g->height);
    fprintf(f, "set xlabel '%s' offset 0,0.4\n", p->by_step ? "Training step" : "Epoch");
    fprintf(f, "set label 1 '%s' at screen %.4f,%.4f center rotate by 90\n", m->label, (left + LABEL) / g->width,
            1.0 - (above + (TOP + PANEL_HEIGHT - BOTTOM) / 2.0) / g->height);
    fprintf(f, "set xrange [0:%.17g]\nset autoscale y\n", p->last);
    if (m->logarithmic) fprintf(f, "set logscale y\nset format y '10^{%%T}'\nset mytics 10\n");
    else fprintf(f, "unset logscale y\nset format y '%%h'\nunset mytics\n");
    if (!m->logarithmic && strcmp(m->metric, "lr") == 0 && m->low >= 0 && m->high > 0)
        fprintf(f, "set yrange [0:%.17g]\n", headroom * m->high * m->scale);
}

static lk_status put_block(gnuplot *plot, const page *p, int run, const panel *m, int curve, const char *name)
{
    const lk_metrics_table *table = p->run[run].table;
    const double *y = lk_metrics_column(table, m->column[curve]);
    double *scaled = malloc(table->n_rows * sizeof *scaled);

    LK_TRY_ALLOC(scaled, table->n_rows * sizeof *scaled);
    for (size_t row = 0; row < table->n_rows; row++) scaled[row] = y[row] * m->scale;
    gnuplot_block(plot, name, lk_metrics_column(table, p->by_step ? "step" : "epoch"), scaled, table->n_rows);
    free(scaled);
    return LK_OK;
}

static bool has_curve(const page *p, int run, const panel *m, int curve)
{
    const double *y = lk_metrics_column(p->run[run].table, m->column[curve]);

    for (size_t row = 0; y && row < p->run[run].table->n_rows; row++)
        if (isfinite(y[row])) return true;
    return false;
}

/* A rate that seldom changes is drawn as the steps it makes: it held since the evaluation before. */
static bool is_staircase(const page *p, int run, const panel *m, int curve)
{
    const double *y = lk_metrics_column(p->run[run].table, m->column[curve]);
    const size_t n = p->run[run].table->n_rows;
    size_t changes = 0;

    if (strcmp(m->metric, "lr") != 0) return false;
    for (size_t row = 1; row < n; row++) changes += y[row] != y[row - 1];
    return changes < n / 2;
}

static bool all_are_short(const page *p)
{
    for (int run = 0; run < p->n_runs; run++)
        if (p->run[run].table->n_rows > FEW_ROWS) return false;
    return true;
}

static lk_status draw_panel(gnuplot *plot, const page *p, const grid *g, int i)
{
    const bool points = all_are_short(p);
    FILE *f = gnuplot_script(plot);
    const panel *m = &p->panel[i];
    const char *separator = "plot";
    char name[PLOT_NAME_BYTES];

    for (int run = 0; run < p->n_runs; run++)
        for (int c = 0; c < m->n_curves; c++) {
            snprintf(name, sizeof name, "panel%d_run%d_curve%d", i, run, c);
            if (has_curve(p, run, m, c)) LK_TRY(put_block(plot, p, run, m, c, name));
        }
    set_axes(plot, p, g, i);
    /* Groups of the learning rate are told apart in their own panel. */
    const bool groups = strcmp(m->metric, "lr") == 0 && m->n_curves > 1;
    if (groups) fprintf(f, "set key inside right top vertical samplen 2 width 0\n");
    for (int run = 0; run < p->n_runs; run++)
        for (int c = 0; c < m->n_curves; c++) {
            if (!has_curve(p, run, m, c)) continue;
            fprintf(f, "%s $panel%d_run%d_curve%d using 1:2 with %s", separator, i, run, c,
                    is_staircase(p, run, m, c) ? "fsteps" : points ? "linespoints" : "lines");
            write_style(plot, p, run, m, c);
            fprintf(f, groups && run == 0 ? " title " : " notitle");
            if (groups && run == 0) gnuplot_quote(plot, m->column[c]);
            separator = ",";
        }
    fprintf(f, "\n%s", groups ? "unset key\n" : "");
    return LK_OK;
}

lk_status plot_draw(const page *p, const char *path)
{
    const grid g = grid_of(p);
    gnuplot *plot;

    LK_TRY(gnuplot_new(path, g.width, g.height, &plot));
    fprintf(gnuplot_script(plot), "set multiplot\n");
    draw_legend(plot, p, &g);
    lk_status status = LK_OK;
    for (int i = 0; i < p->n_panels && status == LK_OK; i++) status = draw_panel(plot, p, &g, i);
    fprintf(gnuplot_script(plot), "unset multiplot\n");
    if (status == LK_OK) status = gnuplot_draw(plot);
    gnuplot_free(&plot);
    return status;
}
