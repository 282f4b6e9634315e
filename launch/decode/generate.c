/* Reading in pieces, drawing, and what is read again when there is no more room. */
#include "launch/decode/generate.h"

#include <stdlib.h>
#include <string.h>

enum { PIECE = 64 }; /* positions that are read at a time: their logits stay small, whatever the vocabulary */

typedef struct text {
    decoder *d;
    int32_t *read;         /* (decoder_capacity()), owned: the last tokens, those of the cache */
    int64_t n_read;
    const float *logits;   /* borrowed: of what comes behind them */
} text;

/* Tokens into the cache, behind those that are there. */
static lk_status read(text *t, const int32_t *tokens, int64_t n)
{
    const size_t n_logits = decoder_n_tokens(t->d);

    for (int64_t done = 0; done < n;) {
        const int64_t piece = n - done < PIECE ? n - done : PIECE;

        LK_TRY(decoder_step(t->d, tokens + done, piece, &t->logits));
        t->logits += (size_t)(piece - 1) * n_logits;
        done += piece;
    }
    memmove(t->read + t->n_read, tokens, (size_t)n * sizeof *tokens);
    t->n_read += n;
    return LK_OK;
}

/* Room for at least one more. */
static lk_status read_second_half_again(text *t)
{
    const int64_t capacity = decoder_capacity(t->d), half = capacity / 2;

    memmove(t->read, t->read + t->n_read - half, (size_t)half * sizeof *t->read);
    t->n_read = 0;
    decoder_restart(t->d);
    return half > 0 ? read(t, t->read, half) : LK_OK;
}

static lk_status go_on(text *t, const generate_spec *spec)
{
    sampler *s;

    LK_TRY(sampler_new(&spec->sampling, spec->n_values, &s));
    lk_status status = LK_OK;
    for (int64_t i = 0; i < spec->n_tokens && status == LK_OK; i++) {
        const int32_t token = sampler_draw(s, t->logits, i);

        if (token == spec->end) break;
        status = spec->put(spec->arg, token);
        if (status != LK_OK || i + 1 == spec->n_tokens) break;
        if (t->n_read == decoder_capacity(t->d)) status = read_second_half_again(t);
        if (status == LK_OK) status = read(t, &token, 1);
    }
    sampler_free(&s);
    return status;
}

lk_status generate(decoder *d, const generate_spec *spec)
{
    const int64_t capacity = decoder_capacity(d);
    text t = {.d = d, .read = calloc((size_t)capacity, sizeof *t.read)};

    LK_TRY_ALLOC(t.read, (size_t)capacity * sizeof *t.read);
    lk_status status = read(&t, spec->prompt, spec->n_prompt);
    if (status == LK_OK) status = go_on(&t, spec);
    free(t.read);
    return status;
}
