/* Blocks of rows and their sums, for batch and layer norm. */
#include "engine/cpu/norm.h"

static void norm_free(void *state)
{
    cpu_norm_state *s = state;

    lk_free(&s->factor);
    lk_free(&s->total);
    lk_free(&s->partial);
    lk_free(&s);
}

lk_status cpu_norm_keep(const cpu_ctx *ctx, const lk_tensor *x,
                        lk_status (*run)(void *state, const lk_launch_args *run), cpu_norm_state *state, lk_kernel *out)
{
    const size_t n_channels = (size_t)x->shape[x->ndim - 1];
    const size_t rows_as_one = n_channels < CPU_NORM_WIDTH ? CPU_NORM_WIDTH / n_channels : 1;
    const size_t rows = CPU_NORM_BLOCK_ELEMS / n_channels / rows_as_one * rows_as_one;
    cpu_norm_state *s = lk_alloc(sizeof *s);

    LK_TRY_ALLOC(s, sizeof *s);
    *s = *state;
    s->n_channels = n_channels;
    s->n_rows = x->n_elem / n_channels;
    s->width = rows_as_one * n_channels;
    s->block_rows = rows > CPU_NORM_BLOCK_ROWS ? rows : CPU_NORM_BLOCK_ROWS;
    s->n_blocks = (s->n_rows + s->block_rows - 1) / s->block_rows;
    s->dtype = x->dtype;
    s->threads = ctx->threads;

    const size_t partial_bytes = s->n_blocks * 2 * n_channels * sizeof *s->partial;
    const size_t total_bytes = 2 * n_channels * sizeof *s->total, factor_bytes = 4 * s->width * sizeof *s->factor;
    s->partial = lk_alloc(partial_bytes);
    s->total = lk_alloc(total_bytes);
    s->factor = lk_alloc(factor_bytes);
    if (!s->partial || !s->total || !s->factor) {
        norm_free(s);
        return LK_FAIL(LK_ERR_SYSTEM, "out of memory: %zu bytes for the sums of a norm",
                       partial_bytes + total_bytes + factor_bytes);
    }
    *out = (lk_kernel){.run = run, .free = norm_free, .state = s,
                       .nbytes = partial_bytes + total_bytes + factor_bytes};
    return LK_OK;
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
