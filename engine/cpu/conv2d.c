/* Convolution on oneDNN: the shapes of a node, for each pass. */
#include "engine/cpu/product.h"

static lk_status bind_pass(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, const lk_tensor *x,
                           const lk_tensor *w, const lk_tensor *y, cpu_pass pass, lk_kernel *out)
{
    const cpu_dnnl_spec spec = {
        .conv = true, .dtype = x->dtype,
        .n = x->shape[0], .h = x->shape[1], .w = x->shape[2], .i = x->shape[3],
        .o = w->shape[0], .kh = w->shape[2], .kw = w->shape[3],
        .oh = y->shape[1], .ow = y->shape[2], .how = node->attrs.conv,
    };

    assert(x->dtype == y->dtype && y->shape[0] == spec.n && y->shape[3] == spec.o);
    return cpu_bind_product(ctx, graph, node, spec, pass, out);
}

lk_status cpu_bind_conv2d(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return bind_pass(ctx, graph, node, cpu_in(graph, node, 0), cpu_in(graph, node, 1), cpu_out(graph, node, 0),
                     CPU_FORWARD, out);
}

lk_status cpu_bind_conv2d_grad_x(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return bind_pass(ctx, graph, node, cpu_out(graph, node, 0), cpu_in(graph, node, 1), cpu_in(graph, node, 0),
                     CPU_GRAD_X, out);
}

lk_status cpu_bind_conv2d_grad_w(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return bind_pass(ctx, graph, node, cpu_in(graph, node, 1), cpu_out(graph, node, 0), cpu_in(graph, node, 0),
                     CPU_GRAD_W, out);
}
