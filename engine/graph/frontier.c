/*
 * The frontier: where a forward pass stops being the same in every epoch.
 *
 * The frozen side are the nodes that depend on the lane's fields, on no tensor that the set in use changes, and on
 * nothing random: no dropout, no batch norm that normalises by its lane.  It is as large as it can be, so it ends
 * behind poolings and flattenings that follow the last frozen layer.  What the rest reads of it crosses; a view crosses
 * as the whole that it lies in.  What depends on no field (a table that only frozen weights make) is on both sides.
 *
 * That a batch norm's running statistics change with the set decides alike in training, where it reads the lane's, and
 * in evaluation, where it reads them.
 *
 * Something random in front of frozen layers would have them computed in every epoch all the same, which is not what
 * whoever keeps features wants: it is refused.  Behind the last of them it is the trained side's.
 */
#include "engine/graph/graph.h"
#include "engine/model/trainable.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NOBODY = -1 };

/* What a tensor depends on. */
typedef struct reach {
    bool field, changes;
    int chance; /* the node, or NOBODY */
} reach;

static const char *chance_of(const lk_node *node)
{
    if (node->op == LK_OP_DROPOUT) return "dropout draws anew in every step";
    if (node->op == LK_OP_DROP_PATH) return "drop path draws anew in every step";
    if ((node->op == LK_OP_WINDOW_ATTENTION && node->attrs.windows.p > 0.0) ||
        (node->op == LK_OP_ATTENTION && node->attrs.attention.p > 0.0))
        return "dropout of its probabilities draws anew in every step";
    if (node->op == LK_OP_BATCH_NORM) return "it normalises by the statistics of its lane (train.frozen_mode: train)";
    return NULL;
}

static bool changes(const lk_graph *graph, const lk_tensor *t)
{
    return lk_is_param(t) && lk_trainable_offset(graph->trainable, (size_t)t->info) != SIZE_MAX;
}

static bool is_field(const lk_tensor *t) { return t->arena >= LK_ARENA_FIELD && t->root == LK_NO_TENSOR; }

static reach reach_of(const lk_graph *graph, const lk_node *node, const reach *of_tensor)
{
    reach all = {.chance = NOBODY};

    for (int i = 0; i < node->n_in; i++) {
        if (node->in[i] == LK_NO_TENSOR) continue;
        const lk_tensor *t = &graph->tensors[node->in[i]];
        const reach *r = &of_tensor[node->in[i]];

        all.field |= r->field || is_field(t);
        all.changes |= r->changes || changes(graph, t);
        if (all.chance == NOBODY) all.chance = r->chance;
    }
    return all;
}

static bool reads_params(const lk_graph *graph, const lk_node *node)
{
    for (int i = 0; i < node->n_in; i++)
        if (node->in[i] != LK_NO_TENSOR && graph->tensors[node->in[i]].arena == LK_ARENA_PARAMS) return true;
    return false;
}

static lk_status refuse_chance(const lk_graph *graph, const lk_node *node, int chance)
{
    const lk_node *random = &graph->nodes[chance];

    return LK_FAIL(LK_ERR_USAGE, "layer %s: %s, and layer %s behind it is frozen, so that what it gives for a sample "
                   "differs from epoch to epoch", random->path, chance_of(random), node->path);
}

/* frozen, trained: whether each node is on that side; both of what depends on no field. */
static lk_status find_sides(const lk_graph *graph, reach *of_tensor, bool *frozen, bool *trained)
{
    bool layers = false;

    for (int i = 0; i < graph->n_nodes; i++) {
        const lk_node *node = &graph->nodes[i];
        reach r = reach_of(graph, node, of_tensor);

        if (r.chance != NOBODY && !r.changes && reads_params(graph, node)) return refuse_chance(graph, node, r.chance);
        if (r.chance == NOBODY && chance_of(node)) r.chance = i;
        for (int o = 0; o < node->n_out; o++)
            if (node->out[o] != LK_NO_TENSOR) of_tensor[node->out[o]] = r;
        const bool still = !r.changes && r.chance == NOBODY;
        frozen[i] = still;
        trained[i] = !still || !r.field;
        layers |= still && r.field && reads_params(graph, node);
    }
    if (layers) return LK_OK;
    return LK_FAIL(LK_ERR_USAGE, "no frozen layer lies in front of the first one that trains");
}

/* ----------------------------------------------------------------- crossing */

static lk_status add_feature(lk_graph *graph, const lk_tensor *t)
{
    lk_frontier *frontier = &graph->frontier;
    lk_feature made = {.dtype = t->dtype, .ndim = t->ndim - 1, .nbytes = t->nbytes / (size_t)graph->n};

    if (t->ndim < 1 || t->shape[0] != graph->n)
        return LK_FAIL(LK_ERR_USAGE, "layer %s: what it hands to the layers that train does not have its samples along "
                       "the first axis", t->name);
    if (frontier->n == LK_MAX_FEATURES)
        return LK_FAIL(LK_ERR_USAGE, "layer %s: more than %d tensors cross from frozen layers to those that train",
                       t->name, LK_MAX_FEATURES);
    snprintf(made.name, sizeof made.name, "%s", t->name);
    memcpy(made.shape, t->shape + 1, (size_t)made.ndim * sizeof *made.shape);
    frontier->feature[frontier->n++] = made;
    return LK_OK;
}

/* In the order in which they are first read, each once. */
static lk_status find_features(lk_graph *graph, const bool *trained, int crosses[LK_MAX_FEATURES])
{
    for (int i = 0; i < graph->n_nodes; i++)
        for (int k = 0; trained[i] && k < graph->nodes[i].n_in; k++) {
            const int t = graph->nodes[i].in[k], root = t == LK_NO_TENSOR ? t : lk_graph_root(graph, t);
            const int maker = root == LK_NO_TENSOR ? NOBODY : graph->tensors[root].producer;
            bool known = maker == NOBODY || trained[maker];

            for (int f = 0; f < graph->frontier.n; f++) known |= crosses[f] == root;
            if (known) continue;
            LK_TRY(add_feature(graph, &graph->tensors[root]));
            crosses[graph->frontier.n - 1] = root;
        }
    return LK_OK;
}

/* A product of matrices cuts its rows into tiles, and the last may go another way than the first.  Convolutions go
 * image by image, and all else is ours. */
static bool tiles_samples(const lk_graph *graph, const bool *frozen)
{
    for (int i = 0; i < graph->n_nodes; i++)
        if (frozen[i] && graph->nodes[i].op == LK_OP_LINEAR) return true;
    return false;
}

static lk_status cut(lk_graph *graph, reach *of_tensor, bool *frozen, bool *trained)
{
    bool *side = graph->side == LK_SIDE_FROZEN ? frozen : trained;
    int crosses[LK_MAX_FEATURES];

    for (int t = 0; t < graph->n_tensors; t++) of_tensor[t].chance = NOBODY;
    LK_TRY(find_sides(graph, of_tensor, frozen, trained));
    LK_TRY(find_features(graph, trained, crosses));
    graph->frontier.tiles_samples = tiles_samples(graph, frozen);
    for (int i = 0; i < graph->n_nodes; i++) side[i] = !side[i]; /* what is not on it goes */
    lk_graph_drop(graph, side);
    for (int f = 0; f < graph->frontier.n; f++) {
        graph->tensors[crosses[f]].arena = LK_ARENA_FEATURES;
        graph->tensors[crosses[f]].offset = lk_frontier_offset(&graph->frontier, graph->n, f);
    }
    return LK_OK;
}

lk_status lk_graph_cut(lk_graph *graph)
{
    const size_t n_nodes = (size_t)graph->n_nodes + 1, n_tensors = (size_t)graph->n_tensors + 1;
    reach *of_tensor = calloc(n_tensors, sizeof *of_tensor);
    bool *frozen = calloc(2 * n_nodes, sizeof *frozen);

    if (lk_sample_has_length(lk_model_sample(graph->model))) {
        free(frozen);
        free(of_tensor);
        return LK_FAIL(LK_ERR_USAGE, "samples of this model differ in length, so what frozen layers give for one "
                       "depends on those beside it");
    }
    const lk_status status = of_tensor && frozen
                                 ? cut(graph, of_tensor, frozen, frozen + n_nodes)
                                 : LK_FAIL(LK_ERR_SYSTEM, "out of memory: cutting a graph of %d nodes", graph->n_nodes);
    free(frozen);
    free(of_tensor);
    return status;
}

/* --------------------------------------------------------------------- rows */

size_t lk_frontier_row_nbytes(const lk_frontier *frontier)
{
    size_t nbytes = 0;

    for (int f = 0; f < frontier->n; f++) nbytes += frontier->feature[f].nbytes;
    return nbytes;
}

size_t lk_frontier_offset(const lk_frontier *frontier, int64_t n, int f)
{
    size_t offset = 0;

    for (int k = 0; k < f; k++)
        offset += ((size_t)n * frontier->feature[k].nbytes + LK_PLACE_ALIGNMENT - 1) / LK_PLACE_ALIGNMENT *
                  LK_PLACE_ALIGNMENT;
    return offset;
}

size_t lk_frontier_nbytes(const lk_frontier *frontier, int64_t n)
{
    return lk_frontier_offset(frontier, n, frontier->n);
}

void lk_frontier_get(const lk_frontier *frontier, int64_t n, int64_t i, const void *features, void *row)
{
    char *to = row;

    for (int f = 0; f < frontier->n; f++) {
        const size_t nbytes = frontier->feature[f].nbytes;

        memcpy(to, (const char *)features + lk_frontier_offset(frontier, n, f) + (size_t)i * nbytes, nbytes);
        to += nbytes;
    }
}

void lk_frontier_put(const lk_frontier *frontier, int64_t n, int64_t i, void *features, const void *row)
{
    const char *from = row;

    for (int f = 0; f < frontier->n; f++) {
        const size_t nbytes = frontier->feature[f].nbytes;

        memcpy((char *)features + lk_frontier_offset(frontier, n, f) + (size_t)i * nbytes, from, nbytes);
        from += nbytes;
    }
}
