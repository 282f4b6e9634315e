/*
 * Views: a tensor that lies inside another, its root.  Shape rule and gradient rule.
 *
 *     y = the elements of x from `offset` on, in y's shape;   dx = dy there, 0 elsewhere
 *
 * Nothing is computed: y has x's bytes.  Views are contiguous, which a slice of the last axis is not; kernels that
 * can take one get a row stride of their own.  A view of all of x has all of dx for its gradient, so that is a view
 * too, of dy.  Where x is a parameter, dx must lie in the gradient arena and dy is copied there.
 */
#include "engine/ops/ops.h"
#include "engine/ops/rules.h"
#include "engine/ops/shapes.h"

#include <string.h>

static lk_status check(const char *path, const lk_tensor *x, const lk_tensor *y, size_t offset)
{
    if (offset > x->n_elem || y->n_elem > x->n_elem - offset)
        return LK_FAIL(LK_ERR_USAGE, "%s: %s from element %zu on is not inside %s", path, lk_shape_of(y).text, offset,
                       lk_shape_of(x).text);
    if (offset * lk_dtype_size(x->dtype) % LK_PLACE_ALIGNMENT)
        return LK_FAIL(LK_ERR_USAGE, "%s: a view from element %zu on does not begin on a cache line (%d bytes)", path,
                       offset, (int)LK_PLACE_ALIGNMENT);
    return LK_OK;
}

static lk_status append(lk_graph *graph, const char *name, const char *path, int x, int ndim, const int64_t *shape,
                        size_t offset, int *y)
{
    const lk_tensor of = graph->tensors[x];
    const size_t nbytes = offset * lk_dtype_size(of.dtype);
    const lk_attrs attrs = {.view.offset = nbytes};

    LK_TRY(lk_graph_tensor(graph, name, of.dtype, ndim, shape, of.arena, of.offset + nbytes, y));
    lk_tensor *made = &graph->tensors[*y];
    made->root = lk_graph_root(graph, x);
    made->root_offset = of.root_offset + nbytes;
    made->needs_grad = of.needs_grad;
    LK_TRY(check(path, &of, made, offset));
    return lk_graph_node(graph, LK_OP_VIEW, path, 1, &x, 1, y, &attrs, NULL);
}

lk_status lk_op_view(lk_graph *graph, const char *path, int x, int ndim, const int64_t *shape, size_t offset, int *y)
{
    return append(graph, path, path, x, ndim, shape, offset, y);
}

lk_status lk_gradient_view(lk_graph *graph, int id, const int *dout, int *din)
{
    const lk_node node = graph->nodes[id]; /* a copy: appending moves the array */
    const lk_tensor x = graph->tensors[node.in[0]];
    char name[LK_NAME_BYTES] = "d ";

    if (lk_is_param(&x) || graph->tensors[node.out[0]].n_elem < x.n_elem) {
        LK_TRY(lk_graph_grad(graph, node.in[0], &din[0]));
        return lk_graph_node(graph, LK_OP_VIEW_GRAD, node.path, 1, dout, 1, &din[0], &node.attrs, NULL);
    }
    strncat(name, x.name, sizeof name - strlen(name) - 1);
    return append(graph, name, node.path, dout[0], x.ndim, x.shape, 0, &din[0]);
}
