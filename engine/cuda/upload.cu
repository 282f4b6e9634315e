/*
 * Lanes' data on their way to the device.
 *
 * The host's bytes are copied to page-locked memory, and from there travel at once, on a stream of their own, to device
 * memory of the same shape.  A store has two halves of both, used alternately: while the device works from one, the
 * other is filled.  Offsets start anew with each half, so the same lanes get the same addresses every second time.
 *
 *     kept     what is uploaded ahead; halves change with lk_engine_launch(), so pointers last to the second one
 *     passing  what a lane is given that comes without; halves change with every tape that is run
 *
 * Who waits for whom, each half with its own events: a tape that reads a half waits for the uploads into it, and the
 * first upload into a half that is used again waits for the last tape that read it.  A tape knows what it reads by the
 * pointers of its lanes, so a step waits for its own data alone and not for the next one's.
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
};

typedef struct chunk {
    char *pinned, *device; /* owned */
    size_t nbytes, used;
} chunk;

typedef struct upload_half {
    chunk chunks[MOST_CHUNKS];
    int n, at;             /* chunks there are, and the one being filled */
    bool fresh;            /* nothing was put into it since its turn came */
    bool is_read;          /* by the tape that is open */
    cudaEvent_t copied;    /* owned: uploads into it so far are there */
    cudaEvent_t read;      /* owned: the tape that read it last is done */
} upload_half;

typedef struct store {
    upload_half halves[HALVES];
    int now;
} store;

struct cuda_upload {
    store stores[CUDA_N_STORES];
};

static lk_status open_half(upload_half *h)
{
    h->fresh = true;
    LK_CUDA(cudaEventCreateWithFlags(&h->copied, cudaEventDisableTiming));
    LK_CUDA(cudaEventCreateWithFlags(&h->read, cudaEventDisableTiming));
    return LK_OK;
}

static void close_half(upload_half *h)
{
    for (int c = 0; c < h->n; c++) {
        cudaFreeHost(h->chunks[c].pinned);
        cudaFree(h->chunks[c].device);
    }
    if (h->read) cudaEventDestroy(h->read);
    if (h->copied) cudaEventDestroy(h->copied);
}

lk_status cuda_upload_new(cuda_upload **out)
{
    cuda_upload *u = (cuda_upload *)lk_alloc(sizeof *u);

    *out = u;
    LK_TRY_ALLOC(u, sizeof *u);
    for (int s = 0; s < CUDA_N_STORES; s++)
        for (int i = 0; i < HALVES; i++) LK_TRY(open_half(&u->stores[s].halves[i]));
    return LK_OK;
}

void cuda_upload_free(cuda_upload **address)
{
    cuda_upload *u = *address;

    if (!u) return;
    for (int s = 0; s < CUDA_N_STORES; s++)
        for (int i = 0; i < HALVES; i++) close_half(&u->stores[s].halves[i]);
    lk_free(address);
}

/* ------------------------------------------------------------------ upload */

/* A half whose turn has come begins anew: its page-locked bytes have travelled, and on the device the copies to come
 * wait for what read the bytes before.  Not while the tape that is open still wants those; then it goes on growing. */
static lk_status begin(cuda_ctx *ctx, upload_half *h)
{
    if (!h->fresh) return LK_OK;
    h->fresh = false;
    if (h->is_read) return LK_OK;
    LK_TRY(cuda_await(ctx, h->copied));
    LK_CUDA(cudaStreamWaitEvent(ctx->copy_stream, h->read, 0));
    for (int c = 0; c < h->n; c++) h->chunks[c].used = 0;
    h->at = 0;
    return LK_OK;
}

static lk_status add_chunk(upload_half *h, size_t nbytes)
{
    if (h->n == MOST_CHUNKS)
        return LK_FAIL(LK_ERR_SYSTEM, "more than %d pieces of memory hold was uploaded between two launches",
                       MOST_CHUNKS);
    chunk *c = &h->chunks[h->n++];

    c->nbytes = (size_t)CHUNK_BYTES << (h->n - 1);
    while (c->nbytes < nbytes) c->nbytes *= 2;
    c->used = c->nbytes; /* of no use to anybody should the next lines fail */
    LK_CUDA(cudaMallocHost((void **)&c->pinned, c->nbytes));
    LK_CUDA(cudaMalloc((void **)&c->device, c->nbytes));
    c->used = 0;
    return LK_OK;
}

lk_status cuda_upload_begin(cuda_ctx *ctx, cuda_store which, const void *host, size_t nbytes, const void **device)
{
    store *s = &ctx->upload->stores[which];
    upload_half *h = &s->halves[s->now];
    const size_t room = (nbytes + LINE - 1) / LINE * LINE;

    LK_TRY(begin(ctx, h));
    while (h->at < h->n && h->chunks[h->at].used + room > h->chunks[h->at].nbytes) h->at++;
    if (h->at == h->n) LK_TRY(add_chunk(h, room));
    chunk *c = &h->chunks[h->at];
    memcpy(c->pinned + c->used, host, nbytes);
    LK_CUDA(
        cudaMemcpyAsync(c->device + c->used, c->pinned + c->used, nbytes, cudaMemcpyHostToDevice, ctx->copy_stream));
    LK_CUDA(cudaEventRecord(h->copied, ctx->copy_stream));
    *device = c->device + c->used;
    c->used += room;
    return LK_OK;
}

/* ------------------------------------------------------------------- tapes */

static bool holds(const upload_half *h, const char *at)
{
    for (int c = 0; c < h->n; c++)
        if (at >= h->chunks[c].device && at < h->chunks[c].device + h->chunks[c].nbytes) return true;
    return false;
}

void cuda_upload_read_by_tape(cuda_upload *u, const void *at)
{
    for (int s = 0; s < CUDA_N_STORES; s++)
        for (int i = 0; i < HALVES; i++)
            if (holds(&u->stores[s].halves[i], (const char *)at)) u->stores[s].halves[i].is_read = true;
}

lk_status cuda_upload_arrive(cuda_ctx *ctx)
{
    for (int s = 0; s < CUDA_N_STORES; s++)
        for (int i = 0; i < HALVES; i++) {
            const upload_half *h = &ctx->upload->stores[s].halves[i];
            if (h->is_read) LK_CUDA(cudaStreamWaitEvent(ctx->stream, h->copied, 0));
        }
    return LK_OK;
}

lk_status cuda_upload_leave(cuda_ctx *ctx)
{
    for (int s = 0; s < CUDA_N_STORES; s++)
        for (int i = 0; i < HALVES; i++) {
            upload_half *h = &ctx->upload->stores[s].halves[i];
            if (h->is_read) LK_CUDA(cudaEventRecord(h->read, ctx->stream));
            h->is_read = false;
        }
    return LK_OK;
}

void cuda_upload_next(cuda_upload *u, cuda_store which)
{
    store *s = &u->stores[which];

    s->now = (s->now + 1) % HALVES;
    s->halves[s->now].fresh = true;
}
