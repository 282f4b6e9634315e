/*
 * Attention within windows and its gradient.  The formulas are in engine/ops/window_attention.c.
 *
 * First a thread has one query of one head and writes its row of P, in the backward pass dS too, to scratch; then one
 * has one channel of one token, and sums over the window.  Each number is written by one thread, in the order of the
 * window's tokens; sums over windows, the gradients of the table and of pad, are sums of columns (reduce.cuh).  Plain
 * and of any size; P and dS are the only memory that it takes beside qkv and y.
 */
#include "engine/cuda/reduce.cuh"
#include "engine/cuda/windows.cuh"

#include "engine/base/formulas.h"
#include "engine/base/philox.h"

#include <string.h>

typedef struct attention_state {
    cuda_ctx *ctx; /* borrowed */
    cuda_ref qkv, table, pad, dy, y, dqkv, dtable, dpad;
    windows sizes;  /* without arrays */
    double p;
    uint32_t layer;
    column_cut table_cut, pad_cut; /* rows are windows */
} attention_state;

/* What dropout draws from; scale 0: there is none. */
typedef struct dropping {
    const int64_t *sample;
    const lk_lane_args *lane;
    uint32_t k0, k1, threshold;
    float scale;
} dropping;

/* ---------------------------------------------------------------------- rows */

/* What dropout multiplies P by. */
static __device__ inline float factor_of(const windows *s, const dropping *d, unsigned window, unsigned head,
                                         unsigned t, unsigned u)
{
    if (d->scale == 0.0f) return 1.0f;
    const unsigned of_sample = s->down * s->across, groups = (s->T + LK_DROPOUT_GROUP - 1) / LK_DROPOUT_GROUP;
    const uint64_t row = (window % of_sample * s->heads + head) * s->T + t;
    const uint64_t element = row * groups * LK_DROPOUT_GROUP + u;
    const int64_t step = d->lane->step, sample = d->sample[window / of_sample];
    const uint32_t which = lk_dropout_word(element);
    uint32_t words[4];

    lk_philox_words(d->k0, d->k1, lk_dropout_block(element), (uint32_t)sample, (uint32_t)step,
                    lk_dropout_high(step, sample), words);
    const uint32_t word = which == 0 ? words[0] : which == 1 ? words[1] : which == 2 ? words[2] : words[3];
    return lk_dropout_keep(word, d->threshold) ? d->scale : 0.0f;
}

/* q k^T / sqrt(D) + B of one pair. */
static __device__ inline float logit(const windows *s, unsigned window, unsigned head, unsigned t, size_t query,
                                     unsigned u)
{
    const size_t key = window_token(s, window, u);
    const unsigned channel = head * s->D;
    float sum = 0.0f;

    for (unsigned c = channel; c < channel + s->D; c++)
        sum += window_load(s, query, c) * s->inv_root * window_load(s, key, s->C + c);
    sum += s->table[window_relative(s, t, u) * s->heads + head];
    return window_region(s, window, t) == window_region(s, window, u) ? sum : sum + WINDOW_UNSEEN;
}

/* Row t of P, before dropout. */
static __device__ inline void softmax_row(const windows *s, unsigned window, unsigned head, unsigned t, size_t query)
{
    float largest = -INFINITY, sum = 0.0f;

    for (unsigned u = 0; u < s->T; u++) {
        const float x = logit(s, window, head, t, query, u);

        s->p[window_pair(s, window, head, u, t)] = x;
        largest = x > largest ? x : largest;
    }
    for (unsigned u = 0; u < s->T; u++) {
        float *p = &s->p[window_pair(s, window, head, u, t)];

        *p = lk_exp(*p - largest);
        sum += *p;
    }
    const float inv_sum = 1.0f / sum;
    for (unsigned u = 0; u < s->T; u++) s->p[window_pair(s, window, head, u, t)] *= inv_sum;
}

/* Row t of dS, from P before dropout. */
static __device__ inline void softmax_grad_row(const windows *s, const dropping *d, unsigned window, unsigned head,
                                               unsigned t, size_t query)
{
    const unsigned channel = head * s->D;
    float total = 0.0f;

    for (unsigned u = 0; u < s->T; u++) {
        const size_t key = window_token(s, window, u), pair = window_pair(s, window, head, u, t);
        float dp = 0.0f;

        for (unsigned c = channel; c < channel + s->D; c++)
            dp += element_load(s->dy, query * s->C + c, s->bf16) * window_load(s, key, 2 * s->C + c);
        dp *= factor_of(s, d, window, head, t, u);
        s->ds[pair] = dp;
        total += s->p[pair] * dp;
    }
    for (unsigned u = 0; u < s->T; u++) {
        const size_t pair = window_pair(s, window, head, u, t);
        s->ds[pair] = s->p[pair] * (s->ds[pair] - total);
    }
}

/* Nobody asks a token outside: its rows are 0. */
static __device__ inline void clear_row(const windows *s, unsigned window, unsigned head, unsigned t)
{
    for (unsigned u = 0; u < s->T; u++) {
        const size_t pair = window_pair(s, window, head, u, t);

        s->p[pair] = 0.0f;
        if (s->ds) s->ds[pair] = 0.0f;
    }
}

static __global__ void make_rows(const __grid_constant__ windows s, const __grid_constant__ dropping d)
{
    for (size_t i = element_first(); i < (size_t)s.n_windows * s.heads * s.T; i += element_step()) {
        const unsigned row = (unsigned)(i / s.T), t = (unsigned)(i % s.T), head = row % s.heads, window = row / s.heads;
        const size_t query = window_token(&s, window, t);

        if (query == WINDOW_OUTSIDE) {
            clear_row(&s, window, head, t);
            continue;
        }
        softmax_row(&s, window, head, t, query);
        if (s.ds) softmax_grad_row(&s, &d, window, head, t, query);
        for (unsigned u = 0; u < s.T && d.scale != 0.0f; u++)
            s.p[window_pair(&s, window, head, u, t)] *= factor_of(&s, &d, window, head, t, u);
    }
}

/* -------------------------------------------------------------------- tokens */

static __global__ void attend(const __grid_constant__ windows s, void *y)
{
    for (size_t i = element_first(); i < (size_t)s.n_windows * s.T * s.C; i += element_step()) {
        const unsigned token = (unsigned)(i / s.C), c = (unsigned)(i % s.C), t = token % s.T, window = token / s.T;
        const size_t query = window_token(&s, window, t);
        float sum = 0.0f;

        if (query == WINDOW_OUTSIDE) continue;
        for (unsigned u = 0; u < s.T; u++) {
            const size_t key = window_token(&s, window, u);
            sum += s.p[window_pair(&s, window, c / s.D, u, t)] * window_load(&s, key, 2 * s.C + c);
        }
        element_store(y, query * s.C + c, sum, s.bf16);
    }
}

/* Of channel `channel` of 3C: dq over keys u, dk and dv over queries u. */
static __device__ inline float window_grad(const windows *s, unsigned window, unsigned t, unsigned channel)
{
    const unsigned third = channel / s->C, c = channel % s->C, head = c / s->D;
    float sum = 0.0f;

    for (unsigned u = 0; u < s->T; u++) {
        const size_t token = window_token(s, window, u);

        if (third == 0) sum += s->ds[window_pair(s, window, head, u, t)] * window_load(s, token, s->C + c);
        else if (token == WINDOW_OUTSIDE) continue;
        else if (third == 1) sum += s->ds[window_pair(s, window, head, t, u)] * window_load(s, token, c);
        else sum += s->p[window_pair(s, window, head, t, u)] * element_load(s->dy, token * s->C + c, s->bf16);
    }
    return third == 2 ? sum : sum * s->inv_root;
}

static __global__ void attend_back(const __grid_constant__ windows s, void *dqkv)
{
    const unsigned row = 3 * s.C;

    for (size_t i = element_first(); i < (size_t)s.n_windows * s.T * row; i += element_step()) {
        const unsigned of = (unsigned)(i / row), channel = (unsigned)(i % row), t = of % s.T, window = of / s.T;
        const size_t token = window_token(&s, window, t);

        if (token != WINDOW_OUTSIDE)
            element_store(dqkv, token * row + channel, window_grad(&s, window, t, channel), s.bf16);
    }
}

/* ------------------------------------------------------------- over windows */

/* dB of one window, over the pairs that a row of the table is for; column c is (row, head). */
struct table_term {
    windows s;

    __device__ void at(size_t window, size_t c, float *v) const
    {
        const unsigned head = (unsigned)c % s.heads, row = (unsigned)c / s.heads, side = 2 * s.M - 1;
        const unsigned down = row / side, right = row % side; /* of the query from the key, M - 1 more */

        v[0] = 0.0f;
        for (unsigned u = 0; u < s.T; u++) {
            const unsigned i = down + u / s.M + 1 - s.M, k = right + u % s.M + 1 - s.M; /* the query's, or beyond all */

            if (i < s.M && k < s.M) v[0] += s.ds[window_pair(&s, (unsigned)window, head, u, i * s.M + k)];
        }
    }
};

struct pad_term {
    windows s;

    __device__ void at(size_t window, size_t c, float *v) const
    {
        v[0] = 0.0f;
        for (unsigned t = 0; t < s.T; t++)
            if (window_token(&s, (unsigned)window, t) == WINDOW_OUTSIDE)
                v[0] += window_grad(&s, (unsigned)window, t, (unsigned)c);
    }
};

struct store_total {
    float *to;

    __device__ void at(size_t c, const double *total) const { to[c] = (float)total[0]; }
};

template <class TERM>
static lk_status sum_windows(const attention_state *s, const column_cut *cut, TERM term, float *partial, float *to)
{
    const store_total store = {to};

    LK_LAUNCH((column_partials<1, TERM>), column_grid(cut), COLUMN_THREADS, s->ctx->stream, *cut, term, partial);
    LK_LAUNCH_FLAT((column_totals<1, store_total>), column_total_blocks(cut), ELEMENT_BLOCK, s->ctx->stream, *cut,
                   (const float *)partial, store);
    return LK_OK;
}

/* ----------------------------------------------------------------------- run */

static size_t pairs(const windows *s) { return (size_t)s->n_windows * s->heads * s->T * s->T; }

static windows windows_of(const attention_state *s, const lk_launch_args *args)
{
    windows w = s->sizes;

    w.qkv = cuda_at(args, s->qkv);
    w.dy = cuda_at(args, s->dy);
    w.table = (const float *)cuda_at(args, s->table);
    w.pad = (const float *)cuda_at(args, s->pad);
    w.p = (float *)args->base[LK_ARENA_SCRATCH];
    w.ds = w.dy ? w.p + pairs(&w) : NULL;
    return w;
}

static lk_status run_rows(const attention_state *s, const windows *w, const lk_launch_args *args)
{
    const lk_philox_key key = lk_philox_key_new(args->seed, LK_PURPOSE_DROPOUT, s->layer);
    const dropping d = {args->sample, args->lane, key.k[0], key.k[1], lk_dropout_threshold(s->p),
                        s->p > 0.0 ? (float)(1.0 / (1.0 - s->p)) : 0.0f};

    LK_LAUNCH_FLAT(make_rows, element_blocks(s->ctx, (size_t)w->n_windows * w->heads * w->T), ELEMENT_BLOCK,
                   s->ctx->stream, *w, d);
    return LK_OK;
}

static lk_status run_attention(void *state, const lk_launch_args *args)
{
    const attention_state *s = (const attention_state *)state;
    const windows w = windows_of(s, args);

    LK_TRY(run_rows(s, &w, args));
    LK_LAUNCH_FLAT(attend, element_blocks(s->ctx, (size_t)w.n_windows * w.T * w.C), ELEMENT_BLOCK, s->ctx->stream, w,
                   cuda_at(args, s->y));
    return LK_OK;
}

static lk_status run_attention_grad(void *state, const lk_launch_args *args)
{
    const attention_state *s = (const attention_state *)state;
    const windows w = windows_of(s, args);
    float *partial = w.ds + pairs(&w);
    const table_term of_table = {w};
    const pad_term of_pad = {w};

    LK_TRY(run_rows(s, &w, args));
    if (s->dqkv.present)
        LK_LAUNCH_FLAT(attend_back, element_blocks(s->ctx, (size_t)w.n_windows * w.T * 3 * w.C), ELEMENT_BLOCK,
                       s->ctx->stream, w, cuda_at(args, s->dqkv));
    if (s->dtable.present)
        LK_TRY(sum_windows(s, &s->table_cut, of_table, partial, (float *)cuda_at(args, s->dtable)));
    if (s->dpad.present) LK_TRY(sum_windows(s, &s->pad_cut, of_pad, partial, (float *)cuda_at(args, s->dpad)));
    return LK_OK;
}

/* ---------------------------------------------------------------------- bind */

static windows sizes_of(const lk_tensor *qkv, const lk_windows *of)
{
    windows w;

    memset(&w, 0, sizeof w);
    w.H = (unsigned)qkv->shape[1];
    w.W = (unsigned)qkv->shape[2];
    w.C = (unsigned)qkv->shape[3] / 3;
    w.heads = (unsigned)of->heads;
    w.D = w.C / w.heads;
    w.M = (unsigned)of->size;
    w.T = w.M * w.M;
    w.down = (w.H + w.M - 1) / w.M;
    w.across = (w.W + w.M - 1) / w.M;
    w.shift[0] = (unsigned)of->shift[0];
    w.shift[1] = (unsigned)of->shift[1];
    w.n_windows = (unsigned)qkv->shape[0] * w.down * w.across;
    w.inv_root = 1.0f / sqrtf((float)w.D);
    w.bf16 = qkv->dtype == LK_DTYPE_BF16;
    return w;
}

static attention_state state_of(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, bool backward)
{
    const int *of = node->in + backward; /* qkv, table, pad */
    attention_state s;

    memset(&s, 0, sizeof s);
    s.ctx = ctx;
    s.sizes = sizes_of(cuda_in(graph, node, backward), &node->attrs.windows);
    s.p = node->attrs.windows.p;
    s.layer = node->attrs.windows.layer;
    s.qkv = cuda_ref_of(graph, of[0]);
    s.table = cuda_ref_of(graph, of[1]);
    s.pad = cuda_ref_of(graph, of[2]);
    if (!backward) s.y = cuda_ref_of(graph, node->out[0]);
    if (!backward) return s;
    s.dy = cuda_ref_of(graph, node->in[0]);
    s.dqkv = cuda_ref_of(graph, node->out[0]);
    s.dtable = cuda_ref_of(graph, node->out[1]);
    s.dpad = cuda_ref_of(graph, node->out[2]);
    return s;
}

lk_status cuda_bind_window_attention(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    const attention_state s = state_of(ctx, graph, node, false);

    LK_TRY(cuda_kernel_keep(out, run_attention, &s, sizeof s));
    out->scratch_nbytes = pairs(&s.sizes) * sizeof(float);
    return LK_OK;
}

static size_t partial_floats(const column_cut *cut) { return cut->n_chunks * cut->C; }

lk_status cuda_bind_window_attention_grad(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    attention_state s = state_of(ctx, graph, node, true);
    const size_t side = 2 * s.sizes.M - 1;

    s.table_cut = column_cut_of(s.sizes.n_windows, side * side * s.sizes.heads);
    s.pad_cut = column_cut_of(s.sizes.n_windows, 3 * s.sizes.C);
    const size_t table = partial_floats(&s.table_cut), pad = partial_floats(&s.pad_cut);
    LK_TRY(cuda_kernel_keep(out, run_attention_grad, &s, sizeof s));
    out->scratch_nbytes = (2 * pairs(&s.sizes) + (table > pad ? table : pad)) * sizeof(float);
    return LK_OK;
}
