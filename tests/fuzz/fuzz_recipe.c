/*
 * Any bytes are a recipe or a clean error, and the text kept of a recipe is the same recipe.
 *
 * The entry is libFuzzer's.  tests/run gives it a minute; for long runs:
 *
 *     cmake -B build-fuzz -DCMAKE_C_COMPILER=clang -DLK_CUDA=OFF -DLK_SANITIZE=fuzzer-no-link,address,undefined
 *     cmake --build build-fuzz --target fuzz_recipe
 *     build-fuzz/tests/fuzz_recipe -max_total_time=3600 CORPUS tests/fuzz/seeds launch/recipes
 *
 * tests/unit/io/test_recipe_fuzz.c feeds it a few thousand mutations of recipes, and of tests/fuzz/seeds, where the
 * inputs go that it once failed on.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/io.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t nbytes);

static void must(int holds, const char *what, const char *text)
{
    if (holds) return;
    fprintf(stderr, "%s: %s\n%s\n", what, lk_error_message(), text);
    abort();
}

static void round_trip(const lk_recipe *recipe)
{
    lk_recipe *again;

    must(lk_recipe_parse(recipe->text, "/kept.yaml", NULL, 0, &again) == LK_OK, "kept text refused", recipe->text);
    must(strcmp(again->text, recipe->text) == 0, "kept text changes", recipe->text);
    must(again->train.batch == recipe->train.batch, "batch changes", recipe->text);
    must(again->run.seed == recipe->run.seed, "seed changes", recipe->text);
    lk_recipe_free(&again);
}

/* A first line with a = in it is an override: those are typed by people too. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t nbytes)
{
    char *text = malloc(nbytes + 1);
    lk_recipe *recipe;

    if (!text) return 0;
    memcpy(text, bytes, nbytes);
    text[nbytes] = '\0';
    char *rest = strchr(text, '\n');
    const bool with_override = rest && strchr(text, '=') && strchr(text, '=') < rest;
    if (with_override) *rest++ = '\0';
    const char *const override = text;

    const char *yaml = with_override ? rest : text;
    if (lk_recipe_parse(yaml, "/fuzz.yaml", &override, with_override ? 1 : 0, &recipe) == LK_OK) {
        round_trip(recipe);
        lk_recipe_free(&recipe);
    } else {
        must(recipe == NULL && lk_error_message()[0] != '\0', "an error without a message", text);
    }
    free(text);
    return 0;
}
