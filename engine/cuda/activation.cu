/* Activations and their gradients, as stages of a chain; the formulas are in engine/base/formulas.h. */
#include "engine/cuda/chain.h"

#include <string.h>

static chain_op forward_of(lk_activation kind)
{
    switch (kind) {
#define FORWARD(name, word, formula, from) case name: return CHAIN_##formula;
        LK_ACTIVATION_FORMULAS(FORWARD)
#undef FORWARD
    case LK_ACT_IDENTITY: break;
    }
    return CHAIN_COPY;
}

static chain_op backward_of(lk_activation kind)
{
    switch (kind) {
#define BACKWARD(name, word, formula, from) case name: return CHAIN_##formula##_GRAD;
        LK_ACTIVATION_FORMULAS(BACKWARD)
#undef BACKWARD
    case LK_ACT_IDENTITY: break;
    }
    return CHAIN_COPY;
}

static void fill(const lk_node *node, chain_op op, int operand, chain_stage *out)
{
    memset(out, 0, sizeof *out);
    out->op = op;
    out->v = node->in[0];
    out->operand = operand;
    out->out = node->out[0];
    out->mask = LK_NO_TENSOR;
}

bool chain_stage_activation(const lk_node *node, int from, chain_stage *out)
{
    fill(node, forward_of(node->attrs.activation.kind), LK_NO_TENSOR, out);
    return from == LK_NO_TENSOR || from == out->v;
}

bool chain_stage_activation_grad(const lk_node *node, int from, chain_stage *out)
{
    fill(node, backward_of(node->attrs.activation.kind), node->in[1], out);
    return from == LK_NO_TENSOR || from == out->v;
}

lk_status cuda_bind_activation(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    chain_stage stage;

    chain_stage_activation(node, LK_NO_TENSOR, &stage);
    return chain_bind(ctx, graph, &stage, 1, out);
}

lk_status cuda_bind_activation_grad(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    chain_stage stage;

    chain_stage_activation_grad(node, LK_NO_TENSOR, &stage);
    return chain_bind(ctx, graph, &stage, 1, out);
}
