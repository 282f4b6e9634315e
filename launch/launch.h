/* What the files of launch/ share: options, the job, commands.  Only launch/ exits and prints. */
#ifndef LK_LAUNCH_H
#define LK_LAUNCH_H

#include <signal.h>

#include "dist/dist.h"
#include "engine/engine.h"
#include "io/io.h"
#include "launch/lockstep.h"

/* ------------------------------------------------------------------ options */

/* Every option once: field, kind, spelling, argument, commands that take it ("" all), help.  Kinds: FLAG bool, TEXT
 * const char *, COUNT int64_t from 1 on, WHOLE and REAL numbers that may be 0. */
#define OPTION_LIST(X)                                                                                            \
    X(resume, FLAG, "--resume", NULL, "train", "continue the newest good checkpoint, on any number of workers")    \
    X(change, FLAG, "--change", NULL, "train run", "resume although model, loss, data or precision have changed")  \
    X(digests, FLAG, "--digests", NULL, "train",                                                                   \
      "digests of gradients and weights of every step, into RUN/digests, as verify compares them")                 \
    X(die_at, COUNT, "--die-at", "STEP", "train", "the last worker kills itself after this step, as verify wants it") \
    X(engine, TEXT, "--engine", "KIND", "train eval predict translate generate plan run verify bench",             \
      "auto, cpu or cuda; the same as engine.kind=KIND")                                                           \
    X(workers, TEXT, "--workers", "N", "run verify",                                                              \
      "how many to start; also -n N (default: all slots of the hosts); verify: several, as 1,2,4")                 \
    X(hostfile, TEXT, "--hostfile", "FILE", "run verify",                                                          \
      "hosts as mpirun reads them: a line `NAME slots=N` for each")                                                \
    X(steps, COUNT, "--steps", "N", "verify", "how many (of each stage) are trained (default 20)")                 \
    X(json, TEXT, "--json", "FILE", "verify bench", "the result for programs, too")                                \
    X(sizes, TEXT, "--sizes", "A,B", "bench", "reduce: bytes of the arrays, as 8,1K,100M (default 8,1K,64K,1M,16M)") \
    X(algorithms, TEXT, "--algorithms", "A,B", "bench", "reduce: of tree, mpi, nccl (default tree,mpi)")           \
    X(size, TEXT, "--size", "BYTES", "bench", "checkpoint: of an array of so many bytes, as 100M, not of a recipe") \
    X(busy, REAL, "--busy", "MS", "bench",                                                                         \
      "scaling: stretch each step to so long, on cores that workers share; the network is measured")               \
    X(iterations, COUNT, "--iterations", "N", "bench", "how often each thing is measured (default 20, saves 5)")   \
    X(keep, FLAG, "--keep", NULL, "verify", "leave the runs that were compared")                                   \
    X(restarts, TEXT, "--restarts", "K", "run", "start again at most so often (default 3)")                        \
    X(backoff, TEXT, "--backoff", "SECONDS", "run",                                                                \
      "before the first restart (default 5); doubles while no checkpoint is added, up to 300")                     \
    X(probe, TEXT, "--probe", "SECONDS", "run", "what a host gets to answer after a failure (default 20)")         \
    X(checkpoint, TEXT, "--checkpoint", "PATH", "eval predict translate generate",                                 \
      "this checkpoint or safetensors file instead of the newest good checkpoint")                                 \
    X(data, TEXT, "--data", "FILE", "eval predict", "this file instead of the recipe's validation part")           \
    X(labels, TEXT, "--labels", "FILE", "eval predict", "labels that belong to --data (idx)")                      \
    X(out, TEXT, "--out", "FILE", "predict data plot ckpt tokenize bench",                             \
      "the file to write (predict, data: default is standard output); also -o FILE")                               \
    X(batch, FLAG, "--batch", NULL, "plot", "a recipe's first batch as the network gets it, as batch.png or -o") \
    X(merges, TEXT, "--merges", "FILE", "tokenize", "the list of merges: GPT-2's vocab.bpe")                         \
    X(learn, COUNT, "--learn", "N", "tokenize",                                                          \
      "write such a list of N tokens, 256 of them bytes, learned from the texts")                                 \
    X(pairs, FLAG, "--pairs", NULL, "tokenize", "with --learn: the texts are sentences, tabs and translations")      \
    X(validation, FLAG, "--validation", NULL, "data", "the part that validates instead of the one that trains")    \
    X(ema, FLAG, "--ema", NULL, "predict translate generate ckpt eval", "the EMA's weights (eval: in --confusion)") \
    X(beam, COUNT, "--beam", "K", "translate", "keep the K likeliest beginnings, not the one of the likeliest words") \
    X(length_penalty, REAL, "--length-penalty", "A", "translate",                                                  \
      "of a beam: log probability / words^A decides (default 0.75)")                                               \
    X(attention, TEXT, "--attention", "FILE", "translate", "draw what one sentence's words attend to, as a PNG")   \
    X(prompt, TEXT, "--prompt", "TEXT", "generate", "what is gone on with (default: the beginning of a text)")     \
    X(tokens, COUNT, "--tokens", "N", "generate", "how many follow, if the text does not end before (default 256)") \
    X(temperature, REAL, "--temperature", "T", "generate", "divides logits (default 1); 0: the likeliest each time") \
    X(top_k, COUNT, "--top-k", "K", "generate", "choose among the K likeliest")                                    \
    X(top_p, REAL, "--top-p", "P", "generate", "choose among the fewest likeliest with probability P together")    \
    X(seed, WHOLE, "--seed", "S", "generate", "of the choices (default: run.seed); the same seed, the same text")  \
    X(confusion, TEXT, "--confusion", "FILE", "eval", "how often each class is taken for each, as CSV")            \
    X(against, TEXT, "--against", "RECIPE", "ckpt",                                                                \
      "show: what init_from would load for this recipe, tensor by tensor")                                         \
    X(count, COUNT, "--count", "N", "lr", "how many values (default: the run's)")                                  \
    X(csv, FLAG, "--csv", NULL, "lr", "print step,epoch,lr (lr.GROUP, and what else is scheduled)")           \
    X(plot, TEXT, "--plot", "FILE", "lr", "draw it as a PNG; several recipes over one another")                    \
    X(vary, TEXT, "--vary", "KEY=A,B", "lr", "with --plot: a curve for each of these values of a key")                 \
    X(metric, TEXT, "--metric", "FILE", "lr", "what a plateau observes, one number a line")                        \
    X(markdown, FLAG, "--markdown", NULL, "keys", "all of them as the tables of launch/recipes/README.md")         \
    X(nodes, FLAG, "--nodes", NULL, "plan", "every node of the training plan")                                     \
    X(cluster, COUNT, "--cluster", "W", "plan", "what W workers whose hosts fail will make of their time")         \
    X(mtbf, REAL, "--mtbf", "HOURS", "plan bench", "of a --cluster: how long one worker's host lasts on average")  \
    X(costs, TEXT, "--costs", "FILE", "plan bench", "of a --cluster: what bench checkpoint --json measured")       \
    X(save, REAL, "--save", "SECONDS", "plan", "of a --cluster: that a checkpoint holds training up, instead")     \
    X(downtime, REAL, "--downtime", "SECONDS", "plan", "of a --cluster: a restart (default 120 and the reading)")  \
    X(trace, FLAG, "--trace", NULL, "", "on an error, also say where in the source it arose")                      \
    X(help, FLAG, "--help", NULL, "", "of a command, or of all; also -h")                                         \
    X(version, FLAG, "--version", NULL, "", "the version, its commit, compiler and libraries")

typedef bool OPTION_FLAG;
typedef const char *OPTION_TEXT;
typedef int64_t OPTION_COUNT;
typedef struct OPTION_WHOLE { int64_t value; bool given; } OPTION_WHOLE;
typedef struct OPTION_REAL { double value; bool given; } OPTION_REAL;

enum { MAX_POSITIONAL = 64, MAX_OVERRIDES = 128 };

typedef struct options {
    const char *command;
    const char *positional[MAX_POSITIONAL]; /* behind the command */
    int n_positional;
    const char *overrides[MAX_OVERRIDES];   /* "a.b=value" */
    int n_overrides;
    const char *const *passed;              /* (n_passed) behind "--": options of mpirun's; borrowed */
    int n_passed;
#define OPTION_FIELD(field, kind, spelling, argument, commands, help) OPTION_##kind field;
    OPTION_LIST(OPTION_FIELD)
#undef OPTION_FIELD
} options;

lk_status options_parse(int argc, char **argv, options *out);
/* An option that its command does not take is an error, not ignored. */
lk_status options_check(const options *opt);
/* The same of a command's parts: `takes` has the spellings of what this one does. */
lk_status options_check_among(const options *opt, const char *takes);
/* Of one command, or (NULL) of all. */
void      options_help(FILE *stream, const char *command);
/* The number that an option's text is, left as it is where the option is not given.  Errors: LK_ERR_USAGE (it is none,
 * or too small). */
lk_status option_number(const char *spelling, const char *text, bool whole, double least, double *out);

/* ------------------------------------------------------------------ metrics */

enum { METRIC_NAME_BYTES = 48 };

/* The run's metrics in a fixed order: last and best values by name. */
typedef struct metrics {
    int n;
    const char *name[LK_MOST_METRICS]; /* borrowed from io's list: a part's prefix and a metric's name */
    double last[LK_MOST_METRICS], best[LK_MOST_METRICS];
    bool measured[LK_MOST_METRICS]; /* by an evaluation of this process: NaN is what it came to */
} metrics;

/* The names of a run, without values. */
void metrics_init(metrics *set, const lk_measured *what);
int  metrics_find(const metrics *set, const char *name); /* -1: none */
void metrics_put(metrics *set, const char *name, double value);
/* All metrics of one part, from the sums of its evaluation. */
void metrics_put_part(metrics *set, lk_metric_part_id part, const lk_sums *sums);
/* "validation.loss is nan: ...", of the losses measured that are not finite; false: none is. */
bool metrics_describe_lost(const metrics *set, char *text, size_t nbytes);

/* ---------------------------------------------------------------------- job */

/* Of both parts of the data; "" where there is none. */
typedef struct data_hash { char train[LK_HASH_BYTES], validation[LK_HASH_BYTES]; } data_hash;

/* What a worker computes on and with, as a checkpoint keeps it: rows of STATE_LIST (launch/job/state.h).  The same bits
 * are promised to workers that are alike in the first list. */
#define MACHINE_PROMISE_LIST(X)                                                                     \
    X(engine, TEXT, OPTIONAL, "machine/engine")       /* as lk_engine_name() */                     \
    X(device, TEXT, OPTIONAL, "machine/device")       /* as lk_engine_platform(), like the next */  \
    X(libraries, TEXT, OPTIONAL, "machine/libraries")                                               \
    X(build, TEXT, OPTIONAL, "machine/build")         /* as lk_build_describe() */
#define MACHINE_OTHER_LIST(X)                                                                       \
    X(driver, TEXT, OPTIONAL, "machine/driver")       /* as lk_engine_platform(); "": none */       \
    X(nccl, TEXT, OPTIONAL, "machine/nccl")           /* as lk_nccl_describe(); "": none */
#define MACHINE_LIST(X) MACHINE_PROMISE_LIST(X) MACHINE_OTHER_LIST(X)

typedef struct machine {
#define MACHINE_FIELD(field, type, need, path) char field[LK_PLATFORM_BYTES];
    MACHINE_LIST(MACHINE_FIELD)
#undef MACHINE_FIELD
} machine;

typedef struct features features; /* launch/job/features.h */

/* One worker's part of one run: what the recipe asked for, made. */
typedef struct job {
    lk_world *world;            /* borrowed */
    bool leader;
    bool agreed;                /* the last failure is known to all workers */
    bool dry;                   /* plan: what a run is made of is made, and holds nothing */
    bool differs;               /* what was compared is not the same: no failure, and an exit status of 1 as diff's */
    const lk_recipe *recipe;    /* of the current stage; one of whole->stages */
    unsigned stage;
    lk_recipe *whole;           /* all below owned */
    lk_checkpoint *checkpoint;  /* what to start from, or NULL */
    lk_weights *weights;        /* eval, predict: a file of weights in its place, or NULL */
    /* eval, predict: this file alone, all of it; borrowed */
    struct { const char *file, *labels; bool need_target, whole; } look_at;
    bool words_alone;           /* translate: of the data the vocabularies alone */
    lk_languages *languages;    /* of pairs, where sentences are translated; else NULL */
    bool text_alone;            /* generate: of the data how text becomes tokens alone */
    lk_codec *codec;            /* that; else NULL */
    size_t translation_bytes;   /* of the cache, while an evaluation translates; 0: none does */
    lk_dataset *train, *validation; /* train stays NULL where look_at names a file */
    data_hash data_hash;
    char plugin_hash[LK_HASH_BYTES]; /* "": the network is of this build */
    machine machine;            /* train only */
    const char *data_changed;   /* what of it changed since the checkpoint that is resumed; NULL: nothing */
    lk_model *model;
    lk_engine *engine;
    float *params;              /* engine memory, (lk_model_n_elem) */
    uint64_t params_version;    /* of the current contents of params */
    uint64_t last_version;      /* newest version given to any contents */
    int64_t step;               /* training steps done; the watchdog is told */
    float *ema_view;            /* engine memory: the leader's EMA while another worker evaluates it; else NULL */
    float *host;                /* (host_elem), of a device alone: what host.c copies it to; NULL: not needed yet */
    size_t host_elem;
    lk_trainable *trainable;    /* what trains now; train only, like all below */
    lk_shards *shards;          /* of the set; NULL: each worker holds all states, and updates all */
    lk_optimizer *optimizer;    /* over the set, or this worker's shard of it */
    lk_ema *ema;                /* leader alone */
    lk_reducer *reducer;        /* over the set */
    features *train_features, *validation_features; /* train.cache_frozen, of this stage; NULL: lanes run whole */
    lk_loader *loader, *validation_loader;
    lk_loader *train_eval_loader; /* metrics.train: the training part, to evaluate it; else NULL */
    int lanes, lane_begin, lane_end;
    char *init_report;          /* what init_from did, for the journal; NULL: nothing */
    metrics metrics;
    lk_watch_fn *watch;         /* told of each evaluation, on the leader; NULL: nobody */
    void *watch_arg;
} job;

/* LK_OK if every worker passes LK_OK; marks the job's failure as known to all.  Collective. */
lk_status job_agree(job *j, lk_status mine);
/* The leader's string on every worker; *text is owned by the caller, NULL where the leader has none.  Collective. */
lk_status job_share_text(job *j, const char *mine, char **text);
/* Reads the recipe (or a run's own) on the leader, gives it to all.  Collective. */
lk_status job_read_recipe(job *j, const options *opt);
/* The same of `given`, a recipe or a run, by one worker for itself.  Local. */
lk_status job_read_recipe_alone(job *j, const options *opt, const char *given);
/* What the reader of a recipe should be told, on stderr. */
void      job_say_notes(const lk_recipe *recipe);
/* Data and model: what job_open() begins with.  Local. */
lk_status job_open_model(job *j);
/* Data, model, engine, parameters; loaders over the validation part.  Uses j->checkpoint for the lanes and the data's
 * statistics when there is one.  Collective. */
lk_status job_open(job *j);
/* Two parts of it: the data; the model, fitted to the data where that is open.  Local. */
lk_status job_open_data(job *j);
lk_status job_make_model(job *j);
/* A message that begins with a recipe's key gets the place of the key before it; returns status.  Local. */
lk_status job_blame_key(const job *j, lk_status status);
/* eval and predict: the data to look at, if it is a file: --data's, else the recipe's validation file.  Local. */
void      job_look_at(job *j, const options *opt, bool need_target);
/* Errors: LK_ERR_DATA (this worker's data are not rank 0's).  Collective; the results differ: agree on them. */
lk_status job_compare_data(job *j);
/* Whether the data are still those of a checkpoint, whose hashes may be NULL: within an epoch an error, else a warning
 * and j->data_changed.  Local. */
lk_status job_check_data(job *j, const char *saved_train, const char *saved_validation, bool within_epoch);
/* The same two for the file of a plug-in.  Errors: LK_ERR_USAGE (rank 0 has another), LK_ERR_CHECKPOINT (it was trained
 * by another; where it may differ, that is a warning of the leader's). */
lk_status job_compare_plugin(job *j);
lk_status job_check_plugin(const job *j, const char *saved_file, const char *saved_hash, bool may_differ);
lk_status job_say_plugin(const job *j); /* of j->checkpoint, to whom only evaluates */
/* A loader of this worker's lanes: shuffled training batches, or evaluation batches: in order, or, where only some are
 * evaluated, drawn from all.  They bring field f of the model where bit f of `reads` is set.  Local. */
#define ALL_FIELDS (~0u)
lk_status job_make_loader(job *j, const lk_dataset *dataset, bool training, unsigned reads, lk_loader **out);
/* Loaders of what is evaluated, as the current stage says, with their plans.  Local. */
lk_status job_make_evaluation_loaders(job *j);
/* At most so many batches an evaluation; 0: all. */
int64_t   job_evaluate_batches(const job *j);
/* A lane of the loader's as the engine wants it: its data, without weights and results.  Local. */
lk_lane   job_lane(const lk_batch_lane *own, lk_mode mode);
/* Micro-batches of a training lane of n samples, at least 1: train.accumulate, and never more than samples; the samples
 * of micro-batch m; and the m-th of a lane of the loader's, which it borrows from.  Local. */
int       job_n_micro_batches(const job *j, int64_t n);
int64_t   job_micro_batch_size(const job *j, int64_t n, int m);
lk_batch_lane job_micro_batch(const job *j, const lk_batch_lane *own, int m);
/* Samples of a batch of evaluation: as the recipe says, else lanes of the size of a training micro-batch.  Local. */
int64_t   job_evaluate_batch(const job *j);
/* The program of lanes of n samples, as long as the loader's longest: shorter ones run in the memory of these.
 * Local. */
lk_program job_program(const lk_loader *loader, lk_mode mode, lk_side side, int64_t n);
/* Each program that the loader's lanes need once, the largest first: of training lanes those of their micro-batches.
 * Local. */
enum { JOB_MOST_SIZES = 4, JOB_MOST_PROGRAMS = 3 * JOB_MOST_SIZES };
typedef struct job_programs {
    int n;
    lk_program program[JOB_MOST_PROGRAMS];
    int64_t lane[JOB_MOST_PROGRAMS]; /* samples of the lane that needs it */
} job_programs;
void      job_list_programs(const job *j, const lk_loader *loader, lk_mode mode, lk_side side, job_programs *out);
/* Errors: LK_ERR_USAGE (a sample's outputs are no row of a table: their length varies).  Local. */
lk_status job_check_rows(const job *j);
/* Which fields of a data set the model reads.  Local.  Errors: LK_ERR_USAGE (one is missing, or has another type or
 * shape). */
lk_status job_match_fields(const job *j, const lk_dataset *dataset, bool need_targets, lk_field_map *out);
/* Compiles the plans of every program of the loader's lanes, so that no step has to.  Local. */
lk_status job_compile(job *j, const lk_loader *loader, lk_mode mode, lk_side side);
/* The same without memory or kernels: whether training plans of this set fit the loader's lane sizes.  Local. */
lk_status job_check_sizes(job *j, const lk_trainable *trainable, const lk_loader *loader);
/* What only training needs: EMA, and the current stage.  Those that follow are checked, so that what is wrong with one
 * is found before the first begins.  Collective. */
lk_status job_open_training(job *j);
/* frozen.c: what train.cache_frozen asks of the current stage, whose set is in use: its features, still without rows.
 * Errors: LK_ERR_USAGE (nothing can be kept, or not here).  Local. */
lk_status frozen_open(job *j);
/* The same of a stage to come, of which there is only its set: whether it could. */
lk_status frozen_check(job *j, const lk_trainable *trainable);
/* Computes what is to be kept, each worker a part, under the current weights; say() tells how far it is, on the leader
 * alone.  Collective.  Errors, the same on all: LK_STOPPED (stop() is true on some worker). */
typedef struct frozen_watch {
    void (*say)(void *arg, const char *text);
    void *arg;
    bool (*stop)(void);
} frozen_watch;
lk_status frozen_fill(job *j, const frozen_watch *watch);
/* Turns a lane, whole so far, into the one of the trained side; f NULL: it stays whole.  What it points to is good
 * until the next call.  Local. */
lk_status features_lane(job *j, features *f, const lk_batch_lane *own, lk_lane *lane);
/* What its lanes must bring of the model's fields; f NULL: all. */
unsigned  features_reads(const features *f);
/* The loader by which j->validation is evaluated under j->params. */
lk_loader *features_loader(const job *j);
/* Memory of a worker that features hold, once they are filled. */
size_t    features_nbytes(const features *f);
void      features_free(features **address);
/* Training steps in an epoch of a stage, and in the whole of it unless it stops early, on data of so many samples. */
int64_t   stage_batches(const lk_recipe *stage, int64_t samples);
int64_t   stage_steps(const lk_recipe *stage, int64_t samples);
/* lr/warnings.c: tells of each trap in the schedules of the recipe's stages and groups, "NAME: STAGE: ...".  samples:
 * of the training part; 0: not known, and only what counts epochs is looked at. */
typedef void warning_fn(void *arg, const char *text);
void      warn_of_schedules(const lk_recipe *whole, int64_t samples, warning_fn *say, void *arg);
/* What the current stage trains of j->model; release with lk_trainable_free().  Local. */
lk_status job_make_set(job *j, lk_trainable **out);
/* Patterns of all stages against the tensors of j->model.  Local. */
lk_status job_check_patterns(job *j);
/* Turns to a stage: its recipe, loader, set that trains, plans, optimizer and reducer.  Tensors that trained before and
 * go on keep their optimizer states.  Collective. */
lk_status job_enter_stage(job *j, unsigned stage);
/* machine.c: fills j->machine, and compares it among workers.  Collective.  Errors, the same on all: LK_ERR_USAGE (they
 * are not alike, and the reduction promises bits). */
lk_status job_compare_machines(job *j);
/* choices.c: whether the workers' libraries have made the same of plans that they have in common, where the reduction
 * promises bits.  Collective.  Errors, the same on all: LK_ERR_USAGE. */
lk_status job_compare_choices(job *j);
/* Tells on the leader's stderr of layers that a plain and slow kernel does.  Local. */
void      job_say_slow(const job *j);
void      job_close(job *j);

/* n_elem elements of engine memory where the host can read and write them, until the next call: read() with their
 * contents, room() without.  What was written there is in the engine's memory after write().  Local. */
lk_status job_host_read(job *j, const float *memory, size_t n_elem, float **out);
lk_status job_host_room(job *j, float *memory, size_t n_elem, float **out);
lk_status job_host_write(job *j, float *memory, const float *host, size_t n_elem);
void      job_host_release(job *j);

/* Opens a checkpoint, or of a run the newest good one; those that are not good are told on the terminal.  Local.
 * Errors: LK_ERR_CHECKPOINT (there is none). */
lk_status open_checkpoint(const char *path, lk_checkpoint **out);
/* Opens a checkpoint on all workers: `path` may be a checkpoint or a run, whose newest good one is meant; *out stays
 * NULL when the run has none.  Collective. */
lk_status job_open_checkpoint(job *j, const char *path, lk_checkpoint **out);
/* The newest good one of the recipe's run; j->checkpoint stays NULL when the run has none.  Collective. */
lk_status job_open_newest(job *j);
/* What eval and predict look at: the checkpoint or file asked for, else the newest good checkpoint of the run.
 * Collective.  Errors: LK_ERR_CHECKPOINT (there is none). */
lk_status job_need_checkpoint(job *j, const options *opt);
/* weights.c.  Whether a path is that of a file, which a checkpoint is not.  Local. */
bool      is_weights_file(const char *path);
/* The weights that a path names: of a file, or those of a checkpoint whose paths begin with prefix.  Local.  Errors:
 * LK_ERR_CHECKPOINT (there is none), LK_ERR_USAGE (it has no EMA). */
lk_status open_weights(const char *path, const char *prefix, lk_weights **out);
/* What the path names on rank 0, opened on all workers: a file as *weights, else as job_open_checkpoint().  Collective.
 * Errors: LK_ERR_CHECKPOINT (one worker's file is not rank 0's). */
lk_status job_open_source(job *j, const char *path, lk_checkpoint **checkpoint, lk_weights **weights);
/* Loads the tensors "model" or "ema" of j->checkpoint, or all of j->weights, into params.  Collective. */
lk_status job_load_model(job *j, const char *prefix);

/* odd.c: tensors with values that are not finite, and running variances below 0, told on stderr by the first of their
 * names, behind what they are from.  Local. */
enum { ODD_MOST_NAMED = 4 };
typedef struct odd_tensors { size_t n; const char *named[ODD_MOST_NAMED]; /* borrowed */ } odd_tensors;
typedef struct odd_weights { odd_tensors nonfinite, below; } odd_weights;
void      odd_look(odd_weights *odd, const char *name, const float *values, size_t n);
void      odd_say(const odd_weights *odd, const char *from);
/* Of all tensors of the model; host: their values. */
void      odd_say_of_model(const lk_model *model, const float *host, const char *from);

/* Gives params the weights that the recipe's init_from names, on a new run; a resumed one (j->checkpoint) has its own.
 * After job_open(), before the EMA starts from params.  Collective. */
lk_status job_init_from(job *j);

/* changes.c: what differs between the recipe that j->checkpoint was trained with, *was, and j->whole; *was stays NULL,
 * and nothing differs, where the older one can no longer be read.  Local; release both. */
lk_status changes_since(const job *j, lk_recipe **was, lk_recipe_changes *out);
/* How many, and "KEY was -> is, ..." (owned by the caller; NULL: no memory); fixed_alone: of those that make another
 * run. */
size_t    changes_count(const lk_recipe_changes *changes, bool fixed_alone);
char     *changes_text(const lk_recipe_changes *changes, bool fixed_alone);
/* Warns on the leader where the recipe says another model, loss or data than j->checkpoint was trained with.  Local. */
lk_status job_say_differences(const job *j);
/* Metrics of what `loader` gives in an epoch (at most train.evaluate_batches of it, unless j->look_at.whole) under
 * these parameters, by all workers, into j->metrics under the names of `part`; of LK_PART_OF_WEIGHTS from
 * j->validation_features, where there are.  Collective. */
lk_status evaluate(job *j, lk_loader *loader, const float *params, uint64_t version, lk_metric_part_id part);
/* The EMA's weights on every worker: on the leader its own, elsewhere a copy in j->ema_view.  Collective. */
lk_status broadcast_ema(job *j, const float **ema);

/* Tensors of the model as a checkpoint names them: prefix + "/" + name, pointing into `base` (host memory, NULL:
 * nowhere): at their places in the parameter arena, or, with a set, those that train at their places in its packed
 * arrays.  The paths are owned by the result; release with free_tensors(). */
lk_status list_tensors(const lk_model *model, const char *prefix, const lk_trainable *trainable, float *base,
                       lk_ckpt_tensor **tensors, size_t *n);
void      free_tensors(lk_ckpt_tensor **tensors, size_t n);
/* Bytes that this worker keeps for saves from its first one on: the images of its files, and of a device's arrays the
 * copies that are on their way into them.  n_states: of the optimizer of what trains. */
size_t    save_nbytes(const job *j, const lk_trainable *trainable, int n_states);
/* Elements of all parameters of a model, frozen or not. */
size_t    count_weights(const lk_model *model);

/* predict.c.  The recipe or run that opt names, its checkpoint's weights in params, the data that opt names; or, of
 * these, no more than j->languages, or j->codec.  Collective. */
lk_status job_open_for_predict(job *j, const options *opt);
lk_status job_open_for_sentences(job *j, const options *opt);
lk_status job_open_for_text(job *j, const options *opt);
/* Every sample's outputs (n_output), in order.  Local. */
typedef void predict_row_fn(void *arg, const float *output);
lk_status job_predict(job *j, const lk_dataset *dataset, predict_row_fn *each, void *arg);

/* What freezing saves in the current stage; nothing where all trains: freezing.c, for lockstep plan. */
lk_status print_freezing(job *j);

/* What a checkpoint holds and why it is or is not the best: show.c, for lockstep ckpt show. */
lk_status show_checkpoint(const lk_checkpoint *ckpt);
/* The same of a file of others' weights. */
lk_status show_file(const char *path);
/* What init_from would load of a path for the recipe --against: init_from.c, for lockstep ckpt show.  Errors: as the
 * training would end with. */
lk_status show_against(const char *path, const options *opt);

/* A cell of CSV: in quotes where RFC 4180 wants them. */
void      print_csv_text(FILE *file, const char *text);
/* How often each class of what `loader` gives was taken for each under j->params, into a CSV file: confusion.c, for
 * lockstep eval.  Collective. */
lk_status write_confusion(job *j, lk_loader *loader, const char *path);

/* ------------------------------------------------------------------ commands */

/* "1 worker", "3 workers". */
static inline const char *plural(int64_t n) { return n == 1 ? "" : "s"; }

typedef lk_status command_fn(job *j, const options *opt);
command_fn command_train, command_eval, command_predict, command_translate, command_generate, command_data,
    command_plan, command_lr, command_plot, command_ckpt, command_doctor, command_tokenize, command_run, command_verify,
    command_bench;

/* lockstep --version: what this program is made of, beside doctor.c. */
void print_version(void);

/* Set by the signals that ask to stop (signals.c) once signals_install() was called: finish the step, checkpoint, leave
 * with 75. */
void signals_install(void);
/* Those signals: SIGHUP is not one under nohup. */
void signals_that_stop(sigset_t *out);
bool signals_stop_requested(void);

#endif
