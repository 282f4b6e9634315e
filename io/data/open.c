/*
 * Opening data sets: the table of kinds, and the way from files to one data set or two.
 *
 * A kind's reader fills a table (table.c), some rows are set aside to validate, statistics are fitted to the others
 * (fit.c) or come from a checkpoint (stats.c), both parts are put through them (apply.c), and what is left are the
 * arrays that the loader copies from.
 */
#include <stdlib.h>
#include <string.h>

#include "io/data/data.h"

typedef struct kind {
    const char *word;
    lk_read_fn *read;
    bool has_files; /* false: a generator */
} kind;

#define FILE_KIND(id, word, read) [id] = {word, read, true},
#define GENERATOR_KIND(id, word, read) [id] = {word, read, false},
static const kind kinds[] = {LK_DATA_FILES_LIST(FILE_KIND) LK_DATA_GENERATORS_LIST(GENERATOR_KIND)};

/* What opening both parts holds on its way. */
typedef struct opening {
    const lk_data_spec *spec;
    lk_source source;       /* of the training part */
    lk_data_stats *stats;
    lk_table train, validation;
    lk_budget train_budget, validation_budget;
    const lk_loss *events;  /* the loss, if its targets are events, else NULL */
    bool *held_out;         /* (train.n) samples of `train` that validate, or NULL */
    char *warnings;
} opening;

static bool has_validation(const opening *o)
{
    return kinds[o->spec->kind].has_files ? o->spec->validation != NULL : o->spec->validation_samples > 0;
}

static lk_status read_file(opening *o, const lk_source *source, lk_table *out)
{
    LK_TRY(kinds[o->spec->kind].read(o->spec, source, o->stats, out));
    return out->warnings ? lk_warning_add(&o->warnings, "%s", out->warnings) : LK_OK;
}

static lk_status read_each(opening *o, lk_source source, const lk_words *files, const lk_words *labels,
                           lk_table *tables)
{
    for (unsigned f = 0; f < files->n; f++) {
        source.file = files->word[f];
        source.labels_file = f < labels->n ? labels->word[f] : NULL;
        LK_TRY(read_file(o, &source, &tables[f]));
    }
    return LK_OK;
}

/* One file, or several with the same columns, one behind the other. */
static lk_status read_part(opening *o, const lk_source *source, const lk_words *files, const lk_words *labels,
                           lk_table *out)
{
    if (files->n < 2) return read_file(o, source, out);
    lk_table *tables = calloc(files->n, sizeof *tables);
    LK_TRY_ALLOC(tables, files->n * sizeof *tables);
    lk_status status = read_each(o, *source, files, labels, tables);
    if (status == LK_OK) status = lk_tables_join(tables, files->n, out);
    for (unsigned f = 0; f < files->n; f++) lk_table_clear(&tables[f]);
    free(tables);
    return status;
}

static lk_status read_validation(opening *o)
{
    lk_source source = o->source;

    source.part = LK_PART_VALIDATION;
    source.file = o->spec->validation;
    source.labels_file = o->spec->validation_labels;
    source.labels_key = "data.validation_labels";
    return read_part(o, &source, &o->spec->validation_files, &o->spec->validation_labels_files, &o->validation);
}

/* How many classes there are, from both parts: a rare one may be missing in either. */
static lk_status count_classes(opening *o)
{
    const int32_t ignored = o->spec->ignore_index;
    int32_t low, high, unused, validation_high;

    lk_label_range(o->train.label, o->train.n, ignored, &low, &high);
    lk_label_range(o->validation.label, o->validation.n, ignored, &unused, &validation_high);
    o->stats->n_classes = (high > validation_high ? high : validation_high) + 1;
    if (o->train.windows) o->stats->n_classes = lk_windows_n_values(o->train.windows);
    else if (o->train.pairs) o->stats->n_classes = lk_vocabulary_n(o->stats->words[LK_LANGUAGE_TARGET]);
    else if (o->train.label_words) o->stats->n_classes = (int64_t)o->stats->classes.n;
    else if (low == 1)
        LK_TRY(lk_warning_add(&o->warnings, "%s: labels run from 1 to %d; they count from 0, so class 0 is there and "
                              "has no sample: take 1 off them", o->train.path, high));
    return LK_OK;
}

static lk_status fit(opening *o)
{
    LK_TRY(lk_stats_fit(o->stats, o->spec, &o->train, o->held_out));
    return count_classes(o);
}

/* Bytes of images stay bytes, unless statistics make other numbers of them. */
static void choose_bytes(const opening *o, bool fitted, lk_table *table)
{
    const lk_standardize s = o->spec->standardize;
    bool scaled = !fitted && (s == LK_STANDARDIZE_ALL || s == LK_STANDARDIZE_FEATURES);

    for (size_t k = 0; k < o->stats->n_columns; k++) scaled |= !lk_scale_is_neutral(&o->stats->column[k].scale);
    if (scaled && lk_rows_are_bytes(&table->rows)) table->rows.dtype = LK_DTYPE_F32;
}

/* Into memory, or not. */
static lk_status settle(opening *o, bool fitted)
{
    choose_bytes(o, fitted, &o->train);
    choose_bytes(o, fitted, &o->validation);
    o->train_budget = lk_budget_of(o->spec, LK_PART_TRAIN, o->validation.n > 0);
    o->validation_budget = lk_budget_of(o->spec, LK_PART_VALIDATION, o->validation.n > 0);
    LK_TRY(lk_table_settle(&o->train, &o->train_budget));
    LK_TRY(lk_table_settle(&o->validation, &o->validation_budget));
    if (o->train.rows.from && o->held_out)
        return LK_FAIL(LK_ERR_USAGE, "data.validation_fraction: %s does not fit into data.memory, and what is read as "
                       "it is wanted cannot be divided; give data.validation a file of its own", o->train.path);
    return LK_OK;
}

/* Of a number that is no probability a loss over events makes one that falls without end. */
static lk_status check_events(const opening *o, const lk_table *table)
{
    if (!o->events || !table->target.at) return LK_OK;
    for (int64_t i = 0; i < table->n; i++)
        for (size_t j = 0; j < table->n_targets; j++) {
            const double target = lk_number(&table->target, (size_t)i * table->n_targets + j);

            if (target >= 0.0 && target <= 1.0) continue;
            return LK_FAIL(LK_ERR_DATA, "%s: %s %lld: the target is %g; loss.kind %s needs targets from 0 to 1",
                           lk_table_path(table, i), table->line ? "line" : "record",
                           (long long)(table->line ? table->line[i] : i - lk_table_first(table, i)), target,
                           o->events->word);
        }
    return LK_OK;
}

/* A label that is ignored is no probability. */
static lk_status check_probabilities(const opening *o, const lk_table *table)
{
    for (int64_t i = 0; o->spec->probabilities && table->label && i < table->n; i++)
        if (table->label[i] == o->spec->ignore_index)
            return LK_FAIL(LK_ERR_DATA, "%s: record %lld: its label is %d, loss.ignore_index, and of labels that "
                           "become probabilities (loss.probabilities) none can be ignored", lk_table_path(table, i),
                           (long long)(i - lk_table_first(table, i)), o->spec->ignore_index);
    return LK_OK;
}

/* Of a part that was read. */
static lk_status check_targets(const opening *o, const lk_table *table)
{
    LK_TRY(check_events(o, table));
    return check_probabilities(o, table);
}

static lk_status read_parts(opening *o, bool fitted)
{
    const kind *k = &kinds[o->spec->kind];
    int32_t low, high;

    if (k->has_files && !o->spec->train)
        return LK_FAIL(LK_ERR_USAGE, "data.train is missing: the file to learn from");
    LK_TRY(read_part(o, &o->source, &o->spec->train_files, &o->spec->train_labels_files, &o->train));
    if (has_validation(o)) LK_TRY(read_validation(o));
    else if (o->spec->validation_fraction > 0.0)
        LK_TRY(lk_table_hold_out(&o->train, o->spec->validation_fraction, o->spec->seed, &o->held_out));
    LK_TRY(check_targets(o, &o->train));
    LK_TRY(check_targets(o, &o->validation));
    LK_TRY(settle(o, fitted));
    if (!fitted) LK_TRY(fit(o));
    lk_label_range(o->train.label, o->train.n, o->spec->ignore_index, &low, &high);
    if (o->train.label && high < 0)
        return LK_FAIL(LK_ERR_DATA, "%s: every label is %d, loss.ignore_index, and counts for nothing", o->train.path,
                       o->spec->ignore_index);
    return lk_stats_check_rounding(o->stats, &o->train, &o->warnings);
}

/* Classes, but where a file has their probabilities. */
static bool has_labels(const opening *o)
{
    return o->source.labels && !(o->spec->probabilities && o->stats->n_targets > 1);
}

static lk_status make_parts(opening *o, lk_dataset **train, lk_dataset **validation)
{
    const bool labels = has_labels(o);

    LK_TRY(lk_stats_apply(o->stats, &o->train));
    if (o->validation.n) LK_TRY(lk_stats_apply(o->stats, &o->validation));
    if (o->held_out)
        LK_TRY(lk_table_split(&o->train, lk_table_n_input(o->stats, &o->train), o->held_out, &o->validation));
    if (o->validation.n && lk_table_is_bytes(&o->train) != lk_table_is_bytes(&o->validation))
        o->train.as_floats = o->validation.as_floats = true;
    LK_TRY(lk_dataset_new(o->spec, labels, o->stats, &o->train, &o->train_budget, train));
    (*train)->warnings = o->warnings, o->warnings = NULL;
    if (!o->validation.n) return LK_OK;
    return lk_dataset_new(o->spec, labels, o->stats, &o->validation, &o->validation_budget, validation);
}

/* The loss, if its targets are probabilities of something. */
static const lk_loss *reads_events(const lk_data_spec *spec, lk_loss_kind loss)
{
    return lk_loss_get(loss)->reads == LK_READS_EVENTS || spec->probabilities ? lk_loss_get(loss) : NULL;
}

static lk_status new_stats(const lk_data_spec *spec, const char *stats_json, lk_data_stats **out)
{
    if (!stats_json) return lk_stats_new(spec->kind, out);
    LK_TRY(lk_stats_read(stats_json, out));
    if ((*out)->kind != spec->kind)
        return LK_FAIL(LK_ERR_USAGE, "data.kind is %s, but the statistics of training are of %s",
                       kinds[spec->kind].word, kinds[(*out)->kind].word);
    return LK_OK;
}

static void clear_opening(opening *o)
{
    free(o->warnings);
    free(o->held_out);
    lk_table_clear(&o->validation);
    lk_table_clear(&o->train);
    lk_stats_free(&o->stats);
}

lk_status lk_dataset_open(const lk_data_spec *spec, lk_loss_kind loss, const char *stats_json, lk_dataset **train,
                          lk_dataset **validation)
{
    opening o = {.spec = spec,
                 .source = {.part = LK_PART_TRAIN, .file = spec->train, .labels_file = spec->train_labels,
                            .labels_key = "data.train_labels", .want_target = true,
                            .labels = lk_loss_get(loss)->reads == LK_READS_CLASSES}};

    *train = *validation = NULL;
    o.events = reads_events(spec, loss);
    lk_status status = new_stats(spec, stats_json, &o.stats);
    if (status == LK_OK) status = read_parts(&o, stats_json != NULL);
    if (status == LK_OK) status = make_parts(&o, train, validation);
    clear_opening(&o);
    if (status == LK_OK) return LK_OK;
    lk_dataset_free(train);
    lk_dataset_free(validation);
    return lk_trace(status, __FILE__, __LINE__);
}

lk_status lk_dataset_open_file(const lk_data_spec *spec, lk_loss_kind loss, const char *stats_json, const char *file,
                               const char *labels_file, bool need_target, lk_dataset **out)
{
    opening o = {.spec = spec,
                 .source = {.part = LK_PART_VALIDATION, .file = file, .labels_file = labels_file,
                            .labels_key = "--labels", .want_target = need_target,
                            .labels = lk_loss_get(loss)->reads == LK_READS_CLASSES}};

    *out = NULL;
    o.events = reads_events(spec, loss);
    if (!kinds[spec->kind].has_files)
        return LK_FAIL(LK_ERR_USAGE, "data.kind %s is generated; it has no files like %s", kinds[spec->kind].word,
                       file);
    if (!stats_json) return LK_FAIL(LK_ERR_USAGE, "%s cannot be read without the statistics of training", file);
    lk_status status = new_stats(spec, stats_json, &o.stats);
    if (status == LK_OK) status = read_file(&o, &o.source, &o.train);
    if (status == LK_OK) status = check_targets(&o, &o.train);
    if (status == LK_OK) choose_bytes(&o, true, &o.train);
    o.validation_budget = lk_budget_of(spec, LK_PART_VALIDATION, false);
    if (status == LK_OK) status = lk_table_settle(&o.train, &o.validation_budget);
    if (status == LK_OK) status = lk_stats_apply(o.stats, &o.train);
    if (status == LK_OK) status = lk_dataset_new(spec, has_labels(&o), o.stats, &o.train, &o.validation_budget, out);
    clear_opening(&o);
    return status == LK_OK ? LK_OK : lk_trace(status, __FILE__, __LINE__);
}
