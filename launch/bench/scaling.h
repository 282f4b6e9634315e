/* What `bench scaling` measures and predicts, for its page, its picture and its JSON. */
#ifndef LK_SCALING_H
#define LK_SCALING_H

#include "launch/bench/bench.h"
#include "launch/bench/predict.h"
#include "launch/plot/gnuplot.h"

enum { SCALING_COUNTS = 32, SCALING_SIZES = 3 };

/* Weak: each worker has the same samples.  Strong: all share the batch. */
typedef enum scaling_kind { SCALING_WEAK, SCALING_STRONG, N_SCALINGS } scaling_kind;
extern const char *const scaling_words[N_SCALINGS];

/* Steps on a number of workers, measured and predicted; times are means over workers of medians over steps. */
typedef struct scaling_row {
    int workers;
    double step_s, waited_s;  /* waited: for sums, behind the backward pass */
    double reduction_s;       /* the same sums by themselves */
    double hidden;            /* share of them behind the backward pass; 1 for one worker */
    part work;
    gradients gradients;
    prediction predicted;
} scaling_row;

typedef struct scaling {
    const options *opt;
    const lk_recipe *recipe;  /* borrowed */
    int workers[SCALING_COUNTS];
    size_t n_counts;          /* upwards, the last is all */
    int64_t samples;          /* of each worker in weak scaling, and of all on the most in both */
    scaling_row row[N_SCALINGS][SCALING_COUNTS];
    sum_point point[SCALING_COUNTS * SCALING_SIZES];
    size_t n_points;
    bool fits;                /* the network is known: there were several workers */
    network network;
    double error;             /* of the fit, on average */
    double save_s, mtbf_s;    /* of --costs, --mtbf; save 0: not known */
} scaling;

/* What of one worker's speed is left of each: 1 on one worker; and a step by the model. */
double scaling_efficiency(scaling_kind kind, double workers, double step_s, double one_s);
prediction scaling_predict(const scaling *s, scaling_kind kind, double workers);

/* On the leader alone: the page, what goes into the JSON, the picture. */
void      scaling_print(const scaling *s);
lk_status scaling_fill(const void *s, lk_metadata *json);
lk_status scaling_draw(const scaling *s, const char *path);

#endif
