/* A plan for people: what it costs, and one line for each node. */
#include "engine/graph/plan.h"

#include <stdio.h>
#include <string.h>

enum { LINE_BYTES = 512, PLACE_BYTES = 32, QUANTITY_BYTES = 24, MIN_PATH_WIDTH = 5 };

static double node_flops(const lk_graph *graph, const lk_node *node) { return lk_op_get(node->op)->flops(graph, node); }

static double moved_bytes(const lk_tensor *t) { return t->swallowed ? 0.0 : (double)t->nbytes; }

static double node_bytes(const lk_graph *graph, const lk_node *node)
{
    double nbytes = 0.0;

    for (int i = 0; i < node->n_in; i++)
        if (node->in[i] != LK_NO_TENSOR) nbytes += moved_bytes(&graph->tensors[node->in[i]]);
    for (int o = 0; o < node->n_out; o++)
        if (node->out[o] != LK_NO_TENSOR) nbytes += moved_bytes(&graph->tensors[node->out[o]]);
    return nbytes;
}

double lk_plan_node_flops(const lk_plan *plan, int i) { return node_flops(&plan->graph, &plan->graph.nodes[i]); }
double lk_plan_node_bytes(const lk_plan *plan, int i) { return node_bytes(&plan->graph, &plan->graph.nodes[i]); }

void lk_plan_get_stats(const lk_plan *plan, const lk_trainable *trainable, lk_plan_stats *out)
{
    const lk_graph *graph = &plan->graph;

    *out = (lk_plan_stats){
        .n_nodes = (size_t)graph->n_nodes,
        .param_bytes = lk_model_n_elem(lk_trainable_model(trainable)) * sizeof(float),
        .grad_bytes = lk_trainable_n_grads(trainable) * sizeof(float),
        .activation_bytes = graph->act_bytes,
        .activation_bytes_unshared = graph->act_bytes_unshared,
        .activation_bytes_kept = graph->act_bytes_kept,
        .scratch_bytes = plan->scratch_bytes,
    };
    for (int i = 0; i < graph->n_nodes; i++) {
        out->flops += node_flops(graph, &graph->nodes[i]);
        if (graph->nodes[i].recomputed) out->recomputed_flops += node_flops(graph, &graph->nodes[i]);
        out->bytes_moved += node_bytes(graph, &graph->nodes[i]);
    }
}

/* "12.3 k": three or four digits that can be compared at a glance. */
static void format_quantity(char out[QUANTITY_BYTES], double value)
{
    static const char *const unit[] = {"", " k", " M", " G", " T", " P"};
    size_t u = 0;

    for (; value >= 9999.5 && u + 1 < sizeof unit / sizeof *unit; u++) value /= 1000.0;
    snprintf(out, QUANTITY_BYTES, u == 0 ? "%.0f%s" : "%.1f%s", value, unit[u]);
}

/* What a node writes: fields are read alone. */
static void format_place(char out[PLACE_BYTES], const lk_tensor *tensor)
{
    static const char *const arena[LK_ARENA_FIELD] = {
        [LK_ARENA_PARAMS] = "params", [LK_ARENA_GRADS] = "grads", [LK_ARENA_ACT] = "act", [LK_ARENA_SUMS] = "sums",
        [LK_ARENA_OUTPUT] = "output", [LK_ARENA_CACHE] = "cache", [LK_ARENA_TAPS] = "taps",
        [LK_ARENA_FEATURES] = "features",
    };

    if (tensor->swallowed) snprintf(out, PLACE_BYTES, "fused");
    else snprintf(out, PLACE_BYTES, "%s+%zu", arena[tensor->arena], tensor->offset);
}

static int widest_path(const lk_graph *graph)
{
    int width = MIN_PATH_WIDTH;

    for (int i = 0; i < graph->n_nodes; i++) {
        const int n = (int)strlen(graph->nodes[i].path);
        if (n > width) width = n;
    }
    return width;
}

/* A node is shown by its first output. */
static void format_node(char line[LINE_BYTES], const lk_graph *graph, int i, int width)
{
    const lk_node *node = &graph->nodes[i];
    char shape[LK_SHAPE_BYTES] = "", place[PLACE_BYTES] = "", flops[QUANTITY_BYTES];
    const char *type = "";

    for (int o = 0; o < node->n_out; o++) {
        if (node->out[o] == LK_NO_TENSOR) continue;
        const lk_tensor *tensor = &graph->tensors[node->out[o]];

        lk_print_shape(tensor->ndim, tensor->shape, shape);
        format_place(place, tensor);
        type = lk_dtype_name(tensor->dtype);
        break;
    }
    format_quantity(flops, node_flops(graph, node));
    snprintf(line, LINE_BYTES, "%4d  %-16s %-*s  %-20s %-5s  %-16s %10s", i, lk_op_get(node->op)->name, width,
             node->path, shape, type, place, flops);
}

void lk_plan_print(const lk_plan *plan, void (*put)(void *arg, const char *line), void *arg)
{
    const lk_graph *graph = &plan->graph;
    const int width = widest_path(graph);
    char line[LINE_BYTES];

    snprintf(line, sizeof line, "%4s  %-16s %-*s  %-20s %-5s  %-16s %10s", "node", "op", width, "layer", "output",
             "type", "place", "FLOPs");
    put(arg, line);
    for (int i = 0; i < graph->n_nodes; i++) {
        format_node(line, graph, i, width);
        put(arg, line);
    }
}
