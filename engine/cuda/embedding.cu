/*
 * Rows of a table by token, and the way back: the formulas are in engine/ops/embedding.c.
 *
 * The gradient adds without atomics.  The lane's tokens are ranked, by token and then by place, so that those of one
 * row of the table are neighbours in `order`; the block of a run's first adds the run, every fourth row in a warp, and
 * then the four sums.  The order is that of the tokens alone.  Ranking compares every token with every other: little
 * beside the rest up to some 10^5 tokens a lane.
 *
 * The host does not see what a device reads, so a token outside the table is not named here: its row of y is NaN, which
 * every loss shows, and its gradient goes nowhere.
 */
#include "engine/cuda/reduce.cuh"

#include <string.h>

enum {
    FOUR = 4,         /* channels of a thread */
    RANK_BLOCK = 64,  /* small, so that few tokens too are spread over the SMs */
    ADD_LANES = 4,    /* rows that are added at once */
    ADD_THREADS = ADD_LANES * WARP_LANES, ADD_CHANNELS = WARP_LANES * FOUR,
};

typedef struct embedding_call {
    const int32_t *tokens;
    float *table; /* dtable in the gradient */
    void *x;      /* y, or dy */
    unsigned *order, *run; /* places by rank; how many follow of the same token, at a run's first, else 0 */
    size_t n, V, C;        /* n tokens */
    float scale;
    bool bf16, wide;
} embedding_call;

typedef struct embedding_state {
    cuda_ctx *ctx; /* borrowed */
    cuda_ref tokens, table, x;
    embedding_call call; /* without arrays */
} embedding_state;

static __global__ void copy_rows(const __grid_constant__ embedding_call s)
{
    const size_t fours = (s.C + FOUR - 1) / FOUR;

    for (size_t e = element_first(); e < s.n * fours; e += element_step()) {
        const size_t i = e / fours, c = e % fours * FOUR, token = (size_t)s.tokens[i]; /* below 0: beyond all */
        float v[FOUR] = {NAN, NAN, NAN, NAN};

        if (token < s.V) element_load_row(v, s.table, token * s.C + c, s.C - c, s.wide, false);
#pragma unroll
        for (int k = 0; k < FOUR; k++) v[k] *= s.scale;
        element_store_row(s.x, i * s.C + c, s.C - c, v, s.wide, s.bf16);
    }
}

static __global__ void rank_tokens(const __grid_constant__ embedding_call s)
{
    const unsigned n = (unsigned)s.n, i = blockIdx.x * RANK_BLOCK + threadIdx.x;
    unsigned smaller = 0, equal_before = 0, equal = 0;

    if (i >= n) return;
    const int32_t token = s.tokens[i];
    for (unsigned k = 0; k < n; k++) {
        const int32_t other = s.tokens[k];

        smaller += other < token;
        equal += other == token;
        equal_before += other == token && k < i;
    }
    s.order[smaller + equal_before] = i;
    s.run[smaller + equal_before] = equal_before == 0 && (size_t)token < s.V ? equal : 0;
}

/* Block (rank, channels).  dtable is 0. */
static __global__ void __launch_bounds__(ADD_THREADS) add_rows(const __grid_constant__ embedding_call s)
{
    __shared__ float of_lane[ADD_LANES][ADD_CHANNELS];
    const unsigned begin = blockIdx.x, end = begin + s.run[begin];
    const unsigned lane = threadIdx.x / WARP_LANES, at = threadIdx.x % WARP_LANES * FOUR;
    const size_t c = (size_t)blockIdx.y * ADD_CHANNELS + at, left = c < s.C ? s.C - c : 0;
    float sum[FOUR] = {0.0f, 0.0f, 0.0f, 0.0f};

    if (begin == end) return; /* a whole block */
#pragma unroll 4
    for (unsigned r = begin + lane; r < end; r += ADD_LANES) {
        float dy[FOUR];

        element_load_row(dy, s.x, (size_t)s.order[r] * s.C + c, left, s.wide, s.bf16);
#pragma unroll
        for (int k = 0; k < FOUR; k++) sum[k] += s.scale * dy[k];
    }
#pragma unroll
    for (int k = 0; k < FOUR; k++) of_lane[lane][at + k] = sum[k];
    __syncthreads();
    if (lane > 0) return;
#pragma unroll
    for (int other = 1; other < ADD_LANES; other++)
#pragma unroll
        for (int k = 0; k < FOUR; k++) sum[k] += of_lane[other][at + k];
    const size_t token = (size_t)s.tokens[s.order[begin]];
    element_store_row(s.table, token * s.C + c, left, sum, s.wide, false);
}

static embedding_call call_of(const embedding_state *s, const lk_launch_args *args)
{
    embedding_call call = s->call;

    call.tokens = (const int32_t *)cuda_at(args, s->tokens);
    call.table = (float *)cuda_at(args, s->table);
    call.x = cuda_at(args, s->x);
    call.order = (unsigned *)args->base[LK_ARENA_SCRATCH];
    call.run = call.order + call.n;
    return call;
}

static lk_status run_embedding(void *state, const lk_launch_args *args)
{
    const embedding_state *s = (const embedding_state *)state;
    const embedding_call call = call_of(s, args);

    LK_LAUNCH_FLAT(copy_rows, element_blocks(s->ctx, call.n * ((call.C + FOUR - 1) / FOUR)), ELEMENT_BLOCK,
                   s->ctx->stream, call);
    return LK_OK;
}

static lk_status run_embedding_grad(void *state, const lk_launch_args *args)
{
    const embedding_state *s = (const embedding_state *)state;
    const embedding_call call = call_of(s, args);
    const unsigned n = (unsigned)call.n, across = (unsigned)((call.C + ADD_CHANNELS - 1) / ADD_CHANNELS);

    LK_CUDA(cudaMemsetAsync(call.table, 0, call.V * call.C * sizeof *call.table, s->ctx->stream));
    LK_LAUNCH_FLAT(rank_tokens, (n + RANK_BLOCK - 1) / RANK_BLOCK, RANK_BLOCK, s->ctx->stream, call);
    LK_LAUNCH(add_rows, dim3(n, across), ADD_THREADS, s->ctx->stream, call);
    return LK_OK;
}

/* Tensors: tokens, table, x. */
static embedding_state state_of(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, int tokens, int table, int x)
{
    embedding_state s;

    memset(&s, 0, sizeof s);
    s.ctx = ctx;
    s.tokens = cuda_ref_of(graph, tokens);
    s.table = cuda_ref_of(graph, table);
    s.x = cuda_ref_of(graph, x);
    s.call.n = graph->tensors[tokens].n_elem;
    s.call.V = (size_t)graph->tensors[table].shape[0];
    s.call.C = (size_t)graph->tensors[table].shape[1];
    s.call.scale = node->attrs.embedding.scale;
    s.call.bf16 = graph->tensors[x].dtype == LK_DTYPE_BF16;
    s.call.wide = s.call.C % FOUR == 0;
    return s;
}

lk_status cuda_bind_embedding(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    const embedding_state s = state_of(ctx, graph, node, node->in[0], node->in[1], node->out[0]);

    return cuda_kernel_keep(out, run_embedding, &s, sizeof s);
}

lk_status cuda_bind_embedding_grad(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    const embedding_state s = state_of(ctx, graph, node, node->in[1], node->out[0], node->in[0]);

    LK_TRY(cuda_kernel_keep(out, run_embedding_grad, &s, sizeof s));
    out->scratch_nbytes = 2 * s.call.n * sizeof(unsigned);
    return LK_OK;
}
