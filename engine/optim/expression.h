/*
 * A formula in `epoch` and `step`, as recipes write learning rates: "0.95^epoch", "epoch % 40 / 100".  Private to
 * engine/optim/.
 */
#ifndef LK_OPTIM_EXPRESSION_H
#define LK_OPTIM_EXPRESSION_H

#include "engine/engine.h"

typedef struct lk_expression lk_expression;

/* text is copied.  Errors: LK_ERR_USAGE, a message of three lines: what is wrong under `key`, the text, a caret below
 * the place. */
lk_status lk_expression_new(const char *key, const char *text, lk_expression **out);
void      lk_expression_free(lk_expression **expression);
/* Errors: LK_ERR_USAGE (the value is not finite). */
lk_status lk_expression_eval(lk_expression *expression, int64_t epoch, int64_t step, double *out);

#endif
