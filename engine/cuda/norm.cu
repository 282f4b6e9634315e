/* Sizes and scratch of batch and layer norm. */
#include "engine/cuda/norm.h"

static void norm_free(void *state)
{
    norm_state *s = (norm_state *)state;

    cudaFree(s->factor);
    cudaFree(s->partial);
    lk_free(&state);
}

lk_status cuda_norm_keep(cuda_ctx *ctx, const lk_tensor *x, lk_status (*run)(void *state, const lk_launch_args *run),
                         norm_state *state, lk_kernel *out)
{
    const size_t C = (size_t)x->shape[x->ndim - 1];

    state->ctx = ctx;
    state->cut = column_cut_of(x->n_elem / C, C);
    state->bf16 = x->dtype == LK_DTYPE_BF16;
    const size_t partial_bytes = state->cut.n_chunks * 2 * C * sizeof(float), factor_bytes = 3 * C * sizeof(float);

    LK_TRY(cuda_kernel_keep(out, run, state, sizeof *state));
    out->free = norm_free;
    out->nbytes = partial_bytes + factor_bytes;
    norm_state *kept = (norm_state *)out->state;
    const cudaError_t error = cudaMalloc((void **)&kept->partial, partial_bytes);
    const cudaError_t second = error == cudaSuccess ? cudaMalloc((void **)&kept->factor, factor_bytes) : error;
    if (second == cudaSuccess) return LK_OK;
    norm_free(kept);
    out->run = NULL;
    out->free = NULL;
    return cuda_fail(second, "cudaMalloc for the sums of a norm", __FILE__, __LINE__);
}
