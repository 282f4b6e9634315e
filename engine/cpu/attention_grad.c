/* The gradient of attention, P made anew block by block.  The formulas are in engine/ops/attention.c. */
#include "engine/cpu/attention.h"

#include "engine/base/formulas.h"
#include "engine/cpu/small_gemm.h"

#include <math.h>

enum { B = CPU_ATTENTION_BLOCK };

static void add(float *restrict sum, const float *restrict term, size_t n)
{
    for (size_t i = 0; i < n; i++) sum[i] += term[i];
}

/* delta (n) = rowsum(dy y) of a block of queries, whose dy is gathered; y goes through h->out. */
static void find_delta(const cpu_attention_run *run, const cpu_attention_head *h, cpu_attention_block queries,
                       float *delta)
{
    const size_t D = run->s->D;

    cpu_attention_gather(run, h, run->y, h->first_query, queries, 1.0f, h->out);
    for (size_t r = 0; r < queries.n; r++) {
        delta[r] = 0.0f;
        for (size_t d = 0; d < D; d++) delta[r] += h->dy[r * D + d] * h->out[r * D + d];
    }
}

/* h->p (queries, keys) = e^(S - log_sum), 0 where a query does not look. */
static void find_probabilities(const cpu_attention_run *run, const cpu_attention_head *h, cpu_attention_block queries,
                               cpu_attention_block keys)
{
    const cpu_attention *s = run->s;
    const float *log_sum = run->log_sum + (h->sample * s->heads + h->head) * s->Lq + queries.begin;
    const size_t width = cpu_attention_width(keys.n);

    cpu_attention_product(s, h->q, h->k_turned, queries.n, keys.n, h->p);
    for (size_t r = 0; r < queries.n; r++) {
        const size_t n = cpu_attention_seen(run, h, queries.begin + r, keys);
        float *restrict p = h->p + r * B;

        for (size_t j = n; j < width; j++) p[j] = -INFINITY;
        for (size_t j = 0; j < width; j++) p[j] = lk_exp(p[j] - log_sum[r]);
    }
}

/* h->dp becomes dS = P (dP - delta). */
static void find_ds(const cpu_attention_run *run, const cpu_attention_head *h, cpu_attention_block queries,
                    cpu_attention_block keys, const float *delta)
{
    cpu_attention_product(run->s, h->dy, h->v_turned, queries.n, keys.n, h->dp);
    if (run->s->p > 0.0) cpu_attention_drop(h, queries.n, keys.n, h->dp, h->dp);
    for (size_t r = 0; r < queries.n; r++)
        for (size_t j = 0; j < keys.n; j++) h->dp[r * B + j] = h->p[r * B + j] * (h->dp[r * B + j] - delta[r]);
}

/* What one block of queries and one of keys add to dq, dk and dv. */
static void attend_back(const cpu_attention_run *run, const cpu_attention_head *h, cpu_attention_block queries,
                        cpu_attention_block keys)
{
    const cpu_attention *s = run->s;
    const size_t D = s->D;
    const float *dropped = h->p;
    float *delta = h->row;

    cpu_attention_gather(run, h, run->q, h->first_query, queries, 1.0f / sqrtf((float)D), h->q);
    cpu_attention_gather(run, h, run->dy, h->first_query, queries, 1.0f, h->dy);
    find_delta(run, h, queries, delta);
    find_probabilities(run, h, queries, keys);
    if (s->p > 0.0) {
        cpu_attention_draw(run, h, queries, keys);
        cpu_attention_drop(h, queries.n, keys.n, h->p, h->dp);
        dropped = h->dp;
    }
    small_gemm(h->out, D, (small_matrix){dropped, 1, B}, h->dy, D, NULL, keys.n, D, queries.n);
    add(h->sum, h->out, keys.n * D);
    find_ds(run, h, queries, keys, delta);
    small_gemm(h->out, D, (small_matrix){h->dp, B, 1}, h->k, D, NULL, queries.n, D, keys.n);
    add(h->sum_dq + queries.begin * D, h->out, queries.n * D);
    small_gemm(h->out, D, (small_matrix){h->dp, 1, B}, h->q, D, NULL, keys.n, D, queries.n);
    add(h->sum_dk, h->out, keys.n * D);
}

/* All queries that look at a block of keys: h->sum becomes dv, h->sum_dk dk. */
static void attend_back_to(const cpu_attention_run *run, const cpu_attention_head *h, cpu_attention_block keys)
{
    const cpu_attention *s = run->s;
    const size_t first = s->causal ? keys.begin : 0; /* in training queries and keys count alike */
    const size_t nbytes = keys.n * s->D * sizeof(float);

    memset(h->sum, 0, nbytes);
    memset(h->sum_dk, 0, nbytes);
    if (keys.begin < h->n_keys) {
        cpu_attention_gather(run, h, run->k, h->first_key, keys, 1.0f, h->k);
        cpu_attention_gather(run, h, run->v, h->first_key, keys, 1.0f, h->v);
        cpu_attention_turn(s, h->k, keys.n, h->k_turned);
        cpu_attention_turn(s, h->v, keys.n, h->v_turned);
        for (size_t i = first; i < h->n_queries; i += B)
            attend_back(run, h, cpu_attention_block_at(i, h->n_queries), keys);
    }
    if (run->dk) cpu_attention_scatter(run, h, run->dk, h->first_key, keys, h->sum_dk, 1.0f);
    if (run->dv) cpu_attention_scatter(run, h, run->dv, h->first_key, keys, h->sum, 1.0f);
}

static void attend_back_all(const cpu_attention_run *run, const cpu_attention_head *h)
{
    const cpu_attention *s = run->s;

    if (cpu_attention_short_grad(run, h)) return;
    memset(h->sum_dq, 0, h->n_queries * s->D * sizeof *h->sum_dq);
    for (size_t j = 0; j < h->n_rows; j += B) attend_back_to(run, h, cpu_attention_block_at(j, h->n_rows));
    if (run->dq)
        cpu_attention_scatter(run, h, run->dq, h->first_query, (cpu_attention_block){0, h->n_queries}, h->sum_dq,
                              1.0f / sqrtf((float)s->D));
}

static lk_status run_attention_grad(void *state, const lk_launch_args *args)
{
    cpu_attention_each(state, args, attend_back_all);
    return LK_OK;
}

lk_status cpu_bind_attention_grad(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    cpu_attention s = {
        .v = cpu_ref_of(graph, node->in[3]), .lengths = cpu_ref_of(graph, node->in[4]),
        .y = cpu_ref_of(graph, node->in[5]), .log_sum = cpu_ref_of(graph, node->in[6]),
        .dy = cpu_ref_of(graph, node->in[0]), .dq = cpu_ref_of(graph, node->out[0]),
        .dk = cpu_ref_of(graph, node->out[1]), .dv = cpu_ref_of(graph, node->out[2]),
    };

    return cpu_attention_bind(ctx, graph, node, node->in[1], node->in[2], &s, run_attention_grad, out);
}
