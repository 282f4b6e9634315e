/* Statistics: computed from the training part alone, kept exactly, applied alike to every part. */
#include <math.h>

#include "io/data/data.h"
#include "tests/support/data_files.h"

TestSuite(standardize, .fini = remove_test_files);

static char *c_word[] = {"c"};

static lk_data_spec table_spec(char *train)
{
    lk_data_spec spec = plain_spec(LK_DATA_CSV);
    spec.train = train;
    spec.target = "y";
    spec.standardize = LK_STANDARDIZE_ALL;
    return spec;
}

static void open_parts(const lk_data_spec *spec, const char *stats, lk_dataset **train, lk_dataset **validation)
{
    cr_assert_eq(lk_dataset_open(spec, LK_LOSS_MSE, stats, train, validation), LK_OK, "%s", lk_error_message());
}

static void expect_float(const char *what, float got, double want)
{
    cr_expect_eq(got, (float)want, "%s: got %.9g, want %.9g", what, (double)got, want);
}

/* numpy: np.std([1, 2, 3, 6]) is 1.8708286933869707 */
Test(standardize, columns_get_mean_0_and_population_deviation_1)
{
    lk_data_spec spec = table_spec(write_test_text("t.csv", "a,y\n1,10\n2,20\n3,30\n6,40\n"));
    lk_dataset *d, *none;
    const double a[] = {1, 2, 3, 6};
    open_parts(&spec, NULL, &d, &none);

    cr_expect_eq(d->stats->column[0].scale.mean, 3.0);
    cr_expect_eq(d->stats->column[0].scale.deviation, 1.8708286933869707);
    for (int i = 0; i < 4; i++) {
        expect_float("x", d->x[i], (a[i] - 3.0) / 1.8708286933869707);
        expect_float("y", d->target[i], (10.0 * i + 10 - 25) / sqrt(125));
    }
    lk_dataset_free(&d);
}

Test(standardize, the_key_chooses_features_target_or_neither)
{
    const struct { lk_standardize key; float x, y;
    } cases[] = {{LK_STANDARDIZE_NONE, 1, 10},
                 {LK_STANDARDIZE_FEATURES, -1, 10},
                 {LK_STANDARDIZE_TARGET, 1, -1},
                 {LK_STANDARDIZE_ALL, -1, -1}};
    lk_data_spec spec = table_spec(write_test_text("t.csv", "a,y\n1,10\n3,30\n"));

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lk_dataset *d, *none;
        spec.standardize = cases[i].key;
        open_parts(&spec, NULL, &d, &none);
        expect_float("x", d->x[0], cases[i].x);
        expect_float("y", d->target[0], cases[i].y);
        lk_dataset_free(&d);
    }
}

Test(standardize, validation_uses_the_statistics_of_training)
{
    lk_data_spec spec = table_spec(write_test_text("t.csv", "a,y\n1,10\n3,30\n"));
    lk_dataset *train, *validation;
    spec.validation = write_test_text("v.csv", "a,y\n12,120\n");
    open_parts(&spec, NULL, &train, &validation);

    expect_float("x", validation->x[0], 10);
    expect_float("y", validation->target[0], 10);
    lk_dataset_free(&train);
    lk_dataset_free(&validation);
}

/* Powers of four: a sample that is set aside would show in any mean it entered.  Means are checked from the samples
 * themselves, which come back by undoing the scale. */
Test(standardize, a_validation_fraction_does_not_enter_statistics)
{
    enum { N = 10, HELD = 3 };
    char text[512] = "a,y\n";
    lk_dataset *train, *validation;
    double sum = 0.0;
    int seen = 0;
    for (int i = 0; i < N; i++) snprintf(text + strlen(text), 32, "%d,%d\n", 1 << (2 * i), i);
    lk_data_spec spec = table_spec(write_test_text("t.csv", text));
    spec.validation_fraction = 0.3;
    open_parts(&spec, NULL, &train, &validation);
    cr_assert_eq(lk_dataset_n(train), N - HELD);
    cr_assert_eq(lk_dataset_n(validation), HELD);
    const lk_scale scale = train->stats->column[0].scale;

    for (int i = 0; i < N; i++) {
        const float x = i < N - HELD ? train->x[i] : validation->x[i - (N - HELD)];
        const int power = (int)lround(log2((double)x * scale.deviation + scale.mean)) / 2;
        if (i < N - HELD) sum += pow(4.0, power);
        seen |= 1 << power;
    }
    cr_expect_eq(seen, (1 << N) - 1, "samples seen: %#x", (unsigned)seen);
    cr_expect_eq(scale.mean, sum / (N - HELD), "mean %.17g, want %.17g", scale.mean, sum / (N - HELD));
    lk_dataset_free(&train);
    lk_dataset_free(&validation);
}

/* Ten copies of 0.1 in fp32 sum to a mean that is rounded; a deviation of 1e-17 would blow the column up. */
Test(standardize, a_constant_column_becomes_zero)
{
    char text[512] = "a,y\n";
    lk_dataset *d, *none;
    for (int i = 0; i < 10; i++) snprintf(text + strlen(text), 32, "0.1,%d\n", i);
    lk_data_spec spec = table_spec(write_test_text("t.csv", text));
    open_parts(&spec, NULL, &d, &none);

    for (int i = 0; i < 10; i++) expect_float("x", d->x[i], 0.0);
    cr_expect_eq(d->stats->column[0].scale.deviation, 1.0);
    lk_dataset_free(&d);
}

Test(standardize, cells_are_filled_before_and_one_hot_columns_stay_as_they_are)
{
    lk_data_spec spec = table_spec(write_test_text("t.csv", "a,c,y\n1,u,0\n,v,2\n4,u,0\n1,u,2\n"));
    lk_dataset *d, *none;
    spec.categorical = (lk_words){c_word, 1};
    spec.missing = LK_MISSING_MEAN;
    open_parts(&spec, NULL, &d, &none);

    /* filled with 2: the column is 1, 2, 4, 1 with mean 2 and deviation sqrt(1.5) */
    expect_float("filled", d->x[3], 0.0);
    expect_float("x", d->x[6], 2.0 / sqrt(1.5));
    for (int i = 0; i < 4; i++) {
        expect_float("u", d->x[3 * i + 1], i != 1);
        expect_float("v", d->x[3 * i + 2], i == 1);
    }
    lk_dataset_free(&d);
}

Test(standardize, statistics_come_back_from_json_bit_by_bit)
{
    char text[4096] = "a,b,c,y\n";
    lk_dataset *first, *again, *none;
    lk_data_stats *stats;
    for (int i = 0; i < 50; i++)
        snprintf(text + strlen(text), 64, "%.9g,%s,w\"%d,%.9g\n", sin(i) * 1e-7, i % 7 ? "0.3" : "", i % 3,
                 cos(i) * 1e9);
    lk_data_spec spec = table_spec(write_test_text("t.csv", text));
    spec.categorical = (lk_words){c_word, 1};
    spec.missing = LK_MISSING_MEDIAN;
    open_parts(&spec, NULL, &first, &none);
    cr_assert_eq(lk_stats_read(lk_dataset_stats(first), &stats), LK_OK, "%s", lk_error_message());

    cr_assert_eq(stats->n_columns, 3);
    for (size_t k = 0; k < 3; k++) {
        const lk_column *a = &first->stats->column[k], *b = &stats->column[k];
        cr_expect_str_eq(a->name, b->name);
        cr_expect_eq(a->categorical, b->categorical);
        cr_expect(memcmp(&a->scale, &b->scale, sizeof a->scale) == 0);
        cr_expect(a->categorical || a->fill == b->fill);
        cr_assert_eq(a->categories.n, b->categories.n);
        for (size_t c = 0; c < a->categories.n; c++) cr_expect_str_eq(a->categories.text[c], b->categories.text[c]);
    }
    cr_expect(memcmp(first->stats->target, stats->target, sizeof *stats->target) == 0);
    lk_stats_free(&stats);

    /* a resumed run: same numbers, same text */
    open_parts(&spec, lk_dataset_stats(first), &again, &none);
    cr_expect_eq(memcmp(first->x, again->x, 50 * first->n_input * sizeof(float)), 0);
    cr_expect_eq(memcmp(first->target, again->target, 50 * sizeof(float)), 0);
    cr_expect_str_eq(lk_dataset_stats(first), lk_dataset_stats(again));
    lk_dataset_free(&again);
    lk_dataset_free(&first);
}

Test(standardize, given_statistics_are_used_and_not_computed_again)
{
    lk_data_spec spec = table_spec(write_test_text("t.csv", "a,y\n1,10\n3,30\n"));
    lk_dataset *train, *other, *none;
    open_parts(&spec, NULL, &train, &none);
    spec.train = write_test_text("u.csv", "a,y\n101,10\n103,30\n");
    spec.standardize = LK_STANDARDIZE_NONE;
    open_parts(&spec, lk_dataset_stats(train), &other, &none);

    expect_float("x", other->x[0], 99);
    expect_float("y", other->target[0], -1);
    lk_dataset_free(&train);
    lk_dataset_free(&other);
}

Test(standardize, predictions_come_back_in_the_units_of_the_data)
{
    lk_data_spec spec = table_spec(write_test_text("t.csv", "a,y\n1,100\n3,300\n"));
    lk_dataset *d, *none;
    const float output[] = {-1, 0, 1, 2.5f};
    open_parts(&spec, NULL, &d, &none);

    const double want[] = {100, 200, 300, 450};
    for (int i = 0; i < 4; i++) {
        const double got = lk_dataset_unstandardize(d, 0, output[i]);
        cr_expect_eq(got, want[i], "prediction %d: got %.17g, want %.17g", i, got, want[i]);
    }
    cr_expect_eq(lk_dataset_digits(d, 0), 10, "got %d: the mean is twice the deviation", lk_dataset_digits(d, 0));
    lk_dataset_free(&d);
}

/* Seconds since 1970: fp32 tells only every 128th apart, so they must be standardised before they are rounded. */
Test(standardize, columns_with_a_large_offset_keep_their_digits)
{
    lk_data_spec spec = table_spec(write_test_text("t.csv", "t,y\n1700000000,1700000010\n1700000001,1700000020\n"
                                                            "1700000002,1700000030\n"));
    lk_dataset *d, *none;
    open_parts(&spec, NULL, &d, &none);

    for (int i = 0; i < 3; i++) {
        expect_float("x", d->x[i], (i - 1) / sqrt(2.0 / 3));
        expect_float("y", d->target[i], 10 * (i - 1) / sqrt(200.0 / 3));
    }
    cr_expect_eq(lk_dataset_unstandardize(d, 0, 0.0f), 1700000020.0);
    cr_expect_eq(lk_dataset_digits(d, 0), 17);
    cr_expect_null(lk_dataset_warnings(d), "%s", lk_dataset_warnings(d));
    lk_dataset_free(&d);
}

Test(standardize, rounding_that_makes_values_equal_is_warned_of)
{
    lk_data_spec spec = table_spec(write_test_text("t.csv", "t,y\n1700000000,1\n1700000001,2\n1700000002,3\n"));
    lk_dataset *d, *none;
    spec.standardize = LK_STANDARDIZE_NONE;
    open_parts(&spec, NULL, &d, &none);

    const char *warnings = lk_dataset_warnings(d);
    cr_assert_not_null(warnings);
    cr_expect(strstr(warnings, "t.csv: t: 3 different values become 1 in fp32; set data.standardize"), "%s", warnings);
    cr_expect_null(strchr(warnings, '\n'), "the target keeps its values, yet: %s", warnings);
    lk_dataset_free(&d);
}

Test(standardize, labels_are_left_alone)
{
    lk_data_spec spec = table_spec(write_test_text("t.csv", "a,y\n1,0\n3,2\n"));
    lk_dataset *d, *none;

    cr_assert_eq(lk_dataset_open(&spec, LK_LOSS_CROSS_ENTROPY, NULL, &d, &none), LK_OK, "%s", lk_error_message());
    cr_expect_eq(d->label[1], 2);
    expect_float("output", (float)lk_dataset_unstandardize(d, 0, 0.5f), 0.5);
    expect_float("x", d->x[0], -1);
    lk_dataset_free(&d);
}

Test(standardize, statistics_of_another_kind_or_none_are_refused)
{
    lk_data_spec spec = table_spec(write_test_text("t.csv", "a,y\n1,10\n3,30\n")),
                 generated = plain_spec(LK_DATA_POLYNOMIAL);
    lk_dataset *train, *d, *none;
    double weight = 1.0;
    open_parts(&spec, NULL, &train, &none);
    generated.samples = 3, generated.weights = &weight, generated.n_weights = 1, generated.degree = 1;

    cr_expect_eq(lk_dataset_open(&generated, LK_LOSS_MSE, lk_dataset_stats(train), &d, &none), LK_ERR_USAGE);
    cr_expect_str_eq(lk_error_message(), "data.kind is polynomial, but the statistics of training are of csv");
    cr_expect_eq(lk_dataset_open(&spec, LK_LOSS_MSE, "{", &d, &none), LK_ERR_DATA);
    cr_expect(strstr(lk_error_message(), "are not JSON"), "%s", lk_error_message());
    cr_expect_eq(lk_dataset_open(&spec, LK_LOSS_MSE, "{\"kind\": \"csv\"}", &d, &none), LK_ERR_DATA);
    cr_expect(strstr(lk_error_message(), "lack a key"), "%s", lk_error_message());
    cr_expect_eq(lk_dataset_open_file(&spec, LK_LOSS_MSE, NULL, spec.train, NULL, true, &d), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "cannot be read without the statistics of training"), "%s",
              lk_error_message());
    lk_dataset_free(&train);
}

Test(standardize, a_value_that_training_had_no_fill_for_is_an_error)
{
    lk_data_spec spec = table_spec(write_test_text("t.csv", "a,y\n1,10\n3,30\n"));
    lk_dataset *train, *d, *none;
    open_parts(&spec, NULL, &train, &none);
    spec.missing = LK_MISSING_MEAN;

    cr_expect_eq(lk_dataset_open_file(&spec, LK_LOSS_MSE, lk_dataset_stats(train),
                                      write_test_text("p.csv", "a,y\n,1\n"), NULL, true, &d),
                 LK_ERR_DATA);
    cr_expect(strstr(lk_error_message(), "p.csv:2: a is missing, and training made no fill value for it"), "%s",
              lk_error_message());
    lk_dataset_free(&train);
}
