/*
 * Data sets: the table of kinds, opening, access.
 *
 * Opening goes one way: a kind's reader fills a table (table.c), some rows are set aside to validate, statistics are
 * fitted to the others (fit.c) or come from a checkpoint (stats.c), both parts are put through them (apply.c), and what
 * is left are the arrays that the loader copies from.
 */
#include <assert.h>
#include <float.h>
#include <math.h>
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

/* ------------------------------------------------------------------- data set */

static size_t n_input_of(const lk_data_stats *stats, const lk_table *table)
{
    return table->pixels ? table->n_columns * (size_t)table->rows_per_sample
                         : lk_stats_n_input(stats, table->rows_per_sample);
}

static int add_field(lk_dataset *d, bool there, const lk_field *field)
{
    if (there) lk_sample_add(&d->sample, field);
    return there ? d->sample.n_fields - 1 : -1;
}

/* x and the target, what there is of them, and the further fields. */
static void describe_sample(lk_dataset *d, bool as_floats)
{
    lk_field x = {.name = "x", .dtype = LK_DTYPE_F32, .ndim = 1, .shape = {(int64_t)d->n_input}};
    lk_field label = {.name = "label", .dtype = LK_DTYPE_I32, .target = true, .n_values = (int64_t)d->n_output};
    lk_field target = {.name = "target", .dtype = LK_DTYPE_F32, .ndim = 1, .shape = {(int64_t)d->n_output},
                       .target = true};

    if (d->bytes && !as_floats && lk_view_pixels(d->view, &x.pixels)) x.dtype = LK_DTYPE_U8;
    if (d->image[0] > 0) {
        x.ndim = 3;
        memcpy(x.shape, (int64_t[]){d->view[0].H, d->view[0].W, d->image[0]}, sizeof d->image);
    }
    d->x_field = add_field(d, d->n_input > 0 || d->pictures, &x);
    d->target_field = d->label ? add_field(d, true, &label) : add_field(d, d->target != NULL, &target);
    for (int f = 0; f < d->n_fields; f++) add_field(d, true, &d->fields[f].field);
}

/* The further fields, taken over, and how long their samples are. */
static void take_fields(lk_dataset *d, lk_table *table)
{
    memcpy(d->fields, table->fields, sizeof d->fields);
    d->n_fields = table->n_fields;
    table->n_fields = 0;
    for (int f = 0; f < d->n_fields; f++)
        for (int64_t i = 0; d->fields[f].begin && i < d->n; i++) {
            const int64_t length = lk_table_field_length(&d->fields[f], i);
            if (length > d->longest) d->longest = length;
        }
    d->length = d->longest ? table->length : 0;
    assert(d->length == 0 || d->longest <= d->length);
}

/* Fills a new data set from a table, whose arrays it takes over. */
static lk_status fill_dataset(lk_dataset *d, const lk_data_spec *spec, bool labels, lk_data_stats *stats,
                              lk_table *table)
{
    int32_t low, high;

    d->stats = lk_stats_share(stats);
    LK_TRY(lk_stats_write(stats, &d->stats_json));
    d->n = table->n;
    d->has_labels = labels;
    memcpy(d->image, stats->image, sizeof d->image);
    d->n_input = n_input_of(stats, table);
    lk_label_range(table->label, table->n, spec->ignore_index, &low, &high);
    d->n_output = labels ? (size_t)(high + 1 > stats->n_classes ? high + 1 : stats->n_classes) : stats->n_targets;
    d->fetch = lk_dataset_fetch;
    for (int train = 0; train < 2; train++) LK_TRY(lk_view_open(spec, train, d->image, table, &d->view[train]));
    LK_TRY(lk_views_check(d->view));
    d->bytes = lk_table_is_bytes(table);
    d->x = table->x.at, table->x.at = NULL;
    d->pixels = table->pixels, table->pixels = NULL;
    d->pictures = table->pictures, table->pictures = NULL;
    d->target = table->target.at, table->target.at = NULL;
    d->label = table->label, table->label = NULL;
    take_fields(d, table);
    describe_sample(d, table->as_floats);
    return lk_sample_write(&d->sample, &d->fields_json);
}

lk_status lk_dataset_new(const lk_data_spec *spec, bool labels, lk_data_stats *stats, lk_table *table,
                         const lk_budget *budget, lk_dataset **out)
{
    *out = calloc(1, sizeof **out);
    LK_TRY_ALLOC(*out, sizeof **out);
    lk_status status = fill_dataset(*out, spec, labels, stats, table);
    if (status == LK_OK && table->rows.from) status = lk_dataset_read_rows(*out, table, budget);
    if (status != LK_OK) lk_dataset_free(out);
    return status;
}

void lk_dataset_free(lk_dataset **dataset)
{
    if (!dataset || !*dataset) return;
    lk_dataset *d = *dataset;
    free(d->warnings);
    free(d->fields_json);
    free(d->stats_json);
    lk_stats_free(&d->stats);
    lk_stream_free(&d->stream);
    if (d->read_from) lk_table_clear(d->read_from);
    free(d->read_from);
    for (int v = 0; v < 2; v++) lk_view_close(&d->view[v]);
    for (int f = 0; f < d->n_fields; f++) {
        free(d->fields[f].begin);
        free(d->fields[f].values);
    }
    free(d->label);
    free(d->target);
    lk_pictures_free(&d->pictures);
    free(d->pixels);
    free(d->x);
    lk_free(dataset);
}

/* ----------------------------------------------------------------------- open */

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
    if (o->train.label_words) o->stats->n_classes = (int64_t)o->stats->classes.n;
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
    LK_TRY(check_events(o, &o->train));
    LK_TRY(check_events(o, &o->validation));
    LK_TRY(settle(o, fitted));
    if (!fitted) LK_TRY(fit(o));
    lk_label_range(o->train.label, o->train.n, o->spec->ignore_index, &low, &high);
    if (o->train.label && high < 0)
        return LK_FAIL(LK_ERR_DATA, "%s: every label is %d, loss.ignore_index, and counts for nothing", o->train.path,
                       o->spec->ignore_index);
    return lk_stats_check_rounding(o->stats, &o->train, &o->warnings);
}

static lk_status make_parts(opening *o, lk_dataset **train, lk_dataset **validation)
{
    const bool labels = o->source.labels;

    LK_TRY(lk_stats_apply(o->stats, &o->train));
    if (o->validation.n) LK_TRY(lk_stats_apply(o->stats, &o->validation));
    if (o->held_out) LK_TRY(lk_table_split(&o->train, n_input_of(o->stats, &o->train), o->held_out, &o->validation));
    if (o->validation.n && lk_table_is_bytes(&o->train) != lk_table_is_bytes(&o->validation))
        o->train.as_floats = o->validation.as_floats = true;
    LK_TRY(lk_dataset_new(o->spec, labels, o->stats, &o->train, &o->train_budget, train));
    (*train)->warnings = o->warnings, o->warnings = NULL;
    if (!o->validation.n) return LK_OK;
    return lk_dataset_new(o->spec, labels, o->stats, &o->validation, &o->validation_budget, validation);
}

static const lk_loss *reads_events(lk_loss_kind loss)
{
    return lk_loss_get(loss)->reads == LK_READS_EVENTS ? lk_loss_get(loss) : NULL;
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
    o.events = reads_events(loss);
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
    o.events = reads_events(loss);
    if (!kinds[spec->kind].has_files)
        return LK_FAIL(LK_ERR_USAGE, "data.kind %s is generated; it has no files like %s", kinds[spec->kind].word,
                       file);
    if (!stats_json) return LK_FAIL(LK_ERR_USAGE, "%s cannot be read without the statistics of training", file);
    lk_status status = new_stats(spec, stats_json, &o.stats);
    if (status == LK_OK) status = read_file(&o, &o.source, &o.train);
    if (status == LK_OK) status = check_events(&o, &o.train);
    if (status == LK_OK) choose_bytes(&o, true, &o.train);
    o.validation_budget = lk_budget_of(spec, LK_PART_VALIDATION, false);
    if (status == LK_OK) status = lk_table_settle(&o.train, &o.validation_budget);
    if (status == LK_OK) status = lk_stats_apply(o.stats, &o.train);
    if (status == LK_OK) status = lk_dataset_new(spec, o.source.labels, o.stats, &o.train, &o.validation_budget, out);
    clear_opening(&o);
    return status == LK_OK ? LK_OK : lk_trace(status, __FILE__, __LINE__);
}

/* --------------------------------------------------------------------- access */

int64_t lk_dataset_n(const lk_dataset *dataset) { return dataset->n; }
const lk_sample *lk_dataset_sample(const lk_dataset *dataset) { return &dataset->sample; }
size_t lk_dataset_n_input(const lk_dataset *d)
{
    return d->x_field < 0 ? 0 : lk_field_n_elem(&d->sample.field[d->x_field], 0);
}
size_t lk_dataset_n_output(const lk_dataset *dataset) { return dataset->n_output; }
void lk_dataset_image(const lk_dataset *d, int64_t image[3])
{
    memcpy(image, (int64_t[]){d->image[0], d->view[0].H, d->view[0].W}, sizeof d->image);
}
bool lk_dataset_has_labels(const lk_dataset *dataset) { return dataset->has_labels; }
size_t lk_dataset_nbytes(const lk_dataset *d)
{
    size_t sample = 0, all = d->stream ? lk_stream_nbytes(d->stream) : 0;

    if (d->pictures) all += lk_pictures_nbytes(d->pictures);
    if (d->x) sample += d->n_input * sizeof *d->x;
    if (d->pixels) sample += d->n_input * sizeof *d->pixels;
    if (d->target) sample += d->n_output * sizeof *d->target;
    if (d->label) sample += sizeof *d->label;
    for (int f = 0; f < d->n_fields; f++) all += lk_table_field_nbytes(&d->fields[f], d->n);
    return all + (size_t)d->n * sample;
}

const char *lk_dataset_stats(const lk_dataset *dataset) { return dataset->stats_json; }
const char *lk_dataset_fields(const lk_dataset *dataset) { return dataset->fields_json; }

lk_status lk_dataset_compare_fields(const lk_dataset *dataset, const char *fields, char **differences)
{
    lk_sample was;

    *differences = NULL;
    LK_TRY(lk_sample_read(fields, &was));
    return lk_sample_compare(&was, &dataset->sample, differences);
}

const char *lk_dataset_target_name(const lk_dataset *dataset)
{
    return dataset->stats->target_name ? dataset->stats->target_name : "y";
}

double lk_dataset_unstandardize(const lk_dataset *dataset, size_t j, float output)
{
    if (dataset->has_labels) return (double)output;
    const lk_scale *scale = &dataset->stats->target[j];
    return (double)output * scale->deviation + scale->mean;
}

int lk_dataset_digits(const lk_dataset *dataset, size_t j)
{
    if (dataset->has_labels) return FLT_DECIMAL_DIG;
    const lk_scale *scale = &dataset->stats->target[j];
    const double more = scale->mean == 0.0 ? 0.0 : ceil(log10(fabs(scale->mean) / scale->deviation));
    const double digits = FLT_DECIMAL_DIG + (more > 0.0 ? more : 0.0);
    return digits < DBL_DECIMAL_DIG ? (int)digits : DBL_DECIMAL_DIG;
}

const char *lk_dataset_class(const lk_dataset *dataset, size_t c)
{
    return c < dataset->stats->classes.n ? dataset->stats->classes.text[c] : NULL;
}

const char *lk_dataset_file(const lk_dataset *dataset, int64_t sample, char out[LK_SAMPLE_FILE_BYTES])
{
    return dataset->pictures ? lk_pictures_path(dataset->pictures, sample, out) : NULL;
}

const char *lk_dataset_warnings(const lk_dataset *dataset) { return dataset->warnings; }
