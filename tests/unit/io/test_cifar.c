/* The binary versions of CIFAR-10 and CIFAR-100: what is read, and the message of everything that cannot be. */
#include "io/data/data.h"
#include "tests/support/data_files.h"

TestSuite(cifar, .fini = remove_test_files);

enum { N = 3, PLANE = 32 * 32, RECORD = 1 + 3 * PLANE };

static unsigned char file[N * RECORD];

/* Byte p of channel c of record i. */
static unsigned char value(int i, int c, int p) { return (unsigned char)(31 * i + 7 * c + p % 200); }

static lk_data_spec cifar_spec(int first_label)
{
    lk_data_spec spec = plain_spec(LK_DATA_CIFAR10);

    for (int i = 0; i < N; i++) {
        file[i * RECORD] = (unsigned char)(first_label + i);
        for (int c = 0; c < 3; c++)
            for (int p = 0; p < PLANE; p++) file[i * RECORD + 1 + c * PLANE + p] = value(i, c, p);
    }
    spec.train = write_test_file("batch.bin", file, sizeof file);
    return spec;
}

static void expect_message(const lk_data_spec *spec, lk_loss_kind loss, lk_status status, const char *want)
{
    lk_dataset *train, *validation;

    cr_expect_eq(lk_dataset_open(spec, loss, NULL, &train, &validation), status);
    cr_expect(strstr(lk_error_message(), want), "\n got: %s\nwant: %s", lk_error_message(), want);
}

Test(cifar, records_are_a_label_and_three_planes)
{
    lk_data_spec spec = cifar_spec(7);
    lk_dataset *d, *none;
    int64_t image[3];
    cr_assert_eq(lk_dataset_open(&spec, LK_LOSS_CROSS_ENTROPY, NULL, &d, &none), LK_OK, "%s", lk_error_message());

    lk_dataset_image(d, image);
    cr_expect(image[0] == 3 && image[1] == 32 && image[2] == 32);
    cr_assert_eq(lk_dataset_n(d), N);
    cr_expect_eq(lk_dataset_n_output(d), 10);
    for (int i = 0; i < N; i++) {
        cr_expect_eq(d->label[i], 7 + i, "label %d: got %d", i, d->label[i]);
        for (int p = 0; p < PLANE; p++)
            for (int c = 0; c < 3; c++)
                cr_assert_eq(d->pixels[(i * PLANE + p) * 3 + c], value(i, c, p),
                             "record %d, pixel %d, channel %d: got %d", i, p, c, d->pixels[(i * PLANE + p) * 3 + c]);
    }
    lk_dataset_free(&d);
}

Test(cifar, what_is_no_such_file_is_told)
{
    lk_data_spec spec = cifar_spec(8);

    expect_message(&spec, LK_LOSS_CROSS_ENTROPY, LK_ERR_DATA, "batch.bin: record 2: label 10; CIFAR-10 has 10 classes");
    expect_message(&spec, LK_LOSS_MSE, LK_ERR_USAGE,
                   "data.kind cifar10 has class labels; set loss.kind to cross_entropy");
    spec.train = write_test_file("cut.bin", file, sizeof file - RECORD / 2);
    expect_message(
        &spec, LK_LOSS_CROSS_ENTROPY, LK_ERR_DATA,
        "cut.bin holds 7683 bytes; records of CIFAR-10's binary version have 3073, and this is 2.50 of them");
    spec.train = write_test_text("empty.bin", "");
    expect_message(&spec, LK_LOSS_CROSS_ENTROPY, LK_ERR_DATA, "empty.bin holds 0 bytes");
}

/* A record's two labels, then its image; a second file with other ones. */
static const char *cifar100_file(const char *name, unsigned char coarse, unsigned char fine)
{
    static unsigned char two[N * (RECORD + 1)];

    for (int i = 0; i < N; i++) {
        unsigned char *record = two + i * (RECORD + 1);
        record[0] = (unsigned char)(coarse + i);
        record[1] = (unsigned char)(fine + i);
        for (int c = 0; c < 3; c++)
            for (int p = 0; p < PLANE; p++) record[2 + c * PLANE + p] = value(i, c, p);
    }
    return write_test_file(name, two, sizeof two);
}

static void expect_labels(const lk_data_spec *spec, const int *want, size_t n_classes)
{
    lk_dataset *d, *none;
    cr_assert_eq(lk_dataset_open(spec, LK_LOSS_CROSS_ENTROPY, NULL, &d, &none), LK_OK, "%s", lk_error_message());

    cr_assert_eq(lk_dataset_n(d), 2 * N);
    cr_expect_eq(lk_dataset_n_output(d), n_classes, "got %zu", lk_dataset_n_output(d));
    for (int i = 0; i < 2 * N; i++) {
        cr_expect_eq(d->label[i], want[i], "label %d: got %d, want %d", i, d->label[i], want[i]);
        for (int p = 0; p < PLANE; p++)
            for (int c = 0; c < 3; c++)
                cr_assert_eq(d->pixels[(i * PLANE + p) * 3 + c], value(i % N, c, p), "record %d, pixel %d", i, p);
    }
    lk_dataset_free(&d);
}

Test(cifar, records_of_a_hundred_classes_have_two_labels)
{
    lk_data_spec spec = plain_spec(LK_DATA_CIFAR100);
    char *files[] = {(char *)cifar100_file("a.bin", 3, 97), (char *)cifar100_file("b.bin", 17, 40)};
    spec.train = files[0];
    spec.train_files = (lk_words){files, 2};

    expect_labels(&spec, (int[]){97, 98, 99, 40, 41, 42}, 100);
    spec.label = LK_LABEL_COARSE;
    expect_labels(&spec, (int[]){3, 4, 5, 17, 18, 19}, 20);
}

Test(cifar, a_label_of_no_class_is_told)
{
    lk_data_spec spec = plain_spec(LK_DATA_CIFAR100);

    spec.train = (char *)cifar100_file("a.bin", 19, 98);
    expect_message(&spec, LK_LOSS_CROSS_ENTROPY, LK_ERR_DATA, "a.bin: record 2: label 100; CIFAR-100 has 100 classes");
    spec.label = LK_LABEL_COARSE;
    expect_message(&spec, LK_LOSS_CROSS_ENTROPY, LK_ERR_DATA,
                   "a.bin: record 1: label 20; CIFAR-100 has 20 coarse classes");
    spec.train = write_test_file("cut.bin", file, RECORD);
    expect_message(&spec, LK_LOSS_CROSS_ENTROPY, LK_ERR_DATA,
                   "cut.bin holds 3073 bytes; records of CIFAR-100's binary version have 3074, and this is 1.00 of "
                   "them");
}
