/*
 * What a network with an encoder says of sentences: the likeliest words one by one, or a beam of several beginnings.
 *
 *     score = sum of log p of a translation's tokens, <eos> among them / (their number)^length_penalty
 *
 * with length_penalty 0 the log probability itself, with 1 its mean; larger prefers longer translations.
 * Source: Zhang, Lipton, Li and Smola, Dive into Deep Learning, Beam Search (which suggests 0.75).
 */
#ifndef LK_SEARCH_H
#define LK_SEARCH_H

#include "launch/decode/decoder.h"

/* One sentence, as numbers. */
typedef struct sentence {
    int32_t *source;       /* (n_source), owned: its words and <eos> */
    int64_t n_source;
    int32_t *said;         /* (n_said), owned: the translation's words without <eos>; NULL before */
    int64_t n_said;
} sentence;

typedef struct search_spec {
    int64_t beam;          /* beginnings kept of a sentence, >= 1; 1: the likeliest word each time */
    double length_penalty;
    int32_t bos, eos, pad; /* the tokens that begin and end a translation, and fill up a source */
} search_spec;

/* n sentences, at most decoder_rows() / beam, none longer than `length`, to which sources are filled up; a translation
 * ends with eos, or with `most` tokens.  Sets what they say. */
lk_status search(decoder *d, const search_spec *spec, sentence *const *sentences, int64_t n, int64_t length,
                 int64_t most);

#endif
