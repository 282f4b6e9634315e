/* What a checkpoint keeps of a sample's fields comes back as it was; and how fields differ is told. */
#include "io/data/data.h"
#include "tests/support/data_files.h"

static lk_sample make_sample(void)
{
    lk_sample sample = {0};

    lk_sample_add(&sample, &(lk_field){.name = "x", .dtype = LK_DTYPE_U8, .ndim = 3, .shape = {28, 28, 3},
                                       .pixels = {3, {0.485f, 0.456f, 0.406f}, {0.229f, 0.224f, 0.225f}}});
    lk_sample_add(&sample, &(lk_field){.name = "source", .dtype = LK_DTYPE_I32, .ndim = 1, .shape = {LK_LENGTH}});
    lk_sample_add(&sample,
                  &(lk_field){.name = "target", .dtype = LK_DTYPE_F32, .ndim = 1, .shape = {2}, .target = true});
    return sample;
}

/* What `is` differs in from what make_sample() gives; a line, or the message of the error. */
static void expect_difference(lk_sample is, lk_status status, const char *want)
{
    const lk_sample was = make_sample();
    char *differences = NULL;
    const lk_status got = lk_sample_compare(&was, &is, &differences);
    const char *text = got != LK_OK ? lk_error_message() : differences ? differences : "";

    cr_expect_eq(got, status, "got status %d, want %d", (int)got, (int)status);
    cr_expect_str_eq(text, want, "\n got: %s\nwant: %s", text, want);
    free(differences);
}

Test(describe, what_is_written_is_read)
{
    const lk_sample sample = make_sample();
    lk_sample read;
    char *json;

    cr_assert_eq(lk_sample_write(&sample, &json), LK_OK, "%s", lk_error_message());
    cr_assert_eq(lk_sample_read(json, &read), LK_OK, "%s", lk_error_message());
    cr_assert_eq(read.n_fields, sample.n_fields);
    for (int f = 0; f < read.n_fields; f++) {
        const lk_field *a = &sample.field[f], *b = &read.field[f];
        cr_expect_str_eq(b->name, a->name);
        cr_expect(b->dtype == a->dtype && b->ndim == a->ndim && b->target == a->target, "%s", json);
        cr_expect_eq(memcmp(b->shape, a->shape, sizeof a->shape), 0, "%s", json);
        cr_expect_eq(memcmp(&b->pixels, &a->pixels, sizeof a->pixels), 0, "%s", json);
    }
    expect_difference(read, LK_OK, "");
    free(json);
}

Test(describe, differences_of_type_and_scale_are_lines_others_are_errors)
{
    lk_sample scaled = make_sample(), typed = scaled, larger = scaled, without = scaled, no_target = scaled;
    scaled.field[0].pixels.std[2] = 0.5f;
    typed.field[0].pixels = (lk_pixels){0};
    typed.field[1].dtype = LK_DTYPE_U8;
    larger.field[0].shape[1] = 32;
    without.field[1] = without.field[2], without.n_fields = 2;
    no_target.n_fields = 2;

    expect_difference(scaled, LK_OK,
                      "field x: the run was trained on uint8 (28, 28, 3), each (v / 255 - [0.485, 0.456, 0.406]) / "
                      "[0.229, 0.224, 0.225], these data give uint8 (28, 28, 3), each (v / 255 - [0.485, 0.456, "
                      "0.406]) / [0.229, 0.224, 0.5]");
    expect_difference(typed, LK_OK,
                      "field x: the run was trained on uint8 (28, 28, 3), each (v / 255 - [0.485, 0.456, 0.406]) / "
                      "[0.229, 0.224, 0.225], these data give uint8 (28, 28, 3)\n"
                      "field source: the run was trained on int32 (length), these data give uint8 (length)");
    expect_difference(larger, LK_ERR_DATA,
                      "field x: the run was trained on uint8 (28, 28, 3), each (v / 255 - [0.485, 0.456, "
                      "0.406]) / [0.229, 0.224, 0.225], these data give uint8 (28, 32, 3), each (v / 255 - "
                      "[0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]");
    expect_difference(without, LK_ERR_DATA,
                      "field source: the run was trained on int32 (length), these data have no such field");
    expect_difference(no_target, LK_OK, "");
}

Test(describe, what_is_no_description_is_refused)
{
    static const char *const bad[] = {
        "", "{}", "[1]", "[{\"name\": \"x\"}]", "[{\"name\": \"x\", \"type\": \"fp64\", \"shape\": []}]",
        "[{\"name\": \"x\", \"type\": \"fp32\", \"shape\": [1, 1, 1, 1, 1, 1]}]",
        "[{\"name\": \"x\", \"type\": \"uint8\", \"shape\": [1], \"mean\": [0.5]}]",
        "[{\"name\": \"x\", \"type\": \"uint8\", \"shape\": [5], \"mean\": [0, 0, 0, 0, 0], \"std\": [1, 1, 1, 1, 1]}]",
        "[{\"name\": \"x\", \"type\": \"fp32\", \"shape\": []}, {\"name\": \"x\", \"type\": \"fp32\", \"shape\": []}]",
    };
    lk_sample sample;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_eq(lk_sample_read(bad[i], &sample), LK_ERR_CHECKPOINT, "%s was read", bad[i]);
}
