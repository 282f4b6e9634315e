/* The tables of losses and metrics: what recipes may name, and the formulas over known sums. */
#include "engine/engine.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

Test(loss_tables, every_loss_has_a_word_of_its_own_and_an_axis)
{
    for (int k = 0; k < LK_N_LOSSES; k++) {
        const lk_loss *loss = lk_loss_get((lk_loss_kind)k);

        cr_expect(strlen(loss->word) > 0 && strlen(loss->axis) > 0, "loss %d has no words", k);
        for (int other = 0; other < k; other++)
            cr_expect_str_neq(loss->word, lk_loss_get((lk_loss_kind)other)->word);
    }
}

Test(loss_tables, every_metric_is_found_by_its_name_and_fits_some_loss)
{
    for (int m = 0; m < LK_N_METRICS; m++) {
        const lk_metric *metric = lk_metric_get((lk_metric_id)m);
        int fits = 0;

        cr_expect_eq(lk_metric_find(metric->name), metric, "%s is found elsewhere", metric->name);
        for (int k = 0; k < LK_N_LOSSES; k++) fits += lk_metric_fits(metric, (lk_loss_kind)k);
        cr_expect_gt(fits, 0, "%s fits no loss", metric->name);
    }
    cr_expect_null(lk_metric_find("accurac"));
}

static void expect_value(const char *name, const lk_sums *sums, double want)
{
    const double got = lk_metric_find(name)->value(sums);

    cr_expect_float_eq(got, want, 1e-15, "%s is %.17g, want %.17g", name, got, want);
}

Test(loss_tables, metrics_are_means_over_what_counts)
{
    const double of[LK_N_SUMS] = {[LK_SUM_LOSS] = 6.0, [LK_SUM_COUNT] = 8.0, [LK_SUM_SQUARED] = 2.0, [LK_SUM_ABS] = 4.0,
                                  [LK_SUM_CORRECT] = 7.0};
    const lk_sums sums = {.of = of, .n_outputs = 1, .squared = &of[LK_SUM_SQUARED], .spread = (double[]){16.0}};

    expect_value("loss", &sums, 0.75);
    expect_value("accuracy", &sums, 0.875);
    expect_value("mse", &sums, 0.25);
    expect_value("mae", &sums, 0.5);
    expect_value("r2", &sums, 0.875);
}

/* scikit-learn 1.3: r2_score([[1, 5], [2, 5], [3, 9]], [[1, 5], [2, 6], [4, 8]]) is the mean of 0.5 and 0.8125, not the
 * 0.7692 that all values together have. */
Test(loss_tables, r2_is_the_plain_mean_over_outputs)
{
    const double of[LK_N_SUMS] = {[LK_SUM_COUNT] = 6.0, [LK_SUM_SQUARED] = 3.0}, squared[] = {1.0, 2.0};
    const lk_sums two = {.of = of, .n_outputs = 2, .squared = squared, .spread = (double[]){2.0, 32.0 / 3.0}};

    expect_value("r2", &two, (0.5 + 0.8125) / 2.0);
}

/* scikit-learn's force_finite: 1 where a constant is hit, else 0. */
Test(loss_tables, r2_of_a_constant_target_is_1_or_0)
{
    const double of[LK_N_SUMS] = {[LK_SUM_COUNT] = 4.0}, missed[] = {0.25}, nan[] = {NAN};

    expect_value("r2", &(lk_sums){.of = of, .n_outputs = 1, .squared = of, .spread = (double[]){0.0}}, 1.0);
    expect_value("r2", &(lk_sums){.of = of, .n_outputs = 1, .squared = missed, .spread = (double[]){0.0}}, 0.0);
    cr_expect(isnan(lk_metric_find("r2")->value(&(lk_sums){.of = of, .n_outputs = 1, .squared = nan,
                                                           .spread = (double[]){0.0}})), "a lost number is no 0");
}
