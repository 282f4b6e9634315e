/*
 * Attention over up to 16 keys, and its gradient: sentences.  A query's row of S is a vector or two, and half of that
 * where keys are 8 at most; nothing is gathered into blocks, and the results have the bits that blocks give, for every
 * sum has their order.  The formulas are in engine/ops/attention.c.
 *
 * The loops are compiled for each usual number of channels, which is too small for a loop that learns it at run time.
 * Products keep their sums in registers by name: left to itself, gcc writes and reads them with each step.
 */
#include "engine/cpu/attention.h"

#include "engine/base/formulas.h"
#include "engine/cpu/dropout.h"
#include "engine/cpu/partials.h"
#include "engine/cpu/small_gemm.h"
#include "engine/cpu/vector.h"

#include <math.h>

enum {
    KEYS = CPU_PARTIALS / 2,
    FEW_KEYS = KEYS / 2, /* up to which a row of S is half as wide */
    CHANNELS = 64, /* the most */
    GROUP = 16,    /* queries that take each step together: what one waits for, another has to do */
};

/* The keys and values of one head.  K, the width of a row of S, is KEYS or FEW_KEYS. */
typedef struct key_side {
    float k_turned[CHANNELS * KEYS], v_turned[CHANNELS * KEYS]; /* (D, K) */
    float k[KEYS * CHANNELS], v[KEYS * CHANNELS];               /* (n_keys, D) */
} key_side;

/* A group of queries. */
typedef struct query_side {
    size_t begin, n;
    float q[GROUP * CHANNELS], dy[GROUP * CHANNELS]; /* (n, D); q is divided by sqrt(D) */
    float y[GROUP * CHANNELS]; /* (n, D): y, or dq */
    float p[GROUP * KEYS], dropped[GROUP * KEYS], ds[GROUP * KEYS]; /* (n, K) */
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

/* turned (D, K) = rows (n, D), 0 behind n. */
CPU_INLINE void turn(const float *restrict rows, size_t n, const size_t D, const size_t K, float *restrict turned)
{
    float all[KEYS * CHANNELS];

    memcpy(all, rows, n * D * sizeof *all);
    memset(all + n * D, 0, (K - n) * D * sizeof *all);
    for (size_t j = 0; j < K; j += CPU_TURN)
        for (size_t d = 0; d < D; d += CPU_TURN) cpu_turn(turned + d * K + j, K, all + j * D + d, D);
}

/* As many rows of c as keep eight vectors in flight. */
#define ROWS_OF(width) ((width) >= 8 * CPU_WIDE ? 1 : (width) <= CPU_WIDE ? 8 : 8 * CPU_WIDE / (width))

/* c (rows, width) = a (rows, k) b (k, width), or onto what is there: a chain of fused multiply-adds an element. */
CPU_INLINE void product_rows(float *restrict c, small_matrix a, const float *restrict b, size_t k, bool onto,
                             const size_t rows, const size_t width)
{
    cpu_vector sum[8][CHANNELS / CPU_WIDE];
    const size_t vectors = (width + CPU_WIDE - 1) / CPU_WIDE;

#define WIDTH(v) (width < CPU_WIDE ? width : CPU_WIDE)
#pragma GCC unroll 8
    for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 16
        for (size_t v = 0; v < vectors; v++)
            sum[r][v] = onto ? cpu_vector_load(c + r * width + v * CPU_WIDE, WIDTH(v)) : cpu_vector_all(0.0f);
    for (size_t i = 0; i < k; i++)
#pragma GCC unroll 16
        for (size_t v = 0; v < vectors; v++) {
            const cpu_vector bs = cpu_vector_load(b + i * width + v * CPU_WIDE, WIDTH(v));
#pragma GCC unroll 8
            for (size_t r = 0; r < rows; r++)
                sum[r][v] = cpu_vector_multiply_add(cpu_vector_all(a.at[r * a.row + i * a.col]), bs, sum[r][v]);
        }
#pragma GCC unroll 8
    for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 16
        for (size_t v = 0; v < vectors; v++) cpu_vector_store(c + r * width + v * CPU_WIDE, sum[r][v], WIDTH(v));
#undef WIDTH
}

/* And of m rows, for each width: by themselves, for all heads' shapes together took compilers a minute. */
#define PRODUCT(width)                                                                                             \
    static __attribute__((noinline)) void product_##width(float *c, small_matrix a, const float *b, size_t m,      \
                                                          size_t k, bool onto)                                     \
    {                                                                                                              \
        enum { ROWS = ROWS_OF(width), FEW = ROWS > 1 ? ROWS / 2 : 1 };                                             \
                                                                                                                   \
        for (; m >= ROWS; m -= ROWS, c += ROWS * (width), a.at += ROWS * a.row)                                    \
            product_rows(c, a, b, k, onto, ROWS, width);                                                           \
        for (; m >= FEW; m -= FEW, c += FEW * (width), a.at += FEW * a.row)                                        \
            product_rows(c, a, b, k, onto, FEW, width);                                                            \
        for (; m > 0; m--, c += (width), a.at += a.row) product_rows(c, a, b, k, onto, 1, width);                  \
    }
PRODUCT(8) PRODUCT(16) PRODUCT(32) PRODUCT(64)

/* width: known where it is inlined, one of those. */
CPU_INLINE void product(float *c, small_matrix a, const float *b, size_t m, size_t k, bool onto, const size_t width)
{
    if (width == 8) product_8(c, a, b, m, k, onto);
    else if (width == 16) product_16(c, a, b, m, k, onto);
    else if (width == 32) product_32(c, a, b, m, k, onto);
    else product_64(c, a, b, m, k, onto);
}

/* s (n, K) = a (n, D) turned (D, K). */
CPU_INLINE void look_at(float *s, const float *a, size_t n, const float *turned, const size_t D,
                        const size_t K)
{
    product(s, (small_matrix){a, D, 1}, turned, n, D, false, K);
}

/* What dropout multiplies the row of P of the group's query i by. */
CPU_INLINE void find_factors(const cpu_attention_run *run, const cpu_attention_head *h, size_t query,
                             float factor[KEYS], const size_t K)
{
    const cpu_attention *s = run->s;
    const uint32_t threshold = lk_dropout_threshold(s->p);
    const float scale = (float)(1.0 / (1.0 - s->p));
    const cpu_dropout_group group =
        cpu_dropout_group_of(run->step, run->sample[h->sample],
                             lk_attention_group((uint32_t)query, 0, (uint32_t)h->head, (uint32_t)s->heads));
    uint32_t words[LK_DROPOUT_GROUP];

    cpu_dropout_draw_group(run->key, run->step, &group, words);
#pragma omp simd
    for (size_t j = 0; j < K; j++) factor[j] = lk_dropout_keep(words[j], threshold) ? scale : 0.0f;
}

CPU_INLINE void multiply_row(float *to, const float *from, const float *factor, const size_t K)
{
#pragma omp simd
    for (size_t j = 0; j < K; j++) to[j] = from[j] * factor[j];
}

/* Keys that query i sees, of so many. */
static size_t seen_by(const cpu_attention_run *run, size_t n_keys, size_t i)
{
    return run->s->causal && run->first + i + 1 < n_keys ? run->first + i + 1 : n_keys;
}

/* S is -infinity where a query does not look. */
CPU_INLINE void hide(const cpu_attention_run *run, query_side *of, size_t n_keys, const size_t K)
{
    for (size_t i = 0; i < of->n; i++)
        for (size_t j = seen_by(run, n_keys, of->begin + i); j < K; j++) of->p[i * K + j] = -INFINITY;
}

/* p, S, becomes e^(S - shift). */
CPU_INLINE void exponentials(query_side *of, const float *restrict shift, const size_t K)
{
    for (size_t i = 0; i < of->n; i++) {
        float *restrict row = of->p + i * K;
        const float by = shift[i];

#pragma omp simd
        for (size_t j = 0; j < K; j++) row[j] = lk_exp(row[j] - by);
    }
}

/* Of a row of K, in the order of a whole one: what it lacks is 0, or -infinity. */
CPU_INLINE float sum_of(const float *row, const size_t K)
{
    return K == KEYS ? cpu_add_half(row) : cpu_add_quarter(row);
}
CPU_INLINE float largest_of(const float *row, const size_t K)
{
    return K == KEYS ? cpu_max_half(row) : cpu_max_quarter(row);
}

/* The group's y and log_sum. */
CPU_INLINE void attend(const cpu_attention_run *run, const cpu_attention_head *h, const key_side *keys, query_side *of,
                       size_t n_keys, float *log_sum, const size_t D, const size_t K, lk_dtype dtype)
{
    float largest[GROUP], inv_sum[GROUP];
    const size_t first = h->first_query + of->begin;

    load_rows(run, h, run->q, first, of->n, 1.0f / sqrtf((float)D), D, of->q, dtype);
    look_at(of->p, of->q, of->n, keys->k_turned, D, K);
    hide(run, of, n_keys, K);
    for (size_t i = 0; i < of->n; i++) largest[i] = largest_of(of->p + i * K, K);
    exponentials(of, largest, K);
    for (size_t i = 0; i < of->n; i++) {
        const float sum = sum_of(of->p + i * K, K);

        log_sum[of->begin + i] = n_keys > 0 ? largest[i] + logf(sum) : 0.0f;
        inv_sum[i] = n_keys > 0 ? 1.0f / sum : 0.0f;
    }
    for (size_t i = 0; run->s->p > 0.0 && i < of->n; i++) {
        float factor[KEYS];

        find_factors(run, h, of->begin + i, factor, K);
        multiply_row(of->p + i * K, of->p + i * K, factor, K);
    }
    product(of->y, (small_matrix){of->p, K, 1}, keys->v, of->n, n_keys, false, D);
    for (size_t i = 0; i < of->n; i++)
        store_row(run->y, cpu_attention_place(run->s, h, first + i), of->y + i * D, D, inv_sum[i], dtype);
}

CPU_INLINE void attend_all(const cpu_attention_run *run, const cpu_attention_head *h, const size_t D,
                           const size_t K, lk_dtype dtype)
{
    const cpu_attention *s = run->s;
    const size_t n_keys = cpu_attention_reach(run, h, (cpu_attention_block){0, h->n_queries});
    float *log_sum = run->log_sum + (h->sample * s->heads + h->head) * s->Lq;
    key_side keys;
    query_side of;

    load_rows(run, h, run->k, h->first_key, n_keys, 1.0f, D, keys.k, dtype);
    load_rows(run, h, run->v, h->first_key, n_keys, 1.0f, D, keys.v, dtype);
    turn(keys.k, n_keys, D, K, keys.k_turned);
    for (of.begin = 0; of.begin < h->n_queries; of.begin += of.n) {
        of.n = h->n_queries - of.begin < GROUP ? h->n_queries - of.begin : GROUP;
        attend(run, h, &keys, &of, n_keys, log_sum, D, K, dtype);
    }
}

/* ds, dP so far, becomes P (dP - delta), and dropped P times the factors of dropout, which dP gets too. */
CPU_INLINE void find_ds(const cpu_attention_run *run, const cpu_attention_head *h, query_side *of, const size_t D,
                        const size_t K, lk_dtype dtype)
{
    for (size_t i = 0; i < of->n; i++) {
        const size_t at = cpu_attention_place(run->s, h, h->first_query + of->begin + i);
        const float *restrict p = of->p + i * K;
        float *restrict ds = of->ds + i * K, factor[KEYS], delta = 0.0f;

        for (size_t d = 0; d < D; d++) delta += of->dy[i * D + d] * cpu_load(run->y, at + d, dtype);
        if (run->s->p > 0.0) {
            find_factors(run, h, of->begin + i, factor, K);
            multiply_row(of->dropped + i * K, p, factor, K);
            multiply_row(ds, ds, factor, K);
        }
#pragma omp simd
        for (size_t j = 0; j < K; j++) ds[j] = p[j] * (ds[j] - delta);
    }
}

/* The group's dq, and its part of dk and dv (n_keys, D). */
CPU_INLINE void attend_back(const cpu_attention_run *run, const cpu_attention_head *h, const key_side *keys,
                            query_side *of, float *dk, float *dv, const size_t D, const size_t K, lk_dtype dtype)
{
    const cpu_attention *s = run->s;
    const size_t first = h->first_query + of->begin;
    const float *dropped = s->p > 0.0 ? of->dropped : of->p, root = 1.0f / sqrtf((float)D);

    load_rows(run, h, run->q, first, of->n, root, D, of->q, dtype);
    load_rows(run, h, run->dy, first, of->n, 1.0f, D, of->dy, dtype);
    look_at(of->p, of->q, of->n, keys->k_turned, D, K);
    look_at(of->ds, of->dy, of->n, keys->v_turned, D, K);
    hide(run, of, h->n_keys, K);
    exponentials(of, run->log_sum + (h->sample * s->heads + h->head) * s->Lq + of->begin, K);
    find_ds(run, h, of, D, K, dtype);
    product(dv, (small_matrix){dropped, 1, K}, of->dy, h->n_keys, of->n, true, D);
    product(dk, (small_matrix){of->ds, 1, K}, of->q, h->n_keys, of->n, true, D);
    if (!run->dq) return;
    product(of->y, (small_matrix){of->ds, K, 1}, keys->k, of->n, h->n_keys, false, D);
    for (size_t i = 0; i < of->n; i++)
        store_row(run->dq, cpu_attention_place(s, h, first + i), of->y + i * D, D, root, dtype);
}

CPU_INLINE void attend_back_all(const cpu_attention_run *run, const cpu_attention_head *h, const size_t D,
                                const size_t K, lk_dtype dtype)
{
    float dk[KEYS * CHANNELS], dv[KEYS * CHANNELS];
    const float none[CHANNELS] = {0}; /* what a key that nobody sees gets */
    key_side keys;
    query_side of;

    load_rows(run, h, run->k, h->first_key, h->n_keys, 1.0f, D, keys.k, dtype);
    load_rows(run, h, run->v, h->first_key, h->n_keys, 1.0f, D, keys.v, dtype);
    turn(keys.k, h->n_keys, D, K, keys.k_turned);
    turn(keys.v, h->n_keys, D, K, keys.v_turned);
    memset(dk, 0, h->n_keys * D * sizeof *dk);
    memset(dv, 0, h->n_keys * D * sizeof *dv);
    for (of.begin = 0; of.begin < h->n_queries; of.begin += of.n) {
        of.n = h->n_queries - of.begin < GROUP ? h->n_queries - of.begin : GROUP;
        attend_back(run, h, &keys, &of, dk, dv, D, K, dtype);
    }
    for (size_t j = 0; j < h->n_rows; j++) {
        const size_t at = cpu_attention_place(run->s, h, h->first_key + j);

        if (run->dk) store_row(run->dk, at, j < h->n_keys ? dk + j * D : none, D, 1.0f, dtype);
        if (run->dv) store_row(run->dv, at, j < h->n_keys ? dv + j * D : none, D, 1.0f, dtype);
    }
}

/* body(run, h) with the head's channels and the width of a row of S known to the compiler. */
#define FOR_CHANNELS(body, D)                                                     \
    case D:                                                                       \
        if (n_keys <= FEW_KEYS) body(run, h, D, FEW_KEYS, run->s->dtype);         \
        else body(run, h, D, KEYS, run->s->dtype);                                \
        return true;
#define FOR_HEAD(body)                                                            \
    switch (run->s->D) {                                                          \
        FOR_CHANNELS(body, 8) FOR_CHANNELS(body, 16) FOR_CHANNELS(body, 32) FOR_CHANNELS(body, CHANNELS) \
    default: return false;                                                        \
    }

bool cpu_attention_short(const cpu_attention_run *run, const cpu_attention_head *h)
{
    const size_t n_keys = cpu_attention_reach(run, h, (cpu_attention_block){0, h->n_queries});

    if (n_keys > KEYS) return false;
    FOR_HEAD(attend_all)
}

/* Behind one block of queries the order of sums is another. */
bool cpu_attention_short_grad(const cpu_attention_run *run, const cpu_attention_head *h)
{
    const size_t n_keys = h->n_keys;

    if (n_keys > KEYS || h->n_queries > CPU_ATTENTION_BLOCK) return false;
    FOR_HEAD(attend_back_all)
}
