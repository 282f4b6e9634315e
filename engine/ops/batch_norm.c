/*
 * Batch normalisation over the last axis: shape rules and gradient rule.  x is (..., C), R rows of C channels.
 *
 *     y[r,c]  = g[c] h[r,c] + b[c],       h[r,c] = (x[r,c] - mean[c]) rstd[c],    rstd = 1 / sqrt(var + eps)
 *     mean[c] = sum_r x[r,c] / R,         var[c] = sum_r (x[r,c] - mean[c])^2 / R
 *     db[c]   = sum_r dy[r,c],            dg[c]  = sum_r dy[r,c] h[r,c]
 *     dx[r,c] = g[c] rstd[c] (dy[r,c] - db[c] / R - h[r,c] dg[c] / R)
 *
 * In training, mean and var are those of the lane.  What the running averages need (mean, and the unbiased variance
 * var R / (R - 1)) goes to the gradient arena and is summed over lanes there.  The gradient reads its own copy of the
 * mean, because the reduction may already have begun on the arena's.
 *
 * Outside training the running statistics stand in for mean and var; so they do in training where the norm is frozen
 * and asked not to follow the batches.  They are constants there, and so are g and b:
 *
 *     dx[r,c] = g[c] rstd[c] dy[r,c]
 *
 * Source: Ioffe and Szegedy, 2015, arXiv:1502.03167.
 */
#include "engine/ops/ops.h"
#include "engine/ops/rules.h"
#include "engine/ops/shapes.h"

#include <assert.h>

static lk_status check_vector(const lk_graph *graph, const char *path, const char *what, int tensor, int64_t n_channels)
{
    const lk_tensor *t = &graph->tensors[tensor];

    if (lk_is_vector(t, n_channels)) return LK_OK;
    return LK_FAIL(LK_ERR_USAGE, "%s: %s is %s %s, expected fp32 (%lld), one for each channel of the input", path, what,
                   lk_dtype_name(t->dtype), lk_shape_of(t).text, (long long)n_channels);
}

static lk_status batch_norm_train(lk_graph *graph, const char *path, const lk_batch_norm *norm, int *y)
{
    const lk_tensor in_x = graph->tensors[norm->x];
    const int64_t n_channels = lk_last_dim(&in_x);
    const lk_attrs attrs = {.norm = {.eps = norm->eps, .momentum = norm->momentum}};
    const int in[] = {norm->x, norm->g, norm->b};
    int out[5] = {[3] = norm->stat_mean, [4] = norm->stat_var};

    LK_TRY(check_vector(graph, path, "the lane's mean", norm->stat_mean, n_channels));
    LK_TRY(check_vector(graph, path, "the lane's variance", norm->stat_var, n_channels));
    if (graph->side != LK_SIDE_FROZEN && in_x.n_elem / (size_t)n_channels < 2) /* that side is cut off before it */
        return LK_FAIL(LK_ERR_USAGE, "%s: batch norm cannot train on one value per channel (input %s): give every lane "
                       "at least 2 samples", path, lk_shape_of(&in_x).text);
    LK_TRY(lk_graph_act(graph, path, in_x.dtype, in_x.ndim, in_x.shape, &out[0]));
    LK_TRY(lk_graph_saved(graph, path, "mean", LK_DTYPE_F32, 1, &n_channels, &out[1]));
    LK_TRY(lk_graph_saved(graph, path, "rstd", LK_DTYPE_F32, 1, &n_channels, &out[2]));
    *y = out[0];
    return lk_graph_node(graph, LK_OP_BATCH_NORM, path, 3, in, 5, out, &attrs, NULL);
}

static lk_status batch_norm_eval(lk_graph *graph, const char *path, const lk_batch_norm *norm, int *y)
{
    const lk_tensor in_x = graph->tensors[norm->x];
    const int64_t n_channels = lk_last_dim(&in_x);
    const lk_attrs attrs = {.norm = {.eps = norm->eps, .momentum = norm->momentum}};
    const int in[] = {norm->x, norm->g, norm->b, norm->running_mean, norm->running_var};

    LK_TRY(check_vector(graph, path, "running_mean", norm->running_mean, n_channels));
    LK_TRY(check_vector(graph, path, "running_var", norm->running_var, n_channels));
    LK_TRY(lk_graph_act(graph, path, in_x.dtype, in_x.ndim, in_x.shape, y));
    return lk_graph_node(graph, LK_OP_BATCH_NORM_EVAL, path, 5, in, 1, y, &attrs, NULL);
}

lk_status lk_op_batch_norm(lk_graph *graph, const char *path, const lk_batch_norm *norm, int *y)
{
    const lk_tensor in = graph->tensors[norm->x];

    *y = LK_NO_TENSOR;
    if (!lk_is_float(in.dtype) || in.ndim < 2)
        return LK_FAIL(LK_ERR_USAGE, "%s: batch norm of %s %s; expected fp32 or bf16, (N, ..., C)", path,
                       lk_dtype_name(in.dtype), lk_shape_of(&in).text);
    LK_TRY(check_vector(graph, path, "weight", norm->g, lk_last_dim(&in)));
    LK_TRY(check_vector(graph, path, "bias", norm->b, lk_last_dim(&in)));
    if (graph->mode == LK_TRAIN && norm->stat_mean != LK_NO_TENSOR) return batch_norm_train(graph, path, norm, y);
    return batch_norm_eval(graph, path, norm, y);
}

lk_status lk_gradient_batch_norm(lk_graph *graph, int node, const int *dout, int *din)
{
    const lk_node of = graph->nodes[node];
    const int in[] = {dout[0], of.in[0], of.in[1], of.out[1], of.out[2]};

    for (int i = 0; i < of.n_in; i++) LK_TRY(lk_graph_grad_if_needed(graph, of.in[i], &din[i]));
    return lk_graph_node(graph, LK_OP_BATCH_NORM_GRAD, of.path, 5, in, 3, din, &of.attrs, NULL);
}

lk_status lk_gradient_batch_norm_eval(lk_graph *graph, int node, const int *dout, int *din)
{
    const lk_node of = graph->nodes[node];
    const int in[] = {dout[0], of.in[1], of.in[4]};

    assert(!graph->tensors[of.in[1]].needs_grad && !graph->tensors[of.in[2]].needs_grad);
    LK_TRY(lk_graph_grad(graph, of.in[0], &din[0]));
    return lk_graph_node(graph, LK_OP_BATCH_NORM_EVAL_GRAD, of.path, 3, in, 1, &din[0], &of.attrs, NULL);
}

/* Per element: 1 for the mean, 3 for the variance, 3 to normalise. */
double lk_flops_batch_norm(const lk_graph *graph, const lk_node *node)
{
    return 7.0 * (double)graph->tensors[node->in[0]].n_elem;
}

/* Per element: 5 for the two sums, 6 for dx. */
double lk_flops_batch_norm_grad(const lk_graph *graph, const lk_node *node)
{
    return 11.0 * (double)graph->tensors[node->in[0]].n_elem;
}

double lk_flops_batch_norm_eval(const lk_graph *graph, const lk_node *node)
{
    return 3.0 * (double)graph->tensors[node->in[0]].n_elem;
}
