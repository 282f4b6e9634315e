/*
 * The arguments of a launch: what differs from step to step and so must not be in a recording.
 *
 * Values are written into page-locked memory as they are queued, from offset 0 in each tape, so that the same tape
 * finds them at the same places.  A launch brings them to one block of device memory in one copy, on the compute
 * stream: after the launch before has read them, before this one does.  Of the page-locked memory there are two halves,
 * used alternately, so that the host may fill one while the copy of the other waits for its turn.
 *
 * A lane may be queued in several tapes, when somebody reads memory in between.  Its arguments are then put into each.
 */
#include "engine/cuda/tape.h"

#include <string.h>

enum { HALVES = 2, ARGS_BYTES = 1 << 18, ARGS_LINE = 16 };

struct cuda_args {
    char *pinned[HALVES];        /* owned */
    cudaEvent_t copied[HALVES];  /* owned: the half's copy is done */
    char *device;                /* owned */
    int now;
    size_t used;
    lk_lane_args lane;           /* of the lane begun last */
    const lk_lane_args *lane_at; /* where they are in this tape; NULL: not yet */
};

lk_status cuda_args_new(cuda_args **out)
{
    cuda_args *args = (cuda_args *)lk_alloc(sizeof *args);

    *out = args;
    LK_TRY_ALLOC(args, sizeof *args);
    LK_CUDA(cudaMalloc((void **)&args->device, ARGS_BYTES));
    for (int i = 0; i < HALVES; i++) {
        LK_CUDA(cudaMallocHost((void **)&args->pinned[i], ARGS_BYTES));
        LK_CUDA(cudaEventCreateWithFlags(&args->copied[i], cudaEventDisableTiming));
    }
    return LK_OK;
}

void cuda_args_free(cuda_args **address)
{
    cuda_args *args = *address;

    if (!args) return;
    for (int i = 0; i < HALVES; i++) {
        if (args->copied[i]) cudaEventDestroy(args->copied[i]);
        if (args->pinned[i]) cudaFreeHost(args->pinned[i]);
    }
    cudaFree(args->device);
    lk_free(address);
}

/* A tape with more arguments than there is room for becomes two. */
lk_status cuda_args_take(cuda_ctx *ctx, size_t nbytes, void **host, const void **device)
{
    cuda_args *args = ctx->args;
    const size_t room = (nbytes + ARGS_LINE - 1) / ARGS_LINE * ARGS_LINE;

    assert(room <= ARGS_BYTES);
    if (args->used + room > ARGS_BYTES) LK_TRY(cuda_tape_launch(ctx));
    if (args->used == 0) LK_TRY(cuda_await(ctx, args->copied[args->now]));
    *host = args->pinned[args->now] + args->used;
    *device = args->device + args->used;
    args->used += room;
    return LK_OK;
}

lk_status cuda_args_put(cuda_ctx *ctx, const void *values, size_t nbytes, const void **device)
{
    void *host = NULL;

    LK_TRY(cuda_args_take(ctx, nbytes, &host, device));
    memcpy(host, values, nbytes);
    return LK_OK;
}

void cuda_args_begin_lane(cuda_ctx *ctx, const lk_launch_args *args)
{
    ctx->args->lane.step = args->step;
    ctx->args->lane.position = args->position;
    ctx->args->lane.inv_count = args->inv_count;
    ctx->args->lane_at = NULL;
}

lk_status cuda_args_lane(cuda_ctx *ctx, const lk_lane_args **out)
{
    cuda_args *args = ctx->args;
    const void *device = NULL;

    if (!args->lane_at) {
        LK_TRY(cuda_args_put(ctx, &args->lane, sizeof args->lane, &device));
        args->lane_at = (const lk_lane_args *)device;
    }
    *out = args->lane_at;
    return LK_OK;
}

lk_status cuda_args_send(cuda_ctx *ctx)
{
    cuda_args *args = ctx->args;

    if (args->used == 0) return LK_OK;
    LK_CUDA(cudaMemcpyAsync(args->device, args->pinned[args->now], args->used, cudaMemcpyHostToDevice, ctx->stream));
    LK_CUDA(cudaEventRecord(args->copied[args->now], ctx->stream));
    return LK_OK;
}

void cuda_args_next(cuda_args *args)
{
    args->now = (args->now + 1) % HALVES;
    args->used = 0;
    args->lane_at = NULL;
}
