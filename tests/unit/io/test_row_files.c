/* Rows on disk: they come back as they were written; a file that is damaged, cut or of other rows is none. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/io.h"
#include "tests/support/temp_dir.h"

enum { N = 23, AT_ONCE = 5, ROW = 12, N_FILES = 5 };

#define OK(expr) cr_assert_eq((expr), LK_OK, "%s", lk_error_message())

/* Good until the next call. */
static const char *temp_path(const char *name)
{
    static char path[128];

    snprintf(path, sizeof path, "%s/%s", temp_dir, name);
    return path;
}

static void fill(char rows[N][ROW], int what)
{
    for (int i = 0; i < N; i++)
        for (int b = 0; b < ROW; b++) rows[i][b] = (char)(what + 31 * i + 7 * b);
}

static lk_row_files *files_of(const char *key)
{
    lk_row_files *files;

    OK(lk_row_files_new(temp_path("rows"), key, N, AT_ONCE, ROW, &files));
    return files;
}

static void write_all(const lk_row_files *files, char rows[N][ROW])
{
    for (int f = 0; f < N_FILES; f++) OK(lk_row_files_write(files, f, rows[f * AT_ONCE]));
}

static int count_whole(const lk_row_files *files)
{
    int n = 0;

    for (int f = 0; f < N_FILES; f++) {
        bool whole;

        OK(lk_row_files_check(files, f, &whole));
        n += whole;
    }
    return n;
}

TestSuite(row_files, .init = make_temp_dir, .fini = remove_temp_dir);

Test(row_files, come_back_as_they_were)
{
    char rows[N][ROW];
    lk_row_files *files = files_of("one");

    fill(rows, 1);
    cr_expect_eq(count_whole(files), 0);
    write_all(files, rows);
    cr_expect_eq(count_whole(files), N_FILES, "%d of %d files are whole", count_whole(files), N_FILES);
    OK(lk_row_files_open(files));
    for (int i = 0; i < N; i++)
        cr_expect(memcmp(lk_row_files_row(files, i), rows[i], ROW) == 0, "row %d is another", i);
    lk_row_files_free(&files);
}

Test(row_files, what_is_not_whole_is_none)
{
    char rows[N][ROW], path[4096];
    lk_row_files *files = files_of("one"), *others = files_of("two");

    fill(rows, 1);
    write_all(files, rows);
    cr_expect_eq(count_whole(others), 0, "%d files of another key", count_whole(others));
    cr_expect_eq(lk_row_files_open(others), LK_ERR_SYSTEM, "files of another key were opened");
    cr_expect(strstr(lk_error_message(), "other rows"), "%s", lk_error_message());

    for (int at = 0; at < 128 + ROW; at += 9) { /* the header, and the first row */
        snprintf(path, sizeof path, "%s/rows-00000001", temp_path("rows"));
        FILE *file = fopen(path, "r+b");
        fseek(file, at, SEEK_SET);
        const int was = fgetc(file);
        fseek(file, at, SEEK_SET);
        fputc(was ^ 4, file);
        fclose(file);
        cr_expect_eq(count_whole(files), N_FILES - 1, "byte %d flipped: %d of %d files are whole", at,
                     count_whole(files), N_FILES);
        OK(lk_row_files_write(files, 1, rows[AT_ONCE]));
    }
    cr_assert_eq(truncate(path, 128 + ROW), 0);
    cr_expect_eq(count_whole(files), N_FILES - 1, "cut: %d of %d files are whole", count_whole(files), N_FILES);
    cr_expect_eq(lk_row_files_open(files), LK_ERR_SYSTEM, "a cut file was opened");
    cr_expect(strstr(lk_error_message(), "rows-00000001: not there as another worker wrote it (another length)"), "%s",
              lk_error_message());
    lk_row_files_free(&others);
    lk_row_files_free(&files);
}

Test(row_files, others_are_removed)
{
    char rows[N][ROW];
    lk_row_files *files = files_of("one");
    const char *keep[] = {"kept"};

    fill(rows, 1);
    write_all(files, rows);
    OK(lk_make_dirs(temp_path("kept")));
    OK(lk_remove_others(temp_dir, keep, 1));
    cr_expect_eq(access(temp_path("kept"), F_OK), 0, "what is kept is gone");
    cr_expect_neq(access(temp_path("rows"), F_OK), 0, "what is not kept is there");
    OK(lk_remove_others(temp_path("nowhere"), keep, 1));
    lk_row_files_free(&files);
}
