/* The end of a run: summary.json for programs, and a few lines for people (watch.c). */
#include "launch/train/trainer.h"

#include <inttypes.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

static lk_status put_digest(trainer *t, const char *key, const float *device, lk_metadata *metadata)
{
    job *j = t->j;
    lk_ckpt_tensor *tensors = NULL;
    size_t n = 0;
    char digest[33];
    float *weights;

    LK_TRY(job_host_read(j, device, lk_model_n_elem(j->model), &weights));
    lk_status status = list_tensors(j->model, "model", NULL, weights, &tensors, &n);
    if (status == LK_OK) status = lk_digest(tensors, n, "model/", digest);
    if (status == LK_OK) status = lk_metadata_set_text(metadata, key, digest);
    free_tensors(&tensors, n);
    return status;
}

static lk_status put_metric_values(const metrics *set, const char *group, const double *values, lk_metadata *metadata)
{
    char path[METRIC_NAME_BYTES + 16];

    for (int i = 0; i < set->n; i++) {
        snprintf(path, sizeof path, "%s/%s", group, set->name[i]);
        LK_TRY(lk_metadata_set_real(metadata, path, values[i]));
    }
    return LK_OK;
}

static lk_status fill_summary(trainer *t, lk_metadata *metadata)
{
    job *j = t->j;

    LK_TRY(lk_metadata_set_text(metadata, "name", j->recipe->run.name));
    LK_TRY(lk_metadata_set_int(metadata, "epochs", t->epoch));
    LK_TRY(lk_metadata_set_int(metadata, "steps", j->step));
    LK_TRY(lk_metadata_set_text(metadata, "stopped", t->stopped));
    LK_TRY(lk_metadata_set_int(metadata, "workers", lk_world_size(j->world)));
    LK_TRY(lk_metadata_set_int(metadata, "lanes", j->lanes));
    LK_TRY(lk_metadata_set_text(metadata, "engine", lk_engine_name(j->engine)));
    LK_TRY(lk_metadata_set_int(metadata, "samples", t->samples));
    LK_TRY(lk_metadata_set_real(metadata, "seconds", lk_seconds() - t->started));
    LK_TRY(lk_metadata_set_real(metadata, "samples_per_second", samples_per_second(t)));
    LK_TRY(lk_metadata_set_real(metadata, "seconds_waiting_for_reduction", t->seconds_waited));
    LK_TRY(put_digest(t, "digest", j->params, metadata));
    if (j->ema) LK_TRY(put_digest(t, "ema_digest", lk_ema_params(j->ema), metadata));
    LK_TRY(put_metric_values(&j->metrics, "metrics", j->metrics.last, metadata));
    return put_metric_values(&j->metrics, "best", j->metrics.best, metadata);
}

lk_status leader_summary(trainer *t)
{
    lk_metadata *metadata = NULL;
    char path[PATH_BYTES];

    snprintf(path, sizeof path, "%s/summary.json", t->j->recipe->run.dir);
    lk_progress_free(&t->progress);
    if (t->samples == 0 && access(path, F_OK) == 0) {
        printf("%s: nothing left to do: stopped by %s after %" PRId64 " epoch%s; see %s\n", t->j->recipe->run.name,
               t->stopped, t->epoch, plural(t->epoch), path);
        return LK_OK;
    }
    LK_TRY(lk_journal_write(t->journal, t->j->step, "end", "stopped by %s", t->stopped));
    LK_TRY(lk_metadata_new(&metadata));
    lk_status status = fill_summary(t, metadata);
    if (status == LK_OK) status = lk_summary_write(path, metadata);
    if (status == LK_OK) watch_end(t, path);
    lk_metadata_free(&metadata);
    return status;
}
