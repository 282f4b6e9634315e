/*
 * The kind `hdf5`: a data set of features (default "x") and one of targets (default "y") with as many records.
 *
 *     features  (N,), (N, K) or (N, J, K): numbers, flattened;
 *               (N, C, H, W): images in PyTorch's layout, kept as H, W, C
 *     targets   (N,) or (N, K) numbers;  for cross_entropy (N,) or (N, 1) whole numbers
 *
 * Any number type is read, booleans (HDF5's enumerations) too: as floats where those hold all of it, else as doubles.
 * What is not finite in fp32 is rejected, with its record.  Images have one column of statistics a channel, everything
 * else one a number.  Records are read in blocks of whole chunks, now or as they are wanted, so turning C, H, W into
 * H, W, C needs no second copy of the data.  Images of bytes can be read as bytes.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/data/data.h"
#include "io/data/kinds/hdf5_written.h"
#include "io/file/data_file.h"

enum { MAX_RANK = 4, BLOCK_BYTES = 1 << 20, WHERE_BYTES = LK_H5_PLACE_BYTES + 32 };

typedef struct shape {
    int rank;
    hsize_t dims[MAX_RANK];
    size_t per_record; /* product of dims[1..] */
} shape;

/* A data set that is open for reading its records. */
typedef struct records {
    hid_t file, set;
    char place[LK_H5_PLACE_BYTES];
    char path[LK_H5_PLACE_BYTES]; /* of the file, for whoever must die */
    shape shape;
    int64_t most;     /* that are read at once */
    bool images;      /* they become channels-last */
    lk_numbers block; /* records on the way there, owned */
} records;

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

/* Whether a set holds bytes, as images do. */
static bool holds_bytes(hid_t set)
{
    LK_H5_ID type = H5I_INVALID_HID;

    lk_h5_quiet();
    type = H5Dget_type(set);
    return H5Tget_class(type) == H5T_INTEGER && H5Tget_size(type) == 1 && H5Tget_sign(type) == H5T_SGN_NONE;
}

/* *dtype: floats, or doubles where it takes them to hold what this type can. */
static lk_status check_numbers(hid_t set, const char *place, lk_dtype *dtype)
{
    LK_H5_ID type = H5I_INVALID_HID;

    LK_H5(LK_ERR_DATA, type = H5Dget_type(set), "%s has no type", place);
    const H5T_class_t class = H5Tget_class(type);
    if (class != H5T_INTEGER && class != H5T_FLOAT && class != H5T_ENUM)
        return LK_FAIL(LK_ERR_DATA, "%s does not hold numbers", place);
    const bool wide = H5Tget_size(type) > (class == H5T_FLOAT ? sizeof(float) : sizeof(int16_t));
    *dtype = wide ? LK_DTYPE_F64 : LK_DTYPE_F32;
    return LK_OK;
}

static lk_status check_finite(const char *place, const lk_numbers *x, int64_t first, int64_t n, size_t per_record)
{
    for (size_t i = 0; i < (size_t)n * per_record; i++) {
        const double v = lk_number(x, i);
        if (!isfinite((float)v))
            return LK_FAIL(LK_ERR_DATA, "%s: record %lld holds %g at place %zu; every number must be finite in fp32",
                           place, (long long)first + (long long)(i / per_record), v, i % per_record);
    }
    return LK_OK;
}

/* n images from (C, P) to (P, C). */
static void channels_last(const lk_numbers *from, const shape *s, int64_t n, lk_numbers *to)
{
    const size_t C = s->dims[1], P = s->dims[2] * s->dims[3];

    for (size_t i = 0; i < (size_t)n; i++)
        for (size_t c = 0; c < C; c++)
            for (size_t p = 0; p < P; p++)
                lk_number_set(to, (i * P + p) * C + c, lk_number(from, (i * C + c) * P + p));
}

/* Records [begin, end), at most a block, as they lie in the file. */
static lk_status read_set(records *r, int64_t begin, int64_t end, hid_t type, void *out)
{
    lk_h5_guard_begin(r->path);
    const lk_status status = lk_h5_read_rows(LK_ERR_DATA, r->set, type, begin, end, out);
    lk_h5_guard_end();
    return status == LK_OK ? LK_OK : lk_h5_explain(r->set, status);
}

static lk_status read_numbers(records *r, int64_t begin, int64_t end, lk_numbers *x)
{
    lk_numbers *raw = r->images ? &r->block : x;

    LK_TRY(read_set(r, begin, end, x->wide ? H5T_NATIVE_DOUBLE : H5T_NATIVE_FLOAT, raw->at));
    if (r->images) channels_last(raw, &r->shape, end - begin, x);
    return check_finite(r->place, x, begin, end - begin, r->shape.per_record);
}

/* Images alone are read so. */
static lk_status read_bytes(records *r, int64_t begin, int64_t end, uint8_t *out)
{
    LK_TRY(read_set(r, begin, end, H5T_NATIVE_UINT8, out));
    return lk_pixels_turn(out, end - begin, r->shape.dims[1], r->shape.dims[2] * r->shape.dims[3]);
}

static lk_status read_rows(void *from, int64_t begin, int64_t end, lk_dtype dtype, void *out)
{
    records *r = from;
    const bool wide = dtype == LK_DTYPE_F64;
    lk_numbers x = {out, wide};

    if (dtype == LK_DTYPE_U8) return read_bytes(r, begin, end, out);
    if (r->images && (!r->block.at || r->block.wide != wide)) {
        free(r->block.at);
        LK_TRY(lk_numbers_new((size_t)r->most * r->shape.per_record, wide, &r->block));
    }
    return read_numbers(r, begin, end, &x);
}

static void close_rows(void *from)
{
    records *r = from;

    free(r->block.at);
    lk_h5_close(&r->set);
    lk_h5_close(&r->file);
    free(r);
}

/* Whole chunks, of a megabyte or more. */
static lk_status choose_block(const records *r, int64_t *block)
{
    const size_t record_bytes = r->shape.per_record * sizeof(float);
    const int64_t wanted = record_bytes < BLOCK_BYTES ? (int64_t)(BLOCK_BYTES / record_bytes) : 1;
    hsize_t chunk[MAX_RANK] = {1};
    LK_H5_ID list = H5I_INVALID_HID;

    LK_H5(LK_ERR_DATA, list = H5Dget_create_plist(r->set), "%s has no properties", r->place);
    if (H5Pget_layout(list) == H5D_CHUNKED)
        LK_H5(LK_ERR_DATA, H5Pget_chunk(list, r->shape.rank, chunk), "%s has no chunks", r->place);
    const int64_t rows = (int64_t)chunk[0], n = (int64_t)r->shape.dims[0];
    *block = (wanted + rows - 1) / rows * rows;
    if (*block > n) *block = n;
    return LK_OK;
}

static lk_status open_records(records *r, const char *path, hid_t file, const char *name, lk_rows *out)
{
    hbool_t threadsafe = false;

    LK_TRY(lk_h5_open_set(LK_ERR_DATA, file, name, &r->set));
    LK_H5(LK_ERR_DATA, H5Iinc_ref(file), "%s cannot be held open", path);
    r->file = file;
    lk_h5_place(r->set, r->place);
    snprintf(r->path, sizeof r->path, "%s", path);
    LK_TRY(get_shape(r->set, r->place, &r->shape));
    LK_TRY(check_numbers(r->set, r->place, &out->dtype));
    LK_TRY(choose_block(r, &out->block));
    r->most = out->block;
    H5is_library_threadsafe(&threadsafe);
    out->one_thread = !threadsafe;
    return LK_OK;
}

/* The records of a data set; `out` owns what *set points to. */
static lk_status open_rows(const char *path, hid_t file, const char *name, lk_rows *out, records **set)
{
    records *r = calloc(1, sizeof *r);

    LK_TRY_ALLOC(r, sizeof *r);
    *out = (lk_rows){.from = r, .read = read_rows, .close = close_rows};
    *set = r;
    const lk_status status = open_records(r, path, file, name, out);
    if (status != LK_OK) lk_rows_close(out);
    return status;
}

static lk_status other_image(const char *place, const int64_t is[3], const int64_t was[3])
{
    char text[2][WHERE_BYTES];

    for (int k = 0; k < 2; k++) {
        const int64_t *image = k ? was : is;

        if (image[0] == 0) snprintf(text[k], sizeof text[k], "no images");
        else snprintf(text[k], sizeof text[k], "images of %lld x %lld x %lld", (long long)image[0],
                      (long long)image[1], (long long)image[2]);
    }
    return LK_FAIL(LK_ERR_DATA, "%s has %s, training had %s", place, text[0], text[1]);
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
        if (image[d] != stats->image[d]) return other_image(place, image, stats->image);
    if (t->n_columns != stats->n_columns)
        return LK_FAIL(LK_ERR_DATA, "%s has records of %zu numbers, training had %zu", place, t->n_columns,
                       stats->n_columns);
    return LK_OK;
}

static lk_status read_features(const lk_source *source, hid_t file, const char *name, lk_data_stats *stats, lk_table *t)
{
    records *r;

    LK_TRY(open_rows(source->file, file, name, &t->rows, &r));
    r->images = t->rows.turns = r->shape.rank == MAX_RANK;
    t->of_bytes = r->images && holds_bytes(r->set);
    if (t->of_bytes) t->rows.dtype = LK_DTYPE_U8;
    return take_shape(r->place, &r->shape, stats, t);
}

static lk_status read_labels(const lk_rows *rows, const records *r, int32_t ignore_index, lk_table *t)
{
    char where[WHERE_BYTES];
    lk_numbers value = {0};

    if (r->shape.per_record != 1)
        return LK_FAIL(LK_ERR_DATA, "%s has %zu numbers a record; cross_entropy needs one label, or, with "
                       "loss.probabilities: true, a probability of each class", r->place, r->shape.per_record);
    t->label = calloc((size_t)t->n, sizeof *t->label);
    LK_TRY_ALLOC(t->label, (size_t)t->n * sizeof *t->label);
    lk_status status = lk_rows_read_all(rows, t->n, 1, &value);
    for (int64_t i = 0; i < t->n && status == LK_OK; i++) {
        snprintf(where, sizeof where, "%s: record %lld", r->place, (long long)i);
        status = lk_label_check(lk_number(&value, (size_t)i), ignore_index, where, &t->label[i]);
    }
    free(value.at);
    return status;
}

static lk_status take_targets(const lk_data_spec *spec, bool labels, const lk_rows *rows, const records *r,
                              lk_data_stats *stats, lk_table *t)
{
    const shape *s = &r->shape;

    labels &= !(spec->probabilities && s->per_record > 1);
    if ((int64_t)s->dims[0] != t->n)
        return LK_FAIL(LK_ERR_DATA, "%s has %lld records, the features have %lld", r->place, (long long)s->dims[0],
                       (long long)t->n);
    if (!stats->target_name)
        LK_TRY(lk_stats_set_target(stats, spec->target ? spec->target : "y", labels ? 0 : s->per_record));
    if (labels) return read_labels(rows, r, spec->ignore_index, t);
    if (s->rank > 2) return LK_FAIL(LK_ERR_DATA, "%s has %d dimensions; targets have at most 2", r->place, s->rank);
    if (s->per_record != stats->n_targets)
        return LK_FAIL(LK_ERR_DATA, "%s has %zu numbers a record, training had %zu", r->place, s->per_record,
                       stats->n_targets);
    t->n_targets = s->per_record;
    return lk_rows_read_all(rows, t->n, t->n_targets, &t->target);
}

static lk_status read_targets(const lk_data_spec *spec, const lk_source *source, hid_t file, lk_data_stats *stats,
                              lk_table *t)
{
    lk_rows rows;
    records *r;

    LK_TRY(open_rows(source->file, file, spec->target ? spec->target : "y", &rows, &r));
    const lk_status status = take_targets(spec, source->labels, &rows, r, stats, t);
    lk_rows_close(&rows);
    return status;
}

static lk_status read_file(const lk_data_spec *spec, const lk_source *source, lk_data_stats *stats, lk_table *out)
{
    LK_H5_ID file = H5I_INVALID_HID;

    if (lk_h5_open(LK_ERR_DATA, source->file, &file) != LK_OK)
        return LK_FAIL(LK_ERR_DATA, "%s; " LK_WHERE_PATHS_BEGIN, lk_error_message());
    out->path = source->file;
    LK_TRY(read_features(source, file, spec->features ? spec->features : "x", stats, out));
    return source->want_target ? read_targets(spec, source, file, stats, out) : LK_OK;
}

/* Its features stay rows to be read: whether they fit into memory is not for it to say. */
lk_status lk_read_hdf5(const lk_data_spec *spec, const lk_source *source, lk_data_stats *stats, lk_table *out)
{
    lk_h5_guard_begin(source->file);
    const lk_status status = read_file(spec, source, stats, out);
    lk_h5_guard_end();
    return status;
}
