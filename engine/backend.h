/*
 * The contract between the compiler and a backend: memory, binding, and the passes over flat arenas.  Private to
 * engine/.  cpu/ fulfils it, cuda/ will with mirror-image files; engine.c holds the one list of backends.
 */
#ifndef LK_BACKEND_H
#define LK_BACKEND_H

#include "engine/graph.h"

/* What kernels read while they run; the same for every node of one lane. */
typedef struct lk_run {
    void *base[LK_N_ARENAS];
    int64_t n;
    int64_t step;
    const int64_t *sample;
    float inv_count;
    uint64_t seed;
    bool prepare;     /* the parameters changed since this plan last ran: renew weights kept in other layouts */
} lk_run;

static inline void *lk_at(const lk_run *run, lk_arena arena, size_t offset)
{
    return (char *)run->base[arena] + offset;
}

/* A node made ready to run.  state is owned by the kernel and released by free (NULL: nothing to release). */
typedef struct lk_kernel {
    lk_status (*run)(void *state, const lk_run *run);
    void (*free)(void *state);
    void *state;
    size_t nbytes;    /* memory the kernel keeps for itself: prepared weights, scratch */
} lk_kernel;

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
} lk_update;

typedef struct lk_backend lk_backend;
struct lk_backend {
    const char *name;
    /* What it would run on, in words, for doctor; writes at most nbytes. */
    void (*describe)(char *text, size_t nbytes);
    /* Device state; threads >= 1.  *ctx is passed to every other entry. */
    lk_status (*open)(int threads, void **ctx);
    void (*close)(void *ctx);
    lk_status (*alloc)(void *ctx, size_t nbytes, void **out); /* zeroed, 64-byte aligned */
    void (*release)(void *ctx, void *pointer);
    lk_status (*read)(void *ctx, void *host, const void *device, size_t nbytes);
    lk_status (*write)(void *ctx, void *device, const void *host, size_t nbytes);
    /* Tensors of the graph are placed; node is borrowed for the call only, the graph for the kernel's life. */
    lk_status (*bind)(void *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out);
    lk_status (*wait)(void *ctx); /* until everything queued is done; NULL: kernels finish before they return */

    /* Passes over arenas.  All sums are in a fixed order that does not depend on threads. */
    lk_status (*update)(void *ctx, const lk_update *update);
    /* sqrt(sum of clamp(g, +-clip_value)^2) (clip_value 0: no clamp); *finite false if any is not. */
    lk_status (*grad_norm)(void *ctx, const float *grads, size_t n_elem, float clip_value, double *norm, bool *finite);
    /* ema over [begin, end) by mode, as in lk_update; both arrays are whole. */
    lk_status (*ema)(void *ctx, float *ema, const float *params, size_t begin, size_t end, lk_ema_mode mode,
                     float decay);
    /* running[i] += momentum * (stat[i] / lanes - running[i]) */
    lk_status (*running)(void *ctx, float *running, const float *stat, size_t n_elem, float momentum, float lanes);
};

extern const lk_backend lk_cpu_backend;

/* For optim/ only: the engine's backend with its state, and its model. */
const lk_backend *lk_engine_backend(const lk_engine *engine, void **ctx);
const lk_model *lk_engine_model(const lk_engine *engine);

#endif
