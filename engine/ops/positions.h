/* The sinusoids that positions add where no table is learned: every backend has the same numbers. */
#ifndef LK_POSITIONS_H
#define LK_POSITIONS_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* p (rows, C): P of engine/ops/embedding.c, each rounded to fp32 once. */
void lk_fill_sinusoids(float *p, size_t rows, size_t C);

#ifdef __cplusplus
}
#endif
#endif
