/* Parts of rows cover everything once; globs and suggestions; messages survive quoting themselves. */
#include <criterion/criterion.h>
#include <string.h>

#include "engine/base/base.h"

Test(helpers, parts_cover_every_row_once_and_differ_by_at_most_one)
{
    for (int64_t n_rows = 0; n_rows < 20; n_rows++)
        for (int n = 1; n < 9; n++) {
            int64_t next = 0;
            for (int r = 0; r < n; r++) {
                int64_t begin, end;
                cr_assert_eq(lk_part_rows(n_rows, r, n, &begin, &end), LK_OK);
                cr_expect_eq(begin, next, "part %d of %d begins at %ld, want %ld", r, n, (long)begin, (long)next);
                cr_expect(end - begin == n_rows / n || end - begin == n_rows / n + 1);
                next = end;
            }
            cr_expect_eq(next, n_rows);
        }
}

Test(helpers, a_part_that_does_not_exist_is_a_usage_error)
{
    int64_t begin, end;
    cr_expect_eq(lk_part_rows(4, 2, 2, &begin, &end), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "part 2 of 2"), "message: %s", lk_error_message());
}

Test(helpers, the_nearest_word_is_suggested_and_a_far_one_is_not)
{
    const char *words[] = {"momentum", "weight_decay", "lr"};
    cr_expect_str_eq(lk_nearest("momentun", words, 3), "momentum");
    cr_expect_str_eq(lk_nearest("weightdecay", words, 3), "weight_decay");
    cr_expect_null(lk_nearest("zzzzzz", words, 3));
}

Test(helpers, a_message_may_quote_the_one_before)
{
    LK_FAIL(LK_ERR_DATA, "inner");
    LK_FAIL(LK_ERR_DATA, "outer: %s", lk_error_message());
    cr_expect_str_eq(lk_error_message(), "outer: inner");
}

Test(helpers, globs_match_as_fnmatch_does)
{
    cr_expect(lk_glob("layer[1-3].*", "layer2.0.conv1.weight"));
    cr_expect_not(lk_glob("layer[1-3].*", "layer4.0.conv1.weight"));
}

Test(helpers, the_key_at_fault_goes_with_the_message_that_quotes_it)
{
    LK_FAIL_KEY(LK_ERR_USAGE, "engine.precision", "no %s here", "bf16");
    cr_expect_str_eq(lk_error_key(), "engine.precision");
    LK_FAIL(LK_ERR_USAGE, "layer 3: %s", lk_error_message());
    cr_expect_str_eq(lk_error_message(), "layer 3: no bf16 here");
    cr_expect_str_eq(lk_error_key(), "engine.precision");
    LK_FAIL(LK_ERR_USAGE, "something else");
    cr_expect_null(lk_error_key());
}

Test(helpers, text_is_put_together_and_what_does_not_fit_is_cut_off)
{
    const char *words[] = {"one", "two", "three"};
    const int64_t shape[] = {64, 20};
    char out[9], whole[LK_SHAPE_BYTES];
    lk_text text = lk_text_in(out, sizeof out);

    cr_expect_str_eq(out, "");
    lk_text_add(&text, "%d", 1234), lk_text_add(&text, "%d", 5678), lk_text_add(&text, "%d", 9);
    cr_expect_str_eq(out, "12345678", "got %s", out);
    cr_expect_eq(text.used, 8, "got %zu", text.used);

    cr_expect_str_eq(lk_print_list(words, 3, whole, sizeof whole), "one, two, three", "got %s", whole);
    cr_expect_str_eq(lk_print_list(words, 3, out, sizeof out), "one, two", "got %s", out);
    cr_expect_str_eq(lk_print_list(words, 0, out, sizeof out), "", "got %s", out);

    cr_expect_str_eq(lk_print_shape(2, shape, whole), "(64, 20)", "got %s", whole);
    cr_expect_str_eq(lk_print_shape(1, shape, whole), "(64)", "got %s", whole);
    cr_expect_str_eq(lk_print_shape(0, NULL, whole), "()", "got %s", whole);
}
