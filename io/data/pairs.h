/*
 * Pairs of sentences on their way from a file to fields: read as text, counted once it is known which of them train,
 * and numbered by the vocabularies of the training part.  Their translations stay as text beside the fields, for who
 * compares them with others.  Private to io/data.
 */
#ifndef LK_IO_PAIRS_H
#define LK_IO_PAIRS_H

#include "io/io.h"
#include "io/text/text.h"

/* Sentences of one language: words with one blank between them. */
typedef struct lk_sentences {
    char *text;            /* one behind the other, owned */
    size_t *begin;         /* (n + 1), owned */
    size_t nbytes, room;   /* of text */
} lk_sentences;

typedef struct lk_pairs {
    lk_sentences side[LK_N_LANGUAGES];
    int64_t n, room;       /* pairs, and those there is room for */
    int64_t steps;         /* words of a sentence, <eos> among them; 0: as many as it has */
    int32_t ignore_index;  /* what targets are filled up with */
    bool want_target;
} lk_pairs;

void lk_pairs_free(lk_pairs **pairs);
/* Adds a pair, whose sentences words_apart() made: text of each side, and its bytes. */
lk_status lk_pairs_add(lk_pairs *pairs, const char *const text[LK_N_LANGUAGES], const size_t nbytes[LK_N_LANGUAGES]);
/* Sentence i of a language, and its end. */
const char *lk_pairs_sentence(const lk_pairs *pairs, lk_language side, int64_t i, const char **end);
/* Moves those of `from` behind those of `to`. */
lk_status lk_pairs_join(lk_pairs *to, lk_pairs **from);
/* Whether pair i is set aside to validate: a function of its source sentence and the seed, so that translations of one
 * sentence are all on one side. */
bool lk_pairs_held_out(const lk_pairs *pairs, int64_t i, double fraction, uint64_t seed);

/* Moves those that are held out into new ones; both keep their order. */
lk_status lk_pairs_split(lk_pairs *pairs, const bool *held_out, lk_pairs **out);

struct lk_table;
struct lk_data_stats;
/* Chooses the vocabularies from the pairs that are not held out. */
lk_status lk_pairs_fit(struct lk_data_stats *stats, const lk_data_spec *spec, const lk_pairs *pairs,
                       const bool *held_out);
/* The same for tokenizer bpe: byte_pairs.c. */
lk_status lk_pairs_fit_bpe(struct lk_data_stats *stats, const lk_data_spec *spec, const lk_pairs *pairs,
                           const bool *held_out);
/* Adds the pieces of the sentences that are not held out. */
lk_status lk_pairs_count_bpe(const lk_pairs *pairs, const bool *held_out, lk_counted *counted);
/* Errors: LK_ERR_DATA (data.merges is there, and is not the list that the statistics hold). */
lk_status lk_pairs_check_bpe(const struct lk_data_stats *stats, const lk_data_spec *spec);
/* Makes fields of a table's pairs: source, source_len, target_in, and target where it is wanted.  Of the sentences the
 * translations stay, as text. */
lk_status lk_pairs_apply(const struct lk_data_stats *stats, struct lk_table *table);

#endif
