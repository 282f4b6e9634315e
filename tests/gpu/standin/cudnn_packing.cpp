/* Tensors and filters of any layout and type as packed fp32 arrays, and back. */
#include "tests/gpu/standin/cudnn_rules.h"
#include "tests/gpu/standin/libraries.h"

namespace standin {

std::vector<float> pack(const cudnnTensorStruct &t, const void *at, bool tf32)
{
    const bool bf16 = t.type == CUDNN_DATA_BFLOAT16;
    std::vector<float> out(t.n_elem());
    size_t i = 0;

    for (int n = 0; n < t.n; n++)
        for (int h = 0; h < t.h; h++)
            for (int w = 0; w < t.w; w++)
                for (int c = 0; c < t.c; c++, i++) {
                    const float value = load(at, t.index(n, c, h, w), bf16);
                    out[i] = tf32 ? to_tf32(value) : value;
                }
    return out;
}

/* Where element (k, r, s, c) of a filter lies. */
static size_t filter_index(const cudnnFilterStruct &f, int k, int r, int s, int c)
{
    return f.format == CUDNN_TENSOR_NHWC ? (((size_t)k * f.h + r) * f.w + s) * f.c + c
                                         : (((size_t)k * f.c + c) * f.h + r) * f.w + s;
}

std::vector<float> pack(const cudnnFilterStruct &f, const void *at, bool tf32)
{
    const bool bf16 = f.type == CUDNN_DATA_BFLOAT16;
    std::vector<float> out(f.n_elem());
    size_t i = 0;

    for (int k = 0; k < f.k; k++)
        for (int r = 0; r < f.h; r++)
            for (int s = 0; s < f.w; s++)
                for (int c = 0; c < f.c; c++, i++) {
                    const float value = load(at, filter_index(f, k, r, s, c), bf16);
                    out[i] = tf32 ? to_tf32(value) : value;
                }
    return out;
}

static void blend(void *at, size_t i, float value, float alpha, float beta, bool bf16)
{
    float result = alpha * value;

    if (beta != 0.0f) result += beta * load(at, i, bf16);
    store(at, i, result, bf16);
}

void unpack(const cudnnTensorStruct &t, void *at, const std::vector<float> &values, float alpha, float beta)
{
    size_t i = 0;

    for (int n = 0; n < t.n; n++)
        for (int h = 0; h < t.h; h++)
            for (int w = 0; w < t.w; w++)
                for (int c = 0; c < t.c; c++, i++)
                    blend(at, t.index(n, c, h, w), values[i], alpha, beta, t.type == CUDNN_DATA_BFLOAT16);
}

void unpack(const cudnnFilterStruct &f, void *at, const std::vector<float> &values, float alpha, float beta)
{
    size_t i = 0;

    for (int k = 0; k < f.k; k++)
        for (int r = 0; r < f.h; r++)
            for (int s = 0; s < f.w; s++)
                for (int c = 0; c < f.c; c++, i++)
                    blend(at, filter_index(f, k, r, s, c), values[i], alpha, beta, f.type == CUDNN_DATA_BFLOAT16);
}

} // namespace standin
