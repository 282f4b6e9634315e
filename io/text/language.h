/* Texts as tokens, and how good a translation is.  Everything here is Local. */
#ifndef LK_LANGUAGE_H
#define LK_LANGUAGE_H

#include "engine/engine.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --------------------------------------------------------------------- tokens */

/* What reading texts came to. */
typedef struct lk_tokenized { int64_t n_bytes, n_tokens; } lk_tokenized;
/* Writes texts to a file of tokens, each behind an <|endoftext|>, by a list of merges (GPT-2's vocab.bpe).  n_bytes: of
 * the texts.  Errors: LK_ERR_DATA with file and line, LK_ERR_SYSTEM. */
lk_status lk_tokenize(const char *merges, const char *const *texts, size_t n_texts, const char *out,
                      lk_tokenized *result);
/* Learns a list of merges of n_tokens tokens (256 to 65535: bytes among them, special ones not) and writes it as
 * GPT-2's vocab.bpe.  pairs: the texts are of data.kind pairs, whose sentences are learned as they are read by default.
 * n_tokens: how many there are, fewer where no pair of tokens is left that stands there twice. */
lk_status lk_learn_merges(const char *const *texts, size_t n_texts, bool pairs, int64_t n_tokens, const char *out,
                          lk_tokenized *result);

/* ----------------------------------------------------------------------- BLEU */

/* Of a corpus: what its sentences add up to; begins with zeros. */
enum { LK_BLEU_ORDER = 4 };
typedef struct lk_bleu {
    int64_t n_words, n_reference;    /* of the translations, of the references */
    int64_t runs[LK_BLEU_ORDER];     /* of 1 to 4 words of the translations */
    int64_t matches[LK_BLEU_ORDER];  /* of them, those that their references have */
} lk_bleu;

/* Adds a sentence, by sacreBLEU's words (13a).  Errors: LK_ERR_DATA (it is not UTF-8). */
lk_status lk_bleu_add(lk_bleu *sums, const char *translation, const char *reference);
/* 0 to 100: sacreBLEU's corpus BLEU-4. */
double    lk_bleu_score(const lk_bleu *sums);
/* 0 to 1: the textbook's BLEU-k of a sentence, whose words stand between blanks. */
lk_status lk_bleu_textbook(const char *translation, const char *reference, int k, double *out);

#ifdef __cplusplus
}
#endif
#endif
