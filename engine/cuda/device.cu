/* What devices there are, in words, and what to do where there is none. */
#include "engine/cuda/conv.h"
#include "engine/cuda/gemm.h"
#include "engine/cuda/tape.h"

#include <stdio.h>

static const double GIB = 1024.0 * 1024.0 * 1024.0;
enum { VERSION_BYTES = 32, CARD_BYTES = 64 };

int cuda_available(void)
{
    int n = 0;

    if (cudaGetDeviceCount(&n) == cudaSuccess) return n;
    cudaGetLastError(); /* else a later call would be told of it */
    return 0;
}

/* "13.0" from 13000. */
static void version_text(int version, char text[VERSION_BYTES])
{
    snprintf(text, VERSION_BYTES, "%d.%d", version / 1000, version % 1000 / 10);
}

/* Since their versions 13 and 9: 130002 is 13.0.2. */
static void library_text(size_t version, char text[VERSION_BYTES])
{
    snprintf(text, VERSION_BYTES, "%zu.%zu.%zu", version / 10000, version % 10000 / 100, version % 100);
}

/* A driver that is missing and one that is too old are the same error; its version tells them apart. */
static void why_no_device(char *text, size_t nbytes)
{
    char has[VERSION_BYTES], wants[VERSION_BYTES];
    int n = 0, driver = 0, runtime = 0;
    const cudaError_t error = cudaGetDeviceCount(&n);

    cudaGetLastError();
    cudaDriverGetVersion(&driver);
    cudaRuntimeGetVersion(&runtime);
    version_text(driver, has);
    version_text(runtime, wants);
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

static lk_status find_platform(int device, lk_platform *out)
{
    char has[VERSION_BYTES], wants[VERSION_BYTES], lt[VERSION_BYTES], dnn[VERSION_BYTES];
    cudaDeviceProp prop;
    int driver = 0, runtime = 0;

    LK_CUDA(cudaGetDeviceProperties(&prop, device));
    LK_CUDA(cudaDriverGetVersion(&driver));
    LK_CUDA(cudaRuntimeGetVersion(&runtime));
    version_text(driver, has);
    version_text(runtime, wants);
    library_text(cuda_gemm_version(), lt);
    library_text(cuda_conv_version(), dnn);
    snprintf(out->device, sizeof out->device, "%.*s, compute %d.%d, %d SMs", CARD_BYTES, prop.name, prop.major,
             prop.minor, prop.multiProcessorCount);
    snprintf(out->libraries, sizeof out->libraries, "cuBLASLt %s, cuDNN %s", lt, dnn);
    /* An older driver of the same major version runs machine code, but compiles none. */
    if (driver >= runtime) snprintf(out->driver, sizeof out->driver, "%s, fits runtime %s", has, wants);
    else snprintf(out->driver, sizeof out->driver, "%s, older than runtime %s: no PTX", has, wants);
    return LK_OK;
}

/* A device that does not answer says so to whoever computes on it. */
void cuda_platform(void *arg, lk_platform *out) { (void)find_platform(((const cuda_ctx *)arg)->device, out); }

void cuda_describe(char *text, size_t nbytes)
{
    lk_platform platform;
    cudaDeviceProp prop;
    const int n = cuda_available();

    if (n == 0) why_no_device(text, nbytes);
    else if (find_platform(0, &platform) != LK_OK || cudaGetDeviceProperties(&prop, 0) != cudaSuccess)
        snprintf(text, nbytes, "%d devices that do not answer: %s", n, lk_error_message());
    else
        snprintf(text, nbytes, "%s, %.1f GiB; %d device%s; %s; driver %s", platform.device,
                 (double)prop.totalGlobalMem / GIB, n, n == 1 ? "" : "s", platform.libraries, platform.driver);
}
