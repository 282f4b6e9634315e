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
    case CUDA_RECORD_GUARD: return run_guard(ctx, queue);
    case CUDA_RECORD_UPDATE: return run_update(ctx, (const cuda_update_record *)payload);
    case CUDA_RECORD_EMA: {
        const cuda_ema_record *e = (const cuda_ema_record *)payload;
        return cuda_ema(stream, e->ema, e->params, e->n_elem, e->mode, e->decay, e->pending ? ctx->report : NULL);
    }
    case CUDA_RECORD_RUNNING: {
        const cuda_running_record *s = (const cuda_running_record *)payload;
        return cuda_running(stream, s->running, s->stat, s->n_elem, s->momentum, s->lanes,
                            s->pending ? ctx->report : NULL);
    }
    case CUDA_RECORD_INSPECT: {
        const cuda_inspect_record *i = (const cuda_inspect_record *)payload;
        return cuda_inspect(ctx, i->grads, i->n_elem, i->slots, i->all != 0, i->clip_value, i->clip_norm, i->report);
    }
    }
    return LK_OK;
}
