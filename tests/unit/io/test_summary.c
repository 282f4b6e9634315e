/* summary.json: order, groups, and numbers that come back. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/file/files.h"
#include "io/io.h"
#include "tests/support/temp_dir.h"

TestSuite(summary, .init = make_temp_dir, .fini = remove_temp_dir);

static char *summary_of(const lk_metadata *metadata)
{
    char path[512], *text;

    snprintf(path, sizeof path, "%s/summary.json", temp_dir);
    cr_assert_eq(lk_summary_write(path, metadata), LK_OK, "%s", lk_error_message());
    cr_assert_eq(lk_read_file(path, &text, NULL), LK_OK);
    return text;
}

Test(summary, keeps_order_and_groups_what_stands_before_a_slash)
{
    static const char want[] = "{\n  \"epochs\": 3,\n  \"metrics\": {\n    \"validation.mse\": 0.5,\n"
                               "    \"ema.validation.mse\": null\n  },\n  \"digest\": \"ab\",\n"
                               "  \"best\": {\n    \"validation.mse\": -2.0\n  }\n}\n";
    lk_metadata *metadata;

    cr_assert_eq(lk_metadata_new(&metadata), LK_OK);
    lk_metadata_set_int(metadata, "epochs", 3);
    lk_metadata_set_real(metadata, "metrics/validation.mse", 0.5);
    lk_metadata_set_text(metadata, "digest", "ab");
    lk_metadata_set_real(metadata, "metrics/ema.validation.mse", NAN);
    lk_metadata_set_real(metadata, "best/validation.mse", -2);
    char *text = summary_of(metadata);
    cr_expect_str_eq(text, want, "got:\n%s\nwant:\n%s", text, want);
    free(text);
    lk_metadata_free(&metadata);
}

Test(summary, each_slash_is_a_group_in_a_group)
{
    static const char want[] = "{\n  \"layers\": {\n    \"0\": {\n"
                               "      \"flops\": 2.0,\n      \"op\": \"linear\"\n    },\n"
                               "    \"1\": {\n      \"flops\": 3.0\n    }\n  }\n}\n";
    lk_metadata *metadata;

    cr_assert_eq(lk_metadata_new(&metadata), LK_OK);
    lk_metadata_set_real(metadata, "layers/0/flops", 2);
    lk_metadata_set_real(metadata, "layers/1/flops", 3);
    lk_metadata_set_text(metadata, "layers/0/op", "linear");
    char *text = summary_of(metadata);
    cr_expect_str_eq(text, want, "got:\n%s\nwant:\n%s", text, want);
    free(text);
    lk_metadata_free(&metadata);
}

Test(summary, a_number_is_read_back_and_what_is_none_is_told)
{
    lk_metadata *metadata;
    char path[512];
    double value;

    snprintf(path, sizeof path, "%s/summary.json", temp_dir);
    cr_assert_eq(lk_metadata_new(&metadata), LK_OK);
    lk_metadata_set_int(metadata, "epochs", 3);
    lk_metadata_set_text(metadata, "digest", "ab");
    cr_assert_eq(lk_summary_write(path, metadata), LK_OK, "%s", lk_error_message());
    lk_metadata_free(&metadata);
    cr_expect_eq(lk_summary_read_real(path, "epochs", &value), LK_OK, "%s", lk_error_message());
    cr_expect_eq(value, 3.0, "got %g", value);
    cr_expect_eq(lk_summary_read_real(path, "digest", &value), LK_ERR_USAGE);
    cr_expect_eq(lk_summary_read_real(path, "absent", &value), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "has no number `absent`") != NULL, "%s", lk_error_message());
    cr_expect_eq(lk_write_file_atomic(path, "{", 1), LK_OK);
    cr_expect_eq(lk_summary_read_real(path, "epochs", &value), LK_ERR_USAGE);
}

Test(summary, numbers_come_back_bit_by_bit)
{
    const double values[] = {0.1, 1.0 / 3, 1e-300, 47123.456789};
    lk_metadata *metadata;
    char path[8];

    cr_assert_eq(lk_metadata_new(&metadata), LK_OK);
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "v/%d", i);
        lk_metadata_set_real(metadata, path, values[i]);
    }
    lk_metadata_set_int(metadata, "big", INT64_MAX);
    char *text = summary_of(metadata);
    json_t *root = json_loads(text, 0, NULL);
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%d", i);
        const double back = json_real_value(json_object_get(json_object_get(root, "v"), path));
        cr_expect_eq(back, values[i], "wrote %.17g, read %.17g", values[i], back);
    }
    cr_expect_eq(json_integer_value(json_object_get(root, "big")), INT64_MAX);
    json_decref(root);
    free(text);
    lk_metadata_free(&metadata);
}
