/*
 * Adaptive average pooling, torch.nn.AdaptiveAvgPool2d: any image to (P, Q) pixels.  Shape rule, gradient rule, cost.
 *
 *     y[n,p,q,c] = mean of x[n,h,w,c] over floor(p H / P) <= h < ceil((p + 1) H / P), and w alike
 *
 * Windows of one size where P divides H, else of two, and then neighbours share pixels.  With P = Q = 1 it is the mean
 * of the image.
 */
#include "engine/ops/ops.h"
#include "engine/ops/rules.h"
#include "engine/ops/shapes.h"

lk_status lk_op_adaptive_avg_pool2d(lk_graph *graph, const char *path, int x, int64_t P, int64_t Q, int *y)
{
    const lk_tensor image = graph->tensors[x];
    const int64_t shape[] = {image.shape[0], P, Q, image.shape[3]};

    if (image.ndim != 4)
        return LK_FAIL(LK_ERR_USAGE, "%s: pooling takes images (N, H, W, C), got %d dimensions", path, image.ndim);
    if (!lk_is_float(image.dtype))
        return LK_FAIL(LK_ERR_USAGE, "%s: pooling takes fp32 or bf16, got %s", path, lk_dtype_name(image.dtype));
    if (P < 1 || Q < 1 || P > INT32_MAX || Q > INT32_MAX || image.shape[1] > INT32_MAX || image.shape[2] > INT32_MAX)
        return LK_FAIL(LK_ERR_USAGE, "%s: pooling of %lld x %lld pixels to %lld x %lld; sides must be 1 to %d", path,
                       (long long)image.shape[1], (long long)image.shape[2], (long long)P, (long long)Q, INT32_MAX);
    LK_TRY(lk_graph_act(graph, path, image.dtype, 4, shape, y));
    return lk_graph_node(graph, LK_OP_ADAPTIVE_AVG_POOL2D, path, 1, &x, 1, y, NULL, NULL);
}

lk_status lk_gradient_adaptive_avg_pool2d(lk_graph *graph, int id, const int *dout, int *din)
{
    const lk_node node = graph->nodes[id]; /* a copy: appending moves the array */

    LK_TRY(lk_graph_grad(graph, node.in[0], &din[0]));
    return lk_graph_node(graph, LK_OP_ADAPTIVE_AVG_POOL2D_GRAD, node.path, 1, dout, 1, &din[0], NULL, NULL);
}

/* One addition for each pixel, or, where the image is the smaller, for each of the result. */
double lk_flops_adaptive_avg_pool2d(const lk_graph *graph, const lk_node *node)
{
    const size_t in = graph->tensors[node->in[0]].n_elem, out = graph->tensors[node->out[0]].n_elem;

    return (double)(in > out ? in : out);
}
