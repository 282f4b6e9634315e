/*
 * A formula in a few variables, as recipes write learning rates: "0.95^epoch", "epoch % 40 / 100".  Private to
 * engine/optim/.
 */
#ifndef LK_OPTIM_EXPRESSION_H
#define LK_OPTIM_EXPRESSION_H

#include "engine/schedule/schedule.h"

enum { LK_MAX_VARIABLES = 2 };

typedef struct lk_expression lk_expression;

/* key, text and the names of the variables are copied.  Errors: LK_ERR_USAGE, a message of three lines: what is wrong
 * under `key`, the text, a caret below the place. */
lk_status lk_expression_new(const char *key, const char *const *variables, int n_variables, const char *text,
                            lk_expression **out);
void      lk_expression_free(lk_expression **expression);
/* values: (n_variables).  Errors: LK_ERR_USAGE (the value is not finite). */
lk_status lk_expression_eval(lk_expression *expression, const double *values, double *out);

#endif
