/* Batches by length: every sample once an epoch, the same batches from any position, by any worker, of lengths that are
 * alike; what is filled up beside an order without them; and the steps that loss.reduction sequence divides by. */
#include "io/data/by_length.h"
#include "io/data/data.h"
#include "tests/support/data_files.h"

TestSuite(by_length, .fini = remove_test_files);

enum { SEED = 5, EPOCH = 3, LONGEST = 40 };

static const struct { int64_t n, batch, window; } cases[] = {
    {1, 1, 1}, {100, 10, 4}, {103, 10, 4}, {7, 10, 3}, {1000, 7, 11}, {64, 8, 100}, {101, 20, 1},
};
enum { N_CASES = sizeof cases / sizeof *cases };

static int64_t length_of(const void *data, int64_t sample)
{
    (void)data;
    return 1 + sample * 7919 % LONGEST;
}

static void begin(int c, bool shuffle, lk_shuffle *order, lk_by_length *b)
{
    cr_assert_eq(lk_shuffle_init(order, cases[c].n, shuffle, SEED, 0, 0), LK_OK);
    cr_assert_eq(lk_by_length_init(b, cases[c].n, cases[c].batch, cases[c].window, length_of, NULL, LONGEST), LK_OK);
}

static void end(lk_shuffle *order, lk_by_length *b)
{
    lk_by_length_clear(b);
    lk_shuffle_clear(order);
}

static int64_t *whole_epoch(int c, bool shuffle, int64_t epoch)
{
    int64_t *sample = calloc((size_t)cases[c].n, sizeof *sample);
    lk_shuffle order;
    lk_by_length b;

    begin(c, shuffle, &order, &b);
    lk_by_length_range(&b, &order, epoch, 0, cases[c].n, sample);
    end(&order, &b);
    return sample;
}

Test(by_length, every_sample_comes_once_an_epoch)
{
    for (int c = 0; c < N_CASES; c++)
        for (int shuffle = 0; shuffle < 2; shuffle++) {
            int64_t *sample = whole_epoch(c, shuffle, EPOCH);
            int *seen = calloc((size_t)cases[c].n, sizeof *seen);

            for (int64_t i = 0; i < cases[c].n; i++) {
                cr_assert(sample[i] >= 0 && sample[i] < cases[c].n, "case %d: sample %ld", c, (long)sample[i]);
                seen[sample[i]]++;
            }
            for (int64_t i = 0; i < cases[c].n; i++)
                cr_assert_eq(seen[i], 1, "case %d: sample %ld comes %d times", c, (long)i, seen[i]);
            free(seen);
            free(sample);
        }
}

/* As a resumed run and as another worker would ask. */
Test(by_length, a_part_is_the_same_however_it_is_come_to)
{
    for (int c = 0; c < N_CASES; c++) {
        int64_t *sample = whole_epoch(c, true, EPOCH);
        lk_shuffle order;
        lk_by_length b;

        begin(c, true, &order, &b);
        for (int64_t at = cases[c].n - 1; at >= 0; at -= 3) {
            int64_t part[5], unused;
            const int64_t n = cases[c].n - at < 5 ? cases[c].n - at : 5;

            lk_by_length_range(&b, &order, at % 2, 0, 1, &unused);
            lk_by_length_range(&b, &order, EPOCH, at, n, part);
            for (int64_t i = 0; i < n; i++)
                cr_assert_eq(part[i], sample[at + i], "case %d: position %ld has %ld, and %ld when all are asked for",
                             c, (long)(at + i), (long)part[i], (long)sample[at + i]);
        }
        end(&order, &b);
        free(sample);
    }
}

Test(by_length, epochs_have_batches_of_their_own)
{
    int64_t *a = whole_epoch(4, true, 0), *b = whole_epoch(4, true, 1);

    cr_expect_neq(memcmp(a, b, (size_t)cases[4].n * sizeof *a), 0, "two epochs are alike");
    free(b);
    free(a);
}

/* Of two batches of a window one has the longer samples; and without a shuffle lengths rise. */
Test(by_length, batches_of_a_window_share_no_lengths)
{
    enum { CASE = 1 };
    const int64_t batch = cases[CASE].batch, window = cases[CASE].window;
    int64_t *sample = whole_epoch(CASE, true, EPOCH), *plain = whole_epoch(CASE, false, EPOCH);
    bool rises = true;

    for (int64_t w = 0; w < cases[CASE].n / batch / window; w++) {
        int64_t low[4], high[4];

        for (int64_t k = 0; k < window; k++) {
            const int64_t *first = sample + (w * window + k) * batch;
            low[k] = high[k] = length_of(NULL, first[0]);
            for (int64_t i = 1; i < batch; i++) {
                const int64_t n = length_of(NULL, first[i]);
                low[k] = n < low[k] ? n : low[k];
                high[k] = n > high[k] ? n : high[k];
            }
            if (k > 0) rises &= low[k] >= high[k - 1];
        }
        for (int64_t a = 0; a < window; a++)
            for (int64_t b = a + 1; b < window; b++)
                cr_expect(high[a] <= low[b] || high[b] <= low[a], "window %ld: batches of %ld to %ld and %ld to %ld",
                          (long)w, (long)low[a], (long)high[a], (long)low[b], (long)high[b]);
    }
    cr_expect_not(rises, "lengths rise through every window");
    for (int64_t i = 1; i < batch * window; i++)
        cr_expect_leq(length_of(NULL, plain[i - 1]), length_of(NULL, plain[i]));
    free(plain);
    free(sample);
}

/* ------------------------------------------------------------------- the loader */

enum { PAIRS = 500, LINE_BYTES = 256, BATCH = 16, LANES = 3 };

static lk_dataset *make_pairs(void)
{
    static char text[PAIRS * LINE_BYTES];
    lk_data_spec spec = plain_spec(LK_DATA_PAIRS);
    lk_dataset *data, *none;
    int at = 0;

    for (int i = 0; i < PAIRS; i++) {
        for (int k = 0; k <= i * 37 % 23; k++) at += sprintf(text + at, "%sw", k ? " " : "");
        at += sprintf(text + at, "\t");
        for (int k = 0; k <= i * 37 % 23 + i % 3; k++) at += sprintf(text + at, "%sv", k ? " " : "");
        at += sprintf(text + at, "\n");
    }
    spec.train = write_test_text("lengths.txt", text);
    spec.min_freq = 1;
    cr_assert_eq(lk_dataset_open(&spec, LK_LOSS_CROSS_ENTROPY, NULL, &data, &none), LK_OK, "%s", lk_error_message());
    return data;
}

static lk_loader *make_loader(const lk_dataset *data, int64_t buckets, int lane_begin, int lane_end)
{
    const lk_loader_spec spec = {.batch = BATCH, .lanes = LANES, .lane_begin = lane_begin, .lane_end = lane_end,
                                 .shuffle = true, .seed = SEED, .buckets = buckets,
                                 .loss = {.kind = LK_LOSS_CROSS_ENTROPY, .reduction = LK_LOSS_SEQUENCE,
                                          .ignore_index = -100}};
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

/* Steps of an epoch's lanes, and of them those of sentences. */
static void count_steps(const lk_dataset *data, int64_t buckets, int64_t *all, int64_t *real)
{
    lk_loader *loader = make_loader(data, buckets, 0, LANES);

    *all = *real = 0;
    for (int64_t b = 0; b < lk_loader_batches(loader); b++) {
        const lk_batch batch = next(loader);
        for (int l = 0; l < LANES; l++) {
            *all += batch.lane[l].n * batch.lane[l].length;
            for (int64_t i = 0; i < batch.lane[l].n; i++)
                *real += lk_dataset_lane_length(data, &batch.lane[l].sample[i], 1);
        }
    }
    lk_loader_free(&loader);
}

Test(by_length, fill_up_less)
{
    lk_dataset *data = make_pairs();
    int64_t all, real, bucketed, same;

    count_steps(data, 0, &all, &real);
    count_steps(data, 10, &bucketed, &same);
    cr_expect_eq(real, same, "%ld steps of sentences, and %ld", (long)real, (long)same);
    cr_expect_lt(10 * (bucketed - real), 2 * (all - real), "%ld steps filled up, without buckets %ld",
                 (long)(bucketed - real), (long)(all - real));
    lk_dataset_free(&data);
}

/* What does not fill a batch is left out before samples are sorted. */
Test(by_length, a_last_smaller_batch_may_be_left_out)
{
    lk_dataset *data = make_pairs();
    const lk_loader_spec spec = {.batch = BATCH, .lanes = 1, .lane_end = 1, .shuffle = true, .drop_last = true,
                                 .seed = SEED, .buckets = 10,
                                 .loss = {.kind = LK_LOSS_CROSS_ENTROPY, .ignore_index = -100}};
    bool seen[PAIRS] = {false};
    lk_loader *loader;

    cr_assert_eq(lk_loader_new(data, &spec, &loader), LK_OK, "%s", lk_error_message());
    cr_assert_eq(lk_loader_batches(loader), PAIRS / BATCH);
    for (int64_t b = 0; b < PAIRS / BATCH; b++) {
        const lk_batch batch = next(loader);

        cr_assert_eq(batch.n, BATCH);
        cr_expect_eq(batch.steps, 0, "%ld steps without loss.reduction sequence", (long)batch.steps);
        for (int64_t i = 0; i < BATCH; i++) {
            const int64_t sample = batch.lane[0].sample[i];
            cr_assert(sample >= 0 && sample < PAIRS && !seen[sample], "sample %ld comes again", (long)sample);
            seen[sample] = true;
        }
    }
    lk_loader_free(&loader);
    lk_dataset_free(&data);
}

/* A worker that has the last lane alone sees the same samples, terms and steps, after a seek into the epoch too. */
Test(by_length, a_batch_is_the_same_for_every_worker)
{
    lk_dataset *data = make_pairs();
    lk_loader *all = make_loader(data, 4, 0, LANES), *last = make_loader(data, 4, LANES - 1, LANES);

    for (int b = 0; b < 9; b++) next(all);
    cr_assert_eq(lk_loader_seek(last, 0, 9), LK_OK);
    for (int b = 0; b < 2 * PAIRS / BATCH; b++) {
        const lk_batch x = next(all), y = next(last);
        const lk_batch_lane *one = &x.lane[LANES - 1], *other = &y.lane[0];
        int64_t longest = 0;

        cr_assert(x.index == y.index && x.epoch == y.epoch && one->n == other->n && one->length == other->length);
        cr_expect_eq(memcmp(one->sample, other->sample, (size_t)one->n * sizeof *one->sample), 0);
        cr_expect(x.n_terms == y.n_terms && x.steps == y.steps, "%g terms in %ld steps, and %g in %ld", x.n_terms,
                  (long)x.steps, y.n_terms, (long)y.steps);
        for (int l = 0; l < LANES; l++)
            for (int64_t i = 0; i < x.lane[l].n; i++) {
                const int64_t n = (int64_t)lk_dataset_target_elems(data, x.lane[l].sample[i]);
                if (n > longest) longest = n;
            }
        cr_expect_eq(x.steps, longest, "%ld steps; the longest target has %ld", (long)x.steps, (long)longest);
    }
    lk_loader_free(&last);
    lk_loader_free(&all);
    lk_dataset_free(&data);
}
