/* A source of named tensors, whatever it is read from. */
#include "io/weights/parts.h"

#include <stdlib.h>
#include <string.h>

#include "io/checkpoint/parts.h"
#include "io/weights/safetensors.h"

lk_status lk_weights_new(const lk_weights_kind *kind, const char *path, size_t most, lk_weights **out)
{
    lk_weights *weights = calloc(1, sizeof *weights);

    LK_TRY_ALLOC(weights, sizeof *weights);
    weights->kind = kind;
    weights->path = strdup(path);
    weights->tensor = calloc(most + 1, sizeof *weights->tensor);
    *out = weights;
    if (weights->path && weights->tensor) return LK_OK;
    lk_weights_free(out);
    return LK_FAIL(LK_ERR_SYSTEM, "out of memory: the names of %zu tensors", most);
}

lk_status lk_weights_add(lk_weights *weights, const char *prefix, const char *name, int ndim, const int64_t *shape,
                         size_t n_elem)
{
    lk_ckpt_tensor *tensor = &weights->tensor[weights->n];
    char *path;

    if (asprintf(&path, "%s%s", prefix, name) < 0) return LK_FAIL(LK_ERR_SYSTEM, "out of memory: the name of %s", name);
    *tensor = (lk_ckpt_tensor){.path = path, .ndim = ndim, .n_elem = n_elem};
    for (int d = 0; d < ndim; d++) tensor->shape[d] = shape[d];
    weights->n++;
    return LK_OK;
}

void lk_weights_free(lk_weights **weights)
{
    if (!weights || !*weights) return;
    if ((*weights)->inside) (*weights)->kind->close(*weights);
    for (size_t i = 0; (*weights)->tensor && i < (*weights)->n; i++) free((char *)(*weights)->tensor[i].path);
    free((*weights)->tensor);
    free((*weights)->path);
    lk_free(weights);
}

const char *lk_weights_path(const lk_weights *weights) { return weights->path; }
size_t lk_weights_n(const lk_weights *weights) { return weights->n; }
const lk_ckpt_tensor *lk_weights_tensor(const lk_weights *weights, size_t i) { return &weights->tensor[i]; }
const char *lk_weights_type(const lk_weights *weights, size_t i) { return weights->kind->type(weights, i); }
bool lk_weights_are_real(const lk_weights *weights, size_t i)
{
    return lk_safe_type_find(lk_weights_type(weights, i))->to_f32 != NULL;
}

const lk_metadata *lk_weights_metadata(const lk_weights *weights) { return weights->kind->metadata(weights); }
lk_status lk_weights_hash(const lk_weights *weights, char out[LK_HASH_BYTES])
{
    return weights->kind->hash(weights, out);
}

lk_status lk_weights_read(lk_weights *weights, size_t i, float *out)
{
    return weights->kind->read(weights, i, 0, lk_tensor_rows(&weights->tensor[i]), out);
}

static lk_status read_rows(void *of, size_t i, int64_t begin, int64_t end, float *out)
{
    lk_weights *weights = of;

    return weights->kind->read(weights, i, begin, end, out);
}

lk_status lk_weights_digest(lk_weights *weights, char out[LK_HASH_BYTES])
{
    const char *first = weights->n ? weights->tensor[0].path : "";
    char prefix[64];

    snprintf(prefix, sizeof prefix, "%.*s", (int)(strcspn(first, "/") + 1), first);
    return lk_digest_read(weights->tensor, weights->n, prefix, read_rows, weights, out);
}
