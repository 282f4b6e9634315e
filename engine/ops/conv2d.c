/*
 * Convolution of images: shape rule, gradient rule, cost.
 *
 *     y[n,p,q,o] = b[o] + sum_{i,r,s} x[n, p*stride - padding + r, q*stride - padding + s, g*I/G + i] * w[o,i,r,s]
 *
 * x (N,H,W,I), w (O,I/G,KH,KW), y (N,H',W',O), with G groups: output channel o reads the channels of its group
 * g = o / (O/G) alone.  Stride and padding are a side's own.  x outside the image is zero;
 * H' = (H + 2 padding - KH) / stride + 1, rounded down, and W' alike.  It is a correlation; the field says
 * convolution, and PyTorch's weights mean this.
 */
#include "engine/ops/ops.h"
#include "engine/ops/product.h"
#include "engine/ops/rules.h"

static lk_status check_tensors(const char *path, const lk_tensor *x, const lk_tensor *w, const lk_tensor *b)
{
    if (x->ndim != 4)
        return LK_FAIL(LK_ERR_USAGE, "%s: conv2d takes images (N, H, W, C), got %d dimensions", path, x->ndim);
    if (x->dtype != LK_DTYPE_F32 && x->dtype != LK_DTYPE_BF16)
        return LK_FAIL(LK_ERR_USAGE, "%s: conv2d takes fp32 or bf16, got %s", path, lk_dtype_name(x->dtype));
    if (w->ndim != 4 || w->dtype != LK_DTYPE_F32)
        return LK_FAIL(LK_ERR_USAGE, "%s: the weight must be (O, I, KH, KW) in fp32, got %d dimensions in %s", path,
                       w->ndim, lk_dtype_name(w->dtype));
    if (b && (b->ndim != 1 || b->shape[0] != w->shape[0] || b->dtype != LK_DTYPE_F32))
        return LK_FAIL(LK_ERR_USAGE, "%s: the bias must have %lld elements in fp32, got %zu in %s", path,
                       (long long)w->shape[0], b->n_elem, lk_dtype_name(b->dtype));
    return LK_OK;
}

static lk_status check_groups(const char *path, const lk_tensor *x, const lk_tensor *w, int64_t groups)
{
    if (groups < 1 || w->shape[0] % groups != 0)
        return LK_FAIL(LK_ERR_USAGE, "%s: %lld groups; there must be at least 1, and they must divide the %lld "
                       "channels of the output", path, (long long)groups, (long long)w->shape[0]);
    if (x->shape[3] != w->shape[1] * groups)
        return LK_FAIL(LK_ERR_USAGE, "%s: expected %lld channels, got %lld", path, (long long)(w->shape[1] * groups),
                       (long long)x->shape[3]);
    return LK_OK;
}

static lk_status check_side(const char *path, int64_t size, int64_t kernel, int64_t stride, int64_t padding)
{
    if (stride < 1 || padding < 0)
        return LK_FAIL(LK_ERR_USAGE, "%s: stride %lld, padding %lld; stride must be at least 1, padding at least 0",
                       path, (long long)stride, (long long)padding);
    if (size > INT32_MAX || padding > INT32_MAX || size + 2 * padding < kernel)
        return LK_FAIL(LK_ERR_USAGE, "%s: a kernel of %lld does not fit an image side of %lld with padding %lld",
                       path, (long long)kernel, (long long)size, (long long)padding);
    return LK_OK;
}

lk_status lk_op_conv2d(lk_graph *graph, const char *path, int x, int w, int b, const lk_conv_attrs *conv, int *y)
{
    const lk_tensor *t = graph->tensors;
    const lk_attrs attrs = {.conv = *conv};
    const int in[] = {x, w, b};

    LK_TRY(check_tensors(path, &t[x], &t[w], b == LK_NO_TENSOR ? NULL : &t[b]));
    LK_TRY(check_groups(path, &t[x], &t[w], conv->groups));
    int64_t shape[] = {t[x].shape[0], 0, 0, t[w].shape[0]};
    for (int side = 0; side < 2; side++) {
        const int64_t size = t[x].shape[1 + side], kernel = t[w].shape[2 + side];

        LK_TRY(check_side(path, size, kernel, conv->stride[side], conv->padding[side]));
        shape[1 + side] = (size + 2 * conv->padding[side] - kernel) / conv->stride[side] + 1;
    }
    LK_TRY(lk_graph_act(graph, path, t[x].dtype, 4, shape, y));
    return lk_graph_node(graph, LK_OP_CONV2D, path, 3, in, 1, y, &attrs, NULL);
}

lk_status lk_gradient_conv2d(lk_graph *graph, int node, const int *dout, int *din)
{
    return lk_gradient_product(graph, node, LK_OP_CONV2D_GRAD_X, LK_OP_CONV2D_GRAD_W, dout[0], din);
}

/* One multiplication and addition per output element and weight that reaches it; padding is counted too. */
static double flops(const lk_tensor *y, const lk_tensor *w)
{
    return 2.0 * (double)y->n_elem * (double)(w->n_elem / (size_t)w->shape[0]);
}

double lk_flops_conv2d(const lk_graph *graph, const lk_node *node)
{
    return flops(&graph->tensors[node->out[0]], &graph->tensors[node->in[1]]);
}

double lk_flops_conv2d_grad_x(const lk_graph *graph, const lk_node *node)
{
    return flops(&graph->tensors[node->in[0]], &graph->tensors[node->in[1]]);
}

double lk_flops_conv2d_grad_w(const lk_graph *graph, const lk_node *node)
{
    return flops(&graph->tensors[node->in[0]], &graph->tensors[node->out[0]]);
}
