/* The list of tensors of a save, kept so that the next save can tell whether anything changed its shape. */
#include "io/checkpoint/parts.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

const char *lk_tensor_name(const lk_ckpt_tensor *tensor)
{
    const char *slash = strchr(tensor->path, '/');

    return slash ? slash + 1 : tensor->path;
}

int64_t lk_tensor_rows(const lk_ckpt_tensor *tensor) { return tensor->ndim > 0 ? tensor->shape[0] : 1; }

size_t lk_tensor_row_elems(const lk_ckpt_tensor *tensor)
{
    size_t n_elem = 1;

    for (int d = 1; d < tensor->ndim; d++) n_elem *= (size_t)tensor->shape[d];
    return n_elem;
}

const float *lk_tensor_row(const lk_ckpt_tensor *tensor, int64_t row)
{
    assert(!tensor->is_part || (row >= tensor->begin && row < tensor->end));
    return tensor->data + (size_t)(row - (tensor->is_part ? tensor->begin : 0)) * lk_tensor_row_elems(tensor);
}

bool lk_tensor_same_shape(const lk_ckpt_tensor *a, const lk_ckpt_tensor *b)
{
    return a->ndim == b->ndim && memcmp(a->shape, b->shape, (size_t)a->ndim * sizeof a->shape[0]) == 0;
}

static lk_status check(const lk_ckpt_tensor *tensor)
{
    if (tensor->ndim > LK_CKPT_DIMS)
        return LK_FAIL(LK_ERR_USAGE, "tensor %s has %d dimensions; a checkpoint of format %d holds %d", tensor->path,
                       tensor->ndim, LK_CKPT_FORMAT, LK_CKPT_DIMS);
    bool good = tensor->path && *tensor->path && tensor->ndim >= 0;

    for (int d = 0; good && d < tensor->ndim; d++) good = tensor->shape[d] >= 0;
    if (!good || (size_t)lk_tensor_rows(tensor) * lk_tensor_row_elems(tensor) != tensor->n_elem)
        return LK_FAIL(LK_ERR_USAGE, "tensor %s: a shape of %d dimensions that does not give its %zu elements",
                       tensor->path ? tensor->path : "without a path", tensor->ndim, tensor->n_elem);
    return LK_OK;
}

lk_status lk_layout_check(const lk_ckpt_tensor *tensors, size_t n)
{
    for (size_t i = 0; i < n; i++) LK_TRY(check(&tensors[i]));
    return LK_OK;
}

lk_status lk_layout_copy(const lk_ckpt_tensor *tensors, size_t n, lk_layout *out)
{
    LK_TRY(lk_layout_check(tensors, n));
    *out = (lk_layout){.tensor = calloc(n ? n : 1, sizeof *out->tensor), .n = n};
    LK_TRY_ALLOC(out->tensor, n * sizeof *out->tensor);
    for (size_t i = 0; i < n; i++) {
        out->tensor[i] = tensors[i];
        out->tensor[i].data = NULL;
        out->tensor[i].path = strdup(tensors[i].path);
        if (!out->tensor[i].path) {
            out->n = i;
            lk_layout_free(out);
            return LK_FAIL(LK_ERR_SYSTEM, "out of memory: the path of %s", tensors[i].path);
        }
    }
    return LK_OK;
}

bool lk_layout_equal(const lk_layout *layout, const lk_ckpt_tensor *tensors, size_t n)
{
    if (!layout->tensor || layout->n != n) return false;
    for (size_t i = 0; i < n; i++)
        if (strcmp(layout->tensor[i].path, tensors[i].path) != 0 || layout->tensor[i].n_elem != tensors[i].n_elem ||
            !lk_tensor_same_shape(&layout->tensor[i], &tensors[i]))
            return false;
    return true;
}

void lk_layout_free(lk_layout *layout)
{
    for (size_t i = 0; i < layout->n; i++) free((char *)layout->tensor[i].path);
    free(layout->tensor);
    *layout = (lk_layout){0};
}
