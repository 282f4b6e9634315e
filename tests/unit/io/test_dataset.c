/* What holds for data sets of every kind: packed files, the hash of the contents. */
#include <lzma.h>
#include <zlib.h>

#include "io/data/data.h"
#include "tests/support/data_files.h"

TestSuite(dataset, .fini = remove_test_files);

static const char text[] = "a,y\n1,2\n3,4\n5,6\n7,8\n";

static lk_data_spec table_spec(char *train)
{
    lk_data_spec spec = plain_spec(LK_DATA_CSV);
    spec.train = train;
    spec.target = "y";
    return spec;
}

static lk_dataset *open_train(const lk_data_spec *spec)
{
    lk_dataset *train, *validation;
    cr_assert_eq(lk_dataset_open(spec, LK_LOSS_MSE, NULL, &train, &validation), LK_OK, "%s", lk_error_message());
    lk_dataset_free(&validation);
    return train;
}

static void expect_failure(const lk_data_spec *spec, const char *want)
{
    lk_dataset *train, *validation;

    cr_expect_eq(lk_dataset_open(spec, LK_LOSS_MSE, NULL, &train, &validation), LK_ERR_DATA);
    cr_expect(strstr(lk_error_message(), want), "\n got: %s\nwant: %s", lk_error_message(), want);
}

/* ----------------------------------------------------------------- packed files */

/* gzip of the text, twice its members with `members` 2; returns its length. */
static size_t gzip(const char *path, int members)
{
    for (int m = 0; m < members; m++) {
        gzFile file = gzopen(path, m ? "ab" : "wb");
        cr_assert_eq(gzwrite(file, m ? "9,10\n" : text, m ? 5 : sizeof text - 1), m ? 5 : (int)sizeof text - 1);
        gzclose(file);
    }
    FILE *file = fopen(path, "rb");
    fseek(file, 0, SEEK_END);
    const long n = ftell(file);
    fclose(file);
    return (size_t)n;
}

static size_t xz(const char *path)
{
    uint8_t bytes[1024];
    size_t n = 0;

    cr_assert_eq(lzma_easy_buffer_encode(6, LZMA_CHECK_CRC64, NULL, (const uint8_t *)text, sizeof text - 1, bytes, &n,
                                         sizeof bytes), LZMA_OK);
    FILE *file = fopen(path, "wb");
    fwrite(bytes, 1, n, file);
    fclose(file);
    return n;
}

static void expect_rows(lk_data_spec spec, int64_t n)
{
    lk_dataset *d = open_train(&spec);
    cr_assert_eq(lk_dataset_n(d), n, "got %lld rows, want %lld", (long long)lk_dataset_n(d), (long long)n);
    for (int64_t i = 0; i < n; i++)
        cr_expect_eq(d->x[i], (float)(2 * i + 1), "row %lld: got %g", (long long)i, (double)d->x[i]);
    lk_dataset_free(&d);
}

Test(dataset, packed_files_are_unpacked)
{
    lk_data_spec spec = table_spec(test_path("t.csv.gz"));

    gzip(spec.train, 1);
    expect_rows(spec, 4);
    gzip(spec.train, 2);
    expect_rows(spec, 5);
    spec.train = test_path("t.csv.xz");
    xz(spec.train);
    expect_rows(spec, 4);
}

/* Much more than the first room that is made for it. */
Test(dataset, files_that_pack_well_are_unpacked_whole)
{
    enum { ROWS = 200000 };
    lk_data_spec spec = table_spec(test_path("long.csv.gz"));
    gzFile file = gzopen(spec.train, "wb9");

    gzputs(file, "a,y\n");
    for (int i = 0; i < ROWS; i++) gzputs(file, "1,2\n");
    gzclose(file);
    lk_dataset *d = open_train(&spec);
    cr_expect_eq(lk_dataset_n(d), ROWS, "got %lld rows", (long long)lk_dataset_n(d));
    lk_dataset_free(&d);
}

Test(dataset, damaged_packed_files_are_named)
{
    lk_data_spec spec = table_spec(test_path("cut.gz"));

    cr_assert_eq(truncate(spec.train, (off_t)gzip(spec.train, 1) - 9), 0);
    expect_failure(&spec, "cut.gz cannot be unpacked (gzip): it is cut short");
    spec.train = test_path("cut.xz");
    cr_assert_eq(truncate(spec.train, (off_t)xz(spec.train) - 9), 0);
    expect_failure(&spec, "cut.xz cannot be unpacked (xz): it is cut short");
    spec.train = write_test_text("t.zip", "PK\x03\x04 and so on");
    expect_failure(&spec, "t.zip is packed (zip); unpack it first");
}

/* ---------------------------------------------------------------- several files */

Test(dataset, several_files_are_one_behind_the_other)
{
    char *files[] = {write_test_text("a.csv", "a,k,y\n1,red,1\n2,blue,2\n"),
                     write_test_text("b.csv", "y,k,a\n3,green,3\n"),
                     write_test_text("c.csv", "a,k,y\n4,blue,4\n5,red,5\n")};
    char *k[] = {"k"};
    lk_data_spec spec = table_spec(files[0]), whole = spec;
    spec.train_files = (lk_words){files, 3};
    spec.categorical = whole.categorical = (lk_words){k, 1};
    spec.standardize = whole.standardize = LK_STANDARDIZE_ALL;
    whole.train = write_test_text("w.csv", "a,k,y\n1,red,1\n2,blue,2\n3,green,3\n4,blue,4\n5,red,5\n");
    char a[LK_HASH_BYTES], b[LK_HASH_BYTES];
    lk_dataset *parts = open_train(&spec), *one = open_train(&whole);

    cr_assert_eq(lk_dataset_n(parts), 5);
    lk_dataset_hash(parts, a);
    lk_dataset_hash(one, b);
    cr_expect_str_eq(a, b);
    lk_dataset_free(&parts);
    lk_dataset_free(&one);
}

Test(dataset, of_several_files_the_one_at_fault_is_named)
{
    char *files[] = {write_test_text("a.csv", "a,k,y\n1,red,1\n2,blue,2\n"),
                     write_test_text("b.csv", "a,k,y\n3,red,3\n"),
                     write_test_text("c.csv", "a,k,y\n3,red,3\n4,grey,4\n")};
    char *k[] = {"k"};
    lk_data_spec spec = table_spec(files[0]);
    spec.categorical = (lk_words){k, 1};
    spec.validation = files[1];
    spec.validation_files = (lk_words){files + 1, 2};

    expect_failure(&spec, "c.csv:3: column k: `grey` does not occur in the training part");
    files[2] = write_test_text("d.csv", "a,y\n1,2\n");
    expect_failure(&spec, "d.csv has no column k");
}

/* ------------------------------------------------------------------------- hash */

static void hash_of(const lk_data_spec *spec, char out[LK_HASH_BYTES])
{
    lk_dataset *d = open_train(spec);
    cr_assert_eq(lk_dataset_hash(d, out), LK_OK);
    lk_dataset_free(&d);
}

Test(dataset, equal_data_have_equal_hashes)
{
    char a[LK_HASH_BYTES], b[LK_HASH_BYTES];
    lk_data_spec spec = table_spec(write_test_text("a.csv", text));

    hash_of(&spec, a);
    cr_expect_eq(strlen(a), LK_HASH_BYTES - 1);
    /* The same numbers, spelled otherwise and packed. */
    spec.train = write_test_text("b.csv", "a,y\r\n1.0,2e0\r\n3,4\r\n5,6\r\n7,8");
    hash_of(&spec, b);
    cr_expect_str_eq(a, b);
    spec.train = test_path("c.csv.gz");
    gzip(spec.train, 1);
    hash_of(&spec, b);
    cr_expect_str_eq(a, b);
}

Test(dataset, any_difference_changes_the_hash)
{
    char whole[LK_HASH_BYTES], other[LK_HASH_BYTES];
    lk_data_spec spec = table_spec(write_test_text("t.csv", text));
    const char *const texts[] = {"a,y\n1,2\n3,4\n5,6.0000005\n7,8\n", "a,y\n1,2\n3,4.5\n5,6\n7,8\n",
                                 "a,y\n3,4\n1,2\n5,6\n7,8\n", "a,y\n1,2\n3,4\n5,6\n",
                                 "b,y\n1,2\n3,4\n5,6\n7,8\n"};

    hash_of(&spec, whole);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        lk_data_spec changed = spec;
        changed.train = write_test_text("u.csv", texts[i]);
        hash_of(&changed, other);
        cr_expect_str_neq(whole, other, "%s", texts[i]);
    }
    spec.standardize = LK_STANDARDIZE_ALL;
    hash_of(&spec, other);
    cr_expect_str_neq(whole, other);
}

/* Samples that move between the parts; as many of them. */
Test(dataset, another_split_changes_the_hash)
{
    char a[LK_HASH_BYTES], b[LK_HASH_BYTES];
    lk_data_spec spec = table_spec(write_test_text("t.csv", text));

    spec.validation_fraction = 0.5;
    hash_of(&spec, a);
    for (spec.seed = 2; spec.seed < 12; spec.seed++) {
        hash_of(&spec, b);
        if (strcmp(a, b) != 0) return;
    }
    cr_expect(false, "ten seeds split four samples alike");
}
