/*
 * CUDA without a device, for tests: the sources of engine/cuda/ compiled by g++, their kernels run on the host.
 *
 * Included before every source of the module (g++ -include).  Declarations are the toolkit's own headers; what they
 * leave to nvcc (threadIdx, __syncthreads, shuffles, launches) is here, and the runtime's functions are in runtime.cpp.
 *
 * It is made to catch mistakes of logic:
 *   - a stream is a queue that runs only when something needs it, so work that nothing orders runs in the wrong order
 *     (STANDIN_ORDER=late, the default; early: at once);
 *   - device memory comes filled with NaNs; page-locked memory is read when a copy runs, not when it is asked for;
 *   - a barrier or shuffle that not all threads reach ends the program; blocks run last to first.
 * It shows nothing of speed, of true concurrency and the device's memory model, or of what the libraries choose.
 */
#ifndef STANDIN_H
#define STANDIN_H

#include <cuda_runtime.h>

#include <cuda_bf16.h>

#include <cmath>
#include <functional>
#include <tuple>

#include "tests/gpu/standin/libraries.h"

#undef __shared__
#define __shared__ static
#undef __launch_bounds__
#define __launch_bounds__(...)
#undef __global__
#define __global__
#undef __device__
#define __device__
#undef __host__
#define __host__
#undef __constant__
#define __constant__ static
#undef __forceinline__
#define __forceinline__ inline __attribute__((always_inline))
#ifndef __grid_constant__
#define __grid_constant__
#endif

extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
static const int warpSize = 32;

void __syncthreads();
void __syncwarp(unsigned mask = 0xffffffffu);

/* A lane's 8 bytes for another: all lanes of the warp meet. */
unsigned long long standin_shuffle(unsigned long long mine, int from_lane);
int standin_lane();

template <class T> static inline T standin_exchange(T value, int from)
{
    unsigned long long bits = 0;
    static_assert(sizeof(T) <= sizeof bits, "a shuffle of more than 8 bytes");
    __builtin_memcpy(&bits, &value, sizeof value);
    bits = standin_shuffle(bits, from);
    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
}
template <class T> static inline T __shfl_sync(unsigned, T value, int lane, int width = 32)
{
    return standin_exchange(value, (standin_lane() / width) * width + lane % width);
}
template <class T> static inline T __shfl_xor_sync(unsigned, T value, int mask, int = 32)
{
    return standin_exchange(value, standin_lane() ^ mask);
}
template <class T> static inline T __shfl_down_sync(unsigned, T value, unsigned by, int width = 32)
{
    const int lane = standin_lane(), to = lane + (int)by;
    return standin_exchange(value, to / width == lane / width ? to : lane);
}
template <class T> static inline T __shfl_up_sync(unsigned, T value, unsigned by, int width = 32)
{
    const int lane = standin_lane(), to = lane - (int)by;
    return standin_exchange(value, to >= 0 && to / width == lane / width ? to : lane);
}
int __any_sync(unsigned mask, int predicate);
int __all_sync(unsigned mask, int predicate);

template <class T> static inline T __ldg(const T *at) { return *at; }
static inline float __uint_as_float(unsigned bits) { float x; __builtin_memcpy(&x, &bits, sizeof x); return x; }
static inline unsigned __float_as_uint(float x) { unsigned bits; __builtin_memcpy(&bits, &x, sizeof x); return bits; }
static inline float __int_as_float(int bits) { float x; __builtin_memcpy(&x, &bits, sizeof x); return x; }
static inline int __float_as_int(float x) { int bits; __builtin_memcpy(&bits, &x, sizeof x); return bits; }
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)(((unsigned long long)a * b) >> 32); }

/* ------------------------------------------------------------------ launches */

/* Work of a stream; `what` names it in messages. */
void standin_enqueue(cudaStream_t stream, const char *what, std::function<void()> work);
/* For the libraries' work: standin_enqueue and standin_enqueue_until of libraries.h. */
void standin_grid(dim3 grid, dim3 block, bool flat, const char *what, const std::function<void()> &thread);
cudaError_t standin_check(dim3 grid, dim3 block);

/* Arguments are evaluated now and kept by value, as a launch does. */
template <class... P, class... A>
static inline cudaError_t standin_launch(const char *what, bool flat, void (*kernel)(P...), dim3 grid, dim3 block,
                                         cudaStream_t stream, A... arguments)
{
    const cudaError_t error = standin_check(grid, block);

    if (error != cudaSuccess) return error;
    std::tuple<P...> kept(static_cast<P>(arguments)...);
    standin_enqueue(stream, what, [=] {
        standin_grid(grid, block, flat, what, [&] { std::apply(kernel, kept); });
    });
    return cudaSuccess;
}

#define LK_LAUNCH(kernel, grid, block, stream, ...) \
    LK_CUDA(standin_launch(#kernel, false, kernel, dim3(grid), dim3(block), stream, __VA_ARGS__))
#define LK_LAUNCH_FLAT(kernel, grid, block, stream, ...) \
    LK_CUDA(standin_launch(#kernel, true, kernel, dim3(grid), dim3(block), stream, __VA_ARGS__))

#endif
