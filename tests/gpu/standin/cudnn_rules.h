/* What cudnn.cpp decides and cudnn_passes.cpp carries out. */
#ifndef STANDIN_CUDNN_RULES_H
#define STANDIN_CUDNN_RULES_H

#include <vector>

#include "tests/gpu/standin/convolution.h"
#include "tests/gpu/standin/cudnn_objects.h"

namespace standin {

/* Whether STANDIN_CUDNN_REFUSE is this, or "all". */
bool cudnn_refused(const char *what);

/* The convolution that the descriptors make together, for any pass. */
cudnnStatus_t convolution_of(const cudnnTensorStruct *x, const cudnnFilterStruct *filter,
                             const cudnnConvolutionStruct *v, const cudnnTensorStruct *y, convolution *out);

/* Bytes of workspace, or NOT_SUPPORTED. */
cudnnStatus_t workspace_for(const convolution &v, cudnnConvolutionFwdAlgo_t algo, size_t *nbytes);
cudnnStatus_t workspace_for(const convolution &v, cudnnConvolutionBwdDataAlgo_t algo, size_t *nbytes);
cudnnStatus_t workspace_for(const convolution &v, cudnnConvolutionBwdFilterAlgo_t algo, size_t *nbytes);

/* cudnn_packing.cpp: tensors as (N, H, W, C), filters as (K, R, S, C), in fp32. */
std::vector<float> pack(const cudnnTensorStruct &t, const void *at, bool tf32);
std::vector<float> pack(const cudnnFilterStruct &f, const void *at, bool tf32);
/* at = alpha * value + beta * at; what is there is not read where beta is 0. */
void unpack(const cudnnTensorStruct &t, void *at, const std::vector<float> &values, float alpha, float beta);
void unpack(const cudnnFilterStruct &f, void *at, const std::vector<float> &values, float alpha, float beta);

} // namespace standin

#endif
