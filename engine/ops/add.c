/*
 * Sum of two tensors of one shape and type: shape rule and gradient rule.
 *
 *     y = a + b,    da = db = dy
 *
 * so the gradient of an activation is dy itself, not a copy.  A parameter's must lie in the gradient arena; it is
 * copied there.
 */
#include "engine/ops/ops.h"
#include "engine/ops/rules.h"

lk_status lk_op_add(lk_graph *graph, const char *path, int a, int b, int *y)
{
    const lk_tensor ta = graph->tensors[a], tb = graph->tensors[b];
    const int in[] = {a, b};

    if (ta.dtype != tb.dtype || (ta.dtype != LK_DTYPE_F32 && ta.dtype != LK_DTYPE_BF16))
        return LK_FAIL(LK_ERR_USAGE, "%s: cannot add %s and %s; both must be fp32 or both bf16", path,
                       lk_dtype_name(ta.dtype), lk_dtype_name(tb.dtype));
    if (ta.ndim != tb.ndim)
        return LK_FAIL(LK_ERR_USAGE, "%s: cannot add tensors of %d and %d dimensions", path, ta.ndim, tb.ndim);
    for (int d = 0; d < ta.ndim; d++)
        if (ta.shape[d] != tb.shape[d])
            return LK_FAIL(LK_ERR_USAGE, "%s: cannot add: dimension %d is %lld in one, %lld in the other", path, d,
                           (long long)ta.shape[d], (long long)tb.shape[d]);
    LK_TRY(lk_graph_act(graph, path, ta.dtype, ta.ndim, ta.shape, y));
    return lk_graph_node(graph, LK_OP_ADD, path, 2, in, 1, y, NULL, NULL);
}

lk_status lk_gradient_add(lk_graph *graph, int id, const int *dout, int *din)
{
    const lk_node node = graph->nodes[id]; /* a copy: appending moves the array */

    for (int i = 0; i < 2; i++) {
        const lk_tensor *t = &graph->tensors[node.in[i]];

        if (!t->needs_grad) continue;
        din[i] = dout[0];
        if (t->arena != LK_ARENA_PARAMS) continue;
        LK_TRY(lk_graph_grad(graph, node.in[i], &din[i]));
        LK_TRY(lk_graph_node(graph, LK_OP_CAST, node.path, 1, dout, 1, &din[i], NULL, NULL));
    }
    return LK_OK;
}
