/* From a checkpoint back to the run that saved it: stage, position, arrays, and what the leader's decisions
 * remember. */
#include "launch/train/trainer.h"

#include <math.h>
#include <string.h>

/* ----------------------------------------------------------------- position */

static lk_status same(const trainer *t, const char *key, int64_t saved, int64_t now)
{
    if (saved == now) return LK_OK;
    return LK_FAIL(LK_ERR_USAGE, "%s: %s: the checkpoint was trained with %lld, the recipe says %lld; "
                   "restore it, or start a new run without --resume", lk_recipe_where(t->j->recipe, key), key,
                   (long long)saved, (long long)now);
}

/* A run that stopped early goes on when the recipe no longer asks for that: with more patience, or without. */
static void restore_early_stop(trainer *t, const run_state *saved)
{
    const lk_recipe *r = t->j->recipe;

    if (!r->train.has_early_stop || strcmp(saved->early_stop_metric, r->train.early_stop.metric) != 0) return;
    t->early_stop.best = saved->early_stop_best;
    t->early_stop.num_bad = saved->early_stop_bad;
    if (strcmp(saved->stopped, "early_stop") == 0 && t->early_stop.num_bad >= r->train.early_stop.spec.patience)
        t->stopped = "early_stop";
}

lk_status restore_stage(job *j)
{
    const lk_recipe *whole = j->whole;
    run_state saved;

    LK_TRY(state_get(lk_checkpoint_metadata(j->checkpoint), &saved));
    const int64_t index = saved.stage;
    const char *name = saved.stage_name;

    if (index < 0 || index >= whole->n_stages ||
        strcmp(name, whole->stages[index]->stage ? whole->stages[index]->stage : "") != 0)
        return LK_FAIL(LK_ERR_USAGE, "%s: the checkpoint was saved in stage %lld%s%s, which the recipe no longer has "
                       "there; restore it, or start a new run without --resume", whole->path, (long long)index,
                       *name ? ", " : "", name);
    j->stage = (unsigned)index;
    j->recipe = whole->stages[index];
    return LK_OK;
}

static lk_status restore_position(trainer *t, const run_state *saved)
{
    job *j = t->j;

    j->step = saved->step;
    t->stage_step = saved->stage_step;
    t->stage_epoch = saved->stage_epoch;
    t->stage_over = saved->stage_over != 0;
    t->epoch = saved->epoch;
    t->index = saved->index;
    t->loss_sum = saved->loss_sum;
    t->loss_terms = saved->loss_terms;
    LK_TRY(same(t, "run.seed", saved->seed, (int64_t)j->recipe->run.seed));
    if (t->index) { /* between epochs these only mean other steps; inside one they would mean other samples */
        LK_TRY(same(t, "train.batch", saved->batch, j->recipe->train.batch));
        LK_TRY(same(t, j->recipe->data.train ? "data.train" : "data.samples", saved->samples, lk_dataset_n(j->train)));
    }
    job_say_moved(j, saved);
    LK_TRY(job_check_plugin(j, saved->plugin, saved->plugin_hash, t->change));
    LK_TRY(job_check_data(j, saved->data_hash, saved->validation_hash, t->index > 0));
    restore_early_stop(t, saved);
    state_get_metrics(&j->metrics, lk_checkpoint_metadata(j->checkpoint));
    return LK_OK;
}

/* ------------------------------------------------------------------- arrays */

/* Zeroes what is held of a state. */
static void forget(const lk_ckpt_tensor *tensor)
{
    const int64_t n_rows = tensor->ndim > 0 ? tensor->shape[0] : 1, held = tensor->end - tensor->begin;
    size_t n_elem = tensor->n_elem;

    if (tensor->is_part && n_rows > 0) n_elem = n_elem / (size_t)n_rows * (size_t)held;
    if (n_elem > 0) memset(tensor->data, 0, n_elem * sizeof *tensor->data);
}

/* Leaves out of the list, and zeroes, what the checkpoint has no state of (state_is_fresh(), or amsgrad is new).  It
 * was verified against its manifest, so what it lacks was never there; weights that it lacks remain an error. */
static void begin_anew(const job *j, tensor_lists *lists)
{
    size_t n = 0;

    for (size_t i = 0; i < lists->n; i++) {
        const lk_ckpt_tensor *tensor = &lists->all[i];
        const bool is_state = strncmp(tensor->path, "optimizer/", strlen("optimizer/")) == 0;

        if (is_state && !lk_checkpoint_has(j->checkpoint, tensor->path))
            forget(tensor);
        else
            lists->all[n++] = *tensor;
    }
    lists->n = n;
}

typedef lk_status list_fn(staging *s, job *j, bool read, tensor_lists *out);

static lk_status load(trainer *t, list_fn *list)
{
    tensor_lists lists = {0};

    lk_status status = list(&t->staging, t->j, false, &lists);
    if (status == LK_OK) begin_anew(t->j, &lists);
    if (status == LK_OK) status = lk_checkpoint_load(t->j->checkpoint, lists.all, lists.n);
    if (status == LK_OK) status = staging_upload(t->j, &lists);
    staging_free_lists(&lists);
    return status;
}

/* ------------------------------------------------------------------ leader */

/* The best weights so far stay whatever the links say, which are set anew.  Weights that are gone cannot be the
 * best ones kept; those of another metric are kept until there are new ones. */
static lk_status restore_best(trainer *t, const run_state *saved)
{
    t->best_step = saved->best_step != STATE_NONE ? saved->best_step : -1;
    LK_TRY(lk_saver_mend(t->saver, t->j->step, &t->best_step));
    if (strcmp(saved->best_metric, t->j->recipe->train.best_metric) != 0) return LK_OK;
    t->best_epoch = saved->best_epoch != STATE_NONE ? saved->best_epoch : -1;
    if (t->best_step >= 0) t->best = saved->best_value;
    else if (!isnan(saved->best_value))
        fprintf(stderr, "lockstep: warning: the checkpoint with the best weights so far is gone: the next one that is "
                "saved is the best\n");
    return LK_OK;
}

static lk_status restore_leader(trainer *t, const run_state *saved)
{
    job *j = t->j;

    LK_TRY(hyperparams_open(j->recipe, &t->hyperparams));
    LK_TRY(hyperparams_restore(&t->hyperparams, lk_checkpoint_metadata(j->checkpoint)));
    t->saved_evaluations = saved->evaluations;
    LK_TRY(restore_best(t, saved));
    if (!j->ema) return LK_OK;
    LK_TRY(load(t, staging_leader));
    lk_ema_set(j->ema, saved->ema_step, saved->ema_started != 0);
    return LK_OK;
}

static lk_status restore(trainer *t)
{
    job *j = t->j;
    run_state saved;

    LK_TRY(state_get(lk_checkpoint_metadata(j->checkpoint), &saved));
    LK_TRY(restore_position(t, &saved));
    if (j->recipe->has_ema && saved.ema_step == STATE_NONE)
        return LK_FAIL(LK_ERR_USAGE, "%s: ema: the checkpoint was trained without; leave the section out, or start a "
                       "new run without --resume", lk_recipe_where(j->recipe, "ema"));
    LK_TRY(load(t, staging_shared));
    LK_TRY(state_get_steps(j, lk_checkpoint_metadata(j->checkpoint)));
    j->params_version = ++j->last_version;
    return j->leader ? restore_leader(t, &saved) : LK_OK;
}

lk_status restore_run(trainer *t)
{
    t->saved = true;
    return job_agree(t->j, restore(t));
}
