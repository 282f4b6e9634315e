/*
 * Fields by name that a kind gives beside x and its target: tokens, lengths, boxes.  Of one whose first axis is
 * LK_LENGTH each sample has as much as it has; in a lane all are filled up to the lane's length.
 *
 * All of a table lies in memory, one sample behind the other.
 */
#include <stdlib.h>
#include <string.h>

#include "io/data/data.h"

/* Bytes of one step along the first axis where that varies, else of a whole sample. */
static size_t item_nbytes(const lk_table_field *f) { return lk_field_nbytes(&f->field, 1); }

int64_t lk_table_field_length(const lk_table_field *f, int64_t sample)
{
    return f->begin ? f->begin[sample + 1] - f->begin[sample] : 1;
}

const void *lk_table_field_at(const lk_table_field *f, int64_t sample)
{
    return (const char *)f->values + (size_t)(f->begin ? f->begin[sample] : sample) * item_nbytes(f);
}

size_t lk_table_field_nbytes(const lk_table_field *f, int64_t n)
{
    const size_t begin = f->begin ? ((size_t)n + 1) * sizeof *f->begin : 0;

    return begin + (size_t)((const char *)lk_table_field_at(f, n) - (const char *)f->values);
}

void lk_table_fields_clear(lk_table *table)
{
    for (int f = 0; f < table->n_fields; f++) {
        free(table->fields[f].values);
        free(table->fields[f].begin);
    }
    table->n_fields = 0;
}

/* ----------------------------------------------------------------- other tables */

/* Room for n samples with this many items together, in a field like `like`. */
static lk_status make_like(const lk_table_field *like, int64_t n, int64_t n_items, lk_table_field *out)
{
    const size_t nbytes = (size_t)n_items * item_nbytes(like);

    *out = (lk_table_field){.field = like->field, .pad = like->pad};
    out->values = malloc(nbytes ? nbytes : 1);
    LK_TRY_ALLOC(out->values, nbytes);
    if (!like->begin) return LK_OK;
    out->begin = calloc((size_t)n + 1, sizeof *out->begin);
    LK_TRY_ALLOC(out->begin, ((size_t)n + 1) * sizeof *out->begin);
    return LK_OK;
}

/* Copies a sample to place `at`, behind those before it. */
static void put(lk_table_field *to, int64_t at, const lk_table_field *from, int64_t sample)
{
    const int64_t length = lk_table_field_length(from, sample);

    if (to->begin) to->begin[at + 1] = to->begin[at] + length;
    memcpy((char *)to->values + (size_t)(to->begin ? to->begin[at] : at) * item_nbytes(to),
           lk_table_field_at(from, sample), (size_t)length * item_nbytes(from));
}

static int64_t count_items(const lk_table_field *f, int64_t n) { return f->begin ? f->begin[n] : n; }

lk_status lk_table_fields_join(const lk_table *tables, int64_t n_tables, lk_table *out)
{
    for (int f = 0; f < tables[0].n_fields; f++) {
        int64_t n_items = 0, at = 0;

        for (int64_t t = 0; t < n_tables; t++) n_items += count_items(&tables[t].fields[f], tables[t].n);
        out->n_fields = f + 1;
        LK_TRY(make_like(&tables[0].fields[f], out->n, n_items, &out->fields[f]));
        for (int64_t t = 0; t < n_tables; t++)
            for (int64_t i = 0; i < tables[t].n; i++) put(&out->fields[f], at++, &tables[t].fields[f], i);
    }
    return LK_OK;
}

/* The samples that are held out or, of `taken` false, the others. */
static lk_status pick(const lk_table_field *from, int64_t n, const bool *held_out, bool taken, lk_table_field *to)
{
    int64_t n_items = 0, n_picked = 0, at = 0;

    for (int64_t i = 0; i < n; i++)
        if (held_out[i] == taken) n_picked++, n_items += lk_table_field_length(from, i);
    LK_TRY(make_like(from, n_picked, n_items, to));
    for (int64_t i = 0; i < n; i++)
        if (held_out[i] == taken) put(to, at++, from, i);
    return LK_OK;
}

lk_status lk_table_fields_split(lk_table *table, const bool *held_out, lk_table *out)
{
    for (int f = 0; f < table->n_fields; f++) {
        lk_table_field whole = table->fields[f];
        lk_status status = pick(&whole, table->n, held_out, false, &table->fields[f]);

        out->n_fields = f + 1;
        if (status == LK_OK) status = pick(&whole, table->n, held_out, true, &out->fields[f]);
        free(whole.values);
        free(whole.begin);
        LK_TRY(status);
    }
    return LK_OK;
}

/* ---------------------------------------------------------------------- lanes */

static void fill_up(const lk_table_field *f, char *from, char *to)
{
    if (f->field.dtype == LK_DTYPE_I32)
        for (; from < to; from += sizeof f->pad) memcpy(from, &f->pad, sizeof f->pad);
    else memset(from, 0, (size_t)(to - from));
}

void lk_table_field_fetch(const lk_table_field *f, const int64_t *sample, int64_t n, int64_t length, void *out)
{
    const size_t nbytes = lk_field_nbytes(&f->field, length);
    char *to = out;

    for (int64_t i = 0; i < n; i++, to += nbytes) {
        const size_t own = (size_t)lk_table_field_length(f, sample[i]) * item_nbytes(f);

        memcpy(to, lk_table_field_at(f, sample[i]), own);
        fill_up(f, to + own, to + nbytes);
    }
}
