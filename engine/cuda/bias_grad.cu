/* The bias's gradient, db[o] = the sum of dy (..., O) over all rows: the sum of columns of reduce.cuh. */
#include "engine/cuda/reduce.cuh"

#include <string.h>

typedef struct bias_state {
    cuda_ctx *ctx;  /* borrowed */
    cuda_ref dy, db;
    column_cut cut;
    bool bf16;
} bias_state;

struct bias_term {
    const void *dy;
    size_t C;
    bool bf16;

    __device__ void at(size_t row, size_t c, float *v) const { v[0] = element_load(dy, row * C + c, bf16); }
};

struct bias_store {
    float *db;

    __device__ void at(size_t c, const double *total) const { db[c] = (float)total[0]; }
};

static lk_status run_bias_grad(void *state, const lk_launch_args *args)
{
    const bias_state *s = (const bias_state *)state;
    const bias_term term = {cuda_at(args, s->dy), s->cut.C, s->bf16};
    const bias_store store = {(float *)cuda_at(args, s->db)};
    float *partial = (float *)args->base[LK_ARENA_SCRATCH]; /* (n_chunks, C) */

    LK_LAUNCH((column_partials<1, bias_term>), column_grid(&s->cut), COLUMN_THREADS, s->ctx->stream, s->cut, term,
              partial);
    LK_LAUNCH_FLAT((column_totals<1, bias_store>), column_total_blocks(&s->cut), ELEMENT_BLOCK, s->ctx->stream, s->cut,
                   (const float *)partial, store);
    return LK_OK;
}

lk_status cuda_bind_bias_grad(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    const lk_tensor *dy = cuda_in(graph, node, 0);
    const size_t C = (size_t)dy->shape[dy->ndim - 1];
    bias_state s;

    memset(&s, 0, sizeof s);
    s.ctx = ctx;
    s.dy = cuda_ref_of(graph, node->in[0]);
    s.db = cuda_ref_of(graph, node->out[0]);
    s.cut = column_cut_of(dy->n_elem / C, C);
    s.bf16 = dy->dtype == LK_DTYPE_BF16;
    LK_TRY(cuda_kernel_keep(out, run_bias_grad, &s, sizeof s));
    out->scratch_nbytes = s.cut.n_chunks * C * sizeof(float);
    return LK_OK;
}
