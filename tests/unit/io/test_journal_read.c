/* Reading a journal back: every line, and which decisions a resume has undone. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "io/file/files.h"
#include "io/io.h"
#include "tests/support/temp_dir.h"

static char path[512];

static void make_dir(void)
{
    make_temp_dir();
    snprintf(path, sizeof path, "%s/journal.jsonl", temp_dir);
}

TestSuite(journal_read, .init = make_dir, .fini = remove_temp_dir);

static void write_line(int64_t step, const char *event, const char *reason)
{
    lk_journal *journal;

    cr_assert_eq(lk_journal_open(path, true, &journal), LK_OK, "%s", lk_error_message());
    cr_assert_eq(lk_journal_write(journal, step, event, "%s", reason), LK_OK, "%s", lk_error_message());
    lk_journal_free(&journal);
}

Test(journal_read, what_was_written_comes_back)
{
    lk_journal_entry *entries;
    size_t n;

    write_line(0, "start", "4 workers");
    write_line(7, "best", "a \"quoted\"\nreason with \xcf\x83");
    cr_assert_eq(lk_journal_read(path, &entries, &n), LK_OK, "%s", lk_error_message());
    cr_assert_eq(n, 2, "got %zu entries, want 2", n);
    cr_expect_eq(entries[1].step, 7);
    cr_expect_str_eq(entries[1].event, "best");
    cr_expect_str_eq(entries[1].reason, "a \"quoted\"\nreason with \xcf\x83");
    cr_expect_eq(strlen(entries[1].time), strlen("2025-01-31T08:15:00.250Z"), "got the time %s", entries[1].time);
    lk_journal_entries_free(&entries, n);
    cr_expect_null(entries);
}

/* Resumed at 20, then at 10: the second resume also undoes what the first try and the second did after 10.  Of what is
 * decided at 10 itself, the best is in the checkpoint and the learning rate is decided again. */
Test(journal_read, a_resume_undoes_what_came_after_its_step)
{
    static const struct { int64_t step; const char *event; bool undone; } lines[] = {
        {0, "start", false}, {10, "best", false}, {15, "lr", true},     {20, "best", true},    {30, "lr", true},
        {20, "resume", true}, {25, "lr", true},   {10, "lr", true},      {10, "resume", false}, {10, "lr", false},
        {20, "best", false},  {30, "end", false},
    };
    enum { N_LINES = sizeof lines / sizeof lines[0] };
    lk_journal_entry *entries;
    size_t n;

    for (int i = 0; i < N_LINES; i++) write_line(lines[i].step, lines[i].event, "");
    cr_assert_eq(lk_journal_read(path, &entries, &n), LK_OK, "%s", lk_error_message());
    cr_assert_eq(n, N_LINES);
    for (size_t i = 0; i < n; i++)
        cr_expect_eq(entries[i].undone, lines[i].undone, "line %zu, %s at step %lld: undone is %d, want %d", i + 1,
                     entries[i].event, (long long)entries[i].step, entries[i].undone, lines[i].undone);
    lk_journal_entries_free(&entries, n);
}

/* Begun again before there was a checkpoint: what the first try decided is undone, what was told between them stays. */
Test(journal_read, a_start_undoes_what_came_before_it)
{
    static const struct { int64_t step; const char *event; bool undone; } lines[] = {
        {0, "start", false}, {0, "lr", true}, {8, "best", true},
        {0, "restart", false}, {0, "start", false}, {0, "lr", false},
    };
    enum { N_LINES = sizeof lines / sizeof lines[0] };
    lk_journal_entry *entries;
    size_t n;

    for (int i = 0; i < N_LINES; i++) write_line(lines[i].step, lines[i].event, "");
    cr_assert_eq(lk_journal_read(path, &entries, &n), LK_OK, "%s", lk_error_message());
    cr_assert_eq(n, N_LINES);
    for (size_t i = 0; i < n; i++)
        cr_expect_eq(entries[i].undone, lines[i].undone, "line %zu, %s at step %lld: undone is %d, want %d", i + 1,
                     entries[i].event, (long long)entries[i].step, entries[i].undone, lines[i].undone);
    lk_journal_entries_free(&entries, n);
}

Test(journal_read, a_torn_last_line_is_left_out)
{
    static const char text[] = "{\"time\":\"t\",\"step\":1,\"event\":\"lr\",\"reason\":\"r\"}\n{\"time\":\"t\",\"st";
    lk_journal_entry *entries;
    size_t n;

    cr_assert_eq(lk_write_file_atomic(path, text, strlen(text)), LK_OK);
    cr_assert_eq(lk_journal_read(path, &entries, &n), LK_OK, "%s", lk_error_message());
    cr_expect_eq(n, 1, "got %zu entries, want 1", n);
    lk_journal_entries_free(&entries, n);
}

static void expect_failure(const char *text, const char *want)
{
    lk_journal_entry *entries;
    size_t n;

    cr_assert_eq(lk_write_file_atomic(path, text, strlen(text)), LK_OK);
    cr_expect_eq(lk_journal_read(path, &entries, &n), LK_ERR_DATA);
    cr_expect_null(entries);
    cr_expect_eq(n, 0);
    cr_expect(strstr(lk_error_message(), want), "got \"%s\", want it to say \"%s\"", lk_error_message(), want);
}

Test(journal_read, a_damaged_line_is_an_error_with_its_number)
{
    static const char good[] = "{\"time\":\"t\",\"step\":1,\"event\":\"lr\",\"reason\":\"r\"}\n";
    char text[512];

    snprintf(text, sizeof text, "%snot JSON\n%s", good, good);
    expect_failure(text, "journal.jsonl:2: this is no line of a run's journal");
    expect_failure("{\"time\":\"t\",\"step\":\"1\",\"event\":\"lr\",\"reason\":\"r\"}\n", "journal.jsonl:1: ");
    expect_failure("[]\n", "journal.jsonl:1: ");
    expect_failure("\n", "journal.jsonl:1: ");
}

Test(journal_read, a_file_that_is_not_there_is_an_error)
{
    lk_journal_entry *entries;
    size_t n;

    cr_expect_eq(lk_journal_read("/nowhere/journal.jsonl", &entries, &n), LK_ERR_SYSTEM);
    cr_expect_null(entries);
}
