/*
 * Attention over up to 16 keys, and its gradient: sentences.  A query's row of S is one vector that does not leave the
 * registers, and nothing is gathered into blocks; the results have the bits that blocks give, for every sum has their
 * order.  The formulas are in engine/ops/attention.c.
 *
 * The loops are compiled for each usual number of channels, which is too small for a loop that learns it at run time.
 */
#include "engine/cpu/attention.h"

#include "engine/base/formulas.h"
#include "engine/cpu/dropout.h"
#include "engine/cpu/partials.h"
#include "engine/cpu/vector.h"

#include <math.h>

enum {
    KEYS = CPU_PARTIALS / 2,
    CHANNELS = 64, /* the most */
    GROUP = 16,    /* queries that take each step together: what one waits for, another has to do */
};

/* The keys and values of one head. */
typedef struct key_side {
    float k_turned[CHANNELS * KEYS], v_turned[CHANNELS * KEYS]; /* (D, KEYS) */
    float k[KEYS * CHANNELS], v[KEYS * CHANNELS];               /* (KEYS, D) */
} key_side;

/* A group of queries. */
typedef struct query_side {
    size_t begin, n;
    float q[GROUP * CHANNELS], dy[GROUP * CHANNELS]; /* (n, D); q is divided by sqrt(D) */
    float p[GROUP * KEYS], dropped[GROUP * KEYS], ds[GROUP * KEYS];
} query_side;

CPU_INLINE void load_row(float *restrict to, const void *x, size_t at, const size_t D, float scale, lk_dtype dtype)
{
#pragma omp simd
    for (size_t d = 0; d < D; d++) to[d] = cpu_load(x, at + d, dtype) * scale;
}

CPU_INLINE void store_row(void *x, size_t at, const float *restrict from, const size_t D, float scale, lk_dtype dtype)
{
#pragma omp simd
    for (size_t d = 0; d < D; d++) cpu_store(x, at + d, from[d] * scale, dtype);
}

/* rows (n, D) of x, from this row of all samples on. */
CPU_INLINE void load_rows(const cpu_attention_run *run, const cpu_attention_head *h, const void *x, size_t first,
                          size_t n, float scale, const size_t D, float *restrict rows, lk_dtype dtype)
{
    for (size_t i = 0; i < n; i++)
        load_row(rows + i * D, x, cpu_attention_place(run->s, h, first + i), D, scale, dtype);
}

/* turned (D, KEYS) = rows (n, D), 0 behind n. */
CPU_INLINE void turn(const float *restrict rows, size_t n, const size_t D, float *restrict turned)
{
    memset(turned, 0, D * KEYS * sizeof *turned);
    for (size_t j = 0; j < n; j++)
        for (size_t d = 0; d < D; d++) turned[d * KEYS + j] = rows[j * D + d];
}

/* s (n, KEYS) = a (n, D) turned (D, KEYS). */
CPU_INLINE void look_at(float *restrict s, const float *restrict a, size_t n, const float *restrict turned,
                        const size_t D)
{
    for (size_t i = 0; i < n; i++) {
        float sum[KEYS] = {0};

        for (size_t d = 0; d < D; d++)
#pragma omp simd
            for (size_t j = 0; j < KEYS; j++) sum[j] = CPU_MULTIPLY_ADD(a[i * D + d], turned[d * KEYS + j], sum[j]);
        memcpy(s + i * KEYS, sum, sizeof sum);
    }
}

/* to (D) += weight (n) rows (n, D), where weights are `stride` apart. */
CPU_INLINE void mix(float *restrict to, const float *restrict weight, size_t stride, const float *restrict rows,
                    size_t n, const size_t D)
{
    float sum[CHANNELS];

    memcpy(sum, to, D * sizeof *to);
    for (size_t i = 0; i < n; i++)
#pragma omp simd
        for (size_t d = 0; d < D; d++) sum[d] = CPU_MULTIPLY_ADD(weight[i * stride], rows[i * D + d], sum[d]);
    memcpy(to, sum, D * sizeof *to);
}

/* to (n, KEYS) = from times what dropout multiplies the queries' rows of P by; the arrays may be the same. */
CPU_INLINE void drop(const cpu_attention_run *run, const cpu_attention_head *h, const query_side *of, const float *from,
                     float *to, const float *also_from, float *also_to)
{
    const cpu_attention *s = run->s;
    const uint32_t threshold = lk_dropout_threshold(s->p);
    const float scale = (float)(1.0 / (1.0 - s->p));

    for (size_t i = 0; i < of->n; i++) {
        const cpu_dropout_group group = cpu_dropout_group_of(
            run->step, run->sample[h->sample],
            lk_attention_group((uint32_t)(of->begin + i), 0, (uint32_t)h->head, (uint32_t)s->heads));
        uint32_t words[LK_DROPOUT_GROUP];

        cpu_dropout_draw_group(run->key, run->step, &group, words);
#pragma omp simd
        for (size_t j = 0; j < KEYS; j++) {
            const float factor = lk_dropout_keep(words[j], threshold) ? scale : 0.0f;

            to[i * KEYS + j] = from[i * KEYS + j] * factor;
            if (also_to) also_to[i * KEYS + j] = also_from[i * KEYS + j] * factor;
        }
    }
}

/* Keys that query i sees, of so many. */
static size_t seen_by(const cpu_attention_run *run, size_t n_keys, size_t i)
{
    return run->s->causal && run->first + i + 1 < n_keys ? run->first + i + 1 : n_keys;
}

/* S is -infinity where a query does not look. */
CPU_INLINE void hide(const cpu_attention_run *run, query_side *of, size_t n_keys)
{
    for (size_t i = 0; i < of->n; i++)
        for (size_t j = seen_by(run, n_keys, of->begin + i); j < KEYS; j++) of->p[i * KEYS + j] = -INFINITY;
}

/* p, S, becomes e^(S - shift). */
CPU_INLINE void exponentials(query_side *of, const float *restrict shift)
{
    for (size_t i = 0; i < of->n; i++)
#pragma omp simd
        for (size_t j = 0; j < KEYS; j++) of->p[i * KEYS + j] = lk_exp(of->p[i * KEYS + j] - shift[i]);
}

/* The group's y and log_sum. */
CPU_INLINE void attend(const cpu_attention_run *run, const cpu_attention_head *h, const key_side *keys, query_side *of,
                       size_t n_keys, float *log_sum, const size_t D, lk_dtype dtype)
{
    float largest[GROUP], inv_sum[GROUP];
    const size_t first = h->first_query + of->begin;

    load_rows(run, h, run->q, first, of->n, 1.0f / sqrtf((float)D), D, of->q, dtype);
    look_at(of->p, of->q, of->n, keys->k_turned, D);
    hide(run, of, n_keys);
    for (size_t i = 0; i < of->n; i++) largest[i] = cpu_max_half(of->p + i * KEYS);
    exponentials(of, largest);
    for (size_t i = 0; i < of->n; i++) {
        const float sum = cpu_add_half(of->p + i * KEYS);

        log_sum[of->begin + i] = n_keys > 0 ? largest[i] + logf(sum) : 0.0f;
        inv_sum[i] = n_keys > 0 ? 1.0f / sum : 0.0f;
    }
    if (run->s->p > 0.0) drop(run, h, of, of->p, of->p, NULL, NULL);
    for (size_t i = 0; i < of->n; i++) {
        float row[CHANNELS] = {0};

        mix(row, of->p + i * KEYS, 1, keys->v, n_keys, D);
        store_row(run->y, cpu_attention_place(run->s, h, first + i), row, D, inv_sum[i], dtype);
    }
}

CPU_INLINE void attend_all(const cpu_attention_run *run, const cpu_attention_head *h, const size_t D, lk_dtype dtype)
{
    const cpu_attention *s = run->s;
    const size_t n_keys = cpu_attention_reach(run, h, (cpu_attention_block){0, h->n_queries});
    float *log_sum = run->log_sum + (h->sample * s->heads + h->head) * s->Lq;
    key_side keys;
    query_side of;

    load_rows(run, h, run->k, h->first_key, n_keys, 1.0f, D, keys.k, dtype);
    load_rows(run, h, run->v, h->first_key, n_keys, 1.0f, D, keys.v, dtype);
    turn(keys.k, n_keys, D, keys.k_turned);
    for (of.begin = 0; of.begin < h->n_queries; of.begin += of.n) {
        of.n = h->n_queries - of.begin < GROUP ? h->n_queries - of.begin : GROUP;
        attend(run, h, &keys, &of, n_keys, log_sum, D, dtype);
    }
}

/* ds, dP so far, becomes P (dP - delta). */
CPU_INLINE void find_ds(const cpu_attention_run *run, const cpu_attention_head *h, query_side *of, const size_t D,
                        lk_dtype dtype)
{
    for (size_t i = 0; i < of->n; i++) {
        const size_t at = cpu_attention_place(run->s, h, h->first_query + of->begin + i);
        float delta = 0.0f;

        for (size_t d = 0; d < D; d++) delta += of->dy[i * D + d] * cpu_load(run->y, at + d, dtype);
#pragma omp simd
        for (size_t j = 0; j < KEYS; j++) of->ds[i * KEYS + j] = of->p[i * KEYS + j] * (of->ds[i * KEYS + j] - delta);
    }
}

/* The group's dq, and its part of dk and dv (KEYS, D). */
CPU_INLINE void attend_back(const cpu_attention_run *run, const cpu_attention_head *h, const key_side *keys,
                            query_side *of, float *dk, float *dv, const size_t D, lk_dtype dtype)
{
    const cpu_attention *s = run->s;
    const size_t first = h->first_query + of->begin;
    const float *dropped = of->p, root = 1.0f / sqrtf((float)D);

    load_rows(run, h, run->q, first, of->n, root, D, of->q, dtype);
    load_rows(run, h, run->dy, first, of->n, 1.0f, D, of->dy, dtype);
    look_at(of->p, of->q, of->n, keys->k_turned, D);
    look_at(of->ds, of->dy, of->n, keys->v_turned, D);
    hide(run, of, h->n_keys);
    exponentials(of, run->log_sum + (h->sample * s->heads + h->head) * s->Lq + of->begin);
    if (s->p > 0.0) drop(run, h, of, of->p, of->dropped, of->ds, of->ds), dropped = of->dropped;
    find_ds(run, h, of, D, dtype);
    for (size_t j = 0; j < h->n_keys; j++) {
        mix(dv + j * D, dropped + j, KEYS, of->dy, of->n, D);
        mix(dk + j * D, of->ds + j, KEYS, of->q, of->n, D);
    }
    for (size_t i = 0; run->dq && i < of->n; i++) {
        float dq[CHANNELS] = {0};

        mix(dq, of->ds + i * KEYS, 1, keys->k, h->n_keys, D);
        store_row(run->dq, cpu_attention_place(s, h, first + i), dq, D, root, dtype);
    }
}

CPU_INLINE void attend_back_all(const cpu_attention_run *run, const cpu_attention_head *h, const size_t D,
                                lk_dtype dtype)
{
    float dk[KEYS * CHANNELS], dv[KEYS * CHANNELS];
    const float none[CHANNELS] = {0}; /* what a key that nobody sees gets */
    key_side keys;
    query_side of;

    load_rows(run, h, run->k, h->first_key, h->n_keys, 1.0f, D, keys.k, dtype);
    load_rows(run, h, run->v, h->first_key, h->n_keys, 1.0f, D, keys.v, dtype);
    turn(keys.k, h->n_keys, D, keys.k_turned);
    turn(keys.v, h->n_keys, D, keys.v_turned);
    memset(dk, 0, h->n_keys * D * sizeof *dk);
    memset(dv, 0, h->n_keys * D * sizeof *dv);
    for (of.begin = 0; of.begin < h->n_queries; of.begin += of.n) {
        of.n = h->n_queries - of.begin < GROUP ? h->n_queries - of.begin : GROUP;
        attend_back(run, h, &keys, &of, dk, dv, D, dtype);
    }
    for (size_t j = 0; j < h->n_rows; j++) {
        const size_t at = cpu_attention_place(run->s, h, h->first_key + j);

        if (run->dk) store_row(run->dk, at, j < h->n_keys ? dk + j * D : none, D, 1.0f, dtype);
        if (run->dv) store_row(run->dv, at, j < h->n_keys ? dv + j * D : none, D, 1.0f, dtype);
    }
}

/* body(run, h) with the head's channels and type known to the compiler. */
#define FOR_CHANNELS(body, D)                                                     \
    case D:                                                                       \
        if (run->s->dtype == LK_DTYPE_BF16) body(run, h, D, LK_DTYPE_BF16);       \
        else body(run, h, D, LK_DTYPE_F32);                                       \
        return true;
#define FOR_HEAD(body)                                                            \
    switch (run->s->D) {                                                          \
        FOR_CHANNELS(body, 8) FOR_CHANNELS(body, 16) FOR_CHANNELS(body, 32) FOR_CHANNELS(body, CHANNELS) \
    default: return false;                                                        \
    }

bool cpu_attention_short(const cpu_attention_run *run, const cpu_attention_head *h)
{
    if (cpu_attention_reach(run, h, (cpu_attention_block){0, h->n_queries}) > KEYS) return false;
    FOR_HEAD(attend_all)
}

/* Behind one block of queries the order of sums is another. */
bool cpu_attention_short_grad(const cpu_attention_run *run, const cpu_attention_head *h)
{
    if (h->n_keys > KEYS || h->n_queries > CPU_ATTENTION_BLOCK) return false;
    FOR_HEAD(attend_back_all)
}
