/*
 * Digests of arrays step by step: CSV, a line a step, a column an array, XXH3-64 in hexadecimal.
 *
 *     step,lane 0 fc.weight,lane 0 fc.bias,model fc.weight,model fc.bias,rank 0 of 2 (host a)
 *     1,8f0c...,11d2...,90ab...,7e31...,
 *
 * The last column is empty: its name says who wrote the file.  Each line is handed to the system at once, so that it
 * outlives the process.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "io/file/files.h"
#include "io/io.h"

enum { HEX = 16, DECIMAL = 10 };

struct lk_digests {
    FILE *file;      /* owned */
    char *path;      /* owned */
    size_t n;
    uint64_t *value; /* (n) owned: of the step that is being put together */
    bool *given;     /* (n) owned */
};

void lk_digests_free(lk_digests **digests)
{
    lk_digests *d = digests ? *digests : NULL;

    if (!d) return;
    if (d->file) fclose(d->file); /* every line is flushed already */
    free(d->path);
    free(d->value);
    free(d->given);
    lk_free(digests);
}

static lk_status check_written(const lk_digests *d, bool good)
{
    if (good && fflush(d->file) == 0) return LK_OK;
    return LK_FAIL(LK_ERR_SYSTEM, "cannot write the digests %s: %s", d->path, strerror(errno));
}

static lk_status open_file(lk_digests *d, const char *path, const char *const *columns, const char *who)
{
    d->path = strdup(path);
    d->value = calloc(d->n ? d->n : 1, sizeof *d->value);
    d->given = calloc(d->n ? d->n : 1, sizeof *d->given);
    LK_TRY_ALLOC(d->path && d->value && d->given ? d : NULL, d->n * sizeof *d->value);
    LK_TRY(lk_open_append(path, false, &d->file));
    fputs("step", d->file);
    for (size_t c = 0; c < d->n; c++) fprintf(d->file, ",%s", columns[c]);
    return check_written(d, fprintf(d->file, ",%s\n", who) > 0);
}

lk_status lk_digests_open(const char *path, const char *const *columns, size_t n, const char *who, lk_digests **out)
{
    *out = calloc(1, sizeof **out);
    LK_TRY_ALLOC(*out, sizeof **out);
    (*out)->n = n;
    const lk_status status = open_file(*out, path, columns, who);
    if (status != LK_OK) lk_digests_free(out);
    return status;
}

void lk_digests_put(lk_digests *d, size_t column, const float *values, size_t n_elem)
{
    d->value[column] = XXH3_64bits(values, n_elem * sizeof *values);
    d->given[column] = true;
}

lk_status lk_digests_write(lk_digests *d, int64_t step)
{
    fprintf(d->file, "%" PRId64, step);
    for (size_t c = 0; c < d->n; c++) {
        if (d->given[c]) fprintf(d->file, ",%016" PRIx64, d->value[c]);
        else fputc(',', d->file);
        d->given[c] = false;
    }
    return check_written(d, fputs(",\n", d->file) >= 0);
}

/* ----------------------------------------------------------------------------- reading */

void lk_digests_table_free(lk_digests_table **table)
{
    lk_digests_table *t = table ? *table : NULL;

    if (!t) return;
    for (size_t c = 0; t->name && c < t->n_columns; c++) free(t->name[c]);
    free(t->name);
    free(t->who);
    free(t->cell);
    lk_free(table);
}

static size_t count(const char *text, const char *end, char wanted)
{
    size_t n = 0;

    for (; text < end; text++) n += *text == wanted;
    return n;
}

/* The end of the cell that begins at *cell, which goes behind it. */
static const char *next_cell(const char **cell, const char *end)
{
    const char *comma = memchr(*cell, ',', (size_t)(end - *cell)), *stop = comma ? comma : end;

    *cell = comma ? comma + 1 : end;
    return stop;
}

static lk_status read_names(const char *line, const char *end, lk_digests_table *t)
{
    t->n_columns = count(line, end, ',') - 1;
    t->name = calloc(t->n_columns + 1, sizeof *t->name);
    LK_TRY_ALLOC(t->name, t->n_columns * sizeof *t->name);
    next_cell(&line, end); /* step */
    for (size_t c = 0; c < t->n_columns; c++) {
        const char *begin = line, *stop = next_cell(&line, end);

        t->name[c] = strndup(begin, (size_t)(stop - begin));
        LK_TRY_ALLOC(t->name[c], stop - begin + 1);
    }
    t->who = strndup(line, (size_t)(end - line));
    LK_TRY_ALLOC(t->who, end - line + 1);
    return LK_OK;
}

static void read_row(const char *line, const char *end, lk_digests_table *t)
{
    const int64_t step = strtoll(line, NULL, DECIMAL);

    next_cell(&line, end);
    for (size_t c = 0; c < t->n_columns; c++) {
        const char *begin = line, *stop = next_cell(&line, end);

        if (stop > begin)
            t->cell[t->n_cells++] = (lk_digest_cell){.step = step, .column = c, .value = strtoull(begin, NULL, HEX)};
    }
}

static lk_status parse(const char *path, const char *text, lk_digests_table *t)
{
    const char *end = strchr(text, '\n');

    if (!end || strncmp(text, "step,", strlen("step,")) != 0 || count(text, end, ',') < 1)
        return LK_FAIL(LK_ERR_DATA, "%s: this is no file of digests", path);
    LK_TRY(read_names(text, end, t));
    const size_t n_rows = count(end, end + strlen(end), '\n') - 1;
    t->cell = calloc(n_rows * t->n_columns + 1, sizeof *t->cell);
    LK_TRY_ALLOC(t->cell, n_rows * t->n_columns * sizeof *t->cell);
    for (const char *line = end + 1; (end = strchr(line, '\n')); line = end + 1) {
        if (count(line, end, ',') != t->n_columns + 1)
            return LK_FAIL(LK_ERR_DATA, "%s: a line has other cells than the header names", path);
        read_row(line, end, t);
    }
    return LK_OK;
}

lk_status lk_digests_read(const char *path, lk_digests_table **out)
{
    char *text;

    *out = NULL;
    LK_TRY(lk_read_file(path, &text, NULL));
    *out = calloc(1, sizeof **out);
    lk_status status = *out ? parse(path, text, *out) : LK_FAIL(LK_ERR_SYSTEM, "out of memory: %s", path);
    free(text);
    if (status != LK_OK) lk_digests_table_free(out);
    return status;
}
