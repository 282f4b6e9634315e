/*
 * Losses: the shape rule of all.  A loss ends the forward pass and begins the backward pass: in training one node
 * writes the loss slot and the gradient of its input, in evaluation it writes sums, so there is no gradient rule.
 *
 *     pointwise, over every value of the output     term           dx
 *       mse                                         (x - t)^2      2 (x - t)
 *       l1                                          |x - t|        sign(x - t)
 *       smooth_l1, huber, bce                       as in engine/base/formulas.h
 *     cross_entropy, over rows of logits            as there; rows with ignored labels count nothing, and the target
 *                                                   may be a probability for each class
 *
 * Rows are all axes but the last.  The slot is the sum of terms times inv_count, and so is dx; inv_count is 1 / (terms
 * of the whole global batch, or the sum of its labels' weights), so slots and gradients of lanes add up to those of the
 * batch's mean, whatever the sizes of the lanes.  With another reduction it is another number of the whole batch.
 */
#include "engine/ops/ops.h"
#include "engine/ops/rules.h"
#include "engine/ops/shapes.h"

#include <assert.h>

static bool reads_classes(const lk_loss_spec *spec) { return lk_loss_get(spec->kind)->reads == LK_READS_CLASSES; }
static bool reads_labels(const lk_loss_spec *spec) { return reads_classes(spec) && !spec->probabilities; }

/* The target has the first `ndim` axes of x. */
static bool has_axes_of(const lk_tensor *target, const lk_tensor *x, int ndim)
{
    if (target->ndim != ndim) return false;
    for (int d = 0; d < ndim; d++)
        if (target->shape[d] != x->shape[d]) return false;
    return true;
}

static lk_status check_shapes(const char *path, const lk_loss_spec *spec, const lk_tensor *x, const lk_tensor *target)
{
    lk_tensor rows = *x;

    rows.ndim--;
    if (!lk_is_float(x->dtype) || x->ndim < 2)
        return LK_FAIL(LK_ERR_USAGE, "%s: the loss is taken from %s %s; expected fp32 or bf16, (N, ..., O)", path,
                       lk_dtype_name(x->dtype), lk_shape_of(x).text);
    if (reads_labels(spec)) {
        if (target->dtype == LK_DTYPE_I32 && has_axes_of(target, x, x->ndim - 1)) return LK_OK;
        return LK_FAIL(LK_ERR_USAGE, "%s: the label is %s %s, expected int32 %s, one for each row of logits", path,
                       lk_dtype_name(target->dtype), lk_shape_of(target).text, lk_shape_of(&rows).text);
    }
    if (target->dtype == LK_DTYPE_F32 && has_axes_of(target, x, x->ndim)) return LK_OK;
    return LK_FAIL(LK_ERR_USAGE, "%s: the target is %s %s, expected fp32 %s like the output", path,
                   lk_dtype_name(target->dtype), lk_shape_of(target).text, lk_shape_of(x).text);
}

lk_status lk_op_loss(lk_graph *graph, const char *path, const lk_loss_spec *spec, int x, int target, int slot, int sums,
                     int *dx)
{
    const lk_tensor in_x = graph->tensors[x], in_target = graph->tensors[target];
    const lk_attrs attrs = {.loss = {.spec = *spec, .mode = graph->mode}};
    const int in[] = {x, target};

    *dx = LK_NO_TENSOR;
    assert(graph->mode != LK_PREDICT);
    LK_TRY(check_shapes(path, spec, &in_x, &in_target));
    if (lk_loss_check(spec, (size_t)in_x.shape[in_x.ndim - 1]) != LK_OK)
        return LK_FAIL(LK_ERR_USAGE, "%s: %s", path, lk_error_message());
    if (graph->mode == LK_TRAIN) LK_TRY(lk_graph_grad(graph, x, dx));

    const int out[] = {*dx, graph->mode == LK_TRAIN ? slot : sums};
    assert(out[1] != LK_NO_TENSOR);
    return lk_graph_node(graph, reads_classes(spec) ? LK_OP_CROSS_ENTROPY : LK_OP_POINTWISE_LOSS, path, 2, in, 2, out,
                         &attrs, NULL);
}

/* Per logit: difference from the maximum, exponential, sum of both, two for dx. */
double lk_flops_cross_entropy(const lk_graph *graph, const lk_node *node)
{
    return 6.0 * (double)graph->tensors[node->in[0]].n_elem;
}
