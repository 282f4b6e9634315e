/*
 * Losses: the shape rule of the three.  A loss ends the forward pass and begins the backward pass: in training one
 * node writes the loss slot and the gradient of its input, in evaluation it writes sums, so there is no gradient rule.
 *
 *     mse            term = (x - t)^2      dx = 2 (x - t) inv_count
 *     l1             term = |x - t|        dx = sign(x - t) inv_count
 *     cross_entropy  term and dx as in engine/base/formulas.h, dx times inv_count; rows with ignored labels count nothing
 *
 * The slot is the sum of terms times inv_count; inv_count is 1 / (terms of the whole global batch), so slots and
 * gradients of lanes add up to those of the batch's mean, whatever the sizes of the lanes.
 */
#include "engine/ops/ops.h"
#include "engine/ops/rules.h"
#include "engine/ops/shapes.h"

#include <assert.h>

static lk_op_id op_of(lk_loss_kind kind)
{
    switch (kind) {
    case LK_LOSS_MSE: return LK_OP_MSE_LOSS;
    case LK_LOSS_L1: return LK_OP_L1_LOSS;
    case LK_LOSS_CROSS_ENTROPY: return LK_OP_CROSS_ENTROPY;
    }
    assert(!"a loss of the list");
    return LK_N_OPS;
}

static lk_status check_shapes(const char *path, lk_loss_kind kind, const lk_tensor *x, const lk_tensor *target)
{
    if (!lk_is_float(x->dtype) || x->ndim != 2)
        return LK_FAIL(LK_ERR_USAGE, "%s: the loss is taken from %s %s; expected fp32 or bf16, (N, O)", path,
                       lk_dtype_name(x->dtype), lk_shape_of(x).text);
    if (lk_loss_get(kind)->reads == LK_READS_CLASSES) {
        if (target->dtype == LK_DTYPE_I32 && target->ndim == 1 && target->shape[0] == x->shape[0]) return LK_OK;
        return LK_FAIL(LK_ERR_USAGE, "%s: the label is %s %s, expected int32 (%lld), one for each sample", path,
                       lk_dtype_name(target->dtype), lk_shape_of(target).text, (long long)x->shape[0]);
    }
    if (target->dtype == LK_DTYPE_F32 && target->ndim == 2 && target->shape[0] == x->shape[0] &&
        target->shape[1] == x->shape[1])
        return LK_OK;
    return LK_FAIL(LK_ERR_USAGE, "%s: the target is %s %s, expected fp32 %s like the output", path,
                   lk_dtype_name(target->dtype), lk_shape_of(target).text, lk_shape_of(x).text);
}

lk_status lk_op_loss(lk_graph *graph, const char *path, const lk_loss_spec *spec, int x, int target, int slot, int sums,
                     int *dx)
{
    const lk_tensor in_x = graph->tensors[x], in_target = graph->tensors[target];
    const lk_attrs attrs = {.loss = {.label_smoothing = spec->label_smoothing,
                                     .ignore_index = spec->ignore_index, .mode = graph->mode}};
    const int in[] = {x, target};

    *dx = LK_NO_TENSOR;
    assert(graph->mode != LK_PREDICT);
    LK_TRY(check_shapes(path, spec->kind, &in_x, &in_target));
    if (!(spec->label_smoothing >= 0.0f && spec->label_smoothing <= 1.0f))
        return LK_FAIL(LK_ERR_USAGE, "%s: label_smoothing is %g; it must be in [0, 1]", path,
                       (double)spec->label_smoothing);
    if (graph->mode == LK_TRAIN) LK_TRY(lk_graph_grad(graph, x, dx));

    const int out[] = {*dx, graph->mode == LK_TRAIN ? slot : sums};
    assert(out[1] != LK_NO_TENSOR);
    return lk_graph_node(graph, op_of(spec->kind), path, 2, in, 2, out, &attrs, NULL);
}

/* Per logit: difference from the maximum, exponential, sum of both, two for dx. */
double lk_flops_cross_entropy(const lk_graph *graph, const lk_node *node)
{
    return 6.0 * (double)graph->tensors[node->in[0]].n_elem;
}
