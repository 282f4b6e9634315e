/* What is queued, between queue.cu, which appends, records.cu, which runs, and tape.cu, which decides how. */
#ifndef LK_CUDA_TAPE_H
#define LK_CUDA_TAPE_H

#include "engine/cuda/cuda.h"

typedef enum cuda_record_kind {
    CUDA_RECORD_LANE,    /* cuda_lane_record */
    CUDA_RECORD_ADD,     /* cuda_range_record */
    CUDA_RECORD_ZERO,    /* cuda_range_record */
    CUDA_RECORD_COPY,    /* cuda_range_record */
    CUDA_RECORD_CALL,    /* cuda_call_record and the argument behind it */
    CUDA_RECORD_AFTER,   /* lk_queue: this record's queue begins after that one */
    CUDA_RECORD_UPDATE,  /* cuda_update_record */
    CUDA_RECORD_EMA,     /* cuda_ema_record */
    CUDA_RECORD_RUNNING, /* cuda_running_record */
    CUDA_RECORD_INSPECT, /* cuda_inspect_record */
    CUDA_RECORD_CAST,    /* cuda_range_record: fp32 to bf16, n elements */
    CUDA_RECORD_GUARD,   /* nothing: waits for the snapshot before */
} cuda_record_kind;

typedef struct cuda_lane_record {
    const lk_kernel *kernels;
    size_t n;
    lk_run run;
} cuda_lane_record;

typedef struct cuda_range_record {
    void *to;
    const void *from;
    size_t n; /* ADD, CAST: elements; ZERO, COPY: bytes */
} cuda_range_record;

typedef struct cuda_call_record {
    lk_queued_fn *fn;
} cuda_call_record;

typedef struct cuda_update_record {
    lk_update update;        /* without what differs from step to step; spec is set when it runs */
    lk_optimizer_spec spec;  /* the same */
    const cuda_update_args *args;
    __nv_bfloat16 *shadow;
} cuda_update_record;

typedef struct cuda_ema_record {
    float *ema;
    const float *params;
    size_t n_elem;
    lk_ema_mode mode;
    int pending;
    const float *decay;
} cuda_ema_record;

typedef struct cuda_running_record {
    float *running;
    const float *stat, *lanes;
    size_t n_elem;
    float momentum;
    int pending;
} cuda_running_record;

typedef struct cuda_inspect_record {
    const float *grads, *slots;
    size_t n_elem;
    double clip_norm;
    float clip_value;
    int all;
} cuda_inspect_record;

lk_status cuda_tape_new(cuda_tape **out);
void      cuda_tape_free(cuda_tape **tape);
bool      cuda_tape_empty(const cuda_tape *tape);
/* Payloads come with their padding zeroed: their bytes are compared. */
lk_status cuda_tape_append(cuda_tape *tape, cuda_record_kind kind, lk_queue queue, const void *payload, size_t nbytes);
/* The same for what writes memory that a snapshot may be copying. */
lk_status cuda_tape_append_write(cuda_tape *tape, cuda_record_kind kind, lk_queue queue, const void *payload,
                                 size_t nbytes);
/* Runs what is queued, without waiting for it. */
lk_status cuda_tape_launch(cuda_ctx *ctx);
/* Addresses may come to mean something else: recordings are dropped. */
void      cuda_tape_forget(cuda_tape *tape);

/* records.cu */
lk_status cuda_record_run(cuda_ctx *ctx, cuda_record_kind kind, lk_queue queue, const void *payload, bool capturing);

/* queue.cu: the entries of lk_device_calls, and the passes of lk_backend on a queue. */
extern const lk_device_calls cuda_device_calls;
lk_status cuda_queue_update(void *ctx, const lk_update *update);
lk_status cuda_queue_ema(void *ctx, float *ema, const float *params, size_t begin, size_t end, lk_ema_mode mode,
                         float decay);

/* upload.cu: lanes and arguments on their way to the device. */
lk_status cuda_upload_new(cuda_upload **out);
void      cuda_upload_free(cuda_upload **upload);
lk_status cuda_upload_begin(cuda_ctx *ctx, const void *host, size_t nbytes, const void **device);
/* Room for values that a launch brings to the device: filled at *host by the caller, read at *device by records. */
lk_status cuda_upload_args(cuda_ctx *ctx, size_t nbytes, void **host, const void **device);
/* A launch begins: what was uploaded for it must be there.  It has been queued: the other half is next. */
lk_status cuda_upload_arrive(cuda_ctx *ctx);
lk_status cuda_upload_leave(cuda_ctx *ctx);

/* backend.cu: until the compute stream has done what it holds, polling. */
lk_status cuda_wait_stream(cuda_ctx *ctx);

#endif
