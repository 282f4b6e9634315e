/*
 * What attention, its gradient and its map share on a device: tiles of scores, and products with them.  Private to
 * engine/cuda/.  The formulas are in engine/ops/attention.c.
 *
 * A block has 16 x 16 threads and works through tiles of 16 R queries by 64 keys of one head of one sample; R is 4, or
 * 1 where there are few queries, as in decoding.  Thread (tx, ty) has the queries ty, ty + 16, ..., and of the keys
 * those four, 8 apart, that one Philox block of dropout decides.  Rows that are multiplied come to shared memory in
 * fp32: for scores 32 channels of both sides at a time, for products with a tile 64 channels of the result.  A head of
 * more channels takes one block for each 64, which all make its scores.  Rows are 4 floats longer than needed, so that
 * 16-byte reads of eight neighbouring rows meet different banks; 8 of them feed 64 multiply-adds.
 *
 * The sums' order: channels, keys (for dk and dv queries) one after another; a row's exponentials by a tree over the 16
 * threads that have its keys.  It depends neither on R, nor on how far the lane is filled up or what else is in it, and
 * each result is written by one thread.  Multiply-adds round once (fmaf), as the libraries' do.
 *
 * Tensor cores are not used: products run at the rate of fp32, in bf16 too.
 */
#ifndef LK_CUDA_ATTENTION_CUH
#define LK_CUDA_ATTENTION_CUH

#include "engine/base/philox.h"
#include "engine/cuda/reduce.cuh"

enum {
    TILE_SIDE = 16, TILE_THREADS = TILE_SIDE * TILE_SIDE,
    TILE_FOUR = 4,                      /* keys of a thread, and channels of a result */
    TILE_KEYS = TILE_SIDE * TILE_FOUR,
    TILE_DEPTH = 32,                    /* channels that scores are summed over at a time */
    TILE_WIDTH = TILE_SIDE * TILE_FOUR, /* channels of a result that a block makes */
    TILE_PAD = 4,
    TILE_PANEL_ROW = TILE_DEPTH + TILE_PAD, TILE_PANEL = TILE_KEYS * TILE_PANEL_ROW,
    TILE_ROW = TILE_WIDTH + TILE_PAD,
    TILE_FLOATS = 2 * TILE_PANEL,       /* of the rows that are multiplied: two panels, or 64 rows of TILE_ROW */
};
/* Blocks that an SM shall hold: what threads sum is in registers, 128 of which leave room for two, 64 for four.  Loops
 * over channels and keys are not unrolled further than they say, for that would spill. */
#define TILE_BLOCKS(R) ((R) > 1 ? 2 : 4)
static_assert(TILE_FLOATS >= TILE_KEYS * TILE_ROW, "rows of values lie where the panels of scores were");

/* One run: arrays of the node's tensors, NULL for those it has not, and sizes; D channels a head. */
typedef struct attention_call {
    const void *q, *k, *v, *dy;
    void *y, *dq, *dk, *dv;
    const int32_t *lengths;
    float *log_sum, *delta, *map;
    const int64_t *sample;
    const lk_lane_args *lane;
    unsigned N, Lq, Lk, C, heads, D, parts; /* parts: blocks that share a head's channels */
    float inv_root;
    float scale; /* of what dropout keeps; 0: there is none */
    uint32_t k0, k1, threshold;
    bool causal, cached, bf16, wide;
} attention_call;

/* A kernel's state: the places of the node's tensors (those that it has), and the call without arrays. */
typedef struct cuda_attention {
    cuda_ctx *ctx; /* borrowed */
    cuda_ref q, k, v, lengths, y, log_sum, dy, dq, dk, dv, map;
    attention_call call;
    double p;
    uint32_t layer;
} cuda_attention;

/* attention.cu: makes run the kernel of a state whose tensors but q and k are filled in; sizes come from those two. */
lk_status cuda_attention_bind(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, int q, int k,
                              cuda_attention *state, lk_status (*run)(void *state, const lk_launch_args *args),
                              lk_kernel *out);
attention_call cuda_attention_call(const cuda_attention *s, const lk_launch_args *args);

static __host__ __device__ inline unsigned attention_tiles(unsigned length, unsigned rows)
{
    return (length + rows - 1) / rows;
}

/* Tiles have one query a thread. */
static inline bool attention_few(const attention_call *call) { return call->Lq <= TILE_SIDE; }

static inline unsigned attention_query_tiles(const attention_call *call)
{
    return attention_tiles(call->Lq, attention_few(call) ? TILE_SIDE : TILE_SIDE * TILE_FOUR);
}

static inline unsigned attention_key_tiles(const attention_call *call) { return attention_tiles(call->Lk, TILE_KEYS); }

/* kernel<R> with a block for each of so many tiles of each head. */
#define ATTENTION_LAUNCH(kernel, call, n_tiles, stream)                                   \
    do {                                                                                  \
        const unsigned blocks_ = (call).N * (call).heads * (n_tiles) * (call).parts;      \
        if (attention_few(&(call)))                                                       \
            LK_LAUNCH(kernel<1>, blocks_, TILE_THREADS, (stream), (call));                \
        else                                                                              \
            LK_LAUNCH(kernel<TILE_FOUR>, blocks_, TILE_THREADS, (stream), (call));        \
    } while (0)

/* -------------------------------------------------------------------- place */

static __device__ inline unsigned tile_x(void) { return threadIdx.x % TILE_SIDE; }
static __device__ inline unsigned tile_y(void) { return threadIdx.x / TILE_SIDE; }
/* The thread's key j of a tile's: groups of dropout have 32, and a block of it decides every eighth. */
static __device__ inline unsigned tile_key(unsigned j)
{
    return tile_x() / LK_DROPOUT_BLOCKS * LK_DROPOUT_GROUP + tile_x() % LK_DROPOUT_BLOCKS + LK_DROPOUT_BLOCKS * j;
}

/* What a block works on. */
typedef struct attention_place {
    unsigned sample, head;
    unsigned tile;    /* number of its queries, or keys */
    unsigned channel; /* of the head: the first of this block's */
    unsigned n_keys;  /* that the sample has */
    unsigned first;   /* place of query 0 among the keys */
    uint32_t number, step, high; /* what dropout counts by */
} attention_place;

static __device__ inline attention_place attention_place_of(const attention_call *s, unsigned n_tiles)
{
    const unsigned of_head = blockIdx.x / s->parts / n_tiles;
    attention_place at;

    at.sample = of_head / s->heads;
    at.head = of_head % s->heads;
    at.tile = blockIdx.x / s->parts % n_tiles;
    at.channel = blockIdx.x % s->parts * TILE_WIDTH;
    const int64_t length = s->lengths ? (int64_t)s->lengths[at.sample] : (int64_t)s->Lk;
    at.n_keys = length <= 0 ? 0 : length < (int64_t)s->Lk ? (unsigned)length : s->Lk;
    at.first = s->cached ? (unsigned)s->lane->position : 0;
    const int64_t sample = s->scale != 0.0f ? s->sample[at.sample] : 0, step = s->scale != 0.0f ? s->lane->step : 0;
    at.number = (uint32_t)sample;
    at.step = (uint32_t)step;
    at.high = lk_dropout_high(step, sample);
    return at;
}

/* Keys that a query sees: the first ones.  A query that is not there sees none. */
static __device__ inline unsigned attention_seen(const attention_call *s, const attention_place *at, unsigned query)
{
    if (query >= s->Lq) return 0;
    return s->causal && at->first + query < at->n_keys ? at->first + query + 1 : at->n_keys;
}

/* Keys that any query of [begin, begin + n) sees. */
static __device__ inline unsigned attention_reach(const attention_call *s, const attention_place *at, unsigned begin,
                                                  unsigned n)
{
    return attention_seen(s, at, begin + n <= s->Lq ? begin + n - 1 : s->Lq - 1);
}

/* Bit j: dropout keeps key j of the thread's, for a query; key is the tile's first. */
static __device__ inline unsigned attention_kept(const attention_call *s, const attention_place *at, unsigned query,
                                                 unsigned key)
{
    const unsigned k = key / LK_DROPOUT_GROUP + tile_x() / LK_DROPOUT_BLOCKS;
    const uint32_t group = lk_attention_group(query, k, at->head, s->heads);
    uint32_t words[TILE_FOUR];
    unsigned kept = 0;

    lk_philox_words(s->k0, s->k1, group * LK_DROPOUT_BLOCKS + tile_x() % LK_DROPOUT_BLOCKS, at->number, at->step,
                    at->high, words);
#pragma unroll
    for (unsigned j = 0; j < TILE_FOUR; j++) kept |= (unsigned)lk_dropout_keep(words[j], s->threshold) << j;
    return kept;
}

static __device__ inline float attention_factor(const attention_call *s, unsigned kept, unsigned j)
{
    return kept >> j & 1u ? s->scale : 0.0f;
}

/* --------------------------------------------------------------------- rows */

/* Rows of one head in memory: of x (N, length, C) the positions [begin, end). */
typedef struct tile_rows {
    const void *x;
    size_t at;  /* element of the first's channel 0 */
    unsigned n;
} tile_rows;

static __device__ inline tile_rows attention_rows(const attention_call *s, const attention_place *at, const void *x,
                                                  unsigned length, unsigned begin, unsigned end)
{
    tile_rows rows;

    rows.x = x;
    rows.at = ((size_t)at->sample * length + begin) * s->C + at->head * s->D;
    rows.n = end > begin ? end - begin : 0;
    return rows;
}

/* to (n, WIDTH + TILE_PAD) = channels [channel, channel + WIDTH) of n rows; what is not there is 0. */
template <int WIDTH>
static __device__ inline void tile_load(float *to, const attention_call *s, const tile_rows *rows, unsigned n,
                                        unsigned channel)
{
    enum { FOURS = WIDTH / TILE_FOUR };

    for (unsigned e = threadIdx.x; e < n * FOURS; e += TILE_THREADS) {
        const unsigned r = e / FOURS, c = e % FOURS * TILE_FOUR;
        const unsigned there = r < rows->n && channel + c < s->D ? s->D - channel - c : 0;
        float v[TILE_FOUR];

        element_load_row(v, rows->x, rows->at + (size_t)r * s->C + channel + c, there, s->wide, s->bf16);
        element_store_four(to, r * (WIDTH + TILE_PAD) + c, v, false);
    }
}

/* Each thread's rows ty + 16 i, as memory has them, from v; channels beyond the head's and rows beyond the last are
 * left out. */
template <int R>
static __device__ inline void tile_write(void *y, const attention_call *s, const tile_rows *rows, unsigned channel,
                                         float scale, const float (&v)[R][TILE_FOUR])
{
    const unsigned c = channel + tile_x() * TILE_FOUR;

#pragma unroll
    for (unsigned i = 0; i < R; i++) {
        const unsigned r = tile_y() + TILE_SIDE * i;
        const float scaled[TILE_FOUR] = {v[i][0] * scale, v[i][1] * scale, v[i][2] * scale, v[i][3] * scale};

        if (r < rows->n && c < s->D)
            element_store_row(y, rows->at + (size_t)r * s->C + c, s->D - c, scaled, s->wide, s->bf16);
    }
}

/* ----------------------------------------------------------------- products */

static __device__ inline float4 tile_read(const float *at) { return *(const float4 *)at; }

template <int R> static __device__ inline void tile_zero(float (&v)[R][TILE_FOUR])
{
#pragma unroll
    for (unsigned i = 0; i < R; i++) v[i][0] = v[i][1] = v[i][2] = v[i][3] = 0.0f;
}

/* p += a b^T over one panel of each, `depth` channels. */
template <int R>
static __device__ inline void tile_dot(float (&p)[R][TILE_FOUR], const float *a, const float *b, unsigned depth)
{
#pragma unroll 1
    for (unsigned d = 0; d < depth; d += TILE_FOUR) {
        float4 x[R], y[TILE_FOUR];

#pragma unroll
        for (unsigned i = 0; i < R; i++) x[i] = tile_read(a + (tile_y() + TILE_SIDE * i) * TILE_PANEL_ROW + d);
#pragma unroll
        for (unsigned j = 0; j < TILE_FOUR; j++) y[j] = tile_read(b + tile_key(j) * TILE_PANEL_ROW + d);
#pragma unroll
        for (unsigned i = 0; i < R; i++)
#pragma unroll
            for (unsigned j = 0; j < TILE_FOUR; j++)
                p[i][j] = fmaf(x[i].w, y[j].w,
                               fmaf(x[i].z, y[j].z, fmaf(x[i].y, y[j].y, fmaf(x[i].x, y[j].x, p[i][j]))));
    }
}

/* p = a b^T of a tile, over all channels of the head: 16 R rows of a, those of queries, by 64 of b, keys.  Nobody may
 * still read `panels`; when it returns, others may. */
template <int R>
static __device__ inline void tile_product(float (&p)[R][TILE_FOUR], const attention_call *s, const tile_rows *a,
                                           const tile_rows *b, float *panels)
{
    tile_zero(p);
    for (unsigned channel = 0; channel < s->D; channel += TILE_DEPTH) {
        const unsigned left = s->D - channel;

        if (channel > 0) __syncthreads();
        tile_load<TILE_DEPTH>(panels, s, a, TILE_SIDE * R, channel);
        tile_load<TILE_DEPTH>(panels + TILE_PANEL, s, b, TILE_KEYS, channel);
        __syncthreads();
        tile_dot(p, panels, panels + TILE_PANEL, left < TILE_DEPTH ? left : (unsigned)TILE_DEPTH);
    }
}

/* sum (rows ty + 16 i, channels 4 tx to 4 tx + 3) += a (rows, n) b (n, channels); rows of both are TILE_ROW apart. */
template <int R>
static __device__ inline void tile_add(float (&sum)[R][TILE_FOUR], const float *a, const float *b, unsigned n)
{
#pragma unroll 1
    for (unsigned k = 0; k < n; k += TILE_FOUR) {
        float4 y[TILE_FOUR];

#pragma unroll
        for (unsigned u = 0; u < TILE_FOUR; u++) y[u] = tile_read(b + (k + u) * TILE_ROW + tile_x() * TILE_FOUR);
#pragma unroll
        for (unsigned i = 0; i < R; i++) {
            const float4 x = tile_read(a + (tile_y() + TILE_SIDE * i) * TILE_ROW + k);

            sum[i][0] = fmaf(x.w, y[3].x, fmaf(x.z, y[2].x, fmaf(x.y, y[1].x, fmaf(x.x, y[0].x, sum[i][0]))));
            sum[i][1] = fmaf(x.w, y[3].y, fmaf(x.z, y[2].y, fmaf(x.y, y[1].y, fmaf(x.x, y[0].y, sum[i][1]))));
            sum[i][2] = fmaf(x.w, y[3].z, fmaf(x.z, y[2].z, fmaf(x.y, y[1].z, fmaf(x.x, y[0].z, sum[i][2]))));
            sum[i][3] = fmaf(x.w, y[3].w, fmaf(x.z, y[2].w, fmaf(x.y, y[1].w, fmaf(x.x, y[0].w, sum[i][3]))));
        }
    }
}

/* sum += weights b, once all threads have written their weights and done with `rows`, where b's n rows go.  When it
 * returns, nobody reads either. */
template <int R>
static __device__ inline void tile_multiply(float (&sum)[R][TILE_FOUR], const attention_call *s, const float *weights,
                                            const tile_rows *b, unsigned n, unsigned channel, float *rows)
{
    __syncthreads();
    tile_load<TILE_WIDTH>(rows, s, b, n, channel);
    __syncthreads();
    if (channel + tile_x() * TILE_FOUR < s->D) tile_add(sum, weights, rows, b->n < n ? b->n : n);
    __syncthreads();
}

#endif
