/* cuDNN's handle and descriptors on the host: made, set, read, released. */
#include "tests/gpu/standin/cudnn_objects.h"

#include <cstdio>

#include "tests/gpu/standin/libraries.h"

template <typename T> static cudnnStatus_t make(T **out)
{
    if (!out) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    *out = new T();
    return CUDNN_STATUS_SUCCESS;
}

template <typename T> static cudnnStatus_t unmake(T *object)
{
    delete object;
    return CUDNN_STATUS_SUCCESS;
}

/* ------------------------------------------------------------------ handle */

size_t cudnnGetVersion(void) { return CUDNN_VERSION; }
size_t cudnnGetCudartVersion(void) { return CUDART_VERSION; }
cudnnStatus_t cudnnCreate(cudnnHandle_t *handle) { return make(handle); }
cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) { return unmake(handle); }

cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream)
{
    if (!handle) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    handle->stream = stream;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetStream(cudnnHandle_t handle, cudaStream_t *stream)
{
    if (!handle || !stream) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    *stream = handle->stream;
    return CUDNN_STATUS_SUCCESS;
}

const char *cudnnGetErrorString(cudnnStatus_t status)
{
    switch (CUDNN_STATUS_CATEGORY(status)) {
    case CUDNN_STATUS_SUCCESS: return "CUDNN_STATUS_SUCCESS";
    case CUDNN_STATUS_BAD_PARAM: return "CUDNN_STATUS_BAD_PARAM";
    case CUDNN_STATUS_NOT_SUPPORTED: return "CUDNN_STATUS_NOT_SUPPORTED";
    case CUDNN_STATUS_EXECUTION_FAILED: return "CUDNN_STATUS_EXECUTION_FAILED";
    default: return "CUDNN_STATUS_INTERNAL_ERROR";
    }
}

void cudnnGetLastErrorString(char *message, size_t most) { snprintf(message, most, "%s", standin::last_complaint()); }

/* ----------------------------------------------------------------- tensors */

cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t *out) { return make(out); }
cudnnStatus_t cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t tensor) { return unmake(tensor); }

cudnnStatus_t cudnnSetTensor4dDescriptorEx(cudnnTensorDescriptor_t tensor, cudnnDataType_t type, int n, int c, int h,
                                           int w, int stride_n, int stride_c, int stride_h, int stride_w)
{
    if (!tensor) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    if (n < 1 || c < 1 || h < 1 || w < 1) return CUDNN_STATUS_BAD_PARAM;
    *tensor = {type, n, c, h, w, stride_n, stride_c, stride_h, stride_w};
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetTensor4dDescriptor(cudnnTensorDescriptor_t tensor, cudnnTensorFormat_t format,
                                         cudnnDataType_t type, int n, int c, int h, int w)
{
    if (n < 1 || c < 1 || h < 1 || w < 1) return CUDNN_STATUS_BAD_PARAM;
    if ((size_t)n * c * h * w > INT32_MAX) return CUDNN_STATUS_NOT_SUPPORTED;
    if (format == CUDNN_TENSOR_NHWC)
        return cudnnSetTensor4dDescriptorEx(tensor, type, n, c, h, w, h * w * c, 1, w * c, c);
    if (format == CUDNN_TENSOR_NCHW)
        return cudnnSetTensor4dDescriptorEx(tensor, type, n, c, h, w, c * h * w, h * w, w, 1);
    return CUDNN_STATUS_NOT_SUPPORTED;
}

cudnnStatus_t cudnnGetTensor4dDescriptor(const cudnnTensorDescriptor_t t, cudnnDataType_t *type, int *n, int *c, int *h,
                                         int *w, int *stride_n, int *stride_c, int *stride_h, int *stride_w)
{
    if (!t) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    *type = t->type, *n = t->n, *c = t->c, *h = t->h, *w = t->w;
    *stride_n = (int)t->stride_n, *stride_c = (int)t->stride_c, *stride_h = (int)t->stride_h, *stride_w = (int)t->stride_w;
    return CUDNN_STATUS_SUCCESS;
}

/* ----------------------------------------------------------------- filters */

cudnnStatus_t cudnnCreateFilterDescriptor(cudnnFilterDescriptor_t *out) { return make(out); }
cudnnStatus_t cudnnDestroyFilterDescriptor(cudnnFilterDescriptor_t filter) { return unmake(filter); }

cudnnStatus_t cudnnSetFilter4dDescriptor(cudnnFilterDescriptor_t filter, cudnnDataType_t type, cudnnTensorFormat_t format,
                                         int k, int c, int h, int w)
{
    if (!filter) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    if (k < 1 || c < 1 || h < 1 || w < 1) return CUDNN_STATUS_BAD_PARAM;
    if (format != CUDNN_TENSOR_NHWC && format != CUDNN_TENSOR_NCHW) return CUDNN_STATUS_NOT_SUPPORTED;
    *filter = {type, format, k, c, h, w};
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetFilterSizeInBytes(const cudnnFilterDescriptor_t filter, size_t *nbytes)
{
    if (!filter || !nbytes) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    *nbytes = filter->nbytes();
    return CUDNN_STATUS_SUCCESS;
}

/* -------------------------------------------------------------- activations */

cudnnStatus_t cudnnCreateActivationDescriptor(cudnnActivationDescriptor_t *out) { return make(out); }
cudnnStatus_t cudnnDestroyActivationDescriptor(cudnnActivationDescriptor_t activation) { return unmake(activation); }

cudnnStatus_t cudnnSetActivationDescriptor(cudnnActivationDescriptor_t activation, cudnnActivationMode_t mode,
                                           cudnnNanPropagation_t nan, double coef)
{
    if (!activation) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    *activation = {mode, nan, coef};
    return CUDNN_STATUS_SUCCESS;
}

/* ------------------------------------------------------------- convolutions */

cudnnStatus_t cudnnCreateConvolutionDescriptor(cudnnConvolutionDescriptor_t *out) { return make(out); }
cudnnStatus_t cudnnDestroyConvolutionDescriptor(cudnnConvolutionDescriptor_t convolution) { return unmake(convolution); }

cudnnStatus_t cudnnSetConvolution2dDescriptor(cudnnConvolutionDescriptor_t convolution, int pad_h, int pad_w, int stride_h,
                                              int stride_w, int dilation_h, int dilation_w, cudnnConvolutionMode_t mode,
                                              cudnnDataType_t compute)
{
    if (!convolution) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    if (pad_h < 0 || pad_w < 0 || stride_h < 1 || stride_w < 1 || dilation_h < 1 || dilation_w < 1)
        return CUDNN_STATUS_BAD_PARAM;
    *convolution = {pad_h, pad_w, stride_h, stride_w, dilation_h, dilation_w, 1, mode, compute, CUDNN_DEFAULT_MATH};
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetConvolutionMathType(cudnnConvolutionDescriptor_t convolution, cudnnMathType_t math)
{
    if (!convolution) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    convolution->math = math;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetConvolutionMathType(cudnnConvolutionDescriptor_t convolution, cudnnMathType_t *math)
{
    if (!convolution || !math) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    *math = convolution->math;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetConvolutionGroupCount(cudnnConvolutionDescriptor_t convolution, int groups)
{
    if (!convolution) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    if (groups < 1) return CUDNN_STATUS_BAD_PARAM;
    convolution->groups = groups;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetConvolutionGroupCount(cudnnConvolutionDescriptor_t convolution, int *groups)
{
    if (!convolution || !groups) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    *groups = convolution->groups;
    return CUDNN_STATUS_SUCCESS;
}

static int output_size(int in, int pad, int filter, int dilation, int stride)
{
    const int reach = in + 2 * pad - ((filter - 1) * dilation + 1);
    return reach < 0 ? 0 : reach / stride + 1;
}

cudnnStatus_t cudnnGetConvolution2dForwardOutputDim(const cudnnConvolutionDescriptor_t v, const cudnnTensorDescriptor_t x,
                                                    const cudnnFilterDescriptor_t f, int *n, int *c, int *h, int *w)
{
    if (!v || !x || !f) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    *n = x->n, *c = f->k;
    *h = output_size(x->h, v->pad_h, f->h, v->dilation_h, v->stride_h);
    *w = output_size(x->w, v->pad_w, f->w, v->dilation_w, v->stride_w);
    return *h > 0 && *w > 0 ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
}
