/*
 * lockstep train: the loop that ties data, engine, reduction and leader together.
 *
 * A step, the same on every worker: take the batch; the leader's order starts on its way; each own lane runs forward
 * and backward while finished buckets are being reduced; the sum is inspected, applied, and the order obeyed.  On a
 * device all of that is queued, and the next batch travels there before the step's report is waited for.
 */
#include "launch/train/trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --------------------------------------------------------------------- step */

static void cast_votes(trainer *t)
{
    bool done = false;
    const bool failed = lk_saver_busy(t->saver) && lk_saver_poll(t->saver, &done) != LK_OK;

    t->votes[VOTE_STOP] = signals_stop_requested();
    t->votes[VOTE_WRITTEN] = done && !failed;
    t->votes[VOTE_FAILED] = failed;
}

/* As metrics have it: of loss.reduction sequence the sum over sentences, by the number of words. */
static float shown_loss(const lk_batch *batch, float loss)
{
    return batch->steps > 0 && batch->n_terms ? (float)((double)loss / batch->n_terms) : loss;
}

/* True: some worker could not write its part of the checkpoint in flight. */
static bool count_votes(trainer *t, const lk_grad_report *report)
{
    const float *votes = report->slots + LK_SLOT_VOTES;

    t->stop_voted = votes[VOTE_STOP] > 0.0f;
    t->all_written = (int)votes[VOTE_WRITTEN] == lk_world_size(t->j->world);
    return votes[VOTE_FAILED] > 0.0f;
}

/* All workers see the same sum, so all come to the same end without asking. */
static lk_status refuse_nonfinite(trainer *t, float loss)
{
    job *j = t->j;
    const bool skip = j->recipe->train.on_nonfinite == LK_NONFINITE_SKIP;
    char what[96];

    /* The sign of a NaN says nothing. */
    snprintf(what, sizeof what, "the loss is %g%s", isnan(loss) ? (double)NAN : loss,
             isfinite(loss) ? " but a gradient is not finite" : "");
    if (j->leader) LK_TRY(lk_journal_write(t->journal, j->step, skip ? "skip" : "nonfinite", "%s", what));
    if (skip) {
        t->skipped++;
        if (j->leader) lk_progress_say(t->progress, "step %lld: %s: the step is skipped", (long long)j->step, what);
        return LK_OK;
    }
    j->agreed = true;
    return LK_FAIL(LK_ERR_NUMBERS, "step %lld: %s; %slower optimizer.lr, set optimizer.clip_norm, or pass over such "
                   "steps with train.on_nonfinite: skip", (long long)j->step, what,
                   j->whole->has_init_from ? "look at the weights of init_from, " : "");
}

/* Some worker could not write its part; all end with its message. */
static lk_status give_up_saving(trainer *t)
{
    LK_TRY(job_agree(t->j, t->votes[VOTE_FAILED] > 0.0f ? lk_saver_wait(t->saver) : LK_OK));
    t->j->agreed = true;
    return LK_FAIL(LK_ERR_SYSTEM, "step %lld: a worker could not write its part of the checkpoint",
                   (long long)t->j->step);
}

static lk_status apply(trainer *t, const lk_batch *batch, const float *sum)
{
    job *j = t->j;
    lk_hyperparams groups[LK_MAX_GROUPS];
    lk_grad_report report;

    t->grads = j->shards ? NULL : sum;
    for (int g = 0; g < t->order.n_groups; g++)
        groups[g] = (lk_hyperparams){.lr = t->order.lr[g], .momentum = t->order.momentum[g],
                                    .weight_decay = t->order.weight_decay[g]};
    LK_TRY(update_inspect(j, sum, &report));
    if (report.finite) LK_TRY(update_weights(j, sum, groups, &report));
    LK_TRY(lanes_look_ahead(t, batch));
    LK_TRY(lk_optimizer_sync(j->optimizer, &report, j->ema));
    const float loss = t->loss = shown_loss(batch, report.slots[LK_SLOT_LOSS]);
    if (count_votes(t, &report)) return give_up_saving(t);
    if (!report.finite) return refuse_nonfinite(t, loss);
    j->params_version = ++j->last_version;
    t->loss_sum += (double)loss * (double)batch->n_terms;
    t->loss_terms += (double)batch->n_terms;
    return LK_OK;
}

static lk_status step(trainer *t, lk_batch *batch)
{
    job *j = t->j;
    const float *sum;

    lk_world_progress(j->world, j->step, "data");
    LK_TRY(lanes_take(t, batch));
    if (j->leader) LK_TRY(leader_order(t, batch));
    LK_TRY(lk_order_begin(j->world, &t->order));

    cast_votes(t);
    lk_world_progress(j->world, j->step, "forward and backward");
    LK_TRY(lanes_run(t, batch));
    LK_TRY(lk_reducer_finish(j->reducer, &sum));
    LK_TRY(lk_order_wait(j->world, j->step));

    lk_world_progress(j->world, j->step, "update");
    LK_TRY(apply(t, batch, sum));
    j->step++;
    t->samples += batch->n;
    t->epoch = batch->last ? batch->epoch + 1 : batch->epoch;
    t->index = batch->last ? 0 : batch->index + 1;
    t->saved = false;
    if (t->events) events_step(t);
    return LK_OK;
}

/* -------------------------------------------------------------------- orders */

static lk_status evaluate_all(trainer *t)
{
    job *j = t->j;
    uint32_t flags = 0;

    metrics_put(&j->metrics, "train.loss", epoch_loss(t)); /* NaN: all skipped */
    if (j->train_eval_loader)
        LK_TRY(evaluate(j, j->train_eval_loader, j->params, j->params_version, LK_PART_OF_TRAINING));
    if (j->validation) {
        LK_TRY(evaluate(j, features_loader(j), j->params, j->params_version, LK_PART_OF_WEIGHTS));
        if (j->recipe->has_ema) {
            const float *ema;

            LK_TRY(broadcast_ema(j, &ema));
            LK_TRY(evaluate(j, j->validation_loader, ema, ++j->last_version, LK_PART_OF_EMA));
        }
    }
    LK_TRY(job_agree(j, j->leader ? leader_judge(t, &flags) : LK_OK));
    LK_TRY(lk_world_broadcast(j->world, &flags, sizeof flags));
    t->order.flags |= flags;
    return LK_OK;
}

static lk_status check_replicas(trainer *t)
{
    job *j = t->j;
    const lk_status status = lk_world_check_replicas(j->world, j->engine, j->model, j->params, j->step);

    if (status == LK_ERR_NUMBERS) j->agreed = true;
    LK_TRY(status);
    return job_compare_choices(j); /* programs for new lengths come while it trains */
}

static const char *reason(const trainer *t, uint32_t flags)
{
    /* What early stopping ended is over, whatever else was asked; the end of a stage is not the end of the run. */
    if ((flags & LK_ORDER_EARLY) && !(flags & LK_ORDER_STAGE)) return "early_stop";
    if (flags & LK_ORDER_REQUEUE) return "signal";
    return t->epoch - t->stage_epoch >= t->j->recipe->train.epochs ? "epochs" : "steps";
}

static void forget_window(trainer *t)
{
    t->loss_sum = t->loss_terms = 0.0;
    t->skipped = 0;
}

/* train.loss is the mean over an epoch, or over the steps from one evaluation by steps to the next. */
static bool window_ends(const trainer *t, const lk_batch *batch)
{
    if (t->j->recipe->train.evaluate_unit == LK_UNIT_EPOCH) return batch->last;
    return evaluation_is_due(t, t->j->step, t->epoch, t->index);
}

/* To pass over a step now and then is one thing, to end with weights that nothing has changed another. */
static lk_status refuse_empty_window(trainer *t, const lk_batch *batch)
{
    const uint32_t flags = t->order.flags;
    const bool over = (flags & (LK_ORDER_STOP | LK_ORDER_STAGE)) && !(flags & LK_ORDER_REQUEUE);
    const bool ends = over || window_ends(t, batch);

    if (!ends || t->skipped == 0 || t->loss_terms > 0.0) return LK_OK;
    t->j->agreed = true; /* all have seen the same sums */
    return LK_FAIL(LK_ERR_NUMBERS, "epoch %lld: no step had a finite loss and gradient, so nothing was trained though "
                   "train.on_nonfinite is skip; lower optimizer.lr, or look at the data", (long long)batch->epoch);
}

/* What the order asks for after the step. */
static lk_status obey(trainer *t, const lk_batch *batch)
{
    job *j = t->j;
    const int64_t every = j->recipe->dist.check_every;

    LK_TRY(refuse_empty_window(t, batch));
    const bool checked = every && j->step % every == 0;

    if (checked) LK_TRY(check_replicas(t));
    if (t->order.flags & LK_ORDER_PUBLISH) LK_TRY(saving_publish(t));
    if (t->order.flags & LK_ORDER_EVALUATE) LK_TRY(evaluate_all(t));
    if (window_ends(t, batch)) forget_window(t);
    if (t->order.flags & LK_ORDER_STOP) t->stopped = reason(t, t->order.flags);
    t->stage_over = t->order.flags & LK_ORDER_STAGE;
    if (t->order.flags & (LK_ORDER_CHECKPOINT | LK_ORDER_STOP | LK_ORDER_STAGE)) {
        if (!checked) LK_TRY(check_replicas(t));
        LK_TRY(saving_begin(t));
    }
    return LK_OK;
}

/* Before the reducer goes: what was waited for it. */
static void count_waiting(trainer *t)
{
    lk_reducer_stats stats;

    lk_reducer_get_stats(t->j->reducer, &stats);
    t->seconds_waited += stats.seconds_waited;
}

static void say_progress(void *arg, const char *text)
{
    lk_progress_say(((trainer *)arg)->progress, "%s", text);
}

/* Once the weights are those that the stage leaves as they are. */
static lk_status fill_features(trainer *t)
{
    return frozen_fill(t->j, &(frozen_watch){.say = say_progress, .arg = t, .stop = signals_stop_requested});
}

/* The next stage begins where this one ended; after an end in mid-epoch, with a new epoch.  Sizes in a save change
 * with the set that trains, so it gets a saver of its own. */
static lk_status next_stage(trainer *t)
{
    job *j = t->j;

    LK_TRY(saving_drain(t));
    lk_saver_free(&t->saver);
    count_waiting(t);
    LK_TRY(job_enter_stage(j, j->stage + 1));
    LK_TRY(saving_open(t));
    t->epoch += t->index > 0;
    t->index = 0;
    forget_window(t);
    t->stage_step = j->step;
    t->stage_epoch = t->epoch;
    t->stage_over = false;
    if (j->recipe->train.has_early_stop) lk_early_stop_init(&j->recipe->train.early_stop.spec, &t->early_stop);
    LK_TRY(job_agree(j, lk_loader_seek(j->loader, t->epoch, t->index)));
    LK_TRY(job_agree(j, j->leader ? leader_enter_stage(t) : LK_OK));
    return fill_features(t);
}

static lk_status loop(trainer *t)
{
    while (!t->stopped) {
        lk_batch batch;

        if (t->stage_over) LK_TRY(next_stage(t));
        const double begin = lk_seconds();
        LK_TRY(step(t, &batch));
        t->train_seconds += lk_seconds() - begin;
        LK_TRY(trace_step(t));
        if (t->order.flags || batch.last || t->j->recipe->dist.check_every) LK_TRY(obey(t, &batch));
        if (t->j->leader) lk_progress_update(t->progress, t->j->step, samples_per_second(t), epoch_loss(t));
    }
    return saving_drain(t);
}

/* ---------------------------------------------------------------------- run */

static bool nothing_left(const trainer *t)
{
    const lk_recipe *r = t->j->recipe;

    return t->epoch - t->stage_epoch >= r->train.epochs ||
           (r->train.steps && t->j->step - t->stage_step >= r->train.steps);
}

/* What is there is changed only once it is sure that the run can go on. */
static lk_status start_as_leader(trainer *t, bool resuming)
{
    const lk_recipe *r = t->j->recipe;

    LK_TRY(leader_open(t, resuming ? t->j->step : -1)); /* may refuse: metrics.csv has other columns */
    LK_TRY(run_dir_write_recipe(r->run.dir, r->text));
    LK_TRY(lk_dataset_write_words(t->j->train, r->run.dir));
    return t->stopped ? LK_OK : run_dir_forget_summary(r->run.dir);
}

/* train.epochs: 0 asks what the network is before it is trained: measured and saved. */
static lk_status save_untrained(trainer *t)
{
    job *j = t->j;

    LK_TRY(job_agree(j, j->leader ? hyperparams_at(&t->hyperparams, 0, 0.0, &t->order) : LK_OK));
    t->order.flags = LK_ORDER_EVALUATE | LK_ORDER_STOP;
    LK_TRY(evaluate_all(t));
    return saving_begin(t);
}

static lk_status train(trainer *t)
{
    job *j = t->j;
    const bool resuming = j->checkpoint != NULL;

    LK_TRY(job_agree(j, j->leader ? run_dir_open(j->recipe->run.dir, t->keep_folder, &t->run_dir_lock) : LK_OK));
    LK_TRY(saving_open(t));
    if (resuming) LK_TRY(restore_run(t));
    lk_checkpoint_free(&j->checkpoint);
    const bool last = j->stage + 1 == j->whole->n_stages;
    /* A run that had ended goes on with a stage that the recipe has gained since. */
    if (!last && (t->stopped || nothing_left(t))) t->stage_over = true, t->stopped = NULL;
    if (last && !t->stopped && nothing_left(t)) t->stopped = reason(t, 0);
    LK_TRY(job_agree(j, lk_loader_seek(j->loader, t->epoch, t->index)));
    LK_TRY(job_agree(j, j->leader ? start_as_leader(t, resuming) : LK_OK));
    LK_TRY(job_agree(j, trace_open(t)));
    t->started = lk_seconds();
    if (!t->stage_over && (!t->stopped || !resuming)) LK_TRY(fill_features(t));
    if (!resuming && t->stopped) LK_TRY(save_untrained(t));
    LK_TRY(loop(t));
    count_waiting(t);
    return job_agree(j, j->leader ? leader_summary(t) : LK_OK);
}

/* While data are read and plans are made there is nothing to save: a request to stop ends the run between two of
 * these. */
static lk_status stop_if_asked(job *j)
{
    const lk_status status = job_agree(j, signals_stop_requested() ? LK_STOPPED : LK_OK);

    if (status == LK_STOPPED && j->leader) fprintf(stderr, "lockstep: stopped on request before training began\n");
    return status;
}

static void say_warning(void *arg, const char *text)
{
    (void)arg;
    fprintf(stderr, "lockstep: warning: %s\n", text);
}

static lk_status open_everything(trainer *t, const options *opt)
{
    job *j = t->j;

    LK_TRY(job_read_recipe(j, opt));
    if (opt->resume) LK_TRY(job_open_newest(j));
    if (opt->resume && !j->checkpoint && j->leader)
        fprintf(stderr, "lockstep: no checkpoint in %s to resume: starting from the beginning\n", j->recipe->run.dir);
    if (j->checkpoint) LK_TRY(job_agree(j, resume_check(t)));
    LK_TRY(stop_if_asked(j));
    LK_TRY(job_open(j));
    if (j->leader && j->recipe->train.epochs > 0)
        warn_of_schedules(j->whole, lk_dataset_n(j->train), say_warning, NULL);
    LK_TRY(stop_if_asked(j));
    if (j->checkpoint) LK_TRY(job_agree(j, restore_stage(j)));
    if (j->checkpoint && j->leader) resume_say_frozen(t);
    LK_TRY(job_init_from(j));
    LK_TRY(job_open_training(j));
    if (j->recipe->train.has_early_stop) lk_early_stop_init(&j->recipe->train.early_stop.spec, &t->early_stop);
    return stop_if_asked(j);
}

lk_status command_train(job *j, const options *opt)
{
    trainer t = {.j = j, .keep_folder = opt->resume, .best = NAN, .best_step = -1, .best_epoch = -1,
                 .saved_evaluations = STATE_NONE, .run_dir_lock = -1, .change = opt->change,
                 .digests = opt->digests, .die_at = opt->die_at};

    lk_status status = open_everything(&t, opt);
    if (status == LK_OK) status = train(&t);
    if (status == LK_OK && t.stopped && strcmp(t.stopped, "signal") == 0) status = LK_STOPPED;
    trace_close(&t);
    leader_close(&t);
    saving_close(&t);
    lk_free(&t.ahead_lanes);
    lk_recipe_free(&t.recipe_before);
    free(t.recipe_changes);
    run_dir_close(&t.run_dir_lock);
    return status;
}
