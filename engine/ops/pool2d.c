/*
 * Pooling of images by square windows: shape rules, gradient rules, cost.
 *
 *     max:  y[n,p,q,c] = max over the window's pixels inside the image of x; a NaN wins, else the first of equals
 *     avg:  y[n,p,q,c] = sum over the window's pixels of x / kernel^2; outside the image x is zero but counts
 *
 * as torch.nn.MaxPool2d and AvgPool2d by default.  Max pooling keeps, per output, the winner's place in its window
 * (row * kernel + column), so the gradient does not search again; one byte holds it, which bounds the kernel.
 */
#include "engine/ops/ops.h"
#include "engine/ops/rules.h"

enum { LARGEST_KERNEL = 15 }; /* 15 * 15 places fit a byte */

static lk_status check(const char *path, const lk_tensor *x, int64_t kernel, int64_t stride, int64_t padding)
{
    if (x->ndim != 4)
        return LK_FAIL(LK_ERR_USAGE, "%s: pooling takes images (N, H, W, C), got %d dimensions", path, x->ndim);
    if (x->dtype != LK_DTYPE_F32 && x->dtype != LK_DTYPE_BF16)
        return LK_FAIL(LK_ERR_USAGE, "%s: pooling takes fp32 or bf16, got %s", path, lk_dtype_name(x->dtype));
    if (kernel < 1 || kernel > LARGEST_KERNEL)
        return LK_FAIL(LK_ERR_USAGE, "%s: a pooling kernel of %lld; it must be 1 to %d", path, (long long)kernel,
                       LARGEST_KERNEL);
    if (stride < 1)
        return LK_FAIL(LK_ERR_USAGE, "%s: a pooling stride of %lld; it must be at least 1", path, (long long)stride);
    /* With more, a window could lie in the padding alone and have no maximum. */
    if (padding < 0 || padding > kernel / 2)
        return LK_FAIL(LK_ERR_USAGE, "%s: a padding of %lld; with kernel %lld it must be 0 to %lld", path,
                       (long long)padding, (long long)kernel, (long long)(kernel / 2));
    for (int side = 1; side <= 2; side++)
        if (x->shape[side] + 2 * padding < kernel)
            return LK_FAIL(LK_ERR_USAGE, "%s: a pooling kernel of %lld does not fit an image side of %lld", path,
                           (long long)kernel, (long long)x->shape[side]);
    return LK_OK;
}

lk_status lk_op_pool2d(lk_graph *graph, const char *path, lk_pool kind, int x, int64_t kernel, int64_t stride,
                       int64_t padding, int *y)
{
    const lk_tensor image = graph->tensors[x];

    LK_TRY(check(path, &image, kernel, stride, padding));
    const int64_t shape[] = {
        image.shape[0],
        (image.shape[1] + 2 * padding - kernel) / stride + 1,
        (image.shape[2] + 2 * padding - kernel) / stride + 1,
        image.shape[3],
    };
    const lk_attrs attrs = {.pool = {.kernel = kernel, .stride = stride, .padding = padding}};
    int out[2];

    LK_TRY(lk_graph_act(graph, path, image.dtype, 4, shape, &out[0]));
    *y = out[0];
    if (kind == LK_POOL_AVG) return lk_graph_node(graph, LK_OP_AVG_POOL2D, path, 1, &x, 1, out, &attrs, NULL);
    LK_TRY(lk_graph_act(graph, path, LK_DTYPE_U8, 4, shape, &out[1]));
    return lk_graph_node(graph, LK_OP_MAX_POOL2D, path, 1, &x, 2, out, &attrs, NULL);
}

lk_status lk_gradient_pool2d(lk_graph *graph, int id, const int *dout, int *din)
{
    const lk_node node = graph->nodes[id]; /* a copy: appending moves the array */
    const bool max = node.op == LK_OP_MAX_POOL2D;
    const int in[] = {dout[0], max ? node.out[1] : LK_NO_TENSOR};

    LK_TRY(lk_graph_grad(graph, node.in[0], &din[0]));
    return lk_graph_node(graph, max ? LK_OP_MAX_POOL2D_GRAD : LK_OP_AVG_POOL2D_GRAD, node.path, max ? 2 : 1, in, 1,
                         &din[0], &node.attrs, NULL);
}

/* One comparison or addition per pixel of every window; backward as many. */
double lk_flops_pool2d(const lk_graph *graph, const lk_node *node)
{
    const bool backward = node->op == LK_OP_MAX_POOL2D_GRAD || node->op == LK_OP_AVG_POOL2D_GRAD;
    const size_t windows = graph->tensors[backward ? node->in[0] : node->out[0]].n_elem;

    return (double)windows * (double)(node->attrs.pool.kernel * node->attrs.pool.kernel);
}
