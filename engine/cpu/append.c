/* The lane's positions into the cache's, row by row. */
#include "engine/cpu/cpu.h"

#include <string.h>

typedef struct append_state {
    cpu_ref x, y;
    size_t n_rows, length, capacity; /* positions of x and of the entry */
    size_t nbytes;                   /* of one position of a row */
} append_state;

static lk_status run_append(void *state, const lk_launch_args *args)
{
    const append_state *s = state;
    const char *x = cpu_at(args, s->x);
    char *y = (char *)cpu_at(args, s->y) + (size_t)args->position * s->nbytes;

    for (size_t r = 0; r < s->n_rows; r++)
        memcpy(y + r * s->capacity * s->nbytes, x + r * s->length * s->nbytes, s->length * s->nbytes);
    return LK_OK;
}

lk_status cpu_bind_append(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    const lk_tensor *x = cpu_in(graph, node, 0), *y = cpu_out(graph, node, 0);
    const append_state s = {
        .x = cpu_ref_of(graph, node->in[0]), .y = cpu_ref_of(graph, node->out[0]),
        .n_rows = (size_t)x->shape[0], .length = (size_t)x->shape[1], .capacity = (size_t)y->shape[1],
        .nbytes = x->nbytes / (size_t)(x->shape[0] * x->shape[1]),
    };

    (void)ctx;
    return cpu_kernel_keep(out, run_append, &s, sizeof s);
}
