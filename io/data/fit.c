/*
 * Statistics of the training part: fill values, categories, means and deviations, in double throughout.
 *
 * Order: fill, then scale, so means and deviations are those of the filled columns.  Deviations are of the
 * population (numpy's std); a constant column gets 1.  Sums are taken in the order of the rows.  Channels of images
 * are columns: their rows are pixels.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/data/data.h"

enum {
    COMPARED_VALUES = 1 << 16, /* of a column, when rounding is judged: neighbours in time are neighbours in a file */
    MOST_MERGED = 10,          /* a tenth of the values may fall together: noise does that, too, in long columns */
};

/* ----------------------------------------------------------------- categories */

static int compare_texts(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* The words that are marked as seen, sorted by bytes. */
static lk_status sort_words(const lk_vocabulary *words, const bool *seen, const char *name, lk_categories *out)
{
    const int64_t n_words = lk_vocabulary_n(words);

    out->text = calloc((size_t)n_words + 1, sizeof *out->text);
    LK_TRY_ALLOC(out->text, ((size_t)n_words + 1) * sizeof *out->text);
    for (int64_t w = 0; w < n_words; w++) {
        if (!seen[w]) continue;
        char *copy = strdup(lk_vocabulary_text(words, w));
        if (!copy) return LK_FAIL(LK_ERR_SYSTEM, "out of memory: a category of %s", name);
        out->text[out->n++] = copy;
    }
    qsort(out->text, out->n, sizeof *out->text, compare_texts);
    return LK_OK;
}

static lk_status fit_categories(lk_column *column, const lk_table *table, size_t k, const bool *held_out)
{
    const lk_vocabulary *words = table->vocabulary[k];
    bool *seen = calloc((size_t)lk_vocabulary_n(words) + 1, sizeof *seen);

    LK_TRY_ALLOC(seen, (size_t)lk_vocabulary_n(words) + 1);
    for (int64_t i = 0; i < table->n; i++) {
        const double number = lk_number(&table->x, (size_t)i * table->n_columns + k);
        if (!(held_out && held_out[i]) && !isnan(number)) seen[(int64_t)number] = true;
    }
    const lk_status status = sort_words(words, seen, column->name, &column->categories);
    free(seen);
    return status;
}

/* Classes named by words: those of the whole file, for which of them validate is chance. */
static lk_status fit_classes(lk_data_stats *stats, const lk_table *table)
{
    bool *seen = calloc((size_t)lk_vocabulary_n(table->label_words) + 1, sizeof *seen);

    LK_TRY_ALLOC(seen, (size_t)lk_vocabulary_n(table->label_words) + 1);
    for (int64_t i = 0; i < table->n; i++) seen[table->label[i]] = true;
    const lk_status status = sort_words(table->label_words, seen, stats->target_name, &stats->classes);
    free(seen);
    return status;
}

/* ---------------------------------------------------------------------- fills */

static int compare_numbers(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Middle value, or the mean of the middle two, as numpy's median.  Sorts. */
static double median(double *value, int64_t n)
{
    qsort(value, (size_t)n, sizeof *value, compare_numbers);
    return n % 2 ? value[n / 2] : 0.5 * (value[n / 2 - 1] + value[n / 2]);
}

static double mean(const double *value, int64_t n)
{
    double sum = 0.0;

    for (int64_t i = 0; i < n; i++) sum += value[i];
    return sum / (double)n;
}

/* The values of one column that are there and not held out; returns how many. */
static int64_t present_values(const lk_table *table, size_t k, const bool *held_out, double *value)
{
    int64_t n = 0;

    for (int64_t i = 0; i < table->n; i++) {
        const double v = lk_number(&table->x, (size_t)i * table->n_columns + k);
        if (!(held_out && held_out[i]) && !isnan(v)) value[n++] = v;
    }
    return n;
}

static lk_status fit_fill(lk_column *column, lk_missing missing, const lk_table *table, size_t k,
                          const bool *held_out, double *scratch)
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
    double *scratch = calloc((size_t)table->n, sizeof *scratch);

    LK_TRY_ALLOC(scratch, (size_t)table->n * sizeof *scratch);
    for (size_t k = 0; k < stats->n_columns && status == LK_OK; k++)
        if (!stats->column[k].categorical)
            status = fit_fill(&stats->column[k], missing, table, k, held_out, scratch);
    free(scratch);
    return status;
}

/* --------------------------------------------------------------------- scales */

/* Columns side by side, of x or of targets. */
typedef struct columns {
    const lk_numbers *x;
    size_t n;
    int64_t rows_per_sample;
    const lk_column *column; /* NULL: of targets */
    const bool *held_out;
} columns;

/* Sums over the rows of columns. */
typedef struct moments {
    int64_t n;
    double *mean, *square; /* sums at first */
    double *low, *high;
} moments;

static inline double filled(const lk_column *column, double v) { return column && isnan(v) ? column->fill : v; }

/* Adds n samples, (n * rows_per_sample, n_columns), of which the first is number `first`. */
static void add_samples(moments *m, int pass, const columns *c, const lk_numbers *x, int64_t first, int64_t n)
{
    for (int64_t row = 0; row < n * c->rows_per_sample; row++) {
        if (c->held_out && c->held_out[first + row / c->rows_per_sample]) continue;
        for (size_t k = 0; k < c->n; k++) {
            const double v = filled(c->column ? &c->column[k] : NULL, lk_number(x, (size_t)row * c->n + k));
            if (pass == 0) {
                m->mean[k] += v;
                m->low[k] = m->n == 0 || v < m->low[k] ? v : m->low[k];
                m->high[k] = m->n == 0 || v > m->high[k] ? v : m->high[k];
            } else {
                m->square[k] += (v - m->mean[k]) * (v - m->mean[k]);
            }
        }
        m->n++;
    }
}

/* The same of all samples, block by block where they are read. */
static lk_status add_all(moments *m, int pass, const columns *c, const lk_table *table)
{
    const lk_rows *rows = &table->rows;
    const bool wide = rows->dtype == LK_DTYPE_F64;
    lk_numbers block;
    lk_status status = LK_OK;

    m->n = 0;
    if (c->x->at) {
        add_samples(m, pass, c, c->x, 0, table->n);
        return LK_OK;
    }
    LK_TRY(lk_numbers_new((size_t)(rows->block * c->rows_per_sample) * c->n, wide, &block));
    for (int64_t begin = 0; begin < table->n && status == LK_OK; begin += rows->block) {
        const int64_t end = begin + rows->block < table->n ? begin + rows->block : table->n;
        status = rows->read(rows->from, begin, end, wide ? LK_DTYPE_F64 : LK_DTYPE_F32, block.at);
        if (status == LK_OK) add_samples(m, pass, c, &block, begin, end - begin);
    }
    free(block.at);
    return status;
}

/* Two passes: means, then squares of what is left. */
static lk_status take_moments(moments *m, const columns *c, const lk_table *table)
{
    LK_TRY(add_all(m, 0, c, table));
    for (size_t k = 0; k < c->n; k++) m->mean[k] /= (double)m->n;
    return add_all(m, 1, c, table);
}

/* Scales of columns into scale[k * stride] (a byte stride: they lie in larger structs). */
static lk_status fit_scales(const columns *c, const lk_table *table, lk_scale *scale, size_t stride)
{
    double *sums = calloc(4 * c->n, sizeof *sums);

    LK_TRY_ALLOC(sums, 4 * c->n * sizeof *sums);
    moments m = {0, sums, sums + c->n, sums + 2 * c->n, sums + 3 * c->n};
    const lk_status status = take_moments(&m, c, table);
    for (size_t k = 0; k < c->n && status == LK_OK; k++) {
        lk_scale *s = (lk_scale *)((char *)scale + k * stride);
        if (c->column && c->column[k].categorical) continue;
        /* By range, not by deviation == 0: the mean of equal numbers may be rounded off them. */
        const bool constant = m.low[k] == m.high[k];
        *s = constant ? (lk_scale){m.low[k], 1.0} : (lk_scale){m.mean[k], sqrt(m.square[k] / (double)m.n)};
    }
    free(sums);
    return status;
}

lk_status lk_stats_fit(lk_data_stats *stats, const lk_data_spec *spec, const lk_table *table, const bool *held_out)
{
    const bool features = spec->standardize == LK_STANDARDIZE_ALL || spec->standardize == LK_STANDARDIZE_FEATURES;
    const bool target = spec->standardize == LK_STANDARDIZE_ALL || spec->standardize == LK_STANDARDIZE_TARGET;
    const bool fills = spec->missing != LK_MISSING_ERROR && spec->missing != LK_MISSING_DROP;

    for (size_t k = 0; k < stats->n_columns; k++)
        if (stats->column[k].categorical) LK_TRY(fit_categories(&stats->column[k], table, k, held_out));
    if (table->label_words) LK_TRY(fit_classes(stats, table));
    if (table->pairs && spec->tokenizer == LK_TOKENIZER_BPE)
        LK_TRY(lk_pairs_fit_bpe(stats, spec, table->pairs, held_out));
    else if (table->pairs) LK_TRY(lk_pairs_fit(stats, spec, table->pairs, held_out));
    if (spec->kind == LK_DATA_CSV && fills) LK_TRY(fit_fills(stats, spec->missing, table, held_out));
    const columns x = {&table->x, stats->n_columns, table->rows_per_sample, stats->column, held_out};
    const columns y = {&table->target, table->n_targets, 1, NULL, held_out};
    if (features && (table->x.at || table->rows.from))
        LK_TRY(fit_scales(&x, table, &stats->column->scale, sizeof *stats->column));
    if (target && table->target.at) LK_TRY(fit_scales(&y, table, stats->target, sizeof *stats->target));
    return LK_OK;
}

/* ------------------------------------------------------------------- rounding */

/* How many different numbers there are, and how many are left in fp32.  Sorts. */
static void count_different(double *value, size_t n, size_t *exact, size_t *rounded)
{
    qsort(value, n, sizeof *value, compare_numbers);
    *exact = *rounded = n > 0;
    for (size_t i = 1; i < n; i++) {
        *exact += value[i] != value[i - 1];
        *rounded += (float)value[i] != (float)value[i - 1];
    }
}

/* Every n_columns-th number from k on. */
static lk_status check_column(const lk_numbers *x, size_t rows, size_t n_columns, size_t k, const char *path,
                              const char *name, double *scratch, char **text)
{
    const size_t most = rows < COMPARED_VALUES ? rows : COMPARED_VALUES;
    size_t n = 0, exact, rounded;

    for (size_t row = 0; row < most; row++) {
        const double v = lk_number(x, row * n_columns + k);
        if (!isnan(v)) scratch[n++] = v;
    }
    count_different(scratch, n, &exact, &rounded);
    if (exact - rounded <= exact / MOST_MERGED) return LK_OK;
    return lk_warning_add(text, "%s: %s: %zu different values become %zu in fp32; set data.standardize, or take an "
                          "offset off them", path, name, exact, rounded);
}

lk_status lk_stats_check_rounding(const lk_data_stats *stats, const lk_table *table, char **text)
{
    const size_t rows = (size_t)(table->n * table->rows_per_sample);
    lk_status status = LK_OK;
    double *scratch = calloc(COMPARED_VALUES, sizeof *scratch);

    LK_TRY_ALLOC(scratch, COMPARED_VALUES * sizeof *scratch);
    for (size_t k = 0; table->x.wide && k < stats->n_columns && status == LK_OK; k++)
        if (!stats->column[k].categorical && lk_scale_is_neutral(&stats->column[k].scale))
            status = check_column(&table->x, rows, stats->n_columns, k, table->path, stats->column[k].name, scratch,
                                  text);
    for (size_t j = 0; table->target.wide && j < table->n_targets && status == LK_OK; j++)
        if (lk_scale_is_neutral(&stats->target[j]))
            status = check_column(&table->target, (size_t)table->n, table->n_targets, j, table->path,
                                  stats->target_name, scratch, text);
    free(scratch);
    return status;
}
