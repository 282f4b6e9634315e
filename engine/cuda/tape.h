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
    CUDA_RECORD_AFTER,   /* cuda_after_record: this record's queue begins after that one */
    CUDA_RECORD_UPDATE,  /* cuda_update_record */
    CUDA_RECORD_EMA,     /* cuda_ema_record */
    CUDA_RECORD_RUNNING, /* cuda_running_record */
    CUDA_RECORD_INSPECT, /* cuda_inspect_record */
    CUDA_RECORD_CAST,    /* cuda_range_record: fp32 to bf16, n elements */
    CUDA_RECORD_PACK,    /* const float *: all packed weights from these parameters */
    CUDA_RECORD_MARK,    /* cudaEvent_t: notes the time */
    CUDA_RECORD_GUARD,   /* nothing: waits for the snapshot that is under way */
} cuda_record_kind;

typedef struct cuda_lane_record {
    const lk_kernel *kernels;
    size_t n;
    lk_launch_args args;
} cuda_lane_record;

typedef struct cuda_range_record {
    void *to;
    const void *from;
    size_t n; /* ADD, CAST: elements; ZERO, COPY: bytes */
} cuda_range_record;

typedef struct cuda_call_record {
    lk_queued_fn *fn;
} cuda_call_record;

typedef struct cuda_after_record {
    int64_t first;
} cuda_after_record;

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
    cuda_report *report;
    size_t n_elem;
    double clip_norm;
    float clip_value;
    int all;
} cuda_inspect_record;

lk_status cuda_tape_new(cuda_tape **out);
void      cuda_tape_free(cuda_tape **tape);
/* Payloads come with their padding zeroed: their bytes are compared.  n_launches: about how many kernels it starts. */
lk_status cuda_tape_append(cuda_ctx *ctx, cuda_record_kind kind, lk_queue queue, size_t n_launches, const void *payload,
                           size_t nbytes);
/* The next writes of parameters and states in a queue wait for the snapshot under way, if there is one. */
lk_status cuda_tape_guard(cuda_ctx *ctx, lk_queue queue);
/* Other processes take part in what is queued, or its times are measured: this tape runs on the streams. */
void      cuda_tape_share(cuda_tape *tape);
/* A snapshot has begun. */
void      cuda_tape_snapshot(cuda_tape *tape);
/* Runs what is queued, without waiting for it. */
lk_status cuda_tape_launch(cuda_ctx *ctx);
/* Addresses may come to mean something else: recordings are dropped, once none of them runs. */
void      cuda_tape_forget(cuda_ctx *ctx);

/* records.cu */
lk_status cuda_record_run(cuda_ctx *ctx, cuda_record_kind kind, lk_queue queue, const void *payload);

/* queue.cu: the entries of lk_device_calls, and the passes of lk_backend on a queue. */
extern const lk_device_calls cuda_device_calls;
lk_status cuda_queue_update(void *ctx, const lk_update *update);
lk_status cuda_queue_ema(void *ctx, float *ema, const float *params, size_t begin, size_t end, lk_ema_mode mode,
                         float decay, bool pending);
lk_status cuda_queue_running(void *ctx, float *running, const float *stat, size_t n_elem, float momentum,
                             const float *lanes, bool pending);
lk_status cuda_queue_inspect(cuda_ctx *ctx, const cuda_inspect_record *inspect);

/* args.cu: values that a launch brings to the device. */
lk_status cuda_args_new(cuda_args **out);
void      cuda_args_free(cuda_args **args);
/* Room for nbytes: filled at *host by the caller, read at *device by records of this tape. */
lk_status cuda_args_take(cuda_ctx *ctx, size_t nbytes, void **host, const void **device);
lk_status cuda_args_put(cuda_ctx *ctx, const void *values, size_t nbytes, const void **device);
/* A lane begins; where its arguments are for this tape. */
void      cuda_args_begin_lane(cuda_ctx *ctx, const lk_launch_args *args);
lk_status cuda_args_lane(cuda_ctx *ctx, const lk_lane_args **out);
/* A tape is about to run: its arguments go first.  It has ended: the next begins. */
lk_status cuda_args_send(cuda_ctx *ctx);
void      cuda_args_next(cuda_args *args);

/* upload.cu: lanes on their way to the device; it says what the two stores are. */
typedef enum cuda_store { CUDA_STORE_KEPT, CUDA_STORE_PASSING, CUDA_N_STORES } cuda_store;
lk_status cuda_upload_new(cuda_upload **out);
void      cuda_upload_free(cuda_upload **upload);
lk_status cuda_upload_begin(cuda_ctx *ctx, cuda_store store, const void *host, size_t nbytes, const void **device);
/* The tape reads what is at `at`, if that was uploaded. */
void      cuda_upload_read_by_tape(cuda_upload *upload, const void *at);
/* The tape is about to run: what it reads must be there.  It is queued. */
lk_status cuda_upload_arrive(cuda_ctx *ctx);
lk_status cuda_upload_leave(cuda_ctx *ctx);
/* The store's other half is next. */
void      cuda_upload_next(cuda_upload *upload, cuda_store store);

/* weights.cu: queues the renewal of all packed weights, once for a version of the parameters; 0: at every call. */
lk_status cuda_packed_renew(cuda_ctx *ctx, const float *params, uint64_t version);
/* What that record does. */
lk_status cuda_packed_run(cuda_ctx *ctx, const float *params);

/* marks.cu: two entries of lk_device_calls. */
lk_status cuda_mark(void *ctx, size_t i);
lk_status cuda_elapsed(void *ctx, size_t n, double *seconds);
void      cuda_marks_free(cuda_ctx *ctx);

/* wait.cu: until the event has happened, or the compute stream has done what it holds, polling. */
lk_status cuda_await(cuda_ctx *ctx, cudaEvent_t event);
lk_status cuda_wait_stream(cuda_ctx *ctx);

/* device.cu: lk_backend's entries, and why there is no device. */
int  cuda_available(void);
void cuda_describe(char *text, size_t nbytes);
void cuda_platform(void *ctx, lk_platform *out);
lk_status cuda_no_device(void);

#endif
