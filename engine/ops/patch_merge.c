/*
 * Patch merging: each 2 x 2 neighbours become one token of four times the channels, in torchvision's order.  Shape rule
 * and gradient rule.
 *
 *     y[n, p, q] = (x[n, 2p, 2q], x[n, 2p + 1, 2q], x[n, 2p, 2q + 1], x[n, 2p + 1, 2q + 1])
 *
 * with zeros for pixels outside an image of odd sides; dx takes dy's numbers back.
 * Source: Liu et al., "Swin Transformer", ICCV 2021, arXiv:2103.14030.
 */
#include "engine/ops/ops.h"
#include "engine/ops/rules.h"
#include "engine/ops/shapes.h"

lk_status lk_op_patch_merge(lk_graph *graph, const char *path, int x, int *y)
{
    const lk_tensor image = graph->tensors[x];

    if (image.ndim != 4 || !lk_is_float(image.dtype))
        return LK_FAIL(LK_ERR_USAGE, "%s: patch merging of %s %s; expected images in fp32 or bf16, (N, H, W, C)", path,
                       lk_dtype_name(image.dtype), lk_shape_of(&image).text);
    const int64_t shape[] = {image.shape[0], (image.shape[1] + 1) / 2, (image.shape[2] + 1) / 2, 4 * image.shape[3]};

    LK_TRY(lk_graph_act(graph, path, image.dtype, 4, shape, y));
    return lk_graph_node(graph, LK_OP_PATCH_MERGE, path, 1, &x, 1, y, NULL, NULL);
}

lk_status lk_gradient_patch_merge(lk_graph *graph, int id, const int *dout, int *din)
{
    const lk_node node = graph->nodes[id]; /* a copy: appending moves the array */

    LK_TRY(lk_graph_grad(graph, node.in[0], &din[0]));
    return lk_graph_node(graph, LK_OP_PATCH_MERGE_GRAD, node.path, 1, dout, 1, &din[0], NULL, NULL);
}
