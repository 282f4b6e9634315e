/* Rounding and packing: loops that compilers vectorise. */
#include "dist/reduce/bf16.h"

#include <string.h>

enum { SHIFT = 16 };
static const uint32_t INFINITE = 0x7f800000u, QUIET = 0x00400000u, UPPER = 0xffff0000u, HALF = 0x7fffu;

static uint32_t bits_of(float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

static float round_one(float value)
{
    const uint32_t bits = bits_of(value);
    const uint32_t nearest = bits + HALF + (bits >> SHIFT & 1);
    const uint32_t nan = bits | QUIET; /* the bits that go may be all that made it one */

    return float_of(((bits & ~(UINT32_C(1) << 31)) > INFINITE ? nan : nearest) & UPPER);
}

void lk_bf16_round(float *values, size_t n)
{
    for (size_t i = 0; i < n; i++) values[i] = round_one(values[i]);
}

void lk_bf16_pack(uint16_t *into, const float *from, size_t n)
{
    for (size_t i = 0; i < n; i++) into[i] = (uint16_t)(bits_of(from[i]) >> SHIFT);
}

void lk_bf16_unpack(float *into, const uint16_t *from, size_t n)
{
    for (size_t i = 0; i < n; i++) into[i] = float_of((uint32_t)from[i] << SHIFT);
}
