/* A small recipe, and what tests of reading recipes do with it: it is good as changed, or fails with this message. */
#ifndef LK_TEST_RECIPES_H
#define LK_TEST_RECIPES_H

#include <criterion/criterion.h>
#include <string.h>

#include "io/io.h"

#define N_OF(array) (sizeof(array) / sizeof *(array))

/* Line 1 to 6; cases below append to it or override it. */
static const char base[] = "run: {name: small}\n"
                           "data: {kind: regression, samples: 8, validation_samples: 4, n_features: 3}\n"
                           "model: {kind: mlp, layers: [3, 2, 1]}\n"
                           "loss: {kind: mse}\n"
                           "optimizer: {kind: adam}\n"
                           "train: {epochs: 2}\n";

static inline lk_status parse(const char *text, const char *override, lk_recipe **out)
{
    return lk_recipe_parse(text, "r.yaml", &override, override ? 1 : 0, out);
}

static inline lk_recipe *good(const char *text, const char *override)
{
    lk_recipe *recipe = NULL;

    cr_assert_eq(parse(text, override, &recipe), LK_OK, "%s", lk_error_message());
    return recipe;
}

static inline void expect_failure(const char *text, const char *override, const char *message)
{
    lk_recipe *recipe;
    const lk_status status = parse(text, override, &recipe);

    cr_expect_eq(status, LK_ERR_USAGE, "status %d for: %s", status, message);
    cr_expect_str_eq(lk_error_message(), message, "got:  %s\nwant: %s", lk_error_message(), message);
    cr_expect_null(recipe);
    lk_recipe_free(&recipe);
}

#endif
