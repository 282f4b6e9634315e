/*
 * Cumulative sums over positions (torch.cumsum): shape rule and gradient rule.
 *
 *     y[n, i, c] = sum over s <= first + i of x[n, s, c]        dx[n, s, c] = sum over i >= s of dy[n, i, c]
 *
 * first is 0 for a whole sequence.  Where x is an entry of the cache it is the lane's position, and y has the lane's
 * positions alone.  Sums begin at s = 0 and go in order either way, so a sequence decoded position by position has the
 * bits of the whole.
 */
#include "engine/ops/ops.h"
#include "engine/ops/rules.h"
#include "engine/ops/shapes.h"

lk_status lk_op_cumsum(lk_graph *graph, const char *path, int x, int64_t L, int *y)
{
    const lk_tensor in = graph->tensors[x];
    const bool cached = in.arena == LK_ARENA_CACHE;

    if (!lk_is_float(in.dtype) || in.ndim != 3 || (cached ? L > in.shape[1] : L != in.shape[1]))
        return LK_FAIL(LK_ERR_USAGE, "%s: cumsum takes fp32 or bf16, (N, %lld, C); got %s %s", path, (long long)L,
                       lk_dtype_name(in.dtype), lk_shape_of(&in).text);
    LK_TRY(lk_graph_act(graph, path, in.dtype, 3, (int64_t[]){in.shape[0], L, in.shape[2]}, y));
    return lk_graph_node(graph, LK_OP_CUMSUM, path, 1, &x, 1, y, NULL, NULL);
}

lk_status lk_gradient_cumsum(lk_graph *graph, int id, const int *dout, int *din)
{
    const lk_node node = graph->nodes[id]; /* a copy: appending moves the array */

    LK_TRY(lk_graph_grad(graph, node.in[0], &din[0]));
    return lk_graph_node(graph, LK_OP_CUMSUM_GRAD, node.path, 1, dout, 1, &din[0], NULL, NULL);
}
