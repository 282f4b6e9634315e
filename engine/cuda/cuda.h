/*
 * What the files of the CUDA backend share.  Private to engine/cuda/.
 *
 * A binder looks at a node's shapes once and leaves a kernel: a run function and its state.  run() only launches work
 * on ctx->stream (it may be capturing), and launches the same for the same *args; what differs from step to step is
 * read from device memory (lk_launch_args.lane).  Where a tensor lies is an arena and an offset, so a kernel keeps
 * cuda_ref and turns it into a pointer in each run.
 *
 * The module is compiled with -fmad=false: products and sums round by themselves, as in the CPU engine.
 */
#ifndef LK_CUDA_H
#define LK_CUDA_H

#include "engine/backend.h"

#include <assert.h>
#include <cuda_bf16.h>
#include <cuda_runtime.h>

typedef struct cuda_tape cuda_tape;     /* what is queued, tape.cu */
typedef struct cuda_args cuda_args;     /* what differs from step to step, args.cu */
typedef struct cuda_upload cuda_upload; /* lanes on their way to the device, upload.cu */
typedef struct cuda_packed cuda_packed; /* a packed copy of a parameter, weights.cu */

/* Where a tensor's bytes are; present is false for an absent optional one. */
typedef struct cuda_ref {
    lk_arena arena;
    bool present;
    size_t offset;
} cuda_ref;

/* What the inspection of a step's gradients found, in device memory; passes queued after it read it. */
typedef struct cuda_report {
    double raw, clamped;     /* sums of squares, as they are and after clip_value */
    double norm;
    float grad_scale;        /* clip_grad_norm_'s coefficient */
    int finite;
    float slots[LK_N_SLOTS];
} cuda_report;

/* The parameters in bf16, one for one at their places in the arena, for plans in bf16.  The update writes it beside the
 * fp32 values; whatever else writes parameters makes it stale, and the next lane renews it whole.  What a queued call
 * writes is not known: in the compute queue that may be parameters, in the reduce queue it is not. */
typedef struct cuda_shadow {
    __nv_bfloat16 *copy;     /* owned, device; NULL until cuda_packed_reserve() */
    size_t n_elem;           /* 0: nobody wants it */
    const float *of;         /* the arena it was made from; NULL: stale */
} cuda_shadow;

/* The `ctx` of every entry of lk_cuda_backend. */
typedef struct cuda_ctx {
    int device, n_sms;
    cudaStream_t stream;              /* LK_QUEUE_COMPUTE */
    cudaStream_t reduce_stream;       /* LK_QUEUE_REDUCE */
    cudaStream_t copy_stream;         /* uploads */
    cudaStream_t snapshot_stream;
    struct cublasLtContext *lt;       /* owned, gemm.cu */
    struct cuda_dnn *dnn;             /* owned, conv_cudnn.cu; NULL until the first convolution */
    void *workspace;                  /* owned, device: scratch of products on `stream`, CUDA_WORKSPACE_BYTES */
    double *partials;                 /* owned, device: scratch of inspections, CUDA_PARTIALS_BYTES */
    cuda_report *report;              /* owned, device: of inspections, and behind it squares' own */
    cuda_report *report_host;         /* owned, page-locked: where it is fetched to */
    cuda_shadow shadow;
    cuda_packed *packed;              /* owned: the first of a list */
    uint64_t packed_version;          /* of the parameters they are made from, or will be by what is queued; 0: none */
    cuda_tape *tape;                  /* owned */
    cuda_args *args;                  /* owned */
    cuda_upload *upload;              /* owned */
    cudaEvent_t passed[LK_N_QUEUES];  /* owned: how far each queue was, for the other to wait on */
    cudaEvent_t waited;               /* owned */
    cudaEvent_t snapshot_from, snapshot_done; /* owned: where it may begin, that it is complete */
    cudaEvent_t *mark;                /* owned, (n_marks): of a profile, marks.cu */
    size_t n_marks;
    lk_status (*poll)(void *arg);
    void *poll_arg;
} cuda_ctx;

/* cuBLASLt's advice for Hopper. */
enum { CUDA_WORKSPACE_BYTES = 32 << 20 };
/* Partial sums of an inspection. */
enum { CUDA_PARTIALS_BYTES = 1 << 16 };
/* Of lk_engine_call(). */
enum { CUDA_MOST_CALL_BYTES = 256 };

/* ------------------------------------------------------------------- doors */

lk_status cuda_fail(cudaError_t error, const char *call, const char *file, int line);

#define LK_CUDA(call)                                                                                \
    do {                                                                                             \
        const cudaError_t lk_cuda_ = (call);                                                         \
        if (lk_cuda_ != cudaSuccess) return cuda_fail(lk_cuda_, #call, __FILE__, __LINE__);          \
    } while (0)

/* Starts a kernel; `kernel` in parentheses if it has a comma.  In tests/gpu/standin it is a call on the host.  Kernels
 * use static __shared__ arrays only.  LK_LAUNCH_FLAT: the kernel's threads do not meet (no __syncthreads, no shuffle,
 * no __shared__). */
#ifdef __CUDACC__
#define LK_LAUNCH(kernel, grid, block, stream, ...)                                                  \
    do {                                                                                             \
        kernel<<<(grid), (block), 0, (stream)>>>(__VA_ARGS__);                                       \
        LK_CUDA(cudaGetLastError());                                                                 \
    } while (0)
#define LK_LAUNCH_FLAT LK_LAUNCH
#endif

/* ----------------------------------------------------------------- binders */

/* Of a product, linear or conv2d: y; dx; dw and db. */
typedef enum cuda_pass { CUDA_FORWARD, CUDA_GRAD_X, CUDA_GRAD_W } cuda_pass;

typedef lk_status cuda_binder(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out);

/* cuda_bind_linear() and so on; bind.cu makes the table. */
#define CUDA_BINDER_DECLARE(id, name, ...) cuda_binder cuda_bind_##name;
LK_EVERY_OP(CUDA_BINDER_DECLARE)
#undef CUDA_BINDER_DECLARE

/* Groups that one kernel does (lk_node.n_fused): neighbouring element-wise ops, a chain. */
int cuda_chain_length(const lk_graph *graph, int first); /* chain.cu: below 2 for none */
cuda_binder cuda_bind_chain;

/* bind.cu: keeps a copy of *state as the kernel's state, released with the kernel.  For states that own nothing. */
lk_status cuda_kernel_keep(lk_kernel *out, lk_status (*run)(void *state, const lk_launch_args *args), const void *state,
                           size_t nbytes);

/* A copy of n floats in device memory, there when it returns, for a state that owns it and cudaFree()s it; NULL on
 * failure.  bind.cu */
lk_status cuda_keep_floats(cuda_ctx *ctx, const float *host, size_t n, float **out);

/* Asks for the shadow of the graph's model; does nothing for a graph without model or in fp32.  bind.cu */
lk_status cuda_shadow_want(cuda_ctx *ctx, const lk_graph *graph);
/* Something else than an update writes there: if it meets the arena that the shadow was made from, that is stale. */
void cuda_shadow_touch(cuda_ctx *ctx, const void *at, size_t nbytes);

/* weights.cu: the copy of the parameter w (O, I, taps), fp32, as (O, taps, I) in fp32 or bf16: the same for everybody
 * who wants the same. */
lk_status cuda_packed_want(cuda_ctx *ctx, cuda_ref w, int64_t O, int64_t I, int64_t taps, bool bf16, cuda_packed **out);
void cuda_packed_drop(cuda_ctx *ctx, cuda_packed **packed);
const void *cuda_packed_at(const cuda_packed *packed);
/* The backend's reserve and packed_nbytes. */
lk_status cuda_packed_reserve(void *ctx);
size_t cuda_packed_nbytes(void *ctx);
/* backend.cu: device memory, with a message that says how much is free. */
lk_status cuda_take(cuda_ctx *ctx, size_t nbytes, void **out);

/* The backend's entries in bind.cu. */
bool cuda_has(lk_op_id op);
lk_status cuda_bind(void *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out);
lk_status cuda_rewrite(void *ctx, lk_graph *graph);

/* ------------------------------------------------------------------ passes */

/* update.cu, inspect.cu: the passes over arenas, launched at once on a stream; tape.cu queues them.  `args` is what
 * differs from step to step, in device memory, filled by cuda_update_args_of(). */
typedef struct cuda_update_args cuda_update_args;
size_t    cuda_update_args_bytes(void);
void      cuda_update_args_of(const lk_update *update, void *args);
/* shadow: bf16 copy of params' run, NULL for none; report: NULL unless update->pending.  Scalars of *update are not
 * read but for step == 1, and whether momentum, weight_decay, clip_value and grad_scale are off. */
lk_status cuda_update(cudaStream_t stream, const lk_update *update, const cuda_update_args *args,
                      const cuda_report *report, __nv_bfloat16 *shadow);
lk_status cuda_ema(cudaStream_t stream, float *ema, const float *params, size_t n_elem, lk_ema_mode mode,
                   const float *decay, const cuda_report *report);
lk_status cuda_running(cudaStream_t stream, float *running, const float *stat, size_t n_elem, float momentum,
                       const float *lanes, const cuda_report *report);
lk_status cuda_inspect(cuda_ctx *ctx, const float *grads, size_t n_elem, const float *slots, bool all,
                       float clip_value, double clip_norm, cuda_report *report);
lk_status cuda_add_f32(cudaStream_t stream, float *into, const float *from, size_t n_elem);
/* cast.cu */
lk_status cuda_cast_bf16(cudaStream_t stream, __nv_bfloat16 *to, const float *from, size_t n_elem);

/* ------------------------------------------------------------- for kernels */

static inline cuda_ref cuda_ref_of(const lk_graph *graph, int tensor)
{
    cuda_ref place = {LK_ARENA_PARAMS, false, 0};

    if (tensor == LK_NO_TENSOR) return place;
    place.arena = graph->tensors[tensor].arena;
    place.present = true;
    place.offset = graph->tensors[tensor].offset;
    return place;
}

/* NULL for an absent tensor. */
static inline void *cuda_at(const lk_launch_args *args, cuda_ref place)
{
    return place.present ? lk_at(args, place.arena, place.offset) : NULL;
}

static inline const lk_tensor *cuda_in(const lk_graph *graph, const lk_node *node, int i)
{
    assert(i < node->n_in && node->in[i] != LK_NO_TENSOR);
    return &graph->tensors[node->in[i]];
}

static inline const lk_tensor *cuda_out(const lk_graph *graph, const lk_node *node, int i)
{
    assert(i < node->n_out && node->out[i] != LK_NO_TENSOR);
    return &graph->tensors[node->out[i]];
}

#endif
