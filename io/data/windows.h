/*
 * Windows of a running text: sample i is `sequence` tokens from i * sequence on, and the same moved on by one.  Of
 * several files each has its own windows; what is left at a file's end is too short for one.  Private to io/data.
 */
#ifndef LK_IO_WINDOWS_H
#define LK_IO_WINDOWS_H

#include "io/text/text.h"

typedef struct lk_windows lk_windows;

lk_status lk_windows_new(int64_t sequence, int64_t n_values, lk_windows **out);
void      lk_windows_free(lk_windows **windows);
/* Takes over the tokens.  Errors: LK_ERR_DATA (they are too few for a window). */
lk_status lk_windows_add(lk_windows *windows, const char *path, lk_tokens *tokens);
/* Moves the files of `from` behind those of `to`. */
lk_status lk_windows_join(lk_windows *to, lk_windows **from);
/* Moves the last n windows into new ones. */
lk_status lk_windows_split(lk_windows *windows, int64_t n, lk_windows **out);

int64_t lk_windows_n(const lk_windows *windows);
int64_t lk_windows_sequence(const lk_windows *windows);
int64_t lk_windows_n_values(const lk_windows *windows); /* tokens are below it */
size_t  lk_windows_nbytes(const lk_windows *windows);   /* of memory: none of what is mapped */
/* A window's tokens, and what comes after each of them; either may be NULL.  Any thread.  Errors: LK_ERR_DATA (a token
 * is outside the vocabulary). */
lk_status lk_windows_get(const lk_windows *windows, int64_t i, int32_t *tokens, int32_t *target);
/* What comes after token t of a window, unchecked. */
int32_t lk_windows_target(const lk_windows *windows, int64_t i, int64_t t);
/* Calls visit(arg, its file's name, tokens in it) for each file. */
void      lk_windows_visit(const lk_windows *windows, void (*visit)(void *arg, const char *path, int64_t n), void *arg);

#endif
