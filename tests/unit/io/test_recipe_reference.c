/* The reference in launch/recipes/README.md says what the schema says: keys, values, defaults, help. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/io.h"

static const char page[] = LK_SOURCE_DIR "/launch/recipes/README.md";
static const char begin[] = "<!-- lockstep keys --markdown -->\n", end[] = "<!-- end of the keys -->";

static char *read_page(void)
{
    enum { ROOM = 1 << 18 };
    FILE *file = fopen(page, "r");
    char *text = calloc(1, ROOM);

    cr_assert(file && text, "%s", page);
    const size_t n = fread(text, 1, ROOM, file);
    fclose(file);
    cr_assert(n > 0 && n < ROOM, "%s holds %zu bytes", page, n);
    return text;
}

static char *made_reference(void)
{
    char *text = NULL;
    size_t nbytes;
    FILE *file = open_memstream(&text, &nbytes);

    cr_assert_not_null(file);
    lk_recipe_reference(file);
    fclose(file);
    return text;
}

/* The first line in which two texts differ, with both of its forms. */
static void expect_same_lines(const char *got, const char *want)
{
    for (int line = 1; *got || *want; line++) {
        const size_t n = strcspn(got, "\n"), m = strcspn(want, "\n");

        cr_assert(n == m && strncmp(got, want, n) == 0,
                  "line %d of the keys:\n  page:   %.*s\n  schema: %.*s\nput the output of `lockstep keys --markdown` "
                  "between the marks of %s", line, (int)n, got, (int)m, want, page);
        got += n + (got[n] == '\n');
        want += m + (want[m] == '\n');
    }
}

Test(recipe_reference, the_page_is_what_the_schema_says)
{
    char *text = read_page(), *want = made_reference(), *got = strstr(text, begin);

    cr_assert_not_null(got, "%s has no %s", page, begin);
    got += strlen(begin);
    char *stop = strstr(got, end);
    cr_assert_not_null(stop, "%s has no %s", page, end);
    *stop = '\0';
    expect_same_lines(got, want);
    free(want);
    free(text);
}

Test(recipe_reference, every_key_has_its_help_and_inner_names_are_not_told)
{
    static const char *const inner[] = {"`beta1`", "`beta2`", "`params`"};
    char *text = made_reference();

    cr_expect_null(strstr(text, "(null)"), "a row of the schema has no HELP");
    for (size_t i = 0; i < sizeof inner / sizeof *inner; i++)
        cr_expect_null(strstr(text, inner[i]), "%s is told of", inner[i]);
    free(text);
}

static char *help_on(const char *key, lk_status *status)
{
    char *text = NULL;
    size_t nbytes;
    FILE *file = open_memstream(&text, &nbytes);

    cr_assert_not_null(file);
    *status = lk_recipe_help(file, key);
    fclose(file);
    return text;
}

Test(recipe_reference, a_key_tells_value_default_and_kinds)
{
    static const char want[] = "optimizer.betas: decay of the two averages\n"
                               "  value    a list of 2 numbers, at least 0 and below 1\n"
                               "  default  [0.9, 0.999]\n"
                               "  for      optimizer.kind adam, adamw\n";
    lk_status status;
    char *got = help_on("optimizer.betas", &status);

    cr_expect_eq(status, LK_OK);
    cr_expect_str_eq(got, want, "got:\n%swant:\n%s", got, want);
    free(got);
    got = help_on("optimizer.beta1", &status);
    cr_expect_eq(status, LK_ERR_USAGE, "an inner name is a key: %s", got);
    free(got);
}
