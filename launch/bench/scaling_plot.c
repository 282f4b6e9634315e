/* The picture of `bench scaling`: efficiency to 10,000 workers, predicted as lines, measured as points. */
#include "launch/bench/scaling.h"

enum { WIDTH = 640, HEIGHT = 400, LAST_POWER = 14 };
static const double PERCENT = 100.0, most_workers = 10000.0;

/* Powers of two, and 10,000 in the place of the first behind it. */
static void put_line(const scaling *s, scaling_kind kind, gnuplot *plot)
{
    double x[LAST_POWER + 1], y[LAST_POWER + 1];

    for (int p = 0; p <= LAST_POWER; p++) {
        x[p] = p < LAST_POWER ? 1 << p : most_workers;
        y[p] = PERCENT * scaling_efficiency(kind, x[p], scaling_predict(s, kind, x[p]).step,
                                            s->row[kind][0].predicted.step);
    }
    gnuplot_block(plot, kind == SCALING_WEAK ? "weak" : "strong", x, y, LAST_POWER + 1);
}

static void put_points(const scaling *s, scaling_kind kind, gnuplot *plot)
{
    double x[SCALING_COUNTS], y[SCALING_COUNTS];

    for (size_t i = 0; i < s->n_counts; i++) {
        x[i] = s->workers[i];
        y[i] = PERCENT * scaling_efficiency(kind, s->workers[i], s->row[kind][i].step_s, s->row[kind][0].step_s);
    }
    gnuplot_block(plot, kind == SCALING_WEAK ? "weak_measured" : "strong_measured", x, y, s->n_counts);
}

lk_status scaling_draw(const scaling *s, const char *path)
{
    gnuplot *plot;

    LK_TRY(gnuplot_new(path, WIDTH, HEIGHT, &plot));
    FILE *f = gnuplot_script(plot);
    for (int kind = 0; kind < N_SCALINGS; kind++) {
        put_line(s, (scaling_kind)kind, plot);
        put_points(s, (scaling_kind)kind, plot);
    }
    fprintf(f, "set title noenhanced ");
    gnuplot_quote(plot, s->recipe->run.name);
    fprintf(f, "\nset logscale x 10\nset xrange [1:%g]\nset yrange [0:105]\n", most_workers);
    fprintf(f, "set xlabel 'workers'\nset ylabel 'efficiency, %%'\nset key bottom left\n");
    fprintf(f, "plot $weak with lines linetype 1 title 'weak scaling, predicted', \\\n"
               "$weak_measured with points linetype 1 pointsize 1.2 title 'measured', \\\n"
               "$strong with lines linetype 2 title 'strong scaling, predicted', \\\n"
               "$strong_measured with points linetype 2 pointsize 1.2 title 'measured'\n");
    const lk_status status = gnuplot_draw(plot);
    gnuplot_free(&plot);
    return status;
}
