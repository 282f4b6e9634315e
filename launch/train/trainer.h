/* One training run: what the files of `lockstep train` share. */
#ifndef LK_TRAINER_H
#define LK_TRAINER_H

#include "launch/job/hyperparams.h"
#include "launch/job/state.h"
#include "launch/job/update.h"
#include "launch/train/staging.h"

/* What workers add to a step's reduction beside gradients. */
typedef enum vote {
    VOTE_STOP,    /* a signal asked this worker to stop */
    VOTE_WRITTEN, /* its part of the checkpoint in flight is on disk */
    VOTE_FAILED,  /* its part could not be written */
} vote;

typedef struct trace trace;

typedef struct trainer {
    job *j;                      /* borrowed */
    int64_t epoch, index;        /* where the data is: the next batch */
    int64_t stage_step, stage_epoch; /* where the stage began: its schedule and its length count from there */
    bool stage_over;             /* the stage has ended and another follows */
    double loss_sum, loss_terms; /* of the epoch so far; evaluations by steps: since the last one */
    int64_t skipped;             /* steps of the epoch so far that were not finite, by this process start */
    float loss;                  /* of the last step */
    const float *grads;          /* borrowed: the last step's sum, valid until the next step's first lane; NULL: no step
                                  * yet, or no worker has all of it */
    lk_order order;              /* of this step */
    float votes[LK_N_VOTES];     /* this worker's */
    bool stop_voted, all_written; /* what the last reduction said */

    lk_saver *saver;
    staging staging;
    lk_batch ahead_batch;        /* on a device: the next batch, taken while this step's work runs */
    lk_lane *ahead_lanes;        /* owned, (own lanes, ahead_stride): where its micro-batches are on the device */
    size_t ahead_stride;         /* micro-batches of a lane at most */
    bool ahead;                  /* the two hold something */
    bool next_best;              /* the leader's: what is saved next has the best weights so far */
    int64_t saving_step;         /* of the checkpoint in flight */
    bool saved;                  /* the current step has been saved */

    /* the leader's */
    hyperparams hyperparams;     /* of the current stage's groups */
    lk_early_stop early_stop;
    double best;                 /* of train.best_metric at a checkpoint; NaN: none yet */
    int64_t best_step, best_epoch; /* of that checkpoint; -1: none */
    int64_t saved_evaluations;   /* lines that metrics.csv had when the checkpoint was saved; STATE_NONE: unknown */
    lk_metrics *csv;
    lk_journal *journal;
    lk_progress *progress;
    lk_events *events;           /* NULL: metrics.tensorboard is false */
    double lr_journalled[LK_MAX_GROUPS];
    const char *group_name[LK_MOST_GROUPS]; /* of all stages, without the rest; borrowed from the recipe */
    int n_group_names;
    lk_recipe *recipe_before;    /* owned: that of the checkpoint that is resumed; NULL: none, or it cannot be read */
    char *recipe_changes;        /* owned: what has changed since, "KEY was -> is, ..."; NULL: nothing */
    bool change;                 /* --change: what makes another run of it is told and no more */
    bool keep_folder;            /* --resume: what is in the run's folder is not set aside */
    int run_dir_lock;            /* -1: none */
    bool digests;                /* --digests */
    int64_t die_at;              /* --die-at: after this step the last worker kills itself; 0: never */
    trace *trace;                /* owned; NULL: neither was asked for */

    const char *stopped;         /* why the run ended, NULL while it goes on */
    int64_t samples;             /* trained on by this process start, all workers */
    double train_seconds;        /* spent in training steps, evaluation and saving left out */
    double started;              /* clock */
    double seconds_waited;       /* for reductions, in the stages that are over */
} trainer;

/* lanes.c: a step's lanes of this worker.  The next batch, or the one taken ahead; forward and backward of its own
 * lanes.  Local. */
lk_status lanes_take(trainer *t, lk_batch *batch);
lk_status lanes_run(trainer *t, const lk_batch *batch);
/* Takes the next batch and sends this worker's lanes to the device while it works on this one.  Not where the order may
 * lead elsewhere: to another stage, to the end, or to what reads the device in between.  Local. */
lk_status lanes_look_ahead(trainer *t, const lk_batch *batch);

/* leader.c: decisions, on the leader alone unless said. */
lk_status leader_open(trainer *t, int64_t resume_step);
void      leader_close(trainer *t);
lk_status leader_order(trainer *t, const lk_batch *batch);
/* Whether train.evaluate_every asks for an evaluation once `step` steps of the run are done; the next batch is `index`
 * of `epoch`.  On every worker. */
bool evaluation_is_due(const trainer *t, int64_t step, int64_t epoch, int64_t index);
/* The schedule of the stage that begins, and a line in the journal. */
lk_status leader_enter_stage(trainer *t);
/* After an evaluation: plateau, early stop, best; metrics.csv and the journal.  *flags gets LK_ORDER_STOP |
 * LK_ORDER_EARLY when the run shall end. */
lk_status leader_judge(trainer *t, uint32_t *flags);

/* summary.c, on the leader alone: the end of the run in summary.json and on standard output. */
lk_status leader_summary(trainer *t);

/* watch.c, on the leader alone: what a person sees. */
void   watch_start(const trainer *t, bool resumed);
void   watch_evaluation(const trainer *t);
void   watch_end(const trainer *t, const char *summary);
double samples_per_second(const trainer *t); /* in training steps */
double epoch_loss(const trainer *t);         /* mean so far of the epoch, or since an evaluation by steps; NaN: no step
                                              * yet */

/* run_dir.c, on the leader alone.  Opens the run's folder for this process: an earlier run in it is set aside
 * unless it is kept, to be resumed or, without a checkpoint, begun again.  *lock, -1 before, is held until
 * run_dir_close(). Errors: LK_ERR_BUSY (another process trains in it), LK_ERR_USAGE, LK_ERR_SYSTEM. */
lk_status run_dir_open(const char *dir, bool keep, int *lock);
void      run_dir_close(int *lock);
/* An earlier recipe that differs is kept beside it as recipe.1.yaml, recipe.2.yaml, ... */
lk_status run_dir_write_recipe(const char *dir, const char *text);
/* A run that goes on has not ended as its summary says. */
lk_status run_dir_forget_summary(const char *dir);

/* events.c: what TensorBoard shows.  A file that can no longer be written is told once and given up: it is no reason to
 * stop a run. */
lk_status events_open(trainer *t);
void      events_close(trainer *t);
/* What was told so far goes to the disk. */
void      events_sync(trainer *t);
/* Loss and learning rate of the last step, every metrics.log_every steps. */
void      events_step(trainer *t);
/* The metrics of the last evaluation; every metrics.histograms evaluations, weights and gradients too. */
void      events_evaluation(trainer *t);

/* trace.c: what this worker computes, step by step, in RUN/digests, if that was asked for; there, too, a worker is
 * killed on purpose.  Local. */
lk_status trace_open(trainer *t);
void      trace_close(trainer *t);
/* Who is told when gradients of a lane that is about to run are final: the reducer, by way of the trace. */
void      trace_lane(trainer *t, int lane, lk_lane *out);
/* After each step. */
lk_status trace_step(trainer *t);

/* resume.c, on the leader alone: what has changed in the recipe since the checkpoint is told, into recipe_changes too;
 * what would make another run is refused unless t->change.  Errors: LK_ERR_USAGE. */
lk_status resume_check(trainer *t);
/* Names the tensors that were frozen, or trained, when the checkpoint was saved and no longer are. */
void      resume_say_frozen(const trainer *t);

/* saving.c */
lk_status saving_open(trainer *t);
void      saving_close(trainer *t);
/* Writes and publishes what is in flight, then begins to save the current state.  Collective. */
lk_status saving_begin(trainer *t);
/* Publishes the finished save in flight: the leader's part and everybody's bookkeeping.  Collective. */
lk_status saving_publish(trainer *t);
/* Waits for and publishes the save in flight, if any.  Collective. */
lk_status saving_drain(trainer *t);

/* restore.c */
/* Turns j to the stage in which j->checkpoint was saved.  Local; the same on every worker. */
lk_status restore_stage(job *j);
/* Restores everything from j->checkpoint.  Collective. */
lk_status restore_run(trainer *t);

#endif
