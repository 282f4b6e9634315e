/* The gradient of a view: its bytes inside those of its root, zero around them. */
#include "engine/cpu/cpu.h"

#include <string.h>

typedef struct view_state {
    cpu_ref dy, dx;
    size_t begin, end, nbytes; /* dy is dx's bytes [begin, end) of nbytes */
} view_state;

static lk_status run_view_grad(void *state, const lk_launch_args *args)
{
    const view_state *s = state;
    char *dx = cpu_at(args, s->dx);

    memset(dx, 0, s->begin);
    memcpy(dx + s->begin, cpu_at(args, s->dy), s->end - s->begin);
    memset(dx + s->end, 0, s->nbytes - s->end);
    return LK_OK;
}

lk_status cpu_bind_view_grad(const cpu_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    const size_t begin = node->attrs.view.offset;
    const view_state s = {
        .dy = cpu_ref_of(graph, node->in[0]), .dx = cpu_ref_of(graph, node->out[0]),
        .begin = begin, .end = begin + cpu_in(graph, node, 0)->nbytes, .nbytes = cpu_out(graph, node, 0)->nbytes,
    };

    (void)ctx;
    return cpu_kernel_keep(out, run_view_grad, &s, sizeof s);
}
