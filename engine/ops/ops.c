/*
 * The op table: for each op its name, its gradient rule and its cost.  The rules are in the op files; nothing else
 * in the engine asks which ops exist.
 */
#include "engine/ops/rules.h"

#include <assert.h>

/* What a row leaves out: no gradient; one operation per output element. */
static const lk_op table[LK_N_OPS] = {
#define OP_NAME(id, word) [LK_OP_##id].name = word,
    LK_OP_LIST(OP_NAME)
#undef OP_NAME
    [LK_OP_LINEAR].gradient = lk_gradient_linear,
    [LK_OP_LINEAR].flops = lk_flops_linear,
    [LK_OP_LINEAR_GRAD_X].flops = lk_flops_linear_grad_x,
    [LK_OP_LINEAR_GRAD_W].flops = lk_flops_linear_grad_w,
    [LK_OP_CONV2D].gradient = lk_gradient_conv2d,
    [LK_OP_CONV2D].flops = lk_flops_conv2d,
    [LK_OP_CONV2D_GRAD_X].flops = lk_flops_conv2d_grad_x,
    [LK_OP_CONV2D_GRAD_W].flops = lk_flops_conv2d_grad_w,
    [LK_OP_BIAS_GRAD].flops = lk_flops_bias_grad,
    [LK_OP_MAX_POOL2D].gradient = lk_gradient_pool2d,
    [LK_OP_MAX_POOL2D].flops = lk_flops_pool2d,
    [LK_OP_MAX_POOL2D_GRAD].flops = lk_flops_pool2d,
    [LK_OP_AVG_POOL2D].gradient = lk_gradient_pool2d,
    [LK_OP_AVG_POOL2D].flops = lk_flops_pool2d,
    [LK_OP_AVG_POOL2D_GRAD].flops = lk_flops_pool2d,
    [LK_OP_FLATTEN].gradient = lk_gradient_flatten,
    [LK_OP_ACTIVATION].gradient = lk_gradient_activation,
    [LK_OP_DROPOUT].gradient = lk_gradient_dropout,
    [LK_OP_BATCH_NORM].gradient = lk_gradient_batch_norm,
    [LK_OP_BATCH_NORM].flops = lk_flops_batch_norm,
    [LK_OP_BATCH_NORM_GRAD].flops = lk_flops_batch_norm_grad,
    [LK_OP_BATCH_NORM_EVAL].gradient = lk_gradient_batch_norm_eval,
    [LK_OP_BATCH_NORM_EVAL].flops = lk_flops_batch_norm_eval,
    [LK_OP_LAYER_NORM].gradient = lk_gradient_layer_norm,
    [LK_OP_LAYER_NORM].flops = lk_flops_layer_norm,
    [LK_OP_LAYER_NORM_GRAD].flops = lk_flops_layer_norm_grad,
    [LK_OP_ADD].gradient = lk_gradient_add,
    [LK_OP_CAST].gradient = lk_gradient_cast,
    [LK_OP_CROSS_ENTROPY].flops = lk_flops_cross_entropy,
};

const lk_op *lk_op_get(lk_op_id id)
{
    assert((int)id >= 0 && id < LK_N_OPS);
    return &table[id];
}
