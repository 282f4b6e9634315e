/*
 * Activations: shape rule and gradient rule.
 *
 *     y  = f(x), element by element
 *     dx = dy f'(x)
 *
 * The derivative of ReLU, tanh and the logistic function follows from y (y > 0, 1 - y^2, y (1 - y)), so the gradient
 * reads y and x need not be kept: y is what the next layer keeps anyway.  GELU is not monotonic; its gradient reads x.
 * The list of activations (model/model.h) says which.
 */
#include "engine/ops/ops.h"
#include "engine/ops/rules.h"
#include "engine/ops/shapes.h"

static bool derivative_is_from_x(lk_activation kind)
{
    enum { FROM_Y, FROM_X };
#define ENTRY(name, word, formula, from) [name] = from,
    static const char table[] = {LK_ACTIVATION_FORMULAS(ENTRY)};
#undef ENTRY

    return table[kind] == FROM_X;
}

lk_status lk_op_activation(lk_graph *graph, const char *path, lk_activation kind, int x, int *y)
{
    const lk_tensor in = graph->tensors[x];
    const lk_attrs attrs = {.activation.kind = kind};

    *y = x;
    if (!lk_is_float(in.dtype))
        return LK_FAIL(LK_ERR_USAGE, "%s: an activation of %s numbers; expected fp32 or bf16", path,
                       lk_dtype_name(in.dtype));
    if (kind == LK_ACT_IDENTITY) return LK_OK;
    LK_TRY(lk_graph_act(graph, path, in.dtype, in.ndim, in.shape, y));
    return lk_graph_node(graph, LK_OP_ACTIVATION, path, 1, &x, 1, y, &attrs, NULL);
}

lk_status lk_gradient_activation(lk_graph *graph, int node, const int *dout, int *din)
{
    const lk_node of = graph->nodes[node];
    const int in[] = {dout[0], derivative_is_from_x(of.attrs.activation.kind) ? of.in[0] : of.out[0]};

    LK_TRY(lk_graph_grad(graph, of.in[0], &din[0]));
    return lk_graph_node(graph, LK_OP_ACTIVATION_GRAD, of.path, 2, in, 1, &din[0], &of.attrs, NULL);
}
