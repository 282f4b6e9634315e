/*
 * Reverse-mode differentiation by graph rewriting: the backward pass is more nodes of the same graph.
 *
 * Forward nodes are visited in reverse order of building, which is a topological order, so when a node is reached
 * every gradient of its outputs is complete.  A gradient rule is called only if some output has a gradient and some
 * input needs one: a frozen prefix and the network's input cost nothing.  Where a tensor has several readers their
 * contributions are added in the order they come; the last addition for a parameter lands in the gradient arena.
 *
 * Source: Griewank and Walther, "Evaluating Derivatives", 2nd ed., 2008, chapter 3 (reverse mode by adjoints).
 */
#include "engine/ops/ops.h"

#include <stdlib.h>

typedef struct pass {
    lk_graph *graph;
    int n_forward; /* nodes of the forward pass */
    int n_tensors; /* tensors of the forward pass */
    int *grad;     /* per forward tensor: the sum of contributions so far, or LK_NO_TENSOR; owned */
    int *pending;  /* per forward tensor: contributions still to come; owned */
} pass;

/* Adds two contributions to a parameter's gradient right where the reduction reads it. */
static lk_status add_into_arena(lk_graph *graph, const lk_tensor *param, int a, int b, int *sum)
{
    const int in[] = {a, b};

    LK_TRY(lk_graph_tensor(graph, graph->tensors[a].name, param->dtype, param->ndim, param->shape, LK_ARENA_GRADS,
                           param->grad_offset, sum));
    return lk_graph_node(graph, LK_OP_ADD, param->name, 2, in, 1, sum, NULL, NULL);
}

static lk_status contribute(pass *p, int tensor, int d)
{
    const lk_tensor to = p->graph->tensors[tensor];
    const bool last = --p->pending[tensor] == 0;
    int *grad = &p->grad[tensor];

    if (*grad == LK_NO_TENSOR)
        *grad = d;
    else if (lk_is_param(&to) && last)
        LK_TRY(add_into_arena(p->graph, &to, *grad, d, grad));
    else
        LK_TRY(lk_op_add(p->graph, to.name, *grad, d, grad));
    return LK_OK;
}

static bool has_gradient(const pass *p, const lk_node *node)
{
    for (int o = 0; o < node->n_out; o++)
        if (node->out[o] != LK_NO_TENSOR && p->grad[node->out[o]] != LK_NO_TENSOR) return true;
    return false;
}

static bool wants_gradient(const lk_graph *graph, const lk_node *node)
{
    for (int i = 0; i < node->n_in; i++)
        if (node->in[i] != LK_NO_TENSOR && graph->tensors[node->in[i]].needs_grad) return true;
    return false;
}

static lk_status differentiate_node(pass *p, int id)
{
    const lk_node node = p->graph->nodes[id]; /* a copy: rules append, which moves the array */
    int dout[LK_MAX_OUT], din[LK_MAX_IN];

    if (!has_gradient(p, &node) || !wants_gradient(p->graph, &node)) return LK_OK;
    const lk_op *op = lk_op_get(node.op);
    if (!op->gradient)
        return LK_FAIL(LK_ERR_USAGE, "%s: %s has no gradient, but a trained parameter comes before it", node.path,
                       op->name);
    for (int o = 0; o < node.n_out; o++) dout[o] = node.out[o] == LK_NO_TENSOR ? LK_NO_TENSOR : p->grad[node.out[o]];
    for (int i = 0; i < LK_MAX_IN; i++) din[i] = LK_NO_TENSOR;
    LK_TRY(op->gradient(p->graph, id, dout, din));
    for (int i = 0; i < node.n_in; i++)
        if (node.in[i] != LK_NO_TENSOR && p->graph->tensors[node.in[i]].needs_grad)
            LK_TRY(contribute(p, node.in[i], din[i]));
    return LK_OK;
}

/* How many contributions each tensor will get, if every differentiable reader is reached. */
static void count_readers(pass *p)
{
    for (int i = 0; i < p->n_forward; i++) {
        const lk_node *node = &p->graph->nodes[i];
        if (!lk_op_is_differentiable(node->op)) continue;
        for (int k = 0; k < node->n_in; k++)
            if (node->in[k] != LK_NO_TENSOR) p->pending[node->in[k]]++;
    }
}

static lk_status visit_all(pass *p)
{
    for (int id = p->n_forward - 1; id >= 0; id--) LK_TRY(differentiate_node(p, id));
    for (int t = 0; t < p->n_tensors; t++) {
        const lk_tensor *param = &p->graph->tensors[t];
        if (!lk_is_param(param) || p->grad[t] == LK_NO_TENSOR || p->pending[t] == 0) continue;
        return LK_FAIL(LK_ERR_USAGE, "%s: %d of its readers lead nowhere, so its gradient is incomplete", param->name,
                       p->pending[t]);
    }
    return LK_OK;
}

lk_status lk_graph_differentiate(lk_graph *graph, int n, const int *x, const int *dx)
{
    pass p = {.graph = graph, .n_forward = graph->n_nodes, .n_tensors = graph->n_tensors};
    const size_t nbytes = (size_t)p.n_tensors * sizeof(int);

    p.grad = malloc(nbytes);
    p.pending = calloc((size_t)p.n_tensors, sizeof(int));
    lk_status status = LK_OK;
    if (!p.grad || !p.pending) {
        status = LK_FAIL(LK_ERR_SYSTEM, "out of memory: %zu bytes for the backward pass", 2 * nbytes);
    } else {
        for (int t = 0; t < p.n_tensors; t++) p.grad[t] = LK_NO_TENSOR;
        count_readers(&p);
        for (int i = 0; i < n; i++) p.grad[x[i]] = dx[i];
        graph->backward = true;
        status = visit_all(&p);
        graph->backward = false;
    }
    free(p.pending);
    free(p.grad);
    return status;
}
