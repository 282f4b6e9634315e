/* Fields: sizes, and the match of what a model reads with what a data set gives. */
#include <criterion/criterion.h>
#include <string.h>

#include "engine/engine.h"

static const lk_sample reads = {.n_fields = 4, .field = {
    {.name = "source", .dtype = LK_DTYPE_I32, .ndim = 1, .shape = {LK_LENGTH}},
    {.name = "source_len", .dtype = LK_DTYPE_I32},
    {.name = "x", .dtype = LK_DTYPE_F32, .ndim = 1, .shape = {12}},
    {.name = "target", .dtype = LK_DTYPE_F32, .ndim = 1, .shape = {3}, .target = true},
}};

static lk_sample reversed(void)
{
    lk_sample gives = {0};

    for (int f = reads.n_fields - 1; f >= 0; f--) lk_sample_add(&gives, &reads.field[f]);
    return gives;
}

static void expect_refused(const lk_sample *gives, const char *message)
{
    lk_field_map map;

    cr_expect_eq(lk_sample_match(&reads, gives, true, &map), LK_ERR_USAGE);
    cr_expect_str_eq(lk_error_message(), message, "got: %s", lk_error_message());
}

Test(sample, a_field_knows_its_size)
{
    cr_expect_eq(lk_field_nbytes(&reads.field[0], 7), 28, "got %zu", lk_field_nbytes(&reads.field[0], 7));
    cr_expect_eq(lk_field_n_elem(&reads.field[1], 7), 1, "got %zu", lk_field_n_elem(&reads.field[1], 7));
    cr_expect_eq(lk_field_n_elem(&reads.field[2], 7), 12, "got %zu", lk_field_n_elem(&reads.field[2], 7));
    cr_expect(lk_sample_has_length(&reads));
    cr_expect_eq(lk_sample_find(&reads, "x"), 2);
    cr_expect_eq(lk_sample_find(&reads, "y"), -1);
}

Test(sample, fields_are_matched_by_name_whatever_their_order)
{
    const lk_sample gives = reversed();
    lk_field_map map;

    cr_assert_eq(lk_sample_match(&reads, &gives, true, &map), LK_OK, "%s", lk_error_message());
    cr_expect_eq(map.n, reads.n_fields);
    for (int f = 0; f < map.n; f++)
        cr_expect_eq(map.from[f], reads.n_fields - 1 - f, "field %d is from %d", f, map.from[f]);
}

Test(sample, targets_may_be_absent_where_none_is_needed)
{
    lk_sample gives = reads;
    lk_field_map map;

    gives.n_fields--;
    cr_assert_eq(lk_sample_match(&reads, &gives, false, &map), LK_OK, "%s", lk_error_message());
    cr_expect_eq(map.from[3], -1);
    expect_refused(&gives, "field target: the model reads it (fp32 (3) a sample), the data set has no such field; it "
                           "gives source, source_len, x");
}

Test(sample, a_vector_is_read_from_any_shape_of_its_size)
{
    lk_sample gives = reads;
    lk_field_map map;

    gives.field[2].ndim = 3;
    memcpy(gives.field[2].shape, (int64_t[]){2, 3, 2}, 3 * sizeof(int64_t));
    cr_expect_eq(lk_sample_match(&reads, &gives, true, &map), LK_OK, "%s", lk_error_message());
    gives.field[2].shape[0] = 3;
    expect_refused(&gives, "field x: the model reads fp32 (12) a sample, the data set gives fp32 (3, 3, 2)");
}

Test(sample, another_type_or_shape_or_no_field_is_refused_by_name)
{
    lk_sample gives = reads;

    gives.field[1].dtype = LK_DTYPE_F32;
    expect_refused(&gives, "field source_len: the model reads int32 () a sample, the data set gives fp32 ()");
    gives = reads;
    gives.field[0].shape[0] = 9;
    expect_refused(&gives, "field source: the model reads int32 (length) a sample, the data set gives int32 (9)");
    gives = (lk_sample){0};
    expect_refused(&gives,
                   "field source: the model reads it (int32 (length) a sample), the data set has no such field; "
                   "it gives nothing");
}
