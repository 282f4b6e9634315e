/*
 * Layer normalisation over the last axis: shape rule and gradient rule.  x is (N, C).
 *
 *     y[n,c]  = g[c] h[n,c] + b[c],       h[n,c] = (x[n,c] - mean[n]) rstd[n],    rstd = 1 / sqrt(var + eps)
 *     mean[n] = sum_c x[n,c] / C,         var[n] = sum_c (x[n,c] - mean[n])^2 / C
 *     db[c]   = sum_n dy[n,c],            dg[c]  = sum_n dy[n,c] h[n,c]
 *     dx[n,c] = rstd[n] (w[n,c] - mean_k(w[n,k]) - h[n,c] mean_k(w[n,k] h[n,k])),   w[n,c] = g[c] dy[n,c]
 *
 * Forward keeps mean and rstd, so the gradient computes h again from x and keeps no second copy of it.
 * Source: Ba, Kiros and Hinton, 2016, arXiv:1607.06450.
 */
#include "engine/ops/ops.h"
#include "engine/ops/rules.h"
#include "engine/ops/shapes.h"

lk_status lk_op_layer_norm(lk_graph *graph, const char *path, int x, int g, int b, float eps, int *y)
{
    const lk_tensor in_x = graph->tensors[x], weight = graph->tensors[g], bias = graph->tensors[b];
    const lk_attrs attrs = {.norm = {.eps = eps}};
    const int in[] = {x, g, b};
    int out[3];

    *y = LK_NO_TENSOR;
    if (!lk_is_float(in_x.dtype) || in_x.ndim < 2)
        return LK_FAIL(LK_ERR_USAGE, "%s: layer norm of %s %s; expected fp32 or bf16, (N, ..., C)", path,
                       lk_dtype_name(in_x.dtype), lk_shape_of(&in_x).text);
    const int64_t n_channels = lk_last_dim(&in_x), n_rows = (int64_t)in_x.n_elem / n_channels;
    if (!lk_is_vector(&weight, n_channels) || !lk_is_vector(&bias, n_channels))
        return LK_FAIL(LK_ERR_USAGE, "%s: weight is %s and bias %s, expected fp32 (%lld), the width of the input", path,
                       lk_shape_of(&weight).text, lk_shape_of(&bias).text, (long long)n_channels);

    LK_TRY(lk_graph_act(graph, path, in_x.dtype, in_x.ndim, in_x.shape, &out[0]));
    LK_TRY(lk_graph_saved(graph, path, "mean", LK_DTYPE_F32, 1, &n_rows, &out[1]));
    LK_TRY(lk_graph_saved(graph, path, "rstd", LK_DTYPE_F32, 1, &n_rows, &out[2]));
    *y = out[0];
    return lk_graph_node(graph, LK_OP_LAYER_NORM, path, 3, in, 3, out, &attrs, NULL);
}

lk_status lk_gradient_layer_norm(lk_graph *graph, int node, const int *dout, int *din)
{
    const lk_node of = graph->nodes[node];
    const int in[] = {dout[0], of.in[0], of.in[1], of.out[1], of.out[2]};

    for (int i = 0; i < of.n_in; i++) LK_TRY(lk_graph_grad_if_needed(graph, of.in[i], &din[i]));
    return lk_graph_node(graph, LK_OP_LAYER_NORM_GRAD, of.path, 5, in, 3, din, &of.attrs, NULL);
}

/* Per element: 1 for the mean, 3 for the variance, 4 to normalise. */
double lk_flops_layer_norm(const lk_graph *graph, const lk_node *node)
{
    return 8.0 * (double)graph->tensors[node->in[0]].n_elem;
}

/* Per element: 2 for h, 3 for dg and db, 4 for w and its means, 5 for dx. */
double lk_flops_layer_norm_grad(const lk_graph *graph, const lk_node *node)
{
    return 14.0 * (double)graph->tensors[node->in[0]].n_elem;
}
