/*
 * The engine: one worker's arithmetic.  It knows no MPI, no files and no recipes.
 *
 * A model is a static graph over one flat fp32 array of parameters.  For each lane size and mode the engine
 * compiles a plan (build, differentiate, order, place, bind) once and then runs it.  A run allocates nothing of its own;
 * oneDNN makes a small map in each call of one of its primitives (convolutions, bf16 and large products).
 *
 *     lk_model_new()   shapes, names and places of all tensors        lk_model_init()  first values
 *     lk_trainable_new() what of it trains, in which groups             lk_engine_set_trainable()  says so to the engine
 *     lk_engine_new()  a backend for the model                        lk_engine_run()  one lane: forward, backward
 *     lk_optimizer_update()  gradients -> parameters (and EMA), one pass over the arenas
 *
 * Everything here is Local: no call talks to another worker.
 */
#ifndef LK_ENGINE_H
#define LK_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------ status */

/* Every status with the exit status of the program and its family in words. */
#define LK_STATUS_LIST(X)                                      \
    X(LK_OK, 0, "done")                                        \
    X(LK_ERR_SYSTEM, 1, "memory, files or a library")          \
    X(LK_ERR_USAGE, 2, "usage or recipe")                      \
    X(LK_ERR_DATA, 3, "data")                                  \
    X(LK_ERR_CHECKPOINT, 4, "checkpoint")                      \
    X(LK_ERR_NUMBERS, 5, "numbers")                            \
    X(LK_ERR_PEER, 6, "another worker or the network")         \
    X(LK_STOPPED, 75, "stopped on request")

typedef enum lk_status {
#define LK_STATUS_ENUM(name, exit_status, text) name = exit_status,
    LK_STATUS_LIST(LK_STATUS_ENUM)
#undef LK_STATUS_ENUM
} lk_status;

/* "usage or recipe" and so on. */
const char *lk_status_text(lk_status status);

/* Records one message (printf form) for this thread, replacing any earlier one, and returns `status`. */
lk_status lk_fail(lk_status status, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Adds a line to this thread's trace and returns `status`. */
lk_status lk_trace(lk_status status, const char *file, int line);
/* The message of this thread's last failure, "" if none; valid until the next failure of this thread. */
const char *lk_error_message(void);
/* "file:line < file:line": where it failed and by way of what. */
const char *lk_error_trace(void);

#define LK_FAIL(status, ...) lk_fail((status), __FILE__, __LINE__, __VA_ARGS__)
#define LK_TRY(expr)                                                       \
    do {                                                                   \
        const lk_status lk_try_ = (expr);                                  \
        if (lk_try_ != LK_OK) return lk_trace(lk_try_, __FILE__, __LINE__); \
    } while (0)
/* Storage that must exist: `pointer` NULL is LK_ERR_SYSTEM, naming the bytes asked for. */
#define LK_TRY_ALLOC(pointer, nbytes)                                                               \
    do {                                                                                            \
        if (!(pointer))                                                                             \
            return LK_FAIL(LK_ERR_SYSTEM, "out of memory: %zu bytes for %s", (size_t)(nbytes), #pointer); \
    } while (0)

/* ------------------------------------------------------------------- helpers */

/* Rows [*begin, *end) of n_rows that part r of n holds; parts differ by at most one row and the first are longer.
 * Errors: LK_ERR_USAGE (no such part). */
lk_status lk_part_rows(int64_t n_rows, int r, int n, int64_t *begin, int64_t *end);

/* Zeroed storage aligned to a cache line (64 bytes), NULL when there is none; release with lk_free(), which
 * takes the address of the pointer, accepts NULL and leaves NULL. */
void *lk_alloc(size_t nbytes);
void  lk_free(void *address_of_pointer);

/* sum[i] += term[i], one rounding each, so the bits do not depend on how a range is cut. */
void lk_add_f32(float *sum, const float *term, size_t n_elem);

/* Matches `name` against a glob pattern: *, ?, [abc], as fnmatch(3). */
bool lk_glob(const char *pattern, const char *name);

/* The candidate nearest to `word` (edit distance), or NULL when none is near enough to suggest. */
const char *lk_nearest(const char *word, const char *const *candidates, size_t n);

/* -------------------------------------------------------------------- random */

/* Counter-based random numbers, Philox4x32-10 (Salmon et al., SC 2011).  A stream is (seed, purpose); a draw is
 * addressed, never consumed, so it does not matter which worker asks. */
typedef enum lk_purpose {
    LK_PURPOSE_INIT = 1,    /* parameters */
    LK_PURPOSE_DROPOUT = 2, /* masks */
    LK_PURPOSE_SHUFFLE = 3, /* order of samples */
    LK_PURPOSE_DATA = 4,    /* generated data sets */
    LK_PURPOSE_AUGMENT = 5,
} lk_purpose;

typedef struct lk_philox_key { uint32_t k[2]; } lk_philox_key;

/* `sub` tells streams of one purpose apart: the number of a dropout layer, the hash of a tensor's name. */
lk_philox_key lk_philox_key_new(uint64_t seed, lk_purpose purpose, uint32_t sub);
/* Four words for the counter (c0, c1, c2, c3). */
void   lk_philox(lk_philox_key key, const uint32_t counter[4], uint32_t out[4]);
/* Draw number i of a stream, in [0, 1) with 24 bits. */
float  lk_uniform(lk_philox_key key, uint64_t i);
/* Draw number i of a stream, standard normal (Box-Muller on two words of one counter). */
double lk_normal(lk_philox_key key, uint64_t i);

/* --------------------------------------------------------------------- model */

/* Lists that recipes, help and code share: X(NAME, "recipe word"). */
#define LK_PRECISION_LIST(X) X(LK_FP32, "fp32") X(LK_BF16, "bf16") X(LK_TF32, "tf32")
#define LK_MODEL_LIST(X) X(LK_MODEL_MLP, "mlp") X(LK_MODEL_CNN, "cnn")
#define LK_ACTIVATION_LIST(X)                                                                  \
    X(LK_ACT_RELU, "relu") X(LK_ACT_TANH, "tanh") X(LK_ACT_SIGMOID, "sigmoid")                  \
    X(LK_ACT_GELU, "gelu") X(LK_ACT_GELU_TANH, "gelu_tanh") X(LK_ACT_IDENTITY, "none")
#define LK_NORM_LIST(X) X(LK_NORM_NONE, "none") X(LK_NORM_BATCH, "batch") X(LK_NORM_LAYER, "layer")
#define LK_NORM_PLACE_LIST(X) X(LK_NORM_BEFORE, "before") X(LK_NORM_AFTER, "after")
#define LK_POOL_LIST(X) X(LK_POOL_MAX, "max") X(LK_POOL_AVG, "avg")
#define LK_INIT_LIST(X)                                                                        \
    X(LK_INIT_DEFAULT, "default") X(LK_INIT_XAVIER_NORMAL, "xavier_normal")                     \
    X(LK_INIT_XAVIER_UNIFORM, "xavier_uniform") X(LK_INIT_KAIMING_NORMAL, "kaiming_normal")     \
    X(LK_INIT_KAIMING_UNIFORM, "kaiming_uniform") X(LK_INIT_NORMAL, "normal")                   \
    X(LK_INIT_TRUNC_NORMAL, "trunc_normal") X(LK_INIT_UNIFORM, "uniform")                       \
    X(LK_INIT_ZEROS, "zeros") X(LK_INIT_ONES, "ones")
#define LK_LOSS_LIST(X) X(LK_LOSS_MSE, "mse") X(LK_LOSS_L1, "l1") X(LK_LOSS_CROSS_ENTROPY, "cross_entropy")

#define LK_WORD_ENUM(name, word) name,
typedef enum lk_precision { LK_PRECISION_LIST(LK_WORD_ENUM) } lk_precision;
typedef enum lk_model_kind { LK_MODEL_LIST(LK_WORD_ENUM) } lk_model_kind;
typedef enum lk_activation { LK_ACTIVATION_LIST(LK_WORD_ENUM) } lk_activation;
typedef enum lk_norm { LK_NORM_LIST(LK_WORD_ENUM) } lk_norm;
typedef enum lk_norm_place { LK_NORM_PLACE_LIST(LK_WORD_ENUM) } lk_norm_place;
typedef enum lk_pool { LK_POOL_LIST(LK_WORD_ENUM) } lk_pool;
typedef enum lk_init { LK_INIT_LIST(LK_WORD_ENUM) } lk_init;
typedef enum lk_loss_kind { LK_LOSS_LIST(LK_WORD_ENUM) } lk_loss_kind;

enum { LK_MAX_DIMS = 4, LK_MAX_LAYERS = 64 };

typedef struct lk_loss_spec {
    lk_loss_kind kind;
    float label_smoothing; /* cross_entropy: in [0, 1] */
    int32_t ignore_index;  /* cross_entropy: a label that counts for nothing, PyTorch's default -100 */
} lk_loss_spec;

/* What a network looks like.  Names of tensors are those of PyTorch's state_dict for
 *   mlp  torchvision.ops.MLP: Sequential of [Linear, norm?, activation, Dropout] and a last Linear
 *   cnn  features: Sequential of [Conv2d, norm?, activation, pool] per entry of channels; flatten (C, H, W);
 *        classifier: Sequential of [Linear, activation, Dropout] per entry of hidden and a last Linear */
typedef struct lk_model_spec {
    lk_model_kind kind;
    int n_layers;                   /* mlp: entries of layers, at least 2: inputs, hidden widths, outputs */
    int64_t layers[LK_MAX_LAYERS];
    int64_t image[3];               /* cnn: C, H, W of one sample */
    int n_channels;                 /* cnn: entries of channels, at least 1 */
    int64_t channels[LK_MAX_LAYERS];
    int64_t kernel;                 /* cnn: odd side of each convolution, padding kernel / 2, stride 1 */
    lk_pool pool;                   /* cnn: 2 x 2, stride 2, after each convolution */
    int n_hidden;                   /* cnn: entries of hidden, may be 0 */
    int64_t hidden[LK_MAX_LAYERS];
    int64_t classes;                /* cnn: outputs */
    lk_activation activation;
    lk_norm norm;                   /* cnn: none or batch */
    lk_norm_place norm_place;       /* relative to the activation */
    double dropout;                 /* in [0, 1) */
    lk_init init;                   /* of weights; biases keep PyTorch's layer default */
    lk_loss_spec loss;
} lk_model_spec;

typedef enum lk_role {
    LK_ROLE_PARAM,  /* trained by the optimizer, or frozen */
    LK_ROLE_BUFFER, /* batch norm's running_mean, running_var */
} lk_role;

typedef struct lk_tensor_info {
    const char *name;          /* PyTorch's state_dict name; owned by the model */
    lk_role role;
    int ndim;                  /* 0 .. LK_MAX_DIMS */
    int64_t shape[LK_MAX_DIMS]; /* PyTorch's shape */
    size_t offset;             /* first element in the parameter arena, a multiple of 16 */
    size_t n_elem;
} lk_tensor_info;

typedef struct lk_model lk_model;

/* Builds the network once to check it and to lay out its tensors: all LK_ROLE_PARAM first, in state_dict order,
 * then the buffers.  Errors: LK_ERR_USAGE, naming the layer. */
lk_status lk_model_new(const lk_model_spec *spec, lk_model **out);
void      lk_model_free(lk_model **model);
const lk_model_spec  *lk_model_get_spec(const lk_model *model);
size_t                lk_model_n_tensors(const lk_model *model);
const lk_tensor_info *lk_model_tensor(const lk_model *model, size_t i); /* in arena order */
/* Index of a tensor by name, -1 if there is none. */
ptrdiff_t lk_model_find(const lk_model *model, const char *name);
/* Elements of the parameter arena (padding included) and of the parameters in it, [0, n_params): buffers lie behind. */
size_t lk_model_n_elem(const lk_model *model);
size_t lk_model_n_params(const lk_model *model);
/* Elements of one sample's input (H, W, C for images) and of its output. */
size_t lk_model_n_input(const lk_model *model);
size_t lk_model_n_output(const lk_model *model);
bool   lk_model_has_batch_norm(const lk_model *model);
/* First values of all tensors, a function of seed, name and shape alone.  params: (lk_model_n_elem), host. */
void lk_model_init(const lk_model *model, uint64_t seed, float *params);

/* --------------------------------------------------------------- trainable set */

/* Which parameters train now, and in which groups; one stage of a run has one set.
 *
 * The trained tensors are packed: in the order of the parameter arena, one behind the other (each padded to 16
 * elements, as there), they make the index space [0, lk_trainable_n_elem()) of gradients and optimizer states.  So these
 * arrays are as long as what trains, whatever is frozen. */
typedef struct lk_trainable lk_trainable;

typedef struct lk_trainable_spec {
    const bool *trains;     /* (lk_model_n_tensors), read for parameters; NULL: all train */
    const int *group;       /* (lk_model_n_tensors), read for trained parameters: 0 .. n_groups-1; NULL: all 0 */
    int n_groups;           /* >= 1; a group may be left without tensors */
    bool frozen_norm_eval;  /* a batch norm whose gain and bias are frozen normalises by its running statistics in
                             * training too and leaves them as they are; false: by the lane's, and they go on */
} lk_trainable_spec;

/* Neighbours in the parameter arena that train in one group: [param, param + n_elem) there is
 * [grad, grad + n_elem) of gradients and states.  Padding is included. */
typedef struct lk_trainable_range {
    size_t param, grad, n_elem;
    int group;
} lk_trainable_range;

/* model is borrowed and must outlive the set; the arrays of spec are copied.  spec NULL: everything, one group.
 * Errors: LK_ERR_USAGE (no tensor is left to train; a group that does not exist). */
lk_status lk_trainable_new(const lk_model *model, const lk_trainable_spec *spec, lk_trainable **out);
void      lk_trainable_free(lk_trainable **trainable);
const lk_model *lk_trainable_model(const lk_trainable *trainable);
/* Tensor i of the model trains. */
bool   lk_trainable_has(const lk_trainable *trainable, size_t i);
int    lk_trainable_group(const lk_trainable *trainable, size_t i); /* of a tensor that trains */
int    lk_trainable_n_groups(const lk_trainable *trainable);
/* Place in the gradient arena of tensor i's gradient, or of its statistic where it is a buffer of a batch norm that
 * collects them; SIZE_MAX where it has none.  A trained tensor's is also its place in optimizer states. */
size_t lk_trainable_offset(const lk_trainable *trainable, size_t i);
/* Elements of the packed gradients, padding included; and of the tensors that train, without it. */
size_t lk_trainable_n_elem(const lk_trainable *trainable);
size_t lk_trainable_n_weights(const lk_trainable *trainable);
/* Runs in order of both arenas, the fewest that will do. */
size_t lk_trainable_n_ranges(const lk_trainable *trainable);
const lk_trainable_range *lk_trainable_get_range(const lk_trainable *trainable, size_t r);

/* The gradient arena of a set, one flat fp32 array, all of it summed over lanes: the packed gradients; the lane's
 * batch statistics, for the buffers of each batch norm that collects them (in order, padded alike); LK_N_SLOTS
 * scalars. */
typedef enum lk_slot {
    LK_SLOT_LOSS,  /* sum of loss terms / global count: over lanes it adds up to the batch's mean loss */
    LK_SLOT_LANES, /* 1: over lanes it adds up to the number of lanes that had samples */
    LK_SLOT_VOTES, /* first of LK_N_VOTES numbers of the caller */
    LK_N_VOTES = 6,
    LK_N_SLOTS = LK_SLOT_VOTES + LK_N_VOTES,
} lk_slot;

size_t lk_trainable_n_grads(const lk_trainable *trainable);      /* elements of a gradient arena */
size_t lk_trainable_slot(const lk_trainable *trainable, lk_slot slot); /* place of a scalar in it */

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
} lk_engine_options;

typedef struct lk_engine lk_engine;

/* model is borrowed and must outlive the engine.  `auto` takes cuda where its module opens and finds a device.
 * Errors: LK_ERR_USAGE (no such engine in this build or on this machine, threads < 1, tf32 on cpu). */
lk_status lk_engine_new(const lk_engine_options *options, const lk_model *model, lk_engine **out);
void      lk_engine_free(lk_engine **engine);
const char *lk_engine_name(const lk_engine *engine); /* "cpu", "cuda" */
/* What training trains from now on; borrowed, and must stay until another set is used or the engine is freed.  Plans for
 * training under another set are dropped, those of other modes stay.  An engine begins with a set of its own:
 * everything, in one group. */
void lk_engine_set_trainable(lk_engine *engine, const lk_trainable *trainable);
const lk_trainable *lk_engine_trainable(const lk_engine *engine);
/* Whether there is reason to expect an engine of this kind here: for cuda, a driver, or a module that is named. */
bool lk_engine_expected(lk_engine_kind kind);
/* For doctor: what an engine of this kind would run on ("oneDNN 2.6.3, AVX-512, 1 thread"), or why there is none;
 * writes at most nbytes. */
void lk_engine_describe(lk_engine_kind kind, char *text, size_t nbytes);

typedef enum lk_mode {
    LK_TRAIN,   /* forward with dropout and batch statistics, loss, backward */
    LK_EVAL,    /* forward with running statistics, loss and metric sums, output if asked for */
    LK_PREDICT, /* forward with running statistics, output; no target is read */
} lk_mode;

/* What one lane adds to an evaluation. */
typedef enum lk_sum {
    LK_SUM_LOSS,    /* sum of loss terms, unscaled */
    LK_SUM_COUNT,   /* number of loss terms: n * outputs, or labels that are not ignored */
    LK_SUM_SQUARED, /* sum of (output - target)^2; regression */
    LK_SUM_ABS,     /* sum of |output - target|; regression */
    LK_SUM_CORRECT, /* labels hit by the largest output; classification */
    LK_N_SUMS,
} lk_sum;

/* [begin, end) of the gradient arena holds this lane's final values. */
typedef void lk_ready_fn(void *arg, size_t begin, size_t end);

typedef struct lk_lane lk_lane;
struct lk_lane {
    lk_mode mode;
    int64_t n;              /* samples, >= 1 */
    const float *x;         /* (n, n_input) */
    const float *target;    /* regression: (n, n_output) */
    const int32_t *label;   /* classification: (n,) in [0, n_output) or ignore_index */
    const int64_t *sample;  /* TRAIN: (n,) index of each sample in the data set; addresses its dropout mask */
    bool uploaded;          /* x, target, label and sample are engine memory, by lk_engine_upload() */
    int64_t step;           /* TRAIN: number of this step from 0; addresses dropout masks */
    float inv_count;        /* TRAIN: 1 / loss terms in the whole global batch */
    const float *params;    /* (lk_model_n_elem), engine memory */
    uint64_t params_version; /* differs whenever the contents of params differ; never 0 */
    float *grads;           /* TRAIN: (lk_trainable_n_grads) of the set in use, engine memory, overwritten whole */
    const float *votes;     /* TRAIN: (LK_N_VOTES) copied into the slots; NULL: zeros */
    lk_ready_fn *ready;     /* TRAIN: may be NULL; called on the caller's thread, ranges cover the arena once */
    void *ready_arg;
    double *sums;           /* EVAL: (LK_N_SUMS), overwritten */
    float *output;          /* EVAL: may be NULL; PREDICT: (n, n_output), overwritten */
};

/* Compiles the plan for lanes of n samples so that no later run has to.  Errors: LK_ERR_USAGE (batch norm with one
 * sample in training), LK_ERR_SYSTEM. */
lk_status lk_engine_compile(lk_engine *engine, lk_mode mode, int64_t n);
/* Runs one lane; compiles first if nobody did.  Sums and outputs are there when it returns.  On a device, gradients are
 * only queued: ready() is called while they are, and what it queues comes after them. */
lk_status lk_engine_run(lk_engine *engine, const lk_lane *lane);

/* What a gradient arena says before it is applied, by sums in a fixed order. */
typedef struct lk_grad_report {
    double norm;     /* global 2-norm of the set's gradients, after clip_value */
    bool finite;     /* loss slot and all gradients are finite */
    bool pending;    /* on a device: not known yet, and finite until it is */
    float slots[LK_N_SLOTS]; /* of the arena */
} lk_grad_report;

/* After the reduction and the inspection: running = (1 - momentum) * running + momentum * (summed statistic / lanes), for every
 * batch norm that collects statistics; PyTorch's rule with the mean over lanes as the batch's statistic. */
lk_status lk_engine_update_stats(lk_engine *engine, float *params, const float *grads, const lk_grad_report *report);

/* Memory the engine computes in (host memory on CPU), zeroed.  Release with lk_engine_release(). */
lk_status lk_engine_alloc(lk_engine *engine, size_t nbytes, void **out);
void      lk_engine_release(lk_engine *engine, void *address_of_pointer);
lk_status lk_engine_read(lk_engine *engine, void *host, const void *device, size_t nbytes);
lk_status lk_engine_write(lk_engine *engine, void *device, const void *host, size_t nbytes);

/* ------------------------------------------------------------------ device */

/* On a device calls that compute only queue their work, in two queues that run beside each other; it begins at
 * lk_engine_launch(), lk_engine_wait(), lk_optimizer_sync() or a call that reads or writes.  The same work queued
 * again between two launches is replayed as one graph.  In host memory everything is done when a call returns, and
 * launch, wait and after do nothing. */
typedef enum lk_queue {
    LK_QUEUE_COMPUTE, /* lanes, inspection, updates */
    LK_QUEUE_REDUCE,  /* sums over workers */
    LK_N_QUEUES,
} lk_queue;

bool lk_engine_on_device(const lk_engine *engine); /* the host cannot see the engine's memory */
int  lk_engine_n_devices(const lk_engine *engine); /* of this machine; 0: not on a device */
/* Which one it is, the same for all processes of this machine whatever they were shown of it: "0000:3b:00.0"; "": not on
 * a device.  Writes at most nbytes. */
void lk_engine_device(const lk_engine *engine, char *text, size_t nbytes);
/* into[i] += from[i]. */
lk_status lk_engine_add(lk_engine *engine, lk_queue queue, float *into, const float *from, size_t n_elem);
lk_status lk_engine_zero(lk_engine *engine, lk_queue queue, void *at, size_t nbytes);
lk_status lk_engine_copy(lk_engine *engine, lk_queue queue, void *to, const void *from, size_t nbytes);
/* Queues fn(arg, stream), called on this thread at or before the launch and perhaps only the first time this work is
 * queued: it must do nothing but put work on the stream (a cudaStream_t), the same work for the same bytes of arg, which
 * are copied.  Set padding to 0.  What was recorded of it goes when any memory of the engine is released. */
typedef lk_status lk_queued_fn(const void *arg, void *stream);
lk_status lk_engine_call(lk_engine *engine, lk_queue queue, lk_queued_fn *fn, const void *arg, size_t nbytes);
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
/* Begins to copy what a lane reads (x, target, label, sample) beside the work that runs; its pointers then are the
 * engine's and stay good until the second lk_engine_launch() from here.  The host's memory may be reused at once.
 * lk_engine_run() does it for lanes that come without. */
lk_status lk_engine_upload(lk_engine *engine, lk_lane *lane);
/* Begins to copy engine memory, as what is queued so far leaves it, to host memory of lk_engine_host_alloc(); updates
 * queued later wait for it, lanes do not.  lk_engine_snapshot_wait(), on any thread, until the copies begun are there. */
lk_status lk_engine_snapshot(lk_engine *engine, void *host, const void *device, size_t nbytes);
lk_status lk_engine_snapshot_wait(lk_engine *engine);

/* ------------------------------------------------------ plan, for inspection */

typedef struct lk_plan_stats {
    size_t n_nodes;
    size_t param_bytes, grad_bytes;   /* arenas of the model and of the set in use */
    size_t activation_bytes;          /* the arena after placement */
    size_t activation_bytes_unshared; /* had every activation its own place */
    size_t prepared_bytes;            /* weights in the layouts the kernels prefer, and their scratch */
    double flops;                     /* multiply and add count as two */
    double bytes_moved;               /* read and written by the nodes, each tensor once per node */
} lk_plan_stats;

lk_status lk_engine_plan_stats(lk_engine *engine, lk_mode mode, int64_t n, lk_plan_stats *out);
/* Writes one line a node: number, op, path, output shape, type, arena offset, FLOPs.  put(arg, text) gets each. */
lk_status lk_engine_plan_print(lk_engine *engine, lk_mode mode, int64_t n, void (*put)(void *arg, const char *line),
                               void *arg);

/* ----------------------------------------------------------------- optimizer */

#define LK_OPTIMIZER_LIST(X) X(LK_SGD, "sgd") X(LK_ADAM, "adam") X(LK_ADAMW, "adamw")
typedef enum lk_optimizer_kind { LK_OPTIMIZER_LIST(LK_WORD_ENUM) } lk_optimizer_kind;

/* PyTorch's parameters and defaults (torch.optim.SGD, Adam, AdamW). */
typedef struct lk_optimizer_spec {
    lk_optimizer_kind kind;
    double lr;
    double momentum, dampening; /* sgd */
    bool nesterov;              /* sgd; needs momentum > 0 and dampening 0 */
    double weight_decay;
    double beta1, beta2, eps;   /* adam, adamw */
    bool amsgrad;               /* adam, adamw */
    double clip_norm;           /* global 2-norm, as torch.nn.utils.clip_grad_norm_; 0 is off */
    double clip_value;          /* as clip_grad_value_, before the norm is taken; 0 is off */
} lk_optimizer_spec;

typedef struct lk_optimizer lk_optimizer;
typedef struct lk_ema lk_ema;

/* What a schedule may set for a group in each update; NAN: the group's spec. */
typedef struct lk_hyperparams {
    double lr;
    double momentum;     /* sgd: momentum; adam, adamw: beta1 */
    double weight_decay;
} lk_hyperparams;

/* An optimizer of what `trained` (borrowed, must outlive it) trains, each group by its own spec: specs is
 * (lk_trainable_n_groups), copied.  All groups have the same kind, amsgrad, clip_norm and clip_value.
 * Errors: LK_ERR_USAGE naming the key. */
lk_status lk_optimizer_new(lk_engine *engine, const lk_trainable *trainable, const lk_optimizer_spec *specs,
                           lk_optimizer **out);
void      lk_optimizer_free(lk_optimizer **optimizer);
/* Goes on from another optimizer of the same model, as after add_param_group: tensors that both train keep their
 * states and steps; those new to `to` start afresh, as everything does when the kinds keep other states. */
lk_status lk_optimizer_copy_state(lk_optimizer *to, lk_optimizer *from);
int         lk_optimizer_n_states(const lk_optimizer *optimizer);
const char *lk_optimizer_state_name(const lk_optimizer *optimizer, int i); /* "exp_avg", PyTorch's names */
/* State i of a tensor that trains: as many elements as it has, engine memory.  States of all tensors are one array,
 * (lk_trainable_n_elem), in which each lies at lk_trainable_offset(). */
float      *lk_optimizer_state(lk_optimizer *optimizer, int i, size_t tensor);
/* Updates of a tensor that trains, PyTorch's `step`: a tensor that joined later has done fewer. */
int64_t     lk_optimizer_step(const lk_optimizer *optimizer, size_t tensor);
void        lk_optimizer_set_step(lk_optimizer *optimizer, size_t tensor, int64_t step);

/* Takes one pass over the gradients only if clipping asks for the norm or check is true; else the loss slot alone
 * is looked at and norm is NaN.  On a device the pass is queued, and the report pending. */
lk_status lk_optimizer_inspect(lk_optimizer *optimizer, const float *grads, bool check, lk_grad_report *out);
/* After the update: waits for a pending report and completes it; else does nothing.  An update by a report that turns
 * out not finite has changed nothing: the device left out its passes, and steps are counted back here. */
lk_status lk_optimizer_sync(lk_optimizer *optimizer, lk_grad_report *report, lk_ema *ema);
/* One update of what trains: clip (by the report), weight decay, rule, and, where ema is not NULL, the EMA in the same
 * pass; the EMA of what is frozen and of buffers follows by itself, so call it after lk_engine_update_stats().
 * params is (lk_model_n_elem), rates (lk_trainable_n_groups). */
lk_status lk_optimizer_update(lk_optimizer *optimizer, float *params, const float *grads, const lk_hyperparams *rates,
                              const lk_grad_report *report, lk_ema *ema);

/* ----------------------------------------------------------------------- EMA */

/* ema-pytorch's rules and defaults; lists of glob patterns are borrowed and must outlive the EMA. */
typedef struct lk_ema_spec {
    double beta;               /* 0.9999 */
    int64_t update_after_step; /* 100 */
    int64_t update_every;      /* 10 */
    double inv_gamma;          /* 1.0 */
    double power;              /* 2/3 */
    double min_value;          /* 0.0 */
    const char *const *copy;   /* names copied instead of averaged */
    size_t n_copy;
    const char *const *ignore; /* names never averaged: they keep the value of the last plain copy */
    size_t n_ignore;
} lk_ema_spec;

/* params: first value of the average.  Errors: LK_ERR_USAGE (a value out of range, a pattern that matches nothing). */
lk_status lk_ema_new(lk_engine *engine, const lk_ema_spec *spec, const float *params, lk_ema **out);
void      lk_ema_free(lk_ema **ema);
float    *lk_ema_params(lk_ema *ema);            /* (lk_model_n_elem), engine memory */
/* State beside the average: calls of update so far, and whether averaging has begun (ema-pytorch's step, initted). */
int64_t   lk_ema_step(const lk_ema *ema);
bool      lk_ema_started(const lk_ema *ema);
void      lk_ema_set(lk_ema *ema, int64_t step, bool started);
/* Decay that the call of update numbered `step` from 0 uses; 0 while it copies. */
double    lk_ema_decay(const lk_ema_spec *spec, int64_t step);
/* One ema.update() by itself, for callers that do not fuse it into the optimizer. */
lk_status lk_ema_update(lk_ema *ema, const float *params);

/* ------------------------------------------------------------------ schedule */

/* PyTorch's classes (torch.optim.lr_scheduler) by their names, and warmup, inverse_sqrt, wsd, which it lacks. */
#define LK_SCHEDULE_LIST(X)                                                                              \
    X(LK_SCHEDULE_NONE, "none") X(LK_SCHEDULE_LAMBDA, "lambda")                                          \
    X(LK_SCHEDULE_MULTIPLICATIVE, "multiplicative") X(LK_SCHEDULE_STEP, "step")                          \
    X(LK_SCHEDULE_MULTISTEP, "multistep") X(LK_SCHEDULE_CONSTANT, "constant")                            \
    X(LK_SCHEDULE_LINEAR, "linear") X(LK_SCHEDULE_EXPONENTIAL, "exponential")                            \
    X(LK_SCHEDULE_POLYNOMIAL, "polynomial") X(LK_SCHEDULE_COSINE, "cosine")                              \
    X(LK_SCHEDULE_WARM_RESTARTS, "cosine_warm_restarts") X(LK_SCHEDULE_CYCLIC, "cyclic")                 \
    X(LK_SCHEDULE_ONECYCLE, "onecycle") X(LK_SCHEDULE_PLATEAU, "reduce_on_plateau")                      \
    X(LK_SCHEDULE_SWALR, "swalr") X(LK_SCHEDULE_INVERSE_SQRT, "inverse_sqrt") X(LK_SCHEDULE_WSD, "wsd")  \
    X(LK_SCHEDULE_SEQUENTIAL, "sequential") X(LK_SCHEDULE_CHAINED, "chained")
#define LK_EVERY_LIST(X) X(LK_EVERY_EPOCH, "epoch") X(LK_EVERY_STEP, "step")
#define LK_EXTREMUM_LIST(X) X(LK_MIN, "min") X(LK_MAX, "max")
#define LK_CYCLE_LIST(X) \
    X(LK_CYCLE_TRIANGULAR, "triangular") X(LK_CYCLE_TRIANGULAR2, "triangular2") X(LK_CYCLE_EXP_RANGE, "exp_range")
#define LK_SCALE_LIST(X) X(LK_SCALE_CYCLE, "cycle") X(LK_SCALE_ITERATIONS, "iterations")
#define LK_THRESHOLD_LIST(X) X(LK_THRESHOLD_REL, "rel") X(LK_THRESHOLD_ABS, "abs")
#define LK_ANNEAL_LIST(X) X(LK_ANNEAL_COS, "cos") X(LK_ANNEAL_LINEAR, "linear")
#define LK_WARMUP_LIST(X) X(LK_WARMUP_LINEAR, "linear") X(LK_WARMUP_EXPONENTIAL, "exponential")
#define LK_DECAY_TYPE_LIST(X) \
    X(LK_DECAY_LINEAR, "linear") X(LK_DECAY_COSINE, "cosine") X(LK_DECAY_ONE_MINUS_SQRT, "1-sqrt")
typedef enum lk_schedule_kind { LK_SCHEDULE_LIST(LK_WORD_ENUM) } lk_schedule_kind;
typedef enum lk_every { LK_EVERY_LIST(LK_WORD_ENUM) } lk_every;
typedef enum lk_extremum { LK_EXTREMUM_LIST(LK_WORD_ENUM) } lk_extremum;
/* Numbered on from lk_extremum: both are the key `mode`, of different kinds. */
typedef enum lk_cycle { LK_CYCLE_BEFORE = LK_MAX, LK_CYCLE_LIST(LK_WORD_ENUM) } lk_cycle;
typedef enum lk_scale_mode { LK_SCALE_LIST(LK_WORD_ENUM) } lk_scale_mode;
typedef enum lk_threshold { LK_THRESHOLD_LIST(LK_WORD_ENUM) } lk_threshold;
typedef enum lk_anneal { LK_ANNEAL_LIST(LK_WORD_ENUM) } lk_anneal;
typedef enum lk_warmup { LK_WARMUP_LIST(LK_WORD_ENUM) } lk_warmup;
typedef enum lk_decay_type { LK_DECAY_TYPE_LIST(LK_WORD_ENUM) } lk_decay_type;

/* PyTorch's parameters by its names; which kinds take one is said behind it.  Lists and texts are borrowed until
 * lk_schedule_new() returns. */
typedef struct lk_schedule_spec lk_schedule_spec;
struct lk_schedule_spec {
    lk_schedule_kind kind;
    lk_every every;             /* what one scheduler step is; the outermost schedule's counts for all in it */
    struct {                    /* before any kind, which then begins at its own step 0 */
        lk_warmup kind;         /* how the factor of its first value goes from start_factor to 1 */
        int64_t total_iters;    /* 0: no warmup */
        double start_factor;
    } warmup;
    const char *expr;           /* lambda: factor of the base; multiplicative: of the value before */
    const char *metric;         /* reduce_on_plateau: the name of what is observed, for the caller */
    int mode;                   /* reduce_on_plateau: lk_extremum; cyclic: lk_cycle */
    double factor;              /* reduce_on_plateau, constant */
    int64_t patience, cooldown; /* reduce_on_plateau */
    double threshold;
    lk_threshold threshold_mode;
    double min_lr, eps;
    double gamma;               /* step, multistep, exponential, cyclic in exp_range */
    int64_t step_size;          /* step */
    const int64_t *milestones;  /* multistep: in any order; sequential: ascending */
    unsigned n_milestones;
    int64_t total_iters;        /* constant, linear, polynomial */
    double start_factor, end_factor; /* linear */
    double power;               /* polynomial */
    int64_t T_max;              /* cosine */
    double eta_min;             /* cosine, cosine_warm_restarts, wsd */
    int64_t T_0, T_mult;        /* cosine_warm_restarts */
    bool fractional;            /* cosine_warm_restarts, every epoch: moves within the epoch too */
    double base_lr, max_lr;     /* cyclic; max_lr: onecycle too */
    double step_size_up, step_size_down; /* cyclic */
    const char *scale_fn;       /* cyclic: an expression in x in place of mode's; NULL: mode's */
    lk_scale_mode scale_mode;        /* cyclic with scale_fn: what x is */
    bool cycle_momentum;        /* cyclic, onecycle: momentum moves against the value */
    double base_momentum, max_momentum;
    int64_t total_steps;        /* onecycle; or 0 and the next two */
    int64_t epochs, steps_per_epoch;
    double pct_start, div_factor, final_div_factor;
    bool three_phase;
    lk_anneal anneal_strategy;  /* onecycle, swalr */
    double swa_lr;              /* swalr */
    int64_t anneal_epochs;
    int64_t warmup_steps;       /* inverse_sqrt, wsd */
    int64_t d_model;            /* inverse_sqrt: the Transformer's d^-0.5 form; 0: the peak is the base */
    int64_t stable_steps, decay_steps; /* wsd */
    lk_decay_type decay_type;
    const lk_schedule_spec *schedulers; /* sequential, chained */
    unsigned n_schedulers;
};

/* A scalar's course over a run: the learning rate's, or any other's, from a base value.  All kinds but a plateau are
 * pure functions of the moment: they may be asked in any order and remember nothing that a checkpoint must keep. */
typedef struct lk_schedule lk_schedule;

/* Everything a schedule must remember; for all kinds but plateau it is constant. */
typedef struct lk_schedule_state {
    double lr; /* a plateau's value */
    double best;
    int64_t num_bad, cooldown_counter;
} lk_schedule_state;

/* path names the schedule in messages ("scheduler").  Errors: LK_ERR_USAGE naming the key; for an expression the message
 * points at the place in it. */
lk_status lk_schedule_new(const char *path, const lk_schedule_spec *spec, double base, lk_schedule **out);
void      lk_schedule_free(lk_schedule **schedule);
/* Whether it moves momentum too (beta1 for Adam). */
bool      lk_schedule_has_momentum(const lk_schedule *schedule);
/* Value in force at this training step of this epoch, both from 0; of an epoch the part that is done may be added, for
 * `fractional`.  momentum may be NULL; NaN: not scheduled.  Errors: LK_ERR_USAGE (an expression is not finite). */
lk_status lk_schedule_at(lk_schedule *schedule, int64_t step, double epoch, double *value, double *momentum);
/* Feeds a plateau one metric; *reduced says whether the value fell.  Other kinds ignore it, and so does a plateau in its
 * warmup. */
void      lk_schedule_observe(lk_schedule *schedule, int64_t step, double epoch, double metric, bool *reduced);
void      lk_schedule_get(const lk_schedule *schedule, lk_schedule_state *out);
void      lk_schedule_set(lk_schedule *schedule, const lk_schedule_state *state);

/* Stops when the metric has not improved by more than min_delta for `patience` observations in a row. */
typedef struct lk_early_stop_spec {
    int64_t patience; /* >= 1 */
    double min_delta; /* >= 0 */
    lk_extremum mode;
} lk_early_stop_spec;
typedef struct lk_early_stop { double best; int64_t num_bad; } lk_early_stop;
void lk_early_stop_init(const lk_early_stop_spec *spec, lk_early_stop *out);
/* True: stop now. */
bool lk_early_stop_observe(const lk_early_stop_spec *spec, lk_early_stop *state, double metric);

#ifdef __cplusplus
}
#endif
#endif
