/* A command line that grows word by word. */
#ifndef LK_WORDS_H
#define LK_WORDS_H

#include "engine/engine.h"

/* All zero at first. */
typedef struct words {
    char **word;    /* (n + 1) owned, the last NULL: as execv() wants them */
    size_t n, room;
    bool lost;      /* there was no memory for a word */
} words;

void words_add(words *list, const char *word);
void words_print(words *list, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Errors: LK_ERR_SYSTEM (a word was lost). */
lk_status words_check(const words *list);
void words_free(words *list);

#endif
