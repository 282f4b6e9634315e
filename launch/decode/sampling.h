/*
 * Which token comes next, by its logits.
 *
 *     p = softmax(logits / temperature), of the top_k likeliest tokens alone, and of these the fewest whose sum is
 *     top_p or more; the token is drawn by number `place` of a stream of the seed
 *
 * so a text is a function of weights, prompt and seed.  Equally likely tokens are in the order of their numbers.
 * Source: Holtzman et al., "The curious case of neural text degeneration", 2020, arXiv:1904.09751 (top_p).
 */
#ifndef LK_SAMPLING_H
#define LK_SAMPLING_H

#include "engine/base/base.h"

typedef struct sampling_spec {
    double temperature;    /* 0: the likeliest */
    int64_t top_k;         /* 0: all */
    double top_p;          /* in (0, 1]; 1: all */
    uint64_t seed;
} sampling_spec;

typedef struct sampler sampler;

/* Of n_tokens logits a time.  Errors: LK_ERR_SYSTEM. */
lk_status sampler_new(const sampling_spec *spec, size_t n_tokens, sampler **out);
void      sampler_free(sampler **s);
int32_t   sampler_draw(sampler *s, const float *logits, int64_t place);

#endif
