/* Sizes and scratch of batch and layer norm. */
#include "engine/cuda/norm.h"

lk_status cuda_norm_keep(cuda_ctx *ctx, const lk_tensor *x, lk_status (*run)(void *state, const lk_launch_args *run),
                         norm_state *state, lk_kernel *out)
{
    const size_t C = (size_t)x->shape[x->ndim - 1];

    state->ctx = ctx;
    state->cut = column_cut_of(x->n_elem / C, C);
    state->bf16 = x->dtype == LK_DTYPE_BF16;
    LK_TRY(cuda_kernel_keep(out, run, state, sizeof *state));
    out->scratch_nbytes = (state->cut.n_chunks * 2 + 3) * C * sizeof(float);
    return LK_OK;
}

const norm_state *cuda_norm_begin(void *state, const lk_launch_args *run)
{
    norm_state *s = (norm_state *)state;

    s->partial = (float *)run->base[LK_ARENA_SCRATCH];
    s->factor = s->partial + s->cut.n_chunks * 2 * s->cut.C;
    return s;
}
