/*
 * What goes to the device for the next launch: the lanes' data, and the arguments that differ from step to step.
 *
 * Both are written into page-locked memory, of which there are two halves, used alternately by launches: while the
 * device works from one, the host fills the other.  Lanes' data begins to travel at once, on a stream of its own, into
 * the device memory of the same half.  Arguments travel in one copy when the launch begins, on the compute stream and
 * so into one block.  Offsets start anew with each half, so the same step finds the same addresses.
 *
 * A half is a list of chunks, because addresses that were given out must stay while it grows.
 */
#include "engine/cuda/tape.h"

#include <string.h>

enum {
    HALVES = 2,
    MOST_CHUNKS = 16,
    CHUNK_BYTES = 1 << 20, /* of the first chunk; each next one is twice as large */
    LINE = 256,            /* what cudaMalloc aligns to */
    ARGS_BYTES = 1 << 20,
    ARGS_LINE = 16,
};

typedef struct chunk {
    char *pinned, *device; /* owned */
    size_t nbytes, used;
} chunk;

typedef struct upload_half {
    chunk chunks[MOST_CHUNKS];
    int n, at;          /* chunks there are, and the one being filled */
    bool travels;       /* something was uploaded for the next launch */
    cudaEvent_t copied; /* owned: uploads into this upload_half so far are there */
    cudaEvent_t read;   /* owned: the launch that read this upload_half is done */
    char *args;         /* owned, page-locked */
    size_t args_used;
    cudaEvent_t args_copied; /* owned */
    bool fresh;         /* nothing was put into it since it became the next upload_half */
} upload_half;

struct cuda_upload {
    upload_half halves[HALVES];
    int now;
    char *args; /* owned, device */
};

lk_status cuda_upload_new(cuda_upload **out)
{
    cuda_upload *u = (cuda_upload *)lk_alloc(sizeof *u);

    *out = u;
    LK_TRY_ALLOC(u, sizeof *u);
    LK_CUDA(cudaMalloc((void **)&u->args, ARGS_BYTES));
    for (int i = 0; i < HALVES; i++) {
        upload_half *h = &u->halves[i];

        h->fresh = true;
        LK_CUDA(cudaEventCreateWithFlags(&h->copied, cudaEventDisableTiming));
        LK_CUDA(cudaEventCreateWithFlags(&h->read, cudaEventDisableTiming));
        LK_CUDA(cudaEventCreateWithFlags(&h->args_copied, cudaEventDisableTiming));
        LK_CUDA(cudaMallocHost((void **)&h->args, ARGS_BYTES));
    }
    return LK_OK;
}

void cuda_upload_free(cuda_upload **address)
{
    cuda_upload *u = *address;

    if (!u) return;
    for (int i = 0; i < HALVES; i++) {
        upload_half *h = &u->halves[i];

        for (int c = 0; c < h->n; c++) {
            cudaFreeHost(h->chunks[c].pinned);
            cudaFree(h->chunks[c].device);
        }
        if (h->args) cudaFreeHost(h->args);
        if (h->args_copied) cudaEventDestroy(h->args_copied);
        if (h->read) cudaEventDestroy(h->read);
        if (h->copied) cudaEventDestroy(h->copied);
    }
    cudaFree(u->args);
    lk_free(address);
}

/* The first write into a upload_half waits for the launch that read it last. */
static lk_status open_half(upload_half *h)
{
    if (!h->fresh) return LK_OK;
    LK_CUDA(cudaEventSynchronize(h->read));
    LK_CUDA(cudaEventSynchronize(h->args_copied));
    for (int c = 0; c < h->n; c++) h->chunks[c].used = 0;
    h->at = 0;
    h->args_used = 0;
    h->fresh = false;
    return LK_OK;
}

static lk_status add_chunk(upload_half *h, size_t nbytes)
{
    chunk *c = &h->chunks[h->n];
    size_t size = (size_t)CHUNK_BYTES << h->n;

    if (h->n == MOST_CHUNKS) return LK_FAIL(LK_ERR_SYSTEM, "a step uploads more than %d pieces of memory hold", MOST_CHUNKS);
    while (size < nbytes) size *= 2;
    LK_CUDA(cudaMallocHost((void **)&c->pinned, size));
    LK_CUDA(cudaMalloc((void **)&c->device, size));
    c->nbytes = size;
    c->used = 0;
    h->n++;
    return LK_OK;
}

lk_status cuda_upload_begin(cuda_ctx *ctx, const void *host, size_t nbytes, const void **device)
{
    upload_half *h = &ctx->upload->halves[ctx->upload->now];
    const size_t room = (nbytes + LINE - 1) / LINE * LINE;

    LK_TRY(open_half(h));
    while (h->at < h->n && h->chunks[h->at].used + room > h->chunks[h->at].nbytes) h->at++;
    if (h->at == h->n) LK_TRY(add_chunk(h, room));
    chunk *c = &h->chunks[h->at];
    memcpy(c->pinned + c->used, host, nbytes);
    LK_CUDA(cudaMemcpyAsync(c->device + c->used, c->pinned + c->used, nbytes, cudaMemcpyHostToDevice, ctx->copy_stream));
    *device = c->device + c->used;
    c->used += room;
    h->travels = true;
    return LK_OK;
}

/* A step with more arguments than there is room for becomes two launches. */
lk_status cuda_upload_args(cuda_ctx *ctx, size_t nbytes, void **host, const void **device)
{
    const size_t room = (nbytes + ARGS_LINE - 1) / ARGS_LINE * ARGS_LINE;
    upload_half *h = &ctx->upload->halves[ctx->upload->now];

    LK_TRY(open_half(h));
    if (h->args_used + room > ARGS_BYTES) {
        LK_TRY(cuda_tape_launch(ctx));
        h = &ctx->upload->halves[ctx->upload->now];
        LK_TRY(open_half(h));
    }
    *host = h->args + h->args_used;
    *device = ctx->upload->args + h->args_used;
    h->args_used += room;
    return LK_OK;
}

lk_status cuda_upload_arrive(cuda_ctx *ctx)
{
    upload_half *h = &ctx->upload->halves[ctx->upload->now];

    if (h->travels) {
        LK_CUDA(cudaEventRecord(h->copied, ctx->copy_stream));
        LK_CUDA(cudaStreamWaitEvent(ctx->stream, h->copied, 0));
        h->travels = false;
    }
    if (h->args_used == 0) return LK_OK;
    LK_CUDA(cudaMemcpyAsync(ctx->upload->args, h->args, h->args_used, cudaMemcpyHostToDevice, ctx->stream));
    LK_CUDA(cudaEventRecord(h->args_copied, ctx->stream));
    return LK_OK;
}

lk_status cuda_upload_leave(cuda_ctx *ctx)
{
    cuda_upload *u = ctx->upload;

    LK_CUDA(cudaEventRecord(u->halves[u->now].read, ctx->stream));
    u->now = (u->now + 1) % HALVES;
    u->halves[u->now].fresh = true;
    return LK_OK;
}
