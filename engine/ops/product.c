/* The gradient rule that linear and conv2d share. */
#include "engine/ops/product.h"
#include "engine/ops/rules.h"

static bool needs_grad(const lk_graph *graph, int tensor)
{
    return tensor != LK_NO_TENSOR && graph->tensors[tensor].needs_grad;
}

/* One kernel makes dw and, where b trains too, db. */
static lk_status append_grad_w(lk_graph *graph, const lk_node *node, lk_op_id op, int dy, int *din)
{
    const int in[] = {dy, node->in[0]}, b = node->in[2];
    int *out = &din[1];

    LK_TRY(lk_graph_grad(graph, node->in[1], &out[0]));
    if (needs_grad(graph, b)) LK_TRY(lk_graph_grad(graph, b, &out[1]));
    return lk_graph_node(graph, op, node->path, 2, in, 2, out, &node->attrs, NULL);
}

static lk_status append_grad_b(lk_graph *graph, const lk_node *node, int dy, int *din)
{
    LK_TRY(lk_graph_grad(graph, node->in[2], &din[2]));
    return lk_graph_node(graph, LK_OP_BIAS_GRAD, node->path, 1, &dy, 1, &din[2], NULL, NULL);
}

lk_status lk_gradient_product(lk_graph *graph, int id, lk_op_id grad_x, lk_op_id grad_w, int dy, int *din)
{
    const lk_node node = graph->nodes[id]; /* a copy: appending moves the array */

    if (needs_grad(graph, node.in[1]))
        LK_TRY(append_grad_w(graph, &node, grad_w, dy, din));
    else if (needs_grad(graph, node.in[2]))
        LK_TRY(append_grad_b(graph, &node, dy, din));
    if (needs_grad(graph, node.in[0])) {
        const int in[] = {dy, node.in[1]};
        LK_TRY(lk_graph_grad(graph, node.in[0], &din[0]));
        LK_TRY(lk_graph_node(graph, grad_x, node.path, 2, in, 1, &din[0], &node.attrs, NULL));
    }
    return LK_OK;
}

double lk_flops_bias_grad(const lk_graph *graph, const lk_node *node)
{
    return (double)graph->tensors[node->in[0]].n_elem;
}
