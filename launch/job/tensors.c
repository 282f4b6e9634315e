/* The model's tensors under the paths that checkpoints use: "model/NAME", "optimizer/exp_avg/NAME", "ema/NAME". */
#include "launch/job/shards.h"

#include <stdlib.h>
#include <string.h>

lk_status list_tensors(const lk_model *model, const char *prefix, const lk_trainable *trainable, float *base,
                       lk_ckpt_tensor **tensors, size_t *n)
{
    const size_t all = lk_model_n_tensors(model);

    *n = 0;
    *tensors = calloc(all ? all : 1, sizeof **tensors);
    LK_TRY_ALLOC(*tensors, all * sizeof **tensors);
    for (size_t i = 0; i < all; i++) {
        const lk_tensor_info *info = lk_model_tensor(model, i);
        char *path;

        if (trainable && !lk_trainable_has(trainable, i)) continue;
        if (asprintf(&path, "%s/%s", prefix, info->name) < 0)
            return LK_FAIL(LK_ERR_SYSTEM, "out of memory for the name of %s", info->name);
        lk_ckpt_tensor *t = &(*tensors)[(*n)++];
        t->path = path;
        t->ndim = info->ndim;
        memcpy(t->shape, info->shape, sizeof t->shape);
        t->n_elem = info->n_elem;
        t->data = base ? base + (trainable ? lk_trainable_offset(trainable, i) : info->offset) : NULL;
    }
    return LK_OK;
}

void free_tensors(lk_ckpt_tensor **tensors, size_t n)
{
    if (!*tensors) return;
    for (size_t i = 0; i < n; i++) free((char *)(*tensors)[i].path);
    free(*tensors);
    *tensors = NULL;
}

size_t count_weights(const lk_model *model)
{
    size_t n = 0;

    for (size_t i = 0; i < lk_model_n_tensors(model); i++)
        if (lk_model_tensor(model, i)->role == LK_ROLE_PARAM) n += lk_model_tensor(model, i)->n_elem;
    return n;
}

size_t save_nbytes(const job *j, const lk_trainable *trainable, int n_states)
{
    const bool ema = j->leader && j->recipe->has_ema;
    const size_t n_model = lk_model_n_elem(j->model), n_trainable = lk_trainable_n_elem(trainable);
    size_t n_elem = 0;

    for (size_t i = 0; i < lk_model_n_tensors(j->model); i++) {
        const lk_tensor_info *info = lk_model_tensor(j->model, i);
        const size_t states = lk_trainable_has(trainable, i) ? (size_t)n_states : 0;

        n_elem += shards_saved_elems(j, NULL, i) + (ema ? info->n_elem : 0);
        if (states) n_elem += states * shards_saved_elems(j, trainable, i);
    }
    if (lk_engine_on_device(j->engine)) n_elem += n_model + (size_t)n_states * n_trainable + (ema ? n_model : 0);
    return n_elem * sizeof(float);
}
