/* Many sentences, a batch of them at once; the translation of each is the same whatever others are there. */
#ifndef LK_TRANSLATE_H
#define LK_TRANSLATE_H

#include "launch/decode/search.h"

typedef struct translator {
    lk_engine *engine;       /* borrowed, as the next two */
    const lk_model *model;
    decoder_weights weights;
    search_spec search;
    int64_t steps;           /* the most tokens of a source and of a translation; 0: as the data come */
    void (*progress)(void *arg); /* called now and then; may be NULL */
    void *arg;
} translator;

/* Compiles what sentences of so many tokens need, so that translating them does not; *nbytes: of the cache that is made
 * and freed then. */
lk_status translate_compile(const translator *t, int64_t n_source, size_t *nbytes);
/* Sets what they say; one without a source says nothing. */
lk_status translate(const translator *t, sentence *sentences, int64_t n);
void      sentences_free(sentence **sentences, int64_t n);

#endif
