/* The gradient rule that linear and conv2d share. */
#include "engine/ops/product.h"

static bool needs_grad(const lk_graph *graph, int tensor)
{
    return tensor != LK_NO_TENSOR && graph->tensors[tensor].needs_grad;
}

/* dw is made even where only b is trained, because one kernel makes both; it is then an activation nobody reads. */
static lk_status append_grad_w(lk_graph *graph, const lk_node *node, lk_op_id op, int dy, int *din)
{
    const int in[] = {dy, node->in[0]}, w = node->in[1], b = node->in[2];
    const lk_tensor weight = graph->tensors[w];
    int out[] = {LK_NO_TENSOR, LK_NO_TENSOR};

    if (weight.needs_grad)
        LK_TRY(lk_graph_grad(graph, w, &out[0]));
    else
        LK_TRY(lk_graph_act(graph, weight.name, weight.dtype, weight.ndim, weight.shape, &out[0]));
    if (needs_grad(graph, b)) LK_TRY(lk_graph_grad(graph, b, &out[1]));
    din[1] = out[0];
    din[2] = out[1];
    return lk_graph_node(graph, op, node->path, 2, in, 2, out, &node->attrs, NULL);
}

lk_status lk_gradient_product(lk_graph *graph, int id, lk_op_id grad_x, lk_op_id grad_w, int dy, int *din)
{
    const lk_node node = graph->nodes[id]; /* a copy: appending moves the array */

    if (needs_grad(graph, node.in[1]) || needs_grad(graph, node.in[2]))
        LK_TRY(append_grad_w(graph, &node, grad_w, dy, din));
    if (needs_grad(graph, node.in[0])) {
        const int in[] = {dy, node.in[1]};
        LK_TRY(lk_graph_grad(graph, node.in[0], &din[0]));
        LK_TRY(lk_graph_node(graph, grad_x, node.path, 2, in, 1, &din[0], &node.attrs, NULL));
    }
    return LK_OK;
}
