/*
 * Products of small matrices by blocks of c that stay in registers.
 *
 * A block is ROWS rows of two vectors of c: for each k two vectors of b are loaded once and multiplied by ROWS values
 * of a.  That keeps enough sums in flight to hide the latency of an FMA, has more FMAs than loads, and leaves
 * registers over.  What the blocks leave at the right is done by one vector, whole or in part, at the bottom by lower
 * ones; block() is one inline function and the compiler makes a loop for each size.
 *
 * One element is one chain of fused multiply-adds in the order of k, in every size of block, so a result does not
 * depend on where its block lies.
 */
#include "engine/cpu/small_gemm.h"

#include "engine/cpu/vector.h"

/* Of registers, AVX-512 has 32, AVX2 16. */
enum { ROWS = CPU_WIDE == 16 ? 8 : 6, VECTORS = 2, STRIP = 16 };

/* c, a, b and bias point at the block's first element, first row, first column; its last vector has `last` columns. */
CPU_INLINE void block(float *restrict c, size_t ldc, small_matrix a, const float *restrict b, size_t ldb,
                      const float *restrict bias, size_t k, const int rows, const int vectors, const size_t last)
{
    cpu_vector sum[ROWS][VECTORS], bs[VECTORS];

#define WIDTH(v) ((v) + 1 < vectors ? CPU_WIDE : last)
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            sum[r][v] = bias ? cpu_vector_load(bias + v * CPU_WIDE, WIDTH(v)) : cpu_vector_all(0.0f);
    for (size_t i = 0; i < k; i++) {
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) bs[v] = cpu_vector_load(b + i * ldb + v * CPU_WIDE, WIDTH(v));
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            const cpu_vector ar = cpu_vector_all(a.at[(size_t)r * a.row + i * a.col]);
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++) sum[r][v] = cpu_vector_multiply_add(ar, bs[v], sum[r][v]);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            cpu_vector_store(c + (size_t)r * ldc + v * CPU_WIDE, sum[r][v], WIDTH(v));
#undef WIDTH
}

/* Blocks of `rows` rows while m has so many. */
#define BLOCKS(rows, vectors, last)                                                                             \
    for (; m >= (rows); m -= (rows), c += (rows) * ldc, a.at += (rows) * a.row)                                 \
        block(c, ldc, a, b, ldb, bias, k, (rows), (vectors), (last))

/* Columns of c, all m rows. */
#define COLUMNS(name, vectors, last)                                                                            \
    static void name(float *c, size_t ldc, small_matrix a, const float *b, size_t ldb, const float *bias,       \
                     size_t m, size_t k, size_t n)                                                              \
    {                                                                                                           \
        (void)n;                                                                                                \
        BLOCKS(ROWS, vectors, last);                                                                            \
        BLOCKS(4, vectors, last);                                                                               \
        BLOCKS(2, vectors, last);                                                                               \
        BLOCKS(1, vectors, last);                                                                               \
    }
COLUMNS(two_vectors, 2, CPU_WIDE)
COLUMNS(one_vector, 1, CPU_WIDE)
COLUMNS(part_of_one, 1, n)

void small_transpose(float *restrict t, const float *restrict w, size_t rows, size_t cols)
{
    const size_t whole_rows = rows - rows % CPU_TURN, whole_cols = cols - cols % CPU_TURN;

    /* Strips of as many rows as a cache line of t holds, so that each line is written at once. */
    for (size_t r0 = 0; r0 < whole_rows; r0 += STRIP)
        for (size_t c = 0; c < whole_cols; c += CPU_TURN)
            for (size_t r = r0; r < r0 + STRIP && r < whole_rows; r += CPU_TURN)
                cpu_turn(t + c * rows + r, rows, w + r * cols + c, cols);
    for (size_t r = 0; r < rows; r++)
        for (size_t c = r < whole_rows ? whole_cols : 0; c < cols; c++) t[c * rows + r] = w[r * cols + c];
}

void small_gemm(float *c, size_t ldc, small_matrix a, const float *b, size_t ldb, const float *bias, size_t m, size_t n,
                size_t k)
{
    for (size_t j = 0, width; j < n; j += width) {
        const size_t left = n - j;
        const float *bias_j = bias ? bias + j : NULL;

        width = left >= 2 * CPU_WIDE ? 2 * CPU_WIDE : left >= CPU_WIDE ? CPU_WIDE : left;
        if (width == 2 * CPU_WIDE) two_vectors(c + j, ldc, a, b + j, ldb, bias_j, m, k, width);
        else if (width == CPU_WIDE) one_vector(c + j, ldc, a, b + j, ldb, bias_j, m, k, width);
        else part_of_one(c + j, ldc, a, b + j, ldb, bias_j, m, k, width);
    }
}
