/* Digests of steps: what was put comes back by column, other bits have another digest, and a torn line is left out. */
#include <criterion/criterion.h>
#include <string.h>

#include "io/file/files.h"
#include "io/io.h"
#include "tests/support/temp_dir.h"

static char path[512];

static void make_dir(void)
{
    make_temp_dir();
    snprintf(path, sizeof path, "%s/digests.csv", temp_dir);
}

TestSuite(digests, .init = make_dir, .fini = remove_temp_dir);

static const char *const columns[] = {"lane 0 w", "model w"};
enum { N_COLUMNS = sizeof columns / sizeof columns[0] };

static void write_two_steps(void)
{
    const float a[] = {1.0f, 2.0f}, b[] = {1.0f, -0.0f}, c[] = {1.0f, 0.0f};
    lk_digests *digests;

    cr_assert_eq(lk_digests_open(path, columns, N_COLUMNS, "rank 0 of 1 (a)", &digests), LK_OK, "%s",
                 lk_error_message());
    lk_digests_put(digests, 0, a, 2);
    lk_digests_put(digests, 1, b, 2);
    cr_assert_eq(lk_digests_write(digests, 1), LK_OK, "%s", lk_error_message());
    lk_digests_put(digests, 1, c, 2);
    cr_assert_eq(lk_digests_write(digests, 2), LK_OK, "%s", lk_error_message());
    lk_digests_free(&digests);
    cr_expect_null(digests);
}

Test(digests, what_was_put_comes_back_by_step_and_column)
{
    static const struct { int64_t step; size_t column; } want[] = {{1, 0}, {1, 1}, {2, 1}};
    enum { N_WANT = sizeof want / sizeof want[0] };
    lk_digests_table *table;

    write_two_steps();
    cr_assert_eq(lk_digests_read(path, &table), LK_OK, "%s", lk_error_message());
    cr_assert_eq(table->n_columns, N_COLUMNS, "got %zu columns, want %d", table->n_columns, N_COLUMNS);
    for (size_t i = 0; i < N_COLUMNS; i++)
        cr_expect_str_eq(table->name[i], columns[i], "column %zu: got %s, want %s", i, table->name[i], columns[i]);
    cr_expect_str_eq(table->who, "rank 0 of 1 (a)", "got %s", table->who);
    cr_assert_eq(table->n_cells, N_WANT, "got %zu cells, want %d", table->n_cells, N_WANT);
    for (size_t i = 0; i < N_WANT; i++) {
        cr_expect_eq(table->cell[i].step, want[i].step, "cell %zu: step %lld", i, (long long)table->cell[i].step);
        cr_expect_eq(table->cell[i].column, want[i].column, "cell %zu: column %zu", i, table->cell[i].column);
    }
    /* Of zeros with other signs the bits are others. */
    cr_expect_neq(table->cell[1].value, table->cell[2].value, "both are %llx",
                  (unsigned long long)table->cell[1].value);
    lk_digests_table_free(&table);
    cr_expect_null(table);
}

Test(digests, a_torn_last_line_is_left_out)
{
    static const char text[] = "step,model w,rank 0 of 1 (a)\n1,00000000000000ff,\n2,00000000";
    lk_digests_table *table;

    cr_assert_eq(lk_write_file_atomic(path, text, strlen(text)), LK_OK);
    cr_assert_eq(lk_digests_read(path, &table), LK_OK, "%s", lk_error_message());
    cr_assert_eq(table->n_cells, 1, "got %zu cells, want 1", table->n_cells);
    cr_expect_eq(table->cell[0].value, 255, "got %llu, want 255", (unsigned long long)table->cell[0].value);
    lk_digests_table_free(&table);
}

static void expect_refusal(const char *text, const char *why)
{
    lk_digests_table *table;

    cr_assert_eq(lk_write_file_atomic(path, text, strlen(text)), LK_OK);
    cr_expect_eq(lk_digests_read(path, &table), LK_ERR_DATA);
    cr_expect(strstr(lk_error_message(), why), "got `%s`, want `%s`", lk_error_message(), why);
    cr_expect_null(table);
}

Test(digests, other_files_are_refused)
{
    expect_refusal("", "no file of digests");
    expect_refusal("epoch,loss\n1,2\n", "no file of digests");
    expect_refusal("step,model w,rank 0\n1,ff\n", "other cells than the header names");
}
