/*
 * Dropout: shape rule and gradient rule.
 *
 *     y  = x  m / (1 - p),   m = 1 with probability 1 - p, else 0
 *     dx = dy m / (1 - p)
 *
 * The mask is kept as bytes: reading one costs less than drawing it again.  Which random word decides an element is
 * laid down in engine/base/formulas.h; it depends on the sample and the step, never on the lane or the worker.
 * Source: Srivastava et al., JMLR 15 (2014), with the scaling moved to training, as PyTorch has it.
 */
#include "engine/ops/ops.h"
#include "engine/ops/rules.h"
#include "engine/ops/shapes.h"

lk_status lk_op_dropout(lk_graph *graph, const char *path, double p, uint32_t layer, int x, int *y)
{
    const lk_tensor in = graph->tensors[x];
    const lk_attrs attrs = {.dropout = {.p = p, .layer = layer}};
    int out[2];

    *y = x;
    if (!(p >= 0.0 && p < 1.0)) return LK_FAIL(LK_ERR_USAGE, "%s: dropout is %g; it must be in [0, 1)", path, p);
    if (graph->mode != LK_TRAIN || p == 0.0) return LK_OK;
    if (!lk_is_float(in.dtype) || in.ndim < 1 || in.shape[0] != graph->n)
        return LK_FAIL(LK_ERR_USAGE, "%s: dropout of %s numbers %s; expected fp32 or bf16 and a row for each of %lld "
                       "samples", path, lk_dtype_name(in.dtype), lk_shape_of(&in).text, (long long)graph->n);

    LK_TRY(lk_graph_act(graph, path, in.dtype, in.ndim, in.shape, &out[0]));
    out[1] = LK_NO_TENSOR;
    if (graph->keeps_masks) LK_TRY(lk_graph_saved(graph, path, "mask", LK_DTYPE_U8, in.ndim, in.shape, &out[1]));
    *y = out[0];
    return lk_graph_node(graph, LK_OP_DROPOUT, path, 1, &x, 2, out, &attrs, NULL);
}

lk_status lk_gradient_dropout(lk_graph *graph, int node, const int *dout, int *din)
{
    const lk_node of = graph->nodes[node];
    const int in[] = {dout[0], of.out[1]};

    LK_TRY(lk_graph_grad(graph, of.in[0], &din[0]));
    return lk_graph_node(graph, LK_OP_DROPOUT_GRAD, of.path, 2, in, 1, &din[0], &of.attrs, NULL);
}
