/*
 * Accumulating: a training plan whose gradients are added to those that the arena holds already.
 *
 * Whatever a node writes to LK_ARENA_GRADS (the gradient of a parameter, a batch norm's statistic, the loss) it writes
 * to an activation instead, and a node right behind it adds that:
 *
 *     sum = sum + own
 *
 * So a gradient of the plan's own lives for two nodes, in memory that it shares with activations, and there is one
 * arena for any number of micro-batches.  Groups stay whole: what one writes is added behind it.  A group that adds
 * into the arena by itself (cpu/embedding.c) already does what is wanted.
 */
#include "engine/graph/graph.h"

#include <stdlib.h>

static bool is_gradient(const lk_graph *graph, int t)
{
    return t != LK_NO_TENSOR && graph->tensors[t].arena == LK_ARENA_GRADS;
}

/* Whether nodes [first, first + n) read what lies where they write t. */
static bool adds_itself(const lk_graph *graph, int first, int n, int t)
{
    for (int i = first; i < first + n; i++)
        for (int k = 0; k < graph->nodes[i].n_in; k++) {
            const int in = graph->nodes[i].in[k];

            if (is_gradient(graph, in) && graph->tensors[in].offset == graph->tensors[t].offset) return true;
        }
    return false;
}

/* Output o of node i becomes an activation, and the new last node adds it to where it was. */
static lk_status add_behind(lk_graph *graph, int i, int o)
{
    const int sum = graph->nodes[i].out[o];
    const lk_tensor to = graph->tensors[sum]; /* a copy: appending moves the array */
    int in[2];

    LK_TRY(lk_graph_tensor(graph, to.name, to.dtype, to.ndim, to.shape, LK_ARENA_GRADS, to.offset, &in[0]));
    LK_TRY(lk_graph_act(graph, to.name, to.dtype, to.ndim, to.shape, &in[1]));
    graph->nodes[i].out[o] = in[1];
    graph->tensors[in[1]].producer = i;
    graph->tensors[sum].producer = -1;
    return lk_graph_node(graph, LK_OP_ADD, graph->nodes[i].path, 2, in, 1, &sum, NULL, NULL);
}

/* Appends the additions of a group, and puts it and them at order[*at ..]. */
static lk_status add_group(lk_graph *graph, int first, int n, int *order, int *at)
{
    const int before = graph->n_nodes;

    for (int i = first; i < first + n; i++) {
        order[(*at)++] = i;
        for (int o = 0; o < graph->nodes[i].n_out; o++)
            if (is_gradient(graph, graph->nodes[i].out[o]) && !adds_itself(graph, first, n, graph->nodes[i].out[o]))
                LK_TRY(add_behind(graph, i, o));
    }
    for (int i = before; i < graph->n_nodes; i++) order[(*at)++] = i;
    return LK_OK;
}

lk_status lk_graph_accumulate(lk_graph *graph)
{
    const int n_nodes = graph->n_nodes;
    const size_t most = (size_t)n_nodes * (1 + LK_MAX_OUT) + 1;
    int *order = malloc(most * sizeof *order), at = 0;
    lk_status status = LK_OK;

    LK_TRY_ALLOC(order, most * sizeof *order);
    for (int i = 0, n; i < n_nodes && status == LK_OK; i += n) {
        n = lk_graph_group(graph, i);
        status = add_group(graph, i, n, order, &at);
    }
    if (status == LK_OK) status = lk_graph_reorder(graph, order);
    free(order);
    return status;
}
