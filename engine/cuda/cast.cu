/* Between fp32 and bf16, or a copy, as a stage of a chain; and the parameters' copy in bf16. */
#include "engine/cuda/chain.h"
#include "engine/cuda/element.h"

#include <string.h>

bool chain_stage_cast(const lk_node *node, int from, chain_stage *out)
{
    memset(out, 0, sizeof *out);
    out->op = CHAIN_COPY;
    out->v = node->in[0];
    out->operand = LK_NO_TENSOR;
    out->out = node->out[0];
    out->mask = LK_NO_TENSOR;
    return from == LK_NO_TENSOR || from == out->v;
}

lk_status cuda_bind_cast(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    chain_stage stage;

    chain_stage_cast(node, LK_NO_TENSOR, &stage);
    return chain_bind(ctx, graph, &stage, 1, out);
}

/* Arenas are a multiple of 16 elements long and aligned, so pairs leave nothing over but for an odd last one. */
static __global__ void cast_bf16(__nv_bfloat16 *to, const float *from, size_t n_elem)
{
    const size_t pairs = n_elem / 2;

    for (size_t k = element_first(); k < pairs; k += element_step()) {
        const float2 both = ((const float2 *)from)[k];
        ((__nv_bfloat162 *)to)[k] = __floats2bfloat162_rn(both.x, both.y);
    }
    if (n_elem % 2 && element_first() == 0) to[n_elem - 1] = __float2bfloat16_rn(from[n_elem - 1]);
}

lk_status cuda_cast_bf16(cudaStream_t stream, __nv_bfloat16 *to, const float *from, size_t n_elem)
{
    LK_LAUNCH_FLAT(cast_bf16, arena_blocks(n_elem / 2), ELEMENT_BLOCK, stream, to, from, n_elem);
    return LK_OK;
}
