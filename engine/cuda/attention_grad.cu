/*
 * The gradient of attention, P made anew tile by tile.  The formulas are in engine/ops/attention.c.
 *
 * dk and dv are sums over queries, dq is one over keys: so two kernels, each of which makes the scores again, and each
 * result has one block.  One kernel for all three would save two of seven products and need atomics.
 */
#include "engine/cuda/attention.cuh"

#include <string.h>

/* delta (N, heads, Lq) = rowsum(dy y), a row a thread. */
static __global__ void find_delta(const __grid_constant__ attention_call s)
{
    const size_t n = (size_t)s.N * s.Lq * s.heads;

    for (size_t e = element_first(); e < n; e += element_step()) {
        const size_t row = e / s.heads, head = e % s.heads, sample = row / s.Lq, query = row % s.Lq;
        float sum = 0.0f;

        for (unsigned c = 0; c < s.D; c += TILE_FOUR) {
            float dy[TILE_FOUR], y[TILE_FOUR];

            element_load_row(dy, s.dy, e * s.D + c, s.D - c, s.wide, s.bf16);
            element_load_row(y, s.y, e * s.D + c, s.D - c, s.wide, s.bf16);
#pragma unroll
            for (unsigned j = 0; j < TILE_FOUR; j++) sum = fmaf(dy[j], y[j], sum);
        }
        s.delta[(sample * s.heads + head) * s.Lq + query] = sum;
    }
}

/* What a thread keeps of its queries. */
template <int R> struct query_rows {
    float log_sum[R], delta[R];
    unsigned seen[R];
};

template <int R>
static __device__ inline void load_queries(query_rows<R> *of, const attention_call *s, const attention_place *at,
                                           unsigned begin)
{
    const size_t first = ((size_t)at->sample * s->heads + at->head) * s->Lq;

#pragma unroll
    for (unsigned i = 0; i < R; i++) {
        const unsigned query = begin + tile_y() + TILE_SIDE * i;

        of->seen[i] = attention_seen(s, at, query);
        of->log_sum[i] = query < s->Lq ? s->log_sum[first + query] : 0.0f;
        of->delta[i] = query < s->Lq ? s->delta[first + query] : 0.0f;
    }
}

/* Scores become P = e^(S - log_sum), 0 where a query does not look. */
template <int R>
static __device__ inline void find_probabilities(float (&p)[R][TILE_FOUR], const attention_call *s,
                                                 const query_rows<R> *of, unsigned key)
{
#pragma unroll
    for (unsigned i = 0; i < R; i++)
#pragma unroll
        for (unsigned j = 0; j < TILE_FOUR; j++)
            p[i][j] = key + tile_key(j) < of->seen[i] ? lk_exp(p[i][j] * s->inv_root - of->log_sum[i]) : 0.0f;
}

/* What of the thread's pairs dropout keeps: four bits for each of its queries. */
template <int R>
static __device__ inline unsigned find_kept(const attention_call *s, const attention_place *at, unsigned begin,
                                            unsigned key)
{
    unsigned kept = 0;

    if (s->scale == 0.0f) return kept;
#pragma unroll
    for (unsigned i = 0; i < R; i++)
        kept |= attention_kept(s, at, begin + tile_y() + TILE_SIDE * i, key) << (TILE_FOUR * i);
    return kept;
}

static __device__ inline float dropped(const attention_call *s, unsigned kept, unsigned i, unsigned j, float v)
{
    return s->scale != 0.0f ? v * attention_factor(s, kept, TILE_FOUR * i + j) : v;
}

/* One pair's dS = P (dP - delta). */
template <int R>
static __device__ inline float find_ds(const attention_call *s, const query_rows<R> *of, unsigned kept, unsigned i,
                                       unsigned j, float p, float dp)
{
    return p * (dropped(s, kept, i, j, dp) - of->delta[i]);
}

/* A block has a tile of queries, the last ones first as in the forward pass. */
template <int R>
static __global__ void __launch_bounds__(TILE_THREADS, TILE_BLOCKS(TILE_FOUR))
    find_dq(const __grid_constant__ attention_call s)
{
    __shared__ __align__(16) float rows[TILE_FLOATS], weights[TILE_SIDE * R * TILE_ROW];
    const unsigned n_tiles = attention_tiles(s.Lq, TILE_SIDE * R);
    const attention_place at = attention_place_of(&s, n_tiles);
    const unsigned begin = (n_tiles - 1 - at.tile) * TILE_SIDE * R;
    const unsigned reach = attention_reach(&s, &at, begin, TILE_SIDE * R);
    const tile_rows q = attention_rows(&s, &at, s.q, s.Lq, begin, s.Lq);
    const tile_rows dy = attention_rows(&s, &at, s.dy, s.Lq, begin, s.Lq);
    const tile_rows dq = attention_rows(&s, &at, s.dq, s.Lq, begin, s.Lq);
    query_rows<R> of;
    float sum[R][TILE_FOUR], p[R][TILE_FOUR], dp[R][TILE_FOUR];

    load_queries(&of, &s, &at, begin);
    tile_zero(sum);
    for (unsigned key = 0; key < reach; key += TILE_KEYS) {
        const tile_rows k = attention_rows(&s, &at, s.k, s.Lk, key, reach);
        const tile_rows v = attention_rows(&s, &at, s.v, s.Lk, key, reach);
        const unsigned kept = find_kept<R>(&s, &at, begin, key);

        tile_product(p, &s, &q, &k, rows);
        find_probabilities(p, &s, &of, key);
        __syncthreads();
        tile_product(dp, &s, &dy, &v, rows);
#pragma unroll
        for (unsigned i = 0; i < R; i++)
#pragma unroll
            for (unsigned j = 0; j < TILE_FOUR; j++)
                weights[(tile_y() + TILE_SIDE * i) * TILE_ROW + tile_key(j)] =
                    find_ds(&s, &of, kept, i, j, p[i][j], dp[i][j]);
        tile_multiply(sum, &s, weights, &k, TILE_KEYS, at.channel, rows);
    }
    tile_write(s.dq, &s, &dq, at.channel, s.inv_root, sum);
}

/* The tile's part of dv, whose weights P are, and of dk, whose weights dS are; both turned: a row a key. */
template <int R>
static __device__ inline void add_queries(const attention_call *s, const attention_place *at, unsigned begin,
                                          const tile_rows *k, const tile_rows *v, float *rows, float *weights,
                                          float (&sum_dk)[TILE_FOUR][TILE_FOUR], float (&sum_dv)[TILE_FOUR][TILE_FOUR])
{
    const unsigned key = at->tile * TILE_KEYS, kept = find_kept<R>(s, at, begin, key);
    const tile_rows q = attention_rows(s, at, s->q, s->Lq, begin, s->Lq);
    const tile_rows dy = attention_rows(s, at, s->dy, s->Lq, begin, s->Lq);
    query_rows<R> of;
    float p[R][TILE_FOUR], dp[R][TILE_FOUR];

    load_queries(&of, s, at, begin);
    tile_product(p, s, &q, k, rows);
    find_probabilities(p, s, &of, key);
#pragma unroll
    for (unsigned i = 0; i < R; i++)
#pragma unroll
        for (unsigned j = 0; j < TILE_FOUR; j++)
            weights[tile_key(j) * TILE_ROW + tile_y() + TILE_SIDE * i] = dropped(s, kept, i, j, p[i][j]);
    tile_multiply(sum_dv, s, weights, &dy, TILE_SIDE * R, at->channel, rows);
    tile_product(dp, s, &dy, v, rows);
#pragma unroll
    for (unsigned i = 0; i < R; i++)
#pragma unroll
        for (unsigned j = 0; j < TILE_FOUR; j++)
            weights[tile_key(j) * TILE_ROW + tile_y() + TILE_SIDE * i] =
                find_ds(s, &of, kept, i, j, p[i][j], dp[i][j]);
    tile_multiply(sum_dk, s, weights, &q, TILE_SIDE * R, at->channel, rows);
}

/* A block has a tile of keys; in training queries and keys count alike. */
template <int R>
static __global__ void __launch_bounds__(TILE_THREADS, TILE_BLOCKS(TILE_FOUR))
    find_dk_dv(const __grid_constant__ attention_call s)
{
    __shared__ __align__(16) float rows[TILE_FLOATS], weights[TILE_KEYS * TILE_ROW];
    const attention_place at = attention_place_of(&s, attention_tiles(s.Lk, TILE_KEYS));
    const unsigned key = at.tile * TILE_KEYS;
    const tile_rows k = attention_rows(&s, &at, s.k, s.Lk, key, at.n_keys);
    const tile_rows v = attention_rows(&s, &at, s.v, s.Lk, key, at.n_keys);
    const tile_rows dk = attention_rows(&s, &at, s.dk, s.Lk, key, s.Lk);
    const tile_rows dv = attention_rows(&s, &at, s.dv, s.Lk, key, s.Lk);
    float sum_dk[TILE_FOUR][TILE_FOUR], sum_dv[TILE_FOUR][TILE_FOUR];

    tile_zero(sum_dk);
    tile_zero(sum_dv);
    for (unsigned begin = s.causal ? key : 0; key < at.n_keys && begin < s.Lq; begin += TILE_SIDE * R)
        add_queries<R>(&s, &at, begin, &k, &v, rows, weights, sum_dk, sum_dv);
    if (s.dk) tile_write(s.dk, &s, &dk, at.channel, s.inv_root, sum_dk);
    if (s.dv) tile_write(s.dv, &s, &dv, at.channel, 1.0f, sum_dv);
}

static lk_status run_attention_grad(void *state, const lk_launch_args *args)
{
    const cuda_attention *s = (const cuda_attention *)state;
    const attention_call call = cuda_attention_call(s, args);

    LK_LAUNCH_FLAT(find_delta, element_blocks(s->ctx, (size_t)call.N * call.Lq * call.heads), ELEMENT_BLOCK,
                   s->ctx->stream, call);
    if (call.dq) ATTENTION_LAUNCH(find_dq, call, attention_query_tiles(&call), s->ctx->stream);
    if (call.dk || call.dv) ATTENTION_LAUNCH(find_dk_dv, call, attention_key_tiles(&call), s->ctx->stream);
    return LK_OK;
}

lk_status cuda_bind_attention_grad(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    cuda_attention s;

    memset(&s, 0, sizeof s);
    s.dy = cuda_ref_of(graph, node->in[0]);
    s.v = cuda_ref_of(graph, node->in[3]);
    s.lengths = cuda_ref_of(graph, node->in[4]);
    s.y = cuda_ref_of(graph, node->in[5]);
    s.log_sum = cuda_ref_of(graph, node->in[6]);
    s.dq = cuda_ref_of(graph, node->out[0]);
    s.dk = cuda_ref_of(graph, node->out[1]);
    s.dv = cuda_ref_of(graph, node->out[2]);
    LK_TRY(cuda_attention_bind(ctx, graph, node, node->in[1], node->in[2], &s, run_attention_grad, out));
    out->scratch_nbytes = (size_t)s.call.N * s.call.heads * s.call.Lq * sizeof(float);
    return LK_OK;
}
