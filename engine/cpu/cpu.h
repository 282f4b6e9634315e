/*
 * What the files of the CPU backend share.  Private to engine/cpu/.
 *
 * A binder looks at a node's shapes once and leaves a kernel: a run function and its state.  Where a tensor lies is
 * an arena and an offset, so a kernel keeps cpu_ref and turns it into a pointer in each run.
 */
#ifndef LK_CPU_H
#define LK_CPU_H

#include "engine/backend.h"

#include <assert.h>

typedef struct cpu_dnnl cpu_dnnl;       /* oneDNN's engine and stream, cpu/dnnl.h */
typedef struct cpu_weights cpu_weights; /* packed copies of parameters, cpu/weights.h */

/* The `ctx` of every entry of lk_cpu_backend. */
typedef struct cpu_ctx {
    int threads;          /* >= 1, fixed for the backend's life */
    cpu_dnnl *dnnl;       /* owned */
    cpu_weights *weights; /* owned */
} cpu_ctx;

typedef lk_status cpu_binder(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out);

/* cpu_bind_linear() and so on; bind.c makes the table. */
#define CPU_BINDER_DECLARE(id, name, ...) cpu_binder cpu_bind_##name;
LK_EVERY_OP(CPU_BINDER_DECLARE)
#undef CPU_BINDER_DECLARE

/* lk_backend's has, rewrite and bind: the first and the last look the op's binder up. */
bool cpu_has(lk_op_id op);
lk_status cpu_rewrite(void *ctx, lk_graph *graph);
lk_status cpu_bind(void *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out);

/* Whether an embedding's gradient begins a group with the addition behind it; what it is added to then has the sum's
 * place. */
bool cpu_embedding_joins(lk_graph *graph, int first);

/* The passes over arenas, update.c and inspect.c; lk_backend says what each does. */
lk_status cpu_update(void *ctx, const lk_update *update);
lk_status cpu_squares(void *ctx, const float *grads, const size_t *cut, size_t n, float clip_value, lk_squares *out);
lk_status cpu_ema(void *ctx, float *ema, const float *params, size_t begin, size_t end, lk_ema_mode mode, float decay,
                  bool pending);
lk_status cpu_running(void *ctx, float *running, const float *stat, size_t n_elem, float momentum, const float *lanes,
                      bool pending);

/* ------------------------------------------------------------- for kernels */

/* Where a tensor's bytes are; present is false for an absent optional one. */
typedef struct cpu_ref {
    lk_arena arena;
    bool present;
    size_t offset;
} cpu_ref;

static inline cpu_ref cpu_ref_of(const lk_graph *graph, int tensor)
{
    if (tensor == LK_NO_TENSOR) return (cpu_ref){.present = false};
    return (cpu_ref){.arena = graph->tensors[tensor].arena, .present = true, .offset = graph->tensors[tensor].offset};
}

/* NULL for an absent tensor. */
static inline void *cpu_at(const lk_launch_args *args, cpu_ref place)
{
    return place.present ? lk_at(args, place.arena, place.offset) : NULL;
}

static inline const lk_tensor *cpu_in(const lk_graph *graph, const lk_node *node, int i)
{
    assert(i < node->n_in && node->in[i] != LK_NO_TENSOR);
    return &graph->tensors[node->in[i]];
}

static inline const lk_tensor *cpu_out(const lk_graph *graph, const lk_node *node, int i)
{
    assert(i < node->n_out && node->out[i] != LK_NO_TENSOR);
    return &graph->tensors[node->out[i]];
}

/* Keeps a copy of the `nbytes` of *state as the kernel's state, released with the kernel.  For kernels whose state
 * owns nothing further. */
lk_status cpu_kernel_keep(lk_kernel *out, lk_status (*run)(void *state, const lk_launch_args *args), const void *state,
                          size_t nbytes);

/* Calls body(arg, begin, end) so that the calls cover [0, n) once, on up to `threads` threads; with one thread, or
 * when n is not larger than `grain`, it is one plain call.  How the range is cut depends on n, grain and threads
 * alone, and must not matter: an element's value is the same whichever call computes it. */
void cpu_split(int threads, size_t n, size_t grain, void (*body)(void *arg, size_t begin, size_t end), void *arg);

#endif
