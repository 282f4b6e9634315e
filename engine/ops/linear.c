/*
 * Linear layer: shape rule, gradient rule, cost.
 *
 *     y[n,o]  = b[o] + sum_i x[n,i] * w[o,i]
 *     dx[n,i] = sum_o dy[n,o] * w[o,i]
 *     dw[o,i] = sum_n dy[n,o] * x[n,i],    db[o] = sum_n dy[n,o]
 *
 * I inputs, O outputs; n counts the rows of x, (..., I), however many axes they come from.  w is (O, I), as PyTorch's
 * Linear has it, or (I, O), as GPT-2's files.  One backward node makes dw and db, which read the same dy.
 */
#include "engine/ops/ops.h"
#include "engine/ops/product.h"
#include "engine/ops/rules.h"
#include "engine/ops/shapes.h"

static int64_t n_inputs(const lk_tensor *w, bool in_out) { return w->shape[in_out ? 0 : 1]; }
static int64_t n_outputs(const lk_tensor *w, bool in_out) { return w->shape[in_out ? 1 : 0]; }

static lk_status check(const char *path, const lk_tensor *x, const lk_tensor *w, const lk_tensor *b, bool in_out)
{
    if (x->ndim < 2 || !lk_is_float(x->dtype))
        return LK_FAIL(LK_ERR_USAGE, "%s: linear takes fp32 or bf16, (N, ..., I), got %s %s", path,
                       lk_dtype_name(x->dtype), lk_shape_of(x).text);
    if (w->ndim != 2 || w->dtype != LK_DTYPE_F32)
        return LK_FAIL(LK_ERR_USAGE, "%s: the weight must be %s in fp32, got %d dimensions in %s", path,
                       in_out ? "(I, O)" : "(O, I)", w->ndim, lk_dtype_name(w->dtype));
    if (lk_last_dim(x) != n_inputs(w, in_out))
        return LK_FAIL(LK_ERR_USAGE, "%s: expected %lld inputs, got %lld", path, (long long)n_inputs(w, in_out),
                       (long long)lk_last_dim(x));
    if (b && (b->ndim != 1 || b->shape[0] != n_outputs(w, in_out) || b->dtype != LK_DTYPE_F32))
        return LK_FAIL(LK_ERR_USAGE, "%s: the bias must have %lld elements in fp32, got %zu in %s", path,
                       (long long)n_outputs(w, in_out), b->n_elem, lk_dtype_name(b->dtype));
    return LK_OK;
}

static lk_status append(lk_graph *graph, const char *path, int x, int w, int b, bool in_out, int *y)
{
    const lk_tensor *t = graph->tensors;

    LK_TRY(check(path, &t[x], &t[w], b == LK_NO_TENSOR ? NULL : &t[b], in_out));
    const lk_tensor like = t[x];
    const int in[] = {x, w, b};
    const lk_attrs attrs = {.linear.in_out = in_out};
    int64_t shape[LK_MAX_DIMS];

    memcpy(shape, like.shape, sizeof shape);
    shape[like.ndim - 1] = n_outputs(&t[w], in_out);
    LK_TRY(lk_graph_act(graph, path, like.dtype, like.ndim, shape, y));
    return lk_graph_node(graph, LK_OP_LINEAR, path, 3, in, 1, y, &attrs, NULL);
}

lk_status lk_op_linear(lk_graph *graph, const char *path, int x, int w, int b, int *y)
{
    return append(graph, path, x, w, b, false, y);
}

lk_status lk_op_linear_in_out(lk_graph *graph, const char *path, int x, int w, int b, int *y)
{
    return append(graph, path, x, w, b, true, y);
}

lk_status lk_gradient_linear(lk_graph *graph, int node, const int *dout, int *din)
{
    return lk_gradient_product(graph, node, LK_OP_LINEAR_GRAD_X, LK_OP_LINEAR_GRAD_W, dout[0], din);
}

/* Each row of y meets every weight. */
static double flops(const lk_tensor *y, const lk_tensor *w)
{
    return 2.0 * (double)(y->n_elem / (size_t)lk_last_dim(y)) * (double)w->n_elem;
}

double lk_flops_linear(const lk_graph *graph, const lk_node *node)
{
    return flops(&graph->tensors[node->out[0]], &graph->tensors[node->in[1]]);
}

double lk_flops_linear_grad_x(const lk_graph *graph, const lk_node *node)
{
    return flops(&graph->tensors[node->in[0]], &graph->tensors[node->in[1]]);
}

double lk_flops_linear_grad_w(const lk_graph *graph, const lk_node *node)
{
    return flops(&graph->tensors[node->in[0]], &graph->tensors[node->out[0]]);
}
