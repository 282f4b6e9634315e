/*
 * What a person sees of a run: a line at the start, one an evaluation, a table at the end.  The bar between them,
 * or what stands for it where there is no terminal, is io's.
 *
 *     epoch  31  step 1550  lr 1.0e-03  train 0.0484  val 0.0097  ema 0.0103*  121k samples/s  0:13
 *
 * The star stands behind train.best_metric where it is the best so far.
 */
#include "launch/train/trainer.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { LINE_BYTES = 512, FIGURE_BYTES = 32, ADVICE_BYTES = 256 };

double epoch_loss(const trainer *t) { return t->loss_terms > 0 ? t->loss_sum / t->loss_terms : NAN; }

double samples_per_second(const trainer *t)
{
    return t->samples ? (double)t->samples / t->train_seconds : 0.0;
}

/* -------------------------------------------------------------------- start */

static const char *precision_word(lk_precision precision)
{
    switch (precision) {
#define WORD(name, word) case name: return word;
        LK_PRECISION_LIST(WORD)
#undef WORD
    }
    return "";
}

void watch_start(const trainer *t, bool resumed)
{
    const job *j = t->j;
    const lk_recipe *r = j->recipe;
    const int workers = lk_world_size(j->world);

    lk_progress_say(t->progress, "%s: %zu weights, %" PRId64 " samples, batches of %" PRId64 " in %d lane%s on %d "
                    "worker%s, %s engine, %s, in %s", r->run.name, count_weights(j->model), lk_dataset_n(j->train),
                    r->train.batch, j->lanes, plural(j->lanes), workers, plural(workers),
                    lk_engine_name(j->engine), precision_word(r->engine.precision), r->run.dir);
    if (resumed && !t->stopped)
        lk_progress_say(t->progress, "%s: going on at step %" PRId64 ", epoch %" PRId64, r->run.name, j->step,
                        t->epoch);
}

/* --------------------------------------------------------------- evaluation */

/* Losses and accuracies, and whatever the run is judged by. */
static bool is_shown(const trainer *t, const char *name)
{
    const lk_metric *metric = lk_metric_of(name);

    return metric == lk_metric_get(LK_METRIC_LOSS) || metric == lk_metric_get(LK_METRIC_ACCURACY) ||
           strcmp(name, t->j->recipe->train.best_metric) == 0;
}

static void add_metric(const trainer *t, int i, lk_text *l)
{
    const metrics *set = &t->j->metrics;
    const lk_metric *metric = lk_metric_of(set->name[i]);
    const bool best = strcmp(set->name[i], t->j->recipe->train.best_metric) == 0 && set->last[i] == set->best[i];

    lk_text_add(l, "  %s", lk_metric_parts[lk_metric_part_of(set->name[i])].word);
    if (metric != lk_metric_get(LK_METRIC_LOSS)) lk_text_add(l, " %s", metric->name);
    lk_text_add(l, " %.4g%s", isnan(set->last[i]) ? (double)NAN : set->last[i], best ? "*" : "");
}

void watch_evaluation(const trainer *t)
{
    const metrics *set = &t->j->metrics;
    char rate[FIGURE_BYTES], time[FIGURE_BYTES];
    char bytes[LINE_BYTES];
    lk_text l = lk_text_in(bytes, sizeof bytes);

    lk_text_add(&l, "epoch %3" PRId64 "  step %" PRId64 "  lr %.1e", t->epoch, t->j->step, t->order.lr[0]);
    for (int i = 0; i < set->n; i++)
        if (is_shown(t, set->name[i]) && (set->measured[i] || !isnan(set->last[i])))
            add_metric(t, i, &l);
    if (t->samples) lk_text_add(&l, "  %s", lk_print_rate(samples_per_second(t), rate, sizeof rate));
    lk_progress_say(t->progress, "%s  %s", l.at, lk_print_seconds(lk_seconds() - t->started, time, sizeof time));
    if (metrics_describe_lost(set, bytes, sizeof bytes)) lk_progress_say(t->progress, "lockstep: warning: %s", bytes);
}

/* ---------------------------------------------------------------------- end */

/* The value of a metric in a part, NaN: the run has none. */
static double value_in(const metrics *set, int part, const lk_metric *metric)
{
    for (int i = 0; i < set->n; i++)
        if (lk_metric_part_of(set->name[i]) == part && lk_metric_of(set->name[i]) == metric) return set->last[i];
    return NAN;
}

/* Where the loss is the mean squared error, a row of mse would show its values again. */
static bool repeats_loss(const metrics *set, const lk_metric *metric)
{
    const lk_metric *loss = lk_metric_get(LK_METRIC_LOSS);

    if (metric == loss) return false;
    for (int part = 0; part < LK_N_METRIC_PARTS; part++) {
        const double value = value_in(set, part, metric);

        if (!isnan(value) && value != value_in(set, part, loss)) return false;
    }
    return true;
}

static bool has_part(const metrics *set, int part)
{
    for (int i = 0; i < set->n; i++)
        if (lk_metric_part_of(set->name[i]) == part) return true;
    return false;
}

static void print_row(const metrics *set, const lk_metric *metric)
{
    char bytes[LINE_BYTES];
    lk_text l = lk_text_in(bytes, sizeof bytes);

    for (int part = 0; part < LK_N_METRIC_PARTS; part++) {
        const double value = value_in(set, part, metric);

        if (!has_part(set, part)) continue;
        if (isnan(value)) lk_text_add(&l, " %12s", "");
        else lk_text_add(&l, " %12.6g", value);
    }
    const double original = value_in(set, LK_PART_OF_WEIGHTS, metric), ema = value_in(set, LK_PART_OF_EMA, metric);
    if (!isnan(ema) && original != 0.0) lk_text_add(&l, "   EMA %+.2f %%", 100.0 * (ema - original) / fabs(original));
    while (l.used > 0 && l.at[l.used - 1] == ' ') l.at[--l.used] = '\0';
    if (l.used > 0) printf("  %-13s%s\n", metric->name, l.at);
}

static void print_metrics(const trainer *t)
{
    const metrics *set = &t->j->metrics;

    printf("  %-13s", "");
    for (int part = 0; part < LK_N_METRIC_PARTS; part++)
        if (has_part(set, part)) printf(" %12s", lk_metric_parts[part].word);
    printf("\n");
    for (int id = 0; id < LK_N_METRICS; id++)
        if (!repeats_loss(set, lk_metric_get((lk_metric_id)id))) print_row(set, lk_metric_get((lk_metric_id)id));
}

/* Of a run of stages the last one goes on; train.KEY would lengthen them all. */
static const char *how_to_go_on(const trainer *t, char *text, size_t nbytes)
{
    const char *stage = t->j->recipe->stage;
    const char *key = strcmp(t->stopped, "early_stop") == 0 ? "early_stop.patience" : t->stopped;

    if (strcmp(t->stopped, "signal") == 0) return "the same command with --resume";
    snprintf(text, nbytes, "more %s%s.%s and --resume", stage ? "stages." : "", stage ? stage : "train", key);
    return text;
}

void watch_end(const trainer *t, const char *summary)
{
    const job *j = t->j;
    char rate[FIGURE_BYTES], time[FIGURE_BYTES], advice[ADVICE_BYTES];

    printf("%s: stopped by %s after %" PRId64 " epoch%s, %" PRId64 " step%s; %s, %s\n", j->recipe->run.name, t->stopped,
           t->epoch, plural(t->epoch), j->step, plural(j->step),
           lk_print_seconds(lk_seconds() - t->started, time, sizeof time),
           lk_print_rate(samples_per_second(t), rate, sizeof rate));
    print_metrics(t);
    if (t->best_step >= 0 && !isnan(t->best)) {
        printf("  best saved: %s %.6g", j->recipe->train.best_metric, t->best);
        if (t->best_epoch >= 0) printf(" at epoch %" PRId64 ",", t->best_epoch);
        printf(" step %" PRId64 "\n", t->best_step);
    }
    printf("  %s\n  to go on: %s\n", summary, how_to_go_on(t, advice, sizeof advice));
    fflush(stdout);
}
