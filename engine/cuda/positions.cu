/* What positions add, learned or sinusoids: the formulas are in engine/ops/embedding.c.  A thread has one element of a
 * sample and goes through the samples, in order where it adds: the table is read and written once. */
#include "engine/cuda/element.h"
#include "engine/ops/positions.h"

#include <string.h>

typedef struct positions_state {
    cuda_ctx *ctx; /* borrowed */
    cuda_ref x, table, y; /* the gradient: x is dy, table is dtable */
    size_t N, row_elem, C, rows; /* row_elem: of one sample */
    bool cached, bf16;
    float *sinusoid; /* owned, device (rows, C), where there is no table */
} positions_state;

/* table begins at the lane's position where that is in a cache. */
static __global__ void add_positions(void *y, const void *x, const float *table, size_t N, size_t row_elem, size_t C,
                                     const lk_lane_args *lane, bool bf16)
{
    const size_t first = lane ? (size_t)lane->position * C : 0;

    for (size_t i = element_first(); i < row_elem; i += element_step()) {
        const float position = table[first + i];

#pragma unroll 4
        for (size_t n = 0; n < N; n++)
            element_store(y, n * row_elem + i, element_load(x, n * row_elem + i, bf16) + position, bf16);
    }
}

/* dtable (n_elem); positions that no lane of this length has get 0. */
static __global__ void sum_samples(float *dtable, const void *dy, size_t n_elem, size_t N, size_t row_elem, bool bf16)
{
    for (size_t i = element_first(); i < n_elem; i += element_step()) {
        float sum = 0.0f;

#pragma unroll 4
        for (size_t n = 0; i < row_elem && n < N; n++) sum += element_load(dy, n * row_elem + i, bf16);
        dtable[i] = sum;
    }
}

static lk_status run_positions(void *state, const lk_launch_args *args)
{
    const positions_state *s = (const positions_state *)state;
    const float *table = s->table.present ? (const float *)cuda_at(args, s->table) : s->sinusoid;

    LK_LAUNCH_FLAT(add_positions, element_blocks(s->ctx, s->row_elem), ELEMENT_BLOCK, s->ctx->stream,
                   cuda_at(args, s->y), (const void *)cuda_at(args, s->x), table, s->N, s->row_elem, s->C,
                   s->cached ? args->lane : (const lk_lane_args *)NULL, s->bf16);
    return LK_OK;
}

static lk_status run_positions_grad(void *state, const lk_launch_args *args)
{
    const positions_state *s = (const positions_state *)state;
    const size_t n_elem = s->rows * s->C;

    LK_LAUNCH_FLAT(sum_samples, element_blocks(s->ctx, n_elem), ELEMENT_BLOCK, s->ctx->stream,
                   (float *)cuda_at(args, s->table), (const void *)cuda_at(args, s->x), n_elem, s->N, s->row_elem,
                   s->bf16);
    return LK_OK;
}

static positions_state state_of(cuda_ctx *ctx, const lk_graph *graph, int x, int table, size_t rows)
{
    const lk_tensor *of = &graph->tensors[x];
    positions_state s;

    memset(&s, 0, sizeof s);
    s.ctx = ctx;
    s.x = cuda_ref_of(graph, x);
    s.table = cuda_ref_of(graph, table);
    s.N = (size_t)of->shape[0];
    s.row_elem = (size_t)(of->shape[1] * of->shape[2]);
    s.C = (size_t)of->shape[2];
    s.rows = rows;
    s.bf16 = of->dtype == LK_DTYPE_BF16;
    return s;
}

static void free_positions(void *state)
{
    cudaFree(((positions_state *)state)->sinusoid);
    lk_free(&state);
}

/* The sinusoids to the device. */
static lk_status take_sinusoids(positions_state *s)
{
    const size_t n_elem = s->rows * s->C;
    float *host = (float *)lk_alloc(n_elem * sizeof *host);

    LK_TRY_ALLOC(host, n_elem * sizeof *host);
    lk_fill_sinusoids(host, s->rows, s->C);
    const lk_status status = cuda_keep_floats(s->ctx, host, n_elem, &s->sinusoid);
    lk_free(&host);
    return status;
}

lk_status cuda_bind_positions(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    positions_state s = state_of(ctx, graph, node->in[0], node->in[1], (size_t)node->attrs.positions.rows);

    s.y = cuda_ref_of(graph, node->out[0]);
    s.cached = node->attrs.positions.cached;
    if (!s.table.present) LK_TRY(take_sinusoids(&s));
    const lk_status status = cuda_kernel_keep(out, run_positions, &s, sizeof s);
    if (status == LK_OK) out->free = free_positions;
    else cudaFree(s.sinusoid);
    return status;
}

lk_status cuda_bind_positions_grad(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    const positions_state s =
        state_of(ctx, graph, node->in[0], node->out[0], (size_t)cuda_out(graph, node, 0)->shape[0]);

    return cuda_kernel_keep(out, run_positions_grad, &s, sizeof s);
}
