/* GPT-2's tokens against tiktoken's (make_bpe.py), where GPT-2's list of merges is. */
#include "io/text/text.h"
#include "tests/support/data_files.h"
#include "tests/support/golden.h"

Test(bpe, is_gpt2s)
{
    json_t *cases = golden_load("bpe.json");
    lk_bpe *bpe;

    cr_assert_eq(lk_bpe_open(real_data("gpt2-bpe/vocab.bpe"), &bpe), LK_OK, "%s", lk_error_message());
    cr_expect_eq(lk_bpe_n(bpe), 50257, "%ld tokens", (long)lk_bpe_n(bpe));
    cr_assert_gt(json_array_size(cases), 0);
    for (size_t k = 0; k < 2 * json_array_size(cases); k++) { /* again, then many pieces are known */
        json_t *values = json_array_get(cases, k / 2), *want = json_object_get(values, "tokens");
        const char *text = json_string_value(json_object_get(values, "text"));
        uint16_t *got = calloc(strlen(text) + 1, sizeof *got);
        int64_t n;

        cr_assert_eq(lk_bpe_encode(bpe, text, strlen(text), got, &n), LK_OK, "%s", lk_error_message());
        cr_expect_eq((size_t)n, json_array_size(want), "%s: %ld tokens, want %zu", text, (long)n,
                     json_array_size(want));
        for (int64_t i = 0; i < n; i++) {
            const int token = (int)json_integer_value(json_array_get(want, (size_t)i));
            cr_expect_eq(got[i], token, "%s: token %ld is %d, want %d", text, (long)i, got[i], token);
        }
        free(got);
    }
    lk_bpe_free(&bpe);
    json_decref(cases);
}
