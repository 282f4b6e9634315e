/*
 * Where the rows end that somebody reads.
 *
 * A lane of sentences is filled up to its longest one, and what is behind a sentence's end is read by nobody: attention
 * looks at the first lengths[n] keys, and the loss takes no term from a label that does not count.  So of an activation
 * (N, L, C) and of its gradient, which is 0 there, only the rows before the end matter, and a backend may leave the
 * others out.
 *
 * Activations that are made row by row from each other share their ends: they are joined, and all readers of the joined
 * ones are asked.  Two of one mind give the answer; whoever mixes rows or hands them out, and two that disagree, need
 * them all.
 */
#include "engine/graph/graph.h"

#include <stdlib.h>

enum { NOBODY_ASKED = LK_NO_TENSOR, ALL = -2 };

typedef struct pass {
    lk_graph *graph;
    int *joined;   /* towards the one that speaks for its group; owned */
    lk_ends *ends; /* of those; owned */
} pass;

/* The one that speaks for t. */
static int speaker(const pass *p, int t)
{
    while (p->joined[t] != t) t = p->joined[t] = p->joined[p->joined[t]];
    return t;
}

/* A reader of t needs its rows up to there. */
static void ask(const pass *p, int t, lk_ends ends)
{
    lk_ends *known = &p->ends[speaker(p, lk_graph_root(p->graph, t))];

    if (ends.of == NOBODY_ASKED) return;
    if (known->of == NOBODY_ASKED) *known = ends;
    else if (known->of != ends.of || known->ignore_index != ends.ignore_index) known->of = ALL;
}

static void ask_all(const pass *p, int t) { ask(p, t, (lk_ends){.of = ALL}); }

/* An activation (N, L, C) that lies by itself. */
static bool has_rows(const lk_graph *graph, int t)
{
    const lk_tensor *tensor = &graph->tensors[t];

    return tensor->arena == LK_ARENA_ACT && tensor->root == LK_NO_TENSOR && tensor->ndim == 3 &&
           tensor->shape[0] == graph->n && tensor->shape[1] == graph->length;
}

/* a and b share their ends; either may be absent. */
static void join(const pass *p, int a, int b)
{
    if (a == LK_NO_TENSOR || b == LK_NO_TENSOR) return;
    if (!has_rows(p->graph, a) || !has_rows(p->graph, b)) {
        ask_all(p, a), ask_all(p, b);
        return;
    }
    const int to = speaker(p, a), from = speaker(p, b);
    const lk_ends ends = p->ends[from];

    p->joined[from] = to;
    if (from != to) ask(p, a, ends);
}

static bool is_of_parameter(const lk_tensor *t)
{
    return t->arena == LK_ARENA_PARAMS || t->arena == LK_ARENA_GRADS || t->ndim < 3;
}

/* Everything with rows that the node reads and writes. */
static void join_node(const pass *p, const lk_node *node)
{
    int first = LK_NO_TENSOR;

    for (int i = 0; i < node->n_in + node->n_out; i++) {
        const int t = i < node->n_in ? node->in[i] : node->out[i - node->n_in];

        if (t == LK_NO_TENSOR || is_of_parameter(&p->graph->tensors[t])) continue;
        if (first == LK_NO_TENSOR) first = t;
        join(p, first, t);
    }
}

static void ask_for_node(const pass *p, const lk_node *node)
{
    for (int i = 0; i < node->n_in; i++)
        if (node->in[i] != LK_NO_TENSOR) ask_all(p, node->in[i]);
    for (int o = 0; o < node->n_out; o++)
        if (node->out[o] != LK_NO_TENSOR) ask_all(p, node->out[o]);
}

/* Queries with y, keys with values.  A causal query sees no key behind itself. */
static void join_attention(const pass *p, const lk_node *node)
{
    const bool back = node->op == LK_OP_ATTENTION_GRAD;
    const int *in = back ? node->in + 1 : node->in, q = in[0], k = in[1], lengths = in[3];

    join(p, q, back ? node->in[5] : node->out[0]);
    join(p, k, in[2]);
    for (int i = 0; back && i < 3; i++) join(p, in[i], node->out[i]);
    if (back) join(p, q, node->in[0]);
    if (node->attrs.attention.causal) join(p, q, k);
    if (lengths != LK_NO_TENSOR) ask(p, k, (lk_ends){.of = lengths});
    else if (!node->attrs.attention.causal) ask_all(p, k);
}

static void join_loss(const pass *p, const lk_node *node)
{
    const lk_loss_spec *spec = &node->attrs.loss.spec;

    join(p, node->in[0], node->out[0]);
    if (spec->probabilities) ask_all(p, node->in[0]);
    else ask(p, node->in[0], (lk_ends){.of = node->in[1], .ignore_index = spec->ignore_index});
}

static void visit(const pass *p, const lk_node *node)
{
    switch ((int)node->op) {
    case LK_OP_LINEAR: case LK_OP_LINEAR_GRAD_X: case LK_OP_LINEAR_GRAD_W: case LK_OP_BIAS_GRAD:
    case LK_OP_ACTIVATION: case LK_OP_ACTIVATION_GRAD: case LK_OP_DROPOUT: case LK_OP_DROPOUT_GRAD:
    case LK_OP_LAYER_NORM: case LK_OP_LAYER_NORM_GRAD: case LK_OP_ADD: case LK_OP_CAST:
    case LK_OP_SPLIT: case LK_OP_SPLIT_GRAD:
    case LK_OP_POSITIONS: case LK_OP_POSITIONS_GRAD: join_node(p, node); return;
    case LK_OP_EMBEDDING: case LK_OP_EMBEDDING_GRAD: return; /* rows of their own, by token */
    case LK_OP_ATTENTION: case LK_OP_ATTENTION_GRAD: join_attention(p, node); return;
    case LK_OP_CROSS_ENTROPY: join_loss(p, node); return;
    default: ask_for_node(p, node);
    }
}

lk_status lk_graph_find_ends(lk_graph *graph)
{
    const size_t n = (size_t)graph->n_tensors + 1;
    const pass p = {.graph = graph, .joined = malloc(n * sizeof *p.joined), .ends = calloc(n, sizeof *p.ends)};
    lk_status status = LK_OK;

    if (p.joined && p.ends) {
        for (int t = 0; t < graph->n_tensors; t++) p.joined[t] = t, p.ends[t].of = NOBODY_ASKED;
        for (int i = 0; i < graph->n_nodes; i++) visit(&p, &graph->nodes[i]);
        for (int t = 0; t < graph->n_tensors; t++) {
            const lk_ends ends = p.ends[speaker(&p, t)];

            if (ends.of >= 0 && has_rows(graph, t)) graph->tensors[t].ends = ends;
        }
    } else {
        status = LK_FAIL(LK_ERR_SYSTEM, "out of memory: the ends of %d tensors", graph->n_tensors);
    }
    free(p.ends);
    free(p.joined);
    return status;
}
