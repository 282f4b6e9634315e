/*
 * Images to rows, in PyTorch's order although they are stored channels last: shape rule and gradient rule.
 *
 *     y[n, (c*H + h)*W + w] = x[n,h,w,c],    dx[n,h,w,c] = dy[n, (c*H + h)*W + w]
 *
 * So the weights of the linear layer that follows are PyTorch's.
 */
#include "engine/ops/ops.h"
#include "engine/ops/rules.h"

lk_status lk_op_flatten(lk_graph *graph, const char *path, int x, int *y)
{
    const lk_tensor image = graph->tensors[x];

    if (image.ndim != 4)
        return LK_FAIL(LK_ERR_USAGE, "%s: flatten takes images (N, H, W, C), got %d dimensions", path, image.ndim);
    if (image.dtype != LK_DTYPE_F32 && image.dtype != LK_DTYPE_BF16)
        return LK_FAIL(LK_ERR_USAGE, "%s: flatten takes fp32 or bf16, got %s", path, lk_dtype_name(image.dtype));
    const int64_t shape[] = {image.shape[0], image.shape[1] * image.shape[2] * image.shape[3]};

    /* One pixel, or one channel: either order is the other. */
    if (image.shape[1] * image.shape[2] == 1 || image.shape[3] == 1) return lk_op_view(graph, path, x, 2, shape, 0, y);
    LK_TRY(lk_graph_act(graph, path, image.dtype, 2, shape, y));
    return lk_graph_node(graph, LK_OP_FLATTEN, path, 1, &x, 1, y, NULL, NULL);
}

lk_status lk_gradient_flatten(lk_graph *graph, int id, const int *dout, int *din)
{
    const lk_node node = graph->nodes[id]; /* a copy: appending moves the array */

    LK_TRY(lk_graph_grad(graph, node.in[0], &din[0]));
    return lk_graph_node(graph, LK_OP_FLATTEN_GRAD, node.path, 1, dout, 1, &din[0], NULL, NULL);
}
