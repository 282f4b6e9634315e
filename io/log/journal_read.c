/*
 * Reads a journal back, and says which of its decisions still hold: a run that was resumed at step s, or began again at
 * step 0, has undone what an earlier try decided after that.
 */
#include <stdlib.h>
#include <string.h>

#include "io/file/files.h"
#include "io/io.h"
#include "io/file/json.h"

void lk_journal_entries_free(lk_journal_entry **entries, size_t n)
{
    if (!entries || !*entries) return;
    for (size_t i = 0; i < n; i++) {
        free((*entries)[i].time);
        free((*entries)[i].event);
        free((*entries)[i].reason);
    }
    free(*entries);
    *entries = NULL;
}

static lk_status read_line(const char *path, size_t number, const char *line, size_t nbytes, lk_journal_entry *out)
{
    json_t *object = json_loadb(line, nbytes, 0, NULL);
    const char *time = NULL, *event = NULL, *reason = NULL;
    json_int_t step = 0;
    lk_status status = LK_OK;

    if (json_unpack(object, "{s:s, s:I, s:s, s:s}", "time", &time, "step", &step, "event", &event, "reason",
                    &reason) != 0) {
        status = LK_FAIL(LK_ERR_DATA, "%s:%zu: this is no line of a run's journal", path, number);
    } else {
        *out = (lk_journal_entry){.step = step, .time = strdup(time), .event = strdup(event), .reason = strdup(reason)};
        if (!out->time || !out->event || !out->reason)
            status = LK_FAIL(LK_ERR_SYSTEM, "out of memory: line %zu of %s", number, path);
    }
    json_decref(object);
    return status;
}

static bool begins(const lk_journal_entry *e)
{
    return strcmp(e->event, "resume") == 0 || strcmp(e->event, "start") == 0;
}

static void mark_undone(lk_journal_entry *entries, size_t n)
{
    int64_t held = INT64_MAX; /* the earliest step at which a later line resumes or starts */

    for (size_t i = n; i-- > 0;) {
        /* The rate from a step on is decided when the step begins, behind the checkpoint of the same number. */
        const bool is_lr = strcmp(entries[i].event, "lr") == 0;

        entries[i].undone = entries[i].step > held || (is_lr && entries[i].step == held);
        if (begins(&entries[i]) && entries[i].step < held) held = entries[i].step;
    }
}

static lk_status read_lines(const char *path, const char *text, lk_journal_entry *entries, size_t *n)
{
    for (const char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
        const size_t i = (*n)++;
        LK_TRY(read_line(path, i + 1, line, (size_t)(end - line), &entries[i]));
    }
    mark_undone(entries, *n);
    return LK_OK;
}

lk_status lk_journal_read(const char *path, lk_journal_entry **entries, size_t *n)
{
    char *text;
    size_t n_lines = 1; /* one more than needed: never an allocation of nothing */

    *entries = NULL;
    *n = 0;
    LK_TRY(lk_read_file(path, &text, NULL));
    for (const char *c = text; *c; c++) n_lines += *c == '\n';
    *entries = calloc(n_lines, sizeof **entries);
    lk_status status = *entries ? read_lines(path, text, *entries, n)
                                : LK_FAIL(LK_ERR_SYSTEM, "out of memory: %zu lines of %s", n_lines, path);
    free(text);
    if (status != LK_OK) {
        lk_journal_entries_free(entries, *n);
        *n = 0;
    }
    return status;
}
