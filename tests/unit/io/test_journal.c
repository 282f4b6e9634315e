/* journal.jsonl: every line is one JSON object, whatever the reason holds and however the last run ended. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "io/file/files.h"
#include "io/io.h"
#include "tests/support/temp_dir.h"

TestSuite(journal, .init = make_temp_dir, .fini = remove_temp_dir);

static const char *file_in_new_dir(void)
{
    static char path[512];

    snprintf(path, sizeof path, "%s/journal.jsonl", temp_dir);
    return path;
}

static void write_one(const char *path, bool append, int64_t step, const char *event, const char *reason)
{
    lk_journal *journal;

    cr_assert_eq(lk_journal_open(path, append, &journal), LK_OK, "%s", lk_error_message());
    cr_assert_eq(lk_journal_write(journal, step, event, "%s", reason), LK_OK, "%s", lk_error_message());
    lk_journal_free(&journal);
    cr_expect_null(journal);
}

/* The object on line i from 0; release with json_decref(). */
static json_t *line(const char *path, int i)
{
    char *text, *at;
    json_error_t error;

    cr_assert_eq(lk_read_file(path, &text, NULL), LK_OK, "%s", lk_error_message());
    at = text;
    for (; i > 0; i--) at = strchr(at, '\n') + 1;
    json_t *object = json_loads(at, JSON_DISABLE_EOF_CHECK, &error);
    cr_assert(object, "%s in: %s", error.text, at);
    free(text);
    return object;
}

static const char *text_of(json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static int n_lines(const char *path)
{
    char *text;
    int n = 0;

    cr_assert_eq(lk_read_file(path, &text, NULL), LK_OK);
    for (char *c = text; *c; c++) n += *c == '\n';
    free(text);
    return n;
}

Test(journal, a_line_tells_time_step_event_and_reason)
{
    const char *path = file_in_new_dir();

    write_one(path, false, 1200, "lr", "0.001 -> 0.0005: no better for 10 evaluations");
    json_t *object = line(path, 0);
    cr_expect_eq(json_integer_value(json_object_get(object, "step")), 1200);
    cr_expect_str_eq(text_of(object, "event"), "lr");
    cr_expect_str_eq(text_of(object, "reason"), "0.001 -> 0.0005: no better for 10 evaluations");
    const char *time = text_of(object, "time");
    cr_expect_eq(strlen(time), strlen("2025-01-31T08:15:00.250Z"), "time %s", time);
    cr_expect(time[10] == 'T' && time[23] == 'Z', "time %s", time);
    json_decref(object);
}

Test(journal, any_reason_stays_one_line_of_json)
{
    const char *path = file_in_new_dir();

    write_one(path, false, 0, "start", "a \"quoted\"\nline with \x01 and a file named \xff.yaml");
    cr_expect_eq(n_lines(path), 1);
    json_t *object = line(path, 0);
    cr_expect_str_eq(text_of(object, "reason"), "a \"quoted\"\nline with \x01 and a file named ?.yaml");
    json_decref(object);
}

Test(journal, a_resumed_run_goes_on_behind_the_last_whole_line)
{
    const char *path = file_in_new_dir();
    char *text, torn[1024];

    write_one(path, true, 1, "start", "first");
    cr_assert_eq(lk_read_file(path, &text, NULL), LK_OK);
    snprintf(torn, sizeof torn, "%s{\"time\":\"2025", text);
    free(text);
    cr_assert_eq(lk_write_file_atomic(path, torn, strlen(torn)), LK_OK);

    write_one(path, true, 2, "resume", "second");
    cr_expect_eq(n_lines(path), 2);
    json_t *object = line(path, 1);
    cr_expect_str_eq(text_of(object, "reason"), "second");
    json_decref(object);
}

Test(journal, a_fresh_run_starts_an_empty_one)
{
    const char *path = file_in_new_dir();

    write_one(path, false, 1, "start", "first");
    write_one(path, false, 2, "start", "second");
    cr_expect_eq(n_lines(path), 1);
}

Test(journal, a_disk_that_is_full_is_an_error)
{
    lk_journal *journal;

    cr_assert_eq(lk_journal_open("/dev/full", false, &journal), LK_OK, "%s", lk_error_message());
    cr_expect_eq(lk_journal_write(journal, 1, "start", "x"), LK_ERR_SYSTEM);
    cr_expect_str_eq(lk_error_message(), "cannot write the journal /dev/full: No space left on device");
    lk_journal_free(&journal);
}
