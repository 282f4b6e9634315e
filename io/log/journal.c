/*
 * journal.jsonl: every decision of a run with its step and reason, one JSON object a line.
 *
 * Each line is handed to the system at once, so a crash of the program loses at most the line being written; one of the
 * machine, what came after the last checkpoint (lk_journal_sync()).  What it leaves of a line is taken off when the run
 * resumes, and the file stays readable line by line.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "io/file/files.h"
#include "io/io.h"
#include "io/file/json.h"

struct lk_journal {
    FILE *file; /* owned */
    char *path; /* owned */
};

/* Takes off a last line that has no end. */
static lk_status drop_torn_line(const char *path)
{
    char *text;
    size_t nbytes;

    LK_TRY(lk_read_file(path, &text, &nbytes));
    const char *end = memrchr(text, '\n', nbytes);
    const size_t kept = end ? (size_t)(end + 1 - text) : 0;
    const lk_status status = kept < nbytes ? lk_write_file_atomic(path, text, kept) : LK_OK;
    free(text);
    return status;
}

lk_status lk_journal_open(const char *path, bool append, lk_journal **out)
{
    *out = NULL;
    if (append && access(path, F_OK) == 0) LK_TRY(drop_torn_line(path));

    lk_journal *journal = calloc(1, sizeof *journal);
    LK_TRY_ALLOC(journal, sizeof *journal);
    journal->path = strdup(path);
    const lk_status status = journal->path ? lk_open_append(path, append, &journal->file)
                                           : LK_FAIL(LK_ERR_SYSTEM, "out of memory: the name of %s", path);
    if (status != LK_OK) {
        lk_journal_free(&journal);
        return lk_trace(status, __FILE__, __LINE__);
    }
    *out = journal;
    return LK_OK;
}

void lk_journal_free(lk_journal **journal)
{
    if (!journal || !*journal) return;
    if ((*journal)->file) fclose((*journal)->file); /* every line is flushed already */
    free((*journal)->path);
    lk_free(journal);
}

lk_status lk_journal_sync(lk_journal *journal) { return lk_sync_stream(journal->file, journal->path); }

/* "2025-01-31T08:15:00.250Z" */
static void write_time(char *text, size_t nbytes)
{
    struct timespec now;
    struct tm utc;
    char seconds[32];
    const long nanoseconds_in_millisecond = 1000000;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text, nbytes, "%s.%03ldZ", seconds, now.tv_nsec / nanoseconds_in_millisecond);
}

static char *line_of(int64_t step, const char *event, const char *reason)
{
    char time[64];

    write_time(time, sizeof time);
    json_t *object = json_pack("{s:s, s:I, s:o, s:o}", "time", time, "step", (json_int_t)step, "event",
                               lk_json_text(event), "reason", lk_json_text(reason));
    char *line = object ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    return line;
}

lk_status lk_journal_write(lk_journal *journal, int64_t step, const char *event, const char *format, ...)
{
    char *reason = NULL;
    va_list args;

    va_start(args, format);
    const int n = vasprintf(&reason, format, args);
    va_end(args);
    char *line = n < 0 ? NULL : line_of(step, event, reason);
    if (n >= 0) free(reason);
    if (!line) return LK_FAIL(LK_ERR_SYSTEM, "out of memory: a line of the journal %s", journal->path);

    const bool good = fprintf(journal->file, "%s\n", line) > 0 && fflush(journal->file) == 0;
    const int why = errno;
    free(line);
    if (!good) return LK_FAIL(LK_ERR_SYSTEM, "cannot write the journal %s: %s", journal->path, strerror(why));
    return LK_OK;
}
