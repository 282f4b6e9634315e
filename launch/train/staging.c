/*
 * The arrays of a save.  What lies on a device is copied to page-locked memory while training goes on: updates wait for
 * the copy, lanes do not, and the thread that writes waits for it (lk_saver_set_source()).
 */
#include "launch/train/staging.h"

#include <stdlib.h>
#include <string.h>

/* Which array of a save; the states are ARRAY_STATE and those behind it. */
enum { ARRAY_WEIGHTS, ARRAY_STATE, ARRAY_EMA = STAGED_ARRAYS - 1 };

void staging_free_lists(tensor_lists *lists)
{
    for (int i = 0; i < lists->n_arrays; i++) free_tensors(&lists->array[i].tensors, lists->array[i].n);
    free(lists->all);
}

/* Page-locked memory for array number i, kept for the next save. */
static lk_status take(staging *s, job *j, int i, size_t n_elem, float **out)
{
    if (s->n_elem[i] < n_elem) {
        lk_engine_host_release(j->engine, &s->array[i]);
        s->n_elem[i] = 0;
        LK_TRY(lk_engine_host_alloc(j->engine, n_elem * sizeof(float), (void **)&s->array[i]));
        s->n_elem[i] = n_elem;
    }
    *out = s->array[i];
    return LK_OK;
}

void staging_free(staging *s, job *j)
{
    for (int i = 0; i < STAGED_ARRAYS; i++)
        if (s->array[i]) lk_engine_host_release(j->engine, &s->array[i]);
}

static lk_status append(tensor_lists *lists, const lk_ckpt_tensor *tensors, size_t n)
{
    lk_ckpt_tensor *grown = realloc(lists->all, (lists->n + n) * sizeof *grown);

    LK_TRY_ALLOC(grown, (lists->n + n) * sizeof *grown);
    memcpy(grown + lists->n, tensors, n * sizeof *grown);
    lists->all = grown;
    lists->n += n;
    return LK_OK;
}

/* Adds the tensors of array number `number`: of the parameter arena's shape, or, with a set, of one of its packed
 * arrays. */
static lk_status add(staging *s, job *j, int number, const char *prefix, const lk_trainable *trainable, float *device,
                     bool read, tensor_lists *lists)
{
    const size_t n_elem = trainable ? lk_trainable_n_elem(trainable) : lk_model_n_elem(j->model);
    const int i = lists->n_arrays++;
    float *base = device;

    lists->array[i].device = device;
    lists->array[i].n_elem = n_elem;
    if (lk_engine_on_device(j->engine)) {
        LK_TRY(take(s, j, number, n_elem, &base));
        lists->array[i].staged = base;
        if (read) LK_TRY(lk_engine_snapshot(j->engine, base, device, n_elem * sizeof *base));
    }
    LK_TRY(list_tensors(j->model, prefix, trainable, base, &lists->array[i].tensors, &lists->array[i].n));
    return append(lists, lists->array[i].tensors, lists->array[i].n);
}

/* The whole array of a state. */
static float *state_array(const job *j, int s)
{
    size_t first = 0;

    while (!lk_trainable_has(j->trainable, first)) first++; /* the first tensor that trains lies at its beginning */
    return lk_optimizer_state(j->optimizer, s, first);
}

/* Of a state that is held in part, the rows that are, where they are. */
static lk_status add_held(job *j, const char *prefix, int s, tensor_lists *lists)
{
    const int i = lists->n_arrays++;
    size_t n = 0;

    LK_TRY(list_tensors(j->model, prefix, j->trainable, NULL, &lists->array[i].tensors, &lists->array[i].n));
    for (size_t t = 0; t < lk_model_n_tensors(j->model); t++) {
        if (!lk_trainable_has(j->trainable, t)) continue;
        lk_ckpt_tensor *tensor = &lists->array[i].tensors[n++];

        tensor->is_part = true;
        lk_optimizer_rows(j->optimizer, t, &tensor->begin, &tensor->end);
        tensor->data = lk_optimizer_state(j->optimizer, s, t);
    }
    return append(lists, lists->array[i].tensors, lists->array[i].n);
}

lk_status staging_shared(staging *s, job *j, bool read, tensor_lists *out)
{
    char prefix[64];

    LK_TRY(add(s, j, ARRAY_WEIGHTS, "model", NULL, j->params, read, out));
    for (int k = 0; k < lk_optimizer_n_states(j->optimizer); k++) {
        snprintf(prefix, sizeof prefix, "optimizer/%s", lk_optimizer_state_name(j->optimizer, k));
        if (j->shards) LK_TRY(add_held(j, prefix, k, out));
        else LK_TRY(add(s, j, ARRAY_STATE + k, prefix, j->trainable, state_array(j, k), read, out));
    }
    return LK_OK;
}

lk_status staging_leader(staging *s, job *j, bool read, tensor_lists *out)
{
    return j->ema ? add(s, j, ARRAY_EMA, "ema", NULL, lk_ema_params(j->ema), read, out) : LK_OK;
}

lk_status staging_upload(const job *j, const tensor_lists *lists)
{
    for (int i = 0; i < lists->n_arrays; i++)
        if (lists->array[i].staged)
            LK_TRY(lk_engine_write(j->engine, lists->array[i].device, lists->array[i].staged,
                                   lists->array[i].n_elem * sizeof(float)));
    return LK_OK;
}
