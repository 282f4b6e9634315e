/*
 * Placing: finds out how long each activation lives, and gives it an offset.  A root lives as long as its views.
 *
 * Placement is greedy by size: the largest activation first, each into the tightest gap that the activations alive at
 * the same time leave, else behind them.  Offsets are multiples of a cache line.  An activation lives from the node
 * that writes it to the last that reads it, both included, so a kernel never writes over what it reads.
 *
 * Source: Pisarchyk and Lee, "Efficient memory management for deep neural net inference", 2020, arXiv:2001.03288.
 */
#include "engine/graph/graph.h"

#include <stdlib.h>

typedef struct life {
    int tensor;
    int first, last;      /* nodes */
    size_t begin, nbytes; /* place; nbytes rounded up to LK_PLACE_ALIGNMENT */
} life;

/* The group that each node is in: from .first to .last, both itself where it is alone. */
typedef struct group { int first, last; } group;

static void find_groups(const lk_graph *graph, group *groups)
{
    for (int i = 0, n; i < graph->n_nodes; i += n) {
        n = lk_graph_group(graph, i);
        for (int k = i; k < i + n; k++) groups[k] = (group){i, i + n - 1};
    }
}

/* Read, and by nodes of the group that makes it alone: up to `last` of them nobody else does. */
static bool is_swallowed(const lk_graph *graph, const group *groups, const life *l)
{
    const lk_tensor *tensor = &graph->tensors[l->tensor];
    const group *made = &groups[tensor->producer];

    return made->first < made->last && tensor->n_uses > 0 && l->last == made->last;
}

/* Lives of all activations that a node produces; lives has room for every tensor.  Returns how many. */
static int find_lives(const lk_graph *graph, const group *groups, life *lives, int *life_of)
{
    int n = 0;

    for (int t = 0; t < graph->n_tensors; t++) {
        const lk_tensor *tensor = &graph->tensors[t];

        life_of[t] = -1;
        if (tensor->arena != LK_ARENA_ACT || tensor->producer < 0 || tensor->root != LK_NO_TENSOR) continue;
        const size_t nbytes = (tensor->nbytes + LK_PLACE_ALIGNMENT - 1) / LK_PLACE_ALIGNMENT * LK_PLACE_ALIGNMENT;
        const group *made = &groups[tensor->producer];
        life_of[t] = n;
        lives[n++] = (life){.tensor = t, .first = made->first, .last = made->last, .nbytes = nbytes};
    }
    for (int i = 0; i < graph->n_nodes; i++)
        for (int k = 0; k < graph->nodes[i].n_in; k++) {
            if (graph->nodes[i].in[k] == LK_NO_TENSOR) continue;
            const int root = lk_graph_root(graph, graph->nodes[i].in[k]);
            if (life_of[root] >= 0) lives[life_of[root]].last = groups[i].last;
        }
    return n;
}

/* Takes those out that stay inside a group. */
static int swallow(lk_graph *graph, const group *groups, life *lives, int n)
{
    int kept = 0;

    for (int i = 0; i < n; i++) {
        lk_tensor *tensor = &graph->tensors[lives[i].tensor];

        tensor->swallowed = is_swallowed(graph, groups, &lives[i]);
        if (!tensor->swallowed) lives[kept++] = lives[i];
    }
    return kept;
}

static int by_size(const void *left, const void *right)
{
    const life *a = left, *b = right;

    if (a->nbytes != b->nbytes) return a->nbytes < b->nbytes ? 1 : -1;
    return a->tensor - b->tensor;
}

/* The tightest gap for `l` between placed lives (ordered by begin) that it meets in time. */
static size_t best_fit(const life *const *placed, int n_placed, const life *l)
{
    size_t end = 0, best = SIZE_MAX, best_gap = SIZE_MAX;

    for (int i = 0; i < n_placed; i++) {
        const life *other = placed[i];

        if (other->last < l->first || l->last < other->first) continue;
        if (other->begin > end && other->begin - end >= l->nbytes && other->begin - end < best_gap) {
            best = end;
            best_gap = other->begin - end;
        }
        if (other->begin + other->nbytes > end) end = other->begin + other->nbytes;
    }
    return best == SIZE_MAX ? end : best;
}

static void insert_by_begin(const life **placed, int n_placed, const life *l)
{
    int i = n_placed;

    for (; i > 0 && placed[i - 1]->begin > l->begin; i--) placed[i] = placed[i - 1];
    placed[i] = l;
}

static void place_lives(lk_graph *graph, life *lives, int n, const life **placed)
{
    graph->act_bytes = graph->act_bytes_unshared = 0;
    qsort(lives, (size_t)n, sizeof *lives, by_size);
    for (int i = 0; i < n; i++) {
        life *l = &lives[i];

        l->begin = best_fit(placed, i, l);
        insert_by_begin(placed, i, l);
        graph->tensors[l->tensor].offset = l->begin;
        graph->act_bytes_unshared += l->nbytes;
        if (l->begin + l->nbytes > graph->act_bytes) graph->act_bytes = l->begin + l->nbytes;
    }
}

void lk_graph_place_views(lk_graph *graph)
{
    for (int t = 0; t < graph->n_tensors; t++) {
        lk_tensor *view = &graph->tensors[t];

        if (view->root == LK_NO_TENSOR) continue;
        view->arena = graph->tensors[view->root].arena;
        view->offset = graph->tensors[view->root].offset + view->root_offset;
    }
}

lk_status lk_graph_allocate(lk_graph *graph)
{
    const size_t n = (size_t)graph->n_tensors + 1;
    group *groups = calloc((size_t)graph->n_nodes + 1, sizeof *groups);
    life *lives = calloc(n, sizeof *lives);
    const life **placed = calloc(n, sizeof *placed);
    int *life_of = calloc(n, sizeof *life_of);
    lk_status status = LK_OK;

    if (groups && lives && placed && life_of) {
        find_groups(graph, groups);
        const int n_lives = find_lives(graph, groups, lives, life_of);
        place_lives(graph, lives, swallow(graph, groups, lives, n_lives), placed);
    } else {
        status = LK_FAIL(LK_ERR_SYSTEM, "out of memory: placing %d tensors", graph->n_tensors);
    }
    free(life_of);
    free(placed);
    free(lives);
    free(groups);
    lk_graph_place_views(graph);
    return status;
}
