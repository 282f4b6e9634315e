/*
 * A data set: what it takes from a table, what its samples are, and access to it.
 */
#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/data/data.h"

/* ------------------------------------------------------------------- data set */

size_t lk_table_n_input(const lk_data_stats *stats, const lk_table *table)
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
    d->target_field = d->label && !d->probabilities ? add_field(d, true, &label)
                                                     : add_field(d, d->label || d->target, &target);
    for (int f = 0; f < d->n_fields; f++) add_field(d, true, &d->fields[f].field);
}

/* Windows of a running text. */
static void describe_windows(lk_dataset *d, bool want_target)
{
    lk_field field = {.name = "tokens", .dtype = LK_DTYPE_I32, .ndim = 1, .shape = {LK_LENGTH},
                      .n_values = lk_windows_n_values(d->windows)};

    d->length = d->longest = lk_windows_sequence(d->windows);
    d->windows_field = add_field(d, true, &field);
    strcpy(field.name, "target");
    field.target = true;
    add_field(d, want_target, &field);
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
    d->probabilities = spec->probabilities;
    memcpy(d->image, stats->image, sizeof d->image);
    d->n_input = lk_table_n_input(stats, table);
    lk_label_range(table->label, table->n, spec->ignore_index, &low, &high);
    d->n_output = labels ? (size_t)(high + 1 > stats->n_classes ? high + 1 : stats->n_classes) : stats->n_targets;
    d->fetch = lk_dataset_fetch;
    /* The training's first: a fault of both is its, as evaluation's list may be made from it. */
    for (int train = 1; train >= 0; train--) LK_TRY(lk_view_open(spec, train, d->image, table, &d->view[train]));
    LK_TRY(lk_views_check(d->view));
    d->bytes = lk_table_is_bytes(table);
    d->x = table->x.at, table->x.at = NULL;
    d->pixels = table->pixels, table->pixels = NULL;
    d->pictures = table->pictures, table->pictures = NULL;
    d->windows = table->windows, table->windows = NULL;
    d->pairs = table->pairs, table->pairs = NULL;
    d->target = table->target.at, table->target.at = NULL;
    d->label = table->label, table->label = NULL;
    take_fields(d, table);
    describe_sample(d, table->as_floats);
    if (d->windows) describe_windows(d, table->want_target);
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
    lk_windows_free(&d->windows);
    lk_pairs_free(&d->pairs);
    free(d->pixels);
    free(d->x);
    lk_free(dataset);
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
    if (d->windows) all += lk_windows_nbytes(d->windows);
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
