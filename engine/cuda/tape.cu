/*
 * The tape: what was queued since the last launch, and the graphs made of tapes seen before.
 *
 * Every call that computes appends a record (kind, queue, payload) to one buffer of bytes.  The bytes are the tape's
 * signature: pointers, sizes and choices, but no number that differs from step to step; those lie in the arguments
 * (args.cu), which a launch brings to the device first.  So a step that was seen before is found by its bytes, and
 * replayed as one CUDA graph.  A launch does one of three things:
 *
 *     first time     runs the records on the streams, because libraries make themselves ready in their first calls
 *     second time    records them: the same calls under stream capture, the reduce queue forked and joined by events
 *     from then on   one cudaGraphLaunch
 *
 * A recording holds addresses.  When memory is released or a kernel bound, what is at an address may change, so all
 * recordings go (cuda_tape_forget).
 *
 * A snapshot copies parameters on its own stream while lanes run, and the first write after it has to wait for it.  A
 * graph could hold such a wait only as a node that looks at an event outside of it, and whether it looks when it is
 * launched or when it is reached is not said: at the latter, a snapshot begun meanwhile would make both wait for each
 * other.  So the tape with that write is run on the streams; later ones come after it and need not wait.  That is one
 * step a checkpoint.
 *
 * NCCL's operations with other workers are captured by all of them or by none, and each graph that holds one is
 * launched by all (its guide, "Using NCCL with CUDA Graphs").  Whether a tape was seen before is each worker's own
 * history: a worker whose lane is short at the end of an epoch has not seen it when others have.  So such tapes always
 * run on the streams.
 */
#include "engine/cuda/tape.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_RECORDINGS = 64, MOST_SEEN = 256, FIRST_BYTES = 1 << 16, WORTH_A_GRAPH = 3 /* kernels */ };

typedef struct record {
    uint32_t kind, queue;
    size_t nbytes; /* of the payload, a multiple of 8, which follows */
} record;

typedef struct recording {
    uint64_t hash;
    char *bytes;           /* owned */
    size_t nbytes;
    cudaGraphExec_t graph; /* owned; NULL: some call in it cannot be captured */
    uint64_t used;         /* launch that used it last */
} recording;

struct cuda_tape {
    char *bytes;           /* owned */
    size_t n, capacity;
    size_t n_launches;     /* about how many kernels the records start */
    bool two_queues;       /* something is on the reduce queue */
    bool shared;           /* other workers take part */
    bool makes_graphs;     /* LOCKSTEP_CUDA_GRAPHS is not 0 */
    bool snapshot;         /* one has begun that no write has waited for */
    bool guarded[LK_N_QUEUES]; /* writes in this tape wait for it */
    recording known[MOST_RECORDINGS];
    int n_known;
    uint64_t seen[MOST_SEEN]; /* hashes of tapes that ran once; a ring */
    uint64_t n_seen;
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
    const char *graphs = getenv("LOCKSTEP_CUDA_GRAPHS");
    tape->makes_graphs = !graphs || strcmp(graphs, "0") != 0;
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

/* Should waiting fail, so will whatever is queued next, and say so. */
void cuda_tape_forget(cuda_ctx *ctx)
{
    cuda_tape *tape = ctx->tape;

    if (tape->n_known > 0) (void)cuda_wait_stream(ctx);
    for (int i = 0; i < tape->n_known; i++) drop(&tape->known[i]);
    tape->n_known = 0;
    tape->n_seen = 0;
}

void cuda_tape_free(cuda_tape **address)
{
    cuda_tape *tape = *address;

    if (!tape) return;
    for (int i = 0; i < tape->n_known; i++) drop(&tape->known[i]);
    if (tape->join) cudaEventDestroy(tape->join);
    if (tape->fork) cudaEventDestroy(tape->fork);
    free(tape->bytes);
    lk_free(address);
}

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

lk_status cuda_tape_append(cuda_ctx *ctx, cuda_record_kind kind, lk_queue queue, size_t n_launches, const void *payload,
                           size_t nbytes)
{
    cuda_tape *tape = ctx->tape;
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
    tape->n_launches += n_launches;
    tape->two_queues = tape->two_queues || queue == LK_QUEUE_REDUCE || kind == CUDA_RECORD_AFTER;
    return LK_OK;
}

void cuda_tape_share(cuda_tape *tape) { tape->shared = true; }
void cuda_tape_snapshot(cuda_tape *tape) { tape->snapshot = true; }

lk_status cuda_tape_guard(cuda_ctx *ctx, lk_queue queue)
{
    cuda_tape *tape = ctx->tape;

    if (!tape->snapshot || tape->guarded[queue]) return LK_OK;
    tape->guarded[queue] = true;
    return cuda_tape_append(ctx, CUDA_RECORD_GUARD, queue, 1, "", 0);
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

static lk_status run_records(cuda_ctx *ctx)
{
    const cuda_tape *tape = ctx->tape;

    if (tape->two_queues) LK_TRY(fork_queues(ctx));
    for (size_t at = 0; at < tape->n;) {
        record r;

        memcpy(&r, tape->bytes + at, sizeof r);
        LK_TRY(cuda_record_run(ctx, (cuda_record_kind)r.kind, (lk_queue)r.queue, tape->bytes + at + sizeof r));
        at += sizeof r + r.nbytes;
    }
    return tape->two_queues ? join_queues(ctx) : LK_OK;
}

/* Relaxed: libraries may allocate in the middle of it, and other threads' calls are none of its business.  The capture
 * is ended also when a record fails: a stream left capturing would fail whatever comes later. */
static lk_status capture(cuda_ctx *ctx, cudaGraphExec_t *out)
{
    cudaGraph_t graph = NULL;

    LK_CUDA(cudaStreamBeginCapture(ctx->stream, cudaStreamCaptureModeRelaxed));
    const lk_status status = run_records(ctx);
    const cudaError_t ended = cudaStreamEndCapture(ctx->stream, &graph);
    const cudaError_t made = status == LK_OK && ended == cudaSuccess ? cudaGraphInstantiate(out, graph, 0) : ended;

    if (graph) cudaGraphDestroy(graph);
    LK_TRY(status);
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

/* True from the second time on. */
static bool seen_before(cuda_tape *tape, uint64_t hash)
{
    const uint64_t most = MOST_SEEN, n = tape->n_seen < most ? tape->n_seen : most;

    for (uint64_t i = 0; i < n; i++)
        if (tape->seen[i] == hash) return true;
    tape->seen[tape->n_seen++ % MOST_SEEN] = hash;
    return false;
}

/* A place for one more, if need be that of the one not used for longest, which may be running. */
static lk_status make_place(cuda_ctx *ctx, recording **out)
{
    cuda_tape *tape = ctx->tape;
    recording *oldest = &tape->known[0];

    if (tape->n_known < MOST_RECORDINGS) {
        *out = &tape->known[tape->n_known++];
        return LK_OK;
    }
    for (int i = 1; i < MOST_RECORDINGS; i++)
        if (tape->known[i].used < oldest->used) oldest = &tape->known[i];
    LK_TRY(cuda_wait_stream(ctx));
    drop(oldest);
    *out = oldest;
    return LK_OK;
}

/* Where a capture fails, the records are run as the first time: what is wrong with them is told then, and if it was the
 * capture alone that a library could not bear, it is slower, not wrong. */
static lk_status remember(cuda_ctx *ctx, uint64_t hash, recording **out)
{
    const cuda_tape *tape = ctx->tape;
    recording *r = NULL;

    LK_TRY(make_place(ctx, &r));
    r->bytes = (char *)malloc(tape->n);
    LK_TRY_ALLOC(r->bytes, tape->n);
    memcpy(r->bytes, tape->bytes, tape->n);
    r->nbytes = tape->n;
    r->hash = hash;
    if (capture(ctx, &r->graph) != LK_OK) {
        r->graph = NULL;
        cudaGetLastError();
    }
    *out = r;
    return LK_OK;
}

static bool is_guarded(const cuda_tape *tape)
{
    bool any = false;

    for (int q = 0; q < LK_N_QUEUES; q++) any = any || tape->guarded[q];
    return any;
}

static bool may_be_a_graph(const cuda_tape *tape)
{
    return tape->makes_graphs && tape->n_launches >= WORTH_A_GRAPH && !tape->shared && !is_guarded(tape);
}

static lk_status run_tape(cuda_ctx *ctx)
{
    cuda_tape *tape = ctx->tape;

    if (!may_be_a_graph(tape)) return run_records(ctx);
    const uint64_t hash = hash_of(tape->bytes, tape->n);
    recording *r = find(tape, hash);
    if (!r && seen_before(tape, hash)) LK_TRY(remember(ctx, hash, &r));
    if (!r || !r->graph) return run_records(ctx);
    r->used = tape->launches;
    LK_CUDA(cudaGraphLaunch(r->graph, ctx->stream));
    return LK_OK;
}

static lk_status send_and_run(cuda_ctx *ctx)
{
    LK_TRY(cuda_upload_arrive(ctx));
    LK_TRY(cuda_args_send(ctx));
    LK_TRY(run_tape(ctx));
    return cuda_upload_leave(ctx);
}

/* Whatever becomes of it, the tape is empty afterwards. */
lk_status cuda_tape_launch(cuda_ctx *ctx)
{
    cuda_tape *tape = ctx->tape;

    if (tape->n == 0) return LK_OK;
    tape->launches++;
    const lk_status status = send_and_run(ctx);
    if (is_guarded(tape)) tape->snapshot = false;
    tape->n = tape->n_launches = 0;
    tape->two_queues = tape->shared = false;
    memset(tape->guarded, 0, sizeof tape->guarded);
    cuda_args_next(ctx->args);
    cuda_upload_next(ctx->upload, CUDA_STORE_PASSING);
    LK_TRY(status);
    return LK_OK;
}
