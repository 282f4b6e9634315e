/*
 * The passes of cuDNN's convolutions: checks, then work on the handle's stream.
 *
 * The workspace is filled with NaN.  A workspace too small, or outputs and workspaces over inputs, are undefined there and
 * refused here.
 */
#include <cudnn.h>

#include <atomic>
#include <cmath>
#include <functional>
#include <vector>

#include "tests/gpu/standin/cudnn_rules.h"
#include "tests/gpu/standin/libraries.h"

using standin::complain;
using standin::convolution;

typedef std::vector<float> floats;

struct area {
    const void *at;
    size_t nbytes;
};

static bool meet(area a, area b) { return standin::overlap(a.at, a.nbytes, b.at, b.nbytes); }

/* Whether the output, two inputs and scratch may be used together. */
static cudnnStatus_t admit(const char *call, area out, area a, area b, area workspace, size_t needed)
{
    const char *wrong = NULL;

    if (!out.at || !a.at || !b.at) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    if (needed > 0 && (!workspace.at || workspace.nbytes < needed)) wrong = "the workspace is smaller than was asked for";
    workspace.nbytes = needed;
    if (meet(out, a) || meet(out, b)) wrong = "the output lies over an input";
    if (meet(workspace, out) || meet(workspace, a) || meet(workspace, b)) wrong = "the workspace lies over a tensor";
    if (wrong) complain("%s: %s", call, wrong);
    return wrong ? CUDNN_STATUS_BAD_PARAM : CUDNN_STATUS_SUCCESS;
}

static bool rounds(const cudnnTensorStruct &x, const cudnnConvolutionStruct &v)
{
    return x.type == CUDNN_DATA_FLOAT && v.math != CUDNN_FMA_MATH;
}

/* What atomics do to the last bits: another pattern in every call. */
static void shake(floats *values)
{
    static std::atomic<unsigned> calls(0);
    const unsigned call = ++calls;

    for (size_t i = 0; i < values->size(); i++)
        if ((i * 2654435761u + call * 40503u) >> 7 & 1)
            (*values)[i] = nextafterf((*values)[i], (*values)[i] + (call & 1 ? 1.0f : -1.0f));
}

static area area_of(const void *at, const cudnnTensorStruct *t) { return {at, t->nbytes()}; }
static area area_of(const void *at, const cudnnFilterStruct *f) { return {at, f->nbytes()}; }

/* The shape and workspace of a pass. */
template <typename Algo>
static cudnnStatus_t plan(cudnnHandle_t handle, const cudnnTensorStruct *x, const cudnnFilterStruct *f,
                          const cudnnConvolutionStruct *v, const cudnnTensorStruct *y, Algo algo, convolution *shape,
                          size_t *needed)
{
    if (!handle) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    const cudnnStatus_t status = standin::convolution_of(x, f, v, y, shape);
    return status == CUDNN_STATUS_SUCCESS ? standin::workspace_for(*shape, algo, needed) : status;
}

/* ----------------------------------------------------------------- forward */

cudnnStatus_t cudnnConvolutionForward(cudnnHandle_t handle, const void *alpha, const cudnnTensorDescriptor_t x_desc,
                                      const void *x, const cudnnFilterDescriptor_t w_desc, const void *w,
                                      const cudnnConvolutionDescriptor_t v, cudnnConvolutionFwdAlgo_t algo,
                                      void *workspace, size_t nbytes, const void *beta,
                                      const cudnnTensorDescriptor_t y_desc, void *y)
{
    convolution shape;
    size_t needed;

    cudnnStatus_t status = plan(handle, x_desc, w_desc, v, y_desc, algo, &shape, &needed);
    if (status == CUDNN_STATUS_SUCCESS)
        status = admit("cudnnConvolutionForward", area_of(y, y_desc), area_of(x, x_desc), area_of(w, w_desc),
                       {workspace, nbytes}, needed);
    if (status != CUDNN_STATUS_SUCCESS) return status;

    const cudnnTensorStruct xd = *x_desc, yd = *y_desc;
    const cudnnFilterStruct wd = *w_desc;
    const float a = *(const float *)alpha, b = *(const float *)beta;
    const bool tf32 = rounds(xd, *v);
    standin_enqueue(handle->stream, [=] {
        floats out(yd.n_elem());
        standin::spoil(workspace, needed);
        standin::convolve(shape, out.data(), standin::pack(xd, x, tf32).data(), standin::pack(wd, w, tf32).data());
        standin::unpack(yd, y, out, a, b);
    });
    return CUDNN_STATUS_SUCCESS;
}

/* bias: one number a channel; z: as y, and may be y. */
static cudnnStatus_t fused_fits(const cudnnTensorStruct *z, const cudnnTensorStruct *bias,
                                const cudnnActivationStruct *activation, const cudnnTensorStruct *y,
                                cudnnConvolutionFwdAlgo_t algo)
{
    if (!z || !bias || !activation) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    if (bias->n != 1 || bias->h != 1 || bias->w != 1 || bias->c != y->c || bias->type != y->type || z->type != y->type ||
        z->n != y->n || z->c != y->c || z->h != y->h || z->w != y->w)
        return CUDNN_STATUS_BAD_PARAM;
    if (standin::cudnn_refused("fused")) return CUDNN_STATUS_NOT_SUPPORTED;
    if (activation->mode == CUDNN_ACTIVATION_RELU) return CUDNN_STATUS_SUCCESS;
    return activation->mode == CUDNN_ACTIVATION_IDENTITY && algo == CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM
               ? CUDNN_STATUS_SUCCESS
               : CUDNN_STATUS_NOT_SUPPORTED;
}

static float relu(float value, cudnnNanPropagation_t nan)
{
    if (value != value) return nan == CUDNN_PROPAGATE_NAN ? value : 0.0f;
    return value > 0.0f ? value : 0.0f;
}

/* out: (rows, channels), the convolution; then y = activation(alpha1 * out + alpha2 * z + bias). */
static void add_bias_and_activate(floats *out, const floats &bias, const floats &z, float alpha1, float alpha2,
                                  const cudnnActivationStruct &activation)
{
    for (size_t i = 0; i < out->size(); i++) {
        float value = alpha1 * (*out)[i];
        if (alpha2 != 0.0f) value += alpha2 * z[i];
        value += bias[i % bias.size()];
        (*out)[i] = activation.mode == CUDNN_ACTIVATION_RELU ? relu(value, activation.nan) : value;
    }
}

cudnnStatus_t cudnnConvolutionBiasActivationForward(
    cudnnHandle_t handle, const void *alpha1, const cudnnTensorDescriptor_t x_desc, const void *x,
    const cudnnFilterDescriptor_t w_desc, const void *w, const cudnnConvolutionDescriptor_t v,
    cudnnConvolutionFwdAlgo_t algo, void *workspace, size_t nbytes, const void *alpha2,
    const cudnnTensorDescriptor_t z_desc, const void *z, const cudnnTensorDescriptor_t bias_desc, const void *bias,
    const cudnnActivationDescriptor_t activation, const cudnnTensorDescriptor_t y_desc, void *y)
{
    static const char call[] = "cudnnConvolutionBiasActivationForward";
    convolution shape;
    size_t needed;

    cudnnStatus_t status = plan(handle, x_desc, w_desc, v, y_desc, algo, &shape, &needed);
    if (status == CUDNN_STATUS_SUCCESS) status = fused_fits(z_desc, bias_desc, activation, y_desc, algo);
    if (status == CUDNN_STATUS_SUCCESS)
        status = admit(call, area_of(y, y_desc), area_of(x, x_desc), area_of(w, w_desc), {workspace, nbytes}, needed);
    if (status != CUDNN_STATUS_SUCCESS) return status;
    if (!bias || !z) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;

    const cudnnTensorStruct xd = *x_desc, yd = *y_desc, zd = *z_desc, bd = *bias_desc;
    const cudnnFilterStruct wd = *w_desc;
    const cudnnActivationStruct act = *activation;
    const float a1 = *(const float *)alpha1, a2 = *(const float *)alpha2;
    const bool tf32 = rounds(xd, *v);
    standin_enqueue(handle->stream, [=] {
        floats out(yd.n_elem());
        standin::spoil(workspace, needed);
        standin::convolve(shape, out.data(), standin::pack(xd, x, tf32).data(), standin::pack(wd, w, tf32).data());
        add_bias_and_activate(&out, standin::pack(bd, bias, false), a2 != 0.0f ? standin::pack(zd, z, false) : floats(),
                              a1, a2, act);
        standin::unpack(yd, y, out, 1.0f, 0.0f);
    });
    return CUDNN_STATUS_SUCCESS;
}

/* --------------------------------------------------------------- gradients */

cudnnStatus_t cudnnConvolutionBackwardData(cudnnHandle_t handle, const void *alpha, const cudnnFilterDescriptor_t w_desc,
                                           const void *w, const cudnnTensorDescriptor_t dy_desc, const void *dy,
                                           const cudnnConvolutionDescriptor_t v, cudnnConvolutionBwdDataAlgo_t algo,
                                           void *workspace, size_t nbytes, const void *beta,
                                           const cudnnTensorDescriptor_t dx_desc, void *dx)
{
    convolution shape;
    size_t needed;

    cudnnStatus_t status = plan(handle, dx_desc, w_desc, v, dy_desc, algo, &shape, &needed);
    if (status == CUDNN_STATUS_SUCCESS)
        status = admit("cudnnConvolutionBackwardData", area_of(dx, dx_desc), area_of(dy, dy_desc), area_of(w, w_desc),
                       {workspace, nbytes}, needed);
    if (status != CUDNN_STATUS_SUCCESS) return status;

    const cudnnTensorStruct dxd = *dx_desc, dyd = *dy_desc;
    const cudnnFilterStruct wd = *w_desc;
    const float a = *(const float *)alpha, b = *(const float *)beta;
    const bool tf32 = rounds(dyd, *v), atomics = algo == CUDNN_CONVOLUTION_BWD_DATA_ALGO_0;
    standin_enqueue(handle->stream, [=] {
        floats out(dxd.n_elem());
        standin::spoil(workspace, needed);
        standin::convolve_grad_x(shape, out.data(), standin::pack(dyd, dy, tf32).data(), standin::pack(wd, w, tf32).data());
        if (atomics) shake(&out);
        standin::unpack(dxd, dx, out, a, b);
    });
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnConvolutionBackwardFilter(cudnnHandle_t handle, const void *alpha, const cudnnTensorDescriptor_t x_desc,
                                             const void *x, const cudnnTensorDescriptor_t dy_desc, const void *dy,
                                             const cudnnConvolutionDescriptor_t v, cudnnConvolutionBwdFilterAlgo_t algo,
                                             void *workspace, size_t nbytes, const void *beta,
                                             const cudnnFilterDescriptor_t dw_desc, void *dw)
{
    convolution shape;
    size_t needed;

    cudnnStatus_t status = plan(handle, x_desc, dw_desc, v, dy_desc, algo, &shape, &needed);
    if (status == CUDNN_STATUS_SUCCESS)
        status = admit("cudnnConvolutionBackwardFilter", area_of(dw, dw_desc), area_of(x, x_desc), area_of(dy, dy_desc),
                       {workspace, nbytes}, needed);
    if (status != CUDNN_STATUS_SUCCESS) return status;

    const cudnnTensorStruct xd = *x_desc, dyd = *dy_desc;
    const cudnnFilterStruct dwd = *dw_desc;
    const float a = *(const float *)alpha, b = *(const float *)beta;
    const bool tf32 = rounds(xd, *v), atomics = algo == CUDNN_CONVOLUTION_BWD_FILTER_ALGO_0;
    standin_enqueue(handle->stream, [=] {
        floats out(dwd.n_elem());
        standin::spoil(workspace, needed);
        standin::convolve_grad_w(shape, out.data(), standin::pack(dyd, dy, tf32).data(), standin::pack(xd, x, tf32).data());
        if (atomics) shake(&out);
        standin::unpack(dwd, dw, out, a, b);
    });
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnConvolutionBackwardBias(cudnnHandle_t handle, const void *alpha, const cudnnTensorDescriptor_t dy_desc,
                                           const void *dy, const void *beta, const cudnnTensorDescriptor_t db_desc, void *db)
{
    if (!handle || !dy_desc || !db_desc || !dy || !db) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    if (db_desc->n != 1 || db_desc->h != 1 || db_desc->w != 1 || db_desc->c != dy_desc->c ||
        db_desc->type != dy_desc->type)
        return CUDNN_STATUS_BAD_PARAM;

    const cudnnTensorStruct dyd = *dy_desc, dbd = *db_desc;
    const float a = *(const float *)alpha, b = *(const float *)beta;
    standin_enqueue(handle->stream, [=] {
        const floats rows = standin::pack(dyd, dy, false);
        floats out(dbd.n_elem());
        for (size_t i = 0; i < rows.size(); i++) out[i % out.size()] += rows[i];
        standin::unpack(dbd, db, out, a, b);
    });
    return CUDNN_STATUS_SUCCESS;
}
