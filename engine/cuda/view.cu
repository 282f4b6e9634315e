/* The gradient of a view: its bytes inside those of its root, zero around them. */
#include "engine/cuda/cuda.h"

#include <string.h>

typedef struct view_state {
    cuda_ctx *ctx; /* borrowed */
    cuda_ref dy, dx;
    size_t begin, end, nbytes; /* dy is dx's bytes [begin, end) of nbytes */
} view_state;

static lk_status run_view_grad(void *state, const lk_launch_args *args)
{
    const view_state *s = (const view_state *)state;
    const cudaStream_t stream = s->ctx->stream;
    char *dx = (char *)cuda_at(args, s->dx);

    if (s->begin > 0) LK_CUDA(cudaMemsetAsync(dx, 0, s->begin, stream));
    LK_CUDA(cudaMemcpyAsync(dx + s->begin, cuda_at(args, s->dy), s->end - s->begin, cudaMemcpyDeviceToDevice, stream));
    if (s->end < s->nbytes) LK_CUDA(cudaMemsetAsync(dx + s->end, 0, s->nbytes - s->end, stream));
    return LK_OK;
}

lk_status cuda_bind_view_grad(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    view_state s;

    memset(&s, 0, sizeof s);
    s.ctx = ctx;
    s.dy = cuda_ref_of(graph, node->in[0]);
    s.dx = cuda_ref_of(graph, node->out[0]);
    s.begin = node->attrs.view.offset;
    s.end = s.begin + cuda_in(graph, node, 0)->nbytes;
    s.nbytes = cuda_out(graph, node, 0)->nbytes;
    return cuda_kernel_keep(out, run_view_grad, &s, sizeof s);
}
