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
    const double of[LK_N_SUMS] = {
        [LK_SUM_LOSS] = 6.0, [LK_SUM_COUNT] = 4.0,   [LK_SUM_TERMS] = 8.0,       [LK_SUM_SQUARED] = 2.0,
        [LK_SUM_ABS] = 4.0,  [LK_SUM_CORRECT] = 6.0, [LK_SUM_CORRECT_TOP5] = 7.0};
    const lk_sums sums = {.of = of, .n_output = 6, .bleu = 30.5, .textbook_bleu2 = 0.25};

    expect_value("loss", &sums, 1.5);
    expect_value("accuracy", &sums, 0.75);
    expect_value("accuracy_top5", &sums, 0.875);
    expect_value("perplexity", &sums, 1.0);
    expect_value("mse", &sums, 0.25);
    expect_value("rmse", &sums, 0.5);
    expect_value("mae", &sums, 0.5);
    expect_value("bleu", &sums, 30.5);
    expect_value("bleu2", &sums, 0.25);
}

Test(loss_tables, of_five_classes_the_first_five_say_nothing)
{
    const double of[LK_N_SUMS] = {[LK_SUM_TERMS] = 8.0, [LK_SUM_CORRECT_TOP5] = 8.0};

    cr_expect(isnan(lk_metric_find("accuracy_top5")->value(&(lk_sums){.of = of, .n_output = 5})));
}

/* r2 of one output over n rows of targets, as the kernels sum them up. */
static double r2_of(size_t n, const double *target, double error)
{
    double of[LK_N_SUMS + LK_N_OUTPUT_SUMS] = {[LK_SUM_TERMS] = (double)n, [LK_N_SUMS + LK_OUTPUT_SUM_ERROR] = error};

    for (size_t i = 0; i < n; i++) {
        of[LK_N_SUMS + LK_OUTPUT_SUM_TARGET] += target[i];
        of[LK_N_SUMS + LK_OUTPUT_SUM_SQUARES] += target[i] * target[i];
        of[LK_N_SUMS + LK_OUTPUT_SUM_CHANGES] += i > 0 && target[i] != target[i - 1];
    }
    return lk_metric_find("r2")->value(&(lk_sums){.of = of, .n_output = 1});
}

/* scikit-learn: 1 where the constant is predicted exactly, else 0. */
Test(loss_tables, r2_of_a_constant_target_is_one_or_zero)
{
    enum { N = 1000 };
    double target[N];

    for (int i = 0; i < N; i++) target[i] = (double)0.1f;
    cr_expect_eq(r2_of(N, target, 0.0), 1.0, "got %g", r2_of(N, target, 0.0));
    cr_expect_eq(r2_of(N, target, 1e-9), 0.0, "got %g", r2_of(N, target, 1e-9));
    cr_expect(isnan(r2_of(N, target, NAN)));
}

/* Targets far from 0, as years are: 1900 + 0, 1, .. 999 spread by (N^3 - N) / 12. */
Test(loss_tables, r2_stands_a_mean_far_from_zero)
{
    enum { N = 1000 };
    const double spread = ((double)N * N * N - N) / 12.0, error = 0.25 * spread;
    double target[N];

    for (int i = 0; i < N; i++) target[i] = 1e6 + i;
    cr_expect_float_eq(r2_of(N, target, error), 0.75, 1e-8, "got %.12g", r2_of(N, target, error));
}

Test(loss_tables, labels_weigh_what_their_class_does_and_ignored_ones_nothing)
{
    const int32_t label[] = {0, 1, 255, 2};
    double weight[] = {0.5, 0.1, 4.0};
    lk_loss_spec spec = {.kind = LK_LOSS_CROSS_ENTROPY, .ignore_index = 255};

    cr_expect_eq(lk_loss_count_terms(&spec, label, 4), 3.0);
    spec.weight = weight, spec.n_weight = 3;
    /* fp32, as kernels have it */
    const double got = lk_loss_count_terms(&spec, label, 4), want = 0.5 + (double)0.1f + 4.0;
    cr_expect_eq(got, want, "got %.17g, want %.17g", got, want);
}

/* scikit-learn 1.3: r2_score([[1, 5], [2, 5], [3, 9]], [[1, 5], [2, 6], [4, 8]]) is the mean of 0.5 and 0.8125, not the
 * share of the errors in all spread. */
Test(loss_tables, r2_is_the_plain_mean_over_outputs)
{
    const double of[LK_N_SUMS + 2 * LK_N_OUTPUT_SUMS] = {
        [LK_SUM_TERMS] = 6.0,
        [LK_N_SUMS + 2 * LK_OUTPUT_SUM_ERROR] = 1.0, 2.0,
        [LK_N_SUMS + 2 * LK_OUTPUT_SUM_TARGET] = 6.0, 19.0,
        [LK_N_SUMS + 2 * LK_OUTPUT_SUM_SQUARES] = 14.0, 131.0,
        [LK_N_SUMS + 2 * LK_OUTPUT_SUM_CHANGES] = 2.0, 1.0,
    };

    expect_value("r2", &(lk_sums){.of = of, .n_output = 2}, (0.5 + 0.8125) / 2.0);
}
