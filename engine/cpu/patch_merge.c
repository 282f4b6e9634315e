/*
 * Patch merging and its gradient: pixels of C channels move between x (N, H, W, C) and y (N, H', W', 4C).
 *
 * Both go over y in its order: each of its tokens has four pixels of x, or zeros for one outside.  Nothing is computed;
 * bf16 moves as its bits.
 */
#include "engine/cpu/cpu.h"

#include <string.h>

enum { GRAIN = 1 << 16 }; /* bytes; fewer are moved before a thread has started */

typedef struct patch_merge_state {
    cpu_ref from, to;
    size_t N, H, W;  /* of x */
    size_t nbytes;   /* of a pixel of x */
    bool forward;
    int threads;
} patch_merge_state;

typedef struct job {
    const patch_merge_state *s;
    const char *from;
    char *to;
} job;

/* The bytes of y from `merged` on and pixel (h, w) of image n, from one to the other. */
static void move_pixel(const job *j, size_t merged, size_t n, size_t h, size_t w)
{
    const patch_merge_state *s = j->s;
    const size_t pixel = ((n * s->H + h) * s->W + w) * s->nbytes;

    if (h >= s->H || w >= s->W) {
        if (s->forward) memset(j->to + merged, 0, s->nbytes);
        return;
    }
    memcpy(j->to + (s->forward ? merged : pixel), j->from + (s->forward ? pixel : merged), s->nbytes);
}

/* Rows [begin, end) of y's N H'. */
static void move_rows(void *arg, size_t begin, size_t end)
{
    const job *j = arg;
    const patch_merge_state *s = j->s;
    const size_t down = (s->H + 1) / 2, across = (s->W + 1) / 2;

    for (size_t row = begin; row < end; row++)
        for (size_t q = 0; q < across; q++)
            for (size_t part = 0; part < 4; part++)
                move_pixel(j, ((row * across + q) * 4 + part) * s->nbytes, row / down, 2 * (row % down) + part % 2,
                           2 * q + part / 2);
}

static lk_status run_patch_merge(void *state, const lk_launch_args *args)
{
    const patch_merge_state *s = state;
    job j = {s, cpu_at(args, s->from), cpu_at(args, s->to)};

    cpu_split(s->threads, s->N * ((s->H + 1) / 2), 1 + GRAIN / (2 * s->W * s->nbytes), move_rows, &j);
    return LK_OK;
}

/* image: x, or dx of its shape. */
static lk_status bind_either(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, const lk_tensor *image,
                             bool forward, lk_kernel *out)
{
    const patch_merge_state s = {
        .from = cpu_ref_of(graph, node->in[0]), .to = cpu_ref_of(graph, node->out[0]),
        .N = (size_t)image->shape[0], .H = (size_t)image->shape[1], .W = (size_t)image->shape[2],
        .nbytes = (size_t)image->shape[3] * lk_dtype_size(image->dtype),
        .forward = forward, .threads = ctx->threads,
    };

    return cpu_kernel_keep(out, run_patch_merge, &s, sizeof s);
}

lk_status cpu_bind_patch_merge(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return bind_either(ctx, graph, node, cpu_in(graph, node, 0), true, out);
}

lk_status cpu_bind_patch_merge_grad(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return bind_either(ctx, graph, node, cpu_out(graph, node, 0), false, out);
}
