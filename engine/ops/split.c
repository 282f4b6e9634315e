/*
 * Channels apart: a tensor as several of equally many channels, as torch.split along the last axis.  Shape rule and
 * gradient rule.
 *
 *     y_p[n, c] = x[n, p C + c],    dx[n, p C + c] = dy_p[n, c], 0 where y_p leads nowhere
 *
 * A copy, for a slice of the last axis is no view (view.c): what reads a part, attention or the cache, finds it in one
 * piece.  Beside the product that makes x it is nothing.
 */
#include "engine/ops/ops.h"
#include "engine/ops/rules.h"
#include "engine/ops/shapes.h"

lk_status lk_op_split(lk_graph *graph, const char *path, int x, int n_parts, int *y)
{
    const lk_tensor whole = graph->tensors[x];
    int64_t shape[LK_MAX_DIMS];

    if (!lk_is_float(whole.dtype) || whole.ndim < 2 || n_parts < 1 || n_parts > LK_MAX_OUT ||
        lk_last_dim(&whole) % n_parts)
        return LK_FAIL(LK_ERR_USAGE, "%s: %s %s in %d parts; expected fp32 or bf16, (N, ..., C), C divided by the "
                       "parts, which are at most %d", path, lk_dtype_name(whole.dtype), lk_shape_of(&whole).text,
                       n_parts, (int)LK_MAX_OUT);
    memcpy(shape, whole.shape, sizeof shape);
    shape[whole.ndim - 1] /= n_parts;
    for (int p = 0; p < n_parts; p++) LK_TRY(lk_graph_act(graph, path, whole.dtype, whole.ndim, shape, &y[p]));
    return lk_graph_node(graph, LK_OP_SPLIT, path, 1, &x, n_parts, y, NULL, NULL);
}

lk_status lk_gradient_split(lk_graph *graph, int id, const int *dout, int *din)
{
    const lk_node node = graph->nodes[id]; /* a copy: appending moves the array */

    LK_TRY(lk_graph_grad(graph, node.in[0], &din[0]));
    return lk_graph_node(graph, LK_OP_SPLIT_GRAD, node.path, node.n_out, dout, 1, &din[0], NULL, NULL);
}

double lk_flops_split(const lk_graph *graph, const lk_node *node)
{
    return (double)graph->tensors[node->in[0]].n_elem;
}
