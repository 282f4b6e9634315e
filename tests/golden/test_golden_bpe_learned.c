/* Merges that are learned against Hugging Face's (make_bpe_learned.py). */
#include "io/text/text.h"
#include "tests/support/data_files.h"
#include "tests/support/golden.h"

/* The list as a file has it, behind its header. */
static void expect_merges(const char *got, json_t *want)
{
    size_t line = 0;

    for (got = strchr(got, '\n') + 1; *got; got = strchr(got, '\n') + 1, line++) {
        const char *merge = json_string_value(json_array_get(want, line));
        const size_t nbytes = strcspn(got, "\n");

        cr_assert(merge && strlen(merge) == nbytes && memcmp(merge, got, nbytes) == 0, "merge %zu is `%.*s`, want `%s`",
                  line, (int)nbytes, got, merge ? merge : "none");
    }
    cr_assert_eq(line, json_array_size(want), "%zu merges, want %zu", line, json_array_size(want));
}

Test(bpe_learned, are_hugging_faces)
{
    json_t *cases = golden_load("bpe_learned.json");
    lk_pieces *pieces;

    cr_assert_eq(lk_pieces_open(&pieces), LK_OK, "%s", lk_error_message());
    cr_assert_gt(json_array_size(cases), 0);
    for (size_t k = 0; k < json_array_size(cases); k++) {
        json_t *values = json_array_get(cases, k);
        const char *text = json_string_value(json_object_get(values, "text"));
        lk_counted counted = {0};
        char *merges;

        cr_assert_eq(lk_bpe_count(pieces, text, strlen(text), &counted), LK_OK, "%s", lk_error_message());
        cr_assert_eq(lk_bpe_learn(&counted, json_integer_value(json_object_get(values, "tokens")), &merges), LK_OK,
                     "%s", lk_error_message());
        expect_merges(merges, json_object_get(values, "merges"));
        free(merges);
        lk_counted_clear(&counted);
    }
    lk_pieces_free(&pieces);
    json_decref(cases);
}
