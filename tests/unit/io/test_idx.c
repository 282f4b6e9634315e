/* Images and labels in MNIST's format: values, channels, and the message of every damage. */
#include "io/data/data.h"
#include "tests/support/data_files.h"

TestSuite(idx, .fini = remove_test_files);

enum { N = 5, ROWS = 2, COLUMNS = 3, PIXELS = ROWS * COLUMNS, MAX_BYTES = 256 };

static void put(unsigned char *p, uint32_t value)
{
    for (int i = 0; i < 4; i++) p[i] = (unsigned char)(value >> (24 - 8 * i));
}

/* Pixel j of image i is 40 * i + 7 * j, so that every value is another. */
static size_t make_images(unsigned char *bytes)
{
    put(bytes, 0x803), put(bytes + 4, N), put(bytes + 8, ROWS), put(bytes + 12, COLUMNS);
    for (int k = 0; k < N * PIXELS; k++) bytes[16 + k] = (unsigned char)(40 * (k / PIXELS) + 7 * (k % PIXELS));
    return 16 + N * PIXELS;
}

static size_t make_labels(unsigned char *bytes)
{
    put(bytes, 0x801), put(bytes + 4, N);
    for (int i = 0; i < N; i++) bytes[8 + i] = (unsigned char)(i == 3 ? 255 : i);
    return 8 + N;
}

static lk_data_spec idx_spec(void)
{
    unsigned char images[MAX_BYTES], labels[MAX_BYTES];
    lk_data_spec spec = plain_spec(LK_DATA_IDX);
    const size_t n_images = make_images(images), n_labels = make_labels(labels);
    spec.train = write_test_file("images", images, n_images);
    spec.train_labels = write_test_file("labels", labels, n_labels);
    return spec;
}

static void expect_message(const lk_data_spec *spec, lk_loss_kind loss, lk_status status, const char *want)
{
    lk_dataset *train, *validation;

    cr_expect_eq(lk_dataset_open(spec, loss, NULL, &train, &validation), status);
    cr_expect(strstr(lk_error_message(), want), "\n got: %s\nwant: %s", lk_error_message(), want);
    cr_expect_null(train);
}

Test(idx, images_stay_bytes_and_come_out_scaled_as_torchvision_does)
{
    lk_data_spec spec = idx_spec();
    lk_dataset *train, *validation;
    const int64_t sample[2] = {4, 1};
    uint8_t x[2 * PIXELS];
    int64_t image[3];
    spec.pixel_mean = 0.2860;
    spec.pixel_std = 0.3530;

    cr_assert_eq(lk_dataset_open(&spec, LK_LOSS_CROSS_ENTROPY, NULL, &train, &validation), LK_OK, "%s",
                 lk_error_message());
    cr_expect_null(validation);
    lk_dataset_image(train, image);
    cr_expect(image[0] == 1 && image[1] == ROWS && image[2] == COLUMNS);
    cr_assert_eq(lk_dataset_n(train), N);
    cr_assert_eq(lk_dataset_n_input(train), PIXELS);
    cr_expect_eq(lk_dataset_n_output(train), 256);
    cr_expect(lk_dataset_has_labels(train));
    const lk_field *of_x = &lk_dataset_sample(train)->field[0];
    cr_expect_eq(of_x->dtype, LK_DTYPE_U8, "images travel as %s", lk_dtype_name(of_x->dtype));
    void *const field[LK_MAX_FIELDS] = {x}; /* without labels */
    lk_easel easel = {0};
    cr_assert_eq(train->fetch(train, &(lk_draw){.train = true}, sample, 2, 0, field, &easel), LK_OK);
    lk_easel_clear(&easel);
    for (int k = 0; k < 2 * PIXELS; k++) {
        const int v = 40 * (int)sample[k / PIXELS] + 7 * (k % PIXELS);
        const float want = ((float)v / 255.0f - 0.2860f) / 0.3530f;
        const float got = number_of(of_x, x, (size_t)k);
        cr_expect_eq(got, want, "value %d: got %.9g, want %.9g", k, (double)got, (double)want);
    }
    cr_expect_eq(train->label[3], 255);
    lk_dataset_free(&train);
}

Test(idx, a_fraction_is_set_aside_with_its_labels)
{
    lk_data_spec spec = idx_spec();
    lk_dataset *part[2];
    bool seen[N] = {false};
    spec.validation_fraction = 0.4;

    cr_assert_eq(lk_dataset_open(&spec, LK_LOSS_CROSS_ENTROPY, NULL, &part[0], &part[1]), LK_OK, "%s",
                 lk_error_message());
    cr_assert_not_null(part[1]);
    cr_expect_eq(lk_dataset_n(part[0]), 3);
    cr_expect_eq(lk_dataset_n(part[1]), 2);
    for (int p = 0; p < 2; p++)
        for (int64_t i = 0; i < lk_dataset_n(part[p]); i++) {
            const int which = part[p]->pixels[i * PIXELS] / 40;
            cr_expect_eq(part[p]->label[i], which == 3 ? 255 : which);
            cr_expect_not(seen[which], "image %d is in both parts", which);
            seen[which] = true;
        }
    lk_dataset_free(&part[0]);
    lk_dataset_free(&part[1]);
}

Test(idx, a_prediction_needs_no_labels_and_keeps_the_classes_of_training)
{
    lk_data_spec spec = idx_spec();
    lk_dataset *train, *validation, *file;

    cr_assert_eq(lk_dataset_open(&spec, LK_LOSS_CROSS_ENTROPY, NULL, &train, &validation), LK_OK, "%s",
                 lk_error_message());
    cr_assert_eq(
        lk_dataset_open_file(&spec, LK_LOSS_CROSS_ENTROPY, lk_dataset_stats(train), spec.train, NULL, false, &file),
        LK_OK, "%s", lk_error_message());
    cr_expect_null(file->label);
    cr_expect_eq(lk_dataset_n_output(file), 256);
    lk_dataset_free(&file);
    lk_dataset_free(&train);
}

Test(idx, damaged_files_are_named_with_their_numbers)
{
    unsigned char images[MAX_BYTES] = {0}, labels[MAX_BYTES] = {0};
    const size_t n_images = make_images(images), n_labels = make_labels(labels);
    lk_data_spec spec = idx_spec(), bad = spec;

    bad.train = write_test_file("short", images, n_images - 1);
    expect_message(&bad, LK_LOSS_CROSS_ENTROPY, LK_ERR_DATA,
                   "short holds 45 bytes, but its header (5 images) makes 46: it is cut short");
    bad.train = write_test_file("long", images, n_images + 2);
    expect_message(&bad, LK_LOSS_CROSS_ENTROPY, LK_ERR_DATA,
                   "long holds 48 bytes, but its header (5 images) makes 46: it is too long");
    bad.train = write_test_file("stub", images, 15);
    expect_message(&bad, LK_LOSS_CROSS_ENTROPY, LK_ERR_DATA,
                   "stub holds 15 bytes; the header of an idx file of images alone has 16");
    bad.train = spec.train_labels;
    expect_message(&bad, LK_LOSS_CROSS_ENTROPY, LK_ERR_DATA,
                   "holds 13 bytes; the header of an idx file of images alone has 16");
    put(images, 0x805);
    bad.train = write_test_file("magic", images, n_images);
    expect_message(&bad, LK_LOSS_CROSS_ENTROPY, LK_ERR_DATA,
                   "magic begins with 0x00000805; an idx file of images begins with 0x00000803");
    put(images, 0x803), put(images + 4, 0xFFFFFFFF), put(images + 8, 0xFFFFFFFF), put(images + 12, 0xFFFFFFFF);
    bad.train = write_test_file("huge", images, n_images);
    expect_message(&bad, LK_LOSS_CROSS_ENTROPY, LK_ERR_DATA, "it is cut short");
    put(images + 4, 0);
    bad.train = write_test_file("none", images, 16);
    expect_message(&bad, LK_LOSS_CROSS_ENTROPY, LK_ERR_DATA, "none holds no images");

    bad = spec;
    put(labels + 4, N - 1);
    bad.train_labels = write_test_file("fewer", labels, n_labels - 1);
    expect_message(&bad, LK_LOSS_CROSS_ENTROPY, LK_ERR_DATA, "holds 4 labels, but ");
    bad.train_labels = write_test_file("cut", labels, n_labels - 2);
    expect_message(&bad, LK_LOSS_CROSS_ENTROPY, LK_ERR_DATA,
                   "cut holds 11 bytes, but its header (4 labels) makes 12: it is cut short");
}

Test(idx, what_the_recipe_lacks_is_a_usage_error)
{
    lk_data_spec spec = idx_spec();

    expect_message(&spec, LK_LOSS_MSE, LK_ERR_USAGE,
                   "data.kind idx has class labels; set loss.kind to cross_entropy");
    spec.pixel_std = 0.0;
    expect_message(&spec, LK_LOSS_CROSS_ENTROPY, LK_ERR_USAGE, "both must be finite, the second not 0");
    spec.train_labels = NULL;
    expect_message(&spec, LK_LOSS_CROSS_ENTROPY, LK_ERR_USAGE,
                   "data.train_labels is missing: the file of labels that belongs to");
}

Test(idx, images_of_another_size_do_not_validate)
{
    unsigned char images[MAX_BYTES];
    const size_t n_images = make_images(images);
    lk_data_spec spec = idx_spec();

    put(images + 8, COLUMNS), put(images + 12, ROWS);
    spec.validation = write_test_file("turned", images, n_images);
    spec.validation_labels = spec.train_labels;
    expect_message(&spec, LK_LOSS_CROSS_ENTROPY, LK_ERR_DATA,
                   "turned has images of 1 x 3 x 2, the training file of 1 x 2 x 3");
}

/* Two images of two pixels with three channels, pixel (n, p, c) of value 10 n + 3 p + c, in both orders. */
Test(idx, images_may_have_channels_first_or_last)
{
    enum { HEADER = 20, IMAGES = 2, P = 2, C = 3 };
    unsigned char labels[] = {0, 0, 8, 1, 0, 0, 0, IMAGES, 0, 1};

    for (int last = 0; last < 2; last++) {
        unsigned char bytes[HEADER + IMAGES * P * C];
        const unsigned sizes[] = {0x804, IMAGES, last ? 1 : C, last ? P : 1, last ? C : P};
        for (int d = 0; d < 5; d++) put(bytes + 4 * d, sizes[d]);
        for (int n = 0; n < IMAGES; n++)
            for (int p = 0; p < P; p++)
                for (int c = 0; c < C; c++)
                    bytes[HEADER + n * P * C + (last ? p * C + c : c * P + p)] = (unsigned char)(10 * n + 3 * p + c);
        lk_data_spec spec = plain_spec(LK_DATA_IDX);
        lk_dataset *d, *none;
        int64_t image[3];
        spec.train = write_test_file("channels", bytes, sizeof bytes);
        spec.train_labels = write_test_file("labels", labels, sizeof labels);
        cr_assert_eq(lk_dataset_open(&spec, LK_LOSS_CROSS_ENTROPY, NULL, &d, &none), LK_OK, "%s", lk_error_message());
        lk_dataset_image(d, image);
        cr_expect(image[0] == C && image[1] == 1 && image[2] == P, "got %lld x %lld x %lld", (long long)image[0],
                  (long long)image[1], (long long)image[2]);
        for (int i = 0; i < IMAGES * P * C; i++)
            cr_expect_eq(d->pixels[i], 10 * (i / (P * C)) + i % (P * C), "place %d: got %d", i, d->pixels[i]);
        lk_dataset_free(&d);
        remove_test_files();
    }
}

Test(idx, sizes_of_which_none_is_a_number_of_channels_are_refused)
{
    unsigned char bytes[20 + 2 * 2 * 2] = {0};
    lk_data_spec spec = idx_spec();

    put(bytes, 0x804), put(bytes + 4, 1);
    for (int d = 2; d < 5; d++) put(bytes + 4 * d, 2);
    spec.train = write_test_file("odd", bytes, sizeof bytes);
    expect_message(&spec, LK_LOSS_CROSS_ENTROPY, LK_ERR_DATA,
                   "odd has images of 2 x 2 x 2: neither the last nor the first of them is a number of channels");
}

/* --data is given by an option, and so are its labels. */
Test(idx, labels_that_are_missing_are_asked_for_by_the_word_that_gives_them)
{
    lk_data_spec spec = idx_spec();
    lk_dataset *train, *none, *file;

    cr_assert_eq(lk_dataset_open(&spec, LK_LOSS_CROSS_ENTROPY, NULL, &train, &none), LK_OK);
    cr_expect_eq(lk_dataset_open_file(&spec, LK_LOSS_CROSS_ENTROPY, lk_dataset_stats(train), spec.train, NULL, true,
                                      &file), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "--labels is missing: the file of labels that belongs to"), "%s",
              lk_error_message());
    lk_dataset_free(&train);
}
