/* mixup and cutmix: pairs of a global batch, one share for all of it, whoever owns which lanes; labels as mixed. */
#include <math.h>

#include "io/data/data.h"
#include "tests/support/data_files.h"

TestSuite(mix, .fini = remove_test_files);

enum { N = 23, SIDE = 8, PIXELS = SIDE * SIDE, CLASSES = 10, BATCH = 9, LANES = 4 };

/* Picture i is all of byte 10 i + 5, and of class i mod 10: so a picture tells who is in it. */
static lk_dataset *open_pictures(lk_transform_spec *list, unsigned n)
{
    static unsigned char images[16 + N * PIXELS] = {0, 0, 8, 3, 0, 0, 0, N, 0, 0, 0, SIDE, 0, 0, 0, SIDE};
    static unsigned char labels[8 + N] = {0, 0, 8, 1, 0, 0, 0, N};
    lk_data_spec spec = plain_spec(LK_DATA_IDX);
    lk_dataset *data, *none;

    for (int i = 0; i < N; i++) {
        memset(images + 16 + i * PIXELS, 10 * i + 5, PIXELS);
        labels[8 + i] = (unsigned char)(i % CLASSES);
    }
    spec.train = write_test_file("images", images, sizeof images);
    spec.train_labels = write_test_file("labels", labels, sizeof labels);
    spec.transforms = (lk_transform_list){list, n};
    spec.probabilities = true;
    cr_assert_eq(lk_dataset_open(&spec, LK_LOSS_CROSS_ENTROPY, NULL, &data, &none), LK_OK, "%s", lk_error_message());
    return data;
}

static lk_loader *make_loader(const lk_dataset *data, int lane_begin, int lane_end, int threads, bool train)
{
    const lk_loader_spec spec = {.batch = BATCH, .lanes = LANES, .lane_begin = lane_begin, .lane_end = lane_end,
                                 .shuffle = true, .train = train, .threads = threads, .seed = 5,
                                 .loss = {.kind = LK_LOSS_CROSS_ENTROPY, .probabilities = true}};
    lk_loader *loader;

    cr_assert_eq(lk_loader_new(data, &spec, &loader), LK_OK, "%s", lk_error_message());
    return loader;
}

/* The samples of a batch in the order of the lanes: pixels as what x says, targets, numbers. */
typedef struct batch_of_all { int64_t n; float x[BATCH][PIXELS], target[BATCH][CLASSES]; int64_t sample[BATCH]; } all;

static all next(const lk_dataset *data, lk_loader *loader)
{
    const lk_field *x = &lk_dataset_sample(data)->field[0];
    lk_batch batch;
    all got = {0};

    cr_assert_eq(lk_loader_next(loader, &batch), LK_OK, "%s", lk_error_message());
    cr_assert_eq(batch.n_terms, (double)batch.n, "%g terms of %ld samples", batch.n_terms, (long)batch.n);
    for (int l = 0; l < LANES; l++)
        for (int64_t i = 0; i < batch.lane[l].n; i++, got.n++) {
            for (size_t p = 0; p < PIXELS; p++)
                got.x[got.n][p] = number_of(x, batch.lane[l].field[0], (size_t)i * PIXELS + p);
            memcpy(got.target[got.n], (const float *)batch.lane[l].field[1] + i * CLASSES, sizeof got.target[0]);
            got.sample[got.n] = batch.lane[l].sample[i];
        }
    return got;
}

static float value_of(int64_t sample) { return (float)(10 * sample + 5) / 255.0f; }
static int64_t before(const all *batch, int64_t i) { return batch->sample[i > 0 ? i - 1 : batch->n - 1]; }

/* `share` of the sample's label, and the rest of the one before; equal ones add up. */
static void expect_targets(const all *batch, int64_t i, double share)
{
    float want[CLASSES] = {0};

    want[batch->sample[i] % CLASSES] += (float)share;
    want[before(batch, i) % CLASSES] += (float)(1.0 - share);
    for (int c = 0; c < CLASSES; c++)
        cr_expect(fabsf(batch->target[i][c] - want[c]) < 1e-6f, "sample %ld, class %d: got %g, want %g", (long)i, c,
                  (double)batch->target[i][c], (double)want[c]);
}

Test(mix, mixup_mixes_each_with_the_one_before_by_one_share)
{
    lk_transform_spec mixup = {.kind = LK_TRANSFORM_MIXUP, .alpha = 1.0};
    lk_dataset *data = open_pictures(&mixup, 1);
    lk_loader *loader = make_loader(data, 0, LANES, 0, true);

    cr_assert_eq(lk_dataset_sample(data)->field[0].dtype, LK_DTYPE_F32);
    for (int b = 0; b < 6; b++) {
        const all batch = next(data, loader);
        const float own = value_of(batch.sample[0]), other = value_of(before(&batch, 0));
        const double share = (double)((batch.x[0][0] - other) / (own - other));
        cr_assert(share >= -1e-5 && share <= 1.0 + 1e-5, "share %g", share);
        for (int64_t i = 0; i < batch.n; i++) {
            const double one = (double)value_of(batch.sample[i]), two = (double)value_of(before(&batch, i));
            const double want = share * one + (1 - share) * two;
            /* The share is a quotient of differences of fp32. */
            for (int p = 0; p < PIXELS; p++)
                cr_assert(fabs((double)batch.x[i][p] - want) < 2e-5, "batch %d, sample %ld: got %g, want %g", b,
                          (long)i, (double)batch.x[i][p], want);
            for (int c = 0; c < CLASSES; c++)
                cr_assert(batch.target[i][c] >= 0.0f && batch.target[i][c] <= 1.0f);
        }
    }
    lk_loader_free(&loader);
    lk_dataset_free(&data);
}

/* Bytes stay bytes; the box is the same in the whole batch, and the label's share is the rest's area. */
Test(mix, cutmix_takes_a_box_of_the_one_before)
{
    lk_transform_spec cutmix = {.kind = LK_TRANSFORM_CUTMIX, .alpha = 1.0};
    lk_dataset *data = open_pictures(&cutmix, 1);
    lk_loader *loader = make_loader(data, 0, LANES, 0, true);
    int boxes = 0;

    cr_assert_eq(lk_dataset_sample(data)->field[0].dtype, LK_DTYPE_U8);
    for (int b = 0; b < 9; b++) {
        const all batch = next(data, loader);
        int others = 0, bottom = 0, right = 0, top = SIDE, left = SIDE;
        for (int p = 0; p < PIXELS; p++) {
            const bool taken = batch.x[0][p] != value_of(batch.sample[0]);
            for (int64_t i = 0; i < batch.n; i++)
                cr_assert_eq(batch.x[i][p], value_of(taken ? before(&batch, i) : batch.sample[i]),
                             "batch %d, sample %ld, pixel %d", b, (long)i, p);
            if (!taken) continue;
            others++;
            top = p / SIDE < top ? p / SIDE : top, bottom = p / SIDE + 1 > bottom ? p / SIDE + 1 : bottom;
            left = p % SIDE < left ? p % SIDE : left, right = p % SIDE + 1 > right ? p % SIDE + 1 : right;
        }
        if (others) cr_assert_eq(others, (bottom - top) * (right - left), "batch %d: no box", b);
        boxes += others > 0;
        for (int64_t i = 0; i < batch.n; i++) expect_targets(&batch, i, 1.0 - (double)others / PIXELS);
    }
    cr_expect_gt(boxes, 4, "only %d of 9 batches are cut", boxes);
    lk_loader_free(&loader);
    lk_dataset_free(&data);
}

/* Lanes of workers, wherever one begins, and loader threads: the pixels and targets of one worker. */
Test(mix, batches_are_functions_of_epoch_and_index)
{
    lk_transform_spec both[] = {{.kind = LK_TRANSFORM_HFLIP, .p = 0.5}, {.kind = LK_TRANSFORM_MIXUP, .alpha = 0.2},
                                {.kind = LK_TRANSFORM_CUTMIX, .alpha = 1.0}};
    lk_dataset *data = open_pictures(both, 3);
    lk_loader *whole = make_loader(data, 0, LANES, 0, true), *half = make_loader(data, 2, LANES, 3, true);
    const size_t x_nbytes = PIXELS * sizeof(float), target_nbytes = CLASSES * sizeof(float);

    for (int64_t b = 0; b < 9; b++) {
        lk_batch want, got;
        cr_assert_eq(lk_loader_next(whole, &want), LK_OK);
        if (b == 4) cr_assert_eq(lk_loader_seek(half, 1, 1), LK_OK);
        cr_assert_eq(lk_loader_next(half, &got), LK_OK);
        cr_assert(got.epoch == want.epoch && got.index == want.index);
        for (int l = 2; l < LANES; l++) {
            const lk_batch_lane *a = &want.lane[l], *c = &got.lane[l - 2];
            cr_assert_eq(a->n, c->n);
            cr_expect_eq(memcmp(a->field[0], c->field[0], (size_t)a->n * x_nbytes), 0, "batch %ld, lane %d: x",
                         (long)b, l);
            cr_expect_eq(memcmp(a->field[1], c->field[1], (size_t)a->n * target_nbytes), 0,
                         "batch %ld, lane %d: target", (long)b, l);
        }
    }
    lk_loader_free(&whole);
    lk_loader_free(&half);
    lk_dataset_free(&data);
}

Test(mix, evaluation_mixes_nothing)
{
    lk_transform_spec mixup = {.kind = LK_TRANSFORM_MIXUP, .alpha = 1.0};
    lk_dataset *data = open_pictures(&mixup, 1);
    lk_loader *loader = make_loader(data, 0, LANES, 0, false);
    const all batch = next(data, loader);

    for (int64_t i = 0; i < batch.n; i++) {
        cr_expect_eq(batch.x[i][3], value_of(batch.sample[i]));
        for (int c = 0; c < CLASSES; c++)
            cr_expect_eq(batch.target[i][c], c == batch.sample[i] % CLASSES ? 1.0f : 0.0f);
    }
    lk_loader_free(&loader);
    lk_dataset_free(&data);
}

/* Beta(a, a) has mean 1/2 and variance 1 / (4 (2 a + 1)); of both in a list each takes about half of the batches. */
Test(mix, shares_are_beta_distributed)
{
    enum { DRAWS = 20000 };
    const double alphas[] = {0.1, 0.2, 1.0, 4.0};
    lk_transform_spec list[] = {{.kind = LK_TRANSFORM_MIXUP}, {.kind = LK_TRANSFORM_CUTMIX, .alpha = 1.0}};
    lk_view view = {.list = {list, 1}, .H = SIDE, .W = SIDE};
    lk_mixing mixing;
    int cuts = 0;

    for (size_t k = 0; k < sizeof alphas / sizeof *alphas; k++) {
        const double a = alphas[k], want = 1.0 / (4.0 * (2.0 * a + 1.0));
        double mean = 0.0, squares = 0.0;
        list[0].alpha = a;
        for (int64_t b = 0; b < DRAWS; b++) {
            lk_mixing_draw(&view, &(lk_draw){.seed = 7}, b, &mixing);
            cr_assert(mixing.own >= 0.0f && mixing.own <= 1.0f && !mixing.cuts);
            mean += (double)mixing.own / DRAWS;
            squares += ((double)mixing.own - 0.5) * ((double)mixing.own - 0.5) / DRAWS;
        }
        /* Five deviations of the mean are at most 0.018, those of the variance 0.006. */
        cr_expect(fabs(mean - 0.5) < 0.018, "alpha %g: mean %g", a, mean);
        cr_expect(fabs(squares - want) < 0.006, "alpha %g: variance %g, want %g", a, squares, want);
    }
    view.list.n = 2;
    for (int64_t b = 0; b < DRAWS; b++) {
        lk_mixing_draw(&view, &(lk_draw){.seed = 7}, b, &mixing);
        cuts += mixing.cuts;
    }
    /* 10000 expected; five deviations are 354. */
    cr_expect(abs(cuts - DRAWS / 2) < 354, "%d of %d batches are cut", cuts, DRAWS);
}

Test(mix, ignored_labels_are_no_probabilities)
{
    lk_data_spec spec = plain_spec(LK_DATA_CSV);
    lk_dataset *data, *none;

    spec.train = write_test_text("l.csv", "a,y\n0,1\n1,-100\n2,0\n");
    spec.target = "y";
    spec.probabilities = true;
    cr_assert_eq(lk_dataset_open(&spec, LK_LOSS_CROSS_ENTROPY, NULL, &data, &none), LK_ERR_DATA);
    cr_expect(strstr(lk_error_message(), "record 1: its label is -100, loss.ignore_index, and of labels that become "
                                         "probabilities (loss.probabilities) none can be ignored"), "%s",
              lk_error_message());
}
