/*
 * Saving and restoring a run.  Every worker writes its rows of what all hold alike (weights, optimizer states); the
 * leader adds the EMA and everything that warms up: schedule, early stop, position in the data, metrics.
 *
 * What lies on a device is copied to page-locked memory while training goes on (updates wait for it, lanes do not), and
 * the thread that writes waits for the copy.
 *
 * A save overlaps the steps after it.  When every worker's vote says that its part is on disk, the leader's next order
 * publishes it; a save that is still in flight when the next is due is waited for.
 */
#include "launch/train/trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 4096 };

/* -------------------------------------------------------------------- metadata */

static lk_status put_metrics(const metrics *set, lk_metadata *metadata)
{
    char path[METRIC_NAME_BYTES + 32];

    for (int i = 0; i < set->n; i++) {
        snprintf(path, sizeof path, "metrics/last/%s", set->name[i]);
        LK_TRY(lk_metadata_set_real(metadata, path, set->last[i]));
        snprintf(path, sizeof path, "metrics/best/%s", set->name[i]);
        LK_TRY(lk_metadata_set_real(metadata, path, set->best[i]));
    }
    return LK_OK;
}

/* A metric the earlier run did not compute stays unknown. */
static void get_metrics(metrics *set, const lk_metadata *metadata)
{
    char path[METRIC_NAME_BYTES + 32];

    for (int i = 0; i < set->n; i++) {
        snprintf(path, sizeof path, "metrics/last/%s", set->name[i]);
        if (lk_metadata_get_real(metadata, path, &set->last[i]) != LK_OK) set->last[i] = NAN;
        snprintf(path, sizeof path, "metrics/best/%s", set->name[i]);
        if (lk_metadata_get_real(metadata, path, &set->best[i]) != LK_OK) set->best[i] = NAN;
    }
}

static lk_status put_run(const trainer *t, lk_metadata *metadata)
{
    const job *j = t->j;
    const lk_recipe *r = j->recipe;

    LK_TRY(lk_metadata_set_text(metadata, "run/recipe", r->text));
    LK_TRY(lk_metadata_set_text(metadata, "run/version", LK_VERSION));
    LK_TRY(lk_metadata_set_int(metadata, "run/seed", (int64_t)r->run.seed));
    LK_TRY(lk_metadata_set_int(metadata, "run/lanes", j->lanes));
    LK_TRY(lk_metadata_set_int(metadata, "run/batch", r->train.batch));
    LK_TRY(lk_metadata_set_int(metadata, "run/step", j->step));
    LK_TRY(lk_metadata_set_text(metadata, "run/stopped", t->stopped ? t->stopped : ""));
    LK_TRY(lk_metadata_set_text(metadata, "data/stats", lk_dataset_stats(j->train)));
    LK_TRY(lk_metadata_set_int(metadata, "data/samples", lk_dataset_n(j->train)));
    LK_TRY(lk_metadata_set_int(metadata, "stage/index", j->stage));
    LK_TRY(lk_metadata_set_text(metadata, "stage/name", r->stage ? r->stage : ""));
    LK_TRY(lk_metadata_set_int(metadata, "stage/first_step", t->stage_step));
    LK_TRY(lk_metadata_set_int(metadata, "stage/first_epoch", t->stage_epoch));
    LK_TRY(lk_metadata_set_int(metadata, "stage/over", t->stage_over));
    LK_TRY(lk_metadata_set_int(metadata, "loader/epoch", t->epoch));
    LK_TRY(lk_metadata_set_int(metadata, "loader/batch", t->index));
    LK_TRY(lk_metadata_set_real(metadata, "loader/loss_sum", t->loss_sum));
    LK_TRY(lk_metadata_set_real(metadata, "loader/loss_terms", t->loss_terms));
    return put_metrics(&j->metrics, metadata);
}

/* What early stopping looks at: its state means nothing for another metric. */
static const char *early_stop_metric(const lk_recipe *r)
{
    return r->train.has_early_stop ? r->train.early_stop.metric : "";
}

/* Steps of the tensors that train, so a resumed run finds those that joined later. */
static lk_status put_optimizer_steps(const job *j, lk_metadata *metadata)
{
    char path[PATH_BYTES];

    for (size_t i = 0; i < lk_model_n_tensors(j->model); i++) {
        if (!lk_trainable_has(j->trainable, i)) continue;
        snprintf(path, sizeof path, "optimizer/step/%s", lk_model_tensor(j->model, i)->name);
        LK_TRY(lk_metadata_set_int(metadata, path, lk_optimizer_step(j->optimizer, i)));
    }
    return LK_OK;
}

static lk_status get_optimizer_steps(job *j, const lk_metadata *metadata)
{
    char path[PATH_BYTES];
    int64_t step;

    for (size_t i = 0; i < lk_model_n_tensors(j->model); i++) {
        if (!lk_trainable_has(j->trainable, i)) continue;
        snprintf(path, sizeof path, "optimizer/step/%s", lk_model_tensor(j->model, i)->name);
        LK_TRY(lk_metadata_get_int(metadata, path, &step));
        lk_optimizer_set_step(j->optimizer, i, step);
    }
    return LK_OK;
}

static lk_status put_state(const trainer *t, lk_metadata *metadata)
{
    const job *j = t->j;
    const lk_recipe *r = j->recipe;

    LK_TRY(put_optimizer_steps(j, metadata));
    if (j->ema) {
        LK_TRY(lk_metadata_set_int(metadata, "averaging/step", lk_ema_step(j->ema)));
        LK_TRY(lk_metadata_set_int(metadata, "averaging/started", lk_ema_started(j->ema)));
    }
    LK_TRY(hyperparams_save(&t->hyperparams, metadata));
    LK_TRY(lk_metadata_set_text(metadata, "early_stop/metric", early_stop_metric(r)));
    LK_TRY(lk_metadata_set_real(metadata, "early_stop/best", t->early_stop.best));
    LK_TRY(lk_metadata_set_int(metadata, "early_stop/num_bad", t->early_stop.num_bad));
    LK_TRY(lk_metadata_set_text(metadata, "best/metric", r->train.best_metric));
    return lk_metadata_set_real(metadata, "best/value", t->best);
}

/* ------------------------------------------------------------------ tensors */

/* Lists of tensors that belong together in a save, with what they own. */
typedef struct tensor_lists {
    lk_ckpt_tensor *all;
    size_t n;
    struct { lk_ckpt_tensor *tensors; size_t n; } list[STAGED_ARRAYS];
    int n_lists;
    float *staged[STAGED_ARRAYS]; /* borrowed: the host's copies of a device's memory; NULL where the host sees it */
} tensor_lists;

static void free_lists(tensor_lists *lists)
{
    for (int i = 0; i < lists->n_lists; i++) free_tensors(&lists->list[i].tensors, lists->list[i].n);
    free(lists->all);
}

/* Page-locked memory for array number i of a save, kept for the next one. */
static lk_status stage(trainer *t, int i, size_t n_elem, float **out)
{
    job *j = t->j;

    if (t->staged_elem[i] < n_elem) {
        lk_engine_host_release(j->engine, &t->staged[i]);
        t->staged_elem[i] = 0;
        LK_TRY(lk_engine_host_alloc(j->engine, n_elem * sizeof(float), (void **)&t->staged[i]));
        t->staged_elem[i] = n_elem;
    }
    *out = t->staged[i];
    return LK_OK;
}

void saving_close(trainer *t)
{
    lk_saver_free(&t->saver); /* first: its thread reads what follows */
    for (int i = 0; i < STAGED_ARRAYS; i++)
        if (t->staged[i]) lk_engine_host_release(t->j->engine, &t->staged[i]);
}

/* Adds the tensors of array number `array`: of an arena, or, with a set, of one of its packed arrays; read: its contents
 * are wanted, not only room for them. */
static lk_status add_list(trainer *t, tensor_lists *lists, int array, const char *prefix, const lk_trainable *trainable,
                          float *device, bool read)
{
    job *j = t->j;
    const int i = lists->n_lists;
    const size_t n_elem = trainable ? lk_trainable_n_elem(trainable) : lk_model_n_elem(j->model);
    float *base = device;

    lists->n_lists++;
    if (lk_engine_on_device(j->engine)) {
        LK_TRY(stage(t, array, n_elem, &base));
        lists->staged[i] = base;
        if (read) LK_TRY(lk_engine_snapshot(j->engine, base, device, n_elem * sizeof *base));
    }
    LK_TRY(list_tensors(j->model, prefix, trainable, base, &lists->list[i].tensors, &lists->list[i].n));
    const size_t added = lists->list[i].n;
    lk_ckpt_tensor *grown = realloc(lists->all, (lists->n + added) * sizeof *grown);
    LK_TRY_ALLOC(grown, (lists->n + added) * sizeof *grown);
    memcpy(grown + lists->n, lists->list[i].tensors, added * sizeof *grown);
    lists->all = grown;
    lists->n += added;
    return LK_OK;
}

/* The whole array of a state. */
static float *state_array(const job *j, int s)
{
    size_t first = 0;

    while (!lk_trainable_has(j->trainable, first)) first++; /* the first tensor that trains lies at its beginning */
    return lk_optimizer_state(j->optimizer, s, first);
}

static lk_status add_optimizer(trainer *t, tensor_lists *lists, bool read)
{
    const job *j = t->j;
    char prefix[64];

    for (int s = 0; s < lk_optimizer_n_states(j->optimizer); s++) {
        snprintf(prefix, sizeof prefix, "optimizer/%s", lk_optimizer_state_name(j->optimizer, s));
        LK_TRY(add_list(t, lists, 1 + s, prefix, j->trainable, state_array(j, s), read));
    }
    return LK_OK;
}

static lk_status list_shared(trainer *t, tensor_lists *lists, bool read)
{
    LK_TRY(add_list(t, lists, 0, "model", NULL, t->j->params, read));
    return add_optimizer(t, lists, read);
}

static lk_status list_leader(trainer *t, tensor_lists *lists, bool read)
{
    job *j = t->j;

    return j->ema ? add_list(t, lists, STAGED_ARRAYS - 1, "ema", NULL, lk_ema_params(j->ema), read) : LK_OK;
}

/* After loading: staged copies go to the engine. */
static lk_status upload(job *j, const tensor_lists *lists, int i, float *device, size_t n_elem)
{
    if (!lists->staged[i]) return LK_OK;
    return lk_engine_write(j->engine, device, lists->staged[i], n_elem * sizeof(float));
}

/* --------------------------------------------------------------------- save */

static lk_status snapshot_ready(void *engine) { return lk_engine_snapshot_wait(engine); }

lk_status saving_open(trainer *t)
{
    char dir[PATH_BYTES];
    job *j = t->j;

    snprintf(dir, sizeof dir, "%s/checkpoints", j->recipe->run.dir);
    LK_TRY(job_agree(j, lk_saver_new(dir, lk_world_rank(j->world), lk_world_size(j->world), j->recipe->checkpoint.keep,
                                     &t->saver)));
    if (lk_engine_on_device(j->engine)) lk_saver_set_source(t->saver, snapshot_ready, j->engine);
    return LK_OK;
}

static lk_status begin(trainer *t)
{
    job *j = t->j;
    tensor_lists shared = {0}, leader = {0};
    lk_metadata *metadata = NULL;

    lk_status status = list_shared(t, &shared, true);
    if (status == LK_OK && j->leader) {
        status = list_leader(t, &leader, true);
        if (status == LK_OK) status = lk_metadata_new(&metadata);
        if (status == LK_OK) status = put_run(t, metadata);
        if (status == LK_OK) status = put_state(t, metadata);
    }
    if (status == LK_OK)
        status = lk_saver_begin(t->saver, j->step, shared.all, shared.n, leader.all, leader.n, metadata);
    lk_metadata_free(&metadata);
    free_lists(&leader);
    free_lists(&shared);
    return status;
}

lk_status saving_begin(trainer *t)
{
    if (t->saved) return LK_OK;
    LK_TRY(saving_drain(t));
    t->saving_best = t->next_best;
    t->next_best = false;
    lk_world_progress(t->j->world, t->j->step, "checkpoint");
    LK_TRY(job_agree(t->j, begin(t)));
    t->all_written = false; /* the votes of this step spoke of the save before */
    t->saved = true;
    return LK_OK;
}

lk_status saving_publish(trainer *t)
{
    job *j = t->j;

    lk_world_progress(j->world, j->step, "publish checkpoint");
    LK_TRY(job_agree(j, j->leader ? lk_saver_publish(t->saver, t->saving_best) : lk_saver_finish(t->saver)));
    if (!j->leader) return LK_OK;
    return lk_journal_write(t->journal, j->step, "checkpoint", "published%s", t->saving_best ? ", the best so far" : "");
}

lk_status saving_drain(trainer *t)
{
    if (!lk_saver_busy(t->saver)) return LK_OK;
    lk_world_progress(t->j->world, t->j->step, "write checkpoint");
    LK_TRY(job_agree(t->j, lk_saver_wait(t->saver)));
    return saving_publish(t);
}

/* ------------------------------------------------------------------ restore */

static lk_status same(const trainer *t, const lk_metadata *metadata, const char *path, const char *key, int64_t now)
{
    const lk_recipe *r = t->j->recipe;
    int64_t saved;

    LK_TRY(lk_metadata_get_int(metadata, path, &saved));
    if (saved == now) return LK_OK;
    return LK_FAIL(LK_ERR_USAGE, "%s: %s: the checkpoint was trained with %lld, the recipe says %lld; "
                   "restore it, or start a new run without --resume", lk_recipe_where(r, key), key,
                   (long long)saved, (long long)now);
}

static bool says(const lk_metadata *metadata, const char *path, const char *text)
{
    const char *saved;

    return lk_metadata_get_text(metadata, path, &saved) == LK_OK && strcmp(saved, text) == 0;
}

/* A run that stopped early goes on when the recipe no longer asks for that: with more patience, or without. */
static lk_status restore_early_stop(trainer *t, const lk_metadata *metadata)
{
    const lk_recipe *r = t->j->recipe;

    if (!r->train.has_early_stop || !says(metadata, "early_stop/metric", r->train.early_stop.metric)) return LK_OK;
    LK_TRY(lk_metadata_get_real(metadata, "early_stop/best", &t->early_stop.best));
    LK_TRY(lk_metadata_get_int(metadata, "early_stop/num_bad", &t->early_stop.num_bad));
    if (says(metadata, "run/stopped", "early_stop") && t->early_stop.num_bad >= r->train.early_stop.spec.patience)
        t->stopped = "early_stop";
    return LK_OK;
}

lk_status saving_find_stage(job *j)
{
    const lk_metadata *metadata = lk_checkpoint_metadata(j->checkpoint);
    const lk_recipe *whole = j->whole;
    int64_t index;
    const char *name;

    LK_TRY(lk_metadata_get_int(metadata, "stage/index", &index));
    LK_TRY(lk_metadata_get_text(metadata, "stage/name", &name));
    if (index >= whole->n_stages || strcmp(name, whole->stages[index]->stage ? whole->stages[index]->stage : "") != 0)
        return LK_FAIL(LK_ERR_USAGE, "%s: the checkpoint was saved in stage %lld%s%s, which the recipe no longer has there; "
                       "restore it, or start a new run without --resume", whole->path, (long long)index, *name ? ", " : "",
                       name);
    j->stage = (unsigned)index;
    j->recipe = whole->stages[index];
    return LK_OK;
}

static lk_status restore_position(trainer *t, const lk_metadata *metadata)
{
    int64_t over;

    LK_TRY(lk_metadata_get_int(metadata, "stage/first_step", &t->stage_step));
    LK_TRY(lk_metadata_get_int(metadata, "stage/first_epoch", &t->stage_epoch));
    LK_TRY(lk_metadata_get_int(metadata, "stage/over", &over));
    t->stage_over = over != 0;
    LK_TRY(lk_metadata_get_int(metadata, "run/step", &t->j->step));
    LK_TRY(lk_metadata_get_int(metadata, "loader/epoch", &t->epoch));
    LK_TRY(lk_metadata_get_int(metadata, "loader/batch", &t->index));
    LK_TRY(lk_metadata_get_real(metadata, "loader/loss_sum", &t->loss_sum));
    LK_TRY(lk_metadata_get_real(metadata, "loader/loss_terms", &t->loss_terms));
    LK_TRY(same(t, metadata, "run/seed", "run.seed", (int64_t)t->j->recipe->run.seed));
    if (t->index) { /* between epochs these only mean other steps; inside one they would mean other samples */
        LK_TRY(same(t, metadata, "run/batch", "train.batch", t->j->recipe->train.batch));
        LK_TRY(same(t, metadata, "data/samples", "data.train", lk_dataset_n(t->j->train)));
    }
    LK_TRY(restore_early_stop(t, metadata));
    get_metrics(&t->j->metrics, metadata);
    return LK_OK;
}

static lk_status restore_leader(trainer *t, const lk_metadata *metadata)
{
    job *j = t->j;
    int64_t ema_step, ema_started;

    t->recipe_changed = !says(metadata, "run/recipe", j->recipe->text);
    LK_TRY(hyperparams_open(j->recipe, &t->hyperparams));
    LK_TRY(hyperparams_restore(&t->hyperparams, metadata));
    if (says(metadata, "best/metric", j->recipe->train.best_metric))
        LK_TRY(lk_metadata_get_real(metadata, "best/value", &t->best));
    if (!j->ema) return LK_OK;
    LK_TRY(lk_metadata_get_int(metadata, "averaging/step", &ema_step));
    LK_TRY(lk_metadata_get_int(metadata, "averaging/started", &ema_started));
    lk_ema_set(j->ema, ema_step, ema_started != 0);
    return LK_OK;
}

static lk_status load_shared(trainer *t)
{
    job *j = t->j;
    tensor_lists lists = {0};

    lk_status status = list_shared(t, &lists, false);
    if (status == LK_OK) status = lk_checkpoint_load(j->checkpoint, lists.all, lists.n);
    if (status == LK_OK) status = upload(j, &lists, 0, j->params, lk_model_n_elem(j->model));
    for (int s = 0; status == LK_OK && s < lk_optimizer_n_states(j->optimizer); s++)
        status = upload(j, &lists, 1 + s, state_array(j, s), lk_trainable_n_elem(j->trainable));
    free_lists(&lists);
    return status;
}

static lk_status load_leader(trainer *t)
{
    job *j = t->j;
    tensor_lists lists = {0};

    if (!j->ema) return LK_OK;
    lk_status status = list_leader(t, &lists, false);
    if (status == LK_OK) status = lk_checkpoint_load(j->checkpoint, lists.all, lists.n);
    if (status == LK_OK) status = upload(j, &lists, 0, lk_ema_params(j->ema), lk_model_n_elem(j->model));
    free_lists(&lists);
    return status;
}

static lk_status restore(trainer *t)
{
    job *j = t->j;
    const lk_metadata *metadata = lk_checkpoint_metadata(j->checkpoint);

    LK_TRY(restore_position(t, metadata));
    if (j->recipe->has_ema && !lk_metadata_has(metadata, "averaging/step"))
        return LK_FAIL(LK_ERR_USAGE, "%s: ema: the checkpoint was trained without; leave the section out, or start a "
                       "new run without --resume", lk_recipe_where(j->recipe, "ema"));
    LK_TRY(load_shared(t));
    LK_TRY(get_optimizer_steps(j, metadata));
    j->params_version = ++j->last_version;
    if (!j->leader) return LK_OK;
    LK_TRY(load_leader(t));
    return restore_leader(t, metadata);
}

lk_status saving_restore(trainer *t)
{
    t->saved = true;
    return job_agree(t->j, restore(t));
}
