/*
 * Waiting for the device: the host looks again and again, and between looks asks whoever wants to know whether there is
 * still something to wait for.  A reduction whose peer has died never ends by itself, so no wait is without that.
 */
#include "engine/cuda/tape.h"

#include <sched.h>
#include <time.h>

/* Looks often at first, then gives the core to whoever shares it, then sleeps for moments. */
static void give_way(int look)
{
    const int spins = 2000, yields = 20000;
    const struct timespec nap = {0, 50000};

    if (look < spins) return;
    if (look < yields) sched_yield();
    else nanosleep(&nap, NULL);
}

lk_status cuda_await(cuda_ctx *ctx, cudaEvent_t event)
{
    for (int look = 0;; look += look < INT32_MAX) {
        const cudaError_t state = cudaEventQuery(event);

        if (state == cudaSuccess) return LK_OK;
        if (state != cudaErrorNotReady) return cuda_fail(state, "work queued before", __FILE__, __LINE__);
        if (ctx->poll) LK_TRY(ctx->poll(ctx->poll_arg));
        give_way(look);
    }
}

lk_status cuda_wait_stream(cuda_ctx *ctx)
{
    LK_CUDA(cudaEventRecord(ctx->waited, ctx->stream));
    return cuda_await(ctx, ctx->waited);
}
