/* Dropout and its gradient, as stages of a chain: the same choice, made again from (seed, layer, step, sample,
 * element). A mask is written only where the graph keeps one, and never read. */
#include "engine/cuda/chain.h"

#include <string.h>

bool chain_stage_dropout(const lk_node *node, int from, chain_stage *out)
{
    memset(out, 0, sizeof *out);
    out->op = CHAIN_DROPOUT;
    out->v = node->in[0];
    out->operand = LK_NO_TENSOR;
    out->out = node->out[0];
    out->mask = node->op == LK_OP_DROPOUT ? node->out[1] : LK_NO_TENSOR;
    out->p = node->attrs.dropout.p;
    out->layer = node->attrs.dropout.layer;
    return from == LK_NO_TENSOR || from == out->v;
}

bool chain_stage_dropout_grad(const lk_node *node, int from, chain_stage *out)
{
    return chain_stage_dropout(node, from, out);
}

lk_status cuda_bind_dropout(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    chain_stage stage;

    chain_stage_dropout(node, LK_NO_TENSOR, &stage);
    return chain_bind(ctx, graph, &stage, 1, out);
}

lk_status cuda_bind_dropout_grad(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return cuda_bind_dropout(ctx, graph, node, out);
}
