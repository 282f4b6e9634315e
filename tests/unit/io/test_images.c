/* The kind images: which files are read, in which order and as which class; that no pixel is held; and the message of
 * what is no such folder. */
#include <sys/stat.h>

#include "io/data/data.h"
#include "tests/support/data_files.h"
#include "tests/support/picture_files.h"
#include "tests/support/temp_dir.h"

TestSuite(images, .init = make_temp_dir, .fini = remove_temp_dir);

static lk_transform_spec crop = {.kind = LK_TRANSFORM_CENTER_CROP, .size = {4, 5}, .n_size = 2};

static char *in_temp(const char *name)
{
    enum { MOST = 64 };
    static char paths[MOST][TEST_PATH_BYTES];
    static int n;
    cr_assert_lt(n, MOST);
    char *path = paths[n++];

    snprintf(path, TEST_PATH_BYTES, "%s/%s", temp_dir, name);
    return path;
}

static void put_folder(const char *name) { cr_assert_eq(mkdir(in_temp(name), 0777), 0, "%s", name); }

static void put_file(const char *name, const void *bytes, size_t nbytes)
{
    FILE *file = fopen(in_temp(name), "wb");
    cr_assert_not_null(file, "%s", name);
    cr_assert_eq(fwrite(bytes, 1, nbytes, file), nbytes);
    cr_assert_eq(fclose(file), 0);
}

/* A PNG of one colour. */
static void put_picture(const char *name, int H, int W, int colour)
{
    uint8_t *rows = malloc((size_t)(3 * H * W));
    size_t nbytes;

    memset(rows, colour, (size_t)(3 * H * W));
    uint8_t *png = encode_png(rows, H, W, PNG_COLOR_TYPE_RGB, 8, false, &nbytes);
    put_file(name, png, nbytes);
    free(png);
    free(rows);
}

/* `train` by ImageFolder's rules: cat 11 12 13 14, dog 21 22. */
static void put_animals(void)
{
    put_folder("train");
    put_folder("train/dog");
    put_folder("train/cat");
    put_folder("train/cat/more");
    put_folder("train/cat/more/deep");
    put_folder("train/cat/more-");
    put_picture("train/cat/b.png", 9, 7, 12);
    put_picture("train/cat/B.PNG", 5, 5, 11);
    put_picture("train/cat/more-/a.jpg", 4, 9, 13);
    put_picture("train/cat/more/deep/a.Jpeg", 20, 30, 14);
    put_picture("train/dog/1.png", 4, 5, 21);
    put_picture("train/dog/10.png", 5, 6, 22);
}

static lk_data_spec images_spec(void)
{
    lk_data_spec spec = plain_spec(LK_DATA_IMAGES);
    spec.train = in_temp("train");
    spec.transforms = spec.validation_transforms = (lk_transform_list){&crop, 1};
    return spec;
}

static void open_images(const lk_data_spec *spec, lk_dataset **train, lk_dataset **validation)
{
    cr_assert_eq(lk_dataset_open(spec, LK_LOSS_CROSS_ENTROPY, NULL, train, validation), LK_OK, "%s",
                 lk_error_message());
}

/* The colour of each sample, and its label. */
static void expect_samples(const lk_dataset *d, const int *colour, const int *label, int n)
{
    const lk_loader_spec spec = {.batch = n, .lanes = 1, .lane_end = 1};
    lk_loader *loader;
    lk_batch batch;

    cr_assert_eq(lk_dataset_n(d), n);
    cr_assert_eq(lk_loader_new(d, &spec, &loader), LK_OK, "%s", lk_error_message());
    cr_assert_eq(lk_loader_next(loader, &batch), LK_OK, "%s", lk_error_message());
    for (int i = 0; i < n; i++) {
        const uint8_t *x = (const uint8_t *)batch.lane[0].field[0] + i * 60;
        for (int k = 0; k < 60; k++) cr_assert_eq(x[k], colour[i], "sample %d: got %d, want %d", i, x[k], colour[i]);
        const int got = ((const int32_t *)batch.lane[0].field[1])[i];
        cr_expect_eq(got, label[i], "label %d: got %d, want %d", i, got, label[i]);
    }
    lk_loader_free(&loader);
}

Test(images, a_folder_is_a_class_and_its_files_come_in_torchvisions_order)
{
    lk_data_spec spec;
    lk_dataset *d, *none;
    int64_t image[3];
    put_animals();
    put_file("train/cat/notes.txt", "x", 1);
    put_file("train/dog/.hidden", "x", 1);
    put_picture("train/stray.png", 4, 5, 99);
    spec = images_spec();

    open_images(&spec, &d, &none);
    lk_dataset_image(d, image);
    cr_expect(image[0] == 3 && image[1] == 4 && image[2] == 5);
    cr_expect_eq(lk_dataset_n_output(d), 2);
    cr_expect_str_eq(lk_dataset_class(d, 0), "cat");
    cr_expect_str_eq(lk_dataset_class(d, 1), "dog");
    expect_samples(d, (int[]){11, 12, 13, 14, 21, 22}, (int[]){0, 0, 0, 0, 1, 1}, 6);
    cr_expect(strstr(lk_dataset_warnings(d), "/train: 2 files have no name in .jpg, .jpeg and .png and are left out: "),
              "%s", lk_dataset_warnings(d));
    cr_expect(strstr(lk_dataset_warnings(d), "/train: 1 picture is in no class's folder and is left out"), "%s",
              lk_dataset_warnings(d));
    lk_dataset_free(&d);
}

Test(images, classes_are_those_of_training)
{
    lk_dataset *train, *validation;
    put_animals();
    put_folder("held");
    put_folder("held/dog");
    put_picture("held/dog/x.png", 8, 8, 31);
    lk_data_spec spec = images_spec();
    spec.validation = in_temp("held");

    open_images(&spec, &train, &validation);
    cr_expect_eq(lk_dataset_n_output(validation), 2);
    expect_samples(validation, (int[]){31}, (int[]){1}, 1);
    lk_dataset_free(&validation);

    /* What a checkpoint keeps is enough for another folder; without a target it may have no classes. */
    lk_dataset *other;
    char *stats = strdup(lk_dataset_stats(train));
    put_folder("plain");
    put_picture("plain/2.png", 6, 6, 42);
    put_picture("plain/1.png", 6, 6, 41);
    cr_assert_eq(lk_dataset_open_file(&spec, LK_LOSS_CROSS_ENTROPY, stats, in_temp("plain"), NULL, false, &other),
                 LK_OK, "%s", lk_error_message());
    cr_expect_eq(lk_dataset_n(other), 2);
    cr_expect_str_eq(lk_dataset_class(other, 1), "dog");
    lk_dataset_free(&other);
    cr_expect_eq(lk_dataset_open_file(&spec, LK_LOSS_CROSS_ENTROPY, stats, in_temp("plain"), NULL, true, &other),
                 LK_ERR_DATA);
    cr_expect(strstr(lk_error_message(), "/plain has no folder in it; data.kind images wants one for each class"), "%s",
              lk_error_message());
    lk_dataset_free(&train);
    free(stats);

    put_folder("held/emu");
    put_picture("held/emu/x.png", 8, 8, 31);
    cr_expect_eq(lk_dataset_open(&spec, LK_LOSS_CROSS_ENTROPY, NULL, &train, &validation), LK_ERR_DATA);
    cr_expect(strstr(lk_error_message(), "/held: label: `emu` does not occur in the training part, which has 2 values: "
                     "cat, dog"), "%s", lk_error_message());
}

Test(images, several_folders_are_one_part_and_some_may_be_set_aside)
{
    lk_dataset *train, *validation;
    put_animals();
    put_folder("more");
    put_folder("more/bat");
    put_folder("more/dog");
    put_picture("more/bat/x.png", 8, 8, 51);
    put_picture("more/dog/x.png", 8, 8, 52);
    lk_data_spec spec = images_spec();
    spec.train_files = (lk_words){(char *[]){spec.train, in_temp("more")}, 2};

    open_images(&spec, &train, &validation);
    expect_samples(train, (int[]){11, 12, 13, 14, 21, 22, 51, 52}, (int[]){1, 1, 1, 1, 2, 2, 0, 2}, 8);
    lk_dataset_free(&train);

    spec.validation_fraction = 0.25;
    open_images(&spec, &train, &validation);
    cr_expect_eq(lk_dataset_n(train), 6);
    cr_assert_eq(lk_dataset_n(validation), 2);
    const lk_loader_spec each = {.batch = 8, .lanes = 1, .lane_end = 1};
    int sum = 0;
    for (int part = 0; part < 2; part++) {
        lk_loader *loader;
        lk_batch batch;
        cr_assert_eq(lk_loader_new(part ? validation : train, &each, &loader), LK_OK);
        cr_assert_eq(lk_loader_next(loader, &batch), LK_OK, "%s", lk_error_message());
        for (int64_t i = 0; i < batch.n; i++) sum += ((const uint8_t *)batch.lane[0].field[0])[i * 60];
        lk_loader_free(&loader);
    }
    cr_expect_eq(sum, 11 + 12 + 13 + 14 + 21 + 22 + 51 + 52, "each sample is in one part: the sum is %d", sum);
    lk_dataset_free(&train);
    lk_dataset_free(&validation);
}

Test(images, no_pixel_is_held_and_a_changed_file_changes_the_hash)
{
    char first[LK_HASH_BYTES], again[LK_HASH_BYTES], changed[LK_HASH_BYTES];
    lk_dataset *d, *none;
    put_animals();
    lk_data_spec spec = images_spec();

    open_images(&spec, &d, &none);
    cr_expect_lt(lk_dataset_nbytes(d), 8192, "%zu bytes", lk_dataset_nbytes(d));
    cr_assert_eq(lk_dataset_hash(d, first), LK_OK);
    lk_dataset_free(&d);
    open_images(&spec, &d, &none);
    cr_assert_eq(lk_dataset_hash(d, again), LK_OK);
    lk_dataset_free(&d);
    cr_expect_str_eq(again, first);
    put_picture("train/dog/10.png", 50, 60, 22);
    open_images(&spec, &d, &none);
    cr_assert_eq(lk_dataset_hash(d, changed), LK_OK);
    lk_dataset_free(&d);
    cr_expect_str_neq(changed, first);
}

static void expect_message(const lk_data_spec *spec, lk_loss_kind loss, lk_status status, const char *want)
{
    lk_dataset *train, *validation;

    cr_expect_eq(lk_dataset_open(spec, loss, NULL, &train, &validation), status);
    cr_expect(strstr(lk_error_message(), want), "\n got: %s\nwant: %s", lk_error_message(), want);
}

Test(images, what_is_no_such_folder_is_told)
{
    lk_data_spec spec = images_spec();

    expect_message(&spec, LK_LOSS_CROSS_ENTROPY, LK_ERR_DATA, "cannot open the folder ");
    expect_message(&spec, LK_LOSS_CROSS_ENTROPY, LK_ERR_DATA, "/train: No such file or directory; names in a recipe ");
    expect_message(&spec, LK_LOSS_MSE, LK_ERR_USAGE,
                   "data.kind images has class labels; set loss.kind to cross_entropy");
    put_folder("train");
    expect_message(&spec, LK_LOSS_CROSS_ENTROPY, LK_ERR_DATA,
                   "/train has no folder in it; data.kind images wants one for");
    put_folder("train/cat");
    put_folder("train/dog");
    put_picture("train/cat/1.png", 4, 5, 1);
    put_file("train/dog/readme", "x", 1);
    expect_message(&spec, LK_LOSS_CROSS_ENTROPY, LK_ERR_DATA,
                   "/train/dog: a class's folder without a picture (.jpg, .jpeg and .png); fill it, or take it away");
    cr_assert_eq(symlink("nowhere", in_temp("train/dog/2.png")), 0);
    expect_message(&spec, LK_LOSS_CROSS_ENTROPY, LK_ERR_DATA, "/train/dog/2.png: No such file or directory");
    put_picture("train/dog/3.png", 4, 5, 1);
    cr_assert_eq(unlink(in_temp("train/dog/2.png")), 0);
    put_folder("train/caf\xe9");
    put_picture("train/caf\xe9/1.png", 4, 5, 1);
    expect_message(&spec, LK_LOSS_CROSS_ENTROPY, LK_ERR_DATA,
                   ": the name of a class's folder must be UTF-8; rename it");
    cr_assert_eq(unlink(in_temp("train/caf\xe9/1.png")), 0);
    cr_assert_eq(rmdir(in_temp("train/caf\xe9")), 0);
    spec.transforms = spec.validation_transforms = (lk_transform_list){0};
    expect_message(&spec, LK_LOSS_CROSS_ENTROPY, LK_ERR_USAGE, "resize");
}

/* Whoever takes the batch hears of it, whichever thread decoded. */
Test(images, a_broken_picture_is_told_when_it_is_wanted)
{
    put_animals();
    put_file("train/dog/10.png", "\xff\xd8\xff\xd9", 4);
    lk_data_spec data = images_spec();
    lk_dataset *d, *none;
    open_images(&data, &d, &none);

    for (int threads = 0; threads <= 2; threads += 2) {
        const lk_loader_spec spec = {.batch = 4, .lanes = 1, .lane_end = 1, .threads = threads};
        lk_loader *loader;
        lk_batch batch;
        cr_assert_eq(lk_loader_new(d, &spec, &loader), LK_OK);
        cr_expect_eq(lk_loader_next(loader, &batch), LK_OK, "%s", lk_error_message());
        cr_expect_eq(lk_loader_next(loader, &batch), LK_ERR_DATA);
        cr_expect(strstr(lk_error_message(), "/train/dog/10.png: this JPEG is cut short or damaged ("), "%s",
                  lk_error_message());
        lk_loader_free(&loader);
    }
    lk_dataset_free(&d);
}
