/*
 * Sums and maxima along a row in an order of our own.  Private to engine/cpu/.
 *
 * The compiler may not reorder a plain float sum, and one that it may reorder would depend on how it vectorises.  So
 * element c of a row goes to partial sum c % CPU_PARTIALS, and the partial sums go down a fixed tree.
 *
 * gcc unrolls loops of up to 16 steps before it looks for vectors, and then finds none.  So CPU_PARTIALS is 32, and the
 * tree's shorter loops say `omp simd`, which here only postpones the unrolling.
 */
#ifndef LK_CPU_PARTIALS_H
#define LK_CPU_PARTIALS_H

#include "engine/cpu/bf16.h"

enum { CPU_PARTIALS = 32 };

/* Result of combining the first quarter of the lanes pairwise, at distance 4, 2, 1. */
#define CPU_FOLD_QUARTER(q, combine)                                                                      \
    combine(combine(combine(q[0], q[4]), combine(q[2], q[6])), combine(combine(q[1], q[5]), combine(q[3], q[7])))

/* Of the first half, its two quarters first. */
#define CPU_FOLD_HALF(type, half, combine)                                                                \
    type fold_b[CPU_PARTIALS / 4];                                                                        \
    _Pragma("omp simd")                                                                                   \
    for (size_t k = 0; k < CPU_PARTIALS / 4; k++) fold_b[k] = combine(half[k], half[k + CPU_PARTIALS / 4]); \
    return CPU_FOLD_QUARTER(fold_b, combine)

/* And of all, the two halves first. */
#define CPU_FOLD(type, lane, combine)                                                                     \
    type fold_a[CPU_PARTIALS / 2];                                                                        \
    _Pragma("omp simd")                                                                                   \
    for (size_t k = 0; k < CPU_PARTIALS / 2; k++) fold_a[k] = combine(lane[k], lane[k + CPU_PARTIALS / 2]); \
    CPU_FOLD_HALF(type, fold_a, combine)

#define CPU_PLUS(a, b) ((a) + (b))
/* The larger; a where either is NaN. */
#define CPU_LARGER(a, b) ((b) > (a) ? (b) : (a))

CPU_INLINE float cpu_add_partials(const float lane[CPU_PARTIALS]) { CPU_FOLD(float, lane, CPU_PLUS); }
CPU_INLINE double cpu_add_partials_f64(const double lane[CPU_PARTIALS]) { CPU_FOLD(double, lane, CPU_PLUS); }
CPU_INLINE float cpu_max_partials(const float lane[CPU_PARTIALS]) { CPU_FOLD(float, lane, CPU_LARGER); }

/* Where the second half of the lanes is 0, or -infinity: the same bits. */
CPU_INLINE float cpu_add_half(const float half[CPU_PARTIALS / 2]) { CPU_FOLD_HALF(float, half, CPU_PLUS); }
CPU_INLINE float cpu_max_half(const float half[CPU_PARTIALS / 2]) { CPU_FOLD_HALF(float, half, CPU_LARGER); }
/* And where the second quarter is too. */
CPU_INLINE float cpu_add_quarter(const float q[CPU_PARTIALS / 4]) { return CPU_FOLD_QUARTER(q, CPU_PLUS); }
CPU_INLINE float cpu_max_quarter(const float q[CPU_PARTIALS / 4]) { return CPU_FOLD_QUARTER(q, CPU_LARGER); }

#endif
