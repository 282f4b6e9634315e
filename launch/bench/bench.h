/* What the commands of `lockstep bench` share: the worker's job, steps as training makes them, tables and JSON. */
#ifndef LK_BENCH_H
#define LK_BENCH_H

#include "launch/launch.h"

enum { BENCH_ITERATIONS = 20, BENCH_WARMUP = 3 };

/* ---------------------------------------------------------------------- step */

/* Steps of a recipe's first stage, over the same batch again and again. */
typedef struct bench_steps {
    job *j;                  /* borrowed; job_open_training() is done */
    lk_batch batch;          /* the loader's first, and its memory */
    double busy_s;           /* what a step of one lane is stretched to; 0: it is not */
    double began;            /* the clock, and until the last lane's first gradients were final from then */
    double first_s;
    size_t n_ready, n_grads; /* gradients of the lane that runs, final and all */
    double compute_s;        /* of the last step: the lanes, forward and backward */
    double wait_s;           /* and what it waited for the sum behind them */
    double update_s;
} bench_steps;

/* Reads the recipe, makes of it what training needs, takes a batch.  Collective. */
lk_status bench_steps_open(bench_steps *steps, job *j, const options *opt);
/* Where a lane's gradients are told to be ready, and how it is run: lk_engine_run(), or one that measures. */
typedef lk_status bench_run_fn(void *arg, const lk_lane *lane);
/* One step: lanes, their sum, the update.  run NULL: as training does.  Collective. */
lk_status bench_step_once(bench_steps *steps, bench_run_fn *run, void *arg);

/* ------------------------------------------------------------------- numbers */

/* The middle one of n > 0 values, which it sorts. */
double bench_median(double *values, size_t n);
/* --iterations, or what is usual. */
size_t bench_iterations(const options *opt);
/* Writes --json, if it was given, from what fill() puts into it.  On the leader alone. */
typedef lk_status bench_fill_fn(const void *arg, lk_metadata *json);
lk_status bench_write_json(const options *opt, bench_fill_fn *fill, const void *arg);

/* "100M" in bytes; a count of whole floats is the caller's.  Errors: LK_ERR_USAGE with the option. */
lk_status bench_size(const char *option, const char *text, size_t *out);
/* Seconds of one sum of so many bytes over all workers, the same on all.  Collective. */
lk_status bench_reduce_once(job *j, lk_reduction algorithm, size_t nbytes, size_t n_calls, double *seconds);

/* ------------------------------------------------------------------ commands */

#define BENCH_NAMES "step, reduce, checkpoint or scaling"
/* lockstep bench NAME ...; opt begins behind NAME.  Collective. */
lk_status bench_step(job *j, const options *opt);
lk_status bench_reduce(job *j, const options *opt);
lk_status bench_checkpoint(job *j, const options *opt);
lk_status bench_scaling(job *j, const options *opt);

/* cluster.c, for lockstep plan: the options of a cluster that fails, and what will become of it.  Local. */
lk_status cluster_check(const options *opt);
lk_status cluster_print(const options *opt);

#endif
