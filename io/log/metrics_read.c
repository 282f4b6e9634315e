/*
 * Reads a metrics.csv back: a table of numbers by column, for pictures.
 *
 * The file is the one that metrics.c writes, so cells hold no quotes; but people edit files, and a run may be writing
 * while it is read.  So every cell is checked, and a last line without an end is not there yet.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/file/files.h"
#include "io/io.h"

static size_t count(const char *text, const char *end, char wanted)
{
    size_t n = 0;

    for (; text < end; text++) n += *text == wanted;
    return n;
}

void lk_metrics_table_free(lk_metrics_table **table)
{
    lk_metrics_table *t = table ? *table : NULL;

    if (!t) return;
    for (size_t c = 0; t->name && c < t->n_columns; c++) free(t->name[c]);
    if (t->column) free(t->column[0]); /* one block holds them all */
    free(t->column);
    free(t->name);
    lk_free(table);
}

const double *lk_metrics_column(const lk_metrics_table *table, const char *name)
{
    for (size_t c = 0; c < table->n_columns; c++)
        if (strcmp(table->name[c], name) == 0) return table->column[c];
    return NULL;
}

static lk_status make_room(lk_metrics_table *t)
{
    const size_t n_values = t->n_columns * t->n_rows;

    t->name = calloc(t->n_columns, sizeof *t->name);
    t->column = calloc(t->n_columns, sizeof *t->column);
    LK_TRY_ALLOC(t->name, t->n_columns * sizeof *t->name);
    LK_TRY_ALLOC(t->column, t->n_columns * sizeof *t->column);
    t->column[0] = malloc((n_values ? n_values : 1) * sizeof(double));
    LK_TRY_ALLOC(t->column[0], n_values * sizeof(double));
    for (size_t c = 1; c < t->n_columns; c++) t->column[c] = t->column[0] + c * t->n_rows;
    return LK_OK;
}

static lk_status read_header(const char *path, const char *line, const char *end, lk_metrics_table *t)
{
    for (size_t c = 0; c < t->n_columns; c++) {
        const char *comma = memchr(line, ',', (size_t)(end - line)), *stop = comma ? comma : end;

        t->name[c] = strndup(line, (size_t)(stop - line));
        LK_TRY_ALLOC(t->name[c], stop - line + 1);
        line = stop + 1;
    }
    if (t->n_columns >= 2 && strcmp(t->name[0], "step") == 0 && strcmp(t->name[1], "epoch") == 0) return LK_OK;
    return LK_FAIL(LK_ERR_DATA, "%s:1: this is no metrics.csv of a run: its columns are to begin with step,epoch",
                   path);
}

/* Cells of a line that ends at `end` (its '\n'). */
static lk_status read_row(const char *path, const char *line, const char *end, lk_metrics_table *t, size_t row)
{
    const size_t n = count(line, end, ',') + 1;

    if (n != t->n_columns)
        return LK_FAIL(LK_ERR_DATA, "%s:%zu: %zu cells, but the header names %zu columns", path, row + 2, n,
                       t->n_columns);
    for (size_t c = 0; c < n; c++) {
        const char *comma = memchr(line, ',', (size_t)(end - line)), *stop = comma ? comma : end;
        char *rest;

        t->column[c][row] = stop == line ? NAN : strtod(line, &rest);
        if (stop != line && rest != stop)
            return LK_FAIL(LK_ERR_DATA, "%s:%zu: %s: `%.*s` is not a number", path, row + 2, t->name[c],
                           (int)(stop - line), line);
        line = stop + 1;
    }
    return LK_OK;
}

static lk_status parse(const char *path, const char *text, size_t nbytes, lk_metrics_table *t)
{
    const char *end = memchr(text, '\n', nbytes);

    if (!end) return LK_FAIL(LK_ERR_DATA, "%s:1: this is no metrics.csv of a run: it has no header", path);
    t->n_columns = count(text, end, ',') + 1;
    t->n_rows = count(text, text + nbytes, '\n') - 1;
    LK_TRY(make_room(t));
    LK_TRY(read_header(path, text, end, t));
    for (size_t row = 0; row < t->n_rows; row++) {
        const char *line = end + 1;

        end = strchr(line, '\n');
        if (!end) return LK_FAIL(LK_ERR_DATA, "%s:%zu: holds a NUL character", path, row + 2);
        LK_TRY(read_row(path, line, end, t, row));
    }
    return LK_OK;
}

lk_status lk_metrics_read(const char *path, lk_metrics_table **out)
{
    char *text;
    size_t nbytes;

    *out = NULL;
    LK_TRY(lk_read_file(path, &text, &nbytes));
    lk_metrics_table *table = calloc(1, sizeof *table);
    lk_status status = table ? parse(path, text, nbytes, table) : LK_FAIL(LK_ERR_SYSTEM, "out of memory: %s", path);
    free(text);
    if (status != LK_OK) lk_metrics_table_free(&table);
    *out = table;
    return status;
}
