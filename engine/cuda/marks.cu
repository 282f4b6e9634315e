/*
 * Times of a profile: events in the compute queue.  An event that a graph holds is recorded when the graph runs and not
 * for a person to read, so a tape with marks runs on the streams.
 */
#include "engine/cuda/tape.h"

#include <stdlib.h>

static const double MS_PER_S = 1e3;

static lk_status make_room(cuda_ctx *ctx, size_t n)
{
    if (n <= ctx->n_marks) return LK_OK;
    cudaEvent_t *grown = (cudaEvent_t *)realloc(ctx->mark, 2 * n * sizeof *grown);

    LK_TRY_ALLOC(grown, 2 * n * sizeof *grown);
    ctx->mark = grown;
    for (; ctx->n_marks < n; ctx->n_marks++) LK_CUDA(cudaEventCreate(&ctx->mark[ctx->n_marks]));
    return LK_OK;
}

void cuda_marks_free(cuda_ctx *ctx)
{
    for (size_t i = 0; i < ctx->n_marks; i++) cudaEventDestroy(ctx->mark[i]);
    free(ctx->mark);
    ctx->mark = NULL;
    ctx->n_marks = 0;
}

lk_status cuda_mark(void *arg, size_t i)
{
    cuda_ctx *ctx = (cuda_ctx *)arg;

    LK_TRY(make_room(ctx, i + 1));
    cuda_tape_share(ctx->tape);
    return cuda_tape_append(ctx, CUDA_RECORD_MARK, LK_QUEUE_COMPUTE, 0, &ctx->mark[i], sizeof ctx->mark[i]);
}

lk_status cuda_elapsed(void *arg, size_t n, double *seconds)
{
    cuda_ctx *ctx = (cuda_ctx *)arg;

    assert(n > 0 && n <= ctx->n_marks);
    LK_TRY(cuda_tape_launch(ctx));
    LK_TRY(cuda_await(ctx, ctx->mark[n - 1]));
    for (size_t i = 0; i + 1 < n; i++) {
        float ms;

        LK_CUDA(cudaEventElapsedTime(&ms, ctx->mark[i], ctx->mark[i + 1]));
        seconds[i] = ms / MS_PER_S;
    }
    return LK_OK;
}
