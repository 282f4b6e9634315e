/* Data larger than memory: the same samples as from memory, in an order that is a function of the epoch, each
 * block read once. */
#include <hdf5.h>
#include <math.h>

#include "io/data/data.h"
#include "tests/support/data_files.h"

TestSuite(stream, .fini = remove_test_files);

enum { K = 256, N = 10300, BLOCK = 1024 /* a MiB of K floats */, MEMORY = 6, BATCH = 48, LANES = 3 };

/* (n, K) floats, number j of record i being a function of `first` + i and j. */
static char *write_records(const char *name, int64_t first, int64_t n)
{
    char *path = test_path(name);
    float *x = malloc(sizeof *x * (size_t)(n * K)), *y = malloc(sizeof *y * (size_t)n);
    const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);

    for (int64_t i = 0; i < n * K; i++) x[i] = (float)((first * K + i) * 7919 % 100003);
    for (int64_t i = 0; i < n; i++) y[i] = (float)(first + i);
    for (int s = 0; s < 2; s++) {
        const hid_t space = H5Screate_simple(s ? 1 : 2, (hsize_t[]){(hsize_t)n, K}, NULL);
        const hid_t set = H5Dcreate2(file, s ? "y" : "x", H5T_IEEE_F32LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        cr_assert_geq(H5Dwrite(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, s ? y : x), 0);
        H5Dclose(set), H5Sclose(space);
    }
    H5Fclose(file);
    free(x), free(y);
    return path;
}

static lk_data_spec records_spec(char *path)
{
    lk_data_spec spec = plain_spec(LK_DATA_HDF5);
    spec.train = path;
    spec.memory = MEMORY;
    spec.standardize = LK_STANDARDIZE_ALL;
    return spec;
}

static lk_dataset *open_train(const lk_data_spec *spec)
{
    lk_dataset *train, *validation;
    cr_assert_eq(lk_dataset_open(spec, LK_LOSS_MSE, NULL, &train, &validation), LK_OK, "%s", lk_error_message());
    lk_dataset_free(&validation);
    return train;
}

static lk_loader *make_loader(const lk_dataset *data, int lane_begin, int threads)
{
    const lk_loader_spec spec = {.batch = BATCH, .lanes = LANES, .lane_begin = lane_begin, .lane_end = LANES,
                                 .shuffle = true,
                                 .train = true, .threads = threads, .seed = 9, .loss = {.kind = LK_LOSS_MSE}};
    lk_loader *loader;
    cr_assert_eq(lk_loader_new(data, &spec, &loader), LK_OK, "%s", lk_error_message());
    return loader;
}

static lk_batch next(lk_loader *loader)
{
    lk_batch batch;
    cr_assert_eq(lk_loader_next(loader, &batch), LK_OK, "%s", lk_error_message());
    return batch;
}

/* The same file read whole is what every sample is compared with. */
static lk_dataset *open_whole(lk_data_spec spec)
{
    spec.memory = 0;
    lk_dataset *whole = open_train(&spec);
    cr_assert_not_null(whole->x);
    return whole;
}

static void expect_lane(const lk_dataset *whole, const lk_batch_lane *lane)
{
    for (int64_t k = 0; k < lane->n; k++) {
        const int64_t s = lane->sample[k];
        cr_assert_eq(memcmp((const float *)lane->field[0] + k * K, whole->x + s * K, K * sizeof(float)), 0,
                     "sample %ld is another's", (long)s);
        cr_assert_eq(((const float *)lane->field[1])[k], whole->target[s]);
    }
}

Test(stream, an_epoch_has_every_sample_once_and_reads_every_block_once)
{
    lk_data_spec spec = records_spec(write_records("r.h5", 0, N));
    lk_dataset *whole = open_whole(spec), *data = open_train(&spec);
    bool *seen = calloc(N, sizeof *seen);
    cr_assert(data->stream && !data->x, "it was read whole");
    cr_expect_eq(data->block, BLOCK, "blocks of %ld", (long)data->block);
    const int64_t before = lk_stream_n_read(data->stream), blocks = (N + BLOCK - 1) / BLOCK;
    lk_loader *loader = make_loader(data, 0, 1);

    for (int64_t i = 0; i < lk_loader_batches(loader); i++) {
        const lk_batch batch = next(loader);
        for (int l = 0; l < LANES; l++) {
            expect_lane(whole, &batch.lane[l]);
            for (int64_t k = 0; k < batch.lane[l].n; k++) {
                cr_assert_not(seen[batch.lane[l].sample[k]], "sample %ld comes twice", (long)batch.lane[l].sample[k]);
                seen[batch.lane[l].sample[k]] = true;
            }
        }
    }
    for (int64_t i = 0; i < N; i++) cr_assert(seen[i], "sample %ld does not come", (long)i);
    lk_loader_free(&loader);
    /* The loader had begun the next epoch: at most one window of it, and the one that is read ahead. */
    const int64_t read = lk_stream_n_read(data->stream) - before;
    cr_expect(read >= blocks - 5 && read <= blocks + 2 * data->window + 1, "%ld blocks were read, the file has %ld",
              (long)read, (long)blocks);
    free(seen);
    lk_dataset_free(&data);
    lk_dataset_free(&whole);
}

/* What somebody keeps the features of is not read again. */
Test(stream, targets_alone_read_nothing)
{
    lk_data_spec spec = records_spec(write_records("r.h5", 0, N));
    lk_dataset *whole = open_whole(spec), *data = open_train(&spec);
    const lk_loader_spec targets = {.batch = BATCH, .lanes = 1, .lane_end = 1, .shuffle = true, .train = true,
                                    .seed = 9, .loss = {.kind = LK_LOSS_MSE}, .fields = {.n = 2, .from = {-1, 1}}};
    const int64_t before = lk_stream_n_read(data->stream);
    lk_loader *loader;

    cr_assert_eq(lk_loader_new(data, &targets, &loader), LK_OK, "%s", lk_error_message());
    for (int64_t i = 0; i < lk_loader_batches(loader); i++) {
        const lk_batch batch = next(loader);
        const lk_batch_lane *lane = &batch.lane[0];

        cr_expect_null(lane->field[0], "inputs came though nobody wants them");
        for (int64_t k = 0; k < lane->n; k++)
            cr_expect_eq(((const float *)lane->field[1])[k], whole->target[lane->sample[k]]);
    }
    lk_loader_free(&loader);
    cr_expect_eq(lk_stream_n_read(data->stream), before, "%ld blocks were read", (long)lk_stream_n_read(data->stream));
    lk_dataset_free(&data);
    lk_dataset_free(&whole);
}

/* By another worker, by several threads, after a resume; from two files as from one. */
Test(stream, batches_are_functions_of_epoch_and_index)
{
    char *files[] = {write_records("a.h5", 0, 3000), write_records("b.h5", 3000, N - 3000)};
    lk_data_spec spec = records_spec(write_records("r.h5", 0, N)), parts = spec;
    parts.train = files[0];
    parts.train_files = (lk_words){files, 2};
    lk_dataset *one = open_train(&spec), *two = open_train(&parts);
    lk_loader *a = make_loader(one, 0, 1), *b = make_loader(two, 1, 4);
    const int64_t n = lk_loader_batches(a), places[] = {0, 1, n - 1, n, n + n / 2, 2 * n - 1, 3, n - 2};
    char hash[2][LK_HASH_BYTES];

    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        cr_assert_eq(lk_loader_seek(a, places[i] / n, places[i] % n), LK_OK);
        cr_assert_eq(lk_loader_seek(b, places[i] / n, places[i] % n), LK_OK);
        for (int step = 0; step < 3; step++) {
            const lk_batch p = next(a), q = next(b);
            cr_assert(p.epoch == q.epoch && p.index == q.index);
            for (int l = 1; l < LANES; l++) {
                cr_assert_eq(p.lane[l].n, q.lane[l - 1].n);
                cr_assert_eq(memcmp(p.lane[l].sample, q.lane[l - 1].sample, (size_t)p.lane[l].n * sizeof(int64_t)), 0);
                cr_assert_eq(
                    memcmp(p.lane[l].field[0], q.lane[l - 1].field[0], (size_t)p.lane[l].n * K * sizeof(float)), 0,
                    "batch %ld of epoch %ld differs", (long)p.index, (long)p.epoch);
            }
        }
    }
    lk_loader_free(&a);
    lk_loader_free(&b);
    lk_dataset_hash(one, hash[0]);
    lk_dataset_hash(two, hash[1]);
    cr_expect_str_eq(hash[0], hash[1]);
    lk_dataset_free(&one);
    lk_dataset_free(&two);
}

Test(stream, shuffling_reaches_as_far_as_the_buffer)
{
    lk_data_spec spec = records_spec(write_records("r.h5", 0, N));
    lk_dataset *data, *none;
    spec.shuffle_buffer = BLOCK;
    data = open_train(&spec);
    cr_expect_eq(data->window, 1, "windows of %ld blocks", (long)data->window);
    lk_loader *loader = make_loader(data, 0, 1);
    const lk_batch batch = next(loader);
    for (int l = 0; l < LANES; l++)
        for (int64_t k = 0; k < batch.lane[l].n; k++)
            cr_expect_eq(batch.lane[l].sample[k] / BLOCK, batch.lane[0].sample[0] / BLOCK, "another block's sample");
    lk_loader_free(&loader);
    lk_dataset_free(&data);

    spec.shuffle_buffer = 5 * BLOCK;
    cr_expect_eq(lk_dataset_open(&spec, LK_LOSS_MSE, NULL, &data, &none), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(),
                     "blocks of 1 MiB (1024 samples), and 11 of them must fit into the 6 MiB for this part; "
                     "give more, or a smaller data.shuffle_buffer"),
              "%s", lk_error_message());
    spec.shuffle_buffer = 0;
    spec.memory = 3;
    cr_expect_eq(lk_dataset_open(&spec, LK_LOSS_MSE, NULL, &data, &none), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "and 3 of them must fit into the 3 MiB for this part; give more"), "%s",
              lk_error_message());
    spec.memory = MEMORY;
    spec.validation_fraction = 0.1;
    cr_expect_eq(lk_dataset_open(&spec, LK_LOSS_MSE, NULL, &data, &none), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "data.validation_fraction: "), "%s", lk_error_message());
}

/* (n, 1, 16, 16) bytes, number j of image i being a function of `first` + i and j. */
static char *write_images(const char *name, int64_t first, int64_t n)
{
    char *path = test_path(name);
    uint8_t *x = malloc((size_t)(n * K)), *y = calloc(1, (size_t)n);
    const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);

    for (int64_t i = 0; i < n * K; i++) x[i] = (uint8_t)((first * K + i) * 7919 % 251);
    for (int s = 0; s < 2; s++) {
        const hid_t space = H5Screate_simple(s ? 1 : 4, (hsize_t[]){(hsize_t)n, 1, 16, 16}, NULL);
        const hid_t set = H5Dcreate2(file, s ? "y" : "x", H5T_STD_U8LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        cr_assert_geq(H5Dwrite(set, H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, s ? y : x), 0);
        H5Dclose(set), H5Sclose(space);
    }
    H5Fclose(file);
    free(x), free(y);
    return path;
}

/* Images of bytes stay bytes: four times as many fit. */
Test(stream, images_are_read_as_bytes)
{
    char *files[] = {write_images("a.h5", 0, 4000), write_images("b.h5", 4000, N - 4000)};
    lk_data_spec spec = plain_spec(LK_DATA_HDF5);
    spec.train = files[0];
    spec.train_files = (lk_words){files, 2};
    spec.memory = 1; /* MiB, of 2.5 */
    lk_dataset *data = open_train(&spec);
    spec.memory = 0;
    lk_dataset *whole = open_train(&spec);
    lk_loader *loader = make_loader(data, 0, 4);
    cr_assert(data->stream && whole->pixels, "both are held alike");
    cr_expect_eq(data->block, BLOCK, "blocks of %ld", (long)data->block);
    cr_expect_leq(lk_dataset_nbytes(data), (1 << 20) + N * sizeof(float), "%zu bytes", lk_dataset_nbytes(data));
    cr_expect_eq(lk_dataset_nbytes(whole), N * (K + sizeof(float)), "%zu bytes", lk_dataset_nbytes(whole));

    for (int64_t i = 0; i < lk_loader_batches(loader); i++) {
        const lk_batch batch = next(loader);
        for (int l = 0; l < LANES; l++)
            for (int64_t k = 0; k < batch.lane[l].n; k++) {
                const int64_t s = batch.lane[l].sample[k];
                const uint8_t *got = (const uint8_t *)batch.lane[l].field[0] + k * K;
                cr_assert_eq(memcmp(got, whole->pixels + s * K, K), 0, "sample %ld is another's", (long)s);
            }
    }
    lk_loader_free(&loader);
    lk_dataset_free(&data);
    lk_dataset_free(&whole);
}

/* Validation goes through its file in order; both parts together keep to the budget. */
Test(stream, a_validation_part_is_read_in_order)
{
    lk_data_spec spec = records_spec(write_records("t.h5", 0, N));
    lk_dataset *train, *validation, *whole;
    lk_batch batch = {0};
    int64_t at = 0;
    spec.memory = 16;
    spec.validation = write_records("v.h5", 500, N);
    lk_data_spec all = spec;
    all.memory = 0;
    cr_assert_eq(lk_dataset_open(&spec, LK_LOSS_MSE, NULL, &train, &validation), LK_OK, "%s", lk_error_message());
    lk_dataset *unused;
    cr_assert_eq(lk_dataset_open(&all, LK_LOSS_MSE, NULL, &unused, &whole), LK_OK);
    cr_assert(validation->stream && train->x, "10 MiB of 12 fit, 10 of 4 do not");
    const lk_loader_spec in_order = {.batch = BATCH, .lanes = 1, .lane_end = 1, .loss = {.kind = LK_LOSS_MSE}};
    lk_loader *loader;
    cr_assert_eq(lk_loader_new(validation, &in_order, &loader), LK_OK);

    while (!batch.last) {
        batch = next(loader);
        for (int64_t k = 0; k < batch.n; k++) cr_assert_eq(batch.lane[0].sample[k], at++);
        expect_lane(whole, &batch.lane[0]);
    }
    cr_expect_eq(at, N);
    lk_loader_free(&loader);
    lk_dataset_free(&unused);
    lk_dataset_free(&whole);
    lk_dataset_free(&train);
    lk_dataset_free(&validation);
}
