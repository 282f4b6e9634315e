/*
 * The protocol of saves.  Every worker writes its rows of what all hold alike (weights, optimizer states); the
 * leader adds the EMA and everything that warms up: schedule, early stop, position in the data, metrics.
 *
 * A save overlaps the steps after it.  When every worker's vote says that its part is on disk, the leader's next
 * order publishes it; a save that is still in flight when the next is due is waited for.
 */
#include "launch/job/shards.h"
#include "launch/train/trainer.h"

enum { PATH_BYTES = 4096 };

/* What early stopping looks at: its state means nothing for another metric. */
static const char *early_stop_metric(const lk_recipe *r)
{
    return r->train.has_early_stop ? r->train.early_stop.metric : "";
}

static run_state state_of(const trainer *t)
{
    const job *j = t->j;
    const lk_recipe *r = j->recipe;

    return (run_state){
        .recipe = r->text, .version = LK_VERSION,
        .seed = (int64_t)r->run.seed,
        .lanes = j->lanes, .batch = r->train.batch,
        .step = j->step,
        .stopped = t->stopped ? t->stopped : "",
        .data_stats = lk_dataset_stats(j->train), .data_fields = lk_dataset_fields(j->train),
        .samples = lk_dataset_n(j->train),
        .data_hash = j->data_hash.train, .validation_hash = j->data_hash.validation,
        .plugin = j->whole->model.plugin.file,
        .plugin_hash = *j->plugin_hash ? j->plugin_hash : NULL,
        .stage = j->stage, .stage_name = r->stage ? r->stage : "",
        .stage_step = t->stage_step, .stage_epoch = t->stage_epoch, .stage_over = t->stage_over,
        .epoch = t->epoch, .index = t->index,
        .loss_sum = t->loss_sum, .loss_terms = t->loss_terms,
        .ema_step = j->ema ? lk_ema_step(j->ema) : STATE_NONE,
        .ema_started = j->ema ? lk_ema_started(j->ema) : STATE_NONE,
        .early_stop_metric = early_stop_metric(r),
        .early_stop_best = t->early_stop.best, .early_stop_bad = t->early_stop.num_bad,
        .best_metric = r->train.best_metric, .best_value = t->best,
        .best_step = t->best_step >= 0 ? t->best_step : STATE_NONE,
        .best_epoch = t->best_step >= 0 && t->best_epoch >= 0 ? t->best_epoch : STATE_NONE,
        .evaluations = lk_metrics_n_lines(t->csv),
#define SAVED(field, type, need, path) .field = j->machine.field,
        MACHINE_LIST(SAVED)
#undef SAVED
    };
}

static lk_status make_metadata(const trainer *t, lk_metadata **out)
{
    const run_state state = state_of(t);

    LK_TRY(lk_metadata_new(out));
    LK_TRY(state_put(&state, *out));
    LK_TRY(state_put_metrics(&t->j->metrics, *out));
    LK_TRY(state_put_steps(t->j, *out));
    return hyperparams_save(&t->hyperparams, *out);
}

static void warn(void *arg, const char *message)
{
    const trainer *t = arg;

    if (t->progress) lk_progress_say(t->progress, "lockstep: warning: %s", message);
    else fprintf(stderr, "lockstep: warning: %s\n", message);
}

static lk_status snapshot_ready(void *engine) { return lk_engine_snapshot_wait(engine); }

lk_status saving_open(trainer *t)
{
    char dir[PATH_BYTES];
    job *j = t->j;

    snprintf(dir, sizeof dir, "%s/checkpoints", j->recipe->run.dir);
    LK_TRY(job_agree(j, lk_saver_new(dir, lk_world_rank(j->world), lk_world_size(j->world), j->recipe->checkpoint.keep,
                                     &t->saver)));
    LK_TRY(job_agree(j, shards_cut_saves(j, t->saver)));
    lk_saver_set_warn(t->saver, warn, t);
    if (lk_engine_on_device(j->engine)) lk_saver_set_source(t->saver, snapshot_ready, j->engine);
    return LK_OK;
}

void saving_close(trainer *t)
{
    lk_saver_free(&t->saver); /* first: its thread reads what follows */
    staging_free(&t->staging, t->j);
}

static lk_status begin(trainer *t)
{
    job *j = t->j;
    tensor_lists shared = {0}, leader = {0};
    lk_metadata *metadata = NULL;

    lk_status status = staging_shared(&t->staging, j, true, &shared);
    if (status == LK_OK && j->leader) {
        status = staging_leader(&t->staging, j, true, &leader);
        if (status == LK_OK) status = make_metadata(t, &metadata);
    }
    if (status == LK_OK)
        status = lk_saver_begin(t->saver, j->step, shared.all, shared.n, leader.all, leader.n, metadata);
    lk_metadata_free(&metadata);
    staging_free_lists(&leader);
    staging_free_lists(&shared);
    return status;
}

lk_status saving_begin(trainer *t)
{
    if (t->saved) return LK_OK;
    LK_TRY(saving_drain(t));
    t->saving_step = t->j->step;
    if (t->next_best) t->best_step = t->saving_step;
    t->next_best = false;
    lk_world_progress(t->j->world, t->j->step, "checkpoint");
    LK_TRY(job_agree(t->j, begin(t)));
    t->all_written = false; /* the votes of this step spoke of the save before */
    t->saved = true;
    return LK_OK;
}

/* What the checkpoint presupposes is on the disk before the checkpoint is. */
static lk_status sync_logs(trainer *t)
{
    LK_TRY(lk_metrics_sync(t->csv));
    LK_TRY(lk_journal_sync(t->journal));
    events_sync(t);
    return LK_OK;
}

static lk_status publish(trainer *t)
{
    LK_TRY(sync_logs(t));
    LK_TRY(lk_saver_publish(t->saver, t->best_step));
    return lk_journal_write(t->journal, t->saving_step, "checkpoint", "published%s",
                            t->best_step == t->saving_step ? ", the best so far" : "");
}

lk_status saving_publish(trainer *t)
{
    job *j = t->j;

    lk_world_progress(j->world, j->step, "publish checkpoint");
    return job_agree(j, j->leader ? publish(t) : lk_saver_finish(t->saver));
}

lk_status saving_drain(trainer *t)
{
    if (!lk_saver_busy(t->saver)) return LK_OK;
    lk_world_progress(t->j->world, t->j->step, "write checkpoint");
    LK_TRY(job_agree(t->j, lk_saver_wait(t->saver)));
    return saving_publish(t);
}
