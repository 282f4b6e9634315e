/*
 * What weights are taken from: a checkpoint, of a run or by its folder, or a file of others' weights.  All workers open
 * the same one; of a file each knows by the hash of its bytes that it has what rank 0 has.
 */
#include "launch/launch.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

bool is_weights_file(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0 && !S_ISDIR(info.st_mode);
}

lk_status open_weights(const char *path, const char *prefix, lk_weights **out)
{
    lk_checkpoint *checkpoint = NULL;

    *out = NULL;
    if (is_weights_file(path)) return lk_weights_open(path, out);
    LK_TRY(open_checkpoint(path, &checkpoint));
    LK_TRY(lk_weights_of(checkpoint, prefix, out));
    if (lk_weights_n(*out) > 0) return LK_OK;
    const lk_status status = LK_FAIL(LK_ERR_USAGE, "%s has no EMA: its run had no section ema", lk_weights_path(*out));
    lk_weights_free(out);
    return status;
}

/* ------------------------------------------------------------- on all workers */

static lk_status open_file(job *j, const char *path, lk_weights **out)
{
    char own[LK_HASH_BYTES] = "", first[LK_HASH_BYTES];
    lk_status status = lk_weights_open(path, out);

    if (status == LK_OK && lk_world_size(j->world) > 1) status = lk_weights_hash(*out, own);
    LK_TRY(job_agree(j, status));
    memcpy(first, own, sizeof first);
    LK_TRY(lk_world_broadcast(j->world, first, sizeof first));
    status = strcmp(first, own) == 0 ? LK_OK
        : LK_FAIL(LK_ERR_CHECKPOINT, "%s: the file that this worker has is not rank 0's: every host must have the same "
                  "weights", path);
    return job_agree(j, status);
}

lk_status job_open_source(job *j, const char *path, lk_checkpoint **checkpoint, lk_weights **weights)
{
    int64_t is_file = is_weights_file(path);

    lk_world_progress(j->world, j->step, "read checkpoint");
    LK_TRY(lk_world_broadcast(j->world, &is_file, sizeof is_file));
    return is_file ? open_file(j, path, weights) : job_open_checkpoint(j, path, checkpoint);
}

/* -------------------------------------------------------------- eval and predict */

lk_status job_need_checkpoint(job *j, const options *opt)
{
    LK_TRY(opt->checkpoint ? job_open_source(j, opt->checkpoint, &j->checkpoint, &j->weights) : job_open_newest(j));
    if (j->checkpoint || j->weights) return LK_OK;
    j->agreed = true;
    return LK_FAIL(LK_ERR_CHECKPOINT, "no checkpoint in %s: train first, or name one with --checkpoint",
                   opt->checkpoint ? opt->checkpoint : j->recipe->run.dir);
}

/* Every tensor of both sides must fit: what is made of a part of a file is a run of its own. */
static lk_status load_file(lk_weights *weights, const lk_ckpt_tensor *tensors, size_t n)
{
    lk_weight_match *match;

    LK_TRY(lk_weight_match_new(tensors, n, lk_weights_tensor(weights, 0), lk_weights_n(weights), &(lk_words){0},
                               &match));
    lk_status status = lk_weight_match_check(match, true);
    if (status == LK_OK) status = lk_weight_match_load(match, weights);
    else
        status = LK_FAIL(status, "%s: %s: keys of init_from, with which `lockstep train` and train.epochs=0 make a run "
                         "of it", lk_weights_path(weights), lk_error_message());
    lk_weight_match_free(&match);
    return status;
}

static lk_status load_model(job *j, const char *prefix)
{
    const size_t n_elem = lk_model_n_elem(j->model);
    lk_ckpt_tensor *tensors = NULL;
    size_t n = 0;
    float *host;

    lk_world_progress(j->world, j->step, "read checkpoint");
    LK_TRY(job_host_room(j, j->params, n_elem, &host));
    lk_status status = list_tensors(j->model, prefix, NULL, host, &tensors, &n);
    if (status == LK_OK && j->weights) status = load_file(j->weights, tensors, n);
    else if (status == LK_OK) status = lk_checkpoint_load(j->checkpoint, tensors, n);
    if (status == LK_OK && j->leader)
        odd_say_of_model(j->model, host, j->weights ? lk_weights_path(j->weights) : lk_checkpoint_path(j->checkpoint));
    if (status == LK_OK) status = job_host_write(j, j->params, host, n_elem);
    free_tensors(&tensors, n);
    return status;
}

lk_status job_load_model(job *j, const char *prefix)
{
    const lk_status status = load_model(j, prefix);

    j->params_version = ++j->last_version;
    return job_agree(j, status);
}
