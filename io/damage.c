/*
 * Which tensor of a damaged file is damaged?  Every piece is read and compared with its checksum.  What is read here is
 * not to be trusted: a failure of any step only means that no tensor can be named.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "io/ckpt.h"

/* The bytes of a data set of fp32 as they are in the file; LK_ERR_CHECKPOINT when they cannot be had. */
static lk_status checksum_of_set(hid_t set, size_t file_bytes, char out[LK_CHECKSUM_CHARS])
{
    hsize_t dims[H5S_MAX_RANK];
    size_t n_elem = 1;
    int ndim;

    LK_TRY(lk_h5_shape(LK_ERR_CHECKPOINT, set, LK_MAX_DIMS, &ndim, dims));
    for (int d = 0; d < ndim && n_elem > 0; d++) {
        if (dims[d] > file_bytes / sizeof(float) / n_elem)
            return LK_FAIL(LK_ERR_CHECKPOINT, "a data set is larger than its file");
        n_elem *= (size_t)dims[d];
    }
    float *data = malloc(n_elem * sizeof *data + 1);
    LK_TRY_ALLOC(data, n_elem * sizeof *data);
    const bool read = H5Dread(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0;
    if (read) lk_checksum(data, n_elem * sizeof *data, out);
    free(data);
    return read ? LK_OK : LK_FAIL(LK_ERR_CHECKPOINT, "a data set cannot be read");
}

/* A damaged table names no data set; then nothing is said about it. */
static bool set_is_damaged(const lk_shard_reader *reader, const char *path, const char *expected)
{
    char checksum[LK_CHECKSUM_CHARS];
    hsize_t file_bytes = 0;
    LK_H5_ID set = H5I_INVALID_HID;

    if (H5Fget_filesize(reader->file, &file_bytes) < 0) return false;
    if (lk_h5_open_set(LK_ERR_CHECKPOINT, reader->file, path, &set) != LK_OK) return false;
    return checksum_of_set(set, (size_t)file_bytes, checksum) != LK_OK ||
           memcmp(checksum, expected, sizeof checksum) != 0;
}

static bool find_in(const lk_shard_reader *reader, char **path, size_t n, char *out, size_t nbytes)
{
    int64_t(*rows)[2] = calloc(n + 1, sizeof *rows);
    bool found = false;

    if (!rows || n != reader->n ||
        lk_h5_read(LK_ERR_CHECKPOINT, reader->file, LK_AT_ROWS, H5T_NATIVE_INT64, 2 * n, rows) != LK_OK)
        n = 0;
    for (size_t i = 0; i < n && !found; i++) {
        if (rows[i][0] == rows[i][1]) continue;
        found = set_is_damaged(reader, path[i], reader->checksum[i]);
        if (found)
            snprintf(out, nbytes, "/%s rows %" PRId64 "..%" PRId64, path[i], rows[i][0], rows[i][1] - 1);
    }
    free(rows);
    return found;
}

bool lk_shard_find_damage(const char *dir, const char *file, char *out, size_t nbytes)
{
    lk_shard_reader reader = {.file = H5I_INVALID_HID};
    char **tensor = NULL;
    size_t n = 0;
    bool found = false;

    if (lk_shard_open(dir, file, &reader) == LK_OK &&
        lk_h5_read_texts(LK_ERR_CHECKPOINT, reader.file, LK_AT_PATH, &tensor, &n) == LK_OK)
        found = find_in(&reader, tensor, n, out, nbytes);
    free(tensor);
    lk_shard_close(&reader);
    return found;
}
