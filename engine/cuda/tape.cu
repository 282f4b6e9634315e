/*
 * The tape: what was queued since the last launch, and the graphs made of tapes seen before.
 *
 * Every call that computes appends a record (kind, queue, payload) to one buffer of bytes.  The bytes are the tape's
 * signature: pointers, sizes and choices, but no number that differs from step to step; those lie in the arguments
 * (args.cu), which a launch copies to the device first.  So a step that was seen before is found by its bytes, and
 * replayed as one CUDA graph.  A launch does one of three things:
 *
 *     first time     runs the records on the streams, because libraries make themselves ready in their first calls
 *     second time    records them: the same calls under stream capture, the reduce queue forked and joined by events
 *     from then on   one cudaGraphLaunch
 *
 * A recording holds addresses.  When memory is released or a kernel bound or freed, what is at an address may change,
 * so all recordings go (cuda_tape_forget).
 */
#include "engine/cuda/tape.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_RECORDINGS = 64, FIRST_BYTES = 1 << 16, WORTH_A_GRAPH = 3 /* records */ };

typedef struct record {
    uint32_t kind, queue;
    size_t nbytes; /* of the payload, a multiple of 8, which follows */
} record;

typedef struct recording {
    uint64_t hash;
    char *bytes;           /* owned */
    size_t nbytes;
    cudaGraphExec_t graph; /* owned; NULL: seen once */
    uint64_t used;         /* launch that used it last */
} recording;

struct cuda_tape {
    char *bytes;           /* owned */
    size_t n, capacity;
    int n_records;
    bool two_queues;       /* something is on the reduce queue */
    bool writes;           /* something writes what a snapshot may be copying: it has waited */
    recording known[MOST_RECORDINGS];
    int n_known;
    uint64_t launches;
    cudaEvent_t fork, join; /* owned */
};

lk_status cuda_tape_new(cuda_tape **out)
{
    cuda_tape *tape = (cuda_tape *)lk_alloc(sizeof *tape);

    *out = tape;
    LK_TRY_ALLOC(tape, sizeof *tape);
    tape->bytes = (char *)malloc(FIRST_BYTES);
    LK_TRY_ALLOC(tape->bytes, FIRST_BYTES);
    tape->capacity = FIRST_BYTES;
    LK_CUDA(cudaEventCreateWithFlags(&tape->fork, cudaEventDisableTiming));
    LK_CUDA(cudaEventCreateWithFlags(&tape->join, cudaEventDisableTiming));
    return LK_OK;
}

static void drop(recording *r)
{
    if (r->graph) cudaGraphExecDestroy(r->graph);
    free(r->bytes);
    memset(r, 0, sizeof *r);
}

void cuda_tape_forget(cuda_tape *tape)
{
    for (int i = 0; i < tape->n_known; i++) drop(&tape->known[i]);
    tape->n_known = 0;
}

void cuda_tape_free(cuda_tape **address)
{
    cuda_tape *tape = *address;

    if (!tape) return;
    cuda_tape_forget(tape);
    if (tape->join) cudaEventDestroy(tape->join);
    if (tape->fork) cudaEventDestroy(tape->fork);
    free(tape->bytes);
    lk_free(address);
}

bool cuda_tape_empty(const cuda_tape *tape) { return tape->n_records == 0; }

/* ------------------------------------------------------------------ append */

static lk_status make_room(cuda_tape *tape, size_t nbytes)
{
    if (tape->n + nbytes <= tape->capacity) return LK_OK;
    const size_t capacity = 2 * (tape->n + nbytes);
    char *moved = (char *)realloc(tape->bytes, capacity);
    LK_TRY_ALLOC(moved, capacity);
    tape->bytes = moved;
    tape->capacity = capacity;
    return LK_OK;
}

lk_status cuda_tape_append(cuda_tape *tape, cuda_record_kind kind, lk_queue queue, const void *payload, size_t nbytes)
{
    const size_t padded = (nbytes + 7) / 8 * 8;
    record r;

    memset(&r, 0, sizeof r);
    r.kind = (uint32_t)kind;
    r.queue = (uint32_t)queue;
    r.nbytes = padded;
    LK_TRY(make_room(tape, sizeof r + padded));
    memcpy(tape->bytes + tape->n, &r, sizeof r);
    memcpy(tape->bytes + tape->n + sizeof r, payload, nbytes);
    memset(tape->bytes + tape->n + sizeof r + nbytes, 0, padded - nbytes);
    tape->n += sizeof r + padded;
    tape->n_records++;
    tape->two_queues = tape->two_queues || queue == LK_QUEUE_REDUCE;
    return LK_OK;
}

/* A write of parameters or states waits for the snapshot before, once a tape. */
lk_status cuda_tape_append_write(cuda_tape *tape, cuda_record_kind kind, lk_queue queue, const void *payload,
                                 size_t nbytes)
{
    if (!tape->writes) LK_TRY(cuda_tape_append(tape, CUDA_RECORD_GUARD, queue, "", 0));
    tape->writes = true;
    return cuda_tape_append(tape, kind, queue, payload, nbytes);
}

/* --------------------------------------------------------------------- run */

/* The reduce queue begins after what the compute queue holds, so that it joins a capture. */
static lk_status fork_queues(cuda_ctx *ctx)
{
    LK_CUDA(cudaEventRecord(ctx->tape->fork, ctx->stream));
    LK_CUDA(cudaStreamWaitEvent(ctx->reduce_stream, ctx->tape->fork, 0));
    return LK_OK;
}

static lk_status join_queues(cuda_ctx *ctx)
{
    LK_CUDA(cudaEventRecord(ctx->tape->join, ctx->reduce_stream));
    LK_CUDA(cudaStreamWaitEvent(ctx->stream, ctx->tape->join, 0));
    return LK_OK;
}

static lk_status run_records(cuda_ctx *ctx, bool capturing)
{
    const cuda_tape *tape = ctx->tape;

    if (tape->two_queues) LK_TRY(fork_queues(ctx));
    for (size_t at = 0; at < tape->n;) {
        record r;

        memcpy(&r, tape->bytes + at, sizeof r);
        LK_TRY(cuda_record_run(ctx, (cuda_record_kind)r.kind, (lk_queue)r.queue, tape->bytes + at + sizeof r, capturing));
        at += sizeof r + r.nbytes;
    }
    return tape->two_queues ? join_queues(ctx) : LK_OK;
}

/* The capture is ended also when a record fails: a stream left capturing would fail whatever comes later. */
static lk_status capture(cuda_ctx *ctx, cudaGraphExec_t *out)
{
    cudaGraph_t graph = NULL;

    LK_CUDA(cudaStreamBeginCapture(ctx->stream, cudaStreamCaptureModeThreadLocal));
    const lk_status status = run_records(ctx, true);
    const cudaError_t ended = cudaStreamEndCapture(ctx->stream, &graph);
    if (status != LK_OK) {
        if (graph) cudaGraphDestroy(graph);
        return lk_trace(status, __FILE__, __LINE__);
    }
    LK_CUDA(ended);
    const cudaError_t made = cudaGraphInstantiate(out, graph, 0);
    cudaGraphDestroy(graph);
    LK_CUDA(made);
    return LK_OK;
}

/* ------------------------------------------------------------------- known */

/* FNV-1a over words of 8 bytes. */
static uint64_t hash_of(const char *bytes, size_t n)
{
    uint64_t hash = 14695981039346656037ull;

    for (size_t i = 0; i < n; i += 8) {
        uint64_t word;
        memcpy(&word, bytes + i, sizeof word);
        hash = (hash ^ word) * 1099511628211ull;
        hash ^= hash >> 29;
    }
    return hash;
}

static recording *find(cuda_tape *tape, uint64_t hash)
{
    for (int i = 0; i < tape->n_known; i++) {
        recording *r = &tape->known[i];
        if (r->hash == hash && r->nbytes == tape->n && memcmp(r->bytes, tape->bytes, tape->n) == 0) return r;
    }
    return NULL;
}

/* Remembers a tape seen for the first time, in place of the one not used for longest. */
static lk_status remember(cuda_tape *tape, uint64_t hash)
{
    recording *r = &tape->known[0];

    if (tape->n_known < MOST_RECORDINGS) r = &tape->known[tape->n_known++];
    else
        for (int i = 1; i < MOST_RECORDINGS; i++)
            if (tape->known[i].used < r->used) r = &tape->known[i];
    drop(r);
    r->bytes = (char *)malloc(tape->n);
    LK_TRY_ALLOC(r->bytes, tape->n);
    memcpy(r->bytes, tape->bytes, tape->n);
    r->nbytes = tape->n;
    r->hash = hash;
    r->used = tape->launches;
    return LK_OK;
}

static lk_status run_known(cuda_ctx *ctx, recording *r)
{
    r->used = ctx->tape->launches;
    if (!r->graph) LK_TRY(capture(ctx, &r->graph));
    LK_CUDA(cudaGraphLaunch(r->graph, ctx->stream));
    return LK_OK;
}

static lk_status run_tape(cuda_ctx *ctx)
{
    cuda_tape *tape = ctx->tape;

    if (tape->n_records < WORTH_A_GRAPH) return run_records(ctx, false);
    const uint64_t hash = hash_of(tape->bytes, tape->n);
    recording *r = find(tape, hash);
    if (r) return run_known(ctx, r);
    LK_TRY(remember(tape, hash));
    return run_records(ctx, false);
}

lk_status cuda_tape_launch(cuda_ctx *ctx)
{
    cuda_tape *tape = ctx->tape;

    if (cuda_tape_empty(tape)) return LK_OK;
    tape->launches++;
    LK_TRY(cuda_upload_arrive(ctx));
    const lk_status status = run_tape(ctx);
    tape->n = 0;
    tape->n_records = 0;
    tape->two_queues = tape->writes = false;
    LK_TRY(status);
    return cuda_upload_leave(ctx);
}
