/* A few thousand mutated recipes through the fuzzer's entry: see tests/fuzz/fuzz_recipe.c. */
#include <criterion/criterion.h>
#include <dirent.h>

#include "tests/fuzz/fuzz_recipe.c"

enum { N_MUTATIONS = 10000, MOST_EDITS = 4, ROOM = 1 << 14 };

/* Pieces that reach the far corners sooner than single bytes do. */
static const char *const extents[] = {
    "null", "{}", "[]", "{a: b}", "[1, 2]", ": ", "- ", "\n  ", "&a ", "*a", "'", "\"", "\\0", "<<", "? ", "| ",
    "!!int ",
    "#", "~", "1e999", "-1", "true", "\xff", "\xef\xbb\xbf", "optimizer.betas=[.9, .99]\n", "ema=null\n",
    "data.train=\n", "schedulers: [{kind: none}]", "{kind: linear}, ", "milestones: [1], ", "kind: chained\n",
    "model={kind: cnn}\n", "betas: [0.1, 0.2], ", "kind: ", "validation: v, ", "---\n", "\t", "%"};

/* Knuth's 64-bit linear congruential generator; its high bits are good enough to choose edits. */
static uint64_t draw(uint64_t *state, uint64_t below)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (*state >> 33) % below;
}

/* One edit at a random place: drop a stretch, put in a piece, change a byte, or double a stretch. */
static size_t edit(char *text, size_t n, uint64_t *random)
{
    const size_t at = draw(random, n + 1), length = draw(random, 12);
    const char *extent = extents[draw(random, sizeof extents / sizeof *extents)];
    const size_t piece_length = strlen(extent);

    switch (draw(random, 4)) {
    case 0:
        if (at + length > n) return n;
        memmove(text + at, text + at + length, n - at - length);
        return n - length;
    case 1:
        if (n + piece_length > ROOM) return n;
        memmove(text + at + piece_length, text + at, n - at);
        memcpy(text + at, extent, piece_length);
        return n + piece_length;
    case 2:
        if (at < n) text[at] = (char)(1 + draw(random, 255));
        return n;
    default:
        if (at + length > n || n + length > ROOM) return n;
        memmove(text + at + length, text + at, n - at);
        return n + length;
    }
}

static void mutate(const char *seed, size_t nbytes, int n_mutations)
{
    static char text[ROOM];
    uint64_t random = 42;

    cr_assert_lt(nbytes, ROOM / 2);
    for (int i = 0; i < n_mutations; i++) {
        size_t n = nbytes;

        memcpy(text, seed, nbytes);
        for (uint64_t edits = 1 + draw(&random, MOST_EDITS); edits > 0; edits--) n = edit(text, n, &random);
        LLVMFuzzerTestOneInput((const uint8_t *)text, n);
    }
}

/* The kept text is the recipe without its comments, in which edits would do nothing. */
static void mutate_recipe(const char *name)
{
    char path[512];
    lk_recipe *recipe;

    snprintf(path, sizeof path, "%s/launch/recipes/%s", LK_SOURCE_DIR, name);
    cr_assert_eq(lk_recipe_read(path, NULL, 0, &recipe), LK_OK, "%s", lk_error_message());
    mutate(recipe->text, strlen(recipe->text), N_MUTATIONS);
    lk_recipe_free(&recipe);
}

/* What once ended in an abort of libyaml, and what is like it. */
static void run_seed(const char *name)
{
    char path[512], text[ROOM / 2 - 1];

    snprintf(path, sizeof path, "%s/tests/fuzz/seeds/%s", LK_SOURCE_DIR, name);
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file, "%s", path);
    const size_t n = fread(text, 1, sizeof text, file);
    fclose(file);
    LLVMFuzzerTestOneInput((const uint8_t *)text, n);
    mutate(text, n, N_MUTATIONS / 5);
}

Test(recipe_fuzz, a_mutated_regression_recipe_is_a_recipe_or_a_clean_error) { mutate_recipe("ema-regression.yaml"); }
Test(recipe_fuzz, a_mutated_image_recipe_is_a_recipe_or_a_clean_error) { mutate_recipe("fashion-cnn.yaml"); }

Test(recipe_fuzz, what_was_found_before_and_its_mutations_are_recipes_or_clean_errors)
{
    DIR *dir = opendir(LK_SOURCE_DIR "/tests/fuzz/seeds");
    int n = 0;

    cr_assert_not_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        if (strstr(entry->d_name, ".yaml")) run_seed(entry->d_name), n++;
    closedir(dir);
    cr_expect_geq(n, 4, "%d seeds", n);
}
