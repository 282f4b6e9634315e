/*
 * Digests of tensors: XXH3-128 of, for each tensor in the order of its path, the path without the prefix and a NUL;
 * the number of dimensions and the extents as little-endian int64; the elements as little-endian fp32.  So it does
 * not depend on how tensors were ordered, cut or stored.
 */
#include "io/checkpoint/parts.h"

#include <stdlib.h>
#include <string.h>

enum { CHUNK_ELEMS = 1 << 20 };

static int by_path(const void *a, const void *b)
{
    return strcmp((*(const lk_ckpt_tensor *const *)a)->path, (*(const lk_ckpt_tensor *const *)b)->path);
}

static void hash_name_and_shape(XXH3_state_t *state, const lk_ckpt_tensor *tensor, size_t prefix_length)
{
    const char *name = tensor->path + prefix_length;
    const int64_t ndim = tensor->ndim;

    XXH3_128bits_update(state, name, strlen(name) + 1);
    XXH3_128bits_update(state, &ndim, sizeof ndim);
    XXH3_128bits_update(state, tensor->shape, (size_t)ndim * sizeof tensor->shape[0]);
}

/* Where tensors are read from; read NULL: their data is there. */
typedef struct source {
    const lk_ckpt_tensor *tensors;
    lk_read_rows_fn *read;
    void *of;
} source;

/* A run of rows at a time. */
static lk_status hash_elements(XXH3_state_t *state, const lk_ckpt_tensor *tensor, const source *from)
{
    const int64_t n_rows = lk_tensor_rows(tensor);
    const size_t row_elems = lk_tensor_row_elems(tensor);

    if (!from->read) {
        XXH3_128bits_update(state, tensor->data, tensor->n_elem * sizeof(float));
        return LK_OK;
    }
    if (tensor->n_elem == 0) return LK_OK;
    const int64_t at_once = row_elems < CHUNK_ELEMS ? (int64_t)(CHUNK_ELEMS / row_elems) : 1;
    const int64_t chunk_rows = at_once < n_rows ? at_once : n_rows;
    float *rows = lk_alloc((size_t)chunk_rows * row_elems * sizeof *rows);
    lk_status status = LK_OK;

    LK_TRY_ALLOC(rows, (size_t)chunk_rows * row_elems * sizeof *rows);
    for (int64_t begin = 0; begin < n_rows && status == LK_OK; begin += chunk_rows) {
        const int64_t end = begin + chunk_rows < n_rows ? begin + chunk_rows : n_rows;

        status = from->read(from->of, (size_t)(tensor - from->tensors), begin, end, rows);
        if (status == LK_OK) XXH3_128bits_update(state, rows, (size_t)(end - begin) * row_elems * sizeof *rows);
    }
    lk_free(&rows);
    return status;
}

static lk_status digest_sorted(const lk_ckpt_tensor **sorted, size_t n, size_t prefix_length, const source *from,
                               char out[33])
{
    XXH3_state_t *state = XXH3_createState();
    lk_status status = LK_OK;

    if (!state) return LK_FAIL(LK_ERR_SYSTEM, "out of memory: the state of a hash");
    XXH3_128bits_reset(state);
    for (size_t i = 0; i < n && status == LK_OK; i++) {
        hash_name_and_shape(state, sorted[i], prefix_length);
        status = hash_elements(state, sorted[i], from);
    }
    lk_checksum_hex(XXH3_128bits_digest(state), out);
    out[LK_CHECKSUM_CHARS] = '\0';
    XXH3_freeState(state);
    return status;
}

lk_status lk_digest_read(const lk_ckpt_tensor *tensors, size_t n, const char *prefix, lk_read_rows_fn *read, void *of,
                         char out[33])
{
    const source from = {tensors, read, of};
    const lk_ckpt_tensor **sorted = calloc(n ? n : 1, sizeof *sorted);
    size_t n_sorted = 0;

    LK_TRY_ALLOC(sorted, n * sizeof *sorted);
    for (size_t i = 0; i < n; i++)
        if (strncmp(tensors[i].path, prefix, strlen(prefix)) == 0) sorted[n_sorted++] = &tensors[i];
    qsort(sorted, n_sorted, sizeof *sorted, by_path);
    const lk_status status = n_sorted > 0
        ? digest_sorted(sorted, n_sorted, strlen(prefix), &from, out)
        : LK_FAIL(LK_ERR_CHECKPOINT, "there is no tensor whose path starts with \"%s\"", prefix);
    free(sorted);
    LK_TRY(status);
    return LK_OK;
}

lk_status lk_digest(const lk_ckpt_tensor *tensors, size_t n, const char *prefix, char out[33])
{
    return lk_digest_read(tensors, n, prefix, NULL, NULL, out);
}

static lk_status read_saved(void *of, size_t i, int64_t begin, int64_t end, float *out)
{
    return lk_checkpoint_read(of, lk_checkpoint_tensor(of, i)->path, begin, end, out);
}

lk_status lk_checkpoint_digest(lk_checkpoint *checkpoint, const char *prefix, char out[33])
{
    /* The tensors of a checkpoint are one array. */
    const size_t n = lk_checkpoint_n_tensors(checkpoint);

    return lk_digest_read(n ? lk_checkpoint_tensor(checkpoint, 0) : NULL, n, prefix, read_saved, checkpoint, out);
}
