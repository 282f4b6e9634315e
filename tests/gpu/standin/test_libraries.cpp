/*
 * The stand-in of cuDNN against loops that read like the formula, and what they must refuse.
 *
 * Values are multiples of 1/64 in [-1, 1]: exact in bf16 and TF32, and their sums of products are exact in fp32 in any
 * order, so results are compared for equality.
 */
#include <criterion/criterion.h>
#include <cudnn.h>

#include <cmath>
#include <functional>
#include <vector>

#include "tests/gpu/standin/libraries.h"

using standin::load;
using standin::store;
using standin::to_bf16;

#define OK(call) cr_assert_eq((int)(call), 0, "%s: %d", #call, (int)(call))

enum { ALIGNMENT = 256, ROOM = 1 << 20 };

static float value_at(size_t i, unsigned seed)
{
    unsigned mixed = (unsigned)i * 2654435761u + seed * 40503u + 977u;
    mixed ^= mixed >> 15, mixed *= 2246822519u, mixed ^= mixed >> 13;
    return (float)((int)(mixed % 129) - 64) / 64.0f;
}

/* Device memory for n numbers of one type. */
struct array {
    void *at;
    size_t n;
    bool bf16;

    array(size_t elements, bool as_bf16, unsigned seed) : n(elements), bf16(as_bf16)
    {
        OK(cudaMalloc(&at, n * 4 + ALIGNMENT));
        for (size_t i = 0; i < n; i++) store(at, i, value_at(i, seed), bf16);
    }
    array(const array &) = delete;
    ~array() { cudaFree(at); }
    float operator[](size_t i) const { return load(at, i, bf16); }
};

static float in_type(float value, bool bf16) { return bf16 ? standin::of_bf16(to_bf16(value)) : value; }

/* ------------------------------------------------------------------- cuDNN */

struct conv {
    int N, H, W, C, K, R, S, stride, pad, dilation, groups;
    bool bf16;
    cudnnMathType_t math = CUDNN_FMA_MATH;
    int P = 0, Q = 0;

    cudnnHandle_t handle = NULL;
    cudnnTensorDescriptor_t x = NULL, y = NULL, b = NULL;
    cudnnFilterDescriptor_t w = NULL;
    cudnnConvolutionDescriptor_t v = NULL;
    cudaStream_t stream = NULL;

    size_t n_x() const { return (size_t)N * H * W * C; }
    size_t n_w() const { return (size_t)K * R * S * (C / groups); }
    size_t n_y() const { return (size_t)N * P * Q * K; }

    void open()
    {
        const cudnnDataType_t type = bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
        int n, c;

        OK(cudnnCreate(&handle));
        OK(cudaStreamCreate(&stream));
        OK(cudnnSetStream(handle, stream));
        OK(cudnnCreateTensorDescriptor(&x));
        OK(cudnnCreateTensorDescriptor(&y));
        OK(cudnnCreateTensorDescriptor(&b));
        OK(cudnnCreateFilterDescriptor(&w));
        OK(cudnnCreateConvolutionDescriptor(&v));
        OK(cudnnSetTensor4dDescriptor(x, CUDNN_TENSOR_NHWC, type, N, C, H, W));
        OK(cudnnSetFilter4dDescriptor(w, type, CUDNN_TENSOR_NHWC, K, C / groups, R, S));
        OK(cudnnSetConvolution2dDescriptor(v, pad, pad, stride, stride, dilation, dilation, CUDNN_CROSS_CORRELATION,
                                           CUDNN_DATA_FLOAT));
        OK(cudnnSetConvolutionGroupCount(v, groups));
        OK(cudnnSetConvolutionMathType(v, math));
        OK(cudnnGetConvolution2dForwardOutputDim(v, x, w, &n, &c, &P, &Q));
        OK(cudnnSetTensor4dDescriptor(y, CUDNN_TENSOR_NHWC, type, n, c, P, Q));
        OK(cudnnSetTensor4dDescriptor(b, CUDNN_TENSOR_NHWC, type, 1, K, 1, 1));
    }

    /* visit(x's index, w's index, y's index) for every product of the convolution. */
    void each(const std::function<void(size_t, size_t, size_t)> &visit) const
    {
        const int Cg = C / groups, Kg = K / groups;

        for (size_t at = 0; at < n_y() * R * S * Cg; at++) {
            size_t i = at;
            const int c = (int)(i % Cg), s = (int)(i / Cg % S), r = (int)(i / Cg / S % R);
            const size_t out = i / Cg / S / R;
            const int k = (int)(out % K), q = (int)(out / K % Q), p = (int)(out / K / Q % P), n = (int)(out / K / Q / P);
            const int h = p * stride - pad + r * dilation, wx = q * stride - pad + s * dilation;
            if (h < 0 || h >= H || wx < 0 || wx >= W) continue;
            visit((((size_t)n * H + h) * W + wx) * C + (k / Kg) * Cg + c, (((size_t)k * R + r) * S + s) * Cg + c, out);
        }
    }

    ~conv()
    {
        cudnnDestroyConvolutionDescriptor(v);
        cudnnDestroyFilterDescriptor(w);
        for (const cudnnTensorDescriptor_t tensor : {x, y, b}) cudnnDestroyTensorDescriptor(tensor);
        cudnnDestroy(handle);
        if (stream) cudaStreamDestroy(stream);
    }
};

static const conv convolutions[] = {
    {2, 5, 6, 3, 4, 3, 3, 1, 1, 1, 1, false}, {1, 7, 7, 4, 6, 3, 2, 2, 0, 1, 2, false},
    {2, 9, 8, 1, 5, 3, 3, 1, 2, 2, 1, true},  {3, 4, 4, 8, 2, 1, 1, 2, 0, 1, 1, true}};
static const float one = 1.0f, zero = 0.0f;

static void compare(const char *what, const array &got, const std::vector<float> &want, bool bf16)
{
    for (size_t i = 0; i < want.size(); i++)
        cr_assert_eq(got[i], in_type(want[i], bf16), "%s %zu: got %g, want %g", what, i, got[i], want[i]);
}

Test(cudnn, passes_equal_the_formula)
{
    for (conv c : convolutions) {
        c.open();
        array x(c.n_x(), c.bf16, 1), w(c.n_w(), c.bf16, 2), y(c.n_y(), c.bf16, 3), dy(c.n_y(), c.bf16, 4);
        array dx(c.n_x(), c.bf16, 5), dw(c.n_w(), c.bf16, 6), workspace(ROOM / 4, false, 0);
        std::vector<float> want_y(c.n_y()), want_dx(c.n_x()), want_dw(c.n_w());

        OK(cudnnConvolutionForward(c.handle, &one, c.x, x.at, c.w, w.at, c.v,
                                   CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM, workspace.at, ROOM, &zero, c.y, y.at));
        OK(cudnnConvolutionBackwardData(c.handle, &one, c.w, w.at, c.y, dy.at, c.v, CUDNN_CONVOLUTION_BWD_DATA_ALGO_1,
                                        workspace.at, ROOM, &zero, c.x, dx.at));
        OK(cudnnConvolutionBackwardFilter(c.handle, &one, c.x, x.at, c.y, dy.at, c.v, CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1,
                                          workspace.at, ROOM, &zero, c.w, dw.at));
        OK(cudaStreamSynchronize(c.stream));
        c.each([&](size_t xi, size_t wi, size_t yi) {
            want_y[yi] += x[xi] * w[wi];
            want_dx[xi] += dy[yi] * w[wi];
            want_dw[wi] += dy[yi] * x[xi];
        });
        compare("y", y, want_y, c.bf16);
        compare("dx", dx, want_dx, c.bf16);
        compare("dw", dw, want_dw, c.bf16);

        /* beta adds to what is there. */
        OK(cudnnConvolutionBackwardFilter(c.handle, &one, c.x, x.at, c.y, dy.at, c.v, CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1,
                                          workspace.at, ROOM, &one, c.w, dw.at));
        OK(cudaStreamSynchronize(c.stream));
        for (float &value : want_dw) value = in_type(value, c.bf16) + value;
        compare("dw twice", dw, want_dw, c.bf16);
    }
}

Test(cudnn, bias_and_relu_are_fused_and_identity_goes_with_one_algorithm)
{
    conv c = convolutions[0];
    c.open();
    array x(c.n_x(), false, 1), w(c.n_w(), false, 2), y(c.n_y(), false, 3), b(c.K, false, 4), workspace(ROOM / 4, false, 0);
    array db(c.K, false, 5);
    std::vector<float> want(c.n_y()), sums(c.K);
    cudnnActivationDescriptor_t activation;
    const auto fused = [&](cudnnActivationMode_t mode, cudnnConvolutionFwdAlgo_t algo) {
        OK(cudnnSetActivationDescriptor(activation, mode, CUDNN_PROPAGATE_NAN, 0.0));
        return cudnnConvolutionBiasActivationForward(c.handle, &one, c.x, x.at, c.w, w.at, c.v, algo, workspace.at, ROOM,
                                                     &zero, c.y, y.at, c.b, b.at, activation, c.y, y.at);
    };

    OK(cudnnCreateActivationDescriptor(&activation));
    OK(fused(CUDNN_ACTIVATION_RELU, CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM));
    OK(cudnnConvolutionBackwardBias(c.handle, &one, c.y, y.at, &zero, c.b, db.at));
    OK(cudaStreamSynchronize(c.stream));
    c.each([&](size_t xi, size_t wi, size_t yi) { want[yi] += x[xi] * w[wi]; });
    for (size_t i = 0; i < want.size(); i++) {
        want[i] = fmaxf(want[i] + b[i % c.K], 0.0f);
        sums[i % c.K] += want[i];
    }
    compare("y", y, want, false);
    compare("db", db, sums, false);
    cr_expect_eq(fused(CUDNN_ACTIVATION_IDENTITY, CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM), CUDNN_STATUS_NOT_SUPPORTED);
    cr_expect_eq(fused(CUDNN_ACTIVATION_IDENTITY, CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM), CUDNN_STATUS_SUCCESS);
    OK(cudaStreamSynchronize(c.stream));
    setenv("STANDIN_CUDNN_REFUSE", "fused", 1);
    cr_expect_eq(fused(CUDNN_ACTIVATION_RELU, CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM), CUDNN_STATUS_NOT_SUPPORTED);
    cudnnDestroyActivationDescriptor(activation);
}

/* Whether two calls of an algorithm give the same bits. */
static bool repeats(conv &c, cudnnConvolutionBwdFilterAlgo_t algo)
{
    array x(c.n_x(), false, 1), dy(c.n_y(), false, 2), dw(c.n_w(), false, 3), again(c.n_w(), false, 3);
    array workspace(ROOM / 4, false, 0);

    for (const array *out : {&dw, &again})
        OK(cudnnConvolutionBackwardFilter(c.handle, &one, c.x, x.at, c.y, dy.at, c.v, algo, workspace.at, ROOM, &zero, c.w,
                                          out->at));
    OK(cudaStreamSynchronize(c.stream));
    return memcmp(dw.at, again.at, dw.n * sizeof(float)) == 0;
}

Test(cudnn, the_first_algorithm_for_filters_says_that_it_does_not_repeat)
{
    conv c = convolutions[0];
    cudnnConvolutionBwdFilterAlgoPerf_t found[4];
    int n = 0;

    c.open();
    OK(cudnnGetConvolutionBackwardFilterAlgorithm_v7(c.handle, c.x, c.y, c.v, c.w, 4, &n, found));
    cr_assert_eq(n, 2);
    cr_expect_eq(found[0].determinism, CUDNN_NON_DETERMINISTIC);
    cr_expect_eq(found[1].determinism, CUDNN_DETERMINISTIC);
    cr_expect_not(repeats(c, found[0].algo));
    cr_expect(repeats(c, found[1].algo));
}

Test(cudnn, default_math_is_tf32)
{
    for (const cudnnMathType_t math : {CUDNN_FMA_MATH, CUDNN_DEFAULT_MATH}) {
        conv c = {1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, false, math};
        c.open();
        array x(1, false, 0), w(1, false, 0), y(1, false, 0);
        const float fine = 1.0f + ldexpf(1.0f, -12);
        store(x.at, 0, fine, false), store(w.at, 0, 1.0f, false);
        OK(cudnnConvolutionForward(c.handle, &one, c.x, x.at, c.w, w.at, c.v, CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM,
                                   NULL, 0, &zero, c.y, y.at));
        OK(cudaStreamSynchronize(c.stream));
        cr_expect_eq(y[0], math == CUDNN_FMA_MATH ? fine : 1.0f);
    }
}

Test(cudnn, what_does_not_fit_is_refused)
{
    conv c = convolutions[0];
    c.open();
    array x(c.n_x(), false, 1), w(c.n_w(), false, 2), y(c.n_y(), false, 3), workspace(ROOM / 4, false, 0);
    size_t nbytes = 0;
    const auto forward = [&](void *out, void *scratch, size_t n) {
        return cudnnConvolutionForward(c.handle, &one, c.x, x.at, c.w, w.at, c.v,
                                       CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM, scratch, n, &zero, c.y, out);
    };

    OK(cudnnGetConvolutionForwardWorkspaceSize(c.handle, c.x, c.w, c.v, c.y,
                                               CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM, &nbytes));
    cr_assert_gt(nbytes, 0);
    cr_expect_eq(forward(y.at, workspace.at, nbytes - 1), CUDNN_STATUS_BAD_PARAM);
    cr_expect_eq(forward(x.at, workspace.at, nbytes), CUDNN_STATUS_BAD_PARAM);
    cr_expect_eq(forward(y.at, y.at, nbytes), CUDNN_STATUS_BAD_PARAM);
    cr_expect_eq(cudnnGetConvolutionForwardWorkspaceSize(c.handle, c.x, c.w, c.v, c.y, CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD,
                                                         &nbytes),
                 CUDNN_STATUS_NOT_SUPPORTED);
    /* dw of bf16 is bf16. */
    OK(cudnnSetFilter4dDescriptor(c.w, CUDNN_DATA_BFLOAT16, CUDNN_TENSOR_NHWC, c.K, c.C, c.R, c.S));
    cr_expect_eq(forward(y.at, workspace.at, nbytes), CUDNN_STATUS_BAD_PARAM);
}
