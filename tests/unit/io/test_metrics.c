/* metrics.csv: numbers come back bit by bit, a resumed run goes on where its checkpoint was. */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/file/files.h"
#include "io/io.h"
#include "tests/support/temp_dir.h"

static const char *const columns[] = {"train.loss", "validation.mse"};

TestSuite(metrics, .init = make_temp_dir, .fini = remove_temp_dir);

static const char *file_in_new_dir(void)
{
    static char path[512];

    snprintf(path, sizeof path, "%s/metrics.csv", temp_dir);
    return path;
}

static void expect_text(const char *path, const char *want)
{
    char *text;

    cr_assert_eq(lk_read_file(path, &text, NULL), LK_OK, "%s", lk_error_message());
    cr_expect_str_eq(text, want, "got:\n%s\nwant:\n%s", text, want);
    free(text);
}

static lk_metrics *open_at(const char *path, int64_t resume_step)
{
    lk_metrics *metrics;

    cr_assert_eq(lk_metrics_open(path, columns, 2, resume_step, &metrics), LK_OK, "%s", lk_error_message());
    return metrics;
}

static void write_steps(const char *path, int64_t from, int64_t to)
{
    lk_metrics *metrics = open_at(path, from - 1);

    for (int64_t step = from; step <= to; step++)
        cr_assert_eq(lk_metrics_write(metrics, step, 1, (double[]){(double)step / 4, NAN}), LK_OK);
    lk_metrics_free(&metrics);
    cr_expect_null(metrics);
}

Test(metrics, a_line_is_on_file_as_soon_as_it_is_written)
{
    const char *path = file_in_new_dir();
    lk_metrics *metrics = open_at(path, -1);

    expect_text(path, "step,epoch,train.loss,validation.mse\n");
    cr_assert_eq(lk_metrics_write(metrics, 12, 3, (double[]){0.1, NAN}), LK_OK);
    expect_text(path, "step,epoch,train.loss,validation.mse\n12,3,0.1,\n");
    lk_metrics_free(&metrics);
}

/* A double's text must bring back the same double: the nearest, the longest and the extreme ones. */
Test(metrics, numbers_come_back_bit_by_bit)
{
    const double values[] = {0.1,  1.0 / 3, 0.1 + 0.2, DBL_MAX, DBL_TRUE_MIN,
                             -0.0, 1e22,    1e22 / 7,  INFINITY};

    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        const char *path = file_in_new_dir();
        lk_metrics *metrics = open_at(path, -1);
        char *text;

        cr_assert_eq(lk_metrics_write(metrics, 0, 0, (double[]){values[i], 0}), LK_OK);
        lk_metrics_free(&metrics);
        cr_assert_eq(lk_read_file(path, &text, NULL), LK_OK);
        const double back = strtod(strstr(text, "\n0,0,") + 5, NULL);
        cr_expect(memcmp(&back, &values[i], sizeof back) == 0, "wrote %.17g, read %.17g from %s", values[i], back,
                  text);
        free(text);
    }
}

Test(metrics, a_resumed_run_drops_what_came_after_its_checkpoint)
{
    const char *path = file_in_new_dir();

    write_steps(path, 0, 12);
    write_steps(path, 3, 4);
    expect_text(path, "step,epoch,train.loss,validation.mse\n0,1,0,\n1,1,0.25,\n2,1,0.5,\n3,1,0.75,\n4,1,1,\n");
}

/* What a checkpoint compares with its own count: lines that were kept, then each one written. */
Test(metrics, lines_are_counted_through_a_resume)
{
    const char *path = file_in_new_dir();
    const double values[] = {0.5, NAN};
    lk_metrics *metrics;

    write_steps(path, 0, 12);
    cr_assert_eq(lk_metrics_open(path, columns, 2, 2, &metrics), LK_OK, "%s", lk_error_message());
    cr_expect_eq(lk_metrics_n_lines(metrics), 3, "got %d lines, want 3", (int)lk_metrics_n_lines(metrics));
    cr_assert_eq(lk_metrics_write(metrics, 3, 1, values), LK_OK);
    cr_expect_eq(lk_metrics_n_lines(metrics), 4, "got %d lines, want 4", (int)lk_metrics_n_lines(metrics));
    cr_expect_eq(lk_metrics_sync(metrics), LK_OK, "%s", lk_error_message());
    lk_metrics_free(&metrics);
}

/* "1" torn from "120,..." must not pass for step 1. */
Test(metrics, a_line_torn_by_a_crash_is_dropped)
{
    const char *path = file_in_new_dir(), torn[] = "step,epoch,train.loss,validation.mse\n0,1,0,\n1";

    cr_assert_eq(lk_write_file_atomic(path, torn, strlen(torn)), LK_OK);
    write_steps(path, 5, 5);
    expect_text(path, "step,epoch,train.loss,validation.mse\n0,1,0,\n5,1,1.25,\n");
}

Test(metrics, a_fresh_run_starts_an_empty_file)
{
    const char *path = file_in_new_dir();

    write_steps(path, 0, 2);
    lk_metrics *metrics = open_at(path, -1);
    lk_metrics_free(&metrics);
    expect_text(path, "step,epoch,train.loss,validation.mse\n");
}

Test(metrics, a_file_with_other_columns_is_not_mixed)
{
    const char *path = file_in_new_dir(), other[] = "step,epoch,loss\n0,1,0\n";
    char want[1024];
    lk_metrics *metrics;

    cr_assert_eq(lk_write_file_atomic(path, other, strlen(other)), LK_OK);
    cr_expect_eq(lk_metrics_open(path, columns, 2, 0, &metrics), LK_ERR_USAGE);
    snprintf(want, sizeof want, "%s has other columns than this run: step,epoch,loss, now "
             "step,epoch,train.loss,validation.mse; move it away to go on", path);
    cr_expect_str_eq(lk_error_message(), want);
    expect_text(path, other);
}

Test(metrics, a_folder_that_is_not_there_is_an_error)
{
    lk_metrics *metrics;

    cr_expect_eq(lk_metrics_open("/nowhere/metrics.csv", columns, 2, -1, &metrics), LK_ERR_SYSTEM);
    cr_expect_null(metrics);
}

/* The prefix of a part stands in two lists of io: the names, and the parts. */
Test(metrics, every_name_leads_back_to_its_part_and_metric)
{
    for (int k = 0; k < LK_N_LOSSES; k++) {
        const char *names[LK_MOST_METRICS];
        const lk_measured all = {.loss = (lk_loss_kind)k, .validation = true, .ema = true, .train = true, .asked = ~0u};
        const size_t n = lk_metric_names(&all, names);

        cr_expect_gt(n, 0);
        for (size_t i = 0; i < n; i++) {
            const int part = lk_metric_part_of(names[i]);

            cr_assert_geq(part, 0, "%s belongs to no part", names[i]);
            cr_expect(lk_metric_of(names[i]) && lk_metric_fits(lk_metric_of(names[i]), (lk_loss_kind)k), "%s",
                      names[i]);
        }
    }
}

static void expect_names(const lk_measured *what, const char *want)
{
    const char *names[LK_MOST_METRICS];
    const size_t n = lk_metric_names(what, names);
    char got[512] = "";

    for (size_t i = 0; i < n; i++) {
        strcat(got, names[i]);
        strcat(got, i + 1 < n ? " " : "");
    }
    cr_expect_str_eq(got, want);
}

Test(metrics, a_run_measures_what_its_loss_its_data_and_its_recipe_say)
{
    expect_names(&(lk_measured){.loss = LK_LOSS_HUBER}, "train.loss");
    expect_names(&(lk_measured){.loss = LK_LOSS_MSE, .validation = true, .asked = lk_metric_bit("rmse")},
                 "train.loss validation.loss validation.mse validation.rmse validation.mae validation.r2");
    expect_names(
        &(lk_measured){.loss = LK_LOSS_CROSS_ENTROPY, .validation = true, .ema = true, .train = true},
        "train.loss validation.loss validation.accuracy ema.validation.loss ema.validation.accuracy train_eval.loss "
        "train_eval.accuracy");
    expect_names(&(lk_measured){.loss = LK_LOSS_BCE, .ema = true, .train = true},
                 "train.loss train_eval.loss train_eval.accuracy");
}
