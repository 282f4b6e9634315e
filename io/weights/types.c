/* The types of a safetensors file's elements, and how those that are weights become fp32. */
#include <math.h>
#include <string.h>

#include "io/weights/safetensors.h"

/* Half precision: 1 bit of sign, 5 of exponent, 10 of fraction.  Every such number is one of fp32's. */
static float from_half(uint16_t half)
{
    const uint32_t sign = (uint32_t)(half >> 15) << 31, exponent = half >> 10 & 0x1f, fraction = half & 0x3ff;
    const float smallest = 0x1p-24f; /* of the subnormal ones, which count in it */
    uint32_t bits;
    float out;

    if (exponent == 0) return copysignf((float)fraction * smallest, sign ? -1.0f : 1.0f);
    bits = sign | (exponent == 0x1f ? 0xffu : exponent + 127 - 15) << 23 | fraction << 13;
    memcpy(&out, &bits, sizeof out);
    return out;
}

static void convert_f16(const unsigned char *from, size_t n_elem, float *to)
{
    for (size_t i = 0; i < n_elem; i++) {
        uint16_t half;

        memcpy(&half, from + i * sizeof half, sizeof half);
        to[i] = from_half(half);
    }
}

/* The upper half of an fp32 number. */
static void convert_bf16(const unsigned char *from, size_t n_elem, float *to)
{
    for (size_t i = 0; i < n_elem; i++) {
        uint16_t upper;

        memcpy(&upper, from + i * sizeof upper, sizeof upper);
        const uint32_t bits = (uint32_t)upper << 16;
        memcpy(&to[i], &bits, sizeof bits);
    }
}

static void convert_f32(const unsigned char *from, size_t n_elem, float *to) { memcpy(to, from, n_elem * sizeof *to); }

/* Rounded to the nearest. */
static void convert_f64(const unsigned char *from, size_t n_elem, float *to)
{
    for (size_t i = 0; i < n_elem; i++) {
        double number;

        memcpy(&number, from + i * sizeof number, sizeof number);
        to[i] = (float)number;
    }
}

static const lk_safe_type types[] = {
    {"F32", 4, convert_f32}, {"F16", 2, convert_f16}, {"BF16", 2, convert_bf16}, {"F64", 8, convert_f64},
    {"I64", 8, NULL},        {"I32", 4, NULL},        {"I16", 2, NULL},          {"I8", 1, NULL},
    {"U64", 8, NULL},        {"U32", 4, NULL},        {"U16", 2, NULL},          {"U8", 1, NULL},
    {"BOOL", 1, NULL},       {"F8_E4M3", 1, NULL},    {"F8_E5M2", 1, NULL},
};

const lk_safe_type *lk_safe_type_find(const char *word)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].word, word) == 0) return &types[i];
    return NULL;
}
