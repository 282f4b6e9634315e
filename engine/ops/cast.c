/*
 * From one float type to another: shape rule and gradient rule.  To bf16 rounds to nearest, ties to even; to fp32 is
 * exact.  The gradient is cast back.
 */
#include "engine/ops/ops.h"
#include "engine/ops/rules.h"

static bool is_float(lk_dtype dtype) { return dtype == LK_DTYPE_F32 || dtype == LK_DTYPE_BF16; }

lk_status lk_op_cast(lk_graph *graph, const char *path, lk_dtype dtype, int x, int *y)
{
    const lk_tensor from = graph->tensors[x];

    if (!is_float(from.dtype) || !is_float(dtype))
        return LK_FAIL(LK_ERR_USAGE, "%s: no cast from %s to %s; only fp32 and bf16", path, lk_dtype_name(from.dtype),
                       lk_dtype_name(dtype));
    LK_TRY(lk_graph_act(graph, path, dtype, from.ndim, from.shape, y));
    return lk_graph_node(graph, LK_OP_CAST, path, 1, &x, 1, y, NULL, NULL);
}

lk_status lk_gradient_cast(lk_graph *graph, int id, const int *dout, int *din)
{
    const lk_node node = graph->nodes[id]; /* a copy: appending moves the array */

    LK_TRY(lk_graph_grad(graph, node.in[0], &din[0]));
    return lk_graph_node(graph, LK_OP_CAST, node.path, 1, dout, 1, &din[0], NULL, NULL);
}
