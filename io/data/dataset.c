/*
 * Data sets: the table of kinds, and what all kinds share: which rows validate, statistics, access.
 *
 * Every kind is read whole into memory.  validation_fraction takes round(fraction * n) samples, at least one, by a
 * permutation that the seed fixes; both parts keep the order of the file.  Statistics come from the training part
 * alone, and the data sets carry them as JSON, by way of which every later reader gets the very same numbers.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/data/data.h"
#include "io/data/permute.h"

enum { STREAM_SPLIT = 16 }; /* of LK_PURPOSE_DATA; the generators have 1 to 4 */

typedef struct kind {
    const char *word;
    lk_read_fn *read;
    bool has_files; /* false: a generator */
} kind;

static const kind kinds[] = {
    [LK_DATA_CSV] = {"csv", lk_read_csv, true},
    [LK_DATA_HDF5] = {"hdf5", lk_read_hdf5, true},
    [LK_DATA_IDX] = {"idx", lk_read_idx, true},
    [LK_DATA_REGRESSION] = {"regression", lk_read_regression, false},
    [LK_DATA_POLYNOMIAL] = {"polynomial", lk_read_polynomial, false},
};

/* --------------------------------------------------------------------- labels */

lk_status lk_label_check(double value, const char *where, int32_t *out)
{
    const bool whole = value == floor(value) && value < INT32_MAX;

    if (!whole || (value < 0 && value != LK_LABEL_IGNORED))
        return LK_FAIL(LK_ERR_DATA, "%s: %.9g is not a label; labels are whole numbers from 0 (or %d: ignored)",
                       where, value, LK_LABEL_IGNORED);
    *out = (int32_t)value;
    return LK_OK;
}

/* The largest label + 1; 0 when all are ignored. */
static int64_t count_classes(const int32_t *label, int64_t n)
{
    int32_t largest = -1;

    for (int64_t i = 0; label && i < n; i++)
        if (label[i] > largest) largest = label[i];
    return (int64_t)largest + 1;
}

/* ---------------------------------------------------------------------- split */

/* Marks round(fraction * n) samples, at least one and not all. */
static lk_status hold_out(const lk_data_spec *spec, const lk_table *table, bool **held_out)
{
    int64_t n = llround(spec->validation_fraction * (double)table->n);
    lk_permutation order;

    if (table->n < 2)
        return LK_FAIL(LK_ERR_DATA, "%s has %lld sample: too few to set some aside with data.validation_fraction",
                       table->path, (long long)table->n);
    if (n < 1) n = 1;
    if (n > table->n - 1) n = table->n - 1;
    *held_out = calloc((size_t)table->n, sizeof **held_out);
    LK_TRY_ALLOC(*held_out, (size_t)table->n);
    lk_permutation_init(&order, spec->seed, LK_PURPOSE_DATA, STREAM_SPLIT, table->n);
    for (int64_t i = 0; i < n; i++) {
        int64_t place;
        lk_permutation_range(&order, i, 1, &place);
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

static lk_status split_table(lk_table *table, size_t n_input, const bool *held_out, lk_table *out)
{
    *out = (lk_table){.path = table->path, .n_columns = table->n_columns, .rows_per_sample = table->rows_per_sample,
                      .n_targets = table->n_targets};
    LK_TRY(split_array(&table->x, n_input * sizeof *table->x, table->n, held_out, &out->x));
    LK_TRY(split_array(&table->pixels, n_input, table->n, held_out, &out->pixels));
    LK_TRY(split_array(&table->target, table->n_targets * sizeof *table->target, table->n, held_out, &out->target));
    LK_TRY(split_array(&table->label, sizeof *table->label, table->n, held_out, &out->label));
    for (int64_t i = 0; i < table->n; i++) out->n += held_out[i];
    table->n -= out->n;
    return LK_OK;
}

/* --------------------------------------------------------------------- fetch */

static lk_status fetch_floats(const lk_dataset *dataset, const int64_t *sample, int64_t n, float *x)
{
    const size_t n_input = dataset->n_input;

    for (int64_t i = 0; i < n; i++)
        memcpy(x + (size_t)i * n_input, dataset->x + (size_t)sample[i] * n_input, n_input * sizeof *x);
    return LK_OK;
}

static lk_status fetch_pixels(const lk_dataset *dataset, const int64_t *sample, int64_t n, float *x)
{
    const size_t n_input = dataset->n_input;

    for (int64_t i = 0; i < n; i++) {
        const uint8_t *pixels = dataset->pixels + (size_t)sample[i] * n_input;
        for (size_t j = 0; j < n_input; j++) x[(size_t)i * n_input + j] = dataset->level[pixels[j]];
    }
    return LK_OK;
}

/* ------------------------------------------------------------------- data set */

/* In fp32, operation by operation, as torchvision's ToTensor and Normalize. */
static lk_status set_levels(const lk_data_spec *spec, float level[LK_PIXEL_LEVELS])
{
    if (!(fabs(spec->pixel_std) > 0.0) || !isfinite(spec->pixel_std) || !isfinite(spec->pixel_mean))
        return LK_FAIL(LK_ERR_USAGE,
                       "data.pixel_mean %g and data.pixel_std %g: both must be finite, the second not 0",
                       spec->pixel_mean, spec->pixel_std);
    for (int v = 0; v < LK_PIXEL_LEVELS; v++)
        level[v] = ((float)v / 255.0f - (float)spec->pixel_mean) / (float)spec->pixel_std;
    return LK_OK;
}

/* Fills a new data set from a table, whose arrays it takes over. */
static lk_status fill_dataset(lk_dataset *d, const lk_data_spec *spec, const lk_source *source,
                              const char *stats_json, lk_table *table)
{
    LK_TRY(lk_stats_read(stats_json, &d->stats));
    d->stats_json = strdup(stats_json);
    LK_TRY_ALLOC(d->stats_json, strlen(stats_json) + 1);
    d->n = table->n;
    d->has_labels = source->labels;
    memcpy(d->image, d->stats->image, sizeof d->image);
    d->n_input = table->pixels ? table->n_columns * (size_t)table->rows_per_sample
                               : lk_stats_n_input(d->stats, table->rows_per_sample);
    const int64_t classes = count_classes(table->label, table->n);
    d->n_output = source->labels ? (size_t)(classes > d->stats->n_classes ? classes : d->stats->n_classes)
                                 : d->stats->n_targets;
    d->fetch = table->pixels ? fetch_pixels : fetch_floats;
    if (table->pixels) LK_TRY(set_levels(spec, d->level));
    d->x = table->x, table->x = NULL;
    d->pixels = table->pixels, table->pixels = NULL;
    d->target = table->target, table->target = NULL;
    d->label = table->label, table->label = NULL;
    return LK_OK;
}

static lk_status new_dataset(const lk_data_spec *spec, const lk_source *source, const char *stats_json,
                             lk_table *table, lk_dataset **out)
{
    *out = calloc(1, sizeof **out);
    LK_TRY_ALLOC(*out, sizeof **out);
    const lk_status status = fill_dataset(*out, spec, source, stats_json, table);
    if (status != LK_OK) lk_dataset_free(out);
    return status;
}

void lk_dataset_free(lk_dataset **dataset)
{
    if (!dataset || !*dataset) return;
    lk_dataset *d = *dataset;
    free(d->stats_json);
    lk_stats_free(&d->stats);
    free(d->label);
    free(d->target);
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
    char *stats_json;
    lk_table train, validation;
    bool *held_out;         /* (train.n) samples of `train` that validate, or NULL */
} opening;

static bool has_validation(const opening *o)
{
    return kinds[o->spec->kind].has_files ? o->spec->validation != NULL : o->spec->validation_samples > 0;
}

static lk_status read_validation(opening *o)
{
    lk_source source = o->source;

    source.part = LK_PART_VALIDATION;
    source.file = o->spec->validation;
    source.labels_file = o->spec->validation_labels;
    return kinds[o->spec->kind].read(o->spec, &source, o->stats, &o->validation);
}

static lk_status read_parts(opening *o, const char *stats_json)
{
    const kind *k = &kinds[o->spec->kind];

    if (k->has_files && !o->spec->train)
        return LK_FAIL(LK_ERR_USAGE, "data.train is missing: the file to learn from");
    LK_TRY(k->read(o->spec, &o->source, o->stats, &o->train));
    if (has_validation(o)) LK_TRY(read_validation(o));
    else if (o->spec->validation_fraction > 0.0) LK_TRY(hold_out(o->spec, &o->train, &o->held_out));
    if (!stats_json) {
        LK_TRY(lk_stats_fit(o->stats, o->spec, &o->train, o->held_out));
        const int64_t a = count_classes(o->train.label, o->train.n),
                      b = count_classes(o->validation.label, o->validation.n);
        o->stats->n_classes = a > b ? a : b;
        LK_TRY(lk_stats_write(o->stats, &o->stats_json));
    } else {
        o->stats_json = strdup(stats_json);
        LK_TRY_ALLOC(o->stats_json, strlen(stats_json) + 1);
    }
    if (o->source.labels && count_classes(o->train.label, o->train.n) == 0)
        return LK_FAIL(LK_ERR_DATA, "%s: every label is %d, which counts for nothing", o->train.path,
                       LK_LABEL_IGNORED);
    return LK_OK;
}

static lk_status make_parts(opening *o, lk_dataset **train, lk_dataset **validation)
{
    LK_TRY(lk_stats_apply(o->stats, &o->train));
    if (o->validation.n) LK_TRY(lk_stats_apply(o->stats, &o->validation));
    if (o->held_out) {
        const size_t n_input = o->train.pixels ? o->train.n_columns * (size_t)o->train.rows_per_sample
                                               : lk_stats_n_input(o->stats, o->train.rows_per_sample);
        LK_TRY(split_table(&o->train, n_input, o->held_out, &o->validation));
    }
    LK_TRY(new_dataset(o->spec, &o->source, o->stats_json, &o->train, train));
    if (o->validation.n) LK_TRY(new_dataset(o->spec, &o->source, o->stats_json, &o->validation, validation));
    return LK_OK;
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
    free(o->held_out);
    lk_table_clear(&o->validation);
    lk_table_clear(&o->train);
    free(o->stats_json);
    lk_stats_free(&o->stats);
}

lk_status lk_dataset_open(const lk_data_spec *spec, lk_loss_kind loss, const char *stats_json, lk_dataset **train,
                          lk_dataset **validation)
{
    opening o = {.spec = spec,
                 .source = {LK_PART_TRAIN, spec->train, spec->train_labels, true,
                            lk_loss_get(loss)->reads == LK_READS_CLASSES}};

    *train = *validation = NULL;
    lk_status status = new_stats(spec, stats_json, &o.stats);
    if (status == LK_OK) status = read_parts(&o, stats_json);
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
                 .source = {LK_PART_VALIDATION, file, labels_file, need_target,
                            lk_loss_get(loss)->reads == LK_READS_CLASSES}};

    *out = NULL;
    if (!kinds[spec->kind].has_files)
        return LK_FAIL(LK_ERR_USAGE, "data.kind %s is generated; it has no files like %s", kinds[spec->kind].word,
                       file);
    if (!stats_json) return LK_FAIL(LK_ERR_USAGE, "%s cannot be read without the statistics of training", file);
    lk_status status = new_stats(spec, stats_json, &o.stats);
    if (status == LK_OK) status = kinds[spec->kind].read(spec, &o.source, o.stats, &o.train);
    if (status == LK_OK) status = lk_stats_apply(o.stats, &o.train);
    if (status == LK_OK) status = new_dataset(spec, &o.source, stats_json, &o.train, out);
    clear_opening(&o);
    return status == LK_OK ? LK_OK : lk_trace(status, __FILE__, __LINE__);
}

/* --------------------------------------------------------------------- access */

int64_t lk_dataset_n(const lk_dataset *dataset) { return dataset->n; }
size_t lk_dataset_n_input(const lk_dataset *dataset) { return dataset->n_input; }
size_t lk_dataset_n_output(const lk_dataset *dataset) { return dataset->n_output; }
void lk_dataset_image(const lk_dataset *dataset, int64_t image[3])
{
    memcpy(image, dataset->image, sizeof dataset->image);
}
bool lk_dataset_has_labels(const lk_dataset *dataset) { return dataset->has_labels; }
const char *lk_dataset_stats(const lk_dataset *dataset) { return dataset->stats_json; }

const char *lk_dataset_target_name(const lk_dataset *dataset)
{
    return dataset->stats->target_name ? dataset->stats->target_name : "y";
}

double lk_dataset_target_spread(const lk_dataset *dataset)
{
    const size_t n_output = dataset->n_output;
    double spread = 0.0;

    for (size_t j = 0; dataset->target && j < n_output; j++) {
        double sum = 0.0;
        for (int64_t i = 0; i < dataset->n; i++) sum += (double)dataset->target[(size_t)i * n_output + j];
        const double mean = sum / (double)dataset->n;
        for (int64_t i = 0; i < dataset->n; i++) {
            const double deviation = (double)dataset->target[(size_t)i * n_output + j] - mean;
            spread += deviation * deviation;
        }
    }
    return spread;
}

void lk_dataset_unstandardize(const lk_dataset *dataset, float *output, int64_t n)
{
    const size_t n_targets = dataset->stats->n_targets;

    for (int64_t i = 0; !dataset->has_labels && i < n; i++)
        for (size_t j = 0; j < n_targets; j++) {
            const lk_scale *scale = &dataset->stats->target[j];
            float *v = &output[(size_t)i * n_targets + j];
            *v = (float)((double)*v * scale->deviation + scale->mean);
        }
}
