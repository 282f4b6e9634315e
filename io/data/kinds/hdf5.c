/*
 * The kind `hdf5`: a data set of features (default "x") and one of targets (default "y") with as many records.
 *
 *     features  (N,), (N, K) or (N, J, K): numbers, flattened;
 *               (N, C, H, W): images in PyTorch's layout, kept as H, W, C
 *     targets   (N,) or (N, K) numbers;  for cross_entropy (N,) or (N, 1) whole numbers
 *
 * Any number type is read, booleans (HDF5's enumerations) too: as floats where those hold all of it, else as doubles.
 * What is not finite in fp32 is rejected, with its record.  Images have one column of statistics a channel, everything
 * else one a number.  Records are read in blocks, so turning C, H, W into H, W, C needs no second copy of the data.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/data/data.h"
#include "io/data/kinds/hdf5_written.h"

enum { MAX_RANK = 4, BLOCK_ELEMS = 1 << 20, WHERE_BYTES = LK_H5_PLACE_BYTES + 32 };

typedef struct shape {
    int rank;
    hsize_t dims[MAX_RANK];
    size_t per_record; /* product of dims[1..] */
} shape;

static lk_status get_shape(hid_t set, const char *place, shape *s)
{
    LK_TRY(lk_h5_check_written(set));
    LK_TRY(lk_h5_shape(LK_ERR_DATA, set, MAX_RANK, &s->rank, s->dims));
    if (s->rank < 1 || s->dims[0] < 1) return LK_FAIL(LK_ERR_DATA, "%s has no records", place);
    s->per_record = 1;
    for (int d = 1; d < s->rank; d++)
        if (__builtin_mul_overflow(s->per_record, (size_t)s->dims[d], &s->per_record))
            return LK_FAIL(LK_ERR_DATA, "%s is too large", place);
    if (s->per_record < 1 || s->per_record > SIZE_MAX / sizeof(float) / s->dims[0])
        return LK_FAIL(LK_ERR_DATA, "%s has records of %zu numbers", place, s->per_record);
    return LK_OK;
}

/* *wide: it takes doubles to hold what this type can. */
static lk_status check_numbers(hid_t set, const char *place, bool *wide)
{
    LK_H5_ID type = H5I_INVALID_HID;

    LK_H5(LK_ERR_DATA, type = H5Dget_type(set), "%s has no type", place);
    const H5T_class_t class = H5Tget_class(type);
    if (class != H5T_INTEGER && class != H5T_FLOAT && class != H5T_ENUM)
        return LK_FAIL(LK_ERR_DATA, "%s does not hold numbers", place);
    *wide = H5Tget_size(type) > (class == H5T_FLOAT ? sizeof(float) : sizeof(int16_t));
    return LK_OK;
}

static lk_status check_finite(const char *place, const lk_numbers *x, size_t begin, int64_t first, int64_t n,
                              size_t per_record)
{
    for (size_t i = 0; i < (size_t)n * per_record; i++) {
        const double v = lk_number(x, begin + i);
        if (!isfinite((float)v))
            return LK_FAIL(LK_ERR_DATA, "%s: record %lld holds %g at place %zu; every number must be finite in fp32", place,
                           (long long)first + (long long)(i / per_record), v, i % per_record);
    }
    return LK_OK;
}

/* n images from (C, P) at `from` to (P, C) at `to`. */
static void channels_last(const lk_numbers *block, const shape *s, int64_t n, lk_numbers *x, size_t to)
{
    const size_t C = s->dims[1], P = s->dims[2] * s->dims[3];

    for (size_t i = 0; i < (size_t)n; i++)
        for (size_t c = 0; c < C; c++)
            for (size_t p = 0; p < P; p++)
                lk_number_set(x, to + (i * P + p) * C + c, lk_number(block, (i * C + c) * P + p));
}

/* Reads (N, per_record) numbers; block, if there is one, holds block_records records that become channels-last. */
static lk_status read_blocks(hid_t set, const char *place, const shape *s, lk_numbers *block, int64_t block_records,
                             lk_numbers *x)
{
    const int64_t n = (int64_t)s->dims[0];
    const hid_t type = x->wide ? H5T_NATIVE_DOUBLE : H5T_NATIVE_FLOAT;
    const size_t width = x->wide ? sizeof(double) : sizeof(float);

    for (int64_t first = 0; first < n; first += block_records) {
        const int64_t end = first + block_records < n ? first + block_records : n;
        const size_t at = (size_t)first * s->per_record;
        char *raw = block->at ? block->at : (char *)x->at + at * width;

        const lk_status status = lk_h5_read_rows(LK_ERR_DATA, set, type, first, end, raw);
        if (status != LK_OK) return lk_h5_explain(set, status);
        if (block->at) channels_last(block, s, end - first, x, at);
        LK_TRY(check_finite(place, x, at, first, end - first, s->per_record));
    }
    return LK_OK;
}

static lk_status read_numbers(hid_t set, const char *place, const shape *s, bool images, lk_numbers *x)
{
    const size_t block_records = 1 + BLOCK_ELEMS / s->per_record;
    lk_numbers block = {0};
    bool wide = false;

    LK_TRY(check_numbers(set, place, &wide));
    LK_TRY(lk_numbers_new(s->dims[0] * s->per_record, wide, x));
    if (images) LK_TRY(lk_numbers_new(block_records * s->per_record, wide, &block));
    const lk_status status = read_blocks(set, place, s, &block, (int64_t)block_records, x);
    free(block.at);
    return status;
}

static lk_status take_shape(const char *place, const shape *s, lk_data_stats *stats, lk_table *t)
{
    const bool images = s->rank == MAX_RANK;
    int64_t image[3] = {0, 0, 0};

    for (int d = 0; images && d < 3; d++) image[d] = (int64_t)s->dims[d + 1];
    t->n = (int64_t)s->dims[0];
    t->rows_per_sample = images ? image[1] * image[2] : 1;
    t->n_columns = images ? (size_t)image[0] : s->per_record;
    if (stats->n_columns == 0) {
        for (int d = 0; d < 3; d++) stats->image[d] = image[d];
        return lk_stats_set_columns(stats, t->n_columns, NULL);
    }
    for (int d = 0; d < 3; d++)
        if (image[d] != stats->image[d])
            return LK_FAIL(LK_ERR_DATA,
                           "%s has images of %lld x %lld x %lld, training had %lld x %lld x %lld (0: no images)",
                           place, (long long)image[0], (long long)image[1], (long long)image[2],
                           (long long)stats->image[0], (long long)stats->image[1], (long long)stats->image[2]);
    if (t->n_columns != stats->n_columns)
        return LK_FAIL(LK_ERR_DATA, "%s has records of %zu numbers, training had %zu", place, t->n_columns,
                       stats->n_columns);
    return LK_OK;
}

static lk_status read_features(hid_t file, const char *name, lk_data_stats *stats, lk_table *t)
{
    char place[LK_H5_PLACE_BYTES];
    shape s;
    LK_H5_ID set = H5I_INVALID_HID;

    LK_TRY(lk_h5_open_set(LK_ERR_DATA, file, name, &set));
    lk_h5_place(set, place);
    LK_TRY(get_shape(set, place, &s));
    LK_TRY(take_shape(place, &s, stats, t));
    return read_numbers(set, place, &s, s.rank == MAX_RANK, &t->x);
}

static lk_status read_labels(hid_t set, const char *place, const shape *s, int32_t ignore_index, lk_table *t)
{
    char where[WHERE_BYTES];
    lk_numbers value = {0};

    if (s->per_record != 1)
        return LK_FAIL(LK_ERR_DATA, "%s has %zu numbers a record; cross_entropy needs one label", place,
                       s->per_record);
    t->label = calloc((size_t)t->n, sizeof *t->label);
    LK_TRY_ALLOC(t->label, (size_t)t->n * sizeof *t->label);
    lk_status status = read_numbers(set, place, s, false, &value);
    for (int64_t i = 0; i < t->n && status == LK_OK; i++) {
        snprintf(where, sizeof where, "%s: record %lld", place, (long long)i);
        status = lk_label_check(lk_number(&value, (size_t)i), ignore_index, where, &t->label[i]);
    }
    free(value.at);
    return status;
}

static lk_status read_targets(hid_t file, const lk_data_spec *spec, bool labels, lk_data_stats *stats, lk_table *t)
{
    const char *name = spec->target ? spec->target : "y";
    char place[LK_H5_PLACE_BYTES];
    shape s;
    LK_H5_ID set = H5I_INVALID_HID;

    LK_TRY(lk_h5_open_set(LK_ERR_DATA, file, name, &set));
    lk_h5_place(set, place);
    LK_TRY(get_shape(set, place, &s));
    if ((int64_t)s.dims[0] != t->n)
        return LK_FAIL(LK_ERR_DATA, "%s has %lld records, the features have %lld", place, (long long)s.dims[0],
                       (long long)t->n);
    if (!stats->target_name) LK_TRY(lk_stats_set_target(stats, name, labels ? 0 : s.per_record));
    if (labels) return read_labels(set, place, &s, spec->ignore_index, t);
    if (s.rank > 2) return LK_FAIL(LK_ERR_DATA, "%s has %d dimensions; targets have at most 2", place, s.rank);
    if (s.per_record != stats->n_targets)
        return LK_FAIL(LK_ERR_DATA, "%s has %zu numbers a record, training had %zu", place, s.per_record,
                       stats->n_targets);
    t->n_targets = s.per_record;
    return read_numbers(set, place, &s, false, &t->target);
}

static lk_status read_file(const lk_data_spec *spec, const lk_source *source, lk_data_stats *stats, lk_table *out)
{
    LK_H5_ID file = H5I_INVALID_HID;

    if (lk_h5_open(LK_ERR_DATA, source->file, &file) != LK_OK)
        return LK_FAIL(LK_ERR_DATA, "%s; paths are relative to the recipe's folder", lk_error_message());
    out->path = source->file;
    LK_TRY(read_features(file, spec->features ? spec->features : "x", stats, out));
    return source->want_target ? read_targets(file, spec, source->labels, stats, out) : LK_OK;
}

lk_status lk_read_hdf5(const lk_data_spec *spec, const lk_source *source, lk_data_stats *stats, lk_table *out)
{
    lk_h5_guard_begin(source->file);
    const lk_status status = read_file(spec, source, stats, out);
    lk_h5_guard_end();
    return status;
}
