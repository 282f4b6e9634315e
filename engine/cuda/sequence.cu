/* Shapes of ops along positions. */
#include "engine/cuda/sequence.h"

#include <string.h>

lk_status cuda_sequence_bind(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node,
                             lk_status (*run)(void *state, const lk_launch_args *args), bool backwards, lk_kernel *out)
{
    const lk_tensor *x = cuda_in(graph, node, 0), *y = cuda_out(graph, node, 0);
    sequence_state s;

    memset(&s, 0, sizeof s);
    s.ctx = ctx;
    s.x = cuda_ref_of(graph, node->in[0]);
    s.y = cuda_ref_of(graph, node->out[0]);
    s.shape.N = (size_t)x->shape[0];
    s.shape.x_length = (size_t)x->shape[1];
    s.shape.y_length = (size_t)y->shape[1];
    s.shape.C = x->n_elem / (s.shape.N * s.shape.x_length);
    s.shape.bf16 = x->dtype == LK_DTYPE_BF16;
    s.shape.cached = x->arena == LK_ARENA_CACHE;
    s.shape.backwards = backwards;
    return cuda_kernel_keep(out, run, &s, sizeof s);
}
