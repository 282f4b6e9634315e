/* The engine: compiles a model for lanes of a size and runs them; its memory, its device, its plans for inspection. */
#ifndef LK_RUN_H
#define LK_RUN_H

#include "engine/model/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* -------------------------------------------------------------------- engine */

#define LK_ENGINE_LIST(X) X(LK_ENGINE_AUTO, "auto") X(LK_ENGINE_CPU, "cpu") X(LK_ENGINE_CUDA, "cuda")
typedef enum lk_engine_kind { LK_ENGINE_LIST(LK_WORD_ENUM) } lk_engine_kind;

typedef struct lk_engine_options {
    lk_engine_kind kind;
    lk_precision precision; /* of activations and products; parameters, gradients, statistics, losses stay fp32.  tf32,
                             * on cuda alone: fp32 tensors whose products round their factors to 10 bits */
    int threads;            /* cpu: >= 1, per worker */
    int device;             /* cuda: >= 0; the device numbered device % (devices of this machine) */
    uint64_t seed;          /* of dropout */
    bool dry;               /* plans are made to be looked at: engine memory is addresses alone, and nothing can run */
} lk_engine_options;

typedef struct lk_engine lk_engine;

/* model is borrowed and must outlive the engine.  `auto` takes cuda where its module opens and finds a device.
 * Errors: LK_ERR_USAGE (no such engine in this build or on this machine, threads < 1, tf32 on cpu). */
lk_status lk_engine_new(const lk_engine_options *options, const lk_model *model, lk_engine **out);
void      lk_engine_free(lk_engine **engine);
const char *lk_engine_name(const lk_engine *engine); /* "cpu", "cuda" */
/* What training trains from now on; borrowed, and must stay until another set is used or the engine is freed.  Plans
 * for training under another set are dropped, those of other modes stay.  An engine begins with a set of its own:
 * everything, in one group. */
void lk_engine_set_trainable(lk_engine *engine, const lk_trainable *trainable);
const lk_trainable *lk_engine_trainable(const lk_engine *engine);
/* Layers whose activations training drops after the forward pass and computes again in the backward pass, to the same
 * bits: LK_RECOMPUTE_BLOCKS, the network's own blocks, or globs of scopes, layers' names up to a dot ("layer1",
 * "h.3"): of each path the outermost one that matches is a block, whose inside is dropped. */
#define LK_RECOMPUTE_BLOCKS "blocks"
typedef struct lk_recompute { const char *const *pattern; size_t n; } lk_recompute;
/* Errors: LK_ERR_USAGE, beginning with train.recompute (a pattern matches no layer that has tensors). */
lk_status lk_recompute_check(const lk_model *model, const lk_recompute *recompute);
/* Of plans of training from now on; those there are are dropped.  The patterns are borrowed and must stay. */
void      lk_engine_set_recompute(lk_engine *engine, const lk_recompute *recompute);
/* Whether there is reason to expect an engine of this kind here: for cuda, a driver, or a module that is named. */
bool lk_engine_expected(lk_engine_kind kind);
/* For doctor: what an engine of this kind would run on ("oneDNN 2.6.3, AVX-512, 1 thread"), or why there is none;
 * writes at most nbytes. */
void lk_engine_describe(lk_engine_kind kind, char *text, size_t nbytes);

/* What an engine computes on and with, in words; "" where it has no such thing. */
enum { LK_PLATFORM_BYTES = 128 };
typedef struct lk_platform {
    char device[LK_PLATFORM_BYTES];    /* "NVIDIA H200, compute 9.0, 132 SMs"; "avx512_core_amx", as oneDNN sees it */
    char libraries[LK_PLATFORM_BYTES]; /* "cuBLASLt 13.0.2, cuDNN 9.19.0"; "oneDNN 2.6.3" */
    char driver[LK_PLATFORM_BYTES];    /* "13.0, fits runtime 13.0" */
} lk_platform;
void lk_engine_platform(const lk_engine *engine, lk_platform *out);

/* A network has several programs, which its build is told apart by lk_builder_mode(). */
typedef enum lk_mode {
    LK_TRAIN,   /* forward with dropout and batch statistics, loss, backward */
    LK_EVAL,    /* forward with running statistics, loss and metric sums, output if asked for */
    LK_PREDICT, /* forward with running statistics, output; no target is read */
    LK_ENCODE,  /* as PREDICT, output if asked for, and fills a cache: a source sentence, a prompt */
    LK_DECODE,  /* as PREDICT for the next positions alone: reads what a cache holds of those before, and goes on with
                 * it */
} lk_mode;

/* Training and evaluation can be cut in two where the set in use begins to matter.  The frozen side is all that depends
 * on a lane's fields and on tensors that the set leaves as they are, and on nothing random: what it gives for a sample
 * is the same in every epoch.  The trained side is the rest, the backward pass too, with the nodes that the whole
 * has; it reads what crosses, the features, in the place of the fields. */
typedef enum lk_side { LK_SIDE_BOTH, LK_SIDE_FROZEN, LK_SIDE_TRAINED } lk_side;

typedef struct lk_cache lk_cache;

/* What to compile: one plan for each different program, and for TRAIN one of each set. */
typedef struct lk_program {
    lk_mode mode;
    int64_t n;              /* samples, >= 1 */
    int64_t length;         /* of fields that begin with LK_LENGTH; 0 where the model has none */
    lk_cache *cache;        /* ENCODE, DECODE: of n rows; its capacity counts, not what is in it */
    bool output;            /* EVAL, ENCODE: somebody will ask for the output */
    bool taps;              /* keep what layers named with lk_tap() */
    lk_side side;           /* TRAIN, EVAL: one side alone, of the set in use */
    bool accumulate;        /* TRAIN: a micro-batch behind the first of its lane */
} lk_program;

/* [begin, end) of the gradient arena holds this lane's final values. */
typedef void lk_ready_fn(void *arg, size_t begin, size_t end);

typedef struct lk_lane lk_lane;
struct lk_lane {
    lk_mode mode;
    int64_t n;              /* samples, >= 1 */
    int64_t length;         /* of fields that begin with LK_LENGTH; 0 where the model has none */
    const void *field[LK_MAX_FIELDS]; /* (n, shape...), by lk_model_sample(); NULL: the program does not read it */
    const int64_t *sample;  /* TRAIN: (n,) index of each sample in the data set; addresses its dropout mask */
    bool uploaded;          /* field and sample are engine memory, by lk_engine_upload() */
    int64_t step;           /* TRAIN: number of this step from 0; addresses dropout masks */
    float inv_count;        /* TRAIN: 1 / loss terms in the whole global batch, or 1 / its steps */
    const float *params;    /* (lk_model_n_elem), engine memory */
    uint64_t params_version; /* differs whenever the contents of params differ; never 0 */
    float *grads;           /* TRAIN: (lk_trainable_n_grads) of the set in use, engine memory, overwritten whole */
    bool accumulate;        /* TRAIN: a micro-batch behind the first of its lane: what it gives is added to what
                             * grads has; it brings no votes */
    int n_micro_batches;    /* TRAIN, without accumulate: of its lane, to be counted with the first; 0 is 1 */
    const float *votes;     /* TRAIN: (LK_N_VOTES) copied into the slots; NULL: zeros */
    lk_ready_fn *ready;     /* TRAIN: may be NULL; called on the caller's thread, ranges cover the arena once */
    void *ready_arg;
    double *sums;           /* EVAL: (lk_model_n_sums), overwritten */
    float *output;          /* EVAL, ENCODE: may be NULL; PREDICT, DECODE: one output behind the other, overwritten */
    lk_cache *cache;        /* ENCODE, DECODE: of n rows */
    int64_t position;       /* ENCODE, DECODE: where in the cache this lane begins; any position is the same program */
    bool taps;              /* keep what layers named with lk_tap(), for lk_engine_tap() */
    lk_side side;           /* TRAIN, EVAL: this side alone; the frozen one wants no targets, grads, sample and sums */
    void *features;         /* one side: host memory as lk_frontier_offset() says, on a cache line; the frozen side
                             * writes it, the trained one reads it */
    size_t features_nbytes; /* of it: lk_frontier_nbytes() */
};

/* What crosses from the frozen side to the trained one. */
enum { LK_MAX_FEATURES = 16, LK_FEATURE_NAME_BYTES = 128 };
typedef struct lk_feature {
    char name[LK_FEATURE_NAME_BYTES]; /* of the layer that makes it, cut to fit */
    lk_dtype dtype;
    int ndim;
    int64_t shape[LK_MAX_DIMS];       /* of one sample */
    size_t nbytes;                    /* of one sample */
} lk_feature;

typedef struct lk_frontier {
    lk_feature feature[LK_MAX_FEATURES];
    int n;
    unsigned frozen_reads, trained_reads; /* bit f: that side reads field f */
    bool tiles_samples; /* a library takes rows of several samples together in the frozen side: whether a sample's bits
                         * depend on its place among them is to be looked at */
} lk_frontier;

/* The frontier of this set, which need not be in use.  Errors: LK_ERR_USAGE (no frozen layer lies in front of the first
 * trained one; something random does, with frozen layers behind it; samples differ in length; too much crosses). */
lk_status lk_engine_frontier(const lk_engine *engine, const lk_trainable *trainable, lk_mode mode, lk_frontier *out);
/* Bytes of all features of one sample. */
size_t lk_frontier_row_nbytes(const lk_frontier *frontier);
/* Where in a lane's features those of number f begin: of n samples, one behind the other.  And bytes of all. */
size_t lk_frontier_offset(const lk_frontier *frontier, int64_t n, int f);
size_t lk_frontier_nbytes(const lk_frontier *frontier, int64_t n);
/* Sample i of a lane of n: its features into a row of lk_frontier_row_nbytes(), and from there. */
void   lk_frontier_get(const lk_frontier *frontier, int64_t n, int64_t i, const void *features, void *row);
void   lk_frontier_put(const lk_frontier *frontier, int64_t n, int64_t i, void *features, const void *row);

/* Compiles the plan of a program so that no later run has to.  Errors: LK_ERR_USAGE (batch norm with one sample in
 * training), LK_ERR_SYSTEM. */
lk_status lk_engine_compile(lk_engine *engine, const lk_program *program);
/* Whether a program of training with this set, which need not be in use, has shapes and ops that fit: no memory is
 * taken and no kernel made.  Errors: LK_ERR_USAGE, as of lk_engine_compile(). */
lk_status lk_engine_check(const lk_engine *engine, const lk_trainable *trainable, const lk_program *program);
/* Runs one lane; compiles first if nobody did.  Sums and outputs are there when it returns.  On a device, gradients are
 * only queued: ready() is called while they are, and what it queues comes after them. */
lk_status lk_engine_run(lk_engine *engine, const lk_lane *lane);

/* What a node of a plan took.  Where one kernel does several nodes, the first has the time and the others none. */
typedef struct lk_node_time {
    const char *layer;      /* its path; borrowed from the plan, as the next two */
    const char *op;
    const char *within;     /* the layer whose kernel does this node; NULL: its own */
    bool backward;
    double seconds;
    double flops, bytes_moved; /* as lk_plan_stats counts them */
} lk_node_time;
typedef void lk_node_time_fn(void *arg, const lk_node_time *time);
/* Runs a lane of TRAIN as lk_engine_run() does, with a look at the clock (on a device an event) between its kernels,
 * and tells of its nodes in the order of the run.  It never says that gradients are ready: all are when it returns. */
lk_status lk_engine_profile(lk_engine *engine, const lk_lane *lane, lk_node_time_fn *put, void *arg);

/* Memory of decoding that outlives a run: for each of `rows` sequences and up to `capacity` positions, whatever the
 * network's layers keep (lk_layer_append()).  It begins with zeros.  engine is borrowed and must outlive the cache.
 * Errors: LK_ERR_USAGE (the network keeps nothing: it cannot decode), LK_ERR_SYSTEM. */
lk_status lk_cache_new(lk_engine *engine, int64_t rows, int64_t capacity, lk_cache **out);
void      lk_cache_free(lk_cache **cache);
size_t    lk_cache_nbytes(const lk_cache *cache);
/* Row r goes on as a copy of row from[r] (rows entries): the survivors of a beam search. */
lk_status lk_cache_reorder(lk_cache *cache, const int64_t *from);

/* What lk_tap() named `name` (with its scopes: "layer1.attention") in the last lane that ran with taps: its shape,
 * samples first, and, where values is not NULL, its elements in fp32.  Errors: LK_ERR_USAGE (no such name, no such
 * lane). */
lk_status lk_engine_tap(lk_engine *engine, const char *name, int *ndim, int64_t shape[LK_MAX_DIMS], float *values);
/* The names there are, in the network's order; NULL behind the last. */
const char *lk_engine_tap_name(const lk_engine *engine, int i);

/* What a gradient arena says before it is applied, by sums in a fixed order. */
typedef struct lk_grad_report {
    double norm;     /* global 2-norm of the set's gradients, after clip_value */
    bool finite;     /* loss slot and all gradients are finite */
    bool pending;    /* on a device: not known yet, and finite until it is */
    float slots[LK_N_SLOTS]; /* of the arena */
} lk_grad_report;

/* After the reduction and the inspection: running = (1 - momentum) * running + momentum * (summed statistic / number of
 * micro-batches in all lanes), for every batch norm that collects statistics; PyTorch's rule, once a step, with the
 * mean over micro-batches as the batch's statistic. */
lk_status lk_engine_update_stats(lk_engine *engine, float *params, const float *grads, const lk_grad_report *report);

/* Memory the engine computes in (host memory on CPU), zeroed.  Release with lk_engine_release(). */
lk_status lk_engine_alloc(lk_engine *engine, size_t nbytes, void **out);
void      lk_engine_release(lk_engine *engine, void *address_of_pointer);
lk_status lk_engine_read(lk_engine *engine, void *host, const void *device, size_t nbytes);
lk_status lk_engine_write(lk_engine *engine, void *device, const void *host, size_t nbytes);

/* ------------------------------------------------------------------ device */

/* On a device calls that compute only queue their work, in two queues that run beside each other; it begins at
 * lk_engine_launch(), lk_engine_wait(), lk_optimizer_sync() or a call that reads or writes.  The same work queued
 * again between two launches is replayed as one graph (LOCKSTEP_CUDA_GRAPHS=0: never).  In host memory everything is
 * done when a call returns, and launch, wait and after do nothing. */
typedef enum lk_queue {
    LK_QUEUE_COMPUTE, /* lanes, inspection, updates */
    LK_QUEUE_REDUCE,  /* sums over workers */
    LK_N_QUEUES,
} lk_queue;

bool lk_engine_on_device(const lk_engine *engine); /* the host cannot see the engine's memory */
/* Which one it is, the same for all processes of this machine whatever they were shown of it: "0000:3b:00.0"; "": not
 * on a device.  Writes at most nbytes. */
void lk_engine_device(const lk_engine *engine, char *text, size_t nbytes);
/* into[i] += from[i]. */
lk_status lk_engine_add(lk_engine *engine, lk_queue queue, float *into, const float *from, size_t n_elem);
lk_status lk_engine_zero(lk_engine *engine, lk_queue queue, void *at, size_t nbytes);
lk_status lk_engine_copy(lk_engine *engine, lk_queue queue, void *to, const void *from, size_t nbytes);
/* Queues fn(arg, stream), called on this thread at or before the launch and perhaps only the first time this work is
 * queued: it must do nothing but put work on the stream (a cudaStream_t), the same work for the same bytes of arg,
 * which are copied.  Set padding to 0.  What was recorded of it goes when any memory of the engine is released.
 *   shared  other processes take part in it: what is queued with it is never replayed as a graph, for each engine would
 *           record on its own judgement, and NCCL wants an operation captured by all or by none */
typedef lk_status lk_queued_fn(const void *arg, void *stream);
lk_status lk_engine_call(lk_engine *engine, lk_queue queue, bool shared, lk_queued_fn *fn, const void *arg,
                         size_t nbytes);
/* What is queued in `then` from now on begins after what is queued in `first` so far. */
lk_status lk_engine_after(lk_engine *engine, lk_queue then, lk_queue first);
lk_status lk_engine_launch(lk_engine *engine);
/* Until all that was queued is done.  poll(arg), which may be NULL, is called again and again while the engine waits
 * anywhere; its failure ends the wait. */
lk_status lk_engine_wait(lk_engine *engine);
void      lk_engine_set_poll(lk_engine *engine, lk_status (*poll)(void *arg), void *arg);
/* The collectives of the module that the engine came from, struct lk_nccl of dist/nccl/nccl.h; NULL: none. */
const void *lk_engine_collectives(const lk_engine *engine);

/* The same for engines of this kind, without one: for doctor. */
const void *lk_engine_find_collectives(lk_engine_kind kind);

/* Page-locked host memory, zeroed, from which copies to a device need no other; host memory else. */
lk_status lk_engine_host_alloc(lk_engine *engine, size_t nbytes, void **out);
void      lk_engine_host_release(lk_engine *engine, void *address_of_pointer);
/* Begins to copy what a lane reads (its fields and sample) beside the work that runs; its pointers then are the
 * engine's and stay good until the second lk_engine_launch() from here.  The host's memory may be reused at once.
 * lk_engine_run() does it for lanes that come without. */
lk_status lk_engine_upload(lk_engine *engine, lk_lane *lane);
/* Begins to copy engine memory, as what is queued so far leaves it, to host memory of lk_engine_host_alloc(); updates
 * queued later wait for it, lanes do not.  lk_engine_snapshot_wait(), on any thread, until the copies begun are
 * there. */
lk_status lk_engine_snapshot(lk_engine *engine, void *host, const void *device, size_t nbytes);
lk_status lk_engine_snapshot_wait(lk_engine *engine);

/* ------------------------------------------------------ plan, for inspection */

typedef struct lk_plan_stats {
    size_t n_nodes;
    size_t param_bytes, grad_bytes;   /* arenas of the model and of the set in use */
    size_t activation_bytes;          /* the arena after placement */
    size_t activation_bytes_unshared; /* had every activation its own place */
    size_t activation_bytes_kept;     /* the arena, had nothing been computed again; 0: nothing is */
    double recomputed_flops;          /* of flops */
    size_t scratch_bytes;             /* the most that one of the plan's kernels needs; the largest plan's serves all */
    double flops;                     /* multiply and add count as two */
    double bytes_moved;               /* read and written by the nodes, each tensor once per node */
} lk_plan_stats;

/* Bytes of engine memory that the plans compiled so far share: each as much as the one that needs most, packed weights
 * the sum of what is wanted; and what libraries hold beside them. */
typedef struct lk_engine_memory { size_t activations, scratch, packed, output, features, workspace; } lk_engine_memory;
void lk_engine_get_memory(const lk_engine *engine, lk_engine_memory *out);
/* What a program would cost under a set that need not be in use: no kernel is made, so no scratch is known. */
lk_status lk_engine_estimate(lk_engine *engine, const lk_trainable *trainable, const lk_program *program,
                             lk_plan_stats *out);

lk_status lk_engine_plan_stats(lk_engine *engine, const lk_program *program, lk_plan_stats *out);
/* For each plan compiled so far: its program in words, and what was chosen for its kernels.  Workers on the same
 * machines and libraries have made the same of the same program. */
void lk_engine_each_choice(const lk_engine *engine, void (*put)(void *arg, const char *program, uint64_t made),
                           void *arg);
/* "layer fc1: a plain and slow kernel does it: WHY", once for each such layer of the plans compiled so far. */
void lk_engine_each_slow(const lk_engine *engine, void (*put)(void *arg, const char *line), void *arg);
/* Writes one line a node: number, op, path, output shape, type, arena offset, FLOPs.  put(arg, text) gets each. */
lk_status lk_engine_plan_print(lk_engine *engine, const lk_program *program, void (*put)(void *arg, const char *line),
                               void *arg);

#ifdef __cplusplus
}
#endif
#endif
