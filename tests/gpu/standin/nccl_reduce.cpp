/*
 * Reductions as a ring makes them: a slice of the array starts at one rank and goes round, so the order of a sum is
 * another in each slice, and none is the order of Lockstep's tree.
 */
#include "tests/gpu/standin/nccl_reduce.h"

#include "tests/gpu/standin/libraries.h"

namespace standin {

size_t nccl_size(ncclDataType_t type)
{
    switch (type) {
    case ncclInt8: case ncclUint8: case ncclFloat8e4m3: case ncclFloat8e5m2: return 1;
    case ncclFloat16: case ncclBfloat16: return 2;
    case ncclInt32: case ncclUint32: case ncclFloat32: return 4;
    case ncclInt64: case ncclUint64: case ncclFloat64: return 8;
    default: return 0;
    }
}

bool nccl_reduces(ncclDataType_t type, ncclRedOp_t op)
{
    return op < ncclNumOps && (type == ncclFloat32 || type == ncclFloat64 || type == ncclInt32 || type == ncclInt64 ||
                               type == ncclUint64 || type == ncclUint8 || type == ncclBfloat16);
}

template <typename T> static T combine(ncclRedOp_t op, T a, T b)
{
    switch (op) {
    case ncclProd: return (T)(a * b);
    case ncclMax: return a > b ? a : b;
    case ncclMin: return a < b ? a : b;
    default: return (T)(a + b);
    }
}

template <typename T>
static void reduce(ncclRedOp_t op, void *out, const void *const *from, int n_ranks, int first, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++) {
        T value = ((const T *)from[first])[i];
        for (int step = 1; step < n_ranks; step++)
            value = combine(op, value, ((const T *)from[(first + step) % n_ranks])[i]);
        ((T *)out)[i] = op == ncclAvg ? (T)(value / (T)n_ranks) : value;
    }
}

/* Rounded at each rank it passes. */
static void reduce_bf16(ncclRedOp_t op, void *out, const void *const *from, int n_ranks, int first, size_t begin,
                        size_t end)
{
    for (size_t i = begin; i < end; i++) {
        float value = load(from[first], i, true);
        for (int step = 1; step < n_ranks; step++)
            value = of_bf16(to_bf16(combine(op, value, load(from[(first + step) % n_ranks], i, true))));
        store(out, i, op == ncclAvg ? value / (float)n_ranks : value, true);
    }
}

void nccl_reduce(ncclDataType_t type, ncclRedOp_t op, void *out, const void *const *from, int n_ranks, int first,
                 size_t begin, size_t end)
{
    switch (type) {
    case ncclFloat32: return reduce<float>(op, out, from, n_ranks, first, begin, end);
    case ncclFloat64: return reduce<double>(op, out, from, n_ranks, first, begin, end);
    case ncclInt32: return reduce<int32_t>(op, out, from, n_ranks, first, begin, end);
    case ncclInt64: return reduce<int64_t>(op, out, from, n_ranks, first, begin, end);
    case ncclUint64: return reduce<uint64_t>(op, out, from, n_ranks, first, begin, end);
    case ncclUint8: return reduce<uint8_t>(op, out, from, n_ranks, first, begin, end);
    case ncclBfloat16: return reduce_bf16(op, out, from, n_ranks, first, begin, end);
    default: return;
    }
}

} // namespace standin
