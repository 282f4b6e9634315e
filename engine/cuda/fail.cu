/* The doors' messages: what was called, what the library says, and what a person can do about it. */
#include "engine/cuda/cuda.h"

static const char *advice(cudaError_t error)
{
    switch (error) {
    case cudaErrorMemoryAllocation:
        return "; the device's memory is full: a smaller train.batch, more lanes, or bf16 needs less";
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorInvalidDeviceFunction:
        return "; this build has no code for this device: set CMAKE_CUDA_ARCHITECTURES when building";
    case cudaErrorInsufficientDriver:
    case cudaErrorUnsupportedPtxVersion:
        return "; the driver is older than the CUDA this was built with: update it, or build with an older toolkit";
    case cudaErrorNoDevice:
    case cudaErrorSystemDriverMismatch:
        return "; nvidia-smi shows what the driver finds, CUDA_VISIBLE_DEVICES may hide devices";
    default:
        return "";
    }
}

lk_status cuda_fail(cudaError_t error, const char *call, const char *file, int line)
{
    int device = -1;

    cudaGetLastError(); /* else a later launch would be told of it */
    cudaGetDevice(&device);
    return lk_fail(LK_ERR_SYSTEM, file, line,
                   "CUDA, device %d: %s (%s) in %s%s", device, cudaGetErrorString(error), cudaGetErrorName(error), call,
                   advice(error));
}
