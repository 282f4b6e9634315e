/*
 * Lockstep for other programs: train by a recipe, predict with a run.  The same as the program's commands, and the same
 * bits; what is below it (engine, dist, io) has headers of its own beside this one.
 *
 *     lk_world *world;
 *     lk_predictions p;
 *     lk_world_new(0, &world);
 *     lk_run_train(world, &(lk_training){.recipe = "r.yaml"});
 *     lk_run_predict(world, "runs/r", "new.csv", false, &p);
 *
 * Started by mpirun it trains on all workers; alone it is one.  What failed is in lk_error_message().
 */
#ifndef LK_LOCKSTEP_H
#define LK_LOCKSTEP_H

#include "dist/dist.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The metrics of one evaluation, on the leader: `n` names ("train.loss", "validation.loss", ...) with their values. */
typedef void lk_watch_fn(void *arg, int64_t step, int n, const char *const *name, const double *value);

typedef struct lk_training {
    const char *recipe;             /* a file */
    const char *const *overrides;   /* (n_overrides) "a.b=value" */
    int n_overrides;
    bool resume;                    /* go on from the newest good checkpoint */
    lk_watch_fn *watch;             /* NULL: nobody */
    void *arg;
} lk_training;

/* `lockstep train`.  Collective.  Errors: the exit statuses of the program; LK_STOPPED after a signal that asks to
 * stop, with a checkpoint written. */
lk_status lk_run_train(lk_world *world, const lk_training *training);

/* Row i of n: what the network says of sample i.  A regression's outputs in the units of the data; a classification's
 * probabilities. */
typedef struct lk_predictions {
    int64_t n;
    size_t n_output;
    double *value; /* (n, n_output), owned */
} lk_predictions;

/* `lockstep predict`: the newest good checkpoint of the run (a folder, or a recipe) on the samples of a file; NULL: on
 * the validation part.  ema: the averaged weights.  The rows are the leader's; other workers get none.  Collective. */
lk_status lk_run_predict(lk_world *world, const char *run, const char *file, bool ema, lk_predictions *out);
void      lk_predictions_free(lk_predictions *predictions); /* Local */

#ifdef __cplusplus
}
#endif
#endif
