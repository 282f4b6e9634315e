/*
 * A text that a network goes on with, a token at a time.
 *
 * What has been read is in the cache, so a token costs one position.  Behind the last position that the network knows
 * it goes on from the second half of what it has read: that is read once more, from position 0 on.
 */
#ifndef LK_GENERATE_H
#define LK_GENERATE_H

#include "launch/decode/decoder.h"
#include "launch/decode/sampling.h"

typedef struct generate_spec {
    sampling_spec sampling;
    const int32_t *prompt; /* (n_prompt), at least one */
    int64_t n_prompt;
    size_t n_values;       /* tokens are below it; the network may have more */
    int64_t n_tokens;      /* how many are made, unless `end` comes first */
    int32_t end;           /* the token that ends a text, which is not put; -1: there is none */
    lk_status (*put)(void *arg, int32_t token);
    void *arg;
} generate_spec;

/* d: of one row, new, with room for the prompt. */
lk_status generate(decoder *d, const generate_spec *spec);

#endif
