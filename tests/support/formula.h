/*
 * Numbers that PyTorch's side of a golden test and ours compute instead of storing them; what they are says
 * tests/golden/formula.py, the other half.
 */
#ifndef FORMULA_H
#define FORMULA_H

#include <stdint.h>
#include <string.h>

#include "engine/engine.h"

static inline uint32_t formula_word(const char *name, size_t i)
{
    uint32_t h = 2166136261u;

    for (; *name; name++) h = (h ^ (uint8_t)*name) * 16777619u;
    h ^= (uint32_t)i * 0x9E3779B1u;
    h = (h ^ h >> 16) * 0x85EBCA6Bu;
    h = (h ^ h >> 13) * 0xC2B2AE35u;
    return h ^ h >> 16;
}

static inline float formula_unit(const char *name, size_t i)
{
    return (float)(formula_word(name, i) >> 8) * 0x1p-24f - 0.5f;
}

static inline double formula_sign(const char *name, size_t i) { return formula_word(name, i) >> 31 ? -1.0 : 1.0; }

static inline bool formula_ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);

    return n >= m && strcmp(text + n - m, end) == 0;
}

/* First values of a model's tensor. */
static inline void formula_fill(const lk_tensor_info *info, float *w)
{
    const bool near_1 = formula_ends_with(info->name, "weight") || formula_ends_with(info->name, "running_var");
    float scale = 4.0f, offset = 0.0f;

    if (info->ndim < 2) {
        offset = near_1 ? 1.0f : 0.0f;
        scale = near_1 ? 0.5f : 0.25f;
    } else {
        const float fan_in = (float)(info->n_elem / (size_t)info->shape[0]);
        while (scale * scale * fan_in > 12.0f) scale /= 2.0f;
    }
    for (size_t i = 0; i < info->n_elem; i++) w[i] = offset + scale * formula_unit(info->name, i);
}

#endif
