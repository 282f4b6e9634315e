/* Products of small fp32 matrices, where a library's call costs more than the arithmetic.  Private to engine/cpu/. */
#ifndef LK_SMALL_GEMM_H
#define LK_SMALL_GEMM_H

#include <stddef.h>

/* A matrix in memory: element (r, c) is at[r * row + c * col]. */
typedef struct small_matrix {
    const float *at;
    size_t row, col;
} small_matrix;

/* c (m, n) = a (m, k) * b (k, n) + bias (n).
 *
 *   a     any strides, so a transposed matrix needs no copy
 *   b, c  rows contiguous, ldb and ldc elements apart
 *   bias  NULL for none
 *
 * Every element is summed over k = 0, 1, 2, ... from the bias on, whatever m and n are. */
void small_gemm(float *c, size_t ldc, small_matrix a, const float *b, size_t ldb, const float *bias, size_t m, size_t n,
                size_t k);

/* t (cols, rows) = the transpose of w (rows, cols). */
void small_transpose(float *t, const float *w, size_t rows, size_t cols);

#endif
