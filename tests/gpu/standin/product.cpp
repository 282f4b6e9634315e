/*
 * Matrix products with the epilogues of cuBLASLt, on the host.
 *
 *     acc[i,j] = sum_l op(A)[i,l] op(B)[l,j]       l ascending, fp32, in pieces; factors rounded to 10 bits under TF32
 *     v[i,j]   = alpha acc[i,j] + beta C[i,j]      C is not read where beta is 0
 *     D[i,j]   = the epilogue of v[i,j], rounded once to the type of D
 *
 * ReLU is v > 0 ? v : 0, so it turns NaN into 0, as cuBLASLt does.  GELU is the form with tanh.  A mask of ReLU is one bit
 * an element, bit i + j * ld.  A gradient of a bias is the plain sum of its matrix: rows of op(A), columns of op(B), or
 * rows of what is stored in D before it is rounded.
 *
 * Not like the device: the order of sums, which there depends on the algorithm.
 */
#include "tests/gpu/standin/product.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace standin {

static const size_t ROWS_AT_ONCE = 512, COLS_AT_ONCE = 4, SUM_AT_ONCE = 1024;
static const float sqrt_2_over_pi = 0.7978845608f, cubic = 0.044715f;

/* op(M), (rows, cols), column after column: the innermost loop of multiply() runs along memory. */
static std::vector<float> gather(const matrix &M, bool transposed, const void *at, size_t offset, size_t rows,
                                 size_t cols, bool tf32)
{
    std::vector<float> into(rows * cols);

    for (size_t j = 0; j < cols; j++)
        for (size_t i = 0; i < rows; i++) {
            const float value = load(at, offset + (transposed ? M.index(j, i) : M.index(i, j)), M.bf16);
            into[j * rows + i] = tf32 ? to_tf32(value) : value;
        }
    return into;
}

/* acc += a b over l in [first, last) for a block of acc: (n, m); a: (k, m); b: (n, k). */
static void add_block(float *acc, const float *a, const float *b, size_t m, size_t k, size_t rows, size_t cols,
                      size_t first, size_t last)
{
    float sum[COLS_AT_ONCE][ROWS_AT_ONCE] = {};

    for (size_t l = first; l < last; l++)
        for (size_t j = 0; j < cols; j++) {
            const float factor = b[j * k + l], *column = a + l * m;
            for (size_t i = 0; i < rows; i++) sum[j][i] += column[i] * factor;
        }
    for (size_t j = 0; j < cols; j++)
        for (size_t i = 0; i < rows; i++) acc[j * m + i] += sum[j][i];
}

static void multiply(float *acc, const float *a, const float *b, size_t m, size_t n, size_t k)
{
    for (size_t j = 0; j < n; j += COLS_AT_ONCE)
        for (size_t i = 0; i < m; i += ROWS_AT_ONCE)
            for (size_t l = 0; l < k; l += SUM_AT_ONCE)
                add_block(acc + j * m + i, a + i, b + j * k, m, k, std::min(m - i, ROWS_AT_ONCE),
                          std::min(n - j, COLS_AT_ONCE), l, std::min(k, l + SUM_AT_ONCE));
}

/* --------------------------------------------------------------- epilogues */

static float gelu(float x) { return 0.5f * x * (1.0f + tanhf(sqrt_2_over_pi * (x + cubic * x * x * x))); }

static float gelu_slope(float x)
{
    const float t = tanhf(sqrt_2_over_pi * (x + cubic * x * x * x));

    return 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * sqrt_2_over_pi * (1.0f + 3.0f * cubic * x * x);
}

static bool mask_at(const void *mask, size_t bit) { return ((const uint8_t *)mask)[bit / 8] >> bit % 8 & 1; }

static void set_mask(void *mask, size_t bit, bool on)
{
    uint8_t *byte = (uint8_t *)mask + bit / 8;

    *byte = (uint8_t)((*byte & ~(1u << bit % 8)) | (unsigned)on << bit % 8);
}

/* One element, bias already added. */
static float finish(const product &p, float v, void *aux, size_t at)
{
    switch (p.epilogue & ~(uint32_t)(CUBLASLT_EPILOGUE_BIAS | EPILOGUE_BGRAD)) {
    case CUBLASLT_EPILOGUE_RELU_AUX: set_mask(aux, at, v > 0); return v > 0 ? v : 0.0f;
    case CUBLASLT_EPILOGUE_RELU: return v > 0 ? v : 0.0f;
    case CUBLASLT_EPILOGUE_DRELU: return mask_at(aux, at) ? v : 0.0f;
    case CUBLASLT_EPILOGUE_GELU_AUX: store(aux, at, v, p.D.bf16); return gelu(v);
    case CUBLASLT_EPILOGUE_GELU: return gelu(v);
    case CUBLASLT_EPILOGUE_DGELU: return v * gelu_slope(load(aux, at, p.D.bf16));
    }
    return v;
}

/* The gradient of a bias from an operand of the product: the sum over l of matrix[l * step + i * stride]. */
static void sum_operand(const product &p, const std::vector<float> &matrix, size_t n_sums, size_t stride, size_t step,
                        void *bias, size_t offset)
{
    for (size_t i = 0; i < n_sums; i++) {
        float sum = 0.0f;
        for (size_t l = 0; l < p.k; l++) sum += matrix[i * stride + l * step];
        store(bias, offset + i, sum, p.D.bf16);
    }
}

static void run_one(const product &p, const operands &at, size_t b, float alpha, float beta)
{
    const std::vector<float> A = gather(p.A, p.trans_a, at.A, b * p.A.batch_stride, p.m, p.k, p.tf32);
    const std::vector<float> B = gather(p.B, p.trans_b, at.B, b * p.B.batch_stride, p.k, p.n, p.tf32);
    const bool biased = p.epilogue & CUBLASLT_EPILOGUE_BIAS, sums_rows = p.epilogue & EPILOGUE_BGRAD;
    const size_t bias = b * p.bias_stride, aux = b * p.aux_stride;
    std::vector<float> acc(p.m * p.n), row_sum(p.m);

    multiply(acc.data(), A.data(), B.data(), p.m, p.n, p.k);
    for (size_t j = 0; j < p.n; j++)
        for (size_t i = 0; i < p.m; i++) {
            float v = alpha * acc[j * p.m + i];
            if (beta != 0.0f) v += beta * load(at.C, b * p.C.batch_stride + p.C.index(i, j), p.C.bf16);
            if (biased) v += load(at.bias, bias + i, p.D.bf16);
            v = finish(p, v, at.aux, aux + j * p.aux_ld + i);
            row_sum[i] += v;
            store(at.D, b * p.D.batch_stride + p.D.index(i, j), v, p.D.bf16);
        }
    for (size_t i = 0; sums_rows && i < p.m; i++) store(at.bias, bias + i, row_sum[i], p.D.bf16);
    if (p.epilogue == CUBLASLT_EPILOGUE_BGRADA) sum_operand(p, A, p.m, 1, p.m, at.bias, bias);
    if (p.epilogue == CUBLASLT_EPILOGUE_BGRADB) sum_operand(p, B, p.n, p.k, 1, at.bias, bias);
}

void run_product(const product &p, const operands &at)
{
    const float alpha = p.scalars_on_device ? *at.alpha : at.host_alpha;
    const float beta = p.scalars_on_device ? *at.beta : at.host_beta;

    for (int32_t b = 0; b < p.batch; b++) run_one(p, at, (size_t)b, alpha, beta);
}

} // namespace standin
