/* Generated data: the law they follow, their reproducibility, and bad recipes. */
#include <math.h>

#include "io/data/data.h"
#include "tests/support/data_files.h"

static lk_data_spec regression(void)
{
    lk_data_spec spec = plain_spec(LK_DATA_REGRESSION);
    spec.samples = 500;
    spec.n_features = 12;
    spec.n_informative = 4;
    return spec;
}

static void open_parts(const lk_data_spec *spec, lk_dataset **train, lk_dataset **validation)
{
    cr_assert_eq(lk_dataset_open(spec, LK_LOSS_MSE, NULL, train, validation), LK_OK, "%s", lk_error_message());
}

static void expect_message(const lk_data_spec *spec, lk_loss_kind loss, const char *want)
{
    lk_dataset *train, *validation;

    cr_expect_eq(lk_dataset_open(spec, loss, NULL, &train, &validation), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), want), "\n got: %s\nwant: %s", lk_error_message(), want);
}

/* Solves (X^T X) w = X^T y for n <= 12 features by elimination; without noise w is exact up to fp32's rounding of
 * y. */
static void least_squares(const lk_dataset *d, double *w)
{
    enum { MAX = 12 };
    const int n = (int)d->n_input;
    double a[MAX][MAX + 1] = {{0}};

    for (int64_t i = 0; i < d->n; i++)
        for (int j = 0; j < n; j++) {
            for (int k = 0; k < n; k++) a[j][k] += (double)d->x[i * n + j] * d->x[i * n + k];
            a[j][n] += (double)d->x[i * n + j] * d->target[i];
        }
    for (int p = 0; p < n; p++)
        for (int j = 0; j < n; j++) {
            const double factor = j == p ? 0.0 : a[j][p] / a[p][p];
            for (int k = p; k <= n; k++) a[j][k] -= factor * a[p][k];
        }
    for (int j = 0; j < n; j++) w[j] = a[j][n] / a[j][j];
}

/* y has 24 bits of up to some hundreds, so weights come back to about 1e-5. */
Test(generated, regression_has_n_informative_weights_below_100_alike_in_both_parts)
{
    lk_data_spec spec = regression();
    lk_dataset *train, *validation;
    double w[12], v[12];
    int informative = 0;
    spec.validation_samples = 100;
    open_parts(&spec, &train, &validation);
    least_squares(train, w);
    least_squares(validation, v);

    cr_assert_eq(lk_dataset_n(validation), 100);
    for (int j = 0; j < 12; j++) {
        cr_expect(fabs(w[j] - v[j]) < 1e-4, "weight %d: %g in training, %g in validation", j, w[j], v[j]);
        cr_expect(w[j] > -1e-4 && w[j] < 100.0, "weight %d is %g", j, w[j]);
        informative += fabs(w[j]) > 1e-3;
    }
    cr_expect_eq(informative, 4, "%d informative features, want 4", informative);
    lk_dataset_free(&train);
    lk_dataset_free(&validation);
}

/* 5000 draws: the mean's deviation is 0.014, the deviation's 0.01; five of them. */
Test(generated, features_are_standard_normal_and_noise_has_its_deviation)
{
    lk_data_spec spec = regression(), quiet;
    lk_dataset *noisy, *clean, *none;
    double sum = 0, square = 0, noise = 0;
    spec.samples = 5000;
    spec.noise = 2.5;
    quiet = spec;
    quiet.noise = 0.0;
    open_parts(&spec, &noisy, &none);
    open_parts(&quiet, &clean, &none);

    for (int i = 0; i < 5000; i++) {
        sum += noisy->x[i * 12 + 5];
        square += (double)noisy->x[i * 12 + 5] * noisy->x[i * 12 + 5];
        noise += pow((double)noisy->target[i] - clean->target[i], 2);
    }
    cr_expect(fabs(sum / 5000) < 0.07, "mean %g", sum / 5000);
    cr_expect(fabs(sqrt(square / 5000) - 1) < 0.05, "deviation %g", sqrt(square / 5000));
    cr_expect(fabs(sqrt(noise / 5000) / 2.5 - 1) < 0.05, "deviation of the noise %g, want 2.5", sqrt(noise / 5000));
    lk_dataset_free(&noisy);
    lk_dataset_free(&clean);
}

Test(generated, samples_depend_on_seed_and_place_alone)
{
    lk_data_spec spec = regression(), longer, other;
    lk_dataset *a, *b, *c, *none, *tail;
    open_parts(&spec, &a, &none);
    cr_expect_null(none);
    longer = spec;
    longer.samples = 300;
    longer.validation_samples = 200;
    open_parts(&longer, &b, &tail);
    other = spec;
    other.seed = 2;
    open_parts(&other, &c, &none);

    cr_expect_eq(memcmp(a->x, b->x, 300 * 12 * sizeof(float)), 0, "the first 300 samples differ");
    cr_expect_eq(memcmp(a->x + 300 * 12, tail->x, 200 * 12 * sizeof(float)), 0,
                 "validation is not the samples that follow");
    cr_expect_eq(memcmp(a->target + 300, tail->target, 200 * sizeof(float)), 0);
    cr_expect_neq(memcmp(a->x, c->x, 12 * sizeof(float)), 0, "seeds 1 and 2 give the same sample");
    lk_dataset_free(&a);
    lk_dataset_free(&b);
    lk_dataset_free(&c);
    lk_dataset_free(&tail);
}

Test(generated, polynomial_is_the_weighted_sum_of_powers)
{
    double weights[] = {2.0, -0.5, 1.0};
    lk_data_spec spec = plain_spec(LK_DATA_POLYNOMIAL);
    lk_dataset *d, *none;
    spec.samples = 50;
    spec.weights = weights;
    spec.n_weights = 3;
    spec.degree = 3;
    open_parts(&spec, &d, &none);

    cr_assert_eq(lk_dataset_n_input(d), 3);
    for (int i = 0; i < 50; i++) {
        const float *x = d->x + i * 3;
        const double want =
            2.0 * x[0] * x[0] * (double)x[0] - 0.5 * x[1] * x[1] * (double)x[1] + 1.0 * x[2] * x[2] * (double)x[2];
        /* the test's own products are fp32 */
        cr_expect(fabs(d->target[i] - want) <= 1e-5 * (1 + fabs(want)), "sample %d: got %g, want %g", i,
                  (double)d->target[i], want);
    }
    lk_dataset_free(&d);
}

Test(generated, recipes_that_make_no_data_are_usage_errors)
{
    double weights[] = {1.0};
    lk_data_spec spec = regression();

    expect_message(&spec, LK_LOSS_CROSS_ENTROPY,
                   "data.kind regression has numbers as targets; set loss.kind to mse or l1");
    spec.n_informative = 13;
    expect_message(&spec, LK_LOSS_MSE, "data.n_informative is 13 of data.n_features 12");
    spec = regression();
    spec.noise = -1;
    expect_message(&spec, LK_LOSS_MSE, "data.noise is -1; it must be 0 or more");
    spec.samples = 0;
    expect_message(&spec, LK_LOSS_MSE, "data.samples is 0; it must be at least 1");

    spec = plain_spec(LK_DATA_POLYNOMIAL);
    spec.samples = 100;
    expect_message(&spec, LK_LOSS_MSE, "data.weights is empty; it has one number a feature");
    spec.weights = weights;
    spec.n_weights = 1;
    spec.degree = -1;
    expect_message(&spec, LK_LOSS_MSE, "data.degree is -1; it must be 0 or more");
    spec.degree = 400;
    expect_message(&spec, LK_LOSS_MSE,
                   "which fp32 cannot hold; lower data.degree (400), data.weights or data.noise");
}

Test(generated, there_are_no_files_to_predict)
{
    lk_data_spec spec = regression();
    lk_dataset *file;

    cr_expect_eq(lk_dataset_open_file(&spec, LK_LOSS_MSE, "{}", "x.csv", NULL, false, &file), LK_ERR_USAGE);
    cr_expect_str_eq(lk_error_message(), "data.kind regression is generated; it has no files like x.csv");
}
