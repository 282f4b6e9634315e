/*
 * What a checkpoint says of its run beside tensors: one list, by which it is put, got and shown (commands/show.c).
 *
 * A new field is one row here, and what fills it (launch/train/saving.c) and uses it (launch/train/restore.c).  Beside
 * these there are notes by name: metrics/last/NAME and metrics/best/NAME (state_put_metrics), optimizer/step/TENSOR
 * (state_put_steps) and what plateaus remember (hyperparams.h).
 */
#ifndef LK_STATE_H
#define LK_STATE_H

#include "launch/launch.h"

/* X(field, type, need, path).  NEEDED: every checkpoint of format 1 has it.  OPTIONAL: absent where it would say
 * nothing, and in checkpoints older than the field. */
#define STATE_LIST(X)                                                                                          \
    X(recipe, TEXT, NEEDED, "run/recipe")               /* as lk_recipe.text */                                 \
    X(version, TEXT, NEEDED, "run/version")             /* of the program that wrote it */                      \
    X(seed, INT, NEEDED, "run/seed")                                                                           \
    X(lanes, INT, NEEDED, "run/lanes")                                                                         \
    X(batch, INT, NEEDED, "run/batch")                                                                         \
    X(step, INT, NEEDED, "run/step")                    /* training steps done */                               \
    X(stopped, TEXT, NEEDED, "run/stopped")             /* why the run ended here, "": it goes on */            \
    X(data_stats, TEXT, NEEDED, "data/stats")           /* as lk_dataset_stats() */                             \
    X(data_fields, TEXT, OPTIONAL, "data/fields")       /* as lk_dataset_fields() */                            \
    X(samples, INT, NEEDED, "data/samples")             /* of the training part */                              \
    X(data_hash, TEXT, OPTIONAL, "data/hash")           /* of the training part, as lk_dataset_hash() */        \
    X(validation_hash, TEXT, OPTIONAL, "data/validation_hash") /* "": there is no such part */                  \
    X(plugin, TEXT, OPTIONAL, "model/plugin")           /* the network's file; absent: it is of the program */     \
    X(plugin_hash, TEXT, OPTIONAL, "model/plugin_hash") /* of its bytes */                                       \
    X(stage, INT, NEEDED, "stage/index")                                                                       \
    X(stage_name, TEXT, NEEDED, "stage/name")           /* "": the recipe has no stages */                      \
    X(stage_step, INT, NEEDED, "stage/first_step")                                                             \
    X(stage_epoch, INT, NEEDED, "stage/first_epoch")                                                           \
    X(stage_over, INT, NEEDED, "stage/over")                                                                   \
    X(epoch, INT, NEEDED, "loader/epoch")                                                                      \
    X(index, INT, NEEDED, "loader/batch")               /* of the epoch: the next one */                        \
    X(loss_sum, REAL, NEEDED, "loader/loss_sum")        /* of the epoch, or since an evaluation by steps */     \
    X(loss_terms, REAL, NEEDED, "loader/loss_terms")                                                           \
    X(ema_step, INT, OPTIONAL, "averaging/step")        /* absent: the run has no EMA */                        \
    X(ema_started, INT, OPTIONAL, "averaging/started")                                                         \
    X(early_stop_metric, TEXT, NEEDED, "early_stop/metric") /* "": the run does not stop early */               \
    X(early_stop_best, REAL, NEEDED, "early_stop/best")                                                        \
    X(early_stop_bad, INT, NEEDED, "early_stop/num_bad")                                                       \
    X(best_metric, TEXT, NEEDED, "best/metric")                                                                \
    X(best_value, REAL, NEEDED, "best/value")           /* NaN: none yet */                                     \
    X(best_step, INT, OPTIONAL, LK_NOTE_BEST_STEP)      /* of the checkpoint that has it */                     \
    X(best_epoch, INT, OPTIONAL, "best/epoch")                                                                 \
    X(evaluations, INT, OPTIONAL, "metrics/evaluations") /* lines of metrics.csv */                             \
    MACHINE_LIST(X)                                     /* of the leader that wrote it */

typedef const char *STATE_TEXT; /* borrowed; absent: NULL */
typedef int64_t STATE_INT;      /* absent: STATE_NONE */
typedef double STATE_REAL;      /* absent: NaN */
#define STATE_NONE INT64_MIN

typedef struct run_state {
#define STATE_FIELD(field, type, need, path) STATE_##type field;
    STATE_LIST(STATE_FIELD)
#undef STATE_FIELD
} run_state;

/* machine.c: tells in a line on the leader's stderr that *saved was trained on another machine than j->machine, if it
 * was. */
void job_say_moved(const job *j, const run_state *saved);

/* Fields that are absent are left out. */
lk_status state_put(const run_state *state, lk_metadata *metadata);
/* Texts are borrowed from the metadata.  Errors: LK_ERR_CHECKPOINT (one that is needed is absent or of another
 * type); the others are there all the same, as absent where they are. */
lk_status state_get(const lk_metadata *metadata, run_state *out);

/* Last and best value of each metric; one that the checkpoint does not know becomes NaN. */
lk_status state_put_metrics(const metrics *set, lk_metadata *metadata);
void      state_get_metrics(metrics *set, const lk_metadata *metadata);

/* The optimizer's steps of the tensors that train, so that a resumed run knows those that joined later. */
lk_status state_put_steps(const job *j, lk_metadata *metadata);
lk_status state_get_steps(job *j, const lk_metadata *metadata);
/* Whether a tensor that trains begins with zeros for a state and no steps: it was frozen when the checkpoint was saved,
 * or the optimizer was another. */
bool      state_is_fresh(const job *j, size_t tensor);

#endif
