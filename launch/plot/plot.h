/* A picture of runs: what plot.c chose to show and page.c draws. */
#ifndef LK_PLOT_H
#define LK_PLOT_H

#include "launch/decode/search.h"
#include "launch/plot/gnuplot.h"
#include "launch/launch.h"

enum {
    PLOT_MAX_RUNS = GNUPLOT_N_COLOURS,
    PLOT_MAX_PANELS = 12,
    PLOT_MAX_CURVES = 16, /* of one run in one panel */
    PLOT_NAME_BYTES = 64,
    PLOT_LABEL_BYTES = 96,
};

typedef struct plotted {
    const char *path;            /* borrowed: as given */
    char name[PLOT_LABEL_BYTES];
    lk_metrics_table *table;     /* owned */
    lk_recipe *recipe;           /* owned; NULL: the run's recipe cannot be read, and labels say less */
} plotted;

typedef struct panel {
    char metric[PLOT_NAME_BYTES];     /* what stands behind the prefix, or "lr" */
    char label[PLOT_LABEL_BYTES];
    int n_curves;
    char column[PLOT_MAX_CURVES][PLOT_NAME_BYTES];
    double low, high;            /* of all its values */
    double scale;                /* values are drawn times this */
    bool logarithmic;
} panel;

typedef struct page {
    plotted run[PLOT_MAX_RUNS];
    int n_runs;
    panel panel[PLOT_MAX_PANELS];
    int n_panels;
    bool by_step;                /* the x axis; else by epoch */
    double last;                 /* its largest value */
} page;

/* Draws the page as a PNG. */
lk_status plot_draw(const page *p, const char *path);
/* plot --batch: a recipe's first training batch as a PNG. */
lk_status plot_batch(job *j, const options *opt);
/* translate --attention: what the words of a sentence and of its translation attend to, as a PNG. */
lk_status plot_attention(job *j, const sentence *s, const char *path);

#endif
