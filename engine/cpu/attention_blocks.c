/* Blocks of queries and keys: how they are gathered, multiplied and dropped, and who sees whom. */
#include "engine/cpu/attention.h"

#include "engine/cpu/bf16.h"
#include "engine/cpu/dropout.h"
#include "engine/cpu/small_gemm.h"

#include <math.h>

enum {
    B = CPU_ATTENTION_BLOCK,
    MULTIPLY_ADDS_PER_THREAD = 1 << 20, /* some ten microseconds: fewer are done before a thread has started */
    VECTOR = 16,                        /* floats */
    N_PANELS = 9, N_SQUARES = 3, N_ROWS = 3,
};
_Static_assert((int)B == (int)CPU_DROPOUT_WORDS, "a row of a block is what is drawn at once");

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }
static size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

/* ------------------------------------------------------------------- state */

lk_status cpu_attention_bind(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, int q, int k,
                             cpu_attention *state, lk_status (*run)(void *state, const lk_launch_args *args),
                             lk_kernel *out)
{
    const lk_tensor *queries = &graph->tensors[q], *keys = &graph->tensors[k];
    const lk_attention *attention = &node->attrs.attention;
    cpu_attention *s = state;

    s->q = cpu_ref_of(graph, q);
    s->k = cpu_ref_of(graph, k);
    s->queries = cpu_rows_of(graph, q), s->keys = cpu_rows_of(graph, k);
    s->N = (size_t)queries->shape[0], s->Lq = (size_t)queries->shape[1], s->Lk = (size_t)keys->shape[1];
    s->C = (size_t)queries->shape[2], s->heads = (size_t)attention->heads, s->D = s->C / s->heads;
    s->causal = attention->causal, s->cached = keys->arena == LK_ARENA_CACHE;
    s->p = attention->p, s->layer = attention->layer;
    s->dtype = queries->dtype, s->threads = ctx->threads;
    s->n_chunks = smaller(s->N * s->heads, (size_t)s->threads);
    s->chunk_floats = round_up((N_PANELS * B + s->Lq) * s->D, VECTOR) + N_SQUARES * B * B + N_ROWS * B;
    LK_TRY(cpu_kernel_keep(out, run, s, sizeof *s));
    out->scratch_nbytes = s->n_chunks * s->chunk_floats * sizeof(float) + 2 * (s->N + 1) * sizeof(uint32_t);
    return LK_OK;
}

/* --------------------------------------------------------------------- run */

static float *take(float **at, size_t n)
{
    float *taken = *at;

    *at += n;
    return taken;
}

static cpu_attention_head buffers_of(const cpu_attention_run *run, size_t chunk)
{
    const size_t panel = B * run->s->D, square = B * B;
    float *at = run->chunks + chunk * run->s->chunk_floats;

    return (cpu_attention_head){
        .p = take(&at, square), .dp = take(&at, square), .factor = take(&at, square), .row = take(&at, N_ROWS * B),
        .q = take(&at, panel), .dy = take(&at, panel), .k = take(&at, panel), .v = take(&at, panel),
        .k_turned = take(&at, panel), .v_turned = take(&at, panel), .out = take(&at, panel), .sum = take(&at, panel),
        .sum_dk = take(&at, panel), .sum_dq = at,
    };
}

typedef struct split {
    const cpu_attention_run *run;
    void (*body)(const cpu_attention_run *run, const cpu_attention_head *h);
} split;

/* Rows of a sample among those of all. */
static size_t find_rows(const uint32_t *begin, size_t sample, size_t L, size_t *first)
{
    *first = begin ? begin[sample] : sample * L;
    return begin ? begin[sample + 1] - begin[sample] : L;
}

static void find_sample(const cpu_attention_run *run, size_t sample, cpu_attention_head *h)
{
    const cpu_attention *s = run->s;
    const int32_t most = run->lengths ? run->lengths[sample] : INT32_MAX;

    h->sample = sample;
    h->n_queries = find_rows(run->first_query, sample, s->Lq, &h->first_query);
    h->n_rows = find_rows(run->first_key, sample, s->Lk, &h->first_key);
    h->n_keys = most > 0 ? smaller((size_t)most, h->n_rows) : 0;
}

static void do_chunks(void *arg, size_t begin, size_t end)
{
    const split *p = arg;
    const cpu_attention *s = p->run->s;
    const size_t n_heads = s->N * s->heads;

    for (size_t chunk = begin; chunk < end; chunk++) {
        cpu_attention_head h = buffers_of(p->run, chunk);

        for (size_t i = n_heads * chunk / s->n_chunks; i < n_heads * (chunk + 1) / s->n_chunks; i++) {
            find_sample(p->run, i / s->heads, &h);
            h.head = i % s->heads;
            p->body(p->run, &h);
        }
    }
}

/* Behind the chunks. */
static void find_begins(const cpu_attention *s, const lk_launch_args *args, cpu_attention_run *run)
{
    uint32_t *begin = (uint32_t *)(run->chunks + s->n_chunks * s->chunk_floats);

    if (s->queries.ends.present) cpu_rows_begin(&s->queries, args, begin), run->first_query = begin;
    begin += s->N + 1;
    if (s->keys.ends.present) cpu_rows_begin(&s->keys, args, begin), run->first_key = begin;
}

void cpu_attention_each(const cpu_attention *s, const lk_launch_args *args,
                        void (*body)(const cpu_attention_run *run, const cpu_attention_head *h))
{
    cpu_attention_run run = {
        .s = s, .q = cpu_at(args, s->q), .k = cpu_at(args, s->k), .v = cpu_at(args, s->v), .dy = cpu_at(args, s->dy),
        .y = cpu_at(args, s->y), .dq = cpu_at(args, s->dq), .dk = cpu_at(args, s->dk), .dv = cpu_at(args, s->dv),
        .log_sum = cpu_at(args, s->log_sum), .map = cpu_at(args, s->map), .lengths = cpu_at(args, s->lengths),
        .chunks = args->base[LK_ARENA_SCRATCH], .first = s->cached ? (size_t)args->position : 0,
        .sample = args->sample, .step = args->step,
        .key = lk_philox_key_new(args->seed, LK_PURPOSE_DROPOUT, s->layer),
    };
    split p = {&run, body};

    find_begins(s, args, &run);
    cpu_split(s->threads, s->n_chunks, 1 + MULTIPLY_ADDS_PER_THREAD * s->n_chunks / (s->N * s->Lq * s->Lk * s->C),
              do_chunks, &p);
}

/* ---------------------------------------------------------- who sees whom */

size_t cpu_attention_reach(const cpu_attention_run *run, const cpu_attention_head *h, cpu_attention_block queries)
{
    return run->s->causal ? smaller(h->n_keys, run->first + queries.begin + queries.n) : h->n_keys;
}

size_t cpu_attention_seen(const cpu_attention_run *run, const cpu_attention_head *h, size_t i, cpu_attention_block keys)
{
    const size_t end = run->s->causal ? smaller(h->n_keys, run->first + i + 1) : h->n_keys;

    return end > keys.begin ? smaller(end - keys.begin, keys.n) : 0;
}

/* ------------------------------------------------------------------ blocks */

CPU_INLINE void gather(float *restrict to, const void *x, size_t from, size_t C, size_t n, size_t D, float scale,
                       lk_dtype dtype)
{
    for (size_t i = 0; i < n; i++)
        for (size_t d = 0; d < D; d++) to[i * D + d] = cpu_load(x, from + i * C + d, dtype) * scale;
}

CPU_INLINE void scatter(const float *restrict from, void *x, size_t to, size_t C, size_t n, size_t D, float scale,
                        lk_dtype dtype)
{
    for (size_t i = 0; i < n; i++)
        for (size_t d = 0; d < D; d++) cpu_store(x, to + i * C + d, from[i * D + d] * scale, dtype);
}

void cpu_attention_gather(const cpu_attention_run *run, const cpu_attention_head *h, const void *x, size_t first,
                          cpu_attention_block at, float scale, float *to)
{
    const cpu_attention *s = run->s;
    const size_t from = cpu_attention_place(s, h, first + at.begin);

    if (s->dtype == LK_DTYPE_BF16) gather(to, x, from, s->C, at.n, s->D, scale, LK_DTYPE_BF16);
    else gather(to, x, from, s->C, at.n, s->D, scale, LK_DTYPE_F32);
}

void cpu_attention_scatter(const cpu_attention_run *run, const cpu_attention_head *h, void *x, size_t first,
                           cpu_attention_block at, const float *from, float scale)
{
    const cpu_attention *s = run->s;
    const size_t to = cpu_attention_place(s, h, first + at.begin);

    if (s->dtype == LK_DTYPE_BF16) scatter(from, x, to, s->C, at.n, s->D, scale, LK_DTYPE_BF16);
    else scatter(from, x, to, s->C, at.n, s->D, scale, LK_DTYPE_F32);
}

void cpu_attention_turn(const cpu_attention *s, const float *restrict x, size_t n, float *restrict turned)
{
    const size_t width = round_up(n, VECTOR);

    for (size_t d = 0; d < s->D; d++) {
        for (size_t j = 0; j < n; j++) turned[d * B + j] = x[j * s->D + d];
        for (size_t j = n; j < width; j++) turned[d * B + j] = 0.0f;
    }
}

void cpu_attention_product(const cpu_attention *s, const float *a, const float *turned, size_t n_queries, size_t n_keys,
                           float *p)
{
    small_gemm(p, B, (small_matrix){a, s->D, 1}, turned, B, NULL, n_queries, round_up(n_keys, VECTOR), s->D);
}

void cpu_attention_draw(const cpu_attention_run *run, const cpu_attention_head *h, cpu_attention_block queries,
                        cpu_attention_block keys)
{
    const cpu_attention *s = run->s;
    const int64_t sample = run->sample[h->sample];
    const uint32_t threshold = lk_dropout_threshold(s->p), k = (uint32_t)(keys.begin / LK_DROPOUT_GROUP);
    const uint32_t head = (uint32_t)h->head, heads = (uint32_t)s->heads;
    const float scale = (float)(1.0 / (1.0 - s->p));
    const bool two_rows = cpu_attention_width(keys.n) == LK_DROPOUT_GROUP; /* two groups are drawn at once: of a row, or
                                                                            * of two short ones */
    uint32_t words[CPU_DROPOUT_WORDS];

    for (size_t r = 0; r < queries.n; r += 1 + two_rows) {
        const uint32_t i = (uint32_t)(queries.begin + r);
        const uint32_t second = lk_attention_group(i + two_rows, k + !two_rows, head, heads);
        const cpu_dropout_group a = cpu_dropout_group_of(run->step, sample, lk_attention_group(i, k, head, heads)),
                                b = cpu_dropout_group_of(run->step, sample, second);
        float *to[] = {h->factor + r * B, h->factor + r * B + (two_rows ? B : LK_DROPOUT_GROUP)};

        cpu_dropout_draw(run->key, run->step, &a, &b, words);
        for (size_t g = 0; g < CPU_DROPOUT_GROUPS; g++)
            for (size_t j = 0; j < LK_DROPOUT_GROUP; j++)
                to[g][j] = lk_dropout_keep(words[g * LK_DROPOUT_GROUP + j], threshold) ? scale : 0.0f;
    }
}

void cpu_attention_drop(const cpu_attention_head *h, size_t n_queries, size_t n_keys, const float *from, float *to)
{
    const size_t width = cpu_attention_width(n_keys);

    for (size_t at = 0; at < n_queries * B; at += B)
        for (size_t j = at; j < at + width; j++) to[j] = from[j] * h->factor[j];
}
