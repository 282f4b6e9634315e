/*
 * Statistics in use: every part is filled, coded and scaled by those of training, in double, and rounded to fp32 once.
 *
 * One-hot columns are 0 or 1 and not scaled; a missing category is all zeros.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/data/data.h"

enum { LISTED_CATEGORIES = 8, LIST_BYTES = 256, LINE_BYTES = 40 };

/* ----------------------------------------------------------------- categories */

static int compare_texts(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* "a.csv:7: column y: `Mars` does not occur in the training part, which has 2 values: Earth, Venus"; of what has no
 * lines "folder: label: `Mars` ..." */
static lk_status unseen(const lk_categories *categories, const char *name, const lk_table *table, int64_t i,
                        const char *text)
{
    const size_t n_listed = categories->n < LISTED_CATEGORIES ? categories->n : LISTED_CATEGORIES;
    char list[LIST_BYTES], line[LINE_BYTES] = ":";

    if (table->line) snprintf(line, sizeof line, ":%lld: column", (long long)table->line[i]);
    return LK_FAIL(LK_ERR_DATA,
                   "%s%s %s: `%.40s` does not occur in the training part, which has %zu values: %s%s",
                   lk_table_path(table, i), line, name, text, categories->n,
                   lk_print_list((const char *const *)categories->text, n_listed, list, sizeof list),
                   categories->n > LISTED_CATEGORIES ? ", ..." : "");
}

/* Place of every word of the vocabulary among the categories, -1 for one that training has not seen. */
static lk_status code_words(const lk_categories *categories, const lk_vocabulary *words, int32_t **code)
{
    const int64_t n_words = lk_vocabulary_n(words);

    *code = calloc((size_t)n_words + 1, sizeof **code);
    LK_TRY_ALLOC(*code, ((size_t)n_words + 1) * sizeof **code);
    for (int64_t w = 0; w < n_words; w++) {
        const char *text = lk_vocabulary_text(words, w);
        char **found = categories->n ? bsearch(&text, categories->text, categories->n, sizeof *categories->text,
                                               compare_texts) : NULL;
        (*code)[w] = found ? (int32_t)(found - categories->text) : -1;
    }
    return LK_OK;
}

/* From numbers of words to numbers of classes. */
static lk_status apply_classes(const lk_data_stats *stats, lk_table *table)
{
    int32_t *code;
    lk_status status = LK_OK;

    LK_TRY(code_words(&stats->classes, table->label_words, &code));
    for (int64_t i = 0; i < table->n && status == LK_OK; i++) {
        const int32_t word = table->label[i];
        table->label[i] = code[word];
        if (code[word] < 0)
            status = unseen(&stats->classes, stats->target_name, table, i,
                            lk_vocabulary_text(table->label_words, word));
    }
    free(code);
    return status;
}

/* -------------------------------------------------------------------- numbers */

static inline double filled(const lk_column *column, double v) { return isnan(v) ? column->fill : v; }

static inline float scaled(const lk_scale *scale, double v) { return (float)((v - scale->mean) / scale->deviation); }

/* In place: the float at i never lies behind the number at i, which has been read. */
static inline void put_float(lk_numbers *numbers, size_t i, float v)
{
    memcpy((char *)numbers->at + i * sizeof v, &v, sizeof v);
}

/* Gives back what doubles took beyond floats. */
static void shrink(lk_numbers *numbers, size_t n)
{
    void *smaller = numbers->wide ? realloc(numbers->at, n * sizeof(float)) : NULL;

    if (smaller) numbers->at = smaller;
    numbers->wide = false;
}

static lk_status no_fill(const lk_column *column, const lk_table *table, int64_t i)
{
    return LK_FAIL(LK_ERR_DATA,
                   "%s:%lld: %s is missing, and training made no fill value for it; train with data.missing",
                   lk_table_path(table, i), table->line ? (long long)table->line[i] : (long long)i, column->name);
}

lk_status lk_stats_scale(const lk_data_stats *stats, const lk_table *table, lk_numbers *x, int64_t begin, int64_t n)
{
    const size_t n_columns = stats->n_columns;

    for (int64_t row = 0; row < n * table->rows_per_sample; row++)
        for (size_t k = 0; k < n_columns; k++) {
            const lk_column *column = &stats->column[k];
            const size_t i = (size_t)row * n_columns + k;
            const double v = lk_number(x, i);
            if (isnan(v) && isnan(column->fill)) return no_fill(column, table, begin + row / table->rows_per_sample);
            put_float(x, i, scaled(&column->scale, filled(column, v)));
        }
    return LK_OK;
}

static lk_status apply_numbers(const lk_data_stats *stats, lk_table *table)
{
    LK_TRY(lk_stats_scale(stats, table, &table->x, 0, table->n));
    shrink(&table->x, (size_t)(table->n * table->rows_per_sample) * stats->n_columns);
    return LK_OK;
}

/* One row with categories: from (n_columns) into out (n_input), which is zero. */
static lk_status code_row(const lk_data_stats *stats, const lk_table *table, int32_t *const *code, int64_t i,
                          float *out)
{
    for (size_t k = 0; k < stats->n_columns; k++) {
        const lk_column *column = &stats->column[k];
        const double v = lk_number(&table->x, (size_t)i * stats->n_columns + k);
        if (!column->categorical) {
            if (isnan(v) && isnan(column->fill)) return no_fill(column, table, i);
            *out = scaled(&column->scale, filled(column, v));
        } else if (!isnan(v)) {
            const int32_t place = code[k][(int64_t)v];
            if (place < 0)
                return unseen(&column->categories, column->name, table, i,
                              lk_vocabulary_text(table->vocabulary[k], (int64_t)v));
            out[place] = 1.0f;
        }
        out += lk_column_width(column);
    }
    return LK_OK;
}

static lk_status code_rows(const lk_data_stats *stats, lk_table *table, int32_t **code)
{
    const size_t n_input = lk_stats_n_input(stats, 1);
    lk_numbers x;
    lk_status status = LK_OK;

    for (size_t k = 0; k < stats->n_columns; k++)
        if (stats->column[k].categorical)
            LK_TRY(code_words(&stats->column[k].categories, table->vocabulary[k], &code[k]));
    LK_TRY(lk_numbers_new((size_t)table->n * n_input, false, &x));
    for (int64_t i = 0; i < table->n && status == LK_OK; i++)
        status = code_row(stats, table, code, i, (float *)x.at + (size_t)i * n_input);
    free(table->x.at);
    table->x = x;
    return status;
}

static lk_status apply_categories(const lk_data_stats *stats, lk_table *table)
{
    int32_t **code = calloc(stats->n_columns, sizeof *code);

    LK_TRY_ALLOC(code, stats->n_columns * sizeof *code);
    const lk_status status = code_rows(stats, table, code);
    for (size_t k = 0; k < stats->n_columns; k++) free(code[k]);
    free(code);
    return status;
}

static void apply_targets(const lk_data_stats *stats, lk_table *table)
{
    const size_t n = (size_t)table->n * table->n_targets;

    for (size_t i = 0; i < n; i++)
        put_float(&table->target, i, scaled(&stats->target[i % table->n_targets], lk_number(&table->target, i)));
    shrink(&table->target, n);
}

lk_status lk_stats_apply(const lk_data_stats *stats, lk_table *table)
{
    bool categories = false;

    for (size_t k = 0; k < stats->n_columns; k++) categories |= stats->column[k].categorical;
    if (table->x.at) LK_TRY(categories ? apply_categories(stats, table) : apply_numbers(stats, table));
    if (table->label_words) LK_TRY(apply_classes(stats, table));
    if (table->pairs) LK_TRY(lk_pairs_apply(stats, table));
    if (table->target.at) apply_targets(stats, table);
    return LK_OK;
}
