/* Running what the tape holds: one function a kind, the same calls whether a stream runs or is captured. */
#include "engine/cuda/tape.h"

static cudaStream_t stream_of(const cuda_ctx *ctx, lk_queue queue)
{
    return queue == LK_QUEUE_REDUCE ? ctx->reduce_stream : ctx->stream;
}

static lk_status run_lane(const cuda_lane_record *lane)
{
    for (size_t i = 0; i < lane->n; i++)
        if (lane->kernels[i].run) LK_TRY(lane->kernels[i].run(lane->kernels[i].state, &lane->args));
    return LK_OK;
}

static lk_status run_after(cuda_ctx *ctx, lk_queue then, lk_queue first)
{
    /* An event may be recorded again once a wait for it is queued, so one a direction is enough. */
    LK_CUDA(cudaEventRecord(ctx->passed[first], stream_of(ctx, first)));
    LK_CUDA(cudaStreamWaitEvent(stream_of(ctx, then), ctx->passed[first], 0));
    return LK_OK;
}

/* Never part of a recording, tape.cu says why. */
static lk_status run_guard(cuda_ctx *ctx, lk_queue queue)
{
    LK_CUDA(cudaStreamWaitEvent(stream_of(ctx, queue), ctx->snapshot_done, 0));
    return LK_OK;
}

static lk_status run_update(cuda_ctx *ctx, const cuda_update_record *r)
{
    lk_update update = r->update;

    update.spec = &r->spec;
    return cuda_update(ctx->stream, &update, r->args, update.pending ? ctx->report : NULL, r->shadow);
}

static lk_status run_zero(cudaStream_t stream, const cuda_range_record *r)
{
    LK_CUDA(cudaMemsetAsync(r->to, 0, r->n, stream));
    return LK_OK;
}

static lk_status run_copy(cudaStream_t stream, const cuda_range_record *r)
{
    LK_CUDA(cudaMemcpyAsync(r->to, r->from, r->n, cudaMemcpyDeviceToDevice, stream));
    return LK_OK;
}

static lk_status run_ema(cuda_ctx *ctx, const cuda_ema_record *r)
{
    return cuda_ema(ctx->stream, r->ema, r->params, r->n_elem, r->mode, r->decay, r->pending ? ctx->report : NULL);
}

static lk_status run_running(cuda_ctx *ctx, const cuda_running_record *r)
{
    return cuda_running(ctx->stream, r->running, r->stat, r->n_elem, r->momentum, r->lanes,
                        r->pending ? ctx->report : NULL);
}

static lk_status run_inspect(cuda_ctx *ctx, const cuda_inspect_record *r)
{
    return cuda_inspect(ctx, r->grads, r->n_elem, r->slots, r->all != 0, r->clip_value, r->clip_norm, r->report);
}

lk_status cuda_record_run(cuda_ctx *ctx, cuda_record_kind kind, lk_queue queue, const void *payload)
{
    const cuda_range_record *range = (const cuda_range_record *)payload;
    const cudaStream_t stream = stream_of(ctx, queue);

    switch (kind) {
    case CUDA_RECORD_LANE: return run_lane((const cuda_lane_record *)payload);
    case CUDA_RECORD_ADD: return cuda_add_f32(stream, (float *)range->to, (const float *)range->from, range->n);
    case CUDA_RECORD_ZERO: return run_zero(stream, range);
    case CUDA_RECORD_COPY: return run_copy(stream, range);
    case CUDA_RECORD_CAST:
        return cuda_cast_bf16(stream, (__nv_bfloat16 *)range->to, (const float *)range->from, range->n);
    case CUDA_RECORD_PACK: return cuda_packed_run(ctx, *(const float *const *)payload);
    case CUDA_RECORD_CALL: {
        const cuda_call_record *call = (const cuda_call_record *)payload;
        return call->fn(call + 1, stream);
    }
    case CUDA_RECORD_AFTER: return run_after(ctx, queue, (lk_queue)((const cuda_after_record *)payload)->first);
    case CUDA_RECORD_MARK: LK_CUDA(cudaEventRecord(*(const cudaEvent_t *)payload, stream)); return LK_OK;
    case CUDA_RECORD_GUARD: return run_guard(ctx, queue);
    case CUDA_RECORD_UPDATE: return run_update(ctx, (const cuda_update_record *)payload);
    case CUDA_RECORD_EMA: return run_ema(ctx, (const cuda_ema_record *)payload);
    case CUDA_RECORD_RUNNING: return run_running(ctx, (const cuda_running_record *)payload);
    case CUDA_RECORD_INSPECT: return run_inspect(ctx, (const cuda_inspect_record *)payload);
    }
    return LK_OK;
}
