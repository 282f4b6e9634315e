/* Features and targets from HDF5 files: types, shapes, images, and the message of everything that is wrong. */
#include <hdf5.h>
#include <math.h>
#include <signal.h>
#include <sys/wait.h>

#include "io/data/data.h"
#include "io/file/h5.h"
#include "tests/support/data_files.h"

TestSuite(hdf5_data, .fini = remove_test_files);

static void put_set(hid_t file, const char *name, hid_t file_type, hid_t memory_type, int rank, const hsize_t *dims,
                    const void *values)
{
    const hid_t space = H5Screate_simple(rank, dims, NULL);
    const hid_t set = H5Dcreate2(file, name, file_type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    cr_assert_geq(set, 0);
    cr_assert_geq(H5Dwrite(set, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values), 0);
    H5Dclose(set);
    H5Sclose(space);
}

/* A file with x (float32) and y; y_type says how y is stored, its values are given as doubles. */
static char *write_h5(const char *name, int x_rank, const hsize_t *x_dims, const float *x, hid_t y_type, int y_rank,
                      const hsize_t *y_dims, const double *y)
{
    char *path = test_path(name);
    const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    cr_assert_geq(file, 0);
    put_set(file, "x", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, x_rank, x_dims, x);
    put_set(file, "y", y_type, H5T_NATIVE_DOUBLE, y_rank, y_dims, y);
    H5Fclose(file);
    return path;
}

static lk_data_spec h5_spec(char *train)
{
    lk_data_spec spec = plain_spec(LK_DATA_HDF5);
    spec.train = train;
    return spec;
}

static lk_dataset *open_train(const lk_data_spec *spec, lk_loss_kind loss)
{
    lk_dataset *train, *validation;
    cr_assert_eq(lk_dataset_open(spec, loss, NULL, &train, &validation), LK_OK, "%s", lk_error_message());
    return train;
}

static void expect_message(const lk_data_spec *spec, lk_loss_kind loss, const char *want)
{
    lk_dataset *train, *validation;

    cr_expect_eq(lk_dataset_open(spec, loss, NULL, &train, &validation), LK_ERR_DATA);
    cr_expect(strstr(lk_error_message(), want), "\n got: %s\nwant: %s", lk_error_message(), want);
    cr_expect_null(train);
}

static void expect_values(const char *what, const float *got, const float *want, size_t n)
{
    for (size_t i = 0; i < n; i++)
        cr_expect_eq(got[i], want[i], "%s %zu: got %.9g, want %.9g", what, i, (double)got[i], (double)want[i]);
}

static const float ramp[48] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                               16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
                               32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47};

Test(hdf5_data, tables_of_any_number_type_become_fp32)
{
    const double y[3] = {1, 2, 3};
    const hid_t types[] = {H5T_IEEE_F32LE, H5T_IEEE_F64BE, H5T_STD_I8LE, H5T_STD_U64BE};

    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        lk_data_spec spec = h5_spec(write_h5("t.h5", 2, (hsize_t[]){3, 2}, ramp, types[t], 1, (hsize_t[]){3}, y));
        lk_dataset *d = open_train(&spec, LK_LOSS_MSE);
        cr_assert_eq(lk_dataset_n(d), 3);
        cr_assert_eq(lk_dataset_n_input(d), 2);
        cr_assert_eq(lk_dataset_n_output(d), 1);
        expect_values("x", d->x, ramp, 6);
        expect_values("y", d->target, (float[]){1, 2, 3}, 3);
        lk_dataset_free(&d);
        remove_test_files();
    }
}

Test(hdf5_data, sets_have_names_of_their_own_and_several_targets)
{
    char *path = test_path("named.h5");
    const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT),
                group = H5Gcreate2(file, "in", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    put_set(group, "features", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, 3, (hsize_t[]){2, 2, 3}, ramp);
    put_set(file, "out", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, 2, (hsize_t[]){2, 2}, ramp);
    H5Gclose(group);
    H5Fclose(file);
    lk_data_spec spec = h5_spec(path);
    spec.features = "in/features";
    spec.target = "out";
    lk_dataset *d = open_train(&spec, LK_LOSS_MSE);

    cr_expect_eq(lk_dataset_n_input(d), 6);
    cr_expect_eq(lk_dataset_n_output(d), 2);
    cr_expect_str_eq(lk_dataset_target_name(d), "out");
    expect_values("x", d->x, ramp, 12);
    expect_values("target", d->target, ramp, 4);
    lk_dataset_free(&d);
}

/* (N, C, H, W) of PyTorch: value n * 24 + c * 6 + h * 3 + w. */
Test(hdf5_data, images_come_channels_last)
{
    const double y[2] = {0, 3};
    lk_data_spec spec =
        h5_spec(write_h5("i.h5", 4, (hsize_t[]){2, 4, 2, 3}, ramp, H5T_STD_I64LE, 2, (hsize_t[]){2, 1}, y));
    lk_dataset *d = open_train(&spec, LK_LOSS_CROSS_ENTROPY);
    int64_t image[3];

    lk_dataset_image(d, image);
    cr_assert(image[0] == 4 && image[1] == 2 && image[2] == 3);
    cr_assert_eq(lk_dataset_n_input(d), 24);
    cr_expect_eq(lk_dataset_n_output(d), 4);
    for (int n = 0; n < 2; n++)
        for (int h = 0; h < 2; h++)
            for (int w = 0; w < 3; w++)
                for (int c = 0; c < 4; c++) {
                    const float got = d->x[((n * 2 + h) * 3 + w) * 4 + c],
                                want = (float)(n * 24 + c * 6 + h * 3 + w);
                    cr_expect_eq(got, want, "sample %d, channel %d, (%d, %d): got %g, want %g", n, c, h, w,
                                 (double)got, (double)want);
                }
    lk_dataset_free(&d);
}

/* Values of a channel are standardised together: mean and deviation over samples and pixels are 0 and 1. */
Test(hdf5_data, images_are_standardised_by_channel)
{
    const double y[2] = {0, 1};
    lk_data_spec spec =
        h5_spec(write_h5("i.h5", 4, (hsize_t[]){2, 4, 2, 3}, ramp, H5T_STD_I64LE, 1, (hsize_t[]){2}, y));
    spec.standardize = LK_STANDARDIZE_FEATURES;
    lk_dataset *d = open_train(&spec, LK_LOSS_CROSS_ENTROPY);

    cr_assert_eq(d->stats->n_columns, 4);
    for (int c = 0; c < 4; c++) {
        double sum = 0, square = 0;
        for (int k = 0; k < 12; k++) sum += d->x[k * 4 + c], square += (double)d->x[k * 4 + c] * d->x[k * 4 + c];
        /* twelve fp32 roundings of values near 1 */
        cr_expect(fabs(sum / 12) < 1e-6 && fabs(square / 12 - 1) < 1e-6, "channel %d: mean %g, square %g", c,
                  sum / 12, square / 12);
    }
    lk_dataset_free(&d);
}

/* More records than one block of reading holds. */
Test(hdf5_data, many_images_are_read_in_blocks)
{
    enum { N = 3, C = 2, H = 1, W = 400000 };
    float *x = malloc(sizeof(float) * N * C * H * W);
    const double y[N] = {0, 1, 2};
    for (int k = 0; k < N * C * H * W; k++) x[k] = (float)k;
    lk_data_spec spec =
        h5_spec(write_h5("big.h5", 4, (hsize_t[]){N, C, H, W}, x, H5T_STD_I32LE, 1, (hsize_t[]){N}, y));
    lk_dataset *d = open_train(&spec, LK_LOSS_CROSS_ENTROPY);

    for (int n = 0; n < N; n++)
        for (int c = 0; c < C; c++)
            for (int w = 0; w < W; w++)
                cr_assert_eq(d->x[(n * W + w) * C + c], x[(n * C + c) * W + w], "sample %d, channel %d, column %d",
                             n, c, w);
    lk_dataset_free(&d);
    free(x);
}

Test(hdf5_data, numbers_that_are_not_finite_are_named_by_record)
{
    float x[6] = {0, 1, 2, NAN, 4, 5};
    double y[3] = {0, 1, 2};
    lk_data_spec spec = h5_spec(write_h5("nan.h5", 2, (hsize_t[]){3, 2}, x, H5T_IEEE_F64LE, 1, (hsize_t[]){3}, y));

    expect_message(&spec, LK_LOSS_MSE,
                   "nan.h5: /x: record 1 holds nan at place 1; every number must be finite in fp32");
    x[3] = 3;
    y[2] = 1e300;
    spec.train = write_h5("inf.h5", 2, (hsize_t[]){3, 2}, x, H5T_IEEE_F64LE, 1, (hsize_t[]){3}, y);
    expect_message(&spec, LK_LOSS_MSE,
                   "inf.h5: /y: record 2 holds 1e+300 at place 0; every number must be finite in fp32");
}

Test(hdf5_data, bad_labels_are_named_by_record)
{
    double y[3] = {0, -3, 2};
    lk_data_spec spec = h5_spec(write_h5("l.h5", 2, (hsize_t[]){3, 2}, ramp, H5T_STD_I8LE, 1, (hsize_t[]){3}, y));

    expect_message(&spec, LK_LOSS_CROSS_ENTROPY,
                   "l.h5: /y: record 1: -3 is not a label; labels are whole numbers from 0 (or -100: ignored)");
    y[1] = 1e18;
    spec.train = write_h5("u.h5", 2, (hsize_t[]){3, 2}, ramp, H5T_STD_U64LE, 1, (hsize_t[]){3}, y);
    expect_message(&spec, LK_LOSS_CROSS_ENTROPY, "u.h5: /y: record 1: 1e+18 is not a label");
    y[1] = 1.5;
    spec.train = write_h5("f.h5", 2, (hsize_t[]){3, 2}, ramp, H5T_IEEE_F32LE, 1, (hsize_t[]){3}, y);
    expect_message(&spec, LK_LOSS_CROSS_ENTROPY, "f.h5: /y: record 1: 1.5 is not a label");
    spec.train = write_h5("k.h5", 2, (hsize_t[]){3, 2}, ramp, H5T_STD_I8LE, 2, (hsize_t[]){3, 2},
                          (double[]){0, 0, 0, 0, 0, 0});
    expect_message(&spec, LK_LOSS_CROSS_ENTROPY, "k.h5: /y has 2 numbers a record; cross_entropy needs one label, "
                                               "or, with loss.probabilities: true, a probability of each class");
}

Test(hdf5_data, files_and_sets_that_are_not_there_are_named)
{
    const double y[3] = {0, 1, 2};
    lk_data_spec spec = h5_spec("/nowhere/train.h5");

    expect_message(
        &spec, LK_LOSS_MSE,
        "cannot open /nowhere/train.h5: No such file or directory; names in a recipe count from its folder, those on "
        "the command line from the current one");
    spec.train = write_test_text("text.h5", "not HDF5 at all");
    expect_message(&spec, LK_LOSS_MSE, "text.h5 as an HDF5 file");
    spec.train = write_h5("t.h5", 2, (hsize_t[]){3, 2}, ramp, H5T_IEEE_F64LE, 1, (hsize_t[]){3}, y);
    spec.features = "inputs";
    expect_message(&spec, LK_LOSS_MSE, "t.h5: / has no data set \"inputs\"");
    spec.features = NULL;
    spec.target = "z";
    expect_message(&spec, LK_LOSS_MSE, "t.h5: / has no data set \"z\"");
    spec.target = NULL;
    spec.train = write_h5("n.h5", 2, (hsize_t[]){3, 2}, ramp, H5T_IEEE_F64LE, 1, (hsize_t[]){2}, y);
    expect_message(&spec, LK_LOSS_MSE, "n.h5: /y has 2 records, the features have 3");
    spec.train = write_h5("r.h5", 5, (hsize_t[]){3, 2, 1, 1, 1}, ramp, H5T_IEEE_F64LE, 1, (hsize_t[]){3}, y);
    expect_message(&spec, LK_LOSS_MSE, "r.h5: /x has 5 dimensions, at most 4 are expected");
}

Test(hdf5_data, other_files_must_have_the_shape_of_training)
{
    const double y[3] = {0, 1, 2};
    lk_data_spec spec = h5_spec(write_h5("t.h5", 2, (hsize_t[]){3, 2}, ramp, H5T_IEEE_F64LE, 1, (hsize_t[]){3}, y));

    spec.validation = write_h5("v.h5", 2, (hsize_t[]){3, 4}, ramp, H5T_IEEE_F64LE, 1, (hsize_t[]){3}, y);
    expect_message(&spec, LK_LOSS_MSE, "v.h5: /x has records of 4 numbers, training had 2");
    spec.validation = write_h5("i.h5", 4, (hsize_t[]){3, 2, 1, 1}, ramp, H5T_IEEE_F64LE, 1, (hsize_t[]){3}, y);
    expect_message(&spec, LK_LOSS_MSE, "i.h5: /x has images of 2 x 1 x 1, training had no images");
}

Test(hdf5_data, a_prediction_needs_no_targets)
{
    const double y[3] = {0, 1, 2};
    lk_dataset *file;
    lk_data_spec spec = h5_spec(write_h5("t.h5", 2, (hsize_t[]){3, 2}, ramp, H5T_IEEE_F64LE, 1, (hsize_t[]){3}, y));
    lk_dataset *train = open_train(&spec, LK_LOSS_MSE);
    spec.target = "absent";

    cr_assert_eq(lk_dataset_open_file(&spec, LK_LOSS_MSE, lk_dataset_stats(train), spec.train, NULL, false, &file),
                 LK_OK, "%s", lk_error_message());
    cr_expect_null(file->target);
    cr_expect_eq(lk_dataset_n_output(file), 1);
    lk_dataset_free(&file);
    lk_dataset_free(&train);
}

/* HDF5 itself would read zeros. */
Test(hdf5_data, a_virtual_set_whose_source_is_missing_is_refused)
{
    const double y[3] = {0, 1, 2};
    char *source = write_h5("source.h5", 2, (hsize_t[]){3, 2}, ramp, H5T_IEEE_F64LE, 1, (hsize_t[]){3}, y),
         *path = test_path("virtual.h5");
    const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    const hid_t list = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(2, (hsize_t[]){3, 2}, NULL);
    cr_assert_geq(H5Pset_virtual(list, space, strrchr(source, '/') + 1, "/x", space), 0);
    const hid_t set = H5Dcreate2(file, "x", H5T_IEEE_F32LE, space, H5P_DEFAULT, list, H5P_DEFAULT);
    cr_assert_geq(set, 0);
    put_set(file, "y", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 1, (hsize_t[]){3}, y);
    H5Dclose(set), H5Sclose(space), H5Pclose(list), H5Fclose(file);
    lk_data_spec spec = h5_spec(path);

    lk_dataset *d = open_train(&spec, LK_LOSS_MSE);
    expect_values("x", d->x, ramp, 6);
    lk_dataset_free(&d);
    unlink(source);
    expect_message(&spec, LK_LOSS_MSE,
                   "virtual.h5: /x is virtual, and source 0 would be read as zeros: cannot open");
}

Test(hdf5_data, labels_may_be_floats_that_are_whole)
{
    const double y[3] = {0, 2, 1};
    lk_data_spec spec = h5_spec(write_h5("f.h5", 2, (hsize_t[]){3, 2}, ramp, H5T_IEEE_F32LE, 1, (hsize_t[]){3}, y));
    lk_dataset *d = open_train(&spec, LK_LOSS_CROSS_ENTROPY);

    for (int i = 0; i < 3; i++) cr_expect_eq(d->label[i], (int32_t)y[i], "label %d: got %d", i, d->label[i]);
    lk_dataset_free(&d);
}

/* h5py's bool is an enumeration of FALSE and TRUE. */
/* y (N, classes) where the loss reads probabilities; labels there become 1 and 0. */
Test(hdf5_data, targets_may_be_probabilities)
{
    const double soft[6] = {0.25, 0.5, 0.25, 0, 1, 0}, wrong[6] = {0.25, 0.5, 0.25, 0, 1.5, 0}, labels[2] = {2, 0};
    const float hard[6] = {0, 0, 1, 1, 0, 0};
    lk_data_spec spec = h5_spec(write_h5("soft.h5", 2, (hsize_t[]){2, 3}, ramp, H5T_IEEE_F32LE, 2, (hsize_t[]){2, 3},
                                         soft));
    const int64_t samples[2] = {0, 1};
    float got[6];
    void *const field[LK_MAX_FIELDS] = {NULL, got};
    lk_easel easel = {0};

    spec.probabilities = true;
    lk_dataset *d = open_train(&spec, LK_LOSS_CROSS_ENTROPY);
    cr_expect(!lk_dataset_has_labels(d) && lk_dataset_n_output(d) == 3);
    cr_assert_eq(d->fetch(d, &(lk_draw){.train = true}, samples, 2, 0, field, &easel), LK_OK);
    for (int i = 0; i < 6; i++) cr_expect_eq(got[i], (float)soft[i], "number %d: got %g", i, (double)got[i]);
    lk_dataset_free(&d);

    spec.train = write_h5("hard.h5", 2, (hsize_t[]){2, 3}, ramp, H5T_STD_I8LE, 1, (hsize_t[]){2}, labels);
    d = open_train(&spec, LK_LOSS_CROSS_ENTROPY);
    const lk_field *target = &lk_dataset_sample(d)->field[1];
    cr_expect(target->dtype == LK_DTYPE_F32 && target->shape[0] == 3 && lk_dataset_has_labels(d));
    cr_assert_eq(d->fetch(d, &(lk_draw){.train = true}, samples, 2, 0, field, &easel), LK_OK);
    expect_values("probability", got, hard, 6);
    lk_dataset_free(&d);

    spec.train = write_h5("wrong.h5", 2, (hsize_t[]){2, 3}, ramp, H5T_IEEE_F32LE, 2, (hsize_t[]){2, 3}, wrong);
    expect_message(&spec, LK_LOSS_CROSS_ENTROPY, "record 1: the target is 1.5; loss.kind cross_entropy needs targets "
                                                 "from 0 to 1");
}

Test(hdf5_data, booleans_are_0_and_1)
{
    const int8_t truth[4] = {0, 1, 1, 0};
    int8_t value = 0;
    char *path = test_path("bool.h5");
    const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), type = H5Tenum_create(H5T_NATIVE_INT8);
    H5Tenum_insert(type, "FALSE", &value);
    value = 1;
    H5Tenum_insert(type, "TRUE", &value);
    put_set(file, "x", type, type, 2, (hsize_t[]){2, 2}, truth);
    put_set(file, "y", type, type, 1, (hsize_t[]){2}, truth);
    H5Tclose(type), H5Fclose(file);
    lk_data_spec spec = h5_spec(path);
    lk_dataset *d = open_train(&spec, LK_LOSS_CROSS_ENTROPY);

    expect_values("x", d->x, (float[]){0, 1, 1, 0}, 4);
    cr_expect(d->label[0] == 0 && d->label[1] == 1);
    lk_dataset_free(&d);
}

/* 2^40 + i: doubles hold it, fp32 does not. */
Test(hdf5_data, large_whole_numbers_are_standardised_before_they_are_rounded)
{
    char *path = test_path("large.h5");
    const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    const int64_t x[2] = {(INT64_C(1) << 40) - 1, (INT64_C(1) << 40) + 1};
    put_set(file, "x", H5T_STD_I64LE, H5T_NATIVE_INT64, 1, (hsize_t[]){2}, x);
    put_set(file, "y", H5T_STD_I64LE, H5T_NATIVE_INT64, 1, (hsize_t[]){2}, x);
    H5Fclose(file);
    lk_data_spec spec = h5_spec(path);
    spec.standardize = LK_STANDARDIZE_ALL;
    lk_dataset *d = open_train(&spec, LK_LOSS_MSE);

    expect_values("x", d->x, (float[]){-1, 1}, 2);
    expect_values("y", d->target, (float[]){-1, 1}, 2);
    lk_dataset_free(&d);
}

enum { IMAGES = 24 }; /* numbers in two images of 1 x W pixels with C channels */

/* The number that comes out at place i where place j of the file has 10 j. */
static float image_value(int i, int C)
{
    const int W = IMAGES / 2 / C, n = i / (IMAGES / 2), w = i % (IMAGES / 2) / C, c = i % C;
    return (float)(10 * ((n * C + c) * W + w));
}

static char *write_images(const char *name, bool bytes, hsize_t C)
{
    const double labels[2] = {0, 1};
    float x[IMAGES];
    char *path = test_path(name);
    const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);

    for (int j = 0; j < IMAGES; j++) x[j] = (float)(10 * j);
    put_set(file, "x", bytes ? H5T_STD_U8LE : H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, 4, (hsize_t[]){2, C, 1, IMAGES / 2 / C},
            x);
    put_set(file, "y", H5T_STD_I8LE, H5T_NATIVE_DOUBLE, 1, (hsize_t[]){2}, labels);
    H5Fclose(file);
    return path;
}

/* Both images, which travel as this type, as the numbers that the model sees. */
static void fetch_images(const lk_dataset *d, lk_dtype dtype, float got[IMAGES])
{
    const lk_field *x = &lk_dataset_sample(d)->field[0];
    const int64_t samples[2] = {0, 1};
    float lane[IMAGES];
    lk_easel easel = {0};
    void *const field[LK_MAX_FIELDS] = {lane};

    cr_assert_eq(x->dtype, dtype, "images travel as %s, want %s", lk_dtype_name(x->dtype), lk_dtype_name(dtype));
    cr_assert_eq(d->fetch(d, &(lk_draw){.train = true}, samples, 2, 0, field, &easel), LK_OK);
    lk_easel_clear(&easel);
    for (size_t i = 0; i < IMAGES; i++) got[i] = number_of(x, lane, i);
}

/* As an image's bytes from any other file: divided by 255, then by channel. */
Test(hdf5_data, bytes_are_normalized_as_bytes)
{
    double mean[] = {0.5, 0.25}, std[] = {0.5, 2};
    lk_transform_spec normalize = {.kind = LK_TRANSFORM_NORMALIZE, .mean = mean, .std = std, .n_mean = 2, .n_std = 2};

    for (int bytes = 0; bytes < 2; bytes++) {
        lk_data_spec spec = h5_spec(write_images("n.h5", bytes, 2));
        spec.transforms = spec.validation_transforms = (lk_transform_list){&normalize, 1};
        lk_dataset *d = open_train(&spec, LK_LOSS_CROSS_ENTROPY);
        float got[IMAGES];
        fetch_images(d, bytes ? LK_DTYPE_U8 : LK_DTYPE_F32, got);
        for (int i = 0; i < IMAGES; i++) {
            const int c = i % 2;
            const float want = (image_value(i, 2) / (bytes ? 255.0f : 1.0f) - (float)mean[c]) / (float)std[c];
            cr_expect_eq(got[i], want, "%s, place %d: got %g, want %g", bytes ? "bytes" : "floats", i, (double)got[i],
                         (double)want);
        }
        lk_dataset_free(&d);
        remove_test_files();
    }
}

/* Without a normalize they stand for themselves; and the data are the same data as floats. */
Test(hdf5_data, bytes_of_images_are_kept_as_bytes)
{
    char hash[2][LK_HASH_BYTES];

    for (int bytes = 0; bytes < 2; bytes++) {
        lk_data_spec spec = h5_spec(write_images("b.h5", bytes, 2));
        lk_dataset *d = open_train(&spec, LK_LOSS_CROSS_ENTROPY);
        float got[IMAGES];
        cr_expect_eq(d->pixels != NULL, bytes, "pixels at %p", (void *)d->pixels);
        fetch_images(d, bytes ? LK_DTYPE_U8 : LK_DTYPE_F32, got);
        for (int i = 0; i < IMAGES; i++)
            cr_expect_eq(got[i], image_value(i, 2), "place %d: got %g, want %g", i, (double)got[i],
                         (double)image_value(i, 2));
        lk_dataset_hash(d, hash[bytes]);
        lk_dataset_free(&d);
        remove_test_files();
    }
    cr_expect_str_eq(hash[true], hash[false], "as bytes %s, as floats %s", hash[true], hash[false]);
}

/* What one description of bytes cannot say: statistics of each pixel's channel in double, floats in the other part,
 * more channels of their own than it has room for. */
Test(hdf5_data, bytes_become_floats_where_they_must)
{
    double mean[] = {1, 2, 3, 4, 5, 6}, std[] = {1, 2, 3, 4, 5, 6};
    lk_transform_spec normalize = {.kind = LK_TRANSFORM_NORMALIZE, .mean = mean, .std = std, .n_mean = 6, .n_std = 6};
    lk_data_spec spec = h5_spec(write_images("s.h5", true, 2)), mixed = spec,
                 many = h5_spec(write_images("m.h5", true, 6));
    lk_dataset *d, *validation;
    float got[IMAGES];
    spec.standardize = LK_STANDARDIZE_FEATURES;
    mixed.validation = write_images("f.h5", false, 2);
    many.transforms = many.validation_transforms = (lk_transform_list){&normalize, 1};

    d = open_train(&spec, LK_LOSS_CROSS_ENTROPY);
    fetch_images(d, LK_DTYPE_F32, got);
    for (int i = 0; i < IMAGES; i++) {
        const lk_scale *s = &d->stats->column[i % 2].scale;
        const float want = (float)((image_value(i, 2) - s->mean) / s->deviation);
        cr_expect_eq(got[i], want, "place %d: got %g, want %g", i, (double)got[i], (double)want);
    }
    lk_dataset_free(&d);

    cr_assert_eq(lk_dataset_open(&mixed, LK_LOSS_CROSS_ENTROPY, NULL, &d, &validation), LK_OK, "%s",
                 lk_error_message());
    fetch_images(validation, LK_DTYPE_F32, got);
    fetch_images(d, LK_DTYPE_F32, got);
    for (int i = 0; i < IMAGES; i++) cr_expect_eq(got[i], image_value(i, 2), "place %d: got %g", i, (double)got[i]);
    lk_dataset_free(&d);
    lk_dataset_free(&validation);

    char *files[] = {spec.train, mixed.validation};
    spec.standardize = LK_STANDARDIZE_NONE;
    spec.train_files = (lk_words){files, 2};
    d = open_train(&spec, LK_LOSS_CROSS_ENTROPY);
    cr_assert_eq(lk_dataset_n(d), 4);
    for (int i = 0; i < 2 * IMAGES; i++)
        cr_expect_eq(d->x[i], image_value(i % IMAGES, 2), "of two files, place %d: got %g", i, (double)d->x[i]);
    lk_dataset_free(&d);

    d = open_train(&many, LK_LOSS_CROSS_ENTROPY);
    fetch_images(d, LK_DTYPE_F32, got);
    for (int i = 0; i < IMAGES; i++) {
        const float want = (image_value(i, 6) / 255.0f - (float)mean[i % 6]) / (float)std[i % 6];
        cr_expect_eq(got[i], want, "place %d: got %g, want %g", i, (double)got[i], (double)want);
    }
    lk_dataset_free(&d);
}

/* ------------------------------------------------- zeros that nobody wrote */

/* A file with a good y of three records, and a set x of (3, 2) made by `list` and never written. */
static char *unwritten(const char *name, hid_t list)
{
    const double y[3] = {0, 1, 2};
    char *path = test_path(name);
    const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT),
                space = H5Screate_simple(2, (hsize_t[]){3, 2}, NULL),
                set = H5Dcreate2(file, "x", H5T_IEEE_F32LE, space, H5P_DEFAULT, list, H5P_DEFAULT);
    cr_assert_geq(set, 0);
    put_set(file, "y", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 1, (hsize_t[]){3}, y);
    H5Dclose(set), H5Sclose(space), H5Fclose(file);
    if (list != H5P_DEFAULT) H5Pclose(list);
    return path;
}

static hid_t chunked(void)
{
    const hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(list, 2, (hsize_t[]){1, 2});
    return list;
}

Test(hdf5_data, what_was_never_written_is_refused)
{
    lk_data_spec spec = h5_spec(unwritten("never.h5", H5P_DEFAULT));

    expect_message(&spec, LK_LOSS_MSE,
                   "never.h5: /x was never written and would be read as zeros; write it, or set a fill value");
    spec.train = unwritten("chunks.h5", chunked());
    expect_message(&spec, LK_LOSS_MSE, "chunks.h5: /x was never written");

    const hid_t file = H5Fopen(spec.train, H5F_ACC_RDWR, H5P_DEFAULT), set = H5Dopen2(file, "x", H5P_DEFAULT),
                space = H5Dget_space(set), row = H5Screate_simple(2, (hsize_t[]){1, 2}, NULL);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, (hsize_t[]){1, 0}, NULL, (hsize_t[]){1, 2}, NULL);
    cr_assert_geq(H5Dwrite(set, H5T_NATIVE_FLOAT, row, space, H5P_DEFAULT, ramp), 0);
    H5Sclose(row), H5Sclose(space), H5Dclose(set), H5Fclose(file);
    expect_message(&spec, LK_LOSS_MSE,
                   "chunks.h5: /x: only 1 of its 3 chunks were written, the others would be read as zeros");
}

Test(hdf5_data, a_fill_value_that_somebody_set_is_data)
{
    const float seven = 7;
    const hid_t list = chunked();
    H5Pset_fill_value(list, H5T_NATIVE_FLOAT, &seven);
    lk_data_spec spec = h5_spec(unwritten("fill.h5", list));
    lk_dataset *d = open_train(&spec, LK_LOSS_MSE);

    expect_values("x", d->x, (float[]){7, 7, 7, 7, 7, 7}, 6);
    lk_dataset_free(&d);
}

/* Fewer bytes than the shape has, and yet all of it. */
Test(hdf5_data, what_is_compressed_was_written)
{
    const hid_t list = chunked();
    H5Pset_deflate(list, 9);
    lk_data_spec spec = h5_spec(unwritten("deflate.h5", list));
    const float zeros[6] = {0};
    const hid_t file = H5Fopen(spec.train, H5F_ACC_RDWR, H5P_DEFAULT), set = H5Dopen2(file, "x", H5P_DEFAULT);
    cr_assert_geq(H5Dwrite(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, zeros), 0);
    H5Dclose(set), H5Fclose(file);

    lk_dataset *d = open_train(&spec, LK_LOSS_MSE);
    expect_values("x", d->x, zeros, 6);
    lk_dataset_free(&d);
}

/* A list that maps rows [0, rows) of x from row 0 on of /x in a file beside this one. */
static hid_t mapped(const char *source, hsize_t rows, hsize_t source_rows)
{
    const hid_t list = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(2, (hsize_t[]){3, 2}, NULL),
                from = H5Screate_simple(2, (hsize_t[]){source_rows, 2}, NULL);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, (hsize_t[]){0, 0}, NULL, (hsize_t[]){rows, 2}, NULL);
    H5Sselect_hyperslab(from, H5S_SELECT_SET, (hsize_t[]){0, 0}, NULL, (hsize_t[]){rows, 2}, NULL);
    cr_assert_geq(H5Pset_virtual(list, space, strrchr(source, '/') + 1, "/x", from), 0);
    H5Sclose(from), H5Sclose(space);
    return list;
}

Test(hdf5_data, a_virtual_set_with_gaps_is_refused)
{
    const double y[3] = {0, 1, 2};
    const float one = 1;
    char *good = write_h5("good.h5", 2, (hsize_t[]){3, 2}, ramp, H5T_IEEE_F64LE, 1, (hsize_t[]){3}, y);
    lk_data_spec spec = h5_spec(unwritten("gap.h5", mapped(good, 2, 3)));

    expect_message(&spec, LK_LOSS_MSE, "gap.h5: /x is virtual, and its sources cover 4 of its 6 numbers");
    const hid_t filled = mapped(good, 2, 3);
    H5Pset_fill_value(filled, H5T_NATIVE_FLOAT, &one);
    spec.train = unwritten("filled.h5", filled);
    lk_dataset *d = open_train(&spec, LK_LOSS_MSE);
    expect_values("x", d->x, (float[]){0, 1, 2, 3, 1, 1}, 6);
    lk_dataset_free(&d);

    char *small = write_h5("small.h5", 2, (hsize_t[]){2, 2}, ramp, H5T_IEEE_F64LE, 1, (hsize_t[]){3}, y);
    spec.train = unwritten("outside.h5", mapped(small, 3, 3));
    expect_message(&spec, LK_LOSS_MSE, "small.h5: /x has 2 places along dimension 0, 3 are taken from it");
}

Test(hdf5_data, zeros_behind_two_virtual_sets_are_refused)
{
    const double y[3] = {0, 1, 2};
    char *source = write_h5("source.h5", 2, (hsize_t[]){3, 2}, ramp, H5T_IEEE_F64LE, 1, (hsize_t[]){3}, y),
         *middle = unwritten("middle.h5", mapped(source, 3, 3));
    lk_data_spec spec = h5_spec(unwritten("outer.h5", mapped(middle, 3, 3)));
    lk_dataset *d = open_train(&spec, LK_LOSS_MSE);

    expect_values("x", d->x, ramp, 6);
    lk_dataset_free(&d);
    unlink(source);
    expect_message(&spec, LK_LOSS_MSE, "outer.h5: /x is virtual, and source 0 would be read as zeros: ");
    cr_expect(strstr(lk_error_message(), "middle.h5: /x is virtual") && strstr(lk_error_message(), "cannot open"), "%s",
              lk_error_message());
    spec.train = unwritten("over.h5", mapped(unwritten("never.h5", H5P_DEFAULT), 3, 3));
    expect_message(&spec, LK_LOSS_MSE, "never.h5: /x was never written");
}

Test(hdf5_data, external_storage_that_is_too_short_is_refused)
{
    char *raw = write_test_file("raw", ramp, 5 * sizeof *ramp);
    const hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_external(list, raw, 0, 6 * sizeof *ramp);
    lk_data_spec spec = h5_spec(unwritten("external.h5", list));

    expect_message(&spec, LK_LOSS_MSE, "-raw, which is 4 bytes short; they would be read as zeros");
    write_test_file("more", ramp, 1);
    FILE *file = fopen(raw, "ab");
    fwrite(ramp + 5, sizeof *ramp, 1, file);
    fclose(file);
    lk_dataset *d = open_train(&spec, LK_LOSS_MSE);
    expect_values("x", d->x, ramp, 6);
    lk_dataset_free(&d);
    unlink(raw);
    expect_message(&spec, LK_LOSS_MSE, "-raw, which is not there and would be read as zeros");
}

/* ------------------------------------------------------- what HDF5 lacks here */

enum { OUR_FILTER = 300 }; /* of the range for tests */

static size_t add_a_byte(unsigned flags, size_t n_values, const unsigned *values, size_t nbytes, size_t *capacity,
                         void **bytes)
{
    if (flags & H5Z_FLAG_REVERSE) return nbytes - 1;
    *bytes = H5resize_memory(*bytes, nbytes + 1);
    *capacity = nbytes + 1;
    ((unsigned char *)*bytes)[nbytes] = 0;
    return nbytes + 1;
}

Test(hdf5_data, a_filter_that_is_missing_is_named)
{
    const H5Z_class2_t filter = {.version = H5Z_CLASS_T_VERS, .id = OUR_FILTER, .encoder_present = 1,
                                 .decoder_present = 1, .name = "lzf", .filter = add_a_byte};
    cr_assert_geq(H5Zregister(&filter), 0);
    const hid_t list = chunked();
    H5Pset_filter(list, OUR_FILTER, H5Z_FLAG_MANDATORY, 0, NULL);
    lk_data_spec spec = h5_spec(unwritten("packed.h5", list));
    const hid_t file = H5Fopen(spec.train, H5F_ACC_RDWR, H5P_DEFAULT), set = H5Dopen2(file, "x", H5P_DEFAULT);
    cr_assert_geq(H5Dwrite(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, ramp), 0);
    H5Dclose(set), H5Fclose(file);
    H5Zunregister(OUR_FILTER);

    expect_message(&spec, LK_LOSS_MSE, "packed.h5: /x is compressed by the filter lzf (300), which HDF5 lacks here");
    cr_expect(strstr(lk_error_message(), "h5repack -f GZIP=4"), "%s", lk_error_message());
}

/* The version of the superblock is its ninth byte. */
Test(hdf5_data, a_file_of_a_newer_version_is_said_to_be_one)
{
    const double y[3] = {0, 1, 2};
    lk_data_spec spec = h5_spec(write_h5("new.h5", 2, (hsize_t[]){3, 2}, ramp, H5T_IEEE_F64LE, 1, (hsize_t[]){3}, y));
    FILE *file = fopen(spec.train, "r+b");
    fseek(file, 8, SEEK_SET);
    fputc(9, file);
    fclose(file);

    expect_message(&spec, LK_LOSS_MSE, "written by a newer HDF5 than ");
}

/* Whatever kills the process while a file is read, the file has been named. */
Test(hdf5_data, a_death_inside_the_library_names_the_file_first)
{
    int ends[2], status;
    char said[2048] = "";

    cr_assert_eq(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        lk_h5_guard_begin("/data/broken.h5");
        abort();
    }
    close(ends[1]);
    cr_assert_gt(read(ends[0], said, sizeof said - 1), 0);
    waitpid(child, &status, 0);
    cr_expect(strstr(said, "while reading /data/broken.h5: the file is damaged"), "said: %s", said);
    cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "status %d", status);
    close(ends[0]);
}
