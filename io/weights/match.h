/* What the files of io/weights/ that match names share. */
#ifndef LK_WEIGHTS_MATCH_H
#define LK_WEIGHTS_MATCH_H

#include "io/io.h"

/* The rename rule by which all names of the smaller side would fit, "module.* -> *", where only a prefix keeps them
 * from it.  False: there is none. */
bool lk_rename_suggest(const lk_weight_match *match, char *rule, size_t nbytes);

/* Takes "transformer." off the checkpoint's names where the model has none of that kind. */
void lk_prefix_take_off(const lk_ckpt_tensor *here, size_t n_here, char *const *names, size_t n_there);

/* rename.c: the checkpoint's names as they are here; names has room for n_there, each to be freed. */
lk_status lk_rename_all(const lk_ckpt_tensor *there, size_t n_there, const lk_words *rename, char **names);

#endif
