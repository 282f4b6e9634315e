/*
 * Scaled dot-product attention with several heads: shape rule, gradient rule, cost; and its probabilities for people
 * who look.
 *
 *     S = q k^T / sqrt(D),   P = softmax(S) over the keys that the query sees,   y = P v
 *     dv = P^T dy,   dP = dy v^T,   dS = P (dP - delta),   delta = rowsum(dy y)
 *     dq = dS k / sqrt(D),   dk = dS^T q / sqrt(D)
 *
 * for one head of one sample, D = C / heads channels.  A query sees the first lengths[n] keys, where lengths are given,
 * and, where attention is causal, those up to its own position: i, or first + i where keys are an entry of the cache
 * and first is the lane's position in it.  A query that sees no key at all has y = 0.  With dropout P's elements are
 * dropped before v, each by the word that lk_attention_group() gives it (base/formulas.h).
 *
 * No matrix of all queries and keys is kept, forward or backward.  Keys go by in blocks; of a row of S that has been
 * seen so far its maximum and the sum of its exponentials are enough, and y is scaled when the maximum grows.  For the
 * gradient forward keeps log_sum = log(sum of e^S), from which P = e^(S - log_sum) is made anew, block by block.
 *
 * Source: Vaswani et al., 2017, arXiv:1706.03762, section 3.2; blocks: Dao et al., "FlashAttention", 2022,
 * arXiv:2205.14135.
 */
#include "engine/ops/ops.h"
#include "engine/ops/rules.h"
#include "engine/ops/shapes.h"

static lk_status check_keys(const lk_graph *graph, const char *path, const lk_tensor *q, const lk_tensor *k,
                            const lk_tensor *v, const lk_attention *attention)
{
    const bool cached = k->arena == LK_ARENA_CACHE;

    if (!lk_is_float(q->dtype) || q->ndim != 3 || k->ndim != 3 || k->dtype != q->dtype || k->shape[0] != q->shape[0] ||
        k->shape[2] != q->shape[2])
        return LK_FAIL(LK_ERR_USAGE, "%s: attention of queries %s %s over keys %s %s; expected fp32 or bf16, "
                       "(N, Lq, C) and (N, Lk, C)", path, lk_dtype_name(q->dtype), lk_shape_of(q).text,
                       lk_dtype_name(k->dtype), lk_shape_of(k).text);
    if (v->ndim != 3 || v->dtype != k->dtype || memcmp(v->shape, k->shape, 3 * sizeof *k->shape) != 0)
        return LK_FAIL(LK_ERR_USAGE, "%s: values are %s %s, expected %s %s like the keys", path,
                       lk_dtype_name(v->dtype), lk_shape_of(v).text, lk_dtype_name(k->dtype), lk_shape_of(k).text);
    if (attention->causal && !cached && k->shape[1] != q->shape[1])
        return LK_FAIL(LK_ERR_USAGE, "%s: causal attention of %lld queries over %lld keys; it wants as many of both",
                       path, (long long)q->shape[1], (long long)k->shape[1]);
    if (attention->p > 0.0 && graph->mode == LK_TRAIN && q->shape[0] != graph->n)
        return LK_FAIL(LK_ERR_USAGE, "%s: dropout wants a row for each of %lld samples, got %s", path,
                       (long long)graph->n, lk_shape_of(q).text);
    return LK_OK;
}

static lk_status check(const lk_graph *graph, const char *path, const int *in, const lk_attention *attention)
{
    const lk_tensor *q = &graph->tensors[in[0]], *lengths = in[3] == LK_NO_TENSOR ? NULL : &graph->tensors[in[3]];

    if (!(attention->p >= 0.0 && attention->p < 1.0))
        return LK_FAIL(LK_ERR_USAGE, "%s: dropout is %g; it must be in [0, 1)", path, attention->p);
    LK_TRY(check_keys(graph, path, q, &graph->tensors[in[1]], &graph->tensors[in[2]], attention));
    if (attention->heads < 1 || q->shape[2] % attention->heads)
        return LK_FAIL(LK_ERR_USAGE, "%s: %lld channels do not divide into %lld heads", path, (long long)q->shape[2],
                       (long long)attention->heads);
    if (lengths && (lengths->dtype != LK_DTYPE_I32 || lengths->ndim != 1 || lengths->shape[0] != q->shape[0]))
        return LK_FAIL(LK_ERR_USAGE, "%s: numbers of keys are %s %s; expected int32 (%lld)", path,
                       lk_dtype_name(lengths->dtype), lk_shape_of(lengths).text, (long long)q->shape[0]);
    return LK_OK;
}

lk_status lk_op_attention(lk_graph *graph, const char *path, int q, int k, int v, int lengths,
                          const lk_attention *attention, int *y, int *log_sum)
{
    const lk_tensor queries = graph->tensors[q];
    const int in[] = {q, k, v, lengths};
    lk_attrs attrs = {.attention = *attention};
    int out[2];

    *y = *log_sum = LK_NO_TENSOR;
    LK_TRY(check(graph, path, in, attention));
    if (graph->mode != LK_TRAIN) attrs.attention.p = 0.0;
    const int64_t rows[] = {queries.shape[0], attention->heads, queries.shape[1]};
    LK_TRY(lk_graph_act(graph, path, queries.dtype, 3, queries.shape, &out[0]));
    LK_TRY(lk_graph_saved(graph, path, "log_sum", LK_DTYPE_F32, 3, rows, &out[1]));
    *y = out[0];
    *log_sum = out[1];
    return lk_graph_node(graph, LK_OP_ATTENTION, path, 4, in, 2, out, &attrs, NULL);
}

lk_status lk_gradient_attention(lk_graph *graph, int id, const int *dout, int *din)
{
    const lk_node node = graph->nodes[id]; /* a copy: appending moves the array */
    const int in[] = {dout[0], node.in[0], node.in[1], node.in[2], node.in[3], node.out[0], node.out[1]};

    for (int i = 0; i < 3; i++) LK_TRY(lk_graph_grad_if_needed(graph, node.in[i], &din[i]));
    return lk_graph_node(graph, LK_OP_ATTENTION_GRAD, node.path, 7, in, 3, din, &node.attrs, NULL);
}

lk_status lk_op_attention_map(lk_graph *graph, const char *path, int q, int k, int lengths, int log_sum,
                              const lk_attention *attention, int *p)
{
    const lk_tensor queries = graph->tensors[q], keys = graph->tensors[k];
    const int64_t shape[] = {queries.shape[0], attention->heads, queries.shape[1], keys.shape[1]};
    const int in[] = {q, k, lengths, log_sum};
    const lk_attrs attrs = {.attention = *attention};

    LK_TRY(lk_graph_act(graph, path, LK_DTYPE_F32, 4, shape, p));
    return lk_graph_node(graph, LK_OP_ATTENTION_MAP, path, 4, in, 1, p, &attrs, NULL);
}

/* Multiply-adds of n_products matrix products; causal attention leaves out half. */
static double flops(const lk_tensor *q, const lk_tensor *k, const lk_attention *attention, int n_products)
{
    return (attention->causal ? 1.0 : 2.0) * n_products * (double)q->n_elem * (double)k->shape[1];
}

double lk_flops_attention(const lk_graph *graph, const lk_node *node)
{
    return flops(&graph->tensors[node->in[0]], &graph->tensors[node->in[1]], &node->attrs.attention, 2);
}

double lk_flops_attention_grad(const lk_graph *graph, const lk_node *node)
{
    return flops(&graph->tensors[node->in[1]], &graph->tensors[node->in[2]], &node->attrs.attention, 5);
}
