/*
 * Order and place: drops nodes nobody needs, finds out how long each activation lives, and gives it an offset.
 *
 * A graph grows in topological order (a node can only read what exists), and the backward pass, appended in reverse,
 * already frees activations last in, first out; so the order of building is kept and only dead nodes go.
 *
 * Placement is greedy by size: the largest activation first, each into the tightest gap that the activations alive at
 * the same time leave, else behind them.  Offsets are multiples of a cache line.  An activation lives from the node
 * that writes it to the last that reads it, both included, so a kernel never writes over what it reads.
 *
 * Source: Pisarchyk and Lee, "Efficient memory management for deep neural net inference", 2020, arXiv:2001.03288.
 */
#include "engine/graph/graph.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64 };

typedef struct life {
    int tensor;
    int first, last;      /* nodes */
    size_t begin, nbytes; /* place; nbytes rounded up to ALIGNMENT */
} life;

static bool writes_outside_activations(const lk_graph *graph, const lk_node *node)
{
    for (int o = 0; o < node->n_out; o++)
        if (node->out[o] != LK_NO_TENSOR && graph->tensors[node->out[o]].arena != LK_ARENA_ACT) return true;
    return false;
}

/* live[i]: node i writes something the run hands out, or something a live node reads. */
static void mark_live(const lk_graph *graph, bool *live)
{
    for (int i = graph->n_nodes - 1; i >= 0; i--) {
        const lk_node *node = &graph->nodes[i];

        live[i] |= writes_outside_activations(graph, node);
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

static lk_status drop_dead_nodes(lk_graph *graph)
{
    bool *live = calloc((size_t)graph->n_nodes + 1, sizeof *live);
    int kept = 0;

    LK_TRY_ALLOC(live, (size_t)graph->n_nodes + 1);
    mark_live(graph, live);
    for (int i = 0; i < graph->n_nodes; i++) {
        lk_node *node = &graph->nodes[i];

        if (!live[i]) {
            forget_node(graph, node);
            continue;
        }
        for (int o = 0; o < node->n_out; o++)
            if (node->out[o] != LK_NO_TENSOR) graph->tensors[node->out[o]].producer = kept;
        graph->nodes[kept++] = *node;
    }
    graph->n_nodes = kept;
    free(live);
    return LK_OK;
}

/* Lives of all activations that a node produces; lives has room for every tensor.  Returns how many. */
static int find_lives(const lk_graph *graph, life *lives, int *life_of)
{
    int n = 0;

    for (int t = 0; t < graph->n_tensors; t++) {
        const lk_tensor *tensor = &graph->tensors[t];

        life_of[t] = -1;
        if (tensor->arena != LK_ARENA_ACT || tensor->producer < 0) continue;
        const size_t nbytes = (tensor->nbytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        life_of[t] = n;
        lives[n++] = (life){.tensor = t, .first = tensor->producer, .last = tensor->producer, .nbytes = nbytes};
    }
    for (int i = 0; i < graph->n_nodes; i++)
        for (int k = 0; k < graph->nodes[i].n_in; k++) {
            const int t = graph->nodes[i].in[k];
            if (t != LK_NO_TENSOR && life_of[t] >= 0) lives[life_of[t]].last = i;
        }
    return n;
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

lk_status lk_graph_allocate(lk_graph *graph)
{
    LK_TRY(drop_dead_nodes(graph));

    const size_t n = (size_t)graph->n_tensors + 1;
    life *lives = calloc(n, sizeof *lives);
    const life **placed = calloc(n, sizeof *placed);
    int *life_of = calloc(n, sizeof *life_of);
    lk_status status = LK_OK;

    if (lives && placed && life_of)
        place_lives(graph, lives, find_lives(graph, lives, life_of), placed);
    else
        status = LK_FAIL(LK_ERR_SYSTEM, "out of memory: placing %d tensors", graph->n_tensors);
    free(life_of);
    free(placed);
    free(lives);
    return status;
}
