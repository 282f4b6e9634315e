/*
 * What linear and conv2d share: tensors of a pass, parameters in another type or layout, rows of bias.
 *
 * A filter is (O, I, KH, KW) in the arena, as in PyTorch; NHWC convolutions want (O, KH, KW, I).  The copy is written
 * in order, its reads stride over the taps and meet in the cache: filters are small beside what they are applied to.
 */
#include "engine/cuda/product.h"

/* ----------------------------------------------------------------- tensors */

product_tensors cuda_product_tensors(const lk_node *node, cuda_pass pass)
{
    const int *in = node->in, *out = node->out;
    product_tensors t = {LK_NO_TENSOR, LK_NO_TENSOR, LK_NO_TENSOR, LK_NO_TENSOR};

    switch (pass) {
    case CUDA_FORWARD: t.x = in[0], t.w = in[1], t.b = in[2], t.y = out[0]; break;
    case CUDA_GRAD_X: t.y = in[0], t.w = in[1], t.x = out[0]; break;
    case CUDA_GRAD_W: t.y = in[0], t.x = in[1], t.w = out[0], t.b = out[1]; break;
    }
    return t;
}

product_refs cuda_product_refs(const lk_graph *graph, product_tensors tensors)
{
    product_refs at;

    at.x = cuda_ref_of(graph, tensors.x);
    at.w = cuda_ref_of(graph, tensors.w);
    at.b = cuda_ref_of(graph, tensors.b);
    at.y = cuda_ref_of(graph, tensors.y);
    return at;
}

lk_status cuda_bind_db(cuda_ctx *ctx, const lk_graph *graph, const lk_node *node, lk_kernel *out)
{
    const product_tensors t = cuda_product_tensors(node, CUDA_GRAD_W);
    lk_node sum = *node;

    if (t.b == LK_NO_TENSOR) return LK_OK;
    sum.op = LK_OP_BIAS_GRAD;
    sum.n_in = sum.n_out = 1;
    sum.in[0] = t.y;
    sum.out[0] = t.b;
    LK_TRY(cuda_bind_bias_grad(ctx, graph, &sum, out));
    return LK_OK;
}

void cuda_kernel_free(lk_kernel *kernel)
{
    if (kernel->free) kernel->free(kernel->state);
    kernel->run = NULL;
    kernel->free = NULL;
    kernel->state = NULL;
}

/* -------------------------------------------------------------- parameters */

static __global__ void unpack(float *w, const float *packed, size_t n, size_t I, size_t taps)
{
    for (size_t k = blockIdx.x * (size_t)blockDim.x + threadIdx.x; k < n; k += gridDim.x * (size_t)blockDim.x) {
        const size_t tap = k % taps, i = k / taps % I, row = k / taps / I;

        w[k] = packed[(row * taps + tap) * I + i];
    }
}

lk_status cuda_weight_new(cuda_ctx *ctx, const lk_graph *graph, int tensor, lk_dtype dtype, cuda_weight *out)
{
    cuda_weight weight = {};

    *out = weight;
    if (tensor == LK_NO_TENSOR) return LK_OK;
    const lk_tensor *t = &graph->tensors[tensor];
    assert(t->dtype == LK_DTYPE_F32);
    weight.ctx = ctx;
    weight.at = cuda_ref_of(graph, tensor);
    const int64_t O = t->shape[0], I = t->ndim > 1 ? t->shape[1] : 1, taps = (int64_t)t->n_elem / (O * I);
    const bool bf16 = dtype == LK_DTYPE_BF16, packed = cuda_weight_lies_packed(I, taps);

    weight.shadowed = packed && bf16 && graph->model && graph->precision == LK_BF16;
    if (weight.shadowed) LK_TRY(cuda_shadow_want(ctx, graph));
    if (!packed || (bf16 && !weight.shadowed)) LK_TRY(cuda_packed_want(ctx, weight.at, O, I, taps, bf16, &weight.copy));
    *out = weight;
    return LK_OK;
}

void cuda_weight_free(cuda_weight *weight)
{
    if (weight->copy) cuda_packed_drop(weight->ctx, &weight->copy);
}

uint32_t cuda_weight_alignment(const cuda_weight *weight)
{
    const size_t narrower = weight->shadowed ? sizeof(float) / sizeof(__nv_bfloat16) : 1;

    return cuda_alignment_of(weight->copy ? 0 : weight->at.offset / narrower);
}

const void *cuda_weight_at(const cuda_weight *weight, const lk_launch_args *args)
{
    if (!weight->at.present) return NULL;
    if (weight->shadowed) return weight->ctx->shadow.copy + weight->at.offset / sizeof(float);
    return weight->copy ? cuda_packed_at(weight->copy) : cuda_at(args, weight->at);
}

lk_status cuda_weight_unpack(cuda_ctx *ctx, float *dw, const float *packed, int64_t O, int64_t I, int64_t taps)
{
    const size_t n = (size_t)(O * I * taps);

    LK_LAUNCH_FLAT(unpack, element_blocks(ctx, n), ELEMENT_BLOCK, ctx->stream, dw, packed, n, (size_t)I, (size_t)taps);
    return LK_OK;
}

/* -------------------------------------------------------------------- bias */

template <typename T> static __global__ void fill_rows(T *y, const T *b, size_t n, size_t cols)
{
    for (size_t k = blockIdx.x * (size_t)blockDim.x + threadIdx.x; k < n; k += gridDim.x * (size_t)blockDim.x)
        y[k] = b[k % cols];
}

lk_status cuda_fill_rows(cuda_ctx *ctx, void *y, const void *b, size_t rows, size_t cols, bool bf16)
{
    const size_t n = rows * cols;

    if (bf16)
        LK_LAUNCH_FLAT(fill_rows<__nv_bfloat16>, element_blocks(ctx, n), ELEMENT_BLOCK, ctx->stream, (__nv_bfloat16 *)y,
                       (const __nv_bfloat16 *)b, n, cols);
    else
        LK_LAUNCH_FLAT(fill_rows<float>, element_blocks(ctx, n), ELEMENT_BLOCK, ctx->stream, (float *)y,
                       (const float *)b, n, cols);
    return LK_OK;
}
