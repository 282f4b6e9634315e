/* Floats as bf16: the upper 16 of their 32 bits.  Everything here is Local. */
#ifndef LK_DIST_BF16_H
#define LK_DIST_BF16_H

#include <stddef.h>
#include <stdint.h>

/* To the nearest that bf16 has, ties to even; what is not finite stays so. */
void lk_bf16_round(float *values, size_t n);
/* What was rounded before, to and from 16 bits: exact. */
void lk_bf16_pack(uint16_t *into, const float *from, size_t n);
void lk_bf16_unpack(float *into, const uint16_t *from, size_t n);

#endif
