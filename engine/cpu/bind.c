/* From an op to its binder, and which nodes are done together. */
#include "engine/cpu/norm.h"

/* Ops that this engine has no kernel for.  A view needs none. */
#define cpu_bind_view NULL

static cpu_binder *const binders[LK_N_OPS] = {
#define BINDER_ENTRY(id, name, ...) [LK_OP_##id] = cpu_bind_##name,
    LK_EVERY_OP(BINDER_ENTRY)
#undef BINDER_ENTRY
};

bool cpu_has(lk_op_id op) { return binders[op] != NULL; }

lk_status cpu_rewrite(void *ctx, lk_graph *graph)
{
    (void)ctx;
    if (graph->mode == LK_TRAIN && graph->length > 0) LK_TRY(lk_graph_find_ends(graph));
    for (int i = 0, n; i < graph->n_nodes; i += n) {
        n = cpu_embedding_joins(graph, i) ? 2 : cpu_norm_group(graph, i);
        if (n > 1) lk_graph_fuse(graph, i, n);
    }
    return LK_OK;
}

/* A ReLU's gradient that begins a group is of the batch norm's kernel behind it. */
static cpu_binder *binder_of(const lk_node *node)
{
    return binders[node->n_fused > 1 && node->op == LK_OP_ACTIVATION_GRAD ? node[1].op : node->op];
}

lk_status cpu_bind(void *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    assert(cpu_has(node->op));
    *out = (lk_kernel){0};
    LK_TRY(binder_of(node)(ctx, graph, node, out));
    return LK_OK;
}
