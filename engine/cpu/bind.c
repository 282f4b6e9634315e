/* From an op to its binder. */
#include "engine/cpu/cpu.h"

/* Ops that this engine has no kernel for.  A view needs none. */
#define cpu_bind_view NULL

static cpu_binder *const binders[LK_N_OPS] = {
#define BINDER_ENTRY(id, name, ...) [LK_OP_##id] = cpu_bind_##name,
    LK_EVERY_OP(BINDER_ENTRY)
#undef BINDER_ENTRY
};

bool cpu_has(lk_op_id op) { return binders[op] != NULL; }

lk_status cpu_bind(void *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    assert(cpu_has(node->op));
    *out = (lk_kernel){0};
    LK_TRY(binders[node->op](ctx, graph, node, out));
    return LK_OK;
}
