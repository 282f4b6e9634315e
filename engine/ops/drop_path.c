/*
 * Drop path: dropout of whole samples, as torchvision.ops.StochasticDepth has it with mode "row".
 *
 *     y[n]  = x[n]  m[n] / (1 - p),   m[n] = 1 with probability 1 - p, else 0
 *     dx[n] = dy[n] m[n] / (1 - p)
 *
 * so the gradient is the same op again, on dy.  A sample's choice is the one that dropout makes for its element 0
 * (engine/base/formulas.h); drawing it again costs less than keeping it.
 * Source: Huang et al., "Deep networks with stochastic depth", ECCV 2016, arXiv:1603.09382.
 */
#include "engine/ops/ops.h"
#include "engine/ops/rules.h"
#include "engine/ops/shapes.h"

lk_status lk_op_drop_path(lk_graph *graph, const char *path, double p, uint32_t layer, int x, int *y)
{
    const lk_tensor in = graph->tensors[x];
    const lk_attrs attrs = {.dropout = {.p = p, .layer = layer}};

    *y = x;
    if (!(p >= 0.0 && p < 1.0)) return LK_FAIL(LK_ERR_USAGE, "%s: drop path is %g; it must be in [0, 1)", path, p);
    if (graph->mode != LK_TRAIN || p == 0.0) return LK_OK;
    if (!lk_is_float(in.dtype) || in.ndim < 1 || in.shape[0] != graph->n)
        return LK_FAIL(LK_ERR_USAGE, "%s: drop path of %s numbers %s; expected fp32 or bf16 and a row for each of %lld "
                       "samples", path, lk_dtype_name(in.dtype), lk_shape_of(&in).text, (long long)graph->n);
    LK_TRY(lk_graph_act(graph, path, in.dtype, in.ndim, in.shape, y));
    return lk_graph_node(graph, LK_OP_DROP_PATH, path, 1, &x, 1, y, &attrs, NULL);
}

lk_status lk_gradient_drop_path(lk_graph *graph, int node, const int *dout, int *din)
{
    const lk_node of = graph->nodes[node]; /* a copy: appending moves the array */

    LK_TRY(lk_graph_grad(graph, of.in[0], &din[0]));
    return lk_graph_node(graph, LK_OP_DROP_PATH, of.path, 1, dout, 1, &din[0], &of.attrs, NULL);
}
