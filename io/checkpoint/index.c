/*
 * index.h5: every tensor whole, and what the checkpoint consists of.
 *
 *     /model/NAME, /optimizer/..., /ema/NAME     virtual data sets over the shards and leader.h5
 *     /lockstep/format, step, parts, version
 *     /lockstep/rows                             table of (tensor, part, begin, end), as lk_cut: who has which rows
 *     /lockstep/path, shape, shared              tables of tensors in the order they were saved, with -1 for extents
 *                                                they do not have; how many are shared, the rest the leader's
 *     /lockstep/file, file_bytes, file_xxh3      tables of files: the shards, then leader.h5
 *
 * Files are named relative to the folder, so it can be moved.  A tensor without dimensions cannot be virtual; its
 * value is in index.h5 itself.  The virtual view is for people and other programs: where a file is missing it
 * reads zeros without an error, so nothing here ever reads through it.
 *
 * As with shards, HDF5 lays the file out once; a later save patches the step, the tables of files and the scalars.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "io/checkpoint/parts.h"

/* Rows of the virtual data set come from one file, where they are a data set of the same path. */
static lk_status map_rows(hid_t properties, hid_t space, const lk_ckpt_tensor *tensor, const char *file,
                          int64_t begin, int64_t end)
{
    hsize_t start[LK_CKPT_DIMS] = {0}, count[LK_CKPT_DIMS];
    char source[LK_CKPT_PATH_BYTES];
    LK_H5_ID source_space = H5I_INVALID_HID;

    if (begin == end) return LK_OK;
    for (int d = 0; d < tensor->ndim; d++) count[d] = (hsize_t)tensor->shape[d];
    start[0] = (hsize_t)begin;
    count[0] = (hsize_t)(end - begin);
    LK_TRY(lk_ckpt_path(source, "", tensor->path));
    LK_H5(LK_ERR_SYSTEM, source_space = H5Screate_simple(tensor->ndim, count, NULL), "cannot describe rows of %s",
          tensor->path);
    LK_H5(LK_ERR_SYSTEM, H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL),
          "cannot select rows of %s", tensor->path);
    LK_H5(LK_ERR_SYSTEM, H5Pset_virtual(properties, space, file, source, source_space),
          "cannot map rows of %s to %s", tensor->path, file);
    return LK_OK;
}

/* The rows of tensor i that each part has; the leader's tensors (i behind the shared ones) are in one file. */
static lk_status map_tensor(hid_t properties, hid_t space, const lk_ckpt_tensor *tensor, size_t i,
                            const lk_cut *pieces, const lk_index *index)
{
    char file[LK_FILE_NAME_BYTES];

    if (i >= index->shared.n) return map_rows(properties, space, tensor, LK_LEADER_FILE, 0, lk_tensor_rows(tensor));
    for (size_t k = pieces->first[i]; k < pieces->first[i + 1]; k++) {
        const lk_ckpt_piece *piece = &pieces->piece[k];

        lk_shard_name(file, (int)piece->part, index->parts);
        LK_TRY(map_rows(properties, space, tensor, file, piece->begin, piece->end));
    }
    return LK_OK;
}

static lk_status add_virtual(hid_t file, const lk_ckpt_tensor *tensor, size_t i, const lk_cut *pieces,
                             const lk_index *index)
{
    hsize_t dims[LK_CKPT_DIMS];
    LK_H5_ID properties = H5I_INVALID_HID;
    LK_H5_ID links = H5I_INVALID_HID;
    LK_H5_ID space = H5I_INVALID_HID;
    LK_H5_ID set = H5I_INVALID_HID;

    for (int d = 0; d < tensor->ndim; d++) dims[d] = (hsize_t)tensor->shape[d];
    LK_H5(LK_ERR_SYSTEM, properties = H5Pcreate(H5P_DATASET_CREATE), "cannot make data set properties");
    LK_H5(LK_ERR_SYSTEM, space = H5Screate_simple(tensor->ndim, dims, NULL), "cannot describe %s", tensor->path);
    LK_TRY(map_tensor(properties, space, tensor, i, pieces, index));
    LK_H5(LK_ERR_SYSTEM, H5Sselect_all(space), "cannot select all of %s", tensor->path);
    LK_TRY(lk_h5_link_properties(&links));
    LK_H5(LK_ERR_SYSTEM,
          set = H5Dcreate2(file, tensor->path, H5T_IEEE_F32LE, space, links, properties, H5P_DEFAULT),
          "cannot make virtual data set \"%s\"", tensor->path);
    return LK_OK;
}

static lk_status add_tensor(hid_t file, size_t i, const lk_cut *pieces, lk_index *index)
{
    const size_t n_shared = index->shared.n;
    const lk_ckpt_tensor *tensor = i < n_shared ? &index->shared.tensor[i] : &index->leader.tensor[i - n_shared];
    LK_H5_ID set = H5I_INVALID_HID;

    /* Without elements there are no rows to map, and HDF5 takes no virtual data set without a mapping. */
    if (tensor->n_elem > 0 && tensor->ndim > 0) return add_virtual(file, tensor, i, pieces, index);
    LK_TRY(lk_h5_write(file, tensor->path, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, tensor->ndim, tensor->shape, NULL,
                       &set));
    if (tensor->ndim == 0) LK_TRY(lk_h5_offset(set, &index->scalar_offset[i]));
    return LK_OK;
}

static lk_status add_tensors(hid_t file, const lk_cut *pieces, lk_index *index)
{
    const size_t n = index->shared.n + index->leader.n;

    index->scalar_offset = calloc(n + 1, sizeof *index->scalar_offset);
    LK_TRY_ALLOC(index->scalar_offset, n * sizeof *index->scalar_offset);
    for (size_t i = 0; i < n; i++) LK_TRY(add_tensor(file, i, pieces, index));
    return LK_OK;
}

static void table_entry(const lk_ckpt_tensor *tensor, const char **path, int64_t shape[LK_CKPT_DIMS])
{
    assert(tensor->ndim <= LK_CKPT_DIMS); /* parameters have no more; activations may */
    *path = tensor->path;
    for (int d = 0; d < LK_CKPT_DIMS; d++) shape[d] = d < tensor->ndim ? tensor->shape[d] : LK_NO_DIM;
}

static lk_status add_tensor_tables(hid_t file, const lk_index *index)
{
    const size_t n_shared = index->shared.n, n = n_shared + index->leader.n;
    const int64_t table_shape[2] = {(int64_t)n, LK_CKPT_DIMS}, shared = (int64_t)n_shared;
    const char **path = calloc(n + 1, sizeof *path);
    int64_t(*shape)[LK_CKPT_DIMS] = calloc(n + 1, sizeof *shape);
    lk_status status = path && shape ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "out of memory: a table of %zu tensors", n);

    for (size_t i = 0; i < n && status == LK_OK; i++)
        table_entry(i < n_shared ? &index->shared.tensor[i] : &index->leader.tensor[i - n_shared], &path[i],
                    shape[i]);
    if (status == LK_OK) status = lk_h5_write_texts(file, LK_AT_PATH, path, n);
    if (status == LK_OK)
        status = lk_h5_write(file, LK_AT_SHAPE, H5T_STD_I64LE, H5T_NATIVE_INT64, 2, table_shape, shape, NULL);
    if (status == LK_OK)
        status = lk_h5_write(file, LK_AT_SHARED, H5T_STD_I64LE, H5T_NATIVE_INT64, 0, NULL, &shared, NULL);
    free(shape);
    free(path);
    return status;
}

/* Space for what only a finished save knows. */
static lk_status add_room(hid_t file, const char *path, hid_t type, int ndim, int64_t n, size_t *offset)
{
    LK_H5_ID set = H5I_INVALID_HID;

    LK_TRY(lk_h5_write(file, path, type, type, ndim, &n, NULL, &set));
    LK_TRY(lk_h5_offset(set, offset));
    return LK_OK;
}

static lk_status add_file_names(hid_t file, int parts)
{
    const size_t n = (size_t)parts + 1;
    char(*name)[LK_FILE_NAME_BYTES] = calloc(n, sizeof *name);
    const char **names = calloc(n, sizeof *names);
    lk_status status = name && names ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "out of memory: names of %d files", parts);

    for (size_t f = 0; f < n && status == LK_OK; f++) {
        if (f + 1 < n) lk_shard_name(name[f], (int)f, parts);
        else snprintf(name[f], sizeof name[f], "%s", LK_LEADER_FILE);
        names[f] = name[f];
    }
    if (status == LK_OK) status = lk_h5_write_texts(file, LK_AT_FILE, names, n);
    free(names);
    free(name);
    return status;
}

static lk_status add_files(hid_t file, lk_index *index)
{
    const int64_t n = index->parts + 1;
    LK_H5_ID checksum_type = H5I_INVALID_HID;

    LK_TRY(add_file_names(file, index->parts));
    LK_TRY(lk_h5_text_type(LK_CHECKSUM_CHARS, &checksum_type));
    LK_TRY(add_room(file, LK_AT_STEP, H5T_STD_I64LE, 0, 0, &index->step_offset));
    LK_TRY(add_room(file, LK_AT_FILE_BYTES, H5T_STD_I64LE, 1, n, &index->nbytes_offset));
    LK_TRY(add_room(file, LK_AT_FILE_XXH3, checksum_type, 1, n, &index->checksum_offset));
    return LK_OK;
}

static lk_status add_constants(hid_t file, int parts, const lk_cut *pieces)
{
    const int64_t format = LK_CKPT_FORMAT, n = parts, rows[2] = {(int64_t)pieces->n, LK_PIECE_INTS};

    LK_TRY(lk_h5_write(file, LK_AT_FORMAT, H5T_STD_I64LE, H5T_NATIVE_INT64, 0, NULL, &format, NULL));
    LK_TRY(lk_h5_write(file, LK_AT_PARTS, H5T_STD_I64LE, H5T_NATIVE_INT64, 0, NULL, &n, NULL));
    LK_TRY(lk_h5_write(file, LK_AT_ROWS, H5T_STD_I64LE, H5T_NATIVE_INT64, 2, rows, pieces->piece, NULL));
    LK_TRY(lk_h5_write_text(file, LK_AT_VERSION, LK_VERSION));
    return LK_OK;
}

/* Keeps the image's memory. */
static void forget_structure(lk_index *index)
{
    free(index->scalar_offset);
    index->scalar_offset = NULL;
    lk_layout_free(&index->leader);
    lk_layout_free(&index->shared);
}

static lk_status lay_out(lk_index *index, const lk_ckpt_tensor *shared, size_t n_shared,
                         const lk_ckpt_tensor *leader, size_t n_leader, int parts,
                         const lk_cut *pieces)
{
    LK_H5_ID file = H5I_INVALID_HID;

    index->parts = parts;
    LK_TRY(lk_layout_copy(shared, n_shared, &index->shared));
    LK_TRY(lk_layout_copy(leader, n_leader, &index->leader));
    LK_TRY(lk_h5_image_begin(&index->image, LK_INDEX_FILE, LK_FILE_HEADER_BYTES, &file));
    LK_TRY(add_constants(file, parts, pieces));
    LK_TRY(add_files(file, index));
    LK_TRY(add_tensor_tables(file, index));
    LK_TRY(add_tensors(file, pieces, index));
    LK_TRY(lk_h5_image_end(&index->image, &file));
    return LK_OK;
}

lk_status lk_index_build(lk_index *index, const lk_ckpt_tensor *shared, size_t n_shared,
                         const lk_ckpt_tensor *leader, size_t n_leader, int parts,
                         const lk_cut *pieces)
{
    forget_structure(index);
    const lk_status status = lay_out(index, shared, n_shared, leader, n_leader, parts, pieces);
    if (status != LK_OK) {
        forget_structure(index); /* half a layout must not pass for the next save's */
        return lk_trace(status, __FILE__, __LINE__);
    }
    return LK_OK;
}

static void fill_scalars(lk_index *index, const lk_ckpt_tensor *tensors, size_t n, const size_t *offset)
{
    for (size_t i = 0; i < n; i++)
        if (offset[i] > 0 && tensors[i].data) memcpy(index->image.bytes + offset[i], tensors[i].data, sizeof(float));
}

void lk_index_fill(lk_index *index, const lk_ckpt_tensor *shared, const lk_ckpt_tensor *leader)
{
    fill_scalars(index, shared, index->shared.n, index->scalar_offset);
    fill_scalars(index, leader, index->leader.n, index->scalar_offset + index->shared.n);
}

void lk_index_complete(lk_index *index, int64_t step, const lk_file_header *headers)
{
    unsigned char *bytes = index->image.bytes;

    memcpy(bytes + index->step_offset, &step, sizeof step);
    for (int f = 0; f <= index->parts; f++) {
        const int64_t nbytes = (int64_t)headers[f].nbytes;

        memcpy(bytes + index->nbytes_offset + (size_t)f * sizeof nbytes, &nbytes, sizeof nbytes);
        memcpy(bytes + index->checksum_offset + (size_t)f * LK_CHECKSUM_CHARS, headers[f].checksum, LK_CHECKSUM_CHARS);
    }
}

void lk_index_free(lk_index *index)
{
    forget_structure(index);
    lk_h5_image_free(&index->image);
    *index = (lk_index){0};
}
