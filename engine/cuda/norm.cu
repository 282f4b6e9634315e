/* Tensors, sizes and scratch of batch and layer norm. */
#include "engine/cuda/norm.h"

#include "engine/ops/norm.h"

#include <string.h>

static void find_tensors(norm_state *s, const lk_graph *graph, const lk_node *node)
{
    const lk_norm_tensors t = lk_norm_tensors_of(node);

#define FIND(name) s->name = cuda_ref_of(graph, t.name);
    LK_NORM_TENSOR_LIST(FIND)
#undef FIND
}

lk_status cuda_norm_bind(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node,
                         lk_status (*run)(void *state, const lk_launch_args *args), lk_kernel *out)
{
    const lk_tensor *x = cuda_in(graph, node, 0); /* or dy, of the same shape and type */
    const size_t C = (size_t)x->shape[x->ndim - 1];
    norm_state s;

    memset(&s, 0, sizeof s);
    find_tensors(&s, graph, node);
    s.ctx = ctx;
    s.cut = column_cut_of(x->n_elem / C, C);
    s.eps = node->attrs.norm.eps;
    s.bf16 = x->dtype == LK_DTYPE_BF16;
    LK_TRY(cuda_kernel_keep(out, run, &s, sizeof s));
    out->scratch_nbytes = (s.cut.n_chunks * 2 + 3) * C * sizeof(float);
    return LK_OK;
}

const norm_state *cuda_norm_begin(void *state, const lk_launch_args *args)
{
    norm_state *s = (norm_state *)state;

    s->partial = (float *)args->base[LK_ARENA_SCRATCH];
    s->factor = s->partial + s->cut.n_chunks * 2 * s->cut.C;
    return s;
}
