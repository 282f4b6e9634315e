/*
 * The kind `csv`: a table with one column of targets.
 *
 * Columns keep the header's order; a categorical one is later replaced, at its place, by its one-hot columns.
 * Later files (validation, predict) are matched by column name and may have their columns in another order and
 * further columns, which are left out.  Without a header columns are named by their number from 0.  Numbers are
 * read as doubles, in the C locale, with the recipe's decimal sign; nan, inf and hexadecimal numbers are no
 * numbers here. `missing: drop` drops rows with a missing cell, unless they are to be predicted; a missing target
 * is never filled.
 */
#include <errno.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/data/kinds/csv_text.h"
#include "io/data/data.h"

enum {
    SKIP = -1,
    TARGET = -2,
    NUMBER_CHARS = 24,
    WHERE_BYTES = 512,
    MAX_CATEGORIES = 1 << 16,
    LISTED_COLUMNS = 12,
    LIST_BYTES = 512,
};

typedef struct reader {
    const lk_data_spec *spec;
    const lk_source *source;
    lk_csv csv;
    size_t n_columns;  /* of the file */
    char **name;       /* (n_columns), owned */
    ptrdiff_t *role;   /* (n_columns): a column of the table, SKIP or TARGET; owned */
    ptrdiff_t target;  /* column of the file, SKIP without one */
    bool label_words;  /* the target is a label, and a word */
    locale_t c_locale;
    const lk_data_stats *stats;
    lk_table *table;
} reader;

/* ------------------------------------------------------------------- columns */

static bool in_words(const lk_words *words, const char *word)
{
    for (unsigned i = 0; i < words->n; i++)
        if (strcmp(words->word[i], word) == 0) return true;
    return false;
}

static ptrdiff_t find_column(const reader *r, const char *name)
{
    for (size_t i = 0; i < r->n_columns; i++)
        if (strcmp(r->name[i], name) == 0) return (ptrdiff_t)i;
    return SKIP;
}

/* Names columns from the header, or by number.  `absent` is the number a headerless file leaves out, or SKIP. */
static lk_status name_columns(reader *r, ptrdiff_t absent)
{
    char number[NUMBER_CHARS];

    r->n_columns = r->csv.n_cells;
    r->name = calloc(r->n_columns, sizeof *r->name);
    r->role = calloc(r->n_columns, sizeof *r->role);
    LK_TRY_ALLOC(r->name, r->n_columns * sizeof *r->name);
    LK_TRY_ALLOC(r->role, r->n_columns * sizeof *r->role);
    for (size_t i = 0; i < r->n_columns; i++) {
        const bool named = r->spec->header && *r->csv.cell[i];
        snprintf(number, sizeof number, "%zu", i + (absent != SKIP && (ptrdiff_t)i >= absent));
        r->name[i] = strdup(named ? r->csv.cell[i] : number);
        LK_TRY_ALLOC(r->name[i], strlen(number) + 1);
        if (!named && r->spec->header && !in_words(&r->spec->ignore, number))
            return LK_FAIL(LK_ERR_DATA,
                           "%s:%lld: column %s has no name (a row index?): name it, or leave it out with "
                           "data.ignore: [%s]",
                           r->csv.path, (long long)r->csv.record_line, number, number);
        if (!lk_utf8_valid(r->name[i]))
            return LK_FAIL(LK_ERR_DATA, "%s:%lld: the name of column %s is not UTF-8", r->csv.path,
                           (long long)r->csv.record_line, number);
        if (find_column(r, r->name[i]) != (ptrdiff_t)i)
            return LK_FAIL(LK_ERR_DATA, "%s:%lld: two columns are named %s", r->csv.path,
                           (long long)r->csv.record_line, r->name[i]);
    }
    return LK_OK;
}

/* What a file whose columns are not those that the recipe expects may look like: a hint, or nothing. */
static const char *doubt(const reader *r)
{
    const char *first = r->name[0];
    char *end;

    if (r->n_columns == 1 && strchr(first, ';')) return "; is data.delimiter \";\"?";
    if (r->n_columns == 1 && strchr(first, '\t')) return "; is data.delimiter tab?";
    if (r->n_columns == 1 && strchr(first, ',')) return "; is data.delimiter \",\"?";
    if (*first == '#' || *first == '%') return "; is its first line a comment? data.comment says how those begin";
    (void)strtod_l(first, &end, r->c_locale);
    return end != first && !*end ? "; has it no header line? then set data.header: false" : "";
}

static lk_status no_such_column(const reader *r, const char *key, const char *name)
{
    const char *nearest = lk_nearest(name, (const char *const *)r->name, r->n_columns);
    char text[LIST_BYTES];
    lk_text list = lk_text_in(text, sizeof text);

    if (!r->spec->header)
        return LK_FAIL(LK_ERR_DATA,
                       "%s has no column %s (%s); with data.header: false columns are numbered 0 to %zu%s",
                       r->csv.path, name, key, r->n_columns - 1, r->n_columns == 1 ? "; is data.delimiter right?" : "");
    if (nearest)
        return LK_FAIL(LK_ERR_DATA, "%s has no column %s (%s); did you mean %s?", r->csv.path, name, key, nearest);
    for (size_t i = 0; i < r->n_columns && i < LISTED_COLUMNS; i++)
        lk_text_add(&list, "%s`%.40s`", i ? ", " : "", r->name[i]);
    return LK_FAIL(LK_ERR_DATA, "%s has no column %s (%s); line %lld names %s%s%s", r->csv.path, name, key,
                   (long long)r->csv.record_line, text, r->n_columns > LISTED_COLUMNS ? ", ..." : "", doubt(r));
}

static lk_status check_words(const reader *r, const lk_words *words, const char *key, bool may_be_target)
{
    for (unsigned i = 0; i < words->n; i++) {
        const bool target = r->spec->target && strcmp(words->word[i], r->spec->target) == 0;
        if (target && !may_be_target)
            return LK_FAIL(LK_ERR_USAGE, "%s names %s, which is the target%s", key, r->spec->target,
                           words == &r->spec->categorical ? ": words as labels are for loss.kind cross_entropy, every "
                           "other loss wants numbers" : "");
        if (!target && find_column(r, words->word[i]) == SKIP) LK_TRY(no_such_column(r, key, words->word[i]));
    }
    return LK_OK;
}

static lk_status find_target(reader *r)
{
    const char *name = r->spec->target;

    if (!name && r->source->want_target)
        return LK_FAIL(LK_ERR_USAGE, "data.target is missing: it names the column of %s to learn", r->csv.path);
    r->target = name ? find_column(r, name) : SKIP;
    if (r->target == SKIP && r->source->want_target) LK_TRY(no_such_column(r, "data.target", name));
    if (r->target != SKIP) r->role[r->target] = r->source->want_target ? TARGET : SKIP;
    r->label_words = r->source->labels && name && in_words(&r->spec->categorical, name);
    return LK_OK;
}

/* The training part decides what the columns are. */
static lk_status set_columns(reader *r, lk_data_stats *stats)
{
    const char **features = calloc(r->n_columns, sizeof *features);
    size_t n = 0;

    LK_TRY_ALLOC(features, r->n_columns * sizeof *features);
    for (size_t i = 0; i < r->n_columns; i++) {
        if ((ptrdiff_t)i == r->target) continue;
        const bool ignored = in_words(&r->spec->ignore, r->name[i]);
        r->role[i] = ignored ? SKIP : (ptrdiff_t)n;
        if (!ignored) features[n++] = r->name[i];
    }
    lk_status status = n ? lk_stats_set_columns(stats, n, features)
                         : LK_FAIL(LK_ERR_DATA, "%s has no column left beside the target", r->csv.path);
    free(features);
    LK_TRY(status);
    for (size_t k = 0; k < n; k++)
        stats->column[k].categorical = in_words(&r->spec->categorical, stats->column[k].name);
    stats->file_columns = r->n_columns;
    return LK_OK;
}

/* Every other file has the same columns, by name. */
static lk_status match_columns(reader *r, const lk_data_stats *stats)
{
    for (size_t i = 0; i < r->n_columns; i++)
        if ((ptrdiff_t)i != r->target) r->role[i] = SKIP;
    for (size_t k = 0; k < stats->n_columns; k++) {
        const ptrdiff_t column = find_column(r, stats->column[k].name);
        if (column == SKIP || column == r->target)
            LK_TRY(no_such_column(r, "of the training data", stats->column[k].name));
        r->role[column] = (ptrdiff_t)k;
    }
    return LK_OK;
}

/* A headerless file to predict may lack the target; its later columns then keep their numbers. */
static ptrdiff_t absent_column(const reader *r, const lk_data_stats *stats)
{
    const bool lacks = !r->spec->header && !r->source->want_target && r->spec->target &&
                       stats->file_columns == r->csv.n_cells + 1;
    return lacks ? (ptrdiff_t)strtol(r->spec->target, NULL, 10) : SKIP;
}

static lk_status plan_columns(reader *r, lk_data_stats *stats)
{
    const ptrdiff_t absent = absent_column(r, stats);

    LK_TRY(name_columns(r, absent));
    LK_TRY(find_target(r));
    if (stats->n_columns) {
        /* Numbers name columns only while none comes between. */
        if (!r->spec->header && absent == SKIP && r->n_columns != stats->file_columns)
            return LK_FAIL(LK_ERR_DATA, "%s has %zu columns, the training file had %zu", r->csv.path, r->n_columns,
                           stats->file_columns);
        return match_columns(r, stats);
    }
    LK_TRY(check_words(r, &r->spec->ignore, "data.ignore", false));
    LK_TRY(check_words(r, &r->spec->categorical, "data.categorical", r->source->labels));
    return set_columns(r, stats);
}

/* --------------------------------------------------------------------- cells */

static bool is_missing(const reader *r, const char *cell)
{
    return !*cell || in_words(&r->spec->missing_values, cell);
}

/* Whether strtod() takes a cell for what only C calls a number: hexadecimal, nan, inf. */
static bool is_odd_number(const char *cell) { return strpbrk(cell, "xXnN") != NULL; }

/* A double half-way between two floats may stand for a decimal on either side of it.  One step off, it is rounded to
 * fp32 as the decimal itself would be. */
static double keep_side(double value, const char *cell, locale_t c_locale)
{
    const uint64_t below_fp32 = (UINT64_C(1) << (DBL_MANT_DIG - FLT_MANT_DIG)) - 1, half = (below_fp32 + 1) / 2;
    uint64_t bits;

    memcpy(&bits, &value, sizeof bits);
    if ((bits & below_fp32) != half) return value;
    const float once = strtof_l(cell, NULL, c_locale);
    return (float)value == once ? value : nextafter(value, (double)once);
}

/* The number that a whole cell is. */
static bool parse(const reader *r, char *cell, double *out)
{
    const bool comma = r->spec->decimal && *r->spec->decimal == ',';
    char *sign = comma ? strchr(cell, ',') : NULL, *end;

    if (is_odd_number(cell) || (comma && strchr(cell, '.'))) return false;
    if (sign) *sign = '.';
    *out = keep_side(strtod_l(cell, &end, r->c_locale), cell, r->c_locale);
    const bool whole = end != cell && !*end;
    if (sign) *sign = ',';
    return whole;
}

static const char *advice_for(const reader *r, size_t i, const char *cell)
{
    if (strchr(cell, ',') && strspn(cell, "+-0123456789,") == strlen(cell))
        return "if a comma is the decimal sign, set data.decimal: \",\"";
    if ((ptrdiff_t)i == r->target)
        return "the target must be a number; if this means a missing one, name it in data.missing_values";
    return "name the column in data.categorical or data.ignore, or the spelling in data.missing_values";
}

static lk_status read_number(const reader *r, size_t i, char *cell, lk_numbers *numbers, size_t at)
{
    double value;

    if (!parse(r, cell, &value))
        return LK_FAIL(LK_ERR_DATA, "%s:%lld: column %s: `%.40s` is not a number; %s", r->csv.path,
                       (long long)r->csv.record_line, r->name[i], cell, advice_for(r, i, cell));
    if (isinf((float)value))
        return LK_FAIL(LK_ERR_DATA, "%s:%lld: column %s: `%.40s` is too large for fp32", r->csv.path,
                       (long long)r->csv.record_line, r->name[i], cell);
    lk_number_set(numbers, at, value);
    return LK_OK;
}

static lk_status missing_cell(const reader *r, size_t i)
{
    const char *cell = r->csv.cell[i], *advice = "set data.missing to drop, mean, median or zero";

    if ((ptrdiff_t)i == r->target) advice = "a target is never filled: set data.missing to drop";
    else if (r->spec->missing == LK_MISSING_DROP)
        advice = "a row to predict is never dropped: train with data.missing: median";

    return LK_FAIL(LK_ERR_DATA, "%s:%lld: %s is %s%s%s; %s", r->csv.path, (long long)r->csv.record_line, r->name[i],
                   *cell ? "missing (`" : "empty", cell, *cell ? "`)" : "", advice);
}

/* A word's number in its column's vocabulary. */
static lk_status read_word(const reader *r, size_t i, const char *cell, lk_vocabulary **vocabulary, int64_t *number)
{
    if (!lk_utf8_valid(cell))
        return LK_FAIL(LK_ERR_DATA, "%s:%lld: column %s: `%.40s` is not UTF-8", r->csv.path,
                       (long long)r->csv.record_line, r->name[i], cell);
    *number = lk_vocabulary_add(vocabulary, cell);
    if (*number < 0) return LK_FAIL(LK_ERR_SYSTEM, "out of memory: a word of column %s", r->name[i]);
    if (*number >= MAX_CATEGORIES)
        return LK_FAIL(LK_ERR_DATA, "%s:%lld: column %s has more than %d different values; is it a name or a number "
                       "rather than a category?", r->csv.path, (long long)r->csv.record_line, r->name[i],
                       MAX_CATEGORIES);
    return LK_OK;
}

static lk_status read_label(const reader *r, size_t i, char *cell, int32_t *out)
{
    char where[WHERE_BYTES];
    int64_t number;
    double value;

    if (r->label_words) {
        LK_TRY(read_word(r, i, cell, &r->table->label_words, &number));
        *out = (int32_t)number;
        return LK_OK;
    }
    snprintf(where, sizeof where, "%s:%lld: column %s", r->csv.path, (long long)r->csv.record_line, r->name[i]);
    if (!parse(r, cell, &value))
        return LK_FAIL(LK_ERR_DATA, "%s: `%.40s` is not a label; labels are whole numbers from 0, or words if "
                       "data.categorical names their column", where, cell);
    return lk_label_check(value, r->spec->ignore_index, where, out);
}

static lk_status read_target(const reader *r, size_t i, char *cell)
{
    lk_table *t = r->table;

    if (is_missing(r, cell)) return missing_cell(r, i);
    return t->label ? read_label(r, i, cell, t->label + t->n) : read_number(r, i, cell, &t->target, (size_t)t->n);
}

static lk_status read_feature(const reader *r, size_t i, char *cell)
{
    lk_table *t = r->table;
    const ptrdiff_t k = r->role[i];
    const size_t at = (size_t)t->n * t->n_columns + (size_t)k;
    int64_t number;

    if (is_missing(r, cell)) {
        if (r->spec->missing == LK_MISSING_ERROR || r->spec->missing == LK_MISSING_DROP) return missing_cell(r, i);
        lk_number_set(&t->x, at, NAN);
        return LK_OK;
    }
    if (!r->stats->column[k].categorical) return read_number(r, i, cell, &t->x, at);
    LK_TRY(read_word(r, i, cell, &t->vocabulary[k], &number));
    lk_number_set(&t->x, at, (double)number);
    return LK_OK;
}

static bool is_dropped(const reader *r)
{
    if (r->spec->missing != LK_MISSING_DROP || !r->source->want_target) return false;
    for (size_t i = 0; i < r->n_columns; i++)
        if (r->role[i] != SKIP && is_missing(r, r->csv.cell[i])) return true;
    return false;
}

static lk_status read_row(const reader *r)
{
    if (r->csv.n_cells != r->n_columns)
        return LK_FAIL(LK_ERR_DATA, "%s:%lld: %zu cells, but %s %zu; is data.delimiter right?", r->csv.path,
                       (long long)r->csv.record_line, r->csv.n_cells,
                       r->spec->header ? "the header has" : "the first line has", r->n_columns);
    if (is_dropped(r)) return LK_OK;
    for (size_t i = 0; i < r->n_columns; i++) {
        if (r->role[i] == TARGET) LK_TRY(read_target(r, i, r->csv.cell[i]));
        else if (r->role[i] != SKIP) LK_TRY(read_feature(r, i, r->csv.cell[i]));
    }
    r->table->line[r->table->n++] = r->csv.record_line;
    return LK_OK;
}

/* ---------------------------------------------------------------------- file */

static lk_status make_table(const reader *r)
{
    lk_table *t = r->table;
    const size_t rows = (size_t)r->csv.max_records;

    t->path = r->csv.path;
    t->rows_per_sample = 1;
    t->n_columns = r->stats->n_columns;
    t->line = calloc(rows, sizeof *t->line);
    t->vocabulary = calloc(t->n_columns, sizeof(lk_vocabulary *));
    LK_TRY(lk_numbers_new(rows * t->n_columns, true, &t->x));
    LK_TRY_ALLOC(t->line, rows * sizeof *t->line);
    LK_TRY_ALLOC(t->vocabulary, t->n_columns * sizeof(lk_vocabulary *));
    if (!r->source->want_target) return LK_OK;
    t->n_targets = 1;
    if (r->source->labels) {
        t->label = calloc(rows, sizeof *t->label);
        LK_TRY_ALLOC(t->label, rows * sizeof *t->label);
        return LK_OK;
    }
    return lk_numbers_new(rows, true, &t->target);
}

static lk_status read_rows(reader *r, lk_data_stats *stats)
{
    bool more;

    LK_TRY(lk_csv_open(r->source->file, r->spec->delimiter, r->spec->comment, &r->csv));
    LK_TRY(lk_csv_next(&r->csv, &more));
    if (!more) return LK_FAIL(LK_ERR_DATA, "%s has comments alone", r->source->file);
    LK_TRY(plan_columns(r, stats));
    if (r->source->want_target && !stats->target_name) LK_TRY(lk_stats_set_target(stats, r->spec->target, 1));
    LK_TRY(make_table(r));
    if (r->spec->header) LK_TRY(lk_csv_next(&r->csv, &more));
    while (more) {
        LK_TRY(read_row(r));
        LK_TRY(lk_csv_next(&r->csv, &more));
    }
    if (r->table->n == 0)
        return LK_FAIL(LK_ERR_DATA, "%s has no rows%s", r->source->file,
                       r->spec->missing == LK_MISSING_DROP ? " without missing cells" : " below its header");
    return LK_OK;
}

lk_status lk_read_csv(const lk_data_spec *spec, const lk_source *source, lk_data_stats *stats, lk_table *out)
{
    reader r = {.spec = spec, .source = source, .stats = stats, .table = out, .target = SKIP};

    r.c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!r.c_locale) return LK_FAIL(LK_ERR_SYSTEM, "no C locale: %s", strerror(errno));
    const lk_status status = read_rows(&r, stats);
    for (size_t i = 0; r.name && i < r.n_columns; i++) free(r.name[i]);
    free(r.name);
    free(r.role);
    lk_csv_close(&r.csv);
    freelocale(r.c_locale);
    return status;
}
