/*
 * The static graph: growing its two arrays, and what follows from an edge (producers, readers, who needs a gradient).
 *
 * Ids are indices, so the arrays may move while the graph grows: callers keep ids, not pointers, across a call that
 * appends.  What a call is given may lie in the arrays; it is copied before they move.
 */
#include "engine/graph/graph.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 32 };

void lk_graph_init(lk_graph *graph, const lk_model *model, lk_mode mode, lk_precision precision, int64_t n)
{
    *graph = (lk_graph){.model = model, .mode = mode, .precision = precision, .keeps_masks = true, .n = n,
                        .wants_output = mode == LK_PREDICT || mode == LK_DECODE};
}

void lk_graph_clear(lk_graph *graph)
{
    for (int t = 0; t < graph->n_tensors; t++) free(graph->tensors[t].name);
    for (int i = 0; i < graph->n_nodes; i++) free(graph->nodes[i].path);
    free(graph->tensors);
    free(graph->nodes);
    *graph = (lk_graph){0};
}

/* Makes room for one more element of *array. */
static lk_status grow(void *array, int n, int *capacity, size_t element)
{
    void **p = array;

    if (n < *capacity) return LK_OK;
    const int larger = *capacity ? 2 * *capacity : FIRST_CAPACITY;
    void *moved = realloc(*p, (size_t)larger * element);
    LK_TRY_ALLOC(moved, (size_t)larger * element);
    *p = moved;
    *capacity = larger;
    return LK_OK;
}

static lk_status count_elements(const char *name, lk_dtype dtype, int ndim, const int64_t *shape, size_t *n_elem)
{
    if (ndim < 0 || ndim > LK_MAX_DIMS)
        return LK_FAIL(LK_ERR_USAGE, "%s: %d dimensions; at most %d are supported", name, ndim, LK_MAX_DIMS);
    *n_elem = 1;
    for (int d = 0; d < ndim; d++) {
        if (shape[d] < 1)
            return LK_FAIL(LK_ERR_USAGE, "%s: dimension %d is %lld; it must be at least 1", name, d,
                           (long long)shape[d]);
        if ((uint64_t)shape[d] > PTRDIFF_MAX / lk_dtype_size(dtype) / *n_elem)
            return LK_FAIL(LK_ERR_USAGE, "%s: too large for this machine's memory addresses", name);
        *n_elem *= (size_t)shape[d];
    }
    return LK_OK;
}

lk_status lk_graph_tensor(lk_graph *graph, const char *name, lk_dtype dtype, int ndim, const int64_t *shape,
                          lk_arena arena, size_t offset, int *out)
{
    size_t n_elem = 0;

    *out = LK_NO_TENSOR;
    LK_TRY(count_elements(name, dtype, ndim, shape, &n_elem));
    lk_tensor made = {.dtype = dtype, .ndim = ndim, .n_elem = n_elem, .nbytes = n_elem * lk_dtype_size(dtype),
                      .arena = arena, .offset = offset, .grad_offset = offset,
                      .producer = -1, .info = -1, .root = LK_NO_TENSOR, .ends = {.of = LK_NO_TENSOR}};
    for (int d = 0; d < ndim; d++) made.shape[d] = shape[d]; /* before growing: shape may be another tensor's */
    LK_TRY(grow(&graph->tensors, graph->n_tensors, &graph->cap_tensors, sizeof *graph->tensors));
    made.name = strdup(name);
    LK_TRY_ALLOC(made.name, strlen(name) + 1);
    graph->tensors[graph->n_tensors] = made;
    *out = graph->n_tensors++;
    return LK_OK;
}

lk_status lk_graph_act(lk_graph *graph, const char *name, lk_dtype dtype, int ndim, const int64_t *shape, int *out)
{
    return lk_graph_tensor(graph, name, dtype, ndim, shape, LK_ARENA_ACT, 0, out);
}

/* Tells the tensors on both sides of a new node about it. */
static void connect(lk_graph *graph, const lk_node *node, int id)
{
    bool needs_grad = false;

    for (int i = 0; i < node->n_in; i++) {
        if (node->in[i] == LK_NO_TENSOR) continue;
        lk_tensor *t = &graph->tensors[node->in[i]];
        t->n_uses++;
        needs_grad |= t->needs_grad;
    }
    for (int o = 0; o < node->n_out; o++) {
        if (node->out[o] == LK_NO_TENSOR) continue;
        lk_tensor *t = &graph->tensors[node->out[o]];
        assert(t->producer < 0);
        t->producer = id;
        if (t->arena == LK_ARENA_ACT && t->dtype != LK_DTYPE_U8) t->needs_grad |= needs_grad;
    }
}

lk_status lk_graph_node(lk_graph *graph, lk_op_id op, const char *path, int n_in, const int *in, int n_out,
                        const int *out, const lk_attrs *attrs, int *node)
{
    assert(n_in >= 0 && n_in <= LK_MAX_IN && n_out >= 0 && n_out <= LK_MAX_OUT);
    lk_node made = {.op = op, .n_in = n_in, .n_out = n_out, .backward = graph->backward};
    for (int i = 0; i < n_in; i++) made.in[i] = in[i]; /* before growing: in may be another node's */
    for (int o = 0; o < n_out; o++) made.out[o] = out[o];
    if (attrs) made.attrs = *attrs;
    LK_TRY(grow(&graph->nodes, graph->n_nodes, &graph->cap_nodes, sizeof *graph->nodes));
    made.path = strdup(path);
    LK_TRY_ALLOC(made.path, strlen(path) + 1);
    graph->nodes[graph->n_nodes] = made;
    connect(graph, &made, graph->n_nodes);
    if (node) *node = graph->n_nodes;
    graph->n_nodes++;
    return LK_OK;
}

bool lk_op_is_differentiable(lk_op_id id)
{
    static const bool has_rule[LK_N_OPS] = {
#define DIFF_FLAG(id, ...) [LK_OP_##id] = true,
#define LAST_FLAG(id, ...) [LK_OP_##id] = false,
        LK_OP_LIST(DIFF_FLAG, LAST_FLAG)
#undef DIFF_FLAG
#undef LAST_FLAG
    };

    return has_rule[id];
}

void lk_graph_fuse(lk_graph *graph, int first, int n)
{
    assert(n > 1 && first + n <= graph->n_nodes);
    for (int i = first; i < first + n; i++) assert(graph->nodes[i].n_fused == 0);
    graph->nodes[first].n_fused = n;
}

/* Places where a gradient of `tensor` can come from.  Backward ops read forward tensors too, but have no rule. */
static int n_differentiable_readers(const lk_graph *graph, int tensor)
{
    int n = 0;

    for (int i = 0; i < graph->n_nodes; i++) {
        const lk_node *node = &graph->nodes[i];
        if (!lk_op_is_differentiable(node->op)) continue;
        for (int k = 0; k < node->n_in; k++) n += node->in[k] == tensor;
    }
    return n;
}

lk_status lk_graph_grad(lk_graph *graph, int tensor, int *out)
{
    const lk_tensor of = graph->tensors[tensor];
    const bool final = lk_is_param(&of) && n_differentiable_readers(graph, tensor) <= 1;
    char name[256] = "d ";

    strncat(name, of.name, sizeof name - strlen(name) - 1);
    return lk_graph_tensor(graph, name, of.dtype, of.ndim, of.shape, final ? LK_ARENA_GRADS : LK_ARENA_ACT,
                           final ? of.grad_offset : 0, out);
}
