/*
 * The CUDA backend's table: the device with its streams and handles, memory, and waiting.
 *
 * Whatever reads or writes memory for the host launches what is queued first, so the host sees the results of all
 * calls before.
 */
#include "engine/cuda/conv.h"
#include "engine/cuda/gemm.h"
#include "engine/cuda/tape.h"

#include <string.h>

#include "engine/module_abi.h" /* generated: LK_MODULE_ABI */

extern "C" const struct lk_nccl lk_nccl_table; /* dist/nccl/nccl.c */

static const double MIB = 1024.0 * 1024.0;
enum { N_REPORTS = 2 };

/* ------------------------------------------------------------ open and close */

static void close_ctx(void *arg)
{
    cuda_ctx *ctx = (cuda_ctx *)arg;

    if (!ctx) return;
    cudaDeviceSynchronize();
    if (ctx->tape) cuda_tape_forget(ctx);
    cuda_tape_free(&ctx->tape);
    cuda_marks_free(ctx);
    cuda_upload_free(&ctx->upload);
    cuda_args_free(&ctx->args);
    cudaFree(ctx->shadow.copy);
    if (ctx->report_host) cudaFreeHost(ctx->report_host);
    cudaFree(ctx->report);
    cudaFree(ctx->partials);
    cudaFree(ctx->workspace);
    cuda_conv_close(ctx);
    cuda_gemm_close(ctx);
    for (int q = 0; q < LK_N_QUEUES; q++)
        if (ctx->passed[q]) cudaEventDestroy(ctx->passed[q]);
    if (ctx->waited) cudaEventDestroy(ctx->waited);
    if (ctx->snapshot_done) cudaEventDestroy(ctx->snapshot_done);
    if (ctx->snapshot_from) cudaEventDestroy(ctx->snapshot_from);
    if (ctx->snapshot_stream) cudaStreamDestroy(ctx->snapshot_stream);
    if (ctx->copy_stream) cudaStreamDestroy(ctx->copy_stream);
    if (ctx->reduce_stream) cudaStreamDestroy(ctx->reduce_stream);
    if (ctx->stream) cudaStreamDestroy(ctx->stream);
    lk_free(&ctx);
}

static lk_status open_streams(cuda_ctx *ctx)
{
    int low, high;

    LK_CUDA(cudaDeviceGetStreamPriorityRange(&low, &high));
    LK_CUDA(cudaStreamCreateWithPriority(&ctx->stream, cudaStreamNonBlocking, low));
    /* A reduction that is ready holds up all workers; a copy holds up the next step. */
    LK_CUDA(cudaStreamCreateWithPriority(&ctx->reduce_stream, cudaStreamNonBlocking, high));
    LK_CUDA(cudaStreamCreateWithPriority(&ctx->copy_stream, cudaStreamNonBlocking, high));
    LK_CUDA(cudaStreamCreateWithPriority(&ctx->snapshot_stream, cudaStreamNonBlocking, low));
    for (int q = 0; q < LK_N_QUEUES; q++) LK_CUDA(cudaEventCreateWithFlags(&ctx->passed[q], cudaEventDisableTiming));
    LK_CUDA(cudaEventCreateWithFlags(&ctx->waited, cudaEventDisableTiming));
    LK_CUDA(cudaEventCreateWithFlags(&ctx->snapshot_from, cudaEventDisableTiming));
    LK_CUDA(cudaEventCreateWithFlags(&ctx->snapshot_done, cudaEventDisableTiming));
    return LK_OK;
}

static lk_status fill(cuda_ctx *ctx, int device)
{
    cudaDeviceProp prop;
    int n_devices;

    LK_CUDA(cudaGetDeviceCount(&n_devices));
    ctx->device = device % n_devices;
    LK_CUDA(cudaSetDevice(ctx->device));
    LK_CUDA(cudaGetDeviceProperties(&prop, ctx->device));
    ctx->n_sms = prop.multiProcessorCount;
    LK_TRY(open_streams(ctx));
    LK_TRY(cuda_gemm_open(ctx));
    LK_CUDA(cudaMalloc(&ctx->workspace, CUDA_WORKSPACE_BYTES));
    LK_CUDA(cudaMalloc((void **)&ctx->partials, CUDA_PARTIALS_BYTES));
    LK_CUDA(cudaMalloc((void **)&ctx->report, N_REPORTS * sizeof *ctx->report));
    LK_CUDA(cudaMallocHost((void **)&ctx->report_host, sizeof *ctx->report_host));
    LK_TRY(cuda_args_new(&ctx->args));
    LK_TRY(cuda_upload_new(&ctx->upload));
    return cuda_tape_new(&ctx->tape);
}

static lk_status open_ctx(const lk_engine_options *options, void **out)
{
    *out = NULL;
    if (cuda_available() == 0) return cuda_no_device();
    cuda_ctx *ctx = (cuda_ctx *)lk_alloc(sizeof *ctx);
    LK_TRY_ALLOC(ctx, sizeof *ctx);
    const lk_status status = fill(ctx, options->device);
    if (status != LK_OK) {
        close_ctx(ctx);
        return lk_trace(status, __FILE__, __LINE__);
    }
    *out = ctx;
    return LK_OK;
}

/* ------------------------------------------------------------------- memory */

static lk_status wait_for_all(void *arg)
{
    cuda_ctx *ctx = (cuda_ctx *)arg;

    LK_TRY(cuda_tape_launch(ctx));
    return cuda_wait_stream(ctx);
}

static lk_status no_room(const cuda_ctx *ctx, size_t nbytes)
{
    size_t free_bytes = 0, total = 0;

    cudaMemGetInfo(&free_bytes, &total);
    return LK_FAIL(LK_ERR_SYSTEM,
                   "device %d has no room for %.1f MiB more: %.1f of %.1f MiB are free; a smaller train.batch, "
                   "more lanes or engine.precision: bf16 needs less (lockstep plan RECIPE says how much)",
                   ctx->device, (double)nbytes / MIB, (double)free_bytes / MIB, (double)total / MIB);
}

lk_status cuda_take(cuda_ctx *ctx, size_t nbytes, void **out)
{
    *out = NULL;
    LK_CUDA(cudaSetDevice(ctx->device));
    const cudaError_t error = cudaMalloc(out, nbytes);
    if (error == cudaErrorMemoryAllocation) {
        cudaGetLastError();
        return no_room(ctx, nbytes);
    }
    LK_CUDA(error);
    return LK_OK;
}

static lk_status alloc(void *arg, size_t nbytes, void **out)
{
    cuda_ctx *ctx = (cuda_ctx *)arg;

    if (nbytes == 0) nbytes = 1;
    LK_TRY(cuda_take(ctx, nbytes, out));
    LK_CUDA(cudaMemsetAsync(*out, 0, nbytes, ctx->stream));
    return LK_OK;
}

/* A failure of what was queued was or will be told by a call that can say so. */
static void release(void *arg, void *pointer)
{
    cuda_ctx *ctx = (cuda_ctx *)arg;

    cudaSetDevice(ctx->device);
    if (wait_for_all(ctx) == LK_OK) cudaEventSynchronize(ctx->snapshot_done);
    cuda_tape_forget(ctx);
    cuda_shadow_touch(ctx, pointer, 1);
    cudaFree(pointer);
}

static lk_status read_memory(void *arg, void *host, const void *device, size_t nbytes)
{
    cuda_ctx *ctx = (cuda_ctx *)arg;

    if (nbytes == 0) return LK_OK;
    LK_CUDA(cudaSetDevice(ctx->device));
    LK_TRY(wait_for_all(ctx));
    LK_CUDA(cudaMemcpyAsync(host, device, nbytes, cudaMemcpyDeviceToHost, ctx->stream));
    LK_CUDA(cudaStreamSynchronize(ctx->stream));
    return LK_OK;
}

static lk_status write_memory(void *arg, void *device, const void *host, size_t nbytes)
{
    cuda_ctx *ctx = (cuda_ctx *)arg;

    if (nbytes == 0) return LK_OK;
    LK_CUDA(cudaSetDevice(ctx->device));
    LK_TRY(wait_for_all(ctx));
    cuda_shadow_touch(ctx, device, nbytes);
    LK_CUDA(cudaStreamWaitEvent(ctx->stream, ctx->snapshot_done, 0));
    LK_CUDA(cudaMemcpyAsync(device, host, nbytes, cudaMemcpyHostToDevice, ctx->stream));
    LK_CUDA(cudaStreamSynchronize(ctx->stream));
    return LK_OK;
}

/* ---------------------------------------------------- passes that are waited for */

/* Into a report of its own, because that of a queued inspection may still be asked for. */
static lk_status square_chunk(cuda_ctx *ctx, const float *grads, size_t n_elem, float clip_value, lk_squares *out)
{
    cuda_report *own = ctx->report + 1;
    cuda_inspect_record inspect;

    memset(&inspect, 0, sizeof inspect);
    inspect.grads = grads;
    inspect.report = own;
    inspect.n_elem = n_elem;
    inspect.clip_value = clip_value;
    inspect.all = true;
    LK_TRY(cuda_queue_inspect(ctx, &inspect));
    LK_TRY(cuda_tape_launch(ctx));
    LK_CUDA(cudaMemcpyAsync(ctx->report_host, own, sizeof *own, cudaMemcpyDeviceToHost, ctx->stream));
    LK_TRY(cuda_wait_stream(ctx));
    out->raw = ctx->report_host->raw;
    out->clamped = ctx->report_host->clamped;
    return LK_OK;
}

static lk_status squares(void *arg, const float *grads, const size_t *cut, size_t n, float clip_value, lk_squares *out)
{
    for (size_t c = 0; c < n; c++)
        LK_TRY(square_chunk((cuda_ctx *)arg, grads + cut[c], cut[c + 1] - cut[c], clip_value, &out[c]));
    return LK_OK;
}

static size_t workspace_nbytes(void *) { return CUDA_WORKSPACE_BYTES + CUDA_PARTIALS_BYTES; }

const lk_backend lk_cuda_backend = {
    "cuda", &cuda_device_calls, false, cuda_describe, cuda_available, cuda_platform, open_ctx, close_ctx, alloc,
    release, read_memory, write_memory, cuda_has, cuda_rewrite, cuda_bind, cuda_packed_reserve, cuda_packed_nbytes,
    workspace_nbytes, wait_for_all, cuda_queue_update, squares, cuda_queue_ema, cuda_queue_running,
};

extern "C" __attribute__((visibility("default"))) const lk_module lk_module_entry = {LK_MODULE_ABI, &lk_cuda_backend,
                                                                                     &lk_nccl_table};
