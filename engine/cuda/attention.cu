/* Attention, keys going by in tiles; and the probabilities themselves.  The formulas are in engine/ops/attention.c. */
#include "engine/cuda/attention.cuh"

#include <string.h>

/* ------------------------------------------------------------------ forward */

/* Over the 16 threads of a row, the same on all. */
static __device__ inline float row_max(float v)
{
    for (int d = TILE_SIDE / 2; d > 0; d /= 2) v = fmaxf(v, __shfl_xor_sync((unsigned)WHOLE_WARP, v, d));
    return v;
}

static __device__ inline float row_sum(float v)
{
    for (int d = TILE_SIDE / 2; d > 0; d /= 2) v += __shfl_xor_sync((unsigned)WHOLE_WARP, v, d);
    return v;
}

/* What a row of S comes to so far. */
typedef struct seen_row { float largest, sum; } seen_row;

/* Scores of the tile from `key` on become e^(s - the row's new maximum), those of keys that the query does not see 0.
 * Returns what everything of the row so far must be multiplied by. */
static __device__ inline float soften(float (&p)[TILE_FOUR], const attention_call *s, unsigned n_seen, unsigned key,
                                      seen_row *row)
{
    float here = -INFINITY, sum = 0.0f;

#pragma unroll
    for (unsigned j = 0; j < TILE_FOUR; j++) {
        p[j] *= s->inv_root;
        if (key + tile_key(j) < n_seen) here = fmaxf(here, p[j]);
    }
    const float largest = fmaxf(row->largest, row_max(here)), shrink = lk_exp(row->largest - largest);
#pragma unroll
    for (unsigned j = 0; j < TILE_FOUR; j++) {
        p[j] = key + tile_key(j) < n_seen ? lk_exp(p[j] - largest) : 0.0f;
        sum += p[j];
    }
    row->sum = row->sum * shrink + row_sum(sum);
    row->largest = largest;
    return shrink;
}

/* The tile's P, after dropout, goes to `weights`; what there is of y is scaled to the new maxima. */
template <int R>
static __device__ inline void soften_all(float (&p)[R][TILE_FOUR], const attention_call *s, const attention_place *at,
                                         unsigned key, seen_row (&row)[R], float (&sum)[R][TILE_FOUR], float *weights)
{
#pragma unroll
    for (unsigned i = 0; i < R; i++) {
        const unsigned r = tile_y() + TILE_SIDE * i, query = at->tile * TILE_SIDE * R + r;
        const float shrink = soften(p[i], s, attention_seen(s, at, query), key, &row[i]);
        const unsigned kept = s->scale != 0.0f ? attention_kept(s, at, query, key) : 0;

#pragma unroll
        for (unsigned j = 0; j < TILE_FOUR; j++) {
            sum[i][j] *= shrink;
            weights[r * TILE_ROW + tile_key(j)] = s->scale != 0.0f ? p[i][j] * attention_factor(s, kept, j) : p[i][j];
        }
    }
}

/* y = what there is of it, divided by the sums of its rows; and log_sum. */
template <int R>
static __device__ inline void finish(const attention_call *s, const attention_place *at, unsigned begin, bool seen,
                                     const seen_row (&row)[R], float (&sum)[R][TILE_FOUR])
{
    const tile_rows y = attention_rows(s, at, s->y, s->Lq, begin, s->Lq);

#pragma unroll
    for (unsigned i = 0; i < R; i++) {
        const unsigned query = begin + tile_y() + TILE_SIDE * i;
        const float inv_sum = seen ? 1.0f / row[i].sum : 0.0f;

#pragma unroll
        for (unsigned j = 0; j < TILE_FOUR; j++) sum[i][j] *= inv_sum;
        if (tile_x() == 0 && at->channel == 0 && query < s->Lq)
            s->log_sum[((size_t)at->sample * s->heads + at->head) * s->Lq + query] =
                seen ? row[i].largest + logf(row[i].sum) : 0.0f;
    }
    tile_write(s->y, s, &y, at->channel, 1.0f, sum);
}

/* A block has a tile of queries, the last ones first: where attention is causal they have the most to do. */
template <int R>
static __global__ void __launch_bounds__(TILE_THREADS, TILE_BLOCKS(R)) attend(const __grid_constant__ attention_call s)
{
    __shared__ __align__(16) float rows[TILE_FLOATS], weights[TILE_SIDE * R * TILE_ROW];
    const unsigned n_tiles = attention_tiles(s.Lq, TILE_SIDE * R);
    attention_place at = attention_place_of(&s, n_tiles);
    seen_row row[R];
    float sum[R][TILE_FOUR], p[R][TILE_FOUR];

    at.tile = n_tiles - 1 - at.tile;
    const unsigned begin = at.tile * TILE_SIDE * R, reach = attention_reach(&s, &at, begin, TILE_SIDE * R);
    const tile_rows q = attention_rows(&s, &at, s.q, s.Lq, begin, s.Lq);
#pragma unroll
    for (unsigned i = 0; i < R; i++) row[i].largest = -INFINITY, row[i].sum = 0.0f;
    tile_zero(sum);
    for (unsigned key = 0; key < reach; key += TILE_KEYS) {
        const tile_rows k = attention_rows(&s, &at, s.k, s.Lk, key, reach);
        const tile_rows v = attention_rows(&s, &at, s.v, s.Lk, key, reach);

        tile_product(p, &s, &q, &k, rows);
        soften_all(p, &s, &at, key, row, sum, weights);
        tile_multiply(sum, &s, weights, &v, TILE_KEYS, at.channel, rows);
    }
    finish(&s, &at, begin, reach > 0, row, sum);
}

static lk_status run_attention(void *state, const lk_launch_args *args)
{
    const cuda_attention *s = (const cuda_attention *)state;
    const attention_call call = cuda_attention_call(s, args);

    ATTENTION_LAUNCH(attend, call, attention_query_tiles(&call), s->ctx->stream);
    return LK_OK;
}

/* --------------------------------------------------------------------- map */

template <int R>
static __global__ void __launch_bounds__(TILE_THREADS, TILE_BLOCKS(R)) show(const __grid_constant__ attention_call s)
{
    __shared__ __align__(16) float rows[TILE_FLOATS];
    const attention_place at = attention_place_of(&s, attention_tiles(s.Lq, TILE_SIDE * R));
    const unsigned begin = at.tile * TILE_SIDE * R, reach = attention_reach(&s, &at, begin, TILE_SIDE * R);
    const tile_rows q = attention_rows(&s, &at, s.q, s.Lq, begin, s.Lq);
    float p[R][TILE_FOUR];

    for (unsigned key = 0; key < s.Lk; key += TILE_KEYS) {
        const tile_rows k = attention_rows(&s, &at, s.k, s.Lk, key, reach);

        tile_product(p, &s, &q, &k, rows);
#pragma unroll
        for (unsigned i = 0; i < R; i++) {
            const unsigned query = begin + tile_y() + TILE_SIDE * i, n_seen = attention_seen(&s, &at, query);
            const size_t row = ((size_t)at.sample * s.heads + at.head) * s.Lq + query;

#pragma unroll
            for (unsigned j = 0; j < TILE_FOUR; j++) {
                const unsigned to = key + tile_key(j);

                if (query < s.Lq && to < s.Lk)
                    s.map[row * s.Lk + to] = to < n_seen ? lk_exp(p[i][j] * s.inv_root - s.log_sum[row]) : 0.0f;
            }
        }
        __syncthreads();
    }
}

static lk_status run_attention_map(void *state, const lk_launch_args *args)
{
    const cuda_attention *s = (const cuda_attention *)state;
    attention_call call = cuda_attention_call(s, args);

    call.parts = 1; /* scores alone */
    ATTENTION_LAUNCH(show, call, attention_query_tiles(&call), s->ctx->stream);
    return LK_OK;
}

/* --------------------------------------------------------------------- bind */

attention_call cuda_attention_call(const cuda_attention *s, const lk_launch_args *args)
{
    const lk_philox_key key = lk_philox_key_new(args->seed, LK_PURPOSE_DROPOUT, s->layer);
    attention_call call = s->call;

    call.q = cuda_at(args, s->q), call.k = cuda_at(args, s->k), call.v = cuda_at(args, s->v);
    call.y = cuda_at(args, s->y), call.dy = cuda_at(args, s->dy);
    call.dq = cuda_at(args, s->dq), call.dk = cuda_at(args, s->dk), call.dv = cuda_at(args, s->dv);
    call.lengths = (const int32_t *)cuda_at(args, s->lengths);
    call.log_sum = (float *)cuda_at(args, s->log_sum);
    call.map = (float *)cuda_at(args, s->map);
    call.delta = (float *)args->base[LK_ARENA_SCRATCH];
    call.sample = args->sample;
    call.lane = args->lane;
    call.k0 = key.k[0], call.k1 = key.k[1];
    return call;
}

static attention_call sizes_of(const lk_tensor *q, const lk_tensor *k, const lk_attention *attention)
{
    attention_call call;

    memset(&call, 0, sizeof call);
    call.N = (unsigned)q->shape[0], call.Lq = (unsigned)q->shape[1], call.Lk = (unsigned)k->shape[1];
    call.C = (unsigned)q->shape[2], call.heads = (unsigned)attention->heads, call.D = call.C / call.heads;
    call.parts = attention_tiles(call.D, TILE_WIDTH);
    call.inv_root = 1.0f / sqrtf((float)call.D);
    call.scale = attention->p > 0.0 ? (float)(1.0 / (1.0 - attention->p)) : 0.0f;
    call.threshold = lk_dropout_threshold(attention->p);
    call.causal = attention->causal;
    call.cached = k->arena == LK_ARENA_CACHE;
    call.bf16 = q->dtype == LK_DTYPE_BF16;
    call.wide = call.D % TILE_FOUR == 0;
    return call;
}

lk_status cuda_attention_bind(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, int q, int k,
                              cuda_attention *state, lk_status (*run)(void *state, const lk_launch_args *args),
                              lk_kernel *out)
{
    state->ctx = ctx;
    state->q = cuda_ref_of(graph, q);
    state->k = cuda_ref_of(graph, k);
    state->layer = node->attrs.attention.layer;
    state->call = sizes_of(&graph->tensors[q], &graph->tensors[k], &node->attrs.attention);
    return cuda_kernel_keep(out, run, state, sizeof *state);
}

lk_status cuda_bind_attention(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    cuda_attention s;

    memset(&s, 0, sizeof s);
    s.v = cuda_ref_of(graph, node->in[2]);
    s.lengths = cuda_ref_of(graph, node->in[3]);
    s.y = cuda_ref_of(graph, node->out[0]);
    s.log_sum = cuda_ref_of(graph, node->out[1]);
    return cuda_attention_bind(ctx, graph, node, node->in[0], node->in[1], &s, run_attention, out);
}

lk_status cuda_bind_attention_map(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    cuda_attention s;

    memset(&s, 0, sizeof s);
    s.lengths = cuda_ref_of(graph, node->in[2]);
    s.log_sum = cuda_ref_of(graph, node->in[3]);
    s.map = cuda_ref_of(graph, node->out[0]);
    return cuda_attention_bind(ctx, graph, node, node->in[0], node->in[1], &s, run_attention_map, out);
}
