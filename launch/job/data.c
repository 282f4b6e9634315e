/*
 * The data of a job: opened by every worker for itself, then compared, for workers that learn from different files
 * would end with status 0 and weights that mean nothing; and compared with what a checkpoint was trained on.
 *
 * What a checkpoint keeps of the data (columns, categories, statistics, classes, shapes) is all that another file
 * needs to be read like it, so eval and predict open the file they look at, and no other.  Weights from a file come
 * without, so that the recipe's training part is asked.
 */
#include "launch/job/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void say_warnings(const job *j, const char *line)
{
    while (j->leader && line && *line) {
        const size_t n = strcspn(line, "\n");
        fprintf(stderr, "lockstep: warning: %.*s\n", (int)n, line);
        line += n + (line[n] == '\n');
    }
}

/* Whether the data are such as the run was trained on; checkpoints of earlier versions do not say. */
static lk_status check_fields(const job *j, const char *saved)
{
    char *differences;

    if (!saved) return LK_OK;
    const lk_status status = lk_dataset_compare_fields(j->train ? j->train : j->validation, saved, &differences);
    say_warnings(j, differences);
    free(differences);
    if (status == LK_OK) return LK_OK;
    return LK_FAIL(status, "%s: %s", lk_checkpoint_path(j->checkpoint), lk_error_message());
}

/* The statistics that a run of the recipe would begin with. */
static lk_status fit_to_training(const job *j, char **stats)
{
    lk_dataset *train, *validation;
    const lk_status status =
        lk_dataset_open(&j->recipe->data, j->recipe->model.loss.kind, NULL, &train, &validation);

    if (status != LK_OK)
        return LK_FAIL(status, "%s (for the statistics of training, which %s comes without)", lk_error_message(),
                       lk_weights_path(j->weights));
    *stats = strdup(lk_dataset_stats(train));
    lk_dataset_free(&validation);
    lk_dataset_free(&train);
    LK_TRY_ALLOC(*stats, 1, "the statistics of training");
    return LK_OK;
}

static lk_status open_file(job *j, const char *stats)
{
    return lk_dataset_open_file(&j->recipe->data, j->recipe->model.loss.kind, stats, j->look_at.file,
                                j->look_at.labels, j->look_at.need_target, &j->validation);
}

static lk_status open_words(job *j, const char *stats)
{
    return lk_languages_open(&j->recipe->data, stats, &j->languages);
}

static lk_status open_codec(job *j, const char *stats) { return lk_codec_open(&j->recipe->data, stats, &j->codec); }

/* Without the training data, where a checkpoint has their statistics. */
static lk_status open_by_statistics(job *j, const char *saved, lk_status (*open)(job *j, const char *stats))
{
    char *fitted = NULL;

    if (!saved && j->weights) LK_TRY(fit_to_training(j, &fitted));
    const lk_status status = open(j, saved ? saved : fitted);
    free(fitted);
    return status;
}

/* Where the training part has no say in what tokens are, it is not looked at either. */
static lk_status open_text(job *j, const char *stats)
{
    return lk_codec_is_fitted(&j->recipe->data) ? open_by_statistics(j, stats, open_codec) : open_codec(j, stats);
}

lk_status job_open_data(job *j)
{
    const lk_data_spec *spec = &j->recipe->data;
    const lk_loss_kind loss = j->recipe->model.loss.kind;
    run_state saved = {.data_stats = NULL, .data_fields = NULL};

    if (j->checkpoint) LK_TRY(state_get(lk_checkpoint_metadata(j->checkpoint), &saved));
    const char *stats = saved.data_stats;
    if (j->words_alone) return job_blame_key(j, open_by_statistics(j, stats, open_words));
    if (j->text_alone) return job_blame_key(j, open_text(j, stats));
    if (j->look_at.file) LK_TRY(job_blame_key(j, open_by_statistics(j, stats, open_file)));
    else LK_TRY(job_blame_key(j, lk_dataset_open(spec, loss, stats, &j->train, &j->validation)));
    if (j->train) say_warnings(j, lk_dataset_warnings(j->train));
    LK_TRY(check_fields(j, saved.data_fields));
    if (j->train) LK_TRY(lk_dataset_hash(j->train, j->data_hash.train));
    return j->validation ? lk_dataset_hash(j->validation, j->data_hash.validation) : LK_OK;
}

void job_look_at(job *j, const options *opt, bool need_target)
{
    const lk_data_spec *spec = &j->recipe->data;

    j->look_at.file = opt->data ? opt->data : spec->validation;
    j->look_at.labels = opt->data ? opt->labels : spec->validation_labels;
    j->look_at.need_target = need_target;
    j->look_at.whole = true;
}

/* --------------------------------------------------------------- comparison */

static lk_status differs(const job *j, const char *file, const char *what)
{
    return LK_FAIL(LK_ERR_DATA, "%s: the %s that this worker reads (%lld samples) is not what rank 0 reads: every host "
                   "must have the same file", file ? file : "generated data", what,
                   (long long)lk_dataset_n(j->train ? j->train : j->validation));
}

lk_status job_compare_data(job *j)
{
    const lk_data_spec *spec = &j->recipe->data;
    data_hash first = j->data_hash;

    LK_TRY(lk_world_broadcast(j->world, &first, sizeof first));
    if (strcmp(first.train, j->data_hash.train) != 0) return differs(j, spec->train, "training data");
    if (strcmp(first.validation, j->data_hash.validation) != 0)
        return differs(j, j->look_at.file ? j->look_at.file : spec->validation ? spec->validation : spec->train,
                       "validation data");
    return LK_OK;
}

/* Checkpoints of earlier versions have no hash, and nothing to compare. */
static bool is_as_saved(const char *saved, const char *now) { return !saved || strcmp(saved, now) == 0; }

lk_status job_check_data(job *j, const char *saved_train, const char *saved_validation, bool within_epoch)
{
    const bool train = is_as_saved(saved_train, j->data_hash.train);
    const bool validation = is_as_saved(saved_validation, j->data_hash.validation);

    if (train && validation) return LK_OK;
    if (!train && within_epoch)
        return LK_FAIL(LK_ERR_DATA, "%s: data: the training data are not those that the checkpoint was trained on, and "
                       "it lies within an epoch; restore them, or resume from the end of an epoch", j->recipe->path);
    j->data_changed = train ? "the validation data" : validation ? "the training data" : "training and validation data";
    if (j->leader)
        fprintf(stderr, "lockstep: warning: %s changed since the checkpoint was saved; its statistics stay in use\n",
                j->data_changed);
    return LK_OK;
}
