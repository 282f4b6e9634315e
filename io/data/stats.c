/*
 * Statistics of the training part: fill values, categories, means and deviations; and their use on every part.
 *
 * Order: fill, then scale, so means and deviations are those of the filled columns.  Deviations are of the
 * population (numpy's std); a constant column gets 1.  Sums are taken in double in the order of the rows.
 * One-hot columns are 0 or 1 and not scaled; a missing category is all zeros.  Channels of images are columns:
 * their rows are pixels.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/data/data.h"

enum { NAME_CHARS = 24, LISTED_CATEGORIES = 8, LIST_BYTES = 256 };

/* --------------------------------------------------------------------- memory */

lk_status lk_stats_new(lk_data_kind kind, lk_data_stats **out)
{
    *out = calloc(1, sizeof **out);
    LK_TRY_ALLOC(*out, sizeof **out);
    (*out)->kind = kind;
    return LK_OK;
}

void lk_stats_free(lk_data_stats **stats)
{
    lk_data_stats *s = *stats;

    if (!s) return;
    for (size_t k = 0; k < s->n_columns; k++) {
        for (size_t c = 0; c < s->column[k].n_categories; c++) free(s->column[k].category[c]);
        free(s->column[k].category);
        free(s->column[k].name);
    }
    free(s->column);
    free(s->target_name);
    free(s->target);
    lk_free(stats);
}

lk_status lk_stats_set_columns(lk_data_stats *stats, size_t n_columns, const char *const *names)
{
    char number[NAME_CHARS];

    stats->column = calloc(n_columns, sizeof *stats->column);
    LK_TRY_ALLOC(stats->column, n_columns * sizeof *stats->column);
    stats->n_columns = n_columns;
    for (size_t k = 0; k < n_columns; k++) {
        lk_column *column = &stats->column[k];
        snprintf(number, sizeof number, "x%zu", k);
        column->name = strdup(names ? names[k] : number);
        LK_TRY_ALLOC(column->name, sizeof number);
        column->fill = NAN;
        column->scale.deviation = 1.0;
    }
    return LK_OK;
}

lk_status lk_stats_set_target(lk_data_stats *stats, const char *name, size_t n_targets)
{
    stats->target_name = strdup(name);
    LK_TRY_ALLOC(stats->target_name, strlen(name) + 1);
    stats->target = calloc(n_targets, sizeof *stats->target);
    LK_TRY_ALLOC(stats->target, n_targets * sizeof *stats->target);
    stats->n_targets = n_targets;
    for (size_t j = 0; j < n_targets; j++) stats->target[j].deviation = 1.0;
    return LK_OK;
}

static size_t column_width(const lk_column *column) { return column->categorical ? column->n_categories : 1; }

size_t lk_stats_n_input(const lk_data_stats *stats, int64_t rows_per_sample)
{
    size_t width = 0;

    for (size_t k = 0; k < stats->n_columns; k++) width += column_width(&stats->column[k]);
    return width * (size_t)rows_per_sample;
}

/* ----------------------------------------------------------------- categories */

static int compare_texts(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static lk_status fit_categories(lk_column *column, const lk_table *table, size_t k, const bool *held_out)
{
    const lk_vocabulary *words = table->vocabulary[k];
    const int64_t n_words = lk_vocabulary_n(words);
    bool *seen = calloc((size_t)n_words + 1, sizeof *seen);

    column->category = calloc((size_t)n_words + 1, sizeof *column->category);
    if (!seen || !column->category) {
        free(seen);
        return LK_FAIL(LK_ERR_SYSTEM, "out of memory: categories of %s", column->name);
    }
    for (int64_t i = 0; i < table->n; i++) {
        const float number = table->x[(size_t)i * table->n_columns + k];
        if (!(held_out && held_out[i]) && !isnan(number)) seen[(int64_t)number] = true;
    }
    lk_status status = LK_OK;
    for (int64_t w = 0; w < n_words && status == LK_OK; w++) {
        if (!seen[w]) continue;
        char *copy = strdup(lk_vocabulary_text(words, w));
        if (copy) column->category[column->n_categories++] = copy;
        else status = LK_FAIL(LK_ERR_SYSTEM, "out of memory: a category of %s", column->name);
    }
    free(seen);
    qsort(column->category, column->n_categories, sizeof *column->category, compare_texts);
    return status;
}

static lk_status unseen_category(const lk_column *column, const lk_table *table, int64_t i, const char *text)
{
    char list[LIST_BYTES] = "";
    size_t used = 0;

    for (size_t c = 0; c < column->n_categories && c < LISTED_CATEGORIES && used < sizeof list; c++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", c ? ", " : "", column->category[c]);
    return LK_FAIL(LK_ERR_DATA,
                   "%s:%lld: column %s: `%.40s` does not occur in the training part, which has %zu values: %s%s",
                   table->path, (long long)table->line[i], column->name, text, column->n_categories, list,
                   column->n_categories > LISTED_CATEGORIES ? ", ..." : "");
}

/* Place of every word of the vocabulary among the categories, -1 for one that training has not seen. */
static lk_status code_words(const lk_column *column, const lk_vocabulary *words, int32_t **code)
{
    const int64_t n_words = lk_vocabulary_n(words);

    *code = calloc((size_t)n_words + 1, sizeof **code);
    LK_TRY_ALLOC(*code, ((size_t)n_words + 1) * sizeof **code);
    for (int64_t w = 0; w < n_words; w++) {
        const char *text = lk_vocabulary_text(words, w);
        char **found = column->n_categories ? bsearch(&text, column->category, column->n_categories,
                                                      sizeof *column->category, compare_texts) : NULL;
        (*code)[w] = found ? (int32_t)(found - column->category) : -1;
    }
    return LK_OK;
}

/* ------------------------------------------------------------------------ fit */

static int compare_floats(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

/* Middle value, or the mean of the middle two, as numpy's median.  Sorts. */
static double median(float *value, int64_t n)
{
    qsort(value, (size_t)n, sizeof *value, compare_floats);
    return n % 2 ? (double)value[n / 2] : 0.5 * ((double)value[n / 2 - 1] + (double)value[n / 2]);
}

static double mean(const float *value, int64_t n)
{
    double sum = 0.0;

    for (int64_t i = 0; i < n; i++) sum += (double)value[i];
    return sum / (double)n;
}

/* The values of one column that are there and not held out; returns how many. */
static int64_t present_values(const lk_table *table, size_t k, const bool *held_out, float *value)
{
    int64_t n = 0;

    for (int64_t i = 0; i < table->n; i++) {
        const float v = table->x[(size_t)i * table->n_columns + k];
        if (!(held_out && held_out[i]) && !isnan(v)) value[n++] = v;
    }
    return n;
}

static lk_status fit_fill(lk_column *column, lk_missing missing, const lk_table *table, size_t k,
                          const bool *held_out, float *scratch)
{
    const int64_t n = present_values(table, k, held_out, scratch);

    if (n == 0)
        return LK_FAIL(LK_ERR_DATA, "%s: column %s has no value in the training part; add it to data.ignore",
                       table->path, column->name);
    if (missing == LK_MISSING_MEAN) column->fill = mean(scratch, n);
    else if (missing == LK_MISSING_MEDIAN) column->fill = median(scratch, n);
    else column->fill = 0.0;
    return LK_OK;
}

static lk_status fit_fills(lk_data_stats *stats, lk_missing missing, const lk_table *table, const bool *held_out)
{
    lk_status status = LK_OK;
    float *scratch = calloc((size_t)table->n, sizeof *scratch);

    LK_TRY_ALLOC(scratch, (size_t)table->n * sizeof *scratch);
    for (size_t k = 0; k < stats->n_columns && status == LK_OK; k++)
        if (!stats->column[k].categorical)
            status = fit_fill(&stats->column[k], missing, table, k, held_out, scratch);
    free(scratch);
    return status;
}

/* Sums over the rows of one or more columns side by side. */
typedef struct moments {
    int64_t n;
    double *mean, *square; /* sums at first */
    float *low, *high;
} moments;

static inline double filled(const lk_column *column, float v)
{
    return column && isnan(v) ? column->fill : (double)v;
}

/* x: (n * rows_per_sample, n_columns).  Two passes: means, then squares of what is left. */
static void take_moments(moments *m, const float *x, int64_t n, int64_t rows_per_sample, size_t n_columns,
                         const lk_column *column, const bool *held_out)
{
    for (int pass = 0; pass < 2; pass++) {
        m->n = 0;
        for (int64_t row = 0; row < n * rows_per_sample; row++) {
            if (held_out && held_out[row / rows_per_sample]) continue;
            for (size_t k = 0; k < n_columns; k++) {
                const double v = filled(column ? &column[k] : NULL, x[(size_t)row * n_columns + k]);
                if (pass == 0) {
                    m->mean[k] += v;
                    m->low[k] = m->n == 0 || v < (double)m->low[k] ? (float)v : m->low[k];
                    m->high[k] = m->n == 0 || v > (double)m->high[k] ? (float)v : m->high[k];
                } else {
                    m->square[k] += (v - m->mean[k]) * (v - m->mean[k]);
                }
            }
            m->n++;
        }
        for (size_t k = 0; k < n_columns && pass == 0; k++) m->mean[k] /= (double)m->n;
    }
}

/* Scales of n_columns columns into scale[k * stride] (a byte stride: they lie in larger structs). */
static lk_status fit_scales(const float *x, int64_t n, int64_t rows_per_sample, size_t n_columns,
                            const lk_column *column, const bool *held_out, lk_scale *scale, size_t stride)
{
    double *sums = calloc(2 * n_columns, sizeof *sums);
    float *range = calloc(2 * n_columns, sizeof *range);
    moments m = {0, sums, sums + n_columns, range, range + n_columns};

    if (!sums || !range) {
        free(sums);
        free(range);
        return LK_FAIL(LK_ERR_SYSTEM, "out of memory: statistics of %zu columns", n_columns);
    }
    take_moments(&m, x, n, rows_per_sample, n_columns, column, held_out);
    for (size_t k = 0; k < n_columns; k++) {
        lk_scale *s = (lk_scale *)((char *)scale + k * stride);
        /* By range, not by deviation == 0: the mean of equal numbers may be rounded off them. */
        const bool constant = m.low[k] == m.high[k];
        *s = constant ? (lk_scale){(double)m.low[k], 1.0} : (lk_scale){m.mean[k], sqrt(m.square[k] / (double)m.n)};
    }
    free(sums);
    free(range);
    return LK_OK;
}

lk_status lk_stats_fit(lk_data_stats *stats, const lk_data_spec *spec, const lk_table *table, const bool *held_out)
{
    const bool features = spec->standardize == LK_STANDARDIZE_ALL || spec->standardize == LK_STANDARDIZE_FEATURES;
    const bool target = spec->standardize == LK_STANDARDIZE_ALL || spec->standardize == LK_STANDARDIZE_TARGET;
    const bool fills = spec->missing != LK_MISSING_ERROR && spec->missing != LK_MISSING_DROP;

    for (size_t k = 0; k < stats->n_columns; k++)
        if (stats->column[k].categorical) LK_TRY(fit_categories(&stats->column[k], table, k, held_out));
    if (spec->kind == LK_DATA_CSV && fills) LK_TRY(fit_fills(stats, spec->missing, table, held_out));
    if (features && table->x)
        LK_TRY(fit_scales(table->x, table->n, table->rows_per_sample, stats->n_columns, stats->column, held_out,
                          &stats->column->scale, sizeof *stats->column));
    if (target && table->target)
        LK_TRY(fit_scales(table->target, table->n, 1, table->n_targets, NULL, held_out, stats->target,
                          sizeof *stats->target));
    return LK_OK;
}

/* ---------------------------------------------------------------------- apply */

static inline float scaled(const lk_scale *scale, double v) { return (float)((v - scale->mean) / scale->deviation); }

static lk_status no_fill(const lk_column *column, const lk_table *table, int64_t i)
{
    return LK_FAIL(LK_ERR_DATA,
                   "%s:%lld: %s is missing, and training made no fill value for it; train with data.missing",
                   table->path, table->line ? (long long)table->line[i] : (long long)i, column->name);
}

/* Numbers only: in place. */
static lk_status apply_numbers(const lk_data_stats *stats, lk_table *table)
{
    const size_t n_columns = stats->n_columns;

    for (int64_t row = 0; row < table->n * table->rows_per_sample; row++)
        for (size_t k = 0; k < n_columns; k++) {
            const lk_column *column = &stats->column[k];
            float *v = &table->x[(size_t)row * n_columns + k];
            if (isnan(*v) && isnan(column->fill)) return no_fill(column, table, row / table->rows_per_sample);
            *v = scaled(&column->scale, filled(column, *v));
        }
    return LK_OK;
}

/* One row with categories: from (n_columns) into out (n_input), which is zero. */
static lk_status code_row(const lk_data_stats *stats, const lk_table *table, int32_t *const *code, int64_t i,
                          float *out)
{
    const float *row = table->x + (size_t)i * stats->n_columns;

    for (size_t k = 0; k < stats->n_columns; k++) {
        const lk_column *column = &stats->column[k];
        if (!column->categorical) {
            if (isnan(row[k]) && isnan(column->fill)) return no_fill(column, table, i);
            *out = scaled(&column->scale, filled(column, row[k]));
        } else if (!isnan(row[k])) {
            const int32_t place = code[k][(int64_t)row[k]];
            if (place < 0)
                return unseen_category(column, table, i, lk_vocabulary_text(table->vocabulary[k], (int64_t)row[k]));
            out[place] = 1.0f;
        }
        out += column_width(column);
    }
    return LK_OK;
}

static lk_status code_rows(const lk_data_stats *stats, lk_table *table, int32_t **code)
{
    const size_t n_input = lk_stats_n_input(stats, 1);
    lk_status status = LK_OK;

    for (size_t k = 0; k < stats->n_columns; k++)
        if (stats->column[k].categorical) LK_TRY(code_words(&stats->column[k], table->vocabulary[k], &code[k]));
    float *x = calloc((size_t)table->n * n_input, sizeof *x);
    LK_TRY_ALLOC(x, (size_t)table->n * n_input * sizeof *x);
    for (int64_t i = 0; i < table->n && status == LK_OK; i++)
        status = code_row(stats, table, code, i, x + (size_t)i * n_input);
    free(table->x);
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

lk_status lk_stats_apply(const lk_data_stats *stats, lk_table *table)
{
    bool categories = false;

    for (size_t k = 0; k < stats->n_columns; k++) categories |= stats->column[k].categorical;
    if (table->x) LK_TRY(categories ? apply_categories(stats, table) : apply_numbers(stats, table));
    for (int64_t i = 0; table->target && i < table->n; i++)
        for (size_t j = 0; j < table->n_targets; j++) {
            float *v = &table->target[(size_t)i * table->n_targets + j];
            *v = scaled(&stats->target[j], (double)*v);
        }
    return LK_OK;
}
