/* Real files, where they are: LOCKSTEP_DATA or ../shared/data.  Expected numbers are numpy's and pandas'. */
#include <math.h>

#include "io/data/data.h"
#include "tests/support/data_files.h"

TestSuite(real_data, .fini = remove_test_files);

static char *ocean[] = {"ocean_proximity"};

static lk_data_spec housing(char *path)
{
    lk_data_spec spec = plain_spec(LK_DATA_CSV);
    spec.train = path;
    spec.target = "median_house_value";
    spec.categorical = (lk_words){ocean, 1};
    return spec;
}

static void open_parts(const lk_data_spec *spec, lk_dataset **train, lk_dataset **validation)
{
    cr_assert_eq(lk_dataset_open(spec, LK_LOSS_MSE, NULL, train, validation), LK_OK, "%s", lk_error_message());
}

Test(real_data, california_housing_says_what_it_needs)
{
    const char *path = real_data("california-housing/housing.csv");
    lk_data_spec spec = housing((char *)path);
    lk_dataset *train, *validation;

    cr_expect_eq(lk_dataset_open(&spec, LK_LOSS_MSE, NULL, &train, &validation), LK_ERR_DATA);
    cr_expect(strstr(lk_error_message(),
                     "housing.csv:292: total_bedrooms is empty; set data.missing to drop, mean, median or zero"),
              "%s", lk_error_message());
    spec.categorical.n = 0;
    cr_expect_eq(lk_dataset_open(&spec, LK_LOSS_MSE, NULL, &train, &validation), LK_ERR_DATA);
    cr_expect(strstr(lk_error_message(),
                     "housing.csv:2: column ocean_proximity: `NEAR BAY` is not a number; name the column in "
                     "data.categorical or data.ignore"),
              "%s", lk_error_message());
}

Test(real_data, california_housing_is_filled_coded_and_standardised)
{
    const char *path = real_data("california-housing/housing.csv");
    const char *categories[] = {"<1H OCEAN", "INLAND", "ISLAND", "NEAR BAY", "NEAR OCEAN"};
    lk_data_spec spec = housing((char *)path);
    lk_dataset *d, *none;
    spec.missing = LK_MISSING_MEDIAN;
    spec.standardize = LK_STANDARDIZE_ALL;
    open_parts(&spec, &d, &none);

    cr_assert_eq(lk_dataset_n(d), 20640);
    cr_assert_eq(lk_dataset_n_input(d), 13);
    const lk_column *bedrooms = &d->stats->column[4], *income = &d->stats->column[7], *place = &d->stats->column[8];
    cr_expect_str_eq(bedrooms->name, "total_bedrooms");
    cr_expect_eq(bedrooms->fill, 435.0, "median %g, want 435", bedrooms->fill);
    cr_expect(fabs(bedrooms->scale.mean - 536.8388565891473) < 1e-9, "%.17g", bedrooms->scale.mean);
    cr_expect(fabs(income->scale.mean - 3.8706710030346416) < 1e-6, "%.17g", income->scale.mean);
    cr_expect(fabs(income->scale.deviation - 1.8997756949935611) < 1e-6, "%.17g", income->scale.deviation);
    cr_expect(fabs(d->stats->target[0].mean - 206855.81690891474) < 1e-6, "%.17g", d->stats->target[0].mean);
    cr_expect(fabs(d->stats->target[0].deviation - 115392.82040412253) < 1e-6, "%.17g",
              d->stats->target[0].deviation);
    cr_assert_eq(place->categories.n, 5);
    for (int c = 0; c < 5; c++) cr_expect_str_eq(place->categories.text[c], categories[c]);
    cr_expect_eq(d->x[8 + 3], 1.0f, "the first block is NEAR BAY");
    lk_dataset_free(&d);
}

Test(real_data, california_housing_drops_its_207_incomplete_rows)
{
    const char *path = real_data("california-housing/housing.csv");
    lk_data_spec spec = housing((char *)path);
    lk_dataset *train, *validation;
    spec.missing = LK_MISSING_DROP;
    spec.validation_fraction = 0.2;
    open_parts(&spec, &train, &validation);

    cr_expect_eq(lk_dataset_n(train) + lk_dataset_n(validation), 20433);
    cr_expect_eq(lk_dataset_n(validation), 4087, "%ld validate, want 4087", (long)lk_dataset_n(validation));
    lk_dataset_free(&train);
    lk_dataset_free(&validation);
}

Test(real_data, airfoil_has_tabs_and_no_header)
{
    const char *path = real_data("airfoil-self-noise/airfoil_self_noise.dat");
    lk_data_spec spec = plain_spec(LK_DATA_CSV);
    lk_dataset *d, *none;
    spec.train = (char *)path;
    spec.header = false;
    spec.delimiter = "\t";
    spec.target = "5";
    open_parts(&spec, &d, &none);

    cr_assert_eq(lk_dataset_n(d), 1503);
    cr_assert_eq(lk_dataset_n_input(d), 5);
    float low = d->target[0], high = d->target[0];
    for (int i = 0; i < 1503; i++) low = fminf(low, d->target[i]), high = fmaxf(high, d->target[i]);
    cr_expect(low == 103.38f && high == 140.987f, "[%g, %g]", (double)low, (double)high);
    lk_dataset_free(&d);
}

Test(real_data, make_regression_has_standardised_columns)
{
    const char *path = real_data("make_regression_42/train.csv");
    char *train_path = strdup(path);
    lk_data_spec spec = plain_spec(LK_DATA_CSV);
    lk_dataset *train, *validation;
    spec.train = train_path;
    spec.validation = (char *)real_data("make_regression_42/val.csv");
    spec.target = "y";
    open_parts(&spec, &train, &validation);

    cr_expect_eq(lk_dataset_n(train), 1600);
    cr_expect_eq(lk_dataset_n(validation), 400);
    cr_expect_eq(lk_dataset_n_input(train), 20);
    cr_expect_eq(train->x[0], 1.0686466f);
    cr_expect_eq(validation->target[0], -0.5981704f);
    lk_dataset_free(&train);
    lk_dataset_free(&validation);
    free(train_path);
}

Test(real_data, cifar_10_has_as_many_images_of_every_class)
{
    lk_data_spec spec = plain_spec(LK_DATA_CIFAR10);
    lk_dataset *d, *none;
    char path[TEST_PATH_BYTES];
    int of_class[10] = {0};
    snprintf(path, sizeof path, "%s", real_data("cifar-10/test_batch.bin.xz"));
    spec.train = path;
    cr_assert_eq(lk_dataset_open(&spec, LK_LOSS_CROSS_ENTROPY, NULL, &d, &none), LK_OK, "%s", lk_error_message());

    cr_assert_eq(lk_dataset_n(d), 10000);
    for (int i = 0; i < 10000; i++) of_class[d->label[i]]++;
    for (int c = 0; c < 10; c++) cr_expect_eq(of_class[c], 1000, "class %d has %d samples", c, of_class[c]);
    lk_dataset_free(&d);
}
