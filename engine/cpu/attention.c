/* Attention, keys going by in blocks; and the probabilities themselves.  The formulas are in engine/ops/attention.c. */
#include "engine/cpu/attention.h"

#include "engine/base/formulas.h"
#include "engine/cpu/partials.h"
#include "engine/cpu/small_gemm.h"

#include <math.h>

enum { B = CPU_ATTENTION_BLOCK };

/* What a row of S comes to so far. */
typedef struct seen_row { float largest, sum; } seen_row;

/* The first n of s (width) become e^(s - the row's new maximum), those behind them 0.  Returns what everything of the
 * row so far must be multiplied by.  n >= 1. */
static float soften(float *restrict s, size_t n, size_t width, seen_row *row)
{
    float lane[CPU_PARTIALS];

    for (size_t j = n; j < width; j++) s[j] = -INFINITY;
    for (size_t k = 0; k < CPU_PARTIALS; k++) lane[k] = s[k];
    for (size_t k = 0; k < width - CPU_PARTIALS; k++) lane[k] = CPU_LARGER(lane[k], s[k + CPU_PARTIALS]);
    const float here = cpu_max_partials(lane), largest = CPU_LARGER(row->largest, here);

    for (size_t j = 0; j < width; j++) s[j] = lk_exp(s[j] - largest);
    for (size_t k = 0; k < CPU_PARTIALS; k++) lane[k] = s[k];
    for (size_t k = 0; k < width - CPU_PARTIALS; k++) lane[k] += s[k + CPU_PARTIALS];
    const float shrink = lk_exp(row->largest - largest);

    row->sum = row->sum * shrink + cpu_add_partials(lane);
    row->largest = largest;
    return shrink;
}

/* One block of keys: h->sum = h->sum * shrink + P v, row by row. */
static void attend_to(const cpu_attention_run *run, const cpu_attention_head *h, cpu_attention_block queries,
                      cpu_attention_block keys, seen_row *row)
{
    const cpu_attention *s = run->s;
    float *shrink = h->row;

    cpu_attention_gather(run, h, run->k, h->first_key, keys, 1.0f, h->k);
    cpu_attention_gather(run, h, run->v, h->first_key, keys, 1.0f, h->v);
    cpu_attention_turn(s, h->k, keys.n, h->k_turned);
    cpu_attention_product(s, h->q, h->k_turned, queries.n, keys.n, h->p);
    for (size_t r = 0; r < queries.n; r++) {
        const size_t n = cpu_attention_seen(run, h, queries.begin + r, keys);

        if (n > 0) shrink[r] = soften(h->p + r * B, n, cpu_attention_width(keys.n), &row[r]);
        else memset(h->p + r * B, 0, B * sizeof *h->p), shrink[r] = 1.0f;
    }
    if (s->p > 0.0) {
        cpu_attention_draw(run, h, queries, keys);
        cpu_attention_drop(h, queries.n, keys.n, h->p, h->p);
    }
    small_gemm(h->out, s->D, (small_matrix){h->p, B, 1}, h->v, s->D, NULL, queries.n, s->D, keys.n);
    for (size_t r = 0; r < queries.n; r++)
        for (size_t d = 0; d < s->D; d++)
            h->sum[r * s->D + d] = h->sum[r * s->D + d] * shrink[r] + h->out[r * s->D + d];
}

static void attend(const cpu_attention_run *run, const cpu_attention_head *h, cpu_attention_block queries)
{
    const cpu_attention *s = run->s;
    const size_t reach = cpu_attention_reach(run, h, queries);
    float *log_sum = run->log_sum + (h->sample * s->heads + h->head) * s->Lq + queries.begin;
    seen_row row[B];

    cpu_attention_gather(run, h, run->q, h->first_query, queries, 1.0f / sqrtf((float)s->D), h->q);
    memset(h->sum, 0, queries.n * s->D * sizeof *h->sum);
    for (size_t r = 0; r < queries.n; r++) row[r] = (seen_row){-INFINITY, 0.0f};
    for (size_t j = 0; j < reach; j += B) attend_to(run, h, queries, cpu_attention_block_at(j, reach), row);
    for (size_t r = 0; r < queries.n; r++) {
        const float inv_sum = reach > 0 ? 1.0f / row[r].sum : 0.0f;

        log_sum[r] = reach > 0 ? row[r].largest + logf(row[r].sum) : 0.0f;
        for (size_t d = 0; d < s->D; d++) h->sum[r * s->D + d] *= inv_sum;
    }
    cpu_attention_scatter(run, h, run->y, h->first_query, queries, h->sum, 1.0f);
}

static void attend_all(const cpu_attention_run *run, const cpu_attention_head *h)
{
    if (cpu_attention_short(run, h)) return;
    for (size_t i = 0; i < h->n_queries; i += B) attend(run, h, cpu_attention_block_at(i, h->n_queries));
}

static lk_status run_attention(void *state, const lk_launch_args *args)
{
    cpu_attention_each(state, args, attend_all);
    return LK_OK;
}

lk_status cpu_bind_attention(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    cpu_attention s = {
        .v = cpu_ref_of(graph, node->in[2]), .lengths = cpu_ref_of(graph, node->in[3]),
        .y = cpu_ref_of(graph, node->out[0]), .log_sum = cpu_ref_of(graph, node->out[1]),
    };

    return cpu_attention_bind(ctx, graph, node, node->in[0], node->in[1], &s, run_attention, out);
}

/* --------------------------------------------------------------------- map */

static void map_block(const cpu_attention_run *run, const cpu_attention_head *h, cpu_attention_block queries,
                      cpu_attention_block keys)
{
    const cpu_attention *s = run->s;
    const size_t row = (h->sample * s->heads + h->head) * s->Lq + queries.begin;

    cpu_attention_gather(run, h, run->k, h->first_key, keys, 1.0f, h->k);
    cpu_attention_turn(s, h->k, keys.n, h->k_turned);
    cpu_attention_product(s, h->q, h->k_turned, queries.n, keys.n, h->p);
    for (size_t r = 0; r < queries.n; r++) {
        const size_t n = cpu_attention_seen(run, h, queries.begin + r, keys);
        float *to = run->map + (row + r) * s->Lk + keys.begin;

        for (size_t j = 0; j < n; j++) to[j] = lk_exp(h->p[r * B + j] - run->log_sum[row + r]);
        for (size_t j = n; j < keys.n; j++) to[j] = 0.0f;
    }
}

static void map_all(const cpu_attention_run *run, const cpu_attention_head *h)
{
    const cpu_attention *s = run->s;

    for (size_t i = 0; i < h->n_queries; i += B) {
        const cpu_attention_block queries = cpu_attention_block_at(i, h->n_queries);

        cpu_attention_gather(run, h, run->q, h->first_query, queries, 1.0f / sqrtf((float)s->D), h->q);
        for (size_t j = 0; j < h->n_rows; j += B) map_block(run, h, queries, cpu_attention_block_at(j, h->n_rows));
    }
}

static lk_status run_attention_map(void *state, const lk_launch_args *args)
{
    cpu_attention_each(state, args, map_all);
    return LK_OK;
}

lk_status cpu_bind_attention_map(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    cpu_attention s = {.lengths = cpu_ref_of(graph, node->in[2]), .log_sum = cpu_ref_of(graph, node->in[3]),
                       .map = cpu_ref_of(graph, node->out[0])};

    return cpu_attention_bind(ctx, graph, node, node->in[0], node->in[1], &s, run_attention_map, out);
}
