/* Whole numbers to fp32; pixels with the mean and deviation of their channel. */
#include "engine/base/formulas.h"
#include "engine/cuda/element.h"

#include <string.h>

typedef struct normalize_scale {
    size_t C; /* 0: the numbers themselves */
    float mean[LK_MAX_CHANNELS], std[LK_MAX_CHANNELS];
} normalize_scale;

typedef struct normalize_state {
    cuda_ctx *ctx; /* borrowed */
    cuda_ref x, y;
    size_t n_elem;
    bool bytes;
    normalize_scale scale;
} normalize_state;

/* By constant places: an index that varies would put the arguments into local memory. */
static __device__ inline float of_channel(const float v[LK_MAX_CHANNELS], size_t c)
{
    return c == 0 ? v[0] : c == 1 ? v[1] : c == 2 ? v[2] : v[3];
}

static __global__ void normalize_pixels(float *y, const unsigned char *x, size_t n_elem, normalize_scale scale)
{
    for (size_t i = element_first(); i < n_elem; i += element_step()) {
        const size_t c = i % scale.C;
        y[i] = lk_normalize_pixel(x[i], of_channel(scale.mean, c), of_channel(scale.std, c));
    }
}

template <typename integer>
static __global__ void to_float(float *y, const integer *x, size_t n_elem)
{
    for (size_t i = element_first(); i < n_elem; i += element_step()) y[i] = (float)x[i];
}

static lk_status run_normalize(void *state, const lk_launch_args *args)
{
    const normalize_state *s = (const normalize_state *)state;
    const unsigned blocks = element_blocks(s->ctx, s->n_elem);
    const void *x = cuda_at(args, s->x);
    float *y = (float *)cuda_at(args, s->y);

    if (s->scale.C > 0)
        LK_LAUNCH_FLAT(normalize_pixels, blocks, ELEMENT_BLOCK, s->ctx->stream, y, (const unsigned char *)x, s->n_elem,
                       s->scale);
    else if (s->bytes)
        LK_LAUNCH_FLAT((to_float<unsigned char>), blocks, ELEMENT_BLOCK, s->ctx->stream, y, (const unsigned char *)x,
                       s->n_elem);
    else
        LK_LAUNCH_FLAT((to_float<int>), blocks, ELEMENT_BLOCK, s->ctx->stream, y, (const int *)x, s->n_elem);
    return LK_OK;
}

lk_status cuda_bind_normalize(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    normalize_state s;

    memset(&s, 0, sizeof s);
    s.ctx = ctx;
    s.x = cuda_ref_of(graph, node->in[0]);
    s.y = cuda_ref_of(graph, node->out[0]);
    s.n_elem = cuda_in(graph, node, 0)->n_elem;
    s.bytes = cuda_in(graph, node, 0)->dtype == LK_DTYPE_U8;
    s.scale.C = (size_t)node->attrs.normalize.n_channels;
    memcpy(s.scale.mean, node->attrs.normalize.mean, sizeof s.scale.mean);
    memcpy(s.scale.std, node->attrs.normalize.std, sizeof s.scale.std);
    return cuda_kernel_keep(out, run_normalize, &s, sizeof s);
}
