/*
 * Decoding with a cache: so many sequences at once, one token more of each at every step, under given weights.
 *
 * A network with an encoder reads `source` and `source_len`, and the decoder's tokens as `target_in`:
 *
 *     decoder_new(engine, &weights, rows, capacity, &d)
 *     decoder_encode(d, source, source_len, L)       once for each new set of sentences; positions begin at 0 again
 *     decoder_step(d, tokens, 1, &logits)            tokens <bos>; then those chosen from the logits; and so on
 *     decoder_reorder(d, from)                       between steps, where rows go on as copies of others: beams
 *
 * A network that only decodes reads `tokens`; its prompt is the first step, as long as it is:
 *
 *     decoder_new(engine, &weights, rows, capacity, &d)
 *     decoder_restart(d)                             before a second text: positions begin at 0 again
 *     decoder_step(d, prompt, P, &logits)            the logits of the prompt's last position choose the first token
 *     decoder_step(d, tokens, 1, &logits)            and so on, up to decoder_capacity(d) positions in all
 *
 * What the network keeps is its own affair (lk_layer_append()).  A row's logits depend on that row's tokens, on rows,
 * capacity and the lengths of the calls, and on nothing of the other rows; so whoever keeps these numbers the same
 * gets the same bits whatever else is decoded beside a sequence.  A long prompt may come in pieces, whose logits take
 * less memory; pieces are lengths.
 */
#ifndef LK_DECODER_H
#define LK_DECODER_H

#include "engine/engine.h"

/* What is decoded under; borrowed, for as long as they are in use. */
typedef struct decoder_weights {
    const float *params; /* engine memory */
    uint64_t version;    /* as lk_lane.params_version */
} decoder_weights;

typedef struct decoder decoder;

/* engine and model are borrowed; capacity: positions of a source, and of what is decoded.  Errors: LK_ERR_USAGE (the
 * network reads no such tokens, or keeps nothing to decode with), LK_ERR_SYSTEM. */
lk_status decoder_new(lk_engine *engine, const lk_model *model, const decoder_weights *weights, int64_t rows,
                      int64_t capacity, decoder **out);
void      decoder_free(decoder **d);
int64_t   decoder_rows(const decoder *d);
int64_t   decoder_capacity(const decoder *d);
int64_t   decoder_position(const decoder *d); /* of the next token; 0: none has been read */
size_t    decoder_nbytes(const decoder *d);   /* of its cache */
size_t    decoder_n_tokens(const decoder *d); /* V: logits of a position */

/* Compiles what sources of this length need (0: there is no encoder), so that no later call has to. */
lk_status decoder_compile(decoder *d, int64_t length);
/* source: (rows, length), row r filled up behind its source_len[r] >= 1 tokens. */
lk_status decoder_encode(decoder *d, const int32_t *source, const int32_t *source_len, int64_t length);
/* The cache is as new: what is decoded next begins. */
void      decoder_restart(decoder *d);
/* tokens: (rows, length), the next of each row.  *logits: (rows, length, V), good until the next call.  Errors:
 * LK_ERR_USAGE (no room for so many more positions). */
lk_status decoder_step(decoder *d, const int32_t *tokens, int64_t length, const float **logits);
/* Row r goes on as a copy of row from[r]. */
lk_status decoder_reorder(decoder *d, const int64_t *from);

#endif
