/*
 * The kind `hdf5`: a data set of features (default "x") and one of targets (default "y") with as many records.
 *
 *     features  (N,), (N, K) or (N, J, K): numbers, flattened;
 *               (N, C, H, W): images in PyTorch's layout, kept as H, W, C
 *     targets   (N,) or (N, K) numbers;  for cross_entropy (N,) or (N, 1) whole numbers
 *
 * Any number type is read and converted by HDF5 to fp32; what is not finite there is rejected, with its record.
 * Images have one column of statistics a channel, everything else one a number.  Records are read in blocks, so
 * turning C, H, W into H, W, C needs no second copy of the data.  HDF5 reads the parts of a virtual data set
 * whose source is missing as zeros, without an error; so sources are opened first.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/data/data.h"
#include "io/file/h5.h"

enum { MAX_RANK = 4, BLOCK_ELEMS = 1 << 20, NAME_BYTES = 1024, WHERE_BYTES = LK_H5_PLACE_BYTES + 32 };

typedef struct shape {
    int rank;
    hsize_t dims[MAX_RANK];
    size_t per_record; /* product of dims[1..] */
} shape;

/* One source of a virtual data set: its file stands where the path says, seen from the file that names it. */
static lk_status check_source(hid_t set, const char *place, hid_t list, size_t i)
{
    char name[NAME_BYTES], set_name[NAME_BYTES], path[2 * NAME_BYTES];
    LK_H5_ID file = H5I_INVALID_HID;
    LK_H5_ID source = H5I_INVALID_HID;

    LK_H5(LK_ERR_DATA, H5Pget_virtual_filename(list, i, name, sizeof name), "%s: source %zu has no file", place, i);
    if (strstr(name, "%b")) return LK_OK; /* numbered files: HDF5 takes as many as there are */
    LK_H5(LK_ERR_DATA, H5Pget_virtual_dsetname(list, i, set_name, sizeof set_name), "%s: source %zu has no name",
          place, i);
    LK_H5(LK_ERR_DATA, H5Fget_name(set, path, NAME_BYTES), "%s has no file", place);
    char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    if (*name == '/') base = path;
    if (strcmp(name, ".") != 0) snprintf(base, sizeof path - (size_t)(base - path), "%s", name);
    if (lk_h5_open(LK_ERR_DATA, path, &file) != LK_OK ||
        lk_h5_open_set(LK_ERR_DATA, file, set_name, &source) != LK_OK)
        return LK_FAIL(LK_ERR_DATA, "%s is virtual, and source %zu would be read as zeros: %s", place, i,
                       lk_error_message());
    return LK_OK;
}

static lk_status check_sources(hid_t set, const char *place)
{
    size_t n;
    LK_H5_ID list = H5I_INVALID_HID;

    LK_H5(LK_ERR_DATA, list = H5Dget_create_plist(set), "%s has no properties", place);
    if (H5Pget_layout(list) != H5D_VIRTUAL) return LK_OK;
    LK_H5(LK_ERR_DATA, H5Pget_virtual_count(list, &n), "%s has no sources", place);
    for (size_t i = 0; i < n; i++) LK_TRY(check_source(set, place, list, i));
    return LK_OK;
}

static lk_status get_shape(hid_t set, const char *place, shape *s)
{
    LK_TRY(check_sources(set, place));
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

static lk_status check_numbers(hid_t set, const char *place, bool whole)
{
    LK_H5_ID type = H5I_INVALID_HID;

    LK_H5(LK_ERR_DATA, type = H5Dget_type(set), "%s has no type", place);
    const H5T_class_t class = H5Tget_class(type);
    if (whole && class != H5T_INTEGER)
        return LK_FAIL(LK_ERR_DATA,
                       "%s does not hold whole numbers, as labels must be; store them as an integer type", place);
    if (class != H5T_INTEGER && class != H5T_FLOAT) return LK_FAIL(LK_ERR_DATA, "%s does not hold numbers", place);
    return LK_OK;
}

static lk_status check_finite(const char *place, const float *x, int64_t first, int64_t n, size_t per_record)
{
    for (int64_t i = 0; i < n; i++)
        for (size_t j = 0; j < per_record; j++)
            if (!isfinite(x[(size_t)i * per_record + j]))
                return LK_FAIL(LK_ERR_DATA,
                               "%s: record %lld holds %g at place %zu; every number must be finite in fp32", place,
                               (long long)(first + i), (double)x[(size_t)i * per_record + j], j);
    return LK_OK;
}

/* from: (C, P), to: (P, C). */
static void channels_last(const float *from, float *to, size_t C, size_t P)
{
    for (size_t c = 0; c < C; c++)
        for (size_t p = 0; p < P; p++) to[p * C + c] = from[c * P + p];
}

/* Reads (N, per_record) floats; block, if there is one, holds block_records records that become channels-last. */
static lk_status read_blocks(hid_t set, const char *place, const shape *s, float *block, int64_t block_records,
                             float *x)
{
    const int64_t n = (int64_t)s->dims[0];

    for (int64_t first = 0; first < n; first += block_records) {
        const int64_t end = first + block_records < n ? first + block_records : n;
        float *out = x + (size_t)first * s->per_record, *raw = block ? block : out;

        LK_TRY(lk_h5_read_rows(LK_ERR_DATA, set, H5T_NATIVE_FLOAT, first, end, raw));
        LK_TRY(check_finite(place, raw, first, end - first, s->per_record));
        for (int64_t i = 0; block && i < end - first; i++)
            channels_last(raw + (size_t)i * s->per_record, out + (size_t)i * s->per_record, s->dims[1],
                          s->dims[2] * s->dims[3]);
    }
    return LK_OK;
}

static lk_status read_floats(hid_t set, const char *place, const shape *s, bool images, float **x)
{
    const size_t nbytes = s->dims[0] * s->per_record * sizeof **x;
    const size_t block_records = 1 + BLOCK_ELEMS / s->per_record;
    float *block = NULL;

    LK_TRY(check_numbers(set, place, false));
    *x = malloc(nbytes);
    LK_TRY_ALLOC(*x, nbytes);
    if (images) {
        block = malloc(block_records * s->per_record * sizeof *block);
        LK_TRY_ALLOC(block, block_records * s->per_record * sizeof *block);
    }
    const lk_status status = read_blocks(set, place, s, block, (int64_t)block_records, *x);
    free(block);
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
    return read_floats(set, place, &s, s.rank == MAX_RANK, &t->x);
}

static lk_status read_labels(hid_t set, const char *place, const shape *s, lk_table *t)
{
    char where[WHERE_BYTES];
    lk_status status = LK_OK;

    if (s->per_record != 1)
        return LK_FAIL(LK_ERR_DATA, "%s has %zu numbers a record; cross_entropy needs one label", place,
                       s->per_record);
    LK_TRY(check_numbers(set, place, true));
    t->label = calloc((size_t)t->n, sizeof *t->label);
    LK_TRY_ALLOC(t->label, (size_t)t->n * sizeof *t->label);
    int64_t *value = calloc((size_t)t->n, sizeof *value);
    LK_TRY_ALLOC(value, (size_t)t->n * sizeof *value);
    status = lk_h5_read_rows(LK_ERR_DATA, set, H5T_NATIVE_INT64, 0, t->n, value);
    for (int64_t i = 0; i < t->n && status == LK_OK; i++) {
        snprintf(where, sizeof where, "%s: record %lld", place, (long long)i);
        status = lk_label_check((double)value[i], where, &t->label[i]);
    }
    free(value);
    return status;
}

static lk_status read_targets(hid_t file, const char *name, bool labels, lk_data_stats *stats, lk_table *t)
{
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
    if (labels) return read_labels(set, place, &s, t);
    if (s.rank > 2) return LK_FAIL(LK_ERR_DATA, "%s has %d dimensions; targets have at most 2", place, s.rank);
    if (s.per_record != stats->n_targets)
        return LK_FAIL(LK_ERR_DATA, "%s has %zu numbers a record, training had %zu", place, s.per_record,
                       stats->n_targets);
    t->n_targets = s.per_record;
    return read_floats(set, place, &s, false, &t->target);
}

lk_status lk_read_hdf5(const lk_data_spec *spec, const lk_source *source, lk_data_stats *stats, lk_table *out)
{
    LK_H5_ID file = H5I_INVALID_HID;

    if (lk_h5_open(LK_ERR_DATA, source->file, &file) != LK_OK)
        return LK_FAIL(LK_ERR_DATA, "%s; paths are relative to the recipe's folder", lk_error_message());
    out->path = source->file;
    LK_TRY(read_features(file, spec->features ? spec->features : "x", stats, out));
    if (source->want_target)
        LK_TRY(read_targets(file, spec->target ? spec->target : "y", source->labels, stats, out));
    return LK_OK;
}
