/* Notes keep values, kinds and order; files appear whole; folders are made with their parents. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/file/files.h"
#include "io/file/metadata.h"
#include "tests/support/temp_dir.h"

static lk_metadata *notes_of_each_kind(void)
{
    lk_metadata *metadata;

    cr_assert_eq(lk_metadata_new(&metadata), LK_OK);
    cr_assert_eq(lk_metadata_set_int(metadata, "loader/epoch", INT64_MIN), LK_OK);
    cr_assert_eq(lk_metadata_set_real(metadata, "schedule/best", 0.1), LK_OK);
    cr_assert_eq(lk_metadata_set_text(metadata, "run/recipe", "run: {name: a}\n"), LK_OK);
    return metadata;
}

static void expect_each_kind(const lk_metadata *metadata)
{
    int64_t epoch;
    double best;
    const char *recipe;

    cr_assert_eq(lk_metadata_get_int(metadata, "loader/epoch", &epoch), LK_OK, "%s", lk_error_message());
    cr_assert_eq(lk_metadata_get_real(metadata, "schedule/best", &best), LK_OK, "%s", lk_error_message());
    cr_assert_eq(lk_metadata_get_text(metadata, "run/recipe", &recipe), LK_OK, "%s", lk_error_message());
    cr_expect_eq(epoch, INT64_MIN);
    cr_expect_eq(best, 0.1);
    cr_expect_str_eq(recipe, "run: {name: a}\n");
}

Test(metadata, give_back_what_was_set)
{
    lk_metadata *metadata = notes_of_each_kind();

    expect_each_kind(metadata);
    lk_metadata_free(&metadata);
    cr_expect_null(metadata);
    lk_metadata_free(&metadata);
}

Test(metadata, an_absent_note_and_one_of_another_kind_are_told_apart)
{
    lk_metadata *metadata = notes_of_each_kind();
    int64_t value;

    cr_expect_not(lk_metadata_has(metadata, "loader/index"));
    cr_expect_eq(lk_metadata_get_int(metadata, "loader/index", &value), LK_ERR_CHECKPOINT);
    cr_expect_str_eq(lk_error_message(), "the note loader/index is missing");
    cr_expect_eq(lk_metadata_get_int(metadata, "schedule/best", &value), LK_ERR_CHECKPOINT);
    cr_expect_str_eq(lk_error_message(), "the note schedule/best is a real number, expected a whole number");
    lk_metadata_free(&metadata);
}

Test(metadata, keep_the_order_of_first_setting_through_many_and_a_replacement)
{
    enum { N = 1000 };
    lk_metadata *metadata;
    char path[32];
    int64_t value;

    cr_assert_eq(lk_metadata_new(&metadata), LK_OK);
    for (int i = 0; i < N; i++) {
        snprintf(path, sizeof path, "n/%d", i);
        cr_assert_eq(lk_metadata_set_text(metadata, path, "text"), LK_OK);
    }
    for (int i = 0; i < N; i++) {
        snprintf(path, sizeof path, "n/%d", i);
        cr_assert_eq(lk_metadata_set_int(metadata, path, i), LK_OK);
    }
    cr_expect_eq(lk_metadata_n(metadata), N, "%zu notes, want %d", lk_metadata_n(metadata), N);
    for (int i = 0; i < N; i++) {
        snprintf(path, sizeof path, "n/%d", i);
        cr_expect_str_eq(lk_metadata_path(metadata, (size_t)i), path);
        cr_assert_eq(lk_metadata_get_int(metadata, path, &value), LK_OK);
        cr_expect_eq(value, i);
    }
    lk_metadata_free(&metadata);
}

Test(metadata, know_their_kinds)
{
    lk_metadata *metadata = notes_of_each_kind();

    cr_expect_eq(lk_metadata_kind(metadata, 0), LK_NOTE_INT);
    cr_expect_eq(lk_metadata_kind(metadata, 1), LK_NOTE_REAL);
    cr_expect_eq(lk_metadata_kind(metadata, 2), LK_NOTE_TEXT);
    lk_metadata_free(&metadata);
}

TestSuite(files, .init = make_temp_dir, .fini = remove_temp_dir);

Test(files, folders_are_made_with_their_parents_and_twice_is_once)
{
    char path[512];
    struct stat info;

    snprintf(path, sizeof path, "%s/a/b/c/", temp_dir);
    cr_assert_eq(lk_make_dirs(path), LK_OK, "%s", lk_error_message());
    cr_assert_eq(lk_make_dirs(path), LK_OK, "%s", lk_error_message());
    cr_assert_eq(stat(path, &info), 0);
    cr_expect(S_ISDIR(info.st_mode));
}

Test(files, a_file_in_the_way_of_a_folder_is_named)
{
    char path[512], below[544];

    snprintf(path, sizeof path, "%s/file", temp_dir);
    cr_assert_eq(lk_write_file_atomic(path, "x", 1), LK_OK, "%s", lk_error_message());
    snprintf(below, sizeof below, "%s/below", path);
    cr_expect_eq(lk_make_dirs(below), LK_ERR_SYSTEM);
    cr_expect(strstr(lk_error_message(), "a file of that name is there"), "message: %s", lk_error_message());
}

Test(files, an_atomic_write_replaces_the_whole_and_leaves_nothing_beside_it)
{
    char path[512], partial[544], *text;
    size_t nbytes;

    snprintf(path, sizeof path, "%s/file", temp_dir);
    snprintf(partial, sizeof partial, "%s.partial", path);
    cr_assert_eq(lk_write_file_atomic(path, "long before", 11), LK_OK, "%s", lk_error_message());
    cr_assert_eq(lk_write_file_atomic(path, "short", 5), LK_OK, "%s", lk_error_message());
    cr_assert_eq(lk_read_file(path, &text, &nbytes), LK_OK, "%s", lk_error_message());
    cr_expect_str_eq(text, "short");
    cr_expect_eq(nbytes, 5);
    cr_expect_neq(access(partial, F_OK), 0);
    free(text);
}

Test(files, a_write_that_fails_says_where_and_why)
{
    cr_expect_eq(lk_write_file_atomic("/nowhere/file", "x", 1), LK_ERR_SYSTEM);
    cr_expect_str_eq(lk_error_message(), "cannot write /nowhere/file: No such file or directory");
    FILE *file;

    cr_expect_eq(lk_open_append("/nowhere/file", true, &file), LK_ERR_SYSTEM);
    cr_expect_null(file);
    cr_expect_eq(lk_sync_dir("/nowhere"), LK_ERR_SYSTEM);
}

Test(files, the_folder_of_a_path_is_what_dirname_says)
{
    const char *const pairs[][2] = {{"a.yaml", "."}, {"/a.yaml", "/"}, {"a/b/c.yaml", "a/b"}, {"./a.yaml", "."}};

    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char *dir = lk_dir_of(pairs[i][0]);
        cr_expect_str_eq(dir, pairs[i][1], "folder of %s: got %s, want %s", pairs[i][0], dir, pairs[i][1]);
        free(dir);
    }
}
