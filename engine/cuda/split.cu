/*
 * Channels apart and together again, a part at a time: a thread moves one channel of it, from or to the whole.  Nothing
 * is computed; bf16 moves as its bits.
 */
#include "engine/cuda/element.h"

#include <string.h>

typedef struct split_state {
    cuda_ctx *ctx; /* borrowed */
    cuda_ref whole, part[LK_MAX_OUT]; /* an absent part is zeros */
    size_t n_parts, C, n_part;        /* C, n_part: channels and elements of a part */
    bool joins, half;                 /* parts into the whole; elements of 2 bytes, not 4 */
} split_state;

template <class T, bool JOINS>
static __global__ void split(T *whole, T *part, size_t p, size_t n_parts, size_t C, size_t n_part)
{
    for (size_t i = element_first(); i < n_part; i += element_step()) {
        T *in_whole = whole + (i / C * n_parts + p) * C + i % C;

        if (JOINS) *in_whole = part ? part[i] : (T)0;
        else part[i] = *in_whole;
    }
}

template <class T> static lk_status launch(const split_state *s, const lk_launch_args *args)
{
    const unsigned blocks = element_blocks(s->ctx, s->n_part);
    T *whole = (T *)cuda_at(args, s->whole);

    for (size_t p = 0; p < s->n_parts; p++) {
        T *part = (T *)cuda_at(args, s->part[p]);

        if (s->joins)
            LK_LAUNCH_FLAT((split<T, true>), blocks, ELEMENT_BLOCK, s->ctx->stream, whole, part, p, s->n_parts, s->C,
                           s->n_part);
        else
            LK_LAUNCH_FLAT((split<T, false>), blocks, ELEMENT_BLOCK, s->ctx->stream, whole, part, p, s->n_parts, s->C,
                           s->n_part);
    }
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
    s.n_part = t->n_elem / (size_t)n_parts;
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
