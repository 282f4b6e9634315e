/*
 * Pruning: drops nodes nobody needs, and view nodes, which are nothing to run.
 *
 * A graph grows in topological order (a node can only read what exists), and the backward pass, appended in reverse,
 * already frees activations last in, first out; so the order of building is kept and nodes only go.  Afterwards n_uses
 * counts the nodes that really read a tensor; a root's counts also those that read it by way of a view.
 */
#include "engine/graph/graph.h"

#include <assert.h>
#include <stdlib.h>

static bool hands_out(const lk_graph *graph, const lk_node *node)
{
    if (node->op == LK_OP_VIEW) return false;
    for (int o = 0; o < node->n_out; o++)
        if (node->out[o] != LK_NO_TENSOR && graph->tensors[node->out[o]].arena != LK_ARENA_ACT) return true;
    return false;
}

/* live[i]: node i writes something the run hands out, or something a live node reads. */
static void mark_live(const lk_graph *graph, bool *live)
{
    for (int i = graph->n_nodes - 1; i >= 0; i--) {
        const lk_node *node = &graph->nodes[i];

        live[i] |= hands_out(graph, node);
        if (!live[i]) continue;
        for (int k = 0; k < node->n_in; k++) {
            if (node->in[k] == LK_NO_TENSOR) continue;
            const int producer = graph->tensors[node->in[k]].producer;
            assert(producer < i);
            if (producer >= 0) live[producer] = true;
        }
    }
}

static void forget_node(lk_graph *graph, lk_node *node)
{
    free(node->path);
    for (int k = 0; k < node->n_in; k++)
        if (node->in[k] != LK_NO_TENSOR) graph->tensors[node->in[k]].n_uses--;
    for (int o = 0; o < node->n_out; o++)
        if (node->out[o] != LK_NO_TENSOR) graph->tensors[node->out[o]].producer = -1;
}

/* A root's readers are its views' too, and a view is there when its root is. */
static void settle_views(lk_graph *graph)
{
    for (int t = 0; t < graph->n_tensors; t++) {
        lk_tensor *view = &graph->tensors[t];

        if (view->root == LK_NO_TENSOR) continue;
        graph->tensors[view->root].n_uses += view->n_uses;
        view->producer = graph->tensors[view->root].producer;
    }
}

void lk_graph_drop(lk_graph *graph, const bool *gone)
{
    int kept = 0;

    for (int i = 0; i < graph->n_nodes; i++) {
        lk_node *node = &graph->nodes[i];

        if (gone[i]) {
            forget_node(graph, node);
            continue;
        }
        for (int o = 0; o < node->n_out; o++)
            if (node->out[o] != LK_NO_TENSOR) graph->tensors[node->out[o]].producer = kept;
        graph->nodes[kept++] = *node;
    }
    graph->n_nodes = kept;
}

lk_status lk_graph_reorder(lk_graph *graph, const int *order)
{
    lk_node *moved = calloc((size_t)graph->n_nodes + 1, sizeof *moved);

    LK_TRY_ALLOC(moved, ((size_t)graph->n_nodes + 1) * sizeof *moved);
    for (int i = 0; i < graph->n_nodes; i++) {
        moved[i] = graph->nodes[order[i]];
        for (int o = 0; o < moved[i].n_out; o++)
            if (moved[i].out[o] != LK_NO_TENSOR) graph->tensors[moved[i].out[o]].producer = i;
    }
    free(graph->nodes);
    graph->nodes = moved;
    graph->cap_nodes = graph->n_nodes + 1;
    for (int t = 0; t < graph->n_tensors; t++) {
        lk_tensor *view = &graph->tensors[t];

        if (view->root != LK_NO_TENSOR) view->producer = graph->tensors[view->root].producer;
    }
    return LK_OK;
}

lk_status lk_graph_prune(lk_graph *graph)
{
    bool *flag = calloc((size_t)graph->n_nodes + 1, sizeof *flag); /* live, then gone */

    LK_TRY_ALLOC(flag, (size_t)graph->n_nodes + 1);
    mark_live(graph, flag);
    for (int i = 0; i < graph->n_nodes; i++) flag[i] = !flag[i] || graph->nodes[i].op == LK_OP_VIEW;
    lk_graph_drop(graph, flag);
    free(flag);
    settle_views(graph);
    return LK_OK;
}
