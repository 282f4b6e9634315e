/*
 * Recomputation: what the layers of a block keep for the backward pass is dropped after the forward pass, and computed
 * again where the backward pass reaches the block.
 *
 * What a later layer reads of a block (its output) stays, and so does what the block reads.  Of all else that backward
 * nodes read, the nodes that make it, and those that make what these read inside the block, get copies right before the
 * first backward node that asks; backward nodes read what the copies make.  Liveness does the rest: the first ones
 * die in the forward pass, and of the second there are one block's at a time.
 *
 * A copy is the same kernel over the same numbers, dropout draws by sample and element, and groups are copied whole: so
 * gradients have the same bits as without.  A batch norm's statistics for the arena are made once: its copy writes them
 * to an activation that nobody reads.
 *
 * Source: Chen, Xu, Zhang and Guestrin, "Training deep nets with sublinear memory cost", 2016, arXiv:1604.06174.
 */
#include "engine/graph/graph.h"

#include <assert.h>
#include <stdlib.h>

enum { NO_BLOCK = -1, NOWHERE = -1 };

/* Arrays are owned, and of the nodes and tensors that the graph had when it came. */
typedef struct pass {
    lk_graph *graph;
    int n_nodes, n_tensors;
    int *group;  /* of each node: the first of its group */
    int *block;  /* of each node; NO_BLOCK: it is not computed again */
    int *copy;   /* of each node: its copy, or NOWHERE */
    int *first;  /* of each block: the backward node in front of which it is computed again, or NOWHERE */
    bool *again; /* each node: it has a copy */
    int *twin;   /* of each tensor: what the copies make in its place, or LK_NO_TENSOR */
    bool *stays; /* each tensor: a layer behind its block reads it in the forward pass */
} pass;

/* ------------------------------------------------------------------- search */

/* The node that makes what t lies in; NOWHERE: it is no activation. */
static int maker_of(const pass *p, int t)
{
    const lk_tensor *root = &p->graph->tensors[lk_graph_root(p->graph, t)];

    return root->arena == LK_ARENA_ACT ? root->producer : NOWHERE;
}

/* Its block if t is dropped where the block is computed again, else NO_BLOCK. */
static int dropped_with(const pass *p, int t)
{
    const int maker = t == LK_NO_TENSOR ? NOWHERE : maker_of(p, t);

    return maker == NOWHERE || p->stays[lk_graph_root(p->graph, t)] ? NO_BLOCK : p->block[maker];
}

/* What a run hands out is not to be written twice. */
static bool may_run_twice(const lk_graph *graph, const lk_node *node)
{
    if (node->backward) return false;
    for (int o = 0; o < node->n_out; o++) {
        const lk_arena arena = node->out[o] == LK_NO_TENSOR ? LK_ARENA_ACT : graph->tensors[node->out[o]].arena;

        if (arena != LK_ARENA_ACT && arena != LK_ARENA_GRADS) return false;
    }
    return true;
}

/* A group is of its first node's block. */
static void find_groups(pass *p, const int *block)
{
    for (int i = 0, n; i < p->n_nodes; i += n) {
        bool may = true;

        n = lk_graph_group(p->graph, i);
        for (int k = i; k < i + n; k++) may &= may_run_twice(p->graph, &p->graph->nodes[k]);
        for (int k = i; k < i + n; k++) p->group[k] = i, p->block[k] = may ? block[i] : NO_BLOCK;
    }
}

static void find_what_stays(pass *p)
{
    for (int i = 0; i < p->n_nodes; i++) {
        const lk_node *node = &p->graph->nodes[i];

        for (int k = 0; !node->backward && k < node->n_in; k++) {
            const int b = dropped_with(p, node->in[k]);

            if (b != NO_BLOCK && b != p->block[i]) p->stays[lk_graph_root(p->graph, node->in[k])] = true;
        }
    }
}

/* The group that makes t gets a copy. */
static void want(pass *p, int t)
{
    const int first = p->group[maker_of(p, t)];

    for (int i = first; i < first + lk_graph_group(p->graph, first); i++) p->again[i] = true;
}

static void find_copies(pass *p)
{
    for (int i = 0; i < p->n_nodes; i++) {
        const lk_node *node = &p->graph->nodes[i];

        for (int k = 0; node->backward && k < node->n_in; k++) {
            const int b = dropped_with(p, node->in[k]);

            if (b == NO_BLOCK) continue;
            if (p->first[b] == NOWHERE) p->first[b] = p->group[i];
            want(p, node->in[k]);
        }
    }
    for (int i = p->n_nodes - 1; i >= 0; i--)
        for (int k = 0; p->again[i] && k < p->graph->nodes[i].n_in; k++)
            if (dropped_with(p, p->graph->nodes[i].in[k]) != NO_BLOCK) want(p, p->graph->nodes[i].in[k]);
}

/* ------------------------------------------------------------------ copying */

/* A view counts for its root too. */
static void count_use(lk_graph *graph, int t, int by)
{
    graph->tensors[t].n_uses += by;
    if (graph->tensors[t].root != LK_NO_TENSOR) graph->tensors[graph->tensors[t].root].n_uses += by;
}

static lk_status make_twin(pass *p, int t)
{
    lk_graph *graph = p->graph;
    const lk_tensor of = graph->tensors[t]; /* a copy: appending moves the array */

    LK_TRY(lk_graph_act(graph, of.name, of.dtype, of.ndim, of.shape, &p->twin[t]));
    lk_tensor *made = &graph->tensors[p->twin[t]];
    made->ends = of.ends;
    if (of.root == LK_NO_TENSOR) return LK_OK;
    assert(p->twin[of.root] != LK_NO_TENSOR);
    made->root = p->twin[of.root];
    made->root_offset = of.root_offset;
    made->producer = graph->tensors[made->root].producer;
    return LK_OK;
}

/* What is read in the place of t from the copies on. */
static lk_status instead_of(pass *p, int t, int *out)
{
    *out = t;
    if (dropped_with(p, t) == NO_BLOCK) return LK_OK;
    if (p->twin[t] == LK_NO_TENSOR) LK_TRY(make_twin(p, t)); /* a view */
    *out = p->twin[t];
    return LK_OK;
}

static lk_status copy_node(pass *p, int i)
{
    lk_graph *graph = p->graph;
    const lk_node of = graph->nodes[i]; /* a copy: appending moves the array */
    int in[LK_MAX_IN], out[LK_MAX_OUT];

    for (int k = 0; k < of.n_in; k++) LK_TRY(instead_of(p, of.in[k], &in[k]));
    for (int o = 0; o < of.n_out; o++) {
        out[o] = LK_NO_TENSOR;
        if (of.out[o] == LK_NO_TENSOR) continue;
        LK_TRY(make_twin(p, of.out[o]));
        out[o] = p->twin[of.out[o]];
    }
    LK_TRY(lk_graph_node(graph, of.op, of.path, of.n_in, in, of.n_out, out, &of.attrs, &p->copy[i]));
    graph->nodes[p->copy[i]].n_fused = of.n_fused;
    graph->nodes[p->copy[i]].backward = graph->nodes[p->copy[i]].recomputed = true;
    for (int k = 0; k < of.n_in; k++)
        if (in[k] != LK_NO_TENSOR && graph->tensors[in[k]].root != LK_NO_TENSOR)
            graph->tensors[graph->tensors[in[k]].root].n_uses++; /* its own lk_graph_node() has counted */
    return LK_OK;
}

static lk_status turn_readers(pass *p)
{
    for (int i = 0; i < p->n_nodes; i++)
        for (int k = 0; p->graph->nodes[i].backward && k < p->graph->nodes[i].n_in; k++) {
            const int was = p->graph->nodes[i].in[k];
            int is;

            if (dropped_with(p, was) == NO_BLOCK) continue;
            LK_TRY(instead_of(p, was, &is));
            p->graph->nodes[i].in[k] = is;
            count_use(p->graph, was, -1);
            count_use(p->graph, is, 1);
        }
    return LK_OK;
}

/* Copies of each block in their order, in front of the node that asks first. */
static lk_status put_in_order(pass *p)
{
    int *order = malloc(((size_t)p->graph->n_nodes + 1) * sizeof *order), n = 0;

    LK_TRY_ALLOC(order, ((size_t)p->graph->n_nodes + 1) * sizeof *order);
    for (int i = 0; i < p->n_nodes; i++) {
        for (int k = 0; p->graph->nodes[i].backward && k < i; k++)
            if (p->again[k] && p->first[p->block[k]] == i) order[n++] = p->copy[k];
        order[n++] = i;
    }
    assert(n == p->graph->n_nodes);
    const lk_status status = lk_graph_reorder(p->graph, order);
    free(order);
    return status;
}

static lk_status recompute(pass *p, const int *block)
{
    for (int i = 0; i < p->n_nodes; i++) p->copy[i] = p->first[i] = NOWHERE;
    for (int t = 0; t < p->n_tensors; t++) p->twin[t] = LK_NO_TENSOR;
    find_groups(p, block);
    find_what_stays(p);
    find_copies(p);
    for (int i = 0; i < p->n_nodes; i++)
        if (p->again[i]) LK_TRY(copy_node(p, i));
    LK_TRY(turn_readers(p));
    return put_in_order(p);
}

lk_status lk_graph_recompute(lk_graph *graph, const int *block)
{
    const size_t n_nodes = (size_t)graph->n_nodes + 1, n_tensors = (size_t)graph->n_tensors + 1;
    pass p = {.graph = graph, .n_nodes = graph->n_nodes, .n_tensors = graph->n_tensors};
    int *ints = calloc(4 * n_nodes + n_tensors, sizeof *ints);
    bool *flags = calloc(n_nodes + n_tensors, sizeof *flags);
    lk_status status = LK_OK;

    if (ints && flags) {
        p.group = ints, p.block = ints + n_nodes, p.copy = ints + 2 * n_nodes, p.first = ints + 3 * n_nodes;
        p.twin = ints + 4 * n_nodes;
        p.again = flags, p.stays = flags + n_nodes;
        status = recompute(&p, block);
    } else {
        status = LK_FAIL(LK_ERR_SYSTEM, "out of memory: recomputation of %d nodes", graph->n_nodes);
    }
    free(flags);
    free(ints);
    return status;
}
