/*
 * cuDNN's convolutions (the API of one call per pass) on the host.
 *
 * Taken: 4-d tensors in fp32 or bf16 with fp32 sums, x, w and y in one type and one layout (NHWC with filters KRSC, or
 * NCHW with KCRS), cross-correlation.  As documented, the matrix-product algorithms only, and IDENTITY in the fused call
 * only with IMPLICIT_PRECOMP_GEMM.  fp32 factors are rounded to 10 bits of mantissa unless the math type is FMA_MATH, as
 * on Ampere and later.
 *
 * Of the algorithms for gradients, ALGO_0 adds by atomics, comes first in the lists, and says NON_DETERMINISTIC.  Here the
 * last bit of some elements changes from call to call, so that who takes it without looking is found out.
 *
 * STANDIN_CUDNN_REFUSE=fused: cudnnConvolutionBiasActivationForward is not supported; "all": nothing is, as for shapes
 * that no algorithm takes.
 *
 * Not checked: order of sums, alignment, limits of real algorithms, other data types, the graph API.
 */
#include <cudnn.h>

#include <cstdlib>

#include "tests/gpu/standin/cudnn_rules.h"
#include "tests/gpu/standin/libraries.h"

using standin::convolution;

namespace standin {

bool cudnn_refused(const char *what)
{
    const char *wish = getenv("STANDIN_CUDNN_REFUSE");
    return wish && (strcmp(wish, what) == 0 || strcmp(wish, "all") == 0);
}

/* --------------------------------------------------------- what goes together */

static bool same_layout(const cudnnTensorStruct &t, cudnnTensorFormat_t format)
{
    return format == CUDNN_TENSOR_NHWC ? t.nhwc() : t.stride_w == 1;
}

cudnnStatus_t convolution_of(const cudnnTensorStruct *x, const cudnnFilterStruct *f, const cudnnConvolutionStruct *v,
                             const cudnnTensorStruct *y, convolution *out)
{
    int n, k, p, q;

    if (!x || !f || !v || !y) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    if (x->type != f->type || x->type != y->type) return CUDNN_STATUS_BAD_PARAM;
    if (x->type != CUDNN_DATA_FLOAT && x->type != CUDNN_DATA_BFLOAT16) return CUDNN_STATUS_NOT_SUPPORTED;
    if (v->compute != CUDNN_DATA_FLOAT || v->mode != CUDNN_CROSS_CORRELATION) return CUDNN_STATUS_NOT_SUPPORTED;
    if (v->groups < 1 || x->c != f->c * v->groups || f->k % v->groups) return CUDNN_STATUS_BAD_PARAM;
    if (!same_layout(*x, f->format) || !same_layout(*y, f->format)) return CUDNN_STATUS_NOT_SUPPORTED;
    const cudnnStatus_t status = cudnnGetConvolution2dForwardOutputDim(
        (cudnnConvolutionStruct *)v, (cudnnTensorStruct *)x, (cudnnFilterStruct *)f, &n, &k, &p, &q);
    if (status != CUDNN_STATUS_SUCCESS) return status;
    if (y->n != n || y->c != k || y->h != p || y->w != q) return CUDNN_STATUS_BAD_PARAM;
    if (cudnn_refused("all")) return CUDNN_STATUS_NOT_SUPPORTED;
    *out = {x->n, x->h, x->w, x->c, k, f->h, f->w, p, q, v->stride_h, v->stride_w, v->pad_h, v->pad_w,
            v->dilation_h, v->dilation_w, v->groups};
    return CUDNN_STATUS_SUCCESS;
}

/* -------------------------------------------------------------- algorithms */

enum { WORKSPACE_ALIGNMENT = 256, INDEX_BYTES = 4 };

/* Indices of the taps, and room to sum pieces in for gradients of filters. */
static size_t workspace_of(const convolution &v, bool precomputed, bool pieces)
{
    const size_t taps = (size_t)v.R * v.S * (v.C / v.groups);
    const size_t nbytes = (precomputed ? taps * INDEX_BYTES : 0) + (pieces ? taps * v.K * sizeof(float) : 0);

    return (nbytes + WORKSPACE_ALIGNMENT - 1) / WORKSPACE_ALIGNMENT * WORKSPACE_ALIGNMENT;
}

cudnnStatus_t workspace_for(const convolution &v, cudnnConvolutionFwdAlgo_t algo, size_t *nbytes)
{
    if (algo > CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM) return CUDNN_STATUS_NOT_SUPPORTED;
    *nbytes = workspace_of(v, algo == CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM, false);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t workspace_for(const convolution &v, cudnnConvolutionBwdDataAlgo_t algo, size_t *nbytes)
{
    if (algo > CUDNN_CONVOLUTION_BWD_DATA_ALGO_1) return CUDNN_STATUS_NOT_SUPPORTED;
    *nbytes = workspace_of(v, algo == CUDNN_CONVOLUTION_BWD_DATA_ALGO_1, false);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t workspace_for(const convolution &v, cudnnConvolutionBwdFilterAlgo_t algo, size_t *nbytes)
{
    if (algo > CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1) return CUDNN_STATUS_NOT_SUPPORTED;
    *nbytes = workspace_of(v, true, algo == CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1);
    return CUDNN_STATUS_SUCCESS;
}

} // namespace standin

/* ------------------------------------------------- what is asked before a pass */

template <typename Algo>
static cudnnStatus_t size_of(cudnnHandle_t handle, const cudnnTensorStruct *x, const cudnnFilterStruct *f,
                             const cudnnConvolutionStruct *v, const cudnnTensorStruct *y, Algo algo, size_t *nbytes)
{
    convolution shape;

    if (!handle || !nbytes) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    const cudnnStatus_t status = standin::convolution_of(x, f, v, y, &shape);
    return status == CUDNN_STATUS_SUCCESS ? standin::workspace_for(shape, algo, nbytes) : status;
}

cudnnStatus_t cudnnGetConvolutionForwardWorkspaceSize(cudnnHandle_t handle, const cudnnTensorDescriptor_t x,
                                                      const cudnnFilterDescriptor_t w, const cudnnConvolutionDescriptor_t v,
                                                      const cudnnTensorDescriptor_t y, cudnnConvolutionFwdAlgo_t algo,
                                                      size_t *nbytes)
{
    return size_of(handle, x, w, v, y, algo, nbytes);
}

cudnnStatus_t cudnnGetConvolutionBackwardDataWorkspaceSize(cudnnHandle_t handle, const cudnnFilterDescriptor_t w,
                                                           const cudnnTensorDescriptor_t dy,
                                                           const cudnnConvolutionDescriptor_t v,
                                                           const cudnnTensorDescriptor_t dx,
                                                           cudnnConvolutionBwdDataAlgo_t algo, size_t *nbytes)
{
    return size_of(handle, dx, w, v, dy, algo, nbytes);
}

cudnnStatus_t cudnnGetConvolutionBackwardFilterWorkspaceSize(cudnnHandle_t handle, const cudnnTensorDescriptor_t x,
                                                             const cudnnTensorDescriptor_t dy,
                                                             const cudnnConvolutionDescriptor_t v,
                                                             const cudnnFilterDescriptor_t dw,
                                                             cudnnConvolutionBwdFilterAlgo_t algo, size_t *nbytes)
{
    return size_of(handle, x, dw, v, dy, algo, nbytes);
}

static cudnnStatus_t say_two(cudnnHandle_t handle, int *count)
{
    if (!handle || !count) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    *count = 2;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetConvolutionForwardAlgorithmMaxCount(cudnnHandle_t handle, int *count)
{
    return say_two(handle, count);
}

cudnnStatus_t cudnnGetConvolutionBackwardDataAlgorithmMaxCount(cudnnHandle_t handle, int *count)
{
    return say_two(handle, count);
}

cudnnStatus_t cudnnGetConvolutionBackwardFilterAlgorithmMaxCount(cudnnHandle_t handle, int *count)
{
    return say_two(handle, count);
}

/* The two algorithms of a pass, the faster first. */
template <typename Algo, typename Perf>
static cudnnStatus_t list(cudnnHandle_t handle, const cudnnTensorStruct *x, const cudnnFilterStruct *f,
                          const cudnnConvolutionStruct *v, const cudnnTensorStruct *y, const Algo (&algos)[2],
                          bool first_is_deterministic, int requested, int *returned, Perf *results)
{
    if (!handle || !returned || !results || requested < 1) return CUDNN_STATUS_BAD_PARAM;
    *returned = 0;
    for (int i = 0; i < 2 && i < requested; i++) {
        Perf *perf = &results[i];

        memset(perf, 0, sizeof *perf);
        const cudnnStatus_t status = size_of(handle, x, f, v, y, algos[i], &perf->memory);
        if (status != CUDNN_STATUS_SUCCESS) return status;
        perf->algo = algos[i];
        perf->time = -1.0f; /* it is not measured */
        perf->determinism = i > 0 || first_is_deterministic ? CUDNN_DETERMINISTIC : CUDNN_NON_DETERMINISTIC;
        perf->mathType = v->math;
        ++*returned;
    }
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetConvolutionForwardAlgorithm_v7(cudnnHandle_t handle, const cudnnTensorDescriptor_t x,
                                                     const cudnnFilterDescriptor_t w, const cudnnConvolutionDescriptor_t v,
                                                     const cudnnTensorDescriptor_t y, const int requested, int *returned,
                                                     cudnnConvolutionFwdAlgoPerf_t *results)
{
    static const cudnnConvolutionFwdAlgo_t algos[2] = {CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM,
                                                       CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM};
    return list(handle, x, w, v, y, algos, true, requested, returned, results);
}

cudnnStatus_t cudnnGetConvolutionBackwardDataAlgorithm_v7(cudnnHandle_t handle, const cudnnFilterDescriptor_t w,
                                                          const cudnnTensorDescriptor_t dy,
                                                          const cudnnConvolutionDescriptor_t v,
                                                          const cudnnTensorDescriptor_t dx, const int requested,
                                                          int *returned, cudnnConvolutionBwdDataAlgoPerf_t *results)
{
    static const cudnnConvolutionBwdDataAlgo_t algos[2] = {CUDNN_CONVOLUTION_BWD_DATA_ALGO_0,
                                                           CUDNN_CONVOLUTION_BWD_DATA_ALGO_1};
    return list(handle, dx, w, v, dy, algos, false, requested, returned, results);
}

cudnnStatus_t cudnnGetConvolutionBackwardFilterAlgorithm_v7(cudnnHandle_t handle, const cudnnTensorDescriptor_t x,
                                                            const cudnnTensorDescriptor_t dy,
                                                            const cudnnConvolutionDescriptor_t v,
                                                            const cudnnFilterDescriptor_t dw, const int requested,
                                                            int *returned, cudnnConvolutionBwdFilterAlgoPerf_t *results)
{
    static const cudnnConvolutionBwdFilterAlgo_t algos[2] = {CUDNN_CONVOLUTION_BWD_FILTER_ALGO_0,
                                                             CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1};
    return list(handle, x, dw, v, dy, algos, false, requested, returned, results);
}
