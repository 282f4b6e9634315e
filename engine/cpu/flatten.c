/*
 * Flatten and its gradient: per sample a transpose between (H*W, C) in memory and (C, H*W) in PyTorch's order.
 *
 * Both copy tiles of pixels by channels, so that what is read and what is written stays in the first-level cache
 * whatever the shape.  Nothing is computed; bf16 moves as its bits.
 */
#include "engine/cpu/cpu.h"

enum { TILE = 32, GRAIN = 1 << 16 }; /* elements on a side of a tile; elements per thread */

typedef struct flatten_state {
    cpu_ref from, to;
    size_t n, rows, cols; /* per sample: from (rows, cols), to (cols, rows) */
    size_t size;          /* bytes of an element */
    int threads;
} flatten_state;

typedef struct flatten_run {
    const flatten_state *s;
    const void *from;
    void *to;
} flatten_run;

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

#define TRANSPOSE(type)                                                                                   \
    static void transpose_##type(type *restrict to, const type *restrict from, size_t rows, size_t cols)  \
    {                                                                                                     \
        for (size_t r0 = 0; r0 < rows; r0 += TILE)                                                        \
            for (size_t c0 = 0; c0 < cols; c0 += TILE)                                                    \
                for (size_t c = c0; c < least(c0 + TILE, cols); c++)                                      \
                    for (size_t r = r0; r < least(r0 + TILE, rows); r++) to[c * rows + r] = from[r * cols + c]; \
    }
TRANSPOSE(float)
TRANSPOSE(uint16_t)

static void flatten_samples(void *arg, size_t begin, size_t end)
{
    const flatten_run *r = arg;
    const flatten_state *s = r->s;
    const size_t sample = s->rows * s->cols;

    for (size_t n = begin; n < end; n++) {
        const size_t at = n * sample;

        if (s->size == sizeof(float))
            transpose_float((float *)r->to + at, (const float *)r->from + at, s->rows, s->cols);
        else
            transpose_uint16_t((uint16_t *)r->to + at, (const uint16_t *)r->from + at, s->rows, s->cols);
    }
}

static lk_status run_flatten(void *state, const lk_launch_args *args)
{
    const flatten_state *s = state;
    flatten_run r = {s, cpu_at(args, s->from), cpu_at(args, s->to)};

    cpu_split(s->threads, s->n, 1 + GRAIN / (s->rows * s->cols), flatten_samples, &r);
    return LK_OK;
}

/* image: the tensor (N, H, W, C) of the two. */
static lk_status bind_either(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, const lk_tensor *image,
                             bool forward, lk_kernel *out)
{
    const size_t pixels = (size_t)(image->shape[1] * image->shape[2]), channels = (size_t)image->shape[3];
    const flatten_state state = {
        .from = cpu_ref_of(graph, node->in[0]), .to = cpu_ref_of(graph, node->out[0]),
        .n = (size_t)image->shape[0],
        .rows = forward ? pixels : channels, .cols = forward ? channels : pixels,
        .size = lk_dtype_size(image->dtype),
        .threads = ctx->threads,
    };

    return cpu_kernel_keep(out, run_flatten, &state, sizeof state);
}

lk_status cpu_bind_flatten(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return bind_either(ctx, graph, node, cpu_in(graph, node, 0), true, out);
}

lk_status cpu_bind_flatten_grad(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return bind_either(ctx, graph, node, cpu_out(graph, node, 0), false, out);
}
