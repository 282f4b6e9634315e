/*
 * Patch merging and its gradient: a thread moves one channel of one of y's four parts, between x (N, H, W, C) and
 * y (N, H', W', 4C).  Nothing is computed; bf16 moves as its bits.
 */
#include "engine/cuda/element.h"

#include <string.h>

typedef struct patch_merge_state {
    cuda_ctx *ctx; /* borrowed */
    cuda_ref from, to;
    size_t H, W, C, n_merged; /* of x; elements of y */
    bool forward, half;       /* half: elements of 2 bytes, not 4 */
} patch_merge_state;

template <class T, bool FORWARD>
static __global__ void merge(T *to, const T *from, size_t H, size_t W, size_t C, size_t n_merged)
{
    const size_t down = (H + 1) / 2, across = (W + 1) / 2;

    for (size_t i = element_first(); i < n_merged; i += element_step()) {
        const size_t token = i / (4 * C), part = i / C % 4;
        const size_t h = 2 * (token / across % down) + part % 2, w = 2 * (token % across) + part / 2;
        const size_t pixel = ((token / (across * down) * H + h) * W + w) * C + i % C;
        const bool inside = h < H && w < W;

        if (FORWARD) to[i] = inside ? from[pixel] : (T)0;
        else if (inside) to[pixel] = from[i];
    }
}

template <class T> static lk_status launch(const patch_merge_state *s, const lk_launch_args *args)
{
    const unsigned blocks = element_blocks(s->ctx, s->n_merged);
    const T *from = (const T *)cuda_at(args, s->from);
    T *to = (T *)cuda_at(args, s->to);

    if (s->forward)
        LK_LAUNCH_FLAT((merge<T, true>), blocks, ELEMENT_BLOCK, s->ctx->stream, to, from, s->H, s->W, s->C,
                       s->n_merged);
    else
        LK_LAUNCH_FLAT((merge<T, false>), blocks, ELEMENT_BLOCK, s->ctx->stream, to, from, s->H, s->W, s->C,
                       s->n_merged);
    return LK_OK;
}

static lk_status run_patch_merge(void *state, const lk_launch_args *args)
{
    const patch_merge_state *s = (const patch_merge_state *)state;

    return s->half ? launch<uint16_t>(s, args) : launch<uint32_t>(s, args);
}

/* image: x, or dx of its shape; merged: y, or dy. */
static lk_status bind_either(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, const lk_tensor *image,
                             const lk_tensor *merged, bool forward, lk_kernel *out)
{
    patch_merge_state s;

    memset(&s, 0, sizeof s);
    s.ctx = ctx;
    s.from = cuda_ref_of(graph, node->in[0]);
    s.to = cuda_ref_of(graph, node->out[0]);
    s.H = (size_t)image->shape[1];
    s.W = (size_t)image->shape[2];
    s.C = (size_t)image->shape[3];
    s.n_merged = merged->n_elem;
    s.forward = forward;
    s.half = image->dtype == LK_DTYPE_BF16;
    return cuda_kernel_keep(out, run_patch_merge, &s, sizeof s);
}

lk_status cuda_bind_patch_merge(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return bind_either(ctx, graph, node, cuda_in(graph, node, 0), cuda_out(graph, node, 0), true, out);
}

lk_status cuda_bind_patch_merge_grad(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return bind_either(ctx, graph, node, cuda_out(graph, node, 0), cuda_in(graph, node, 0), false, out);
}
