/*
 * What cuDNN is asked when a convolution is bound: descriptors, algorithms, how the batch is cut, scratch.
 *
 * Algorithms are the implicit matrix products, whose sums have a fixed order: IMPLICIT_PRECOMP_GEMM or IMPLICIT_GEMM
 * forward, ALGO_1 backward.  FFT and Winograd are left out: they subtract large numbers, and fp32 means fp32.  The choice
 * looks at shape, type and device alone.  Where cuDNN refuses both, the convolution is `direct`.
 *
 * fp32 is FMA_MATH; tf32 is DEFAULT_MATH.  (TENSOR_OP_MATH_ALLOW_CONVERSION would also allow fp16, and overflow.)
 *
 * A batch is cut into pieces of whole images where its operands would not fit: cuDNN counts elements in int, and scratch
 * is limited.
 */
#include "engine/cuda/conv2d.h"

/* Of scratch; what is for dw comes on top. */
enum { WORKSPACE_BYTES = 48 << 20, WIDENED_BYTES = 64 << 20, SCRATCH_ALIGNMENT = 256 };

static cudnnDataType_t type_of(const conv *s)
{
    return s->bf16 && !conv_widens(s) ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
}

/* -------------------------------------------------------------- algorithms */

static cudnnStatus_t ask_workspace(const conv *s, const conv_piece *p, int algo, size_t *nbytes)
{
    const cudnnHandle_t dnn = s->ctx->dnn;

    switch (s->pass) {
    case CUDA_FORWARD:
        return cudnnGetConvolutionForwardWorkspaceSize(dnn, p->x, s->filter, s->conv, p->y,
                                                       (cudnnConvolutionFwdAlgo_t)algo, nbytes);
    case CUDA_GRAD_X:
        return cudnnGetConvolutionBackwardDataWorkspaceSize(dnn, s->filter, p->y, s->conv, p->x,
                                                            (cudnnConvolutionBwdDataAlgo_t)algo, nbytes);
    case CUDA_GRAD_W:
        return cudnnGetConvolutionBackwardFilterWorkspaceSize(dnn, p->x, p->y, s->conv, s->filter,
                                                              (cudnnConvolutionBwdFilterAlgo_t)algo, nbytes);
    }
    return CUDNN_STATUS_BAD_PARAM;
}

/* The first algorithm that takes the shape with so much workspace; *found false if none does. */
static void choose(const conv *s, conv_piece *p, size_t most_workspace, bool *found)
{
    const int algos[][2] = {
        {CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM, CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM},
        {CUDNN_CONVOLUTION_BWD_DATA_ALGO_1, CUDNN_CONVOLUTION_BWD_DATA_ALGO_1},
        {CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1, CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1},
    };

    *found = false;
    for (int i = 0; i < 2 && !*found; i++) {
        p->algo = algos[s->pass][i];
        *found = ask_workspace(s, p, p->algo, &p->workspace) == CUDNN_STATUS_SUCCESS && p->workspace <= most_workspace;
    }
}

static void free_piece(conv_piece *p)
{
    if (p->y) cudnnDestroyTensorDescriptor(p->y);
    if (p->x) cudnnDestroyTensorDescriptor(p->x);
    p->x = p->y = NULL;
    p->n = 0;
}

static lk_status make_piece(const conv *s, int64_t n, conv_piece *p)
{
    const conv_shape *v = &s->shape;

    p->n = n;
    LK_CUDNN(cudnnCreateTensorDescriptor(&p->x));
    LK_CUDNN(cudnnCreateTensorDescriptor(&p->y));
    LK_CUDNN(cudnnSetTensor4dDescriptor(p->x, CUDNN_TENSOR_NHWC, type_of(s), (int)n, (int)v->I, (int)v->H, (int)v->W));
    LK_CUDNN(cudnnSetTensor4dDescriptor(p->y, CUDNN_TENSOR_NHWC, type_of(s), (int)n, (int)v->O, (int)v->P, (int)v->Q));
    return LK_OK;
}

/* Images that go into one piece before anybody asked cuDNN. */
static int64_t most_images(const conv *s)
{
    const int64_t x_elem = conv_x_per_image(&s->shape), y_elem = conv_y_per_image(&s->shape);
    const int64_t larger = x_elem > y_elem ? x_elem : y_elem;
    int64_t most = INT32_MAX / larger;

    if (conv_widens(s) && most > 1) {
        const int64_t widened = WIDENED_BYTES / (int64_t)sizeof(float) / (x_elem + y_elem);
        most = widened < 1 ? 1 : widened < most ? widened : most;
    }
    return most < s->shape.N ? most : s->shape.N;
}

/* Cuts the batch until cuDNN takes a piece within the common workspace; a single image may have a larger one of its own. */
static lk_status cut(conv *s)
{
    int64_t n = most_images(s);
    bool found = false;

    while (n > 0) {
        LK_TRY(make_piece(s, n, &s->most));
        choose(s, &s->most, n > 1 ? (size_t)WORKSPACE_BYTES : SIZE_MAX, &found);
        if (found) break;
        free_piece(&s->most);
        n = n > 1 ? (n + 1) / 2 : 0;
    }
    if (found && s->shape.N % n) {
        LK_TRY(make_piece(s, s->shape.N % n, &s->rest));
        choose(s, &s->rest, SIZE_MAX, &found);
    }
    s->direct = !found;
    return LK_OK;
}

/* -------------------------------------------------------------------- plan */

static lk_status open_dnn(cuda_ctx *ctx)
{
    if (ctx->dnn) return LK_OK;
    LK_CUDNN(cudnnCreate(&ctx->dnn));
    LK_CUDNN(cudnnSetStream(ctx->dnn, ctx->stream));
    return LK_OK;
}

static lk_status describe(conv *s, lk_precision precision)
{
    const conv_shape *v = &s->shape;
    const bool fma = !s->bf16 && precision != LK_TF32;
    const cudnnMathType_t math = fma ? CUDNN_FMA_MATH : type_of(s) == CUDNN_DATA_FLOAT ? CUDNN_DEFAULT_MATH
                                                                                      : CUDNN_TENSOR_OP_MATH;
    const cudnnActivationMode_t activation = s->relu ? CUDNN_ACTIVATION_RELU : CUDNN_ACTIVATION_IDENTITY;

    LK_CUDNN(cudnnCreateFilterDescriptor(&s->filter));
    LK_CUDNN(cudnnSetFilter4dDescriptor(s->filter, type_of(s), CUDNN_TENSOR_NHWC, (int)v->O, (int)v->I, (int)v->KH,
                                        (int)v->KW));
    LK_CUDNN(cudnnCreateConvolutionDescriptor(&s->conv));
    LK_CUDNN(cudnnSetConvolution2dDescriptor(s->conv, (int)v->padding, (int)v->padding, (int)v->stride, (int)v->stride,
                                             1, 1, CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT));
    LK_CUDNN(cudnnSetConvolutionMathType(s->conv, math));
    if (!s->b.at.present) return LK_OK;
    LK_CUDNN(cudnnCreateTensorDescriptor(&s->bias));
    LK_CUDNN(cudnnSetTensor4dDescriptor(s->bias, CUDNN_TENSOR_NHWC, type_of(s), 1, (int)v->O, 1, 1));
    LK_CUDNN(cudnnCreateActivationDescriptor(&s->activation));
    LK_CUDNN(cudnnSetActivationDescriptor(s->activation, activation, CUDNN_PROPAGATE_NAN, 0.0));
    return LK_OK;
}

static size_t round_up(size_t nbytes) { return (nbytes + SCRATCH_ALIGNMENT - 1) / SCRATCH_ALIGNMENT * SCRATCH_ALIGNMENT; }

static void lay_out_scratch(conv *s)
{
    const conv_shape *v = &s->shape;
    const size_t dw = s->pass == CUDA_GRAD_W && !s->packed ? (size_t)(v->O * v->I * v->KH * v->KW) * sizeof(float) : 0;
    const size_t images = conv_widens(s) ? (size_t)s->most.n * sizeof(float) : 0;
    const size_t workspace = s->most.workspace > s->rest.workspace ? s->most.workspace : s->rest.workspace;

    s->widened_x = round_up(dw);
    s->widened_y = s->widened_x + round_up(images * (size_t)conv_x_per_image(v));
    s->workspace = s->widened_y + round_up(images * (size_t)conv_y_per_image(v));
    s->scratch_nbytes = s->workspace + workspace;
}

/* cuDNN's numbers are int; pieces see to the number of images. */
static bool fits_int(const conv_shape *v)
{
    return conv_x_per_image(v) <= INT32_MAX && conv_y_per_image(v) <= INT32_MAX &&
           v->O * v->I * v->KH * v->KW <= INT32_MAX && v->stride <= INT32_MAX && v->padding <= INT32_MAX;
}

lk_status cuda_conv_plan(conv *s, lk_precision precision)
{
    s->direct = !fits_int(&s->shape);
    if (s->direct) return LK_OK;
    LK_TRY(open_dnn(s->ctx));
    LK_TRY(describe(s, precision));
    LK_TRY(cut(s));
    if (s->direct) return LK_OK;
    /* IDENTITY goes with one algorithm only. */
    const bool precomputed = s->most.algo == CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM &&
                             (s->rest.n == 0 || s->rest.algo == s->most.algo);
    s->bias_first = !s->relu && !precomputed;
    lay_out_scratch(s);
    return LK_OK;
}

void cuda_conv_unplan(conv *s)
{
    free_piece(&s->rest);
    free_piece(&s->most);
    if (s->activation) cudnnDestroyActivationDescriptor(s->activation);
    if (s->bias) cudnnDestroyTensorDescriptor(s->bias);
    if (s->conv) cudnnDestroyConvolutionDescriptor(s->conv);
    if (s->filter) cudnnDestroyFilterDescriptor(s->filter);
}
