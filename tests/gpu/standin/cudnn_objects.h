/* cuDNN's descriptors as the stand-in keeps them. */
#ifndef STANDIN_CUDNN_OBJECTS_H
#define STANDIN_CUDNN_OBJECTS_H

#include <cudnn.h>

#include <cstddef>

struct cudnnContext {
    cudaStream_t stream;
};

struct cudnnTensorStruct {
    cudnnDataType_t type;
    int n, c, h, w;
    long stride_n, stride_c, stride_h, stride_w;

    size_t n_elem() const { return (size_t)n * c * h * w; }
    bool nhwc() const { return stride_c == 1 && stride_w == c && stride_h == (long)w * c; }
    size_t index(int in, int ic, int ih, int iw) const
    {
        return in * stride_n + ic * stride_c + ih * stride_h + iw * stride_w;
    }
    size_t nbytes() const { return (index(n - 1, c - 1, h - 1, w - 1) + 1) * (type == CUDNN_DATA_BFLOAT16 ? 2 : 4); }
};

struct cudnnFilterStruct {
    cudnnDataType_t type;
    cudnnTensorFormat_t format;
    int k, c, h, w;

    size_t n_elem() const { return (size_t)k * c * h * w; }
    size_t nbytes() const { return n_elem() * (type == CUDNN_DATA_BFLOAT16 ? 2 : 4); }
};

struct cudnnConvolutionStruct {
    int pad_h, pad_w, stride_h, stride_w, dilation_h, dilation_w, groups;
    cudnnConvolutionMode_t mode;
    cudnnDataType_t compute;
    cudnnMathType_t math;
};

struct cudnnActivationStruct {
    cudnnActivationMode_t mode;
    cudnnNanPropagation_t nan;
    double coef;
};

#endif
