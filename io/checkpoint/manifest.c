/* What index.h5 says: step, parts, tensors, files.  It is read only after its header was found good, so what is
 * checked here is that this program understands it. */
#include <stdlib.h>

#include "io/checkpoint/parts.h"


static lk_status read_int(hid_t file, const char *path, int64_t *out)
{
    return lk_h5_read(LK_ERR_CHECKPOINT, file, path, H5T_NATIVE_INT64, 1, out);
}

static lk_status read_constants(hid_t file, const char *dir, int64_t *format, lk_manifest *out)
{
    int64_t parts;

    LK_TRY(read_int(file, LK_AT_FORMAT, format));
    if (*format < LK_CKPT_OLDEST || *format > LK_CKPT_FORMAT)
        return LK_FAIL(LK_ERR_CHECKPOINT, "%s has format %lld, this program reads formats %d to %d: use the program "
                       "that wrote it", dir, (long long)*format, LK_CKPT_OLDEST, LK_CKPT_FORMAT);
    LK_TRY(read_int(file, LK_AT_STEP, &out->step));
    LK_TRY(read_int(file, LK_AT_PARTS, &parts));
    if (parts < 1 || parts > LK_MOST_PARTS)
        return LK_FAIL(LK_ERR_CHECKPOINT, "%s has %lld parts, 1 to %d are possible", dir, (long long)parts,
                       LK_MOST_PARTS);
    out->parts = (int)parts;
    return LK_OK;
}

static lk_ckpt_tensor entry(const char *path, const int64_t shape[LK_CKPT_DIMS])
{
    lk_ckpt_tensor tensor = {.path = path};

    while (tensor.ndim < LK_CKPT_DIMS && shape[tensor.ndim] != LK_NO_DIM) {
        tensor.shape[tensor.ndim] = shape[tensor.ndim];
        tensor.ndim++;
    }
    tensor.n_elem = (size_t)lk_tensor_rows(&tensor) * lk_tensor_row_elems(&tensor);
    return tensor;
}

static lk_status read_layout(hid_t file, char **path, size_t n, lk_layout *out)
{
    lk_ckpt_tensor *tensor = calloc(n + 1, sizeof *tensor);
    int64_t(*shape)[LK_CKPT_DIMS] = calloc(n + 1, sizeof *shape);
    lk_status status = tensor && shape ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "out of memory: a table of %zu tensors", n);

    if (status == LK_OK)
        status = lk_h5_read(LK_ERR_CHECKPOINT, file, LK_AT_SHAPE, H5T_NATIVE_INT64, n * LK_CKPT_DIMS, shape);
    for (size_t i = 0; i < n && status == LK_OK; i++) tensor[i] = entry(path[i], shape[i]);
    if (status == LK_OK) status = lk_layout_copy(tensor, n, out);
    free(shape);
    free(tensor);
    return status;
}

static lk_status read_tensors(hid_t file, const char *dir, lk_manifest *out)
{
    char **path;
    int64_t n_shared;
    size_t n;

    LK_TRY(lk_h5_read_texts(LK_ERR_CHECKPOINT, file, LK_AT_PATH, &path, &n));
    const lk_status status = read_layout(file, path, n, &out->layout);
    free(path);
    LK_TRY(status);
    LK_TRY(read_int(file, LK_AT_SHARED, &n_shared));
    if (n_shared < 0 || (size_t)n_shared > n)
        return LK_FAIL(LK_ERR_CHECKPOINT, "%s has %zu tensors, but %lld of them are shared", dir, n,
                       (long long)n_shared);
    out->n_shared = (size_t)n_shared;
    return LK_OK;
}

static lk_status read_rows(hid_t file, const char *dir, lk_manifest *out)
{
    LK_H5_ID set = H5I_INVALID_HID;
    hsize_t dims[2] = {0};
    int ndim;

    LK_TRY(lk_h5_open_set(LK_ERR_CHECKPOINT, file, LK_AT_ROWS, &set));
    LK_TRY(lk_h5_shape(LK_ERR_CHECKPOINT, set, 2, &ndim, dims));
    if (ndim != 2 || dims[1] != LK_PIECE_INTS)
        return LK_FAIL(LK_ERR_CHECKPOINT, "%s: the table %s has another shape than that of a table of rows", dir,
                       LK_AT_ROWS);
    lk_ckpt_piece *piece = calloc((size_t)dims[0] + 1, sizeof *piece);
    LK_TRY_ALLOC(piece, (size_t)dims[0] * sizeof *piece);
    lk_status status = lk_h5_read(LK_ERR_CHECKPOINT, file, LK_AT_ROWS, H5T_NATIVE_INT64,
                                  (size_t)dims[0] * LK_PIECE_INTS, piece);
    if (status == LK_OK)
        status = lk_cut_take(piece, (size_t)dims[0], out->layout.tensor, out->n_shared, out->parts, &out->pieces);
    free(piece);
    return status;
}

static lk_status headers_from(const char *dir, char **name, size_t n_names, char **checksum, size_t n_checksums,
                              const int64_t *nbytes, lk_manifest *out)
{
    const size_t n = (size_t)out->parts + 1;

    if (n_names != n || n_checksums != n)
        return LK_FAIL(LK_ERR_CHECKPOINT, "%s lists %zu files and %zu checksums, %zu are expected", dir, n_names,
                       n_checksums, n);
    for (size_t f = 0; f < n; f++) {
        lk_file_header *header = &out->header[f];

        header->step = out->step;
        header->nbytes = (size_t)nbytes[f];
        snprintf(header->file, sizeof header->file, "%s", name[f]);
        snprintf(header->checksum, sizeof header->checksum, "%s", checksum[f]);
    }
    return LK_OK;
}

static lk_status read_headers(hid_t file, const char *dir, lk_manifest *out)
{
    const size_t n = (size_t)out->parts + 1;
    size_t n_names = 0, n_checksums = 0;
    char **name = NULL, **checksum = NULL;
    int64_t *nbytes = calloc(n, sizeof *nbytes);
    lk_status status = LK_OK;

    out->header = calloc(n, sizeof *out->header);
    if (!nbytes || !out->header) status = LK_FAIL(LK_ERR_SYSTEM, "out of memory: a table of %zu files", n);
    if (status == LK_OK) status = lk_h5_read_texts(LK_ERR_CHECKPOINT, file, LK_AT_FILE, &name, &n_names);
    if (status == LK_OK)
        status = lk_h5_read_texts(LK_ERR_CHECKPOINT, file, LK_AT_FILE_XXH3, &checksum, &n_checksums);
    if (status == LK_OK)
        status = lk_h5_read(LK_ERR_CHECKPOINT, file, LK_AT_FILE_BYTES, H5T_NATIVE_INT64, n, nbytes);
    if (status == LK_OK) status = headers_from(dir, name, n_names, checksum, n_checksums, nbytes, out);
    free(checksum);
    free(name);
    free(nbytes);
    return status;
}

static lk_status read_manifest(hid_t file, const char *dir, lk_manifest *out)
{
    int64_t format = 0;

    LK_TRY(read_constants(file, dir, &format, out));
    LK_TRY(read_tensors(file, dir, out));
    if (format > LK_CKPT_OLDEST) LK_TRY(read_rows(file, dir, out));
    else LK_TRY(lk_cut_even(out->layout.tensor, out->n_shared, out->parts, &out->pieces));
    LK_TRY(read_headers(file, dir, out));
    return LK_OK;
}

lk_status lk_manifest_read(const char *dir, lk_manifest *out)
{
    char path[LK_CKPT_PATH_BYTES];
    LK_H5_ID file = H5I_INVALID_HID;

    *out = (lk_manifest){0};
    LK_TRY(lk_ckpt_path(path, dir, LK_INDEX_FILE));
    LK_TRY(lk_h5_open(LK_ERR_CHECKPOINT, path, &file));
    const lk_status status = read_manifest(file, dir, out);
    if (status != LK_OK) {
        lk_manifest_free(out);
        return lk_trace(status, __FILE__, __LINE__);
    }
    return LK_OK;
}

void lk_manifest_free(lk_manifest *manifest)
{
    free(manifest->header);
    lk_cut_free(&manifest->pieces);
    lk_layout_free(&manifest->layout);
    *manifest = (lk_manifest){0};
}
