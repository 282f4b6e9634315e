/* Reading metrics.csv back: what was written comes back bit by bit; what no run wrote is an error with its line. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/file/files.h"
#include "io/io.h"
#include "tests/support/temp_dir.h"

static char path[512];

static void make_dir(void)
{
    make_temp_dir();
    snprintf(path, sizeof path, "%s/metrics.csv", temp_dir);
}

TestSuite(metrics_read, .init = make_dir, .fini = remove_temp_dir);

static void put(const char *text) { cr_assert_eq(lk_write_file_atomic(path, text, strlen(text)), LK_OK); }

static lk_metrics_table *read_back(void)
{
    lk_metrics_table *table;

    cr_assert_eq(lk_metrics_read(path, &table), LK_OK, "%s", lk_error_message());
    return table;
}

Test(metrics_read, what_a_run_wrote_comes_back_bit_by_bit)
{
    const char *const columns[] = {"lr", "train.loss"};
    const double values[][2] = {{0.1, 1.0 / 3}, {1e-300, NAN}, {0, INFINITY}};
    lk_metrics *metrics;

    cr_assert_eq(lk_metrics_open(path, columns, 2, -1, &metrics), LK_OK);
    for (int i = 0; i < 3; i++) cr_assert_eq(lk_metrics_write(metrics, 10 * i, i, values[i]), LK_OK);
    lk_metrics_free(&metrics);

    lk_metrics_table *table = read_back();
    cr_assert_eq(table->n_rows, 3, "got %zu rows, want 3", table->n_rows);
    cr_assert_eq(table->n_columns, 4, "got %zu columns, want 4", table->n_columns);
    for (int i = 0; i < 3; i++) {
        const double loss = lk_metrics_column(table, "train.loss")[i], lr = lk_metrics_column(table, "lr")[i];

        cr_expect_eq(lk_metrics_column(table, "step")[i], 10 * i);
        cr_expect_eq(lk_metrics_column(table, "epoch")[i], i);
        cr_expect_eq(lr, values[i][0], "row %d: got %.17g, want %.17g", i, lr, values[i][0]);
        if (isnan(values[i][1])) cr_expect(isnan(loss), "row %d: got %.17g for an empty cell", i, loss);
        else cr_expect_eq(loss, values[i][1], "row %d: got %.17g, want %.17g", i, loss, values[i][1]);
    }
    cr_expect_null(lk_metrics_column(table, "loss"));
    lk_metrics_table_free(&table);
    cr_expect_null(table);
}

Test(metrics_read, a_line_being_written_is_not_there_yet)
{
    put("step,epoch,lr\n10,1,0.5\n20,2,0.2");
    lk_metrics_table *table = read_back();
    cr_expect_eq(table->n_rows, 1, "got %zu rows, want 1", table->n_rows);
    lk_metrics_table_free(&table);
}

Test(metrics_read, a_run_without_evaluations_has_no_rows)
{
    put("step,epoch,lr\n");
    lk_metrics_table *table = read_back();
    cr_expect_eq(table->n_rows, 0, "got %zu rows, want 0", table->n_rows);
    lk_metrics_table_free(&table);
}

static void expect_failure(const char *text, const char *want)
{
    lk_metrics_table *table;

    put(text);
    cr_expect_eq(lk_metrics_read(path, &table), LK_ERR_DATA);
    cr_expect_null(table);
    cr_expect(strstr(lk_error_message(), want), "got \"%s\", want it to say \"%s\"", lk_error_message(), want);
}

Test(metrics_read, what_no_run_wrote_is_an_error_with_its_line)
{
    expect_failure("", "metrics.csv:1: this is no metrics.csv of a run: it has no header");
    expect_failure("time,epoch\n",
                   "metrics.csv:1: this is no metrics.csv of a run: its columns are to begin with step,epoch");
    expect_failure("step,epoch,lr\n1,1,2\n2,2\n", "metrics.csv:3: 2 cells, but the header names 3 columns");
    expect_failure("step,epoch,lr\n1,1,2\n2,2,oops\n", "metrics.csv:3: lr: `oops` is not a number");
    expect_failure("step,epoch,lr\n1,1,0.5x\n", "metrics.csv:2: lr: `0.5x` is not a number");
    expect_failure("step,epoch,lr\n1,1, \n7,2,3\n", "metrics.csv:2: lr: ` ` is not a number");
}

Test(metrics_read, a_file_that_is_not_there_is_an_error)
{
    lk_metrics_table *table;

    cr_expect_eq(lk_metrics_read("/nowhere/metrics.csv", &table), LK_ERR_SYSTEM);
    cr_expect_null(table);
}
