/* Features and targets from HDF5 files: types, shapes, images, and the message of everything that is wrong. */
#include <hdf5.h>
#include <math.h>

#include "io/data/data.h"
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
    double y[3] = {0, 1, 1e300};
    lk_data_spec spec = h5_spec(write_h5("nan.h5", 2, (hsize_t[]){3, 2}, x, H5T_IEEE_F64LE, 1, (hsize_t[]){3}, y));

    expect_message(&spec, LK_LOSS_MSE,
                   "nan.h5: /x: record 1 holds nan at place 1; every number must be finite in fp32");
    x[3] = 3;
    spec.train = write_h5("inf.h5", 2, (hsize_t[]){3, 2}, x, H5T_IEEE_F64LE, 1, (hsize_t[]){3}, y);
    expect_message(&spec, LK_LOSS_MSE,
                   "inf.h5: /y: record 2 holds inf at place 0; every number must be finite in fp32");
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
    spec.train = write_h5("f.h5", 2, (hsize_t[]){3, 2}, ramp, H5T_IEEE_F32LE, 1, (hsize_t[]){3}, y);
    expect_message(&spec, LK_LOSS_CROSS_ENTROPY,
                   "f.h5: /y does not hold whole numbers, as labels must be; store them as an integer type");
    spec.train = write_h5("k.h5", 2, (hsize_t[]){3, 2}, ramp, H5T_STD_I8LE, 2, (hsize_t[]){3, 2},
                          (double[]){0, 0, 0, 0, 0, 0});
    expect_message(&spec, LK_LOSS_CROSS_ENTROPY, "k.h5: /y has 2 numbers a record; cross_entropy needs one label");
}

Test(hdf5_data, files_and_sets_that_are_not_there_are_named)
{
    const double y[3] = {0, 1, 2};
    lk_data_spec spec = h5_spec("/nowhere/train.h5");

    expect_message(
        &spec, LK_LOSS_MSE,
        "cannot open /nowhere/train.h5: No such file or directory; paths are relative to the recipe's folder");
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
    expect_message(&spec, LK_LOSS_MSE, "i.h5: /x has images of 2 x 1 x 1, training had 0 x 0 x 0 (0: no images)");
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
