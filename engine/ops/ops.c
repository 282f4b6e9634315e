/*
 * The op table, made from the one list: for each op its name, its gradient rule and its cost.  The rules are in the op
 * files; nothing else in the engine asks which ops exist.
 */
#include "engine/ops/rules.h"

#include <assert.h>

static const lk_op table[LK_N_OPS] = {
#define DIFF_ENTRY(id, word, rule, cost) \
    [LK_OP_##id] = {.name = #word, .gradient = lk_gradient_##rule, .flops = lk_flops_##cost},
#define LAST_ENTRY(id, word, cost) [LK_OP_##id] = {.name = #word, .flops = lk_flops_##cost},
    LK_OP_LIST(DIFF_ENTRY, LAST_ENTRY)
#undef DIFF_ENTRY
#undef LAST_ENTRY
};

const lk_op *lk_op_get(lk_op_id id)
{
    assert((int)id >= 0 && id < LK_N_OPS);
    return &table[id];
}

double lk_flops_each_output(const lk_graph *graph, const lk_node *node)
{
    for (int o = 0; o < node->n_out; o++)
        if (node->out[o] != LK_NO_TENSOR) return (double)graph->tensors[node->out[o]].n_elem;
    return 0.0;
}
