/*
 * One file of tensors: its structure and contents in memory, and reading it back.
 *
 *     /model/NAME, /optimizer/...   rows [begin, end) of each tensor; attributes `rows` and `shape` (of the whole)
 *     /lockstep/path                the tensors in the order they were saved
 *     /lockstep/piece               for each: its first byte in the file, its rows, and the XXH3-128 of these
 *     /lockstep/note                leader.h5: paths of the metadata in their order, their values being at these paths
 *
 * HDF5 lays the file out once.  A later save of the same tensors copies rows to the places HDF5 gave them and
 * patches the checksums, which are in a table for that reason, not in attributes, whose headers carry checksums
 * of HDF5's own.  So the thread that saves calls no HDF5, and a save holds one copy of what it saves.
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "io/checkpoint/parts.h"
#include "io/file/metadata.h"

void lk_shard_name(char out[LK_FILE_NAME_BYTES], int r, int n)
{
    snprintf(out, LK_FILE_NAME_BYTES, "shard-%05d-of-%05d.h5", r, n);
}

/* ------------------------------------------------------------------ writing */

size_t lk_extent_bytes(const lk_extent *extent, const lk_ckpt_tensor *tensor)
{
    return (size_t)(extent->end - extent->begin) * lk_tensor_row_elems(tensor) * sizeof(float);
}

static lk_status add_tensor(hid_t file, const lk_ckpt_tensor *tensor, lk_extent *extent)
{
    const int64_t rows[2] = {extent->begin, extent->end};
    int64_t shape[LK_CKPT_DIMS];
    size_t offset;
    LK_H5_ID set = H5I_INVALID_HID;

    if (lk_extent_bytes(extent, tensor) == 0) return LK_OK;
    memcpy(shape, tensor->shape, sizeof shape);
    shape[0] = extent->end - extent->begin;
    LK_TRY(lk_h5_write(file, tensor->path, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, tensor->ndim, shape, NULL, &set));
    LK_TRY(lk_h5_offset(set, &offset));
    LK_TRY(lk_h5_set_attribute(set, "rows", rows, 2));
    LK_TRY(lk_h5_set_attribute(set, "shape", tensor->shape, (size_t)tensor->ndim));
    extent->offset = (int64_t)offset;
    return LK_OK;
}

/* lk_extent as HDF5 sees it, in memory and in files. */
static lk_status extent_type(hid_t *out)
{
    LK_H5_ID text = H5I_INVALID_HID;
    LK_H5_ID type = H5I_INVALID_HID;

    LK_TRY(lk_h5_text_type(LK_CHECKSUM_CHARS, &text));
    LK_H5(LK_ERR_SYSTEM, type = H5Tcreate(H5T_COMPOUND, sizeof(lk_extent)), "cannot make the type of a piece");
    if (H5Tinsert(type, "offset", offsetof(lk_extent, offset), H5T_STD_I64LE) < 0 ||
        H5Tinsert(type, "begin", offsetof(lk_extent, begin), H5T_STD_I64LE) < 0 ||
        H5Tinsert(type, "end", offsetof(lk_extent, end), H5T_STD_I64LE) < 0 ||
        H5Tinsert(type, "xxh3", offsetof(lk_extent, xxh3), text) < 0)
        return lk_h5_fail(LK_ERR_SYSTEM, __FILE__, __LINE__, "cannot make the type of a piece");
    *out = type;
    type = H5I_INVALID_HID;
    return LK_OK;
}

static lk_status add_extents(hid_t file, lk_shard *shard)
{
    const int64_t n[1] = {(int64_t)shard->layout.n};
    LK_H5_ID type = H5I_INVALID_HID;
    LK_H5_ID set = H5I_INVALID_HID;

    LK_TRY(extent_type(&type));
    LK_TRY(lk_h5_write(file, LK_AT_EXTENT, type, type, 1, n, NULL, &set));
    shard->extents_offset = 0;
    if (shard->layout.n > 0) LK_TRY(lk_h5_offset(set, &shard->extents_offset));
    return LK_OK;
}

static lk_status add_paths(hid_t file, const lk_layout *layout)
{
    const char **path = calloc(layout->n + 1, sizeof *path);

    LK_TRY_ALLOC(path, layout->n * sizeof *path);
    for (size_t i = 0; i < layout->n; i++) path[i] = layout->tensor[i].path;
    const lk_status status = lk_h5_write_texts(file, LK_AT_PATH, path, layout->n);
    free(path);
    LK_TRY(status);
    return LK_OK;
}

static lk_status add_note(hid_t file, const lk_metadata *metadata, size_t i)
{
    const char *path = lk_metadata_path(metadata, i), *text;
    int64_t integer;
    double real;

    switch (lk_metadata_kind(metadata, i)) {
    case LK_NOTE_INT:
        LK_TRY(lk_metadata_get_int(metadata, path, &integer));
        return lk_h5_write(file, path, H5T_STD_I64LE, H5T_NATIVE_INT64, 0, NULL, &integer, NULL);
    case LK_NOTE_REAL:
        LK_TRY(lk_metadata_get_real(metadata, path, &real));
        return lk_h5_write(file, path, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 0, NULL, &real, NULL);
    case LK_NOTE_TEXT:
        LK_TRY(lk_metadata_get_text(metadata, path, &text));
        return lk_h5_write_text(file, path, text);
    }
    return LK_FAIL(LK_ERR_USAGE, "the note %s has no known kind", path);
}

static lk_status add_metadata(hid_t file, const lk_metadata *metadata)
{
    const size_t n = metadata ? lk_metadata_n(metadata) : 0;
    const char **path = calloc(n + 1, sizeof *path);
    lk_status status = LK_OK;

    LK_TRY_ALLOC(path, n * sizeof *path);
    for (size_t i = 0; i < n && status == LK_OK; i++) {
        path[i] = lk_metadata_path(metadata, i);
        status = add_note(file, metadata, i);
    }
    if (status == LK_OK) status = lk_h5_write_texts(file, LK_AT_NOTE, path, n);
    free(path);
    LK_TRY(status);
    return LK_OK;
}

static lk_status cut(lk_shard *shard, const lk_cut *pieces, int r)
{
    shard->extent = calloc(shard->layout.n + 1, sizeof *shard->extent);
    LK_TRY_ALLOC(shard->extent, shard->layout.n * sizeof *shard->extent);
    for (size_t i = 0; i < shard->layout.n && !pieces; i++)
        shard->extent[i].end = lk_tensor_rows(&shard->layout.tensor[i]);
    for (size_t k = 0; pieces && k < pieces->n; k++) {
        const lk_ckpt_piece *piece = &pieces->piece[k];

        if (piece->part != r) continue;
        shard->extent[piece->tensor].begin = piece->begin;
        shard->extent[piece->tensor].end = piece->end;
    }
    return LK_OK;
}

/* Keeps the image's memory. */
static void forget_structure(lk_shard *shard)
{
    free(shard->extent);
    shard->extent = NULL;
    lk_layout_free(&shard->layout);
}

static lk_status lay_out(lk_shard *shard, const char *file_name, const lk_ckpt_tensor *tensors, size_t n_tensors,
                         const lk_cut *pieces, int r, const lk_metadata *metadata)
{
    LK_H5_ID file = H5I_INVALID_HID;

    LK_TRY(lk_layout_copy(tensors, n_tensors, &shard->layout));
    LK_TRY(cut(shard, pieces, r));
    LK_TRY(lk_h5_image_begin(&shard->image, file_name, LK_FILE_HEADER_BYTES, &file));
    for (size_t i = 0; i < n_tensors; i++) LK_TRY(add_tensor(file, &tensors[i], &shard->extent[i]));
    LK_TRY(add_paths(file, &shard->layout));
    LK_TRY(add_extents(file, shard));
    LK_TRY(add_metadata(file, metadata));
    LK_TRY(lk_h5_image_end(&shard->image, &file));
    return LK_OK;
}

lk_status lk_shard_build(lk_shard *shard, const char *file_name, const lk_ckpt_tensor *tensors, size_t n_tensors,
                         const lk_cut *pieces, int r, const lk_metadata *metadata)
{
    forget_structure(shard);
    const lk_status status = lay_out(shard, file_name, tensors, n_tensors, pieces, r, metadata);
    if (status != LK_OK) {
        forget_structure(shard); /* half a layout must not pass for the next save's */
        return lk_trace(status, __FILE__, __LINE__);
    }
    return LK_OK;
}

void lk_shard_fill(lk_shard *shard, const lk_ckpt_tensor *tensors)
{
    for (size_t i = 0; i < shard->layout.n; i++) {
        const lk_extent *extent = &shard->extent[i];
        const size_t nbytes = lk_extent_bytes(extent, &tensors[i]);

        if (nbytes == 0) continue;
        memcpy(shard->image.bytes + extent->offset, lk_tensor_row(&tensors[i], extent->begin), nbytes);
    }
}

void lk_shard_check(lk_shard *shard)
{
    const size_t n = shard->layout.n;

    for (size_t i = 0; i < n; i++)
        lk_checksum(shard->image.bytes + shard->extent[i].offset,
                    lk_extent_bytes(&shard->extent[i], &shard->layout.tensor[i]), shard->extent[i].xxh3);
    if (n > 0) memcpy(shard->image.bytes + shard->extents_offset, shard->extent, n * sizeof *shard->extent);
}

void lk_shard_free(lk_shard *shard)
{
    forget_structure(shard);
    lk_h5_image_free(&shard->image);
    *shard = (lk_shard){0};
}

/* ------------------------------------------------------------------ reading */

static lk_status read_extents(hid_t file, size_t n, lk_extent *out)
{
    LK_H5_ID type = H5I_INVALID_HID;

    LK_TRY(extent_type(&type));
    LK_TRY(lk_h5_read(LK_ERR_CHECKPOINT, file, LK_AT_EXTENT, type, n, out));
    return LK_OK;
}

lk_status lk_shard_open(const char *dir, const char *file_name, size_t n, lk_shard_reader *out)
{
    char path[LK_CKPT_PATH_BYTES];
    LK_H5_ID file = H5I_INVALID_HID;

    LK_TRY(lk_ckpt_path(path, dir, file_name));
    LK_TRY(lk_h5_open(LK_ERR_CHECKPOINT, path, &file));
    lk_extent *extent = calloc(n + 1, sizeof *extent);
    LK_TRY_ALLOC(extent, n * sizeof *extent);
    const lk_status status = read_extents(file, n, extent);
    if (status != LK_OK) {
        free(extent);
        return lk_trace(status, __FILE__, __LINE__);
    }
    *out = (lk_shard_reader){.file = file, .extent = extent};
    file = H5I_INVALID_HID;
    return LK_OK;
}

void lk_shard_close(lk_shard_reader *reader)
{
    lk_h5_close(&reader->file);
    free(reader->extent);
    reader->extent = NULL;
}

lk_status lk_shard_read(const lk_shard_reader *reader, size_t i, const lk_ckpt_tensor *tensor, int64_t begin,
                        int64_t end, float *out)
{
    const lk_extent *extent = &reader->extent[i];
    char place[LK_H5_PLACE_BYTES], checksum[LK_CHECKSUM_CHARS];
    LK_H5_ID set = H5I_INVALID_HID;

    LK_TRY(lk_h5_open_set(LK_ERR_CHECKPOINT, reader->file, tensor->path, &set));
    LK_TRY(lk_h5_read_rows(LK_ERR_CHECKPOINT, set, H5T_NATIVE_FLOAT, begin - extent->begin, end - extent->begin, out));
    if (begin != extent->begin || end != extent->end) return LK_OK;
    lk_checksum(out, lk_extent_bytes(extent, tensor), checksum);
    if (memcmp(checksum, extent->xxh3, sizeof checksum) != 0)
        return LK_FAIL(LK_ERR_CHECKPOINT, "%s rows %" PRId64 "..%" PRId64 " is damaged (checksum): it was good when "
                       "this checkpoint was opened", lk_h5_place(set, place), begin, end - 1);
    return LK_OK;
}

static lk_status note_class(hid_t file, const char *path, H5T_class_t *out)
{
    LK_H5_ID set = H5I_INVALID_HID;
    LK_H5_ID type = H5I_INVALID_HID;

    LK_TRY(lk_h5_open_set(LK_ERR_CHECKPOINT, file, path, &set));
    LK_H5(LK_ERR_CHECKPOINT, type = H5Dget_type(set), "the note %s has no type", path);
    *out = H5Tget_class(type);
    return LK_OK;
}

static lk_status read_note(hid_t file, const char *path, lk_metadata *metadata)
{
    int64_t integer;
    double real;
    char *text;
    H5T_class_t class = H5T_NO_CLASS;

    LK_TRY(note_class(file, path, &class));
    if (class == H5T_INTEGER) {
        LK_TRY(lk_h5_read(LK_ERR_CHECKPOINT, file, path, H5T_NATIVE_INT64, 1, &integer));
        return lk_metadata_set_int(metadata, path, integer);
    }
    if (class == H5T_FLOAT) {
        LK_TRY(lk_h5_read(LK_ERR_CHECKPOINT, file, path, H5T_NATIVE_DOUBLE, 1, &real));
        return lk_metadata_set_real(metadata, path, real);
    }
    LK_TRY(lk_h5_read_text(LK_ERR_CHECKPOINT, file, path, &text));
    const lk_status status = lk_metadata_set_text(metadata, path, text);
    free(text);
    return status;
}

lk_status lk_shard_read_metadata(const lk_shard_reader *reader, lk_metadata **out)
{
    lk_metadata *metadata = NULL;
    char **path = NULL;
    size_t n = 0;

    LK_TRY(lk_h5_read_texts(LK_ERR_CHECKPOINT, reader->file, LK_AT_NOTE, &path, &n));
    lk_status status = lk_metadata_new(&metadata);
    for (size_t i = 0; i < n && status == LK_OK; i++) status = read_note(reader->file, path[i], metadata);
    free(path);
    if (status != LK_OK) {
        lk_metadata_free(&metadata);
        return lk_trace(status, __FILE__, __LINE__);
    }
    *out = metadata;
    return LK_OK;
}
