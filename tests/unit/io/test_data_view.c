/* Views: what lists of transforms make of stored images, how they travel, and what does not fit them. */
#include "io/data/data.h"
#include "tests/support/data_files.h"

TestSuite(data_view, .fini = remove_test_files);

enum { N = 3, SIDE = 6 };

static lk_data_spec pictures(void)
{
    static unsigned char images[16 + N * SIDE * SIDE] = {0, 0, 8, 3, 0, 0, 0, N, 0, 0, 0, SIDE, 0, 0, 0, SIDE};
    static unsigned char labels[8 + N] = {0, 0, 8, 1, 0, 0, 0, N};
    lk_data_spec spec = plain_spec(LK_DATA_IDX);

    for (int i = 0; i < N * SIDE * SIDE; i++) images[16 + i] = (unsigned char)(i + 1);
    spec.train = write_test_file("images", images, sizeof images);
    spec.train_labels = write_test_file("labels", labels, sizeof labels);
    return spec;
}

static void expect_refused(const lk_data_spec *spec, const char *message)
{
    lk_dataset *train, *none;

    cr_assert_eq(lk_dataset_open(spec, LK_LOSS_CROSS_ENTROPY, NULL, &train, &none), LK_ERR_USAGE);
    cr_expect_str_eq(lk_error_message(), message);
}

/* The model is made for what the lists make, not for what is stored. */
Test(data_view, the_field_has_the_size_that_the_lists_make)
{
    lk_transform_spec crop = {.kind = LK_TRANSFORM_CENTER_CROP, .size = {2, 4}, .n_size = 2};
    lk_data_spec spec = pictures();
    lk_dataset *train, *none;
    int64_t image[3];

    spec.transforms = spec.validation_transforms = (lk_transform_list){&crop, 1};
    cr_assert_eq(lk_dataset_open(&spec, LK_LOSS_CROSS_ENTROPY, NULL, &train, &none), LK_OK, "%s", lk_error_message());
    const lk_field *x = &lk_dataset_sample(train)->field[0];
    lk_dataset_image(train, image);
    cr_expect(x->dtype == LK_DTYPE_U8 && x->shape[0] == 2 && x->shape[1] == 4 && x->shape[2] == 1);
    cr_expect(image[0] == 1 && image[1] == 2 && image[2] == 4 && lk_dataset_n_input(train) == 8);

    lk_loader_spec loads = {.batch = N, .lanes = 1, .lane_end = 1, .loss = {.kind = LK_LOSS_CROSS_ENTROPY}};
    lk_loader *loader;
    lk_batch batch;
    cr_assert_eq(lk_loader_new(train, &loads, &loader), LK_OK);
    cr_assert_eq(lk_loader_next(loader, &batch), LK_OK);
    const uint8_t *pixels = batch.lane[0].field[0];
    /* Rows 2 and 3, columns 1 to 4 of the second picture. */
    cr_expect(pixels[8] == SIDE * SIDE + 2 * SIDE + 2 && pixels[15] == SIDE * SIDE + 3 * SIDE + 5,
              "the second begins with %d and ends with %d", pixels[8], pixels[15]);
    lk_loader_free(&loader);
    lk_dataset_free(&train);
}

Test(data_view, lists_that_do_not_fit_are_refused)
{
    double half = 0.5;
    lk_transform_spec resize = {.kind = LK_TRANSFORM_RESIZE, .size = {4}, .n_size = 1};
    lk_transform_spec normal[] = {{.kind = LK_TRANSFORM_NORMALIZE, .mean = &half, .n_mean = 1, .std = &half,
                                   .n_std = 1},
                                  {.kind = LK_TRANSFORM_RANDOM_ERASING, .value = {0.5, 1, 2}, .n_value = 3}};
    lk_data_spec spec = pictures();

    spec.transforms = (lk_transform_list){&resize, 1};
    expect_refused(&spec, "data.validation_transforms: pictures are 6 x 6 behind them, and 4 x 4 behind "
                          "data.transforms; the model reads one size");
    spec.transforms = (lk_transform_list){normal, 2};
    expect_refused(&spec, "data.transforms: random_erasing has 3 values, the images 1 channels; give one for all, or "
                          "one for each");
    /* A list that was derived has the fault of the one that was written. */
    double two[] = {0.5, 0.5};
    lk_transform_spec colours = normal[0];
    colours.mean = two, colours.n_mean = 2;
    spec.transforms = spec.validation_transforms = (lk_transform_list){&colours, 1};
    expect_refused(&spec, "data.transforms: normalize has 2 means and 1 deviations, the images 1 channels; give one "
                          "for all, or one for each");
    spec.transforms = (lk_transform_list){normal, 1};
    expect_refused(&spec, "data.validation_transforms: normalize has 2 means and 1 deviations, the images 1 channels; "
                          "give one for all, or one for each");
    spec.validation_transforms = (lk_transform_list){0};
    spec.transforms = (lk_transform_list){normal + 1, 1};
    normal[1].n_value = 1;
    lk_transform_spec mixup = {.kind = LK_TRANSFORM_MIXUP, .alpha = 1};
    expect_refused(&spec, "data.transforms: random_erasing sets bytes to 0.5; in front of normalize its value is a "
                          "whole number from 0 to 255");
    spec.transforms = (lk_transform_list){&mixup, 1};
    expect_refused(&spec, "data.transforms: mixed labels are probabilities: loss.probabilities must be true");
}

/* Of pictures of no one size, of floats, and of two channels: views alone, as the readers' tables would have it. */
Test(data_view, what_kinds_of_images_transforms_want)
{
    lk_transform_spec jitter = {.kind = LK_TRANSFORM_COLOR_JITTER};
    lk_data_spec spec = plain_spec(LK_DATA_HDF5);
    uint8_t pixels[1] = {0};
    const lk_table bytes = {.pixels = pixels, .of_bytes = true}, floats = {.pixels = NULL};
    lk_view view;

    cr_expect_eq(lk_view_open(&spec, true, (int64_t[]){3, 0, 0}, &bytes, &view), LK_ERR_USAGE);
    cr_expect_str_eq(lk_error_message(),
                     "data.transforms: pictures differ in size and stay so: add one that gives all the same, {kind: "
                     "random_resized_crop, size: 224}, or {kind: resize, size: 256} and {kind: center_crop, "
                     "size: 224}");
    lk_view_close(&view);
    spec.transforms = (lk_transform_list){&jitter, 1};
    cr_expect_eq(lk_view_open(&spec, true, (int64_t[]){3, 4, 4}, &floats, &view), LK_ERR_USAGE);
    cr_expect_str_eq(lk_error_message(),
                     "data.transforms: color_jitter changes colours of bytes, and these images are floats");
    lk_view_close(&view);
    cr_expect_eq(lk_view_open(&spec, true, (int64_t[]){2, 4, 4}, &bytes, &view), LK_ERR_USAGE);
    cr_expect_str_eq(lk_error_message(), "data.transforms: color_jitter changes colours of one channel or three, and "
                                         "these images have 2");
    lk_view_close(&view);
}

/* Behind the normalize numbers are erased, so they travel as floats, and 0 is the mean. */
Test(data_view, what_stands_behind_normalize_works_on_numbers)
{
    double half = 0.5;
    lk_transform_spec list[] = {{.kind = LK_TRANSFORM_NORMALIZE, .mean = &half, .std = &half, .n_mean = 1, .n_std = 1},
                                {.kind = LK_TRANSFORM_RANDOM_ERASING, .p = 1, .scale = {0.2, 0.5}, .ratio = {1, 1},
                                 .n_value = 1}};
    lk_data_spec spec = pictures();
    lk_dataset *train, *none;
    const lk_draw draw = {.seed = 1, .train = true};
    const int64_t sample[N] = {0, 1, 2};
    float x[N * SIDE * SIDE];
    void *const field[LK_MAX_FIELDS] = {x};
    lk_easel easel = {0};
    int erased = 0;

    spec.transforms = (lk_transform_list){list, 2}, spec.validation_transforms = (lk_transform_list){list, 1};
    cr_assert_eq(lk_dataset_open(&spec, LK_LOSS_CROSS_ENTROPY, NULL, &train, &none), LK_OK, "%s", lk_error_message());
    cr_assert_eq(lk_dataset_sample(train)->field[0].dtype, LK_DTYPE_F32);
    cr_assert_eq(train->fetch(train, &draw, sample, N, 0, field, &easel), LK_OK);
    for (int i = 0; i < N * SIDE * SIDE; i++) {
        const float want = ((float)(i + 1) / 255.0f - 0.5f) / 0.5f;
        cr_expect(x[i] == want || x[i] == 0.0f, "number %d: got %g, want %g or 0", i, (double)x[i], (double)want);
        erased += x[i] == 0.0f;
    }
    /* A square of 9 or 16 pixels of each. */
    cr_expect(erased >= N * 9 && erased <= N * 16, "%d of %d are erased", erased, N * SIDE * SIDE);
    lk_easel_clear(&easel);
    lk_dataset_free(&train);
}
