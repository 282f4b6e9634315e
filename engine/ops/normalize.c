/*
 * Whole numbers to fp32: shape rule.  Images travel as bytes and become numbers on the device, with the mean and
 * deviation of their channel; token ids and lengths become the numbers they are.  No gradient leads to either.
 */
#include "engine/ops/ops.h"
#include "engine/ops/rules.h"
#include "engine/ops/shapes.h"

static lk_status check_pixels(const char *path, const lk_pixels *pixels, const lk_tensor *x)
{
    if (x->dtype != LK_DTYPE_U8)
        return LK_FAIL(LK_ERR_USAGE, "%s: pixels are uint8, got %s", path, lk_dtype_name(x->dtype));
    if (lk_last_dim(x) % pixels->n_channels != 0)
        return LK_FAIL(LK_ERR_USAGE, "%s: %s does not end in %d channels", path, lk_shape_of(x).text,
                       pixels->n_channels);
    for (int c = 0; c < pixels->n_channels; c++)
        if (!(pixels->std[c] != 0.0f))
            return LK_FAIL(LK_ERR_USAGE, "%s: the deviation of channel %d is 0", path, c);
    return LK_OK;
}

lk_status lk_op_normalize(lk_graph *graph, const char *path, const lk_pixels *pixels, int x, int *y)
{
    const lk_tensor from = graph->tensors[x];
    lk_attrs attrs = {0};

    if (from.dtype != LK_DTYPE_U8 && from.dtype != LK_DTYPE_I32)
        return LK_FAIL(LK_ERR_USAGE, "%s: %s numbers are no whole numbers; expected uint8 or int32", path,
                       lk_dtype_name(from.dtype));
    if (pixels && pixels->n_channels > 0) {
        LK_TRY(check_pixels(path, pixels, &from));
        attrs.normalize.n_channels = pixels->n_channels;
        memcpy(attrs.normalize.mean, pixels->mean, sizeof pixels->mean);
        memcpy(attrs.normalize.std, pixels->std, sizeof pixels->std);
    }
    LK_TRY(lk_graph_act(graph, path, LK_DTYPE_F32, from.ndim, from.shape, y));
    return lk_graph_node(graph, LK_OP_NORMALIZE, path, 1, &x, 1, y, &attrs, NULL);
}
