/*
 * What features depend on, in one hash: the machine (on another one the same layers have other bits), the frozen
 * layers with their shapes and weights, the size of a piece, the data and what transforms make of them.  Rows on disk
 * under another key are computed again.
 */
#include "launch/job/features.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void put_line(void *arg, const char *line) { fprintf(arg, "%s\n", line); }

static void put_machine(const job *j, FILE *text)
{
#define PUT(field, type, need, path) fprintf(text, path " %s\n", j->machine.field);
    MACHINE_PROMISE_LIST(PUT)
#undef PUT
    fprintf(text, "precision %d plugin %s\n", (int)j->recipe->engine.precision, j->plugin_hash);
}

/* All that the stage leaves as it is, whether or not it lies in front. */
static lk_status put_weights(job *j, FILE *text)
{
    float *params;
    char hash[LK_HASH_BYTES];

    LK_TRY(job_host_read(j, j->params, lk_model_n_elem(j->model), &params));
    for (size_t i = 0; i < lk_model_n_tensors(j->model); i++) {
        const lk_tensor_info *info = lk_model_tensor(j->model, i);

        if (lk_trainable_offset(j->trainable, i) != SIZE_MAX) continue;
        lk_hash_bytes(params + info->offset, info->n_elem * sizeof *params, hash);
        fprintf(text, "%s %s\n", info->name, hash);
    }
    return LK_OK;
}

static lk_status put_data(const job *j, const features *f, FILE *text)
{
    char hash[LK_HASH_BYTES];

    fprintf(text, "data %s %s\n", f->mode == LK_TRAIN ? j->data_hash.train : j->data_hash.validation,
            lk_dataset_fields(f->data));
    LK_TRY(lk_dataset_hash_drawn(f->data, f->mode == LK_TRAIN, j->recipe->run.seed, hash));
    fprintf(text, "drawn %s\n", hash);
    return LK_OK;
}

static lk_status put_all(job *j, const features *f, FILE *text)
{
    const lk_program program = {.mode = f->mode, .n = f->piece, .side = LK_SIDE_FROZEN};

    put_machine(j, text);
    fprintf(text, "piece %" PRId64 " row %zu\n", f->piece, f->row_nbytes);
    LK_TRY(lk_engine_plan_print(j->engine, &program, put_line, text));
    LK_TRY(put_weights(j, text));
    return put_data(j, f, text);
}

lk_status features_key(job *j, const features *f, char out[LK_HASH_BYTES])
{
    char *text = NULL;
    size_t nbytes;
    FILE *stream = open_memstream(&text, &nbytes);

    if (!stream) return LK_FAIL(LK_ERR_SYSTEM, "out of memory: the key of features");
    lk_status status = put_all(j, f, stream);
    if (fclose(stream) != 0 && status == LK_OK) status = LK_FAIL(LK_ERR_SYSTEM, "out of memory: the key of features");
    if (status == LK_OK) lk_hash_bytes(text, nbytes, out);
    free(text);
    return status;
}
