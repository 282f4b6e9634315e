/* The lane's positions into the cache's; the position is read from device memory, so a recording serves all of them. */
#include "engine/cuda/element.h"

#include <string.h>

typedef struct append_shape {
    size_t n_rows, length, capacity; /* positions of x and of the entry */
    size_t n_words;                  /* of one position of a row: its bytes in twos */
} append_shape;

typedef struct append_state {
    cuda_ctx *ctx; /* borrowed */
    cuda_ref x, y;
    append_shape shape;
} append_state;

static __global__ void append(unsigned short *y, const unsigned short *x, append_shape s, const lk_lane_args *args)
{
    const size_t row_words = s.length * s.n_words, n = s.n_rows * row_words;

    for (size_t i = element_first(); i < n; i += element_step()) {
        const size_t row = i / row_words, in_row = i % row_words;
        y[(row * s.capacity + (size_t)args->position) * s.n_words + in_row] = x[i];
    }
}

static lk_status run_append(void *state, const lk_launch_args *run)
{
    const append_state *s = (const append_state *)state;
    const size_t n = s->shape.n_rows * s->shape.length * s->shape.n_words;

    LK_LAUNCH_FLAT(append, element_blocks(s->ctx, n), ELEMENT_BLOCK, s->ctx->stream,
                   (unsigned short *)cuda_at(run, s->y), (const unsigned short *)cuda_at(run, s->x), s->shape, run->args);
    return LK_OK;
}

lk_status cuda_bind_append(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    const lk_tensor *x = cuda_in(graph, node, 0), *y = cuda_out(graph, node, 0);
    append_state s;

    memset(&s, 0, sizeof s);
    s.ctx = ctx;
    s.x = cuda_ref_of(graph, node->in[0]);
    s.y = cuda_ref_of(graph, node->out[0]);
    s.shape.n_rows = (size_t)x->shape[0];
    s.shape.length = (size_t)x->shape[1];
    s.shape.capacity = (size_t)y->shape[1];
    s.shape.n_words = x->nbytes / (s.shape.n_rows * s.shape.length) / sizeof(unsigned short);
    return cuda_kernel_keep(out, run_append, &s, sizeof s);
}
