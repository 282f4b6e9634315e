/*
 * The leader's decisions: the learning rate and flags of every step, what an evaluation means for plateau, early
 * stopping and the best weights.  Each decision goes, with its reason, to the run's journal.
 */
#include "launch/train/trainer.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { PATH_BYTES = 4096, SAID_BYTES = 512, MOST_COLUMNS = LK_MOST_METRICS + LK_MOST_GROUPS };

/* Columns: lr, lr.GROUP of every group of any stage, the metrics. */
static lk_status open_csv(trainer *t, int64_t resume_step)
{
    const metrics *set = &t->j->metrics;
    const char *columns[MOST_COLUMNS] = {"lr"};
    char rate[LK_MOST_GROUPS][METRIC_NAME_BYTES], path[PATH_BYTES];
    size_t n = 1;

    LK_TRY(hyperparams_names(t->j->whole, t->group_name, &t->n_group_names));
    for (int k = 0; k < t->n_group_names; k++) {
        snprintf(rate[k], sizeof rate[k], "lr.%s", t->group_name[k]);
        columns[n++] = rate[k];
    }
    for (int i = 0; i < set->n; i++) columns[n++] = set->name[i];
    snprintf(path, sizeof path, "%s/metrics.csv", t->j->recipe->run.dir);
    LK_TRY(lk_metrics_open(path, columns, n, resume_step, &t->csv));
    if (lk_metrics_n_lines(t->csv) < t->saved_evaluations)
        fprintf(stderr, "lockstep: warning: %s has %" PRId64 " evaluations of the %" PRId64 " made before this "
                "checkpoint: the others are lost\n", path, lk_metrics_n_lines(t->csv), t->saved_evaluations);
    return LK_OK;
}

/* The rate of a group by name in the last order; NaN: the current stage has no such group. */
static double rate_of(const trainer *t, const char *name)
{
    const int g = hyperparams_find(&t->hyperparams, name);

    return g < 0 ? NAN : t->order.lr[g];
}

/* Of the whole run, if no stage stops early. */
static int64_t total_steps(const job *j)
{
    int64_t total = 0;

    for (unsigned s = 0; s < j->whole->n_stages; s++)
        total += stage_steps(j->whole->stages[s], lk_dataset_n(j->train));
    return total;
}

static lk_status journal_stage(trainer *t)
{
    const job *j = t->j;

    if (!j->recipe->stage) return LK_OK;
    return lk_journal_write(t->journal, j->step, "stage",
                            "%s: %zu weights train, batch %" PRId64 ", from epoch %" PRId64, j->recipe->stage,
                            lk_trainable_n_weights(j->trainable), j->recipe->train.batch, t->stage_epoch);
}

lk_status leader_enter_stage(trainer *t)
{
    hyperparams_close(&t->hyperparams);
    LK_TRY(hyperparams_open(t->j->recipe, &t->hyperparams));
    memset(t->lr_journalled, 0, sizeof t->lr_journalled);
    return journal_stage(t);
}

lk_status leader_open(trainer *t, int64_t resume_step)
{
    job *j = t->j;
    const int workers = lk_world_size(j->world), hosts = lk_world_n_hosts(j->world);
    char path[PATH_BYTES];

    if (t->hyperparams.n == 0) LK_TRY(hyperparams_open(j->recipe, &t->hyperparams));
    LK_TRY(open_csv(t, resume_step));
    LK_TRY(events_open(t));
    snprintf(path, sizeof path, "%s/journal.jsonl", j->recipe->run.dir);
    LK_TRY(lk_journal_open(path, resume_step >= 0 || t->keep_folder, &t->journal));
    LK_TRY(lk_journal_write(t->journal, j->step, resume_step >= 0 ? "resume" : "start",
                            "%d worker%s on %d host%s, %d lanes, %s engine, epoch %" PRId64 " batch %" PRId64,
                            workers, plural(workers), hosts, plural(hosts), j->lanes,
                            lk_engine_name(j->engine), t->epoch, t->index));
    if (j->init_report) LK_TRY(lk_journal_write(t->journal, j->step, "init_from", "%s", j->init_report));
    LK_TRY(journal_stage(t));
    if (j->data_changed)
        LK_TRY(lk_journal_write(t->journal, j->step, "data", "changed since this checkpoint was saved: %s",
                                j->data_changed));
    if (t->recipe_changes)
        LK_TRY(lk_journal_write(t->journal, j->step, "recipe", "changed since this checkpoint was saved: %s",
                                t->recipe_changes));
    if (j->recipe->dist.reduction != LK_REDUCE_TREE) {
        fprintf(stderr, "lockstep: dist.reduction is not tree: the bits depend on the number of workers\n");
        LK_TRY(lk_journal_write(t->journal, j->step, "reduction", "not tree: bits depend on the number of workers"));
    }
    LK_TRY(lk_progress_new(stderr, total_steps(j), j->step, &t->progress));
    watch_start(t, resume_step >= 0);
    return LK_OK;
}

void leader_close(trainer *t)
{
    events_close(t);
    lk_progress_free(&t->progress);
    lk_journal_free(&t->journal);
    lk_metrics_free(&t->csv);
    hyperparams_close(&t->hyperparams);
}

/* -------------------------------------------------------------------- orders */

static bool is_due(int64_t count, int64_t every) { return every > 0 && count > 0 && count % every == 0; }

bool evaluation_is_due(const trainer *t, int64_t step, int64_t epoch, int64_t index)
{
    const lk_recipe *r = t->j->recipe;

    if (r->train.evaluate_unit == LK_UNIT_STEP) return is_due(step - t->stage_step, r->train.evaluate_every);
    return index == 0 && is_due(epoch - t->stage_epoch, r->train.evaluate_every);
}

/* What the end of the current stage means. */
static uint32_t end_flag(const trainer *t)
{
    return t->j->stage + 1 < t->j->whole->n_stages ? LK_ORDER_STAGE : LK_ORDER_STOP;
}

static uint32_t order_flags(const trainer *t, const lk_batch *batch)
{
    const lk_recipe *r = t->j->recipe;
    const int64_t next_step = t->j->step + 1, next_epoch = batch->epoch + 1;
    const int64_t stage_steps = next_step - t->stage_step, stage_epochs = next_epoch - t->stage_epoch;
    const bool over = (r->train.steps && stage_steps >= r->train.steps) ||
                      (batch->last && stage_epochs >= r->train.epochs);
    uint32_t flags = 0;

    if (over) flags |= end_flag(t) | LK_ORDER_EVALUATE;
    if (evaluation_is_due(t, next_step, batch->last ? next_epoch : batch->epoch, batch->last ? 0 : batch->index + 1))
        flags |= LK_ORDER_EVALUATE;
    if (r->checkpoint.unit == LK_UNIT_EPOCH ? batch->last && is_due(next_epoch, r->checkpoint.every)
                                            : is_due(next_step, r->checkpoint.every))
        flags |= LK_ORDER_CHECKPOINT;
    if (t->all_written && lk_saver_busy(t->saver)) flags |= LK_ORDER_PUBLISH;
    if (t->stop_voted) flags |= LK_ORDER_STOP | LK_ORDER_REQUEUE;
    if (over && end_flag(t) == LK_ORDER_STOP) flags &= ~(uint32_t)LK_ORDER_REQUEUE; /* it is finished anyway */
    return flags;
}

static lk_status journal_hyperparams(trainer *t, int64_t epoch)
{
    char suffix[METRIC_NAME_BYTES];

    for (int g = 0; g < t->order.n_groups; g++) {
        if (t->order.lr[g] == t->lr_journalled[g]) continue;
        LK_TRY(lk_journal_write(t->journal, t->j->step, "lr", "%s%s%.10g from epoch %" PRId64 " on",
                                g ? hyperparams_suffix(&t->hyperparams, g, suffix) + 1 : "", g ? ": " : "",
                                t->order.lr[g], epoch));
        t->lr_journalled[g] = t->order.lr[g];
    }
    return LK_OK;
}

lk_status leader_order(trainer *t, const lk_batch *batch)
{
    const double within = (double)batch->index / (double)lk_loader_batches(t->j->loader);
    const double epoch = (double)(batch->epoch - t->stage_epoch) + within;

    t->order = (lk_order){
        .step = t->j->step,
        .epoch = (int32_t)batch->epoch,
        .flags = order_flags(t, batch),
    };
    LK_TRY(hyperparams_at(&t->hyperparams, t->j->step - t->stage_step, epoch, &t->order));
    if (batch->index == 0) LK_TRY(journal_hyperparams(t, batch->epoch));
    if (!(t->order.flags & LK_ORDER_REQUEUE)) return LK_OK;
    lk_progress_say(t->progress, "lockstep: finishing step %" PRId64 ", then a checkpoint; Ctrl-C again ends at once",
                    t->j->step + 1);
    return lk_journal_write(t->journal, t->j->step, "stop", "a signal asks to stop after this step");
}

/* ---------------------------------------------------------------- judgement */

static double metric_value(const trainer *t, const char *name)
{
    return t->j->metrics.last[metrics_find(&t->j->metrics, name)];
}

static lk_status judge_plateau(trainer *t, int g)
{
    const group_rates *group = &t->hyperparams.group[g];
    const char *name = group->recipe->scheduler.spec.metric;
    const int64_t step = t->j->step - t->stage_step;
    const double within = (double)t->index / (double)lk_loader_batches(t->j->loader);
    const double epoch = (double)(t->epoch - t->stage_epoch) + within;
    bool reduced = false;
    lk_schedule_state state;
    char text[SAID_BYTES];

    if (group->recipe->scheduler.spec.kind != LK_SCHEDULE_PLATEAU) return LK_OK;
    lk_schedule_observe(group->lr, step, epoch, metric_value(t, name), &reduced);
    if (!reduced) return LK_OK;
    lk_schedule_get(group->lr, &state);
    snprintf(text, sizeof text, "%s is %.6g, best %.6g: the learning rate%s%s falls to %.6g", name,
             metric_value(t, name), state.best, g ? " of " : "", g ? group->recipe->group : "", state.lr);
    lk_progress_say(t->progress, "plateau: %s", text);
    return lk_journal_write(t->journal, t->j->step, "plateau", "%s", text);
}

static lk_status judge_early_stop(trainer *t, uint32_t *flags)
{
    const lk_recipe *r = t->j->recipe;
    const char *name = r->train.early_stop.metric;

    if (!r->train.has_early_stop) return LK_OK;
    if (!lk_early_stop_observe(&r->train.early_stop.spec, &t->early_stop, metric_value(t, name))) return LK_OK;
    if (t->epoch - t->stage_epoch < r->train.early_stop.min_epochs) return LK_OK;
    *flags |= end_flag(t) | LK_ORDER_EARLY;
    return lk_journal_write(t->journal, t->j->step, "early_stop",
                            "%s has not improved on %.6g for %" PRId64 " evaluations", name, t->early_stop.best,
                            t->early_stop.num_bad);
}

/* Only weights that are saved can be the best ones kept, so the question is asked where a checkpoint follows. */
static lk_status judge_best(trainer *t, uint32_t flags)
{
    const lk_recipe *r = t->j->recipe;

    t->next_best = false;
    if (!r->checkpoint.best || !((t->order.flags | flags) & (LK_ORDER_CHECKPOINT | LK_ORDER_STOP | LK_ORDER_STAGE)))
        return LK_OK;
    const double value = metric_value(t, r->train.best_metric);
    if (isnan(value)) return LK_OK;
    if (!isnan(t->best) && !(r->train.best_mode == LK_MAX ? value > t->best : value < t->best)) return LK_OK;
    t->best = value;
    t->best_epoch = t->epoch;
    t->next_best = true;
    return lk_journal_write(t->journal, t->j->step, "best", "%s is %.6g: this checkpoint has the best weights saved",
                            r->train.best_metric, value);
}

static lk_status record(trainer *t)
{
    const metrics *set = &t->j->metrics;
    double values[MOST_COLUMNS] = {t->order.lr[0]};

    for (int k = 0; k < t->n_group_names; k++) values[1 + k] = rate_of(t, t->group_name[k]);
    memcpy(values + 1 + t->n_group_names, set->last, (size_t)set->n * sizeof *values);
    LK_TRY(lk_metrics_write(t->csv, t->j->step, t->epoch, values));
    events_evaluation(t);
    lk_progress_update(t->progress, t->j->step, samples_per_second(t), epoch_loss(t));
    watch_evaluation(t);
    return LK_OK;
}

/* Plateau and early stop count evaluations, as PyTorch's loops do: the regular ones.  One made only because the run
 * ends leaves them alone, as one made before anything was trained, so a run that is continued goes on as if it had not
 * ended. */
lk_status leader_judge(trainer *t, uint32_t *flags)
{
    LK_TRY(record(t));
    if (t->j->watch) t->j->watch(t->j->watch_arg, t->j->step, t->j->metrics.n, t->j->metrics.name, t->j->metrics.last);
    if (evaluation_is_due(t, t->j->step, t->epoch, t->index)) {
        for (int g = 0; g < t->hyperparams.n; g++) LK_TRY(judge_plateau(t, g));
        LK_TRY(judge_early_stop(t, flags));
    }
    return judge_best(t, *flags);
}
