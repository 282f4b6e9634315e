/* Element-wise ops, alone or one after another in one kernel.  Private to engine/cuda/. */
#ifndef LK_CUDA_CHAIN_H
#define LK_CUDA_CHAIN_H

#include "engine/cuda/cuda.h"

/* X(NAME): what a stage does to the value v that comes from the stage before, with its operand o. */
#define CHAIN_OP_LIST(X)                                                                          \
    X(COPY)                                                                                       \
    X(RELU) X(TANH) X(SIGMOID) X(GELU) X(GELU_TANH)                                               \
    X(RELU_GRAD) X(TANH_GRAD) X(SIGMOID_GRAD) X(GELU_GRAD) X(GELU_TANH_GRAD) /* v is dy, o what is kept */ \
    X(ADD) X(DROPOUT)

typedef enum chain_op {
#define CHAIN_OP_ENUM(name) CHAIN_##name,
    CHAIN_OP_LIST(CHAIN_OP_ENUM)
#undef CHAIN_OP_ENUM
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
