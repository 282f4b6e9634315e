/*
 * Attention within windows of an image, which may be shifted, with a bias by relative position: shape rule, gradient
 * rule, cost.
 *
 * Windows are M x M tokens; where they reach beyond the image its tokens are of zeros, so that their q, k and v are
 * the bias of the layer that makes qkv.  They are keys too, but nobody asks them for an output.  Windows that are
 * shifted by s begin s tokens further down and right; the last ones of an axis wrap around, and tokens from both ends
 * of the image do not see each other (B is 100 less: e^-100 is 0 beside anything of size 1).  For one head of one
 * window, of T = M^2 tokens and D = C / heads channels:
 *
 *     S = q k^T / sqrt(D) + B,   B[i,j] = table[(a + M - 1) (2M - 1) + b + M - 1], j a tokens above i and b left of it
 *     P = softmax(S),            y = P v
 *     dv = P^T dy,   dP = dy v^T,   dS = P (dP - rowsum(P dP)),   dB = dS
 *     dq = dS k / sqrt(D),       dk = dS^T q / sqrt(D)
 *
 * With dropout P's elements are dropped before v, as dropout does it; a sample's are counted as (windows, heads, T, T
 * rounded up to whole groups of LK_DROPOUT_GROUP).
 *
 * Nothing is kept for the gradient: P would be heads T numbers for each token, half as much again as qkv (three heads
 * of 49 keys beside 288 channels), and making it anew is one product more beside the four of the gradient.  Nor are
 * windows copied together: kernels read and write qkv and y where they lie.
 *
 * Source: Liu et al., "Swin Transformer", ICCV 2021, arXiv:2103.14030; torchvision's shifted_window_attention().
 */
#include "engine/ops/ops.h"
#include "engine/ops/rules.h"
#include "engine/ops/shapes.h"

static lk_status check_windows(const char *path, const lk_tensor *qkv, const lk_windows *windows)
{
    const long long heads = windows->heads, size = windows->size;

    if (!lk_is_float(qkv->dtype) || qkv->ndim != 4)
        return LK_FAIL(LK_ERR_USAGE, "%s: attention over windows of %s %s; expected fp32 or bf16, (N, H, W, 3C)", path,
                       lk_dtype_name(qkv->dtype), lk_shape_of(qkv).text);
    if (heads < 1 || qkv->shape[3] % (3 * heads))
        return LK_FAIL(LK_ERR_USAGE, "%s: %lld channels of q, k and v do not divide into %lld heads", path,
                       (long long)qkv->shape[3], heads);
    if (size < 1 || size > LK_LARGEST_WINDOW)
        return LK_FAIL(LK_ERR_USAGE, "%s: a window of %lld tokens on a side; it must be 1 to %d", path, size,
                       (int)LK_LARGEST_WINDOW);
    for (int axis = 0; axis < 2; axis++)
        if (windows->shift[axis] < 0 || windows->shift[axis] >= size)
            return LK_FAIL(LK_ERR_USAGE, "%s: windows of %lld shifted by %lld; a shift must be 0 to %lld", path, size,
                           (long long)windows->shift[axis], size - 1);
    if (!(windows->p >= 0.0 && windows->p < 1.0))
        return LK_FAIL(LK_ERR_USAGE, "%s: dropout is %g; it must be in [0, 1)", path, windows->p);
    return LK_OK;
}

static lk_status check_tensors(const char *path, const lk_tensor *qkv, const lk_tensor *table, const lk_tensor *pad,
                               const lk_windows *windows)
{
    const int64_t side = 2 * windows->size - 1;

    if (table->dtype != LK_DTYPE_F32 || table->ndim != 2 || table->shape[0] != side * side ||
        table->shape[1] != windows->heads)
        return LK_FAIL(LK_ERR_USAGE, "%s: the table of relative positions is %s %s; expected fp32 (%lld, %lld)", path,
                       lk_dtype_name(table->dtype), lk_shape_of(table).text, (long long)(side * side),
                       (long long)windows->heads);
    if (pad && !lk_is_vector(pad, qkv->shape[3]))
        return LK_FAIL(LK_ERR_USAGE, "%s: q, k and v outside the image are %s %s; expected fp32 (%lld)", path,
                       lk_dtype_name(pad->dtype), lk_shape_of(pad).text, (long long)qkv->shape[3]);
    if (!pad && (qkv->shape[1] % windows->size || qkv->shape[2] % windows->size))
        return LK_FAIL(LK_ERR_USAGE, "%s: windows of %lld do not divide %lld x %lld tokens, and nothing is there to "
                       "fill the last ones", path, (long long)windows->size, (long long)qkv->shape[1],
                       (long long)qkv->shape[2]);
    return LK_OK;
}

lk_status lk_op_window_attention(lk_graph *graph, const char *path, int qkv, int table, int pad,
                                 const lk_windows *windows, int *y)
{
    const lk_tensor x = graph->tensors[qkv];
    const lk_tensor *of_table = &graph->tensors[table], *of_pad = pad == LK_NO_TENSOR ? NULL : &graph->tensors[pad];
    const int in[] = {qkv, table, pad};
    lk_attrs attrs = {.windows = *windows};

    *y = LK_NO_TENSOR;
    LK_TRY(check_windows(path, &x, windows));
    LK_TRY(check_tensors(path, &x, of_table, of_pad, windows));
    if (windows->p > 0.0 && graph->mode == LK_TRAIN && x.shape[0] != graph->n)
        return LK_FAIL(LK_ERR_USAGE, "%s: dropout wants a row for each of %lld samples, got %s", path,
                       (long long)graph->n, lk_shape_of(&x).text);
    for (int axis = 0; axis < 2; axis++)
        if (x.shape[1 + axis] <= windows->size) attrs.windows.shift[axis] = 0;
    if (graph->mode != LK_TRAIN) attrs.windows.p = 0.0;

    const int64_t shape[] = {x.shape[0], x.shape[1], x.shape[2], x.shape[3] / 3};
    LK_TRY(lk_graph_act(graph, path, x.dtype, 4, shape, y));
    return lk_graph_node(graph, LK_OP_WINDOW_ATTENTION, path, 3, in, 1, y, &attrs, NULL);
}

lk_status lk_gradient_window_attention(lk_graph *graph, int id, const int *dout, int *din)
{
    const lk_node node = graph->nodes[id]; /* a copy: appending moves the array */
    const int in[] = {dout[0], node.in[0], node.in[1], node.in[2]};

    for (int i = 0; i < node.n_in; i++) {
        din[i] = LK_NO_TENSOR;
        if (node.in[i] != LK_NO_TENSOR) LK_TRY(lk_graph_grad_if_needed(graph, node.in[i], &din[i]));
    }
    return lk_graph_node(graph, LK_OP_WINDOW_ATTENTION_GRAD, node.path, 4, in, 3, din, &node.attrs, NULL);
}

/* Multiply-adds of n_products matrix products: each channel of each token meets its window's tokens. */
static double flops(const lk_tensor *y, const lk_windows *windows, int n_products)
{
    return 2.0 * n_products * (double)y->n_elem * (double)(windows->size * windows->size);
}

double lk_flops_window_attention(const lk_graph *graph, const lk_node *node)
{
    return flops(&graph->tensors[node->out[0]], &node->attrs.windows, 2);
}

double lk_flops_window_attention_grad(const lk_graph *graph, const lk_node *node)
{
    return flops(&graph->tensors[node->in[0]], &node->attrs.windows, 5);
}
