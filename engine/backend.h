/*
 * The contract between the compiler and a backend: memory, binding, and the passes over flat arenas.  Private to
 * engine/.  cpu/ and cuda/ fulfil it with mirror-image files; engine.c holds the one list of backends.
 */
#ifndef LK_BACKEND_H
#define LK_BACKEND_H

#include "engine/graph/graph.h"
#include "engine/optim/optim.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What differs from step to step, in device memory, so that a replayed graph finds it where it was. */
typedef struct lk_lane_args {
    int64_t step;
    int64_t position;
    float inv_count;
} lk_lane_args;

/* What kernels read while they run; the same for every node of one lane. */
typedef struct lk_launch_args {
    void *base[LK_N_ARENAS];
    int64_t n;
    int64_t step;
    int64_t position; /* in the cache, of the lane's first */
    const int64_t *sample;
    float inv_count;
    uint64_t seed;
    uint64_t params_version; /* differs whenever the parameters do: what is kept of others in other layouts is stale */
    const lk_lane_args *lane; /* on a device, instead of step, position and inv_count, which are 0 there; else NULL */
} lk_launch_args;

static inline void *lk_at(const lk_launch_args *args, lk_arena arena, size_t offset)
{
    return (char *)args->base[arena] + offset;
}

/* A node made ready to args.  state is owned by the kernel and released by free (NULL: nothing to release). */
typedef struct lk_kernel {
    lk_status (*run)(void *state, const lk_launch_args *args);
    void (*free)(void *state);
    void *state;
    size_t scratch_nbytes; /* that run() may use at LK_ARENA_SCRATCH; what is there before and after is nobody's */
    uint64_t choice;       /* which of several ways it is done, where a library said so (lk_choose); 0: there is one */
    const char *slow;      /* why a plain kernel does it, many times slower than a library would: a constant; NULL: none
                            * does */
} lk_kernel;

/* A choice with one more of what makes it: workers whose choices differ may compute other bits. */
static inline uint64_t lk_choose(uint64_t choice, uint64_t way)
{
    return (choice ^ way) * 1099511628211ull + 1; /* FNV-1a over words */
}

/* The optimizer's pass over one run of the arenas; every array begins at the run's first element. */
typedef enum lk_ema_mode { LK_EMA_OFF, LK_EMA_COPY, LK_EMA_BLEND } lk_ema_mode;
typedef struct lk_update {
    const lk_optimizer_spec *spec; /* with this update's weight_decay */
    float *params;
    const float *grads;
    float *state[3];        /* sgd: momentum_buffer; adam: exp_avg, exp_avg_sq, max_exp_avg_sq */
    size_t n_elem;
    int64_t step;           /* these elements' updates with this one, PyTorch's `step` after the increment */
    double lr;
    double momentum;        /* sgd: momentum; adam: beta1 */
    float grad_scale;       /* clip_grad_norm_'s coefficient, 1 when it does not clip */
    float *ema;             /* NULL: no EMA in this pass */
    lk_ema_mode ema_mode;
    float ema_decay;        /* BLEND: ema = ema + (1 - decay) * (param - ema), as torch.lerp_ */
    bool pending;           /* on a device: grad_scale is what the queued inspection finds, and nothing is done if it
                             * finds numbers that are not finite */
} lk_update;

/* What a backend has beside when the host cannot see its memory.  Its passes and these only queue; engine.h says what
 * each does. */
typedef struct lk_device_calls {
    void (*identify)(void *ctx, char *text, size_t nbytes);
    lk_status (*add)(void *ctx, lk_queue queue, float *into, const float *from, size_t n_elem);
    lk_status (*zero)(void *ctx, lk_queue queue, void *at, size_t nbytes);
    lk_status (*copy)(void *ctx, lk_queue queue, void *to, const void *from, size_t nbytes);
    lk_status (*call)(void *ctx, lk_queue queue, bool shared, lk_queued_fn *fn, const void *arg, size_t nbytes);
    lk_status (*after)(void *ctx, lk_queue then, lk_queue first);
    lk_status (*launch)(void *ctx);
    void (*set_poll)(void *ctx, lk_status (*poll)(void *arg), void *arg);
    lk_status (*host_alloc)(void *ctx, size_t nbytes, void **out);
    void (*host_release)(void *ctx, void *pointer);
    /* keep: the pointer is good until the second launch() from here; else for the lane that is queued next. */
    lk_status (*upload)(void *ctx, bool keep, const void *host, size_t nbytes, const void **device);
    lk_status (*snapshot)(void *ctx, void *host, const void *device, size_t nbytes);
    lk_status (*snapshot_wait)(void *ctx);

    /* Few floats that differ from step to step, to device memory.  n <= 2 * LK_N_SLOTS. */
    lk_status (*put)(void *ctx, float *to, const float *values, size_t n);
    /* Begins a lane: what args->lane points to from now on. */
    lk_status (*begin)(void *ctx, const lk_graph *graph, lk_launch_args *args);
    /* Queues kernels of one plan, in order, with a copy of *args; those with run NULL are done by the one before. */
    lk_status (*run)(void *ctx, const lk_kernel *kernels, size_t n, const lk_launch_args *args);
    /* Inspection: if `all`, the norm of all n_elem, with clip_scale's coefficient if clip_norm > 0; the slots.
     * Later updates and statistics with `pending` set read it.  report() launches, waits and gives it to the host. */
    lk_status (*inspect)(void *ctx, const float *grads, size_t n_elem, const float *slots, bool all, float clip_value,
                         double clip_norm);
    lk_status (*report)(void *ctx, lk_grad_report *out);

    /* Of a profile.  mark() notes when the compute queue comes to it, number i of 0, 1, ...; what is queued with it is
     * never replayed as a graph.  elapsed() launches, waits and says what passed between marks i and i + 1, for the n
     * marks of this number and below: n - 1 times.  Errors: LK_ERR_SYSTEM (no memory for so many marks). */
    lk_status (*mark)(void *ctx, size_t i);
    lk_status (*elapsed)(void *ctx, size_t n, double *seconds);
} lk_device_calls;

typedef struct lk_backend lk_backend;
struct lk_backend {
    const char *name;
    const lk_device_calls *device; /* NULL: it computes in host memory, and every call is done when it returns */
    bool keeps_masks;              /* dropout's masks are kept for the backward pass; false: computed again */
    /* What it would run on, in words, for doctor; writes at most nbytes. */
    void (*describe)(char *text, size_t nbytes);
    /* Devices it could run on now, 1 for host memory. */
    int (*available)(void);
    /* Fills what it has of lk_engine_platform(). */
    void (*platform)(void *ctx, lk_platform *out);
    /* Device state; threads >= 1.  *ctx is passed to every other entry. */
    lk_status (*open)(const lk_engine_options *options, void **ctx);
    void (*close)(void *ctx);
    lk_status (*alloc)(void *ctx, size_t nbytes, void **out); /* zeroed, 64-byte aligned */
    void (*release)(void *ctx, void *pointer);
    lk_status (*read)(void *ctx, void *host, const void *device, size_t nbytes);
    lk_status (*write)(void *ctx, void *device, const void *host, size_t nbytes);
    /* Whether it has a kernel for this op; bind is asked for no other. */
    bool (*has)(lk_op_id op);
    /* Before anything has a place: may make groups of a pruned graph (lk_graph_fuse), or put fused ops in the place of
     * others.  NULL: it leaves all as it is. */
    lk_status (*rewrite)(void *ctx, lk_graph *graph);
    /* One kernel for the node, or for the group that it begins.  Tensors of the graph are placed; node lies in the
     * graph and is borrowed for the call only, the graph for the kernel's life. */
    lk_status (*bind)(void *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out);
    /* Kernels share packed copies of the parameters.  bind() only says which are wanted: reserve() takes the memory of
     * all that have none, before any of the plans runs, and packed_nbytes() says how much it comes to. */
    lk_status (*reserve)(void *ctx);
    size_t (*packed_nbytes)(void *ctx);
    /* What libraries and passes hold beside all that, whatever the model, once the plans that are bound have run. */
    size_t (*workspace_nbytes)(void *ctx);
    lk_status (*wait)(void *ctx); /* until everything queued is done; NULL: nothing is queued */

    /* Passes over arenas.  All sums are in a fixed order that does not depend on threads. */
    lk_status (*update)(void *ctx, const lk_update *update);
    /* Squares of chunks [cut[c], cut[c + 1]) of grads, c < n; clip_value 0: none.  A chunk's depend on nothing else. */
    lk_status (*squares)(void *ctx, const float *grads, const size_t *cut, size_t n, float clip_value,
                         lk_squares *out);
    /* ema over [begin, end) by mode, pending as in lk_update; both arrays are whole. */
    lk_status (*ema)(void *ctx, float *ema, const float *params, size_t begin, size_t end, lk_ema_mode mode,
                     float decay, bool pending);
    /* running[i] += momentum * (stat[i] / *lanes - running[i]), lanes in the backend's memory; pending as in
     * lk_update. */
    lk_status (*running)(void *ctx, float *running, const float *stat, size_t n_elem, float momentum,
                         const float *lanes, bool pending);
};

extern const lk_backend lk_cpu_backend;

/* What a loadable module exports as LK_MODULE_SYMBOL; module.c opens it.  abi must be LK_MODULE_ABI of the generated
 * engine/module_abi.h, a hash of every header that both are compiled with. */
#define LK_MODULE_SYMBOL "lk_module_entry"
typedef struct lk_module {
    uint64_t abi;
    const lk_backend *backend;
    const void *collectives; /* struct lk_nccl of dist/nccl/nccl.h */
} lk_module;

/* Opens lockstep-cuda.so once: $LOCKSTEP_CUDA_MODULE, or beside the program.  Errors, the same each time: LK_ERR_USAGE
 * saying what is missing and what to do. */
lk_status lk_module_open(const lk_module **out);
/* Whether opening it could find a device: the driver is there, or the module is named. */
bool lk_module_likely(void);

/* For optim/ only: the engine's backend with its state, and its model. */
const lk_backend *lk_engine_backend(const lk_engine *engine, void **ctx);
const lk_model *lk_engine_model(const lk_engine *engine);

#ifdef __cplusplus
}
#endif
#endif
