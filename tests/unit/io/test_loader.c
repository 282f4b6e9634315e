/*
 * The loader gives the same batches to any number of workers, starts anywhere, and allocates nothing once made;
 * both when it fills batches itself (a few kilobytes) and when a thread reads ahead (more).
 */
#include <stdatomic.h>
#include <time.h>

#include "io/data/data.h"
#include "io/data/permute.h"
#include "tests/support/data_files.h"

TestSuite(loader, .fini = remove_test_files);

enum { N = 103, FEW = 3, MANY = 2048, BATCH = 16, LANES = 4, EPOCHS = 2 };

/* ------------------------------------------------------------------- counting */

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && defined(__GLIBC__)
#define COUNTS_ALLOCATIONS 1
static atomic_long allocations;

void *__libc_malloc(size_t nbytes);
void *__libc_calloc(size_t n, size_t nbytes);
void *__libc_realloc(void *old, size_t nbytes);
void *__libc_memalign(size_t alignment, size_t nbytes);

void *malloc(size_t nbytes)
{
    allocations++;
    return __libc_malloc(nbytes);
}

void *calloc(size_t n, size_t nbytes)
{
    allocations++;
    return __libc_calloc(n, nbytes);
}

void *realloc(void *old, size_t nbytes)
{
    allocations++;
    return __libc_realloc(old, nbytes);
}

void *aligned_alloc(size_t alignment, size_t nbytes)
{
    allocations++;
    return __libc_memalign(alignment, nbytes);
}
#endif

/* -------------------------------------------------------------------- helpers */

static lk_dataset *make_data(int64_t n, int64_t n_features)
{
    lk_data_spec spec = plain_spec(LK_DATA_REGRESSION);
    lk_dataset *train, *none;
    spec.samples = n;
    spec.n_features = n_features;
    spec.n_informative = 2;
    cr_assert_eq(lk_dataset_open(&spec, LK_LOSS_MSE, NULL, &train, &none), LK_OK, "%s", lk_error_message());
    return train;
}

static lk_loader_spec worker(int r, int n_workers)
{
    lk_loader_spec spec = {.batch = BATCH, .lanes = LANES, .shuffle = true, .seed = 42, .loss = {.kind = LK_LOSS_MSE}};
    int64_t begin, end;
    cr_assert_eq(lk_part_rows(LANES, r, n_workers, &begin, &end), LK_OK);
    spec.lane_begin = (int)begin;
    spec.lane_end = (int)end;
    return spec;
}

static lk_loader *make_loader(const lk_dataset *data, const lk_loader_spec *spec)
{
    lk_loader *loader;
    cr_assert_eq(lk_loader_new(data, spec, &loader), LK_OK, "%s", lk_error_message());
    return loader;
}

static lk_batch next(lk_loader *loader)
{
    lk_batch batch;
    cr_assert_eq(lk_loader_next(loader, &batch), LK_OK, "%s", lk_error_message());
    return batch;
}

static int64_t rows_of(const lk_batch *batch, int n_lanes)
{
    int64_t n = 0;
    for (int i = 0; i < n_lanes; i++) n += batch->lane[i].n;
    return n;
}

/* The default field order: x, then the target or label. */
static const float *x_of(const lk_batch *batch, int lane) { return batch->lane[lane].field[0]; }
static const float *target_of(const lk_batch *batch, int lane) { return batch->lane[lane].field[1]; }
static const int32_t *label_of(const lk_batch *batch, int lane) { return batch->lane[lane].field[1]; }

/* Every number of every own lane is what the data set holds for the sample it names. */
static void expect_contents(const lk_dataset *data, const lk_batch *batch, int n_lanes)
{
    const size_t n_input = data->n_input;
    for (int i = 0; i < n_lanes; i++)
        for (int64_t k = 0; k < batch->lane[i].n; k++) {
            const int64_t s = batch->lane[i].sample[k];
            cr_assert(s >= 0 && s < data->n, "sample %ld", (long)s);
            cr_expect_eq(memcmp(x_of(batch, i) + (size_t)k * n_input, data->x + (size_t)s * n_input,
                                n_input * sizeof(float)),
                         0, "epoch %ld batch %ld lane %d row %ld: x is not sample %ld's", (long)batch->epoch,
                         (long)batch->index, i, (long)k, (long)s);
            if (data->target) cr_expect_eq(target_of(batch, i)[k], data->target[s]);
            if (data->label) cr_expect_eq(label_of(batch, i)[k], data->label[s]);
        }
}

/* ----------------------------------------------------------------- same batches */

static void expect_same_batches(int64_t n_features)
{
    lk_dataset *data = make_data(N, n_features);
    lk_permutation order;

    for (int n_workers = 1; n_workers <= LANES; n_workers++) {
        lk_loader *loader[LANES];
        for (int r = 0; r < n_workers; r++) {
            const lk_loader_spec spec = worker(r, n_workers);
            loader[r] = make_loader(data, &spec);
        }
        for (int64_t epoch = 0; epoch < EPOCHS; epoch++) {
            lk_permutation_init(&order, 42, LK_PURPOSE_SHUFFLE, (uint32_t)epoch, N);
            for (int64_t b = 0; b < lk_loader_batches(loader[0]); b++) {
                const int64_t n = b < N / BATCH ? BATCH : N % BATCH;
                int64_t want[BATCH], row = 0;
                lk_permutation_range(&order, b * BATCH, n, want);
                for (int r = 0; r < n_workers; r++) {
                    const lk_loader_spec spec = worker(r, n_workers);
                    const lk_batch batch = next(loader[r]);
                    cr_assert(batch.epoch == epoch && batch.index == b && batch.n == n && batch.n_terms == n);
                    cr_assert_eq(batch.last, b == N / BATCH);
                    for (int i = 0; i < spec.lane_end - spec.lane_begin; i++)
                        for (int64_t k = 0; k < batch.lane[i].n; k++, row++)
                            cr_assert_eq(batch.lane[i].sample[k], want[row], "%d workers, batch %ld, row %ld",
                                         n_workers, (long)b, (long)row);
                    expect_contents(data, &batch, spec.lane_end - spec.lane_begin);
                }
                cr_assert_eq(row, n);
            }
        }
        for (int r = 0; r < n_workers; r++) lk_loader_free(&loader[r]);
    }
    lk_dataset_free(&data);
}

Test(loader, lanes_of_1_to_4_workers_put_together_give_the_same_batches) { expect_same_batches(FEW); }
Test(loader, lanes_of_1_to_4_workers_that_read_ahead_give_the_same_batches) { expect_same_batches(MANY); }

Test(loader, every_sample_comes_once_an_epoch)
{
    lk_dataset *data = make_data(N, FEW);
    const lk_loader_spec spec = worker(0, 1);
    lk_loader *loader = make_loader(data, &spec);
    int seen[N] = {0};

    for (int64_t b = 0; b < lk_loader_batches(loader); b++) {
        const lk_batch batch = next(loader);
        for (int i = 0; i < LANES; i++)
            for (int64_t k = 0; k < batch.lane[i].n; k++) seen[batch.lane[i].sample[k]]++;
    }
    for (int i = 0; i < N; i++) cr_expect_eq(seen[i], 1, "sample %d came %d times", i, seen[i]);
    lk_loader_free(&loader);
    lk_dataset_free(&data);
}

Test(loader, without_shuffle_samples_come_in_order)
{
    lk_dataset *data = make_data(N, FEW);
    lk_loader_spec spec = worker(0, 1);
    spec.shuffle = false;
    lk_loader *loader = make_loader(data, &spec);
    int64_t want = 0;

    while (want < N) {
        const lk_batch batch = next(loader);
        for (int i = 0; i < LANES; i++)
            for (int64_t k = 0; k < batch.lane[i].n; k++) cr_expect_eq(batch.lane[i].sample[k], want++);
    }
    lk_loader_free(&loader);
    lk_dataset_free(&data);
}

/* ------------------------------------------------------------------------ seek */

static void expect_seek_equals_walking(int64_t n_features)
{
    lk_dataset *data = make_data(N, n_features);
    const lk_loader_spec spec = worker(1, 2);
    const int n_lanes = spec.lane_end - spec.lane_begin;
    lk_loader *walker = make_loader(data, &spec), *seeker = make_loader(data, &spec);
    const int64_t n_batches = lk_loader_batches(walker);

    for (int64_t epoch = 0; epoch < EPOCHS; epoch++)
        for (int64_t b = 0; b < n_batches; b++) {
            const lk_batch want = next(walker);
            /* Now and then after others, so that batches read ahead must be thrown away. */
            for (int64_t i = 0; i < b % 3; i++) next(seeker);
            cr_assert_eq(lk_loader_seek(seeker, epoch, b), LK_OK);
            const lk_batch got = next(seeker);
            cr_assert(got.epoch == want.epoch && got.index == want.index && got.n == want.n &&
                          got.last == want.last,
                      "got batch %ld of %ld, want %ld of %ld", (long)got.index, (long)got.epoch, (long)want.index,
                      (long)want.epoch);
            for (int i = 0; i < n_lanes; i++) {
                cr_assert_eq(got.lane[i].n, want.lane[i].n);
                cr_expect_eq(
                    memcmp(got.lane[i].sample, want.lane[i].sample, (size_t)want.lane[i].n * sizeof(int64_t)), 0);
            }
            expect_contents(data, &got, n_lanes);
        }
    cr_assert_eq(lk_loader_seek(seeker, 4, n_batches), LK_OK);
    const lk_batch batch = next(seeker);
    cr_expect(batch.epoch == 5 && batch.index == 0, "the end of epoch 4 is the start of 5; got %ld of %ld",
              (long)batch.index, (long)batch.epoch);
    cr_expect_eq(lk_loader_seek(seeker, 0, n_batches + 1), LK_ERR_USAGE);
    cr_expect_eq(lk_loader_seek(seeker, -1, 0), LK_ERR_USAGE);
    lk_loader_free(&walker);
    lk_loader_free(&seeker);
    lk_dataset_free(&data);
}

Test(loader, a_seek_equals_walking_there) { expect_seek_equals_walking(FEW); }
Test(loader, a_seek_equals_walking_there_when_reading_ahead) { expect_seek_equals_walking(MANY); }

Test(loader, a_batch_stays_put_while_others_are_read_ahead_and_after_a_seek)
{
    lk_dataset *data = make_data(N, MANY);
    const lk_loader_spec spec = worker(0, 1);
    lk_loader *loader = make_loader(data, &spec);
    const struct timespec while_others_fill = {0, 20 * 1000 * 1000};

    for (int i = 0; i < 6; i++) {
        const lk_batch batch = next(loader);
        if (i % 2) cr_assert_eq(lk_loader_seek(loader, i, 1), LK_OK);
        nanosleep(&while_others_fill, NULL);
        expect_contents(data, &batch, LANES);
    }
    lk_loader_free(&loader);
    lk_dataset_free(&data);
}

/* ----------------------------------------------------------------- sizes, terms */

Test(loader, the_last_batch_is_smaller_or_dropped)
{
    lk_dataset *data = make_data(N, FEW);
    lk_loader_spec spec = worker(0, 1);
    lk_loader *loader = make_loader(data, &spec);
    int64_t sizes[4];

    cr_expect_eq(lk_loader_batches(loader), 7);
    cr_assert_eq(lk_loader_seek(loader, 0, 6), LK_OK);
    lk_batch batch = next(loader);
    cr_expect(batch.n == 7 && batch.last && batch.lane[0].n == 2 && batch.lane[3].n == 1);
    cr_assert_eq(lk_loader_lane_sizes(loader, sizes), 3);
    cr_expect(sizes[0] == 4 && sizes[1] == 2 && sizes[2] == 1, "%ld %ld %ld", (long)sizes[0], (long)sizes[1],
              (long)sizes[2]);
    lk_loader_free(&loader);

    spec.drop_last = true;
    loader = make_loader(data, &spec);
    cr_expect_eq(lk_loader_batches(loader), 6);
    for (int b = 0; b < 6; b++) batch = next(loader);
    cr_expect(batch.n == BATCH && batch.last);
    batch = next(loader);
    cr_expect(batch.epoch == 1 && batch.index == 0 && !batch.last);
    cr_expect_eq(lk_loader_lane_sizes(loader, sizes), 1);
    lk_loader_free(&loader);
    lk_dataset_free(&data);
}

Test(loader, lanes_may_be_empty)
{
    lk_dataset *data = make_data(5, FEW);
    lk_loader_spec spec = {.batch = 3, .lanes = 4, .lane_begin = 2, .lane_end = 4, .shuffle = true};
    lk_loader *loader = make_loader(data, &spec);
    int64_t sizes[4];

    lk_batch batch = next(loader);
    cr_expect(batch.n == 3 && batch.lane[0].n == 1 && batch.lane[1].n == 0);
    batch = next(loader);
    cr_expect(batch.n == 2 && batch.last && batch.lane[0].n == 0 && batch.lane[1].n == 0);
    cr_assert_eq(lk_loader_lane_sizes(loader, sizes), 1);
    cr_expect_eq(sizes[0], 1);
    lk_loader_free(&loader);

    spec.lane_begin = spec.lane_end = 4;
    loader = make_loader(data, &spec);
    batch = next(loader);
    cr_expect(batch.n == 3 && batch.n_terms == 3 && rows_of(&batch, 0) == 0);
    lk_loader_free(&loader);
    lk_dataset_free(&data);
}

Test(loader, a_batch_larger_than_the_data_is_all_of_it)
{
    lk_dataset *data = make_data(5, FEW);
    const lk_loader_spec spec = {.batch = 1 << 30, .lanes = 2, .lane_end = 2};
    lk_loader *loader = make_loader(data, &spec);

    const lk_batch batch = next(loader);
    cr_expect(batch.n == 5 && batch.last && batch.lane[0].n == 3 && batch.lane[1].n == 2);
    lk_loader_free(&loader);
    lk_dataset_free(&data);
}

/* Ignored labels of lanes elsewhere count too: the mean is over the whole batch. */
Test(loader, loss_terms_are_the_labels_of_the_global_batch_that_count)
{
    lk_data_spec file = plain_spec(LK_DATA_CSV);
    lk_dataset *data, *none;
    file.train = write_test_text("l.csv", "a,y\n0,1\n1,-100\n2,-100\n3,0\n4,2\n5,-100\n6,1\n");
    file.target = "y";
    cr_assert_eq(lk_dataset_open(&file, LK_LOSS_CROSS_ENTROPY, NULL, &data, &none), LK_OK, "%s", lk_error_message());
    double weight[] = {0.5, 4.0, 0.25};
    lk_loader_spec spec = {.batch = 4, .lanes = 2, .lane_begin = 1, .lane_end = 2,
                           .loss = {.kind = LK_LOSS_CROSS_ENTROPY, .ignore_index = -100}};
    lk_loader *loader = make_loader(data, &spec);

    lk_batch batch = next(loader);
    cr_expect_eq(batch.n_terms, 2, "got %g, want 2", batch.n_terms);
    cr_expect(label_of(&batch, 0)[0] == -100 && label_of(&batch, 0)[1] == 0);
    expect_contents(data, &batch, 1);
    batch = next(loader);
    cr_expect_eq(batch.n_terms, 2);
    lk_loader_free(&loader);

    spec.loss.ignore_index = 1;
    loader = make_loader(data, &spec);
    cr_expect_eq(next(loader).n_terms, 3);
    lk_loader_free(&loader);
    spec.loss.ignore_index = 77;
    loader = make_loader(data, &spec);
    cr_expect_eq(next(loader).n_terms, 4);
    lk_loader_free(&loader);
    spec.loss.weight = weight, spec.loss.n_weight = 3, spec.loss.ignore_index = -100;
    loader = make_loader(data, &spec);
    const double first = next(loader).n_terms, second = next(loader).n_terms;
    cr_expect_eq(first, 4.5, "labels 1 and 0 weigh %g, want 4.5", first);
    cr_expect_eq(second, 4.25, "labels 2 and 1 weigh %g, want 4.25", second);
    lk_loader_free(&loader);
    lk_dataset_free(&data);
}

/* Of a set of five numbers, one sample of three. */
Test(loader, loss_terms_of_several_targets_are_all_numbers)
{
    lk_dataset *data = make_data(5, FEW);
    lk_loader_spec spec = {.batch = 2, .lanes = 1, .lane_end = 1};
    data->n = 1;
    data->n_output = 3;
    data->sample.field[1].shape[0] = 3;
    lk_loader *loader = make_loader(data, &spec);

    const lk_batch batch = next(loader);
    cr_expect_eq(batch.n_terms, 3, "got %ld, want 3", (long)batch.n_terms);
    cr_expect_eq(memcmp(target_of(&batch, 0), data->target, 3 * sizeof(float)), 0);
    lk_loader_free(&loader);
    lk_dataset_free(&data);
}

/* A model that reads its fields in another order, and one that reads fewer of them. */
Test(loader, fields_come_in_the_order_of_the_map)
{
    lk_dataset *data = make_data(5, FEW);
    lk_loader_spec spec = {.batch = 5, .lanes = 1, .lane_end = 1, .fields = {.n = 3, .from = {1, -1, 0}}};
    lk_loader *loader = make_loader(data, &spec);

    lk_batch batch = next(loader);
    cr_expect_eq(memcmp(batch.lane[0].field[0], data->target, 5 * sizeof(float)), 0, "field 0 is not the target");
    cr_expect_null(batch.lane[0].field[1], "field 1 is absent");
    cr_expect_eq(memcmp(batch.lane[0].field[2], data->x, 5 * FEW * sizeof(float)), 0, "field 2 is not x");
    lk_loader_free(&loader);

    spec.fields = (lk_field_map){.n = 1, .from = {1}};
    loader = make_loader(data, &spec);
    batch = next(loader);
    cr_expect_eq(memcmp(batch.lane[0].field[0], data->target, 5 * sizeof(float)), 0, "field 0 is not the target");
    cr_expect_null(batch.lane[0].field[1]);
    lk_loader_free(&loader);
    lk_dataset_free(&data);
}

Test(loader, every_lane_begins_on_a_cache_line)
{
    lk_dataset *data = make_data(N, FEW);
    const lk_loader_spec spec = worker(0, 1);
    lk_loader *loader = make_loader(data, &spec);

    const lk_batch batch = next(loader);
    for (int i = 0; i < LANES; i++)
        cr_expect_eq((uintptr_t)x_of(&batch, i) % 64, 0, "lane %d at %p", i, batch.lane[i].field[0]);
    lk_loader_free(&loader);
    lk_dataset_free(&data);
}

Test(loader, images_are_bytes_when_they_come)
{
    enum { SIDE = 64, IMAGES = 40 };
    unsigned char *bytes = calloc(1, 16 + IMAGES * SIDE * SIDE), labels[8 + IMAGES] = {0, 0, 8, 1, 0, 0, 0, IMAGES};
    const unsigned char header[16] = {0, 0, 8, 3, 0, 0, 0, IMAGES, 0, 0, 0, SIDE, 0, 0, 0, SIDE};
    lk_data_spec file = plain_spec(LK_DATA_IDX);
    lk_dataset *data, *none;
    memcpy(bytes, header, sizeof header);
    for (int k = 0; k < IMAGES * SIDE * SIDE; k++) bytes[16 + k] = (unsigned char)(k * 7);
    for (int i = 0; i < IMAGES; i++) labels[8 + i] = (unsigned char)(i % 10);
    file.train = write_test_file("images", bytes, 16 + IMAGES * SIDE * SIDE);
    file.train_labels = write_test_file("labels", labels, sizeof labels);
    file.pixel_mean = 0.5;
    file.pixel_std = 0.25;
    cr_assert_eq(lk_dataset_open(&file, LK_LOSS_CROSS_ENTROPY, NULL, &data, &none), LK_OK, "%s", lk_error_message());
    const lk_loader_spec spec = worker(0, 1);
    const lk_field *x = &lk_dataset_sample(data)->field[0];
    lk_loader *loader = make_loader(data, &spec);
    cr_assert_eq(x->dtype, LK_DTYPE_U8, "images travel as %s", lk_dtype_name(x->dtype));

    for (int b = 0; b < 5; b++) {
        const lk_batch batch = next(loader);
        for (int i = 0; i < LANES; i++)
            for (int64_t k = 0; k < batch.lane[i].n; k++) {
                const int64_t s = batch.lane[i].sample[k];
                cr_expect_eq(label_of(&batch, i)[k], s % 10);
                for (int j = 0; j < SIDE * SIDE; j++) {
                    const float want = ((float)bytes[16 + s * SIDE * SIDE + j] / 255.0f - 0.5f) / 0.25f;
                    const float got = number_of(x, batch.lane[i].field[0], (size_t)(k * SIDE * SIDE + j));
                    cr_assert_eq(got, want, "sample %ld, pixel %d: got %g, want %g", (long)s, j, (double)got,
                                 (double)want);
                }
            }
    }
    lk_loader_free(&loader);
    lk_dataset_free(&data);
    free(bytes);
}

/* ---------------------------------------------------------------------- failures */

static lk_status fail_at_sample_9(const lk_dataset *data, const lk_draw *draw, const int64_t *sample, int64_t n,
                                  int64_t length, void *const field[], lk_easel *easel)
{
    float *x = field[0];
    (void)length;

    memset(x, 0, (size_t)n * data->n_input * sizeof *x);
    for (int64_t i = 0; i < n; i++)
        if (sample[i] == 9) return LK_FAIL(LK_ERR_DATA, "record 9 cannot be read");
    return LK_OK;
}

Test(loader, an_error_met_while_reading_ahead_comes_with_its_batch)
{
    const int64_t features[] = {FEW, MANY};

    for (int f = 0; f < 2; f++) {
        lk_dataset *data = make_data(N, features[f]);
        data->fetch = fail_at_sample_9;
        lk_loader_spec spec = {.batch = 4, .lanes = 1, .lane_end = 1};
        lk_loader *loader = make_loader(data, &spec);
        lk_batch batch;
        next(loader);
        next(loader);
        LK_FAIL(LK_ERR_USAGE, "an older message");
        cr_expect_eq(lk_loader_next(loader, &batch), LK_ERR_DATA);
        cr_expect_str_eq(lk_error_message(), "record 9 cannot be read");
        lk_loader_free(&loader);
        lk_dataset_free(&data);
    }
}

Test(loader, impossible_specifications_are_usage_errors)
{
    lk_dataset *data = make_data(5, FEW);
    const struct { lk_loader_spec spec; const char *want; } cases[] = {
        {{.batch = 0, .lanes = 1, .lane_end = 1}, "train.batch is 0 and train.lanes 1; both must be at least 1"},
        {{.batch = 1, .lanes = 0}, "train.batch is 1 and train.lanes 0; both must be at least 1"},
        {{.batch = 1, .lanes = 2, .lane_begin = 1, .lane_end = 3}, "lanes [1, 3) are not among the 2 lanes"},
        {{.batch = 6, .lanes = 1, .lane_end = 1, .drop_last = true},
         "data.drop_last leaves no batch: 5 samples are fewer than train.batch 6"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lk_loader *loader;
        cr_expect_eq(lk_loader_new(data, &cases[i].spec, &loader), LK_ERR_USAGE);
        cr_expect_str_eq(lk_error_message(), cases[i].want);
        cr_expect_null(loader);
    }
    lk_dataset_free(&data);
}

/* ------------------------------------------------------------------- allocations */

#ifdef COUNTS_ALLOCATIONS
Test(loader, nothing_is_allocated_once_a_loader_is_made)
{
    const int64_t features[] = {FEW, MANY};

    for (int f = 0; f < 2; f++) {
        lk_dataset *data = make_data(N, features[f]);
        const lk_loader_spec spec = worker(0, 1);
        lk_batch batch;
        long before = allocations;
        lk_loader *loader = make_loader(data, &spec);
        cr_assert_gt(allocations, before, "allocations are not counted");
        next(loader);
        before = allocations;
        for (int i = 0; i < 50; i++) {
            if (i % 9 == 0 && lk_loader_seek(loader, i, i % 5) != LK_OK) break;
            if (lk_loader_next(loader, &batch) != LK_OK) break;
        }
        const long made = allocations - before;
        cr_expect_eq(made, 0, "%ld allocations in 50 batches of %ld features", made, (long)features[f]);
        lk_loader_free(&loader);
        lk_dataset_free(&data);
    }
}
#endif

/* ---------------------------------------------------------- threads, transforms */

enum { PICTURES = 53, SIDE = 6 };

/* Pictures of which no two rows are alike. */
static lk_dataset *make_pictures(lk_transform_spec *transforms, unsigned n, lk_transform_list evaluation)
{
    static unsigned char images[16 + PICTURES * SIDE * SIDE] = {0, 0, 8, 3, 0, 0, 0, PICTURES,
                                                                0, 0, 0, SIDE, 0, 0, 0, SIDE};
    static unsigned char labels[8 + PICTURES] = {0, 0, 8, 1, 0, 0, 0, PICTURES};
    lk_data_spec spec = plain_spec(LK_DATA_IDX);
    lk_dataset *data, *none;

    for (int i = 0; i < PICTURES * SIDE * SIDE; i++) images[16 + i] = (unsigned char)(i * 37 + i / 36);
    spec.train = write_test_file("images", images, sizeof images);
    spec.train_labels = write_test_file("labels", labels, sizeof labels);
    spec.transforms = (lk_transform_list){transforms, n};
    spec.validation_transforms = evaluation;
    cr_assert_eq(lk_dataset_open(&spec, LK_LOSS_CROSS_ENTROPY, NULL, &data, &none), LK_OK, "%s", lk_error_message());
    return data;
}

static const lk_loader_spec picture_spec = {.batch = 8, .lanes = 4, .lane_end = 4, .shuffle = true, .train = true,
                                            .seed = 3, .loss = {.kind = LK_LOSS_CROSS_ENTROPY, .ignore_index = -100}};

static void expect_same_lane(const lk_batch_lane *a, const lk_batch_lane *b, const char *what, int64_t index)
{
    cr_assert_eq(a->n, b->n);
    cr_assert_eq(memcmp(a->sample, b->sample, (size_t)a->n * sizeof *a->sample), 0, "%s: batch %ld: other samples",
                 what, (long)index);
    cr_assert_eq(memcmp(a->field[0], b->field[0], (size_t)a->n * SIDE * SIDE), 0,
                 "%s: batch %ld: other pictures", what, (long)index);
}

/* Whoever fills them, whoever owns them, wherever one begins. */
Test(loader, transformed_batches_are_functions_of_epoch_and_index)
{
    lk_transform_spec transforms[] = {{.kind = LK_TRANSFORM_RANDOM_CROP, .padding = 2},
                                      {.kind = LK_TRANSFORM_HFLIP, .p = 0.5}};
    lk_dataset *data = make_pictures(transforms, 2, (lk_transform_list){0});
    cr_assert_eq(lk_dataset_sample(data)->field[0].dtype, LK_DTYPE_U8);
    lk_loader_spec spec = picture_spec, half = spec;
    half.lane_begin = 2;
    spec.threads = half.threads = 5;
    lk_loader *one = make_loader(data, &picture_spec), *many = make_loader(data, &spec),
              *own = make_loader(data, &half);
    const int64_t n_batches = lk_loader_batches(one);

    for (int64_t i = 0; i < 3 * n_batches; i++) {
        const lk_batch a = next(one), b = next(many), c = next(own);
        cr_assert(a.epoch == b.epoch && a.index == b.index, "got batch %ld of %ld", (long)b.index, (long)b.epoch);
        for (int l = 0; l < 4; l++) expect_same_lane(&a.lane[l], &b.lane[l], "five threads", i);
        for (int l = 2; l < 4; l++) expect_same_lane(&a.lane[l], &c.lane[l - 2], "another worker", i);
    }
    for (int64_t i = 2 * n_batches - 1; i >= 0; i--) {
        cr_assert_eq(lk_loader_seek(one, i / n_batches, i % n_batches), LK_OK);
        cr_assert_eq(lk_loader_seek(many, i / n_batches, i % n_batches), LK_OK);
        const lk_batch a = next(one), b = next(many);
        cr_assert(b.epoch == i / n_batches && b.index == i % n_batches, "sought batch %ld", (long)i);
        for (int l = 0; l < 4; l++) expect_same_lane(&a.lane[l], &b.lane[l], "after a seek", i);
    }
    lk_loader_free(&one);
    lk_loader_free(&many);
    lk_loader_free(&own);
    lk_dataset_free(&data);
}

Test(loader, evaluation_is_not_left_to_chance)
{
    lk_transform_spec transforms[] = {{.kind = LK_TRANSFORM_RANDOM_CROP, .padding = 2}};
    lk_dataset *data = make_pictures(transforms, 1, (lk_transform_list){0});
    const lk_field *x = &lk_dataset_sample(data)->field[0];
    lk_loader_spec spec = picture_spec;
    spec.train = spec.shuffle = false;
    lk_loader *loader = make_loader(data, &spec), *training = make_loader(data, &picture_spec);
    const lk_batch batch = next(loader), moved = next(training);
    int same = 0;

    for (int i = 0; i < SIDE * SIDE; i++) {
        const float want = (float)data->pixels[i] / 255.0f, got = number_of(x, batch.lane[0].field[0], (size_t)i);
        cr_expect_eq(got, want, "pixel %d: got %g, want %g", i, (double)got, (double)want);
        same += ((const uint8_t *)moved.lane[0].field[0])[i] == data->pixels[moved.lane[0].sample[0] * SIDE * SIDE + i];
    }
    cr_expect_lt(same, SIDE * SIDE, "the training's picture was not moved");
    lk_loader_free(&loader);
    lk_loader_free(&training);
    lk_dataset_free(&data);
}

/* What every picture becomes under one normalize, in whatever type it comes: in training always, in evaluation where
 * that has it, too. */
static void expect_normalized(lk_dataset *data, lk_dtype dtype, bool in_evaluation)
{
    const lk_field *x = &lk_dataset_sample(data)->field[0];
    cr_assert_eq(x->dtype, dtype, "pictures travel as %s, want %s", lk_dtype_name(x->dtype), lk_dtype_name(dtype));

    for (int train = 0; train < 2; train++) {
        lk_loader_spec spec = picture_spec;
        spec.shuffle = false;
        spec.train = train;
        lk_loader *loader = make_loader(data, &spec);
        const lk_batch batch = next(loader);
        for (int i = 0; i < SIDE * SIDE; i++) {
            const float unit = (float)data->pixels[i] / 255.0f, got = number_of(x, batch.lane[0].field[0], (size_t)i);
            const float want = train || in_evaluation ? (unit - 0.25f) / 0.5f : unit;
            cr_expect_eq(got, want, "train %d, pixel %d: got %g, want %g", train, i, (double)got, (double)want);
        }
        lk_loader_free(&loader);
    }
    lk_dataset_free(&data);
}

/* Pictures travel as bytes where one description of them is true of training and evaluation; else as the same
 * numbers. */
Test(loader, normalize_is_by_channel_and_last)
{
    double mean[] = {0.25}, std[] = {0.5};
    lk_transform_spec normalize = {.kind = LK_TRANSFORM_NORMALIZE, .mean = mean, .std = std, .n_mean = 1, .n_std = 1};
    const lk_transform_list both = {&normalize, 1};
    lk_dataset *data, *none;
    expect_normalized(make_pictures(&normalize, 1, both), LK_DTYPE_U8, true);
    expect_normalized(make_pictures(&normalize, 1, (lk_transform_list){0}), LK_DTYPE_F32, false);

    double two[] = {0.25, 0.5};
    lk_data_spec file = plain_spec(LK_DATA_IDX);
    normalize.mean = two, normalize.n_mean = 2;
    file.transforms = (lk_transform_list){&normalize, 1};
    file.train = test_file[0], file.train_labels = test_file[1];
    cr_expect_eq(lk_dataset_open(&file, LK_LOSS_CROSS_ENTROPY, NULL, &data, &none), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "normalize has 2 means and 1 deviations, the images 1 channels"), "%s",
              lk_error_message());
}

#ifdef COUNTS_ALLOCATIONS
/* Windows of any size and whatever else a picture goes through: memory grows until the sizes that occur have been. */
Test(loader, nothing_is_allocated_once_the_sizes_of_windows_have_been)
{
    lk_transform_spec list[] = {{.kind = LK_TRANSFORM_RANDOM_RESIZED_CROP, .size = {5}, .n_size = 1,
                                 .scale = {0.1, 1.0}, .ratio = {0.5, 2.0}},
                                {.kind = LK_TRANSFORM_RESIZE, .size = {SIDE}, .n_size = 1},
                                {.kind = LK_TRANSFORM_TRIVIAL_AUGMENT},
                                {.kind = LK_TRANSFORM_COLOR_JITTER, .brightness = {{0.5}, 1}}};
    lk_dataset *data = make_pictures(list, 4, (lk_transform_list){0});
    lk_loader *loader = make_loader(data, &picture_spec);
    const int64_t n_batches = lk_loader_batches(loader);

    for (int64_t b = 0; b < n_batches; b++) next(loader);
    cr_assert_eq(lk_loader_seek(loader, 0, 0), LK_OK);
    const long before = allocations;
    for (int64_t b = 0; b < n_batches; b++) {
        lk_batch batch;
        if (lk_loader_next(loader, &batch) != LK_OK) break;
    }
    const long made = allocations - before;
    cr_expect_eq(made, 0, "%ld allocations in %ld batches", made, (long)n_batches);
    lk_loader_free(&loader);
    lk_dataset_free(&data);
}
#endif
