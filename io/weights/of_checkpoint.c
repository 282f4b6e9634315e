/* A checkpoint's tensors of one kind as a source of named tensors. */
#include <stdlib.h>
#include <string.h>

#include "io/weights/parts.h"

static lk_status read(lk_weights *weights, size_t i, int64_t begin, int64_t end, float *out)
{
    return lk_checkpoint_read(weights->inside, weights->tensor[i].path, begin, end, out);
}

static const char *type(const lk_weights *weights, size_t i)
{
    (void)weights, (void)i;
    return "F32";
}

static const lk_metadata *metadata(const lk_weights *weights) { return lk_checkpoint_metadata(weights->inside); }

/* Its files are known by checksums of their own. */
static lk_status hash(const lk_weights *weights, char out[LK_HASH_BYTES])
{
    (void)weights;
    *out = '\0';
    return LK_OK;
}

static void close_it(lk_weights *weights)
{
    lk_checkpoint *checkpoint = weights->inside;

    lk_checkpoint_free(&checkpoint);
}

static lk_status list(const lk_checkpoint *checkpoint, const char *prefix, lk_weights *weights)
{
    for (size_t i = 0; i < lk_checkpoint_n_tensors(checkpoint); i++) {
        const lk_ckpt_tensor *t = lk_checkpoint_tensor(checkpoint, i);

        if (strncmp(t->path, prefix, strlen(prefix)) == 0)
            LK_TRY(lk_weights_add(weights, "", t->path, t->ndim, t->shape, t->n_elem));
    }
    return LK_OK;
}

lk_status lk_weights_of(lk_checkpoint *checkpoint, const char *prefix, lk_weights **out)
{
    static const lk_weights_kind of_checkpoint = {read, type, metadata, hash, close_it};

    *out = NULL;
    lk_status status = lk_weights_new(&of_checkpoint, lk_checkpoint_path(checkpoint),
                                      lk_checkpoint_n_tensors(checkpoint), out);
    if (status != LK_OK) lk_checkpoint_free(&checkpoint);
    else (*out)->inside = checkpoint;
    if (status == LK_OK) status = list(checkpoint, prefix, *out);
    if (status != LK_OK) lk_weights_free(out);
    return status;
}
