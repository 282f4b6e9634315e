/*
 * Products of small matrices by blocks of c that stay in registers.
 *
 * A block is ROWS x WIDTH elements of c: for each k one row of b is loaded once and multiplied by ROWS values of a.
 * Eight rows of one vector keep enough sums in flight to hide the latency of an FMA and leave registers over.  What
 * the blocks leave at the right is done by narrower ones, at the bottom by lower ones; block() is one inline function
 * and the compiler makes a loop of vector instructions for each size.
 *
 * One element is one chain of fused multiply-adds in the order of k, in every size of block, so a result does not
 * depend on where its block lies.
 */
#include "engine/cpu/small_gemm.h"

#include <math.h>

/* clang never defines C's own macro; where the processor has the instruction, its builds shall have the bits of
 * gcc's. */
#if defined FP_FAST_FMAF || defined __FMA__ || defined __ARM_FEATURE_FMA
#define MULTIPLY_ADD(a, b, c) __builtin_fmaf((a), (b), (c))
#else
#define MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))
#endif

enum { ROWS = 8, STRIP = 16 };

/* c, a, b and bias point at the block's first element, first row, first column. */
static inline __attribute__((always_inline)) void block(float *restrict c, size_t ldc, small_matrix a,
                                                        const float *restrict b, size_t ldb,
                                                        const float *restrict bias, size_t k, const int rows,
                                                        const int width)
{
    float sum[ROWS][16];

    for (int r = 0; r < rows; r++)
        for (int j = 0; j < width; j++) sum[r][j] = bias ? bias[j] : 0.0f;
    for (size_t i = 0; i < k; i++) {
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            const float ar = a.at[(size_t)r * a.row + i * a.col];
            for (int j = 0; j < width; j++) sum[r][j] = MULTIPLY_ADD(ar, b[i * ldb + (size_t)j], sum[r][j]);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
        for (int j = 0; j < width; j++) c[(size_t)r * ldc + (size_t)j] = sum[r][j];
}

/* Blocks of `rows` rows while m has so many. */
#define BLOCKS(rows, width)                                                                                     \
    for (; m >= (rows); m -= (rows), c += (rows) * ldc, a.at += (rows) * a.row)                                 \
        block(c, ldc, a, b, ldb, bias, k, (rows), (width))

/* `width` columns of c, all m rows. */
#define COLUMNS(width)                                                                                          \
    static void columns_##width(float *c, size_t ldc, small_matrix a, const float *b, size_t ldb,               \
                                const float *bias, size_t m, size_t k)                                          \
    {                                                                                                           \
        BLOCKS(ROWS, width);                                                                                    \
        BLOCKS(ROWS / 2, width);                                                                                \
        BLOCKS(ROWS / 4, width);                                                                                \
        BLOCKS(1, width);                                                                                       \
    }
#ifdef __AVX512F__
COLUMNS(16)
#endif
COLUMNS(8)
COLUMNS(4)
COLUMNS(2)
COLUMNS(1)

typedef void columns_fn(float *c, size_t ldc, small_matrix a, const float *b, size_t ldb, const float *bias, size_t m,
                        size_t k);

/* Widest first; the widest is one vector of the machine. */
static const struct { size_t width; columns_fn *columns; } sizes[] = {
#ifdef __AVX512F__
    {16, columns_16},
#endif
    {8, columns_8}, {4, columns_4}, {2, columns_2}, {1, columns_1},
};

void small_transpose(float *restrict t, const float *restrict w, size_t rows, size_t cols)
{
    /* Strips of as many rows as a cache line of t holds, so that each line is written at once. */
    for (size_t r0 = 0; r0 < rows; r0 += STRIP) {
        const size_t n = rows - r0 < STRIP ? rows - r0 : STRIP;

        for (size_t c = 0; c < cols; c++)
            for (size_t r = r0; r < r0 + n; r++) t[c * rows + r] = w[r * cols + c];
    }
}

void small_gemm(float *c, size_t ldc, small_matrix a, const float *b, size_t ldb, const float *bias, size_t m, size_t n,
                size_t k)
{
    size_t j = 0;

    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (; n - j >= sizes[s].width; j += sizes[s].width)
            sizes[s].columns(c + j, ldc, a, b + j, ldb, bias ? bias + j : NULL, m, k);
}
