/* Element-wise ops, alone or one after another in one kernel.  Private to engine/cuda/. */
#ifndef LK_CUDA_CHAIN_H
#define LK_CUDA_CHAIN_H

#include "engine/cuda/cuda.h"

/* What a stage does to the value v that comes from the stage before, with its operand o.  The list of activations makes
 * CHAIN_relu and so on, and CHAIN_relu_GRAD, whose v is dy and whose o is what is kept. */
typedef enum chain_op {
    CHAIN_COPY,
#define CHAIN_ACTIVATION(name, word, formula, from) CHAIN_##formula, CHAIN_##formula##_GRAD,
    LK_ACTIVATION_FORMULAS(CHAIN_ACTIVATION)
#undef CHAIN_ACTIVATION
    CHAIN_ADD, CHAIN_DROPOUT,
} chain_op;

/* One op of the graph as a stage: which of its inputs is v, which the operand. */
typedef struct chain_stage {
    chain_op op;
    int v, operand, out, mask; /* tensors; LK_NO_TENSOR for none */
    double p;                  /* DROPOUT */
    uint32_t layer;
} chain_stage;

/* How a family of ops is a stage, by activation.cu and so on: `from` is the tensor that comes from the stage before,
 * LK_NO_TENSOR in the first.  False: from is not what the op works on. */
bool chain_stage_activation(const lk_node *node, int from, chain_stage *out);
bool chain_stage_activation_grad(const lk_node *node, int from, chain_stage *out);
bool chain_stage_dropout(const lk_node *node, int from, chain_stage *out);
bool chain_stage_dropout_grad(const lk_node *node, int from, chain_stage *out);
bool chain_stage_add(const lk_node *node, int from, chain_stage *out);
bool chain_stage_cast(const lk_node *node, int from, chain_stage *out);

/* Binds stages that follow one another as one kernel. */
lk_status chain_bind(cuda_ctx *ctx, const lk_graph *graph, const chain_stage *stages, int n, lk_kernel *out);

#endif
