/*
 * metrics.csv: one line an evaluation.
 *
 * Numbers have as few digits as bring back the same double, so equal metrics are equal text: two runs compare with
 * diff.  A resumed run takes off the lines that an earlier try wrote after the checkpoint, and one that a crash tore.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/file/files.h"
#include "io/io.h"

struct lk_metrics {
    FILE *file; /* owned */
    char *path; /* owned */
    size_t n;   /* columns behind step and epoch */
    int64_t n_lines; /* without the header */
};

/* "step,epoch,COLUMN,...\n"; release with free(). */
static char *header_of(const char *const *columns, size_t n)
{
    char *header = NULL;
    size_t nbytes;
    FILE *file = open_memstream(&header, &nbytes);

    if (!file) return NULL;
    fputs("step,epoch", file);
    for (size_t i = 0; i < n; i++) fprintf(file, ",%s", columns[i]);
    fputs("\n", file);
    fclose(file);
    return header;
}

/* Moves the lines up to `last_step` together at the front of `text` and returns where they end; a line that has no
 * end is dropped. */
static size_t keep_lines(char *text, size_t header_bytes, int64_t last_step)
{
    char *kept = text + header_bytes;

    for (char *line = kept, *end; (end = strchr(line, '\n')); line = end + 1) {
        const size_t nbytes = (size_t)(end + 1 - line);
        char *comma;
        const long long step = strtoll(line, &comma, 10);

        if (comma == line || *comma != ',' || step > last_step) continue;
        memmove(kept, line, nbytes);
        kept += nbytes;
    }
    return (size_t)(kept - text);
}

static int64_t count_lines(const char *text, size_t nbytes)
{
    int64_t n = 0;

    for (size_t i = 0; i < nbytes; i++) n += text[i] == '\n';
    return n;
}

static lk_status cut_back(const char *path, const char *header, int64_t last_step, int64_t *n_lines)
{
    char *text;
    size_t nbytes;
    lk_status status;

    LK_TRY(lk_read_file(path, &text, &nbytes));
    if (nbytes > 0 && strncmp(text, header, strlen(header)) != 0)
        status = LK_FAIL(LK_ERR_USAGE, "%s has other columns than this run: %.*s, now %.*s; move it away to go on",
                         path, (int)strcspn(text, "\n"), text, (int)strcspn(header, "\n"), header);
    else if (nbytes == 0)
        status = lk_write_file_atomic(path, header, strlen(header));
    else {
        const size_t kept = keep_lines(text, strlen(header), last_step);

        *n_lines = count_lines(text, kept) - 1;
        status = lk_write_file_atomic(path, text, kept);
    }
    free(text);
    return status;
}

static lk_status open_file(lk_metrics *metrics, const char *header, int64_t resume_step)
{
    const char *path = metrics->path;

    if (resume_step >= 0 && access(path, F_OK) == 0) LK_TRY(cut_back(path, header, resume_step, &metrics->n_lines));
    else LK_TRY(lk_write_file_atomic(path, header, strlen(header)));
    return lk_open_append(path, true, &metrics->file);
}

lk_status lk_metrics_open(const char *path, const char *const *columns, size_t n, int64_t resume_step,
                          lk_metrics **out)
{
    char *header = header_of(columns, n);
    lk_metrics *metrics = calloc(1, sizeof *metrics);
    lk_status status;

    *out = NULL;
    if (metrics) metrics->path = strdup(path);
    if (!header || !metrics || !metrics->path)
        status = LK_FAIL(LK_ERR_SYSTEM, "out of memory: the columns of %s", path);
    else
        status = open_file(metrics, header, resume_step);
    free(header);
    if (status != LK_OK) {
        lk_metrics_free(&metrics);
        return lk_trace(status, __FILE__, __LINE__);
    }
    metrics->n = n;
    *out = metrics;
    return LK_OK;
}

void lk_metrics_free(lk_metrics **metrics)
{
    if (!metrics || !*metrics) return;
    if ((*metrics)->file) fclose((*metrics)->file); /* every line is flushed already */
    free((*metrics)->path);
    lk_free(metrics);
}

int64_t lk_metrics_n_lines(const lk_metrics *metrics) { return metrics->n_lines; }
lk_status lk_metrics_sync(lk_metrics *metrics) { return lk_sync_stream(metrics->file, metrics->path); }

static void write_number(FILE *file, double value)
{
    char text[32];

    for (int digits = 15; digits <= 17; digits++) { /* 17 always bring a double back */
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    fputs(text, file);
}

lk_status lk_metrics_write(lk_metrics *metrics, int64_t step, int64_t epoch, const double *values)
{
    fprintf(metrics->file, "%lld,%lld", (long long)step, (long long)epoch);
    for (size_t i = 0; i < metrics->n; i++) {
        fputc(',', metrics->file);
        if (!isnan(values[i])) write_number(metrics->file, values[i]);
    }
    fputc('\n', metrics->file);
    if (fflush(metrics->file) != 0 || ferror(metrics->file))
        return LK_FAIL(LK_ERR_SYSTEM, "cannot write %s: %s", metrics->path, strerror(errno));
    metrics->n_lines++;
    return LK_OK;
}
