/* What devices there are, in words, and what to do where there is none. */
#include "engine/cuda/conv.h"
#include "engine/cuda/gemm.h"
#include "engine/cuda/tape.h"

#include <stdio.h>

static const double GIB = 1024.0 * 1024.0 * 1024.0;

int cuda_available(void)
{
    int n = 0;

    if (cudaGetDeviceCount(&n) == cudaSuccess) return n;
    cudaGetLastError(); /* else a later call would be told of it */
    return 0;
}

/* "13.0" from 13000. */
static void version_text(int version, char *text, size_t nbytes)
{
    snprintf(text, nbytes, "%d.%d", version / 1000, version % 1000 / 10);
}

/* Since their versions 13 and 9: 130002 is 13.0.2. */
static void library_text(size_t version, char *text, size_t nbytes)
{
    snprintf(text, nbytes, "%zu.%zu.%zu", version / 10000, version % 10000 / 100, version % 100);
}

/* A driver that is missing and one that is too old are the same error; its version tells them apart. */
static void why_no_device(char *text, size_t nbytes)
{
    char has[16], wants[16];
    int n = 0, driver = 0, runtime = 0;
    const cudaError_t error = cudaGetDeviceCount(&n);

    cudaGetLastError();
    cudaDriverGetVersion(&driver);
    cudaRuntimeGetVersion(&runtime);
    version_text(driver, has, sizeof has);
    version_text(runtime, wants, sizeof wants);
    if (driver == 0)
        snprintf(text, nbytes, "no NVIDIA driver (libcuda.so.1) was found; nvidia-smi shows whether one is installed");
    else if (error == cudaErrorInsufficientDriver)
        snprintf(text, nbytes,
                 "the driver knows CUDA up to %s and this build is of CUDA %s; update the driver, or build with "
                 "an older toolkit",
                 has, wants);
    else if (error == cudaSuccess || error == cudaErrorNoDevice)
        snprintf(text, nbytes, "the driver shows no device; nvidia-smi lists them, CUDA_VISIBLE_DEVICES may hide them");
    else
        snprintf(text, nbytes, "the driver says: %s (%s)", cudaGetErrorString(error), cudaGetErrorName(error));
}

lk_status cuda_no_device(void)
{
    char why[256];

    why_no_device(why, sizeof why);
    return LK_FAIL(LK_ERR_USAGE, "no cuda engine: %s; or use --engine cpu (engine.kind=cpu)", why);
}

void cuda_describe(char *text, size_t nbytes)
{
    char has[16], runtime_text[16], lt[32], dnn[32];
    cudaDeviceProp prop;
    int driver = 0, runtime = 0;
    const int n = cuda_available();

    if (n == 0) {
        why_no_device(text, nbytes);
        return;
    }
    if (cudaGetDeviceProperties(&prop, 0) != cudaSuccess) {
        snprintf(text, nbytes, "%d devices that do not answer: %s", n, cudaGetErrorString(cudaGetLastError()));
        return;
    }
    cudaDriverGetVersion(&driver);
    cudaRuntimeGetVersion(&runtime);
    version_text(driver, has, sizeof has);
    version_text(runtime, runtime_text, sizeof runtime_text);
    library_text(cuda_gemm_version(), lt, sizeof lt);
    library_text(cuda_conv_version(), dnn, sizeof dnn);
    snprintf(text, nbytes,
             "%s, compute %d.%d, %d SMs, %.1f GiB; %d device%s; driver %s, runtime %s, cuBLASLt %s, cuDNN %s",
             prop.name, prop.major, prop.minor, prop.multiProcessorCount, (double)prop.totalGlobalMem / GIB, n,
             n == 1 ? "" : "s", has, runtime_text, lt, dnn);
}
