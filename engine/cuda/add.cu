/* y = a + b, as a stage of a chain; and the sum of gradients over lanes and workers. */
#include "engine/cuda/chain.h"
#include "engine/cuda/element.h"

#include <string.h>

bool chain_stage_add(const lk_node *node, int from, chain_stage *out)
{
    const bool second = from != LK_NO_TENSOR && from == node->in[1];

    memset(out, 0, sizeof *out);
    out->op = CHAIN_ADD;
    out->v = node->in[second ? 1 : 0];
    out->operand = node->in[second ? 0 : 1];
    out->out = node->out[0];
    out->mask = LK_NO_TENSOR;
    return from == LK_NO_TENSOR || from == out->v;
}

lk_status cuda_bind_add(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    chain_stage stage;

    chain_stage_add(node, LK_NO_TENSOR, &stage);
    return chain_bind(ctx, graph, &stage, 1, out);
}

/* fours: elements moved four at a time; the rest one by one. */
static __global__ void add_f32(float *into, const float *from, size_t n_elem, size_t fours)
{
    for (size_t k = element_first(); k < fours; k += element_step()) {
        const float4 b = ((const float4 *)from)[k];
        float4 a = ((float4 *)into)[k];

        a.x += b.x, a.y += b.y, a.z += b.z, a.w += b.w;
        ((float4 *)into)[k] = a;
    }
    for (size_t i = 4 * fours + element_first(); i < n_elem; i += element_step()) into[i] += from[i];
}

lk_status cuda_add_f32(cudaStream_t stream, float *into, const float *from, size_t n_elem)
{
    const bool aligned = ((uintptr_t)into | (uintptr_t)from) % sizeof(float4) == 0;
    const size_t fours = aligned ? n_elem / 4 : 0;

    LK_LAUNCH_FLAT(add_f32, arena_blocks(aligned ? fours : n_elem), ELEMENT_BLOCK, stream, into, from, n_elem, fours);
    return LK_OK;
}
