/*
 * Convolution: NHWC activations, filters (O, KH, KW, I / groups).
 *
 * bf16: dw is wanted in fp32.  cuDNN makes it in the type of x and dy, or in fp32 by one engine only, which no
 * heuristic lists, which is compiled when asked for, and which takes few numbers of channels.  So x and dy are
 * widened to fp32 and the products made in TF32: a bf16 number is a TF32 number, so products are as exact as in bf16,
 * sums are fp32, and dw is never rounded.  It costs half the rate of bf16 and the widening, in this pass only.
 * Pieces of the batch are added to dw in order.
 *
 * A bias goes into the convolution where the library can; else rows of bias are laid out first and the convolution is
 * added to them, so y is rounded once either way.  A ReLU behind it is an element-wise kernel: of cuDNN's engines only
 * number 0 says that a NaN stays a NaN (CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP), and that one is slow.
 */
#include "engine/cuda/conv2d.h"

#include "engine/base/formulas.h"

/* --------------------------------------------------------- element by element */

/* bf16 is the upper half of a float.  Both arrays aligned to 16 bytes if `vectors`. */
static __global__ void widen(float *to, const __nv_bfloat16 *from, size_t n, bool vectors)
{
    const size_t step = gridDim.x * (size_t)blockDim.x, first = blockIdx.x * (size_t)blockDim.x + threadIdx.x;
    const size_t n_vectors = vectors ? n / 8 : 0;

    for (size_t k = first; k < n_vectors; k += step) {
        const uint4 pairs = ((const uint4 *)from)[k];
        const uint32_t upper = 0xffff0000u;
        const float4 low = {lk_f32_of_bits(pairs.x << 16), lk_f32_of_bits(pairs.x & upper),
                            lk_f32_of_bits(pairs.y << 16), lk_f32_of_bits(pairs.y & upper)};
        const float4 high = {lk_f32_of_bits(pairs.z << 16), lk_f32_of_bits(pairs.z & upper),
                             lk_f32_of_bits(pairs.w << 16), lk_f32_of_bits(pairs.w & upper)};
        ((float4 *)to)[2 * k] = low;
        ((float4 *)to)[2 * k + 1] = high;
    }
    for (size_t k = n_vectors * 8 + first; k < n; k += step) to[k] = __bfloat162float(from[k]);
}

/* What a piece's gradient is computed from: the tensor itself, or a widened copy in scratch. */
static lk_status operand(const conv *s, const char *at, float *scratch, int64_t n_elem, const void **out)
{
    const bool vectors = (uintptr_t)at % sizeof(uint4) == 0;

    *out = at;
    if (!conv_widens(s)) return LK_OK;
    LK_LAUNCH_FLAT(widen, element_blocks(s->ctx, (size_t)n_elem / 8 + 1), ELEMENT_BLOCK, s->ctx->stream, scratch,
                   (const __nv_bfloat16 *)at, (size_t)n_elem, vectors);
    *out = scratch;
    return LK_OK;
}

/* -------------------------------------------------------------------- runs */

static const conv_piece *piece_at(const conv *s, int64_t image)
{
    if (image == 0) return &s->first;
    return s->shape.N - image >= s->first.n ? &s->again : &s->rest;
}

/* y of p->n images from x of as many. */
static lk_status forward(const conv *s, const conv_piece *p, char *scratch, const void *x, const void *w, const void *b,
                         void *y)
{
    const size_t rows = (size_t)(p->n * s->shape.P * s->shape.Q), cols = (size_t)s->shape.O;
    const cuda_conv_at at = {x, w, s->bias_first ? NULL : b, y, scratch + s->workspace};

    if (s->bias_first) LK_TRY(cuda_fill_rows(s->ctx, y, b, rows, cols, s->bf16));
    return cuda_conv_run(p->run, &at);
}

static lk_status run_forward(void *state, const lk_launch_args *args)
{
    const conv *s = (const conv *)state;
    const void *w = cuda_weight_at(&s->w, args), *b = cuda_weight_at(&s->b, args);
    const char *x = (const char *)cuda_at(args, s->at.x);
    char *y = (char *)cuda_at(args, s->at.y), *scratch = (char *)args->base[LK_ARENA_SCRATCH];
    const size_t x_nbytes = (size_t)conv_x_per_image(&s->shape) * conv_activation_size(s);
    const size_t y_nbytes = (size_t)conv_y_per_image(&s->shape) * conv_activation_size(s);

    if (s->direct) return cuda_conv_direct(s->ctx, &s->shape, y, x, w, b, s->bf16);
    for (int64_t n = 0; n < s->shape.N; n += piece_at(s, n)->n)
        LK_TRY(forward(s, piece_at(s, n), scratch, x + (size_t)n * x_nbytes, w, b, y + (size_t)n * y_nbytes));
    return LK_OK;
}

static lk_status run_grad_x(void *state, const lk_launch_args *args)
{
    const conv *s = (const conv *)state;
    const void *w = cuda_weight_at(&s->w, args);
    char *dx = (char *)cuda_at(args, s->at.x), *scratch = (char *)args->base[LK_ARENA_SCRATCH];
    const char *dy = (const char *)cuda_at(args, s->at.y);
    const size_t x_nbytes = (size_t)conv_x_per_image(&s->shape) * conv_activation_size(s);
    const size_t y_nbytes = (size_t)conv_y_per_image(&s->shape) * conv_activation_size(s);

    if (s->direct) return cuda_conv_direct_grad_x(s->ctx, &s->shape, dx, dy, w, s->bf16);
    for (int64_t n = 0; n < s->shape.N; n += piece_at(s, n)->n) {
        const cuda_conv_at at = {dx + (size_t)n * x_nbytes, w, NULL, dy + (size_t)n * y_nbytes, scratch + s->workspace};

        LK_TRY(cuda_conv_run(piece_at(s, n)->run, &at));
    }
    return LK_OK;
}

/* dw, packed, of images [n, n + p->n); added to what is there but for the first. */
static lk_status grad_w(const conv *s, const conv_piece *p, int64_t n, char *scratch, const char *x, const char *dy,
                        float *dw)
{
    const int64_t x_elem = conv_x_per_image(&s->shape), y_elem = conv_y_per_image(&s->shape);
    const void *x_n, *dy_n;

    x += (size_t)(n * x_elem) * conv_activation_size(s);
    dy += (size_t)(n * y_elem) * conv_activation_size(s);
    LK_TRY(operand(s, x, (float *)(scratch + s->widened_x), p->n * x_elem, &x_n));
    LK_TRY(operand(s, dy, (float *)(scratch + s->widened_y), p->n * y_elem, &dy_n));
    const cuda_conv_at at = {x_n, dw, NULL, dy_n, scratch + s->workspace};
    LK_TRY(cuda_conv_run(p->run, &at));
    return LK_OK;
}

static lk_status run_grad_w(void *state, const lk_launch_args *args)
{
    const conv *s = (const conv *)state;
    const conv_shape *v = &s->shape;
    const char *x = (const char *)cuda_at(args, s->at.x), *dy = (const char *)cuda_at(args, s->at.y);
    float *dw = (float *)cuda_at(args, s->at.w);

    if (s->direct) {
        LK_TRY(cuda_conv_direct_grad_w(s->ctx, v, dw, dy, x, s->bf16));
    } else {
        char *scratch = (char *)args->base[LK_ARENA_SCRATCH];
        float *packed = s->packed ? dw : (float *)scratch;

        for (int64_t n = 0; n < v->N; n += piece_at(s, n)->n)
            LK_TRY(grad_w(s, piece_at(s, n), n, scratch, x, dy, packed));
        if (!s->packed) LK_TRY(cuda_weight_unpack(s->ctx, dw, packed, v->O, conv_group_in(v), v->KH * v->KW));
    }
    if (s->db.run) LK_TRY(s->db.run(s->db.state, args));
    return LK_OK;
}

/* ------------------------------------------------------------------- binds */

static void free_conv(void *state)
{
    conv *s = (conv *)state;

    cuda_kernel_free(&s->db);
    cuda_conv_unplan(s);
    cuda_weight_free(&s->b);
    cuda_weight_free(&s->w);
    lk_free(&s);
}

static conv_shape shape_of(const lk_tensor *x, const lk_tensor *w, const lk_tensor *y, const lk_node *node)
{
    conv_shape v;

    assert(x->dtype == y->dtype && y->shape[0] == x->shape[0] && y->shape[3] == w->shape[0]);
    v.N = x->shape[0], v.H = x->shape[1], v.W = x->shape[2], v.I = x->shape[3];
    v.O = w->shape[0], v.KH = w->shape[2], v.KW = w->shape[3];
    v.P = y->shape[1], v.Q = y->shape[2];
    v.stride_h = node->attrs.conv.stride[0], v.stride_w = node->attrs.conv.stride[1];
    v.padding_h = node->attrs.conv.padding[0], v.padding_w = node->attrs.conv.padding[1];
    v.groups = node->attrs.conv.groups;
    return v;
}

static lk_status make(conv *s, const lk_graph *graph, const lk_node *node, product_tensors t)
{
    const lk_tensor *x = &graph->tensors[t.x];

    s->at = cuda_product_refs(graph, t);
    s->shape = shape_of(x, &graph->tensors[t.w], &graph->tensors[t.y], node);
    s->bf16 = x->dtype == LK_DTYPE_BF16;
    s->packed = cuda_weight_lies_packed(conv_group_in(&s->shape), s->shape.KH * s->shape.KW);
    if (s->pass == CUDA_GRAD_W) {
        LK_TRY(cuda_bind_db(s->ctx, graph, node, &s->db));
    } else {
        LK_TRY(cuda_weight_new(s->ctx, graph, t.w, x->dtype, &s->w));
        LK_TRY(cuda_weight_new(s->ctx, graph, t.b, x->dtype, &s->b));
    }
    return cuda_conv_plan(s, graph->precision);
}

static uint64_t choice_of(const conv *s)
{
    const conv_piece *const pieces[] = {&s->first, &s->again, &s->rest};
    uint64_t choice = lk_choose(lk_choose(0, s->direct), s->bias_first);

    for (const conv_piece *p : pieces)
        choice = lk_choose(lk_choose(choice, (uint64_t)p->n), p->run ? cuda_conv_choice(p->run) : 0);
    return choice;
}

static lk_status bind_pass(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, cuda_pass pass,
                           lk_kernel *out)
{
    static lk_status (*const run[])(void *, const lk_launch_args *) = {run_forward, run_grad_x, run_grad_w};
    conv empty = {};

    empty.ctx = ctx;
    empty.pass = pass;
    LK_TRY(cuda_kernel_keep(out, run[pass], &empty, sizeof empty));
    out->free = free_conv;
    conv *s = (conv *)out->state;
    const lk_status status = make(s, graph, node, cuda_product_tensors(node, pass));
    if (status != LK_OK) {
        cuda_kernel_free(out);
        LK_TRY(status);
    }
    out->choice = choice_of(s);
    if (s->direct) out->slow = "cuDNN has no engine for its convolution";
    out->scratch_nbytes = s->scratch_nbytes > s->db.scratch_nbytes ? s->scratch_nbytes : s->db.scratch_nbytes;
    return LK_OK;
}

lk_status cuda_bind_conv2d(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return bind_pass(ctx, graph, node, CUDA_FORWARD, out);
}

lk_status cuda_bind_conv2d_grad_x(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return bind_pass(ctx, graph, node, CUDA_GRAD_X, out);
}

lk_status cuda_bind_conv2d_grad_w(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    return bind_pass(ctx, graph, node, CUDA_GRAD_W, out);
}
