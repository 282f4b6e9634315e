/* Tables of raw values: numbers, labels, and which rows validate. */
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "io/data/data.h"
#include "io/data/permute.h"

enum { STREAM_SPLIT = 16 }; /* of LK_PURPOSE_DATA; the generators have 1 to 4 */

/* ---------------------------------------------------------------------- table */

void lk_table_clear(lk_table *table)
{
    if (table->vocabulary)
        for (size_t k = 0; k < table->n_columns; k++) lk_vocabulary_free(&table->vocabulary[k]);
    lk_free(&table->vocabulary);
    lk_free(&table->warnings);
    lk_free(&table->line);
    lk_vocabulary_free(&table->label_words);
    lk_pairs_free(&table->pairs);
    lk_windows_free(&table->windows);
    lk_table_fields_clear(table);
    lk_free(&table->label);
    lk_free(&table->target.at);
    lk_pictures_free(&table->pictures);
    lk_free(&table->pixels);
    lk_rows_close(&table->rows);
    lk_free(&table->x.at);
    lk_free(&table->files);
    memset(table, 0, sizeof *table);
}

const char *lk_table_path(const lk_table *table, int64_t sample)
{
    const char *path = table->path;

    for (int64_t f = 0; f < table->n_files && table->files[f].first <= sample; f++) path = table->files[f].path;
    return path;
}

int64_t lk_table_first(const lk_table *table, int64_t sample)
{
    int64_t first = 0;

    for (int64_t f = 0; f < table->n_files && table->files[f].first <= sample; f++) first = table->files[f].first;
    return first;
}

lk_status lk_pixels_turn(uint8_t *pixels, int64_t n, size_t C, size_t P)
{
    if (C == 1) return LK_OK;
    uint8_t *one = malloc(C * P);
    LK_TRY_ALLOC(one, C * P);
    for (int64_t i = 0; i < n; i++) {
        uint8_t *image = pixels + (size_t)i * C * P;
        memcpy(one, image, C * P);
        for (size_t c = 0; c < C; c++)
            for (size_t p = 0; p < P; p++) image[p * C + c] = one[c * P + p];
    }
    free(one);
    return LK_OK;
}

/* ----------------------------------------------------------------------- join */

/* Numbers of words in `from`'s vocabulary become those in `to`'s, which learns what is new. */
static lk_status translate(const lk_vocabulary *from, lk_vocabulary **to, int64_t **number)
{
    const int64_t n = lk_vocabulary_n(from);

    *number = calloc((size_t)n + 1, sizeof **number);
    LK_TRY_ALLOC(*number, ((size_t)n + 1) * sizeof **number);
    for (int64_t w = 0; w < n; w++) {
        (*number)[w] = lk_vocabulary_add(to, lk_vocabulary_text(from, w));
        if ((*number)[w] < 0) return LK_FAIL(LK_ERR_SYSTEM, "out of memory: words of several files");
    }
    return LK_OK;
}

/* Renumbers column k of a table, or its labels with k -1. */
static lk_status renumber(lk_table *t, ptrdiff_t k, const lk_vocabulary *from, lk_vocabulary **to)
{
    int64_t *number = NULL;

    const lk_status status = translate(from, to, &number);
    for (int64_t i = 0; status == LK_OK && i < t->n; i++) {
        const size_t at = (size_t)i * t->n_columns + (size_t)k;
        if (k < 0) t->label[i] = (int32_t)number[t->label[i]];
        else if (!isnan(lk_number(&t->x, at))) lk_number_set(&t->x, at, (double)number[(int64_t)lk_number(&t->x, at)]);
    }
    free(number);
    return status;
}

/* All words of the tables get the numbers of out's vocabularies. */
static lk_status join_words(lk_table *tables, int64_t n_tables, lk_table *out)
{
    if (tables[0].vocabulary) {
        out->vocabulary = calloc(out->n_columns, sizeof(lk_vocabulary *));
        LK_TRY_ALLOC(out->vocabulary, out->n_columns * sizeof(lk_vocabulary *));
    }
    for (int64_t f = 0; f < n_tables; f++) {
        lk_table *t = &tables[f];
        for (size_t k = 0; out->vocabulary && k < out->n_columns; k++)
            if (t->vocabulary[k]) LK_TRY(renumber(t, (ptrdiff_t)k, t->vocabulary[k], &out->vocabulary[k]));
        if (t->label_words) LK_TRY(renumber(t, -1, t->label_words, &out->label_words));
    }
    return LK_OK;
}

typedef lk_numbers *numbers_of_fn(lk_table *table);
static lk_numbers *x_of(lk_table *table) { return &table->x; }
static lk_numbers *target_of(lk_table *table) { return &table->target; }

static lk_status join_numbers(lk_table *tables, int64_t n_tables, numbers_of_fn *of, size_t per_sample, lk_table *out)
{
    bool wide = false;
    size_t at = 0;

    if (!of(&tables[0])->at) return LK_OK;
    for (int64_t f = 0; f < n_tables; f++) wide |= of(&tables[f])->wide;
    LK_TRY(lk_numbers_new((size_t)out->n * per_sample, wide, of(out)));
    for (int64_t f = 0; f < n_tables; f++) {
        const size_t n = (size_t)tables[f].n * per_sample;
        for (size_t i = 0; i < n; i++) lk_number_set(of(out), at++, lk_number(of(&tables[f]), i));
        lk_free(&of(&tables[f])->at);
    }
    return LK_OK;
}

/* An array of nbytes a sample, whose address in each table is `offset` bytes into it. */
static lk_status join_array(const lk_table *tables, int64_t n_tables, size_t offset, size_t nbytes, lk_table *out)
{
    char **whole = (char **)((char *)out + offset);
    size_t at = 0;

    if (!*(char *const *)((const char *)&tables[0] + offset)) return LK_OK;
    *whole = malloc((size_t)out->n * nbytes);
    LK_TRY_ALLOC(*whole, (size_t)out->n * nbytes);
    for (int64_t f = 0; f < n_tables; f++) {
        memcpy(*whole + at, *(char *const *)((const char *)&tables[f] + offset), (size_t)tables[f].n * nbytes);
        at += (size_t)tables[f].n * nbytes;
    }
    return LK_OK;
}

static lk_status join_rows(lk_table *tables, int64_t n_tables, size_t per_sample, lk_table *out)
{
    lk_rows **rows = calloc((size_t)n_tables, sizeof *rows);
    int64_t *n = calloc((size_t)n_tables, sizeof *n);
    lk_status status = rows && n ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "out of memory: %lld files", (long long)n_tables);

    for (int64_t f = 0; status == LK_OK && f < n_tables; f++) rows[f] = &tables[f].rows, n[f] = tables[f].n;
    if (status == LK_OK) status = lk_rows_join(rows, n, n_tables, per_sample, &out->rows);
    free(rows);
    free(n);
    return status;
}

static lk_status join_pictures(lk_table *tables, int64_t n_tables, lk_table *out)
{
    out->pictures = tables[0].pictures, tables[0].pictures = NULL;
    for (int64_t f = 1; f < n_tables && out->pictures; f++)
        LK_TRY(lk_pictures_join(out->pictures, tables[f].pictures));
    return LK_OK;
}

static lk_status join_pairs(lk_table *tables, int64_t n_tables, lk_table *out)
{
    out->pairs = tables[0].pairs, tables[0].pairs = NULL;
    for (int64_t f = 1; f < n_tables && out->pairs; f++) LK_TRY(lk_pairs_join(out->pairs, &tables[f].pairs));
    return LK_OK;
}

static lk_status join_windows(lk_table *tables, int64_t n_tables, lk_table *out)
{
    out->windows = tables[0].windows, tables[0].windows = NULL;
    for (int64_t f = 1; f < n_tables && out->windows; f++) LK_TRY(lk_windows_join(out->windows, &tables[f].windows));
    return LK_OK;
}

static lk_status join(lk_table *tables, int64_t n_tables, lk_table *out)
{
    const size_t per_sample = out->n_columns * (size_t)out->rows_per_sample;

    out->files = calloc((size_t)n_tables, sizeof *out->files);
    LK_TRY_ALLOC(out->files, (size_t)n_tables * sizeof *out->files);
    for (out->n_files = 0; out->n_files < n_tables; out->n_files++) {
        out->files[out->n_files].path = tables[out->n_files].path;
        out->files[out->n_files].first = out->n;
        out->n += tables[out->n_files].n;
    }
    LK_TRY(join_words(tables, n_tables, out));
    if (tables[0].rows.from) LK_TRY(join_rows(tables, n_tables, per_sample, out));
    LK_TRY(join_numbers(tables, n_tables, x_of, per_sample, out));
    LK_TRY(join_numbers(tables, n_tables, target_of, out->n_targets, out));
    LK_TRY(join_array(tables, n_tables, offsetof(lk_table, pixels), per_sample, out));
    LK_TRY(join_array(tables, n_tables, offsetof(lk_table, label), sizeof *out->label, out));
    LK_TRY(join_pictures(tables, n_tables, out));
    LK_TRY(join_pairs(tables, n_tables, out));
    LK_TRY(join_windows(tables, n_tables, out));
    LK_TRY(lk_table_fields_join(tables, n_tables, out));
    return join_array(tables, n_tables, offsetof(lk_table, line), sizeof *out->line, out);
}

lk_status lk_tables_join(lk_table *tables, int64_t n_tables, lk_table *out)
{
    *out = (lk_table){.path = tables[0].path, .n_columns = tables[0].n_columns,
                      .rows_per_sample = tables[0].rows_per_sample, .n_targets = tables[0].n_targets,
                      .of_bytes = tables[0].of_bytes, .unit = tables[0].unit, .length = tables[0].length,
                      .want_target = tables[0].want_target};
    const lk_status status = join(tables, n_tables, out);
    for (int64_t f = 0; f < n_tables; f++) lk_table_clear(&tables[f]);
    return status;
}

/* --------------------------------------------------------------------- labels */

lk_status lk_label_check(double value, int32_t ignore_index, const char *where, int32_t *out)
{
    const bool whole = value == floor(value) && value < INT32_MAX;

    if (!whole || (value < 0 && value != ignore_index))
        return LK_FAIL(LK_ERR_DATA, "%s: %.9g is not a label; labels are whole numbers from 0 (or %d: ignored)",
                       where, value, ignore_index);
    *out = (int32_t)value;
    return LK_OK;
}

void lk_label_range(const int32_t *label, int64_t n, int32_t ignore_index, int32_t *low, int32_t *high)
{
    *low = *high = -1;
    for (int64_t i = 0; label && i < n; i++) {
        if (label[i] == ignore_index) continue;
        if (*low < 0 || label[i] < *low) *low = label[i];
        if (label[i] > *high) *high = label[i];
    }
}

/* ---------------------------------------------------------------------- split */

static lk_status hold_out_pairs(const lk_table *table, double fraction, uint64_t seed, bool *held_out)
{
    int64_t n = 0;

    for (int64_t i = 0; i < table->n; i++) n += held_out[i] = lk_pairs_held_out(table->pairs, i, fraction, seed);
    if (n > 0 && n < table->n) return LK_OK;
    return LK_FAIL(LK_ERR_DATA, "%s: of %lld pairs data.validation_fraction %g sets %s aside with data.seed %llu; give "
                   "another, or data.validation a file of its own", table->path, (long long)table->n, fraction,
                   n ? "all" : "none", (unsigned long long)seed);
}

lk_status lk_table_hold_out(const lk_table *table, double fraction, uint64_t seed, bool **held_out)
{
    int64_t n = llround(fraction * (double)table->n);
    lk_permutation order;

    if (table->n < 2)
        return LK_FAIL(LK_ERR_DATA, "%s has %lld sample: too few to set some aside with data.validation_fraction",
                       table->path, (long long)table->n);
    if (n < 1) n = 1;
    if (n > table->n - 1) n = table->n - 1;
    *held_out = calloc((size_t)table->n, sizeof **held_out);
    LK_TRY_ALLOC(*held_out, (size_t)table->n);
    if (table->pairs) return hold_out_pairs(table, fraction, seed, *held_out);
    lk_permutation_init(&order, seed, LK_PURPOSE_DATA, STREAM_SPLIT, table->n);
    for (int64_t i = 0; i < n; i++) {
        int64_t place = table->n - 1 - i;
        if (!table->windows) lk_permutation_range(&order, i, 1, &place);
        (*held_out)[place] = true;
    }
    return LK_OK;
}

/* Moves the held out items of *values into a new array and closes the gaps; an absent array stays absent. */
static lk_status split_array(void *address_of_values, size_t nbytes, int64_t n, const bool *held_out,
                             void *address_of_taken)
{
    char **values = address_of_values, **taken = address_of_taken;
    size_t n_taken = 0, n_kept = 0;

    if (!*values) return LK_OK;
    for (int64_t i = 0; i < n; i++) n_taken += held_out[i];
    *taken = malloc(n_taken * nbytes);
    LK_TRY_ALLOC(*taken, n_taken * nbytes);
    n_taken = 0;
    for (int64_t i = 0; i < n; i++) {
        char *to = held_out[i] ? *taken + n_taken++ * nbytes : *values + n_kept++ * nbytes;
        memmove(to, *values + (size_t)i * nbytes, nbytes);
    }
    return LK_OK;
}

static lk_status split_windows(lk_table *table, const bool *held_out, lk_table *out)
{
    int64_t n = 0;

    for (int64_t i = 0; i < table->n; i++) n += held_out[i];
    return lk_windows_split(table->windows, n, &out->windows);
}

lk_status lk_table_split(lk_table *table, size_t n_input, const bool *held_out, lk_table *out)
{
    *out = (lk_table){.path = table->path, .n_columns = table->n_columns, .rows_per_sample = table->rows_per_sample,
                      .n_targets = table->n_targets, .of_bytes = table->of_bytes, .unit = table->unit,
                      .length = table->length, .want_target = table->want_target};
    LK_TRY(split_array(&table->x.at, n_input * sizeof(float), table->n, held_out, &out->x.at));
    LK_TRY(split_array(&table->pixels, n_input, table->n, held_out, &out->pixels));
    LK_TRY(split_array(&table->target.at, table->n_targets * sizeof(float), table->n, held_out, &out->target.at));
    LK_TRY(split_array(&table->label, sizeof *table->label, table->n, held_out, &out->label));
    if (table->pictures) LK_TRY(lk_pictures_split(table->pictures, held_out, &out->pictures));
    if (table->windows) LK_TRY(split_windows(table, held_out, out));
    if (table->pairs) LK_TRY(lk_pairs_split(table->pairs, held_out, &out->pairs));
    LK_TRY(lk_table_fields_split(table, held_out, out));
    for (int64_t i = 0; i < table->n; i++) out->n += held_out[i];
    table->n -= out->n;
    return LK_OK;
}
