/*
 * The gradient of a bias whose weight is frozen: db[o] = sum_r dy[r,o] over the R rows of dy (R, O), by the blocks of
 * norm.h.  Where the weight trains too, its kernel makes both.
 */
#include "engine/cpu/norm.h"

typedef struct job {
    const cpu_norm_state *s;
    const void *dy;
} job;

/* Row 0 of the block's sums is that of dy, row 1 is nobody's. */
CPU_INLINE void block_sums(const job *j, size_t block, lk_dtype dtype)
{
    const size_t O = j->s->n_channels;
    float *restrict sum = cpu_norm_partial(j->s, block);

    for (size_t o = 0; o < O; o++) sum[o] = 0.0f;
    for (size_t r = cpu_norm_block_begin(j->s, block); r < cpu_norm_block_end(j->s, block); r++)
        for (size_t o = 0; o < O; o++) sum[o] += cpu_load(j->dy, r * O + o, dtype);
}

static void sums_part(void *arg, size_t begin, size_t end)
{
    const job *j = arg;

    for (size_t block = begin; block < end; block++)
        if (j->s->dtype == LK_DTYPE_BF16)
            block_sums(j, block, LK_DTYPE_BF16);
        else
            block_sums(j, block, LK_DTYPE_F32);
}

static lk_status run_bias_grad(void *state, const lk_launch_args *args)
{
    const cpu_norm_state *s = cpu_norm_begin(state, args);
    job j = {.s = s, .dy = cpu_at(args, s->dy)};

    cpu_split(s->threads, s->n_blocks, CPU_NORM_GRAIN, sums_part, &j);
    cpu_norm_add_blocks(s);
    cpu_norm_store_grads(s, NULL, cpu_at(args, s->db));
    return LK_OK;
}

lk_status cpu_bind_bias_grad(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return cpu_norm_bind(ctx, graph, node, run_bias_grad, out);
}
