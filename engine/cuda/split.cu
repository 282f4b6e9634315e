/*
 * Channels apart and together again: a thread moves one channel of the whole, to or from the part that it belongs to.
 * Nothing is computed; bf16 moves as its bits.
 */
#include "engine/cuda/element.h"

#include <string.h>

typedef struct split_state {
    cuda_ctx *ctx; /* borrowed */
    cuda_ref whole, part[LK_MAX_OUT]; /* an absent part is zeros */
    size_t n_parts, C, n_whole;       /* C: channels of a part; n_whole: elements of the whole */
    bool joins, half;                 /* parts into the whole; elements of 2 bytes, not 4 */
} split_state;

template <class T> struct split_parts { T *at[LK_MAX_OUT]; };

template <class T, bool JOINS>
static __global__ void split(T *whole, split_parts<T> part, size_t n_parts, size_t C, size_t n_whole)
{
    for (size_t i = element_first(); i < n_whole; i += element_step()) {
        T *at = part.at[i / C % n_parts];
        const size_t in_part = i / (C * n_parts) * C + i % C;

        if (!JOINS) at[in_part] = whole[i];
        else whole[i] = at ? at[in_part] : (T)0;
    }
}

template <class T> static lk_status launch(const split_state *s, const lk_launch_args *args)
{
    const unsigned blocks = element_blocks(s->ctx, s->n_whole);
    T *whole = (T *)cuda_at(args, s->whole);
    split_parts<T> part = {};

    for (size_t p = 0; p < s->n_parts; p++) part.at[p] = (T *)cuda_at(args, s->part[p]);
    if (s->joins)
        LK_LAUNCH_FLAT((split<T, true>), blocks, ELEMENT_BLOCK, s->ctx->stream, whole, part, s->n_parts, s->C,
                       s->n_whole);
    else
        LK_LAUNCH_FLAT((split<T, false>), blocks, ELEMENT_BLOCK, s->ctx->stream, whole, part, s->n_parts, s->C,
                       s->n_whole);
    return LK_OK;
}

static lk_status run_split(void *state, const lk_launch_args *args)
{
    const split_state *s = (const split_state *)state;

    return s->half ? launch<uint16_t>(s, args) : launch<uint32_t>(s, args);
}

static lk_status bind_either(cuda_ctx *ctx, const lk_graph *graph, int whole, const int *parts, int n_parts,
                             bool joins, lk_kernel *out)
{
    const lk_tensor *t = &graph->tensors[whole];
    split_state s;

    memset(&s, 0, sizeof s);
    s.ctx = ctx;
    s.whole = cuda_ref_of(graph, whole);
    for (int p = 0; p < n_parts; p++) s.part[p] = cuda_ref_of(graph, parts[p]);
    s.n_parts = (size_t)n_parts;
    s.C = (size_t)(t->shape[t->ndim - 1] / n_parts);
    s.n_whole = t->n_elem;
    s.joins = joins;
    s.half = t->dtype == LK_DTYPE_BF16;
    return cuda_kernel_keep(out, run_split, &s, sizeof s);
}

lk_status cuda_bind_split(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return bind_either(ctx, graph, node->in[0], node->out, node->n_out, false, out);
}

lk_status cuda_bind_split_grad(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return bind_either(ctx, graph, node->out[0], node->in, node->n_in, true, out);
}
