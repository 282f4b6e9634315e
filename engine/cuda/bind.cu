/* From an op to its binder, and the small services that binders use. */
#include "engine/cuda/tape.h"

#include <string.h>

/* Ops that this engine has no kernel for: a view needs none. */
#define cuda_bind_view NULL

static cuda_binder *binder_of(lk_op_id op)
{
    switch (op) {
#define BINDER_CASE(id, name, ...) case LK_OP_##id: return cuda_bind_##name;
        LK_EVERY_OP(BINDER_CASE)
#undef BINDER_CASE
    case LK_N_OPS: break;
    }
    return NULL;
}

bool cuda_has(lk_op_id op) { return binder_of(op) != NULL; }

lk_status cuda_rewrite(void *, lk_graph *graph)
{
    for (int i = 0, n; i < graph->n_nodes; i += n > 1 ? n : 1) {
        n = cuda_chain_length(graph, i);
        if (n > 1) lk_graph_fuse(graph, i, n);
    }
    return LK_OK;
}

/* Binding may take memory at an address that a recording knows. */
lk_status cuda_bind(void *arg, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    cuda_ctx *ctx = (cuda_ctx *)arg;

    cuda_tape_forget(ctx);
    memset(out, 0, sizeof *out);
    if (node->n_fused > 1) return cuda_bind_chain(ctx, graph, node, out);
    return binder_of(node->op)(ctx, graph, node, out);
}

static void free_state(void *state) { lk_free(&state); }

lk_status cuda_kernel_keep(lk_kernel *out, lk_status (*run)(void *state, const lk_launch_args *args), const void *state,
                           size_t nbytes)
{
    void *copy = lk_alloc(nbytes);

    LK_TRY_ALLOC(copy, nbytes);
    memcpy(copy, state, nbytes);
    memset(out, 0, sizeof *out);
    out->run = run;
    out->free = free_state;
    out->state = copy;
    return LK_OK;
}

lk_status cuda_keep_floats(cuda_ctx *ctx, const float *host, size_t n, float **out)
{
    const size_t nbytes = n * sizeof *host;

    LK_TRY(cuda_take(ctx, nbytes, (void **)out));
    cudaError_t error = cudaMemcpyAsync(*out, host, nbytes, cudaMemcpyHostToDevice, ctx->stream);
    if (error == cudaSuccess) error = cudaStreamSynchronize(ctx->stream);
    if (error == cudaSuccess) return LK_OK;
    cudaFree(*out);
    *out = NULL;
    return cuda_fail(error, "cudaMemcpyAsync", __FILE__, __LINE__);
}

lk_status cuda_shadow_want(cuda_ctx *ctx, const lk_graph *graph)
{
    cuda_shadow *s = &ctx->shadow;

    if (!graph->model || graph->precision != LK_BF16 || s->n_elem > 0) return LK_OK;
    s->n_elem = lk_model_n_elem(graph->model);
    s->of = NULL;
    return LK_OK;
}
