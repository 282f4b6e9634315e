/* Blocks of rows and their sums, for batch and layer norm. */
#include "engine/cpu/norm.h"

lk_status cpu_norm_keep(const cpu_ctx *ctx, const lk_tensor *x,
                        lk_status (*run)(void *state, const lk_launch_args *run), cpu_norm_state *state, lk_kernel *out)
{
    const size_t n_channels = (size_t)x->shape[x->ndim - 1];
    const size_t rows_as_one = n_channels < CPU_NORM_WIDTH ? CPU_NORM_WIDTH / n_channels : 1;
    const size_t rows = CPU_NORM_BLOCK_ELEMS / n_channels / rows_as_one * rows_as_one;

    state->n_channels = n_channels;
    state->n_rows = x->n_elem / n_channels;
    state->width = rows_as_one * n_channels;
    state->block_rows = rows > CPU_NORM_BLOCK_ROWS ? rows : CPU_NORM_BLOCK_ROWS;
    state->n_blocks = (state->n_rows + state->block_rows - 1) / state->block_rows;
    state->dtype = x->dtype;
    state->threads = ctx->threads;
    LK_TRY(cpu_kernel_keep(out, run, state, sizeof *state));
    out->scratch_nbytes = 2 * n_channels * sizeof(double) +
                          (state->n_blocks * 2 * n_channels + 4 * state->width) * sizeof(float);
    return LK_OK;
}

const cpu_norm_state *cpu_norm_begin(void *state, const lk_launch_args *run)
{
    cpu_norm_state *s = state;

    s->total = run->base[LK_ARENA_SCRATCH];
    s->partial = (float *)(s->total + 2 * s->n_channels);
    s->factor = s->partial + s->n_blocks * 2 * s->n_channels;
    return s;
}

void cpu_norm_add_blocks(const cpu_norm_state *s)
{
    const size_t n = 2 * s->n_channels;
    double *restrict total = s->total;

    for (size_t c = 0; c < n; c++) total[c] = (double)s->partial[c];
    for (size_t block = 1; block < s->n_blocks; block++) {
        const float *restrict partial = cpu_norm_partial(s, block);
        for (size_t c = 0; c < n; c++) total[c] += (double)partial[c];
    }
}

void cpu_norm_store_grads(const cpu_norm_state *s, float *dg, float *db)
{
    const size_t n_channels = s->n_channels;

    for (size_t c = 0; db && c < n_channels; c++) db[c] = (float)s->total[c];
    for (size_t c = 0; dg && c < n_channels; c++) dg[c] = (float)s->total[n_channels + c];
}
