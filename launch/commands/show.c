/*
 * lockstep ckpt show: one checkpoint, with what its run's journal and metrics tell about it.
 *
 * The checkpoint itself is all that must be there.  A copy without its run, or a run whose journal is damaged, is shown
 * with less.
 */
#include "launch/job/state.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 4096, N_DECISIONS = 12, LONGEST_NOTE = 80 };

/* What is known beside the checkpoint; any of it may be missing. */
typedef struct surroundings {
    char dir[PATH_BYTES];       /* of the checkpoints: RUN/checkpoints */
    lk_ckpt_entry *saved;       /* owned */
    size_t n_saved;
    lk_journal_entry *journal;  /* owned */
    size_t n_journal;
    lk_metrics_table *metrics;  /* owned */
    lk_recipe *recipe;          /* owned: the checkpoint's; NULL: it cannot be read */
    run_state state;            /* what the checkpoint itself says */
} surroundings;

static lk_status look_around(const lk_checkpoint *ckpt, surroundings *s)
{
    char run[PATH_BYTES] = ".", path[PATH_BYTES + 64];
    char *real = realpath(lk_checkpoint_path(ckpt), NULL), *slash = real ? strrchr(real, '/') : NULL;

    memset(s, 0, sizeof *s);
    const lk_status status = state_get(lk_checkpoint_metadata(ckpt), &s->state);
    if (slash) snprintf(s->dir, sizeof s->dir, "%.*s", (int)(slash - real), real);
    slash = strrchr(s->dir, '/');
    if (slash) snprintf(run, sizeof run, "%.*s", (int)(slash - s->dir), s->dir);
    free(real);
    if (lk_checkpoint_list(s->dir, &s->saved, &s->n_saved) != LK_OK) s->n_saved = 0;
    snprintf(path, sizeof path, "%s/journal.jsonl", run);
    if (lk_journal_read(path, &s->journal, &s->n_journal) != LK_OK)
        printf("(the decisions are unknown: %s)\n", lk_error_message());
    snprintf(path, sizeof path, "%s/metrics.csv", run);
    if (lk_metrics_read(path, &s->metrics) != LK_OK) s->metrics = NULL;
    if (status != LK_OK || lk_recipe_parse(s->state.recipe, "recipe.yaml", NULL, 0, &s->recipe) != LK_OK)
        s->recipe = NULL;
    return status;
}

static void forget(surroundings *s)
{
    free(s->saved);
    lk_journal_entries_free(&s->journal, s->n_journal);
    lk_metrics_table_free(&s->metrics);
    lk_recipe_free(&s->recipe);
}

/* --------------------------------------------------------------------- head */

/* The last decision of that kind at or before a step that still holds, NULL: none. */
static const lk_journal_entry *last_event(const surroundings *s, const char *event, int64_t step)
{
    const lk_journal_entry *found = NULL;

    for (size_t i = 0; i < s->n_journal; i++)
        if (!s->journal[i].undone && s->journal[i].step <= step && strcmp(s->journal[i].event, event) == 0)
            found = &s->journal[i];
    return found;
}

static const lk_ckpt_entry *entry_at(const surroundings *s, int64_t step)
{
    for (size_t i = 0; i < s->n_saved; i++)
        if (s->saved[i].step == step) return &s->saved[i];
    return NULL;
}

static void show_head(const lk_checkpoint *ckpt, const surroundings *s)
{
    const int64_t step = lk_checkpoint_step(ckpt);
    const lk_ckpt_entry *own = entry_at(s, step);
    const lk_journal_entry *stage = last_event(s, "stage", step);
    const run_state *state = &s->state;

    printf("%s%s%s\n", lk_checkpoint_path(ckpt), own && own->latest ? "  latest" : "",
           own && own->best ? "  best" : "");
    printf("  %" PRId64 " steps, %" PRId64 " epochs", step, state->epoch);
    if (state->index > 0) printf(" and %" PRId64 " batches of the next", state->index);
    printf("; %" PRId64 " lanes, batch %" PRId64 ", seed %" PRId64 "; written by lockstep %s\n", state->lanes,
           state->batch, state->seed, state->version);
    if (stage) printf("  stage: %s\n", stage->reason);
    if (*state->stopped) printf("  the run ended here: %s\n", state->stopped);
}

/* --------------------------------------------------------------------- best */

/* The value of a metric at the evaluation of a step; NaN: none. */
static double value_at(const lk_metrics_table *t, const char *metric, int64_t step)
{
    const double *values = t ? lk_metrics_column(t, metric) : NULL;

    for (size_t row = 0; values && row < t->n_rows; row++)
        if (t->column[0][row] == (double)step) return values[row];
    return NAN;
}

/* "validation.loss" of "ema.validation.loss", and the other way; NULL when the run has only the one. */
static const char *other_weights(const surroundings *s, const char *metric, char *text, size_t nbytes)
{
    static const char prefix[] = "ema.";
    const size_t length = sizeof prefix - 1;

    if (strncmp(metric, prefix, length) == 0) snprintf(text, nbytes, "%s", metric + length);
    else snprintf(text, nbytes, "%s%s", prefix, metric);
    return s->metrics && lk_metrics_column(s->metrics, text) ? text : NULL;
}

static bool is_better(const lk_recipe *r, double a, double b)
{
    return r->train.best_mode == LK_MAX ? a > b : a < b;
}

static void show_weights(const surroundings *s, int64_t step)
{
    const char *metric = s->recipe->train.best_metric;
    char text[128];
    const bool ema = strncmp(metric, "ema.", 4) == 0;
    const char *other = other_weights(s, metric, text, sizeof text);
    const double value = value_at(s->metrics, metric, step), theirs = other ? value_at(s->metrics, other, step) : NAN;

    printf("  it is judged by %s weights%s", ema ? "the EMA's" : "the trained", ema ? " (predict --ema)" : "");
    if (!isnan(value) && !isnan(theirs))
        printf("; %s are %s there: %s %.6g", ema ? "the trained ones" : "the EMA's",
               theirs == value ? "as good" : is_better(s->recipe, theirs, value) ? "better" : "worse", other, theirs);
    printf("\n");
}

/* Checkpoints saved after the best one, with the values by which they lost. */
static void show_losers(const surroundings *s, int64_t best_step)
{
    const char *separator = "  later checkpoints are no better: ";

    for (size_t i = 0; i < s->n_saved; i++) {
        const double value = value_at(s->metrics, s->recipe->train.best_metric, s->saved[i].step);

        if (s->saved[i].step <= best_step || isnan(value)) continue;
        printf("%s%.6g at step %" PRId64, separator, value, s->saved[i].step);
        separator = ", ";
    }
    if (separator[0] == ',') printf("\n");
}

/* A better evaluation than the best checkpoint's: nothing was saved there. */
static void show_missed(const surroundings *s, int64_t best_step)
{
    const lk_recipe *r = s->recipe;
    const double *values = s->metrics ? lk_metrics_column(s->metrics, r->train.best_metric) : NULL;
    double best = value_at(s->metrics, r->train.best_metric, best_step), step = -1.0;

    for (size_t row = 0; values && row < s->metrics->n_rows; row++)
        if (!isnan(values[row]) && is_better(r, values[row], best)) {
            best = values[row];
            step = s->metrics->column[0][row];
        }
    if (step < 0.0) return;
    printf("  the run was better at step %.0f, %.6g, but saved nothing there: checkpoint.every is %" PRId64 " %ss\n",
           step, best, r->checkpoint.every, r->checkpoint.unit == LK_UNIT_EPOCH ? "epoch" : "step");
}

static void show_best(const surroundings *s)
{
    const lk_ckpt_entry *best = NULL;

    for (size_t i = 0; i < s->n_saved; i++)
        if (s->saved[i].best) best = &s->saved[i];
    if (!best) {
        printf("\nbest checkpoint: none is kept%s\n",
               s->recipe && !s->recipe->checkpoint.best ? " (checkpoint.best: false)" : "");
        return;
    }
    const lk_journal_entry *why = last_event(s, "best", best->step);
    printf("\nbest checkpoint: %s\n", best->name);
    if (why && why->step == best->step) printf("  %s\n", why->reason);
    if (!s->recipe) return;
    show_weights(s, best->step);
    show_losers(s, best->step);
    show_missed(s, best->step);
}

/* ---------------------------------------------------------------- decisions */

static bool is_event(const lk_journal_entry *e, const char *event) { return strcmp(e->event, event) == 0; }

/* Checkpoints and the best of them have a section of their own. */
static bool is_told_elsewhere(const lk_journal_entry *e)
{
    return e->undone || is_event(e, "checkpoint") || is_event(e, "best");
}

/* Of changes of the learning rate that follow one another, the last is shown. */
static bool is_shown(const surroundings *s, size_t i)
{
    const lk_journal_entry *e = &s->journal[i];

    if (is_told_elsewhere(e) || !is_event(e, "lr")) return !is_told_elsewhere(e);
    for (size_t k = i + 1; k < s->n_journal; k++)
        if (!is_told_elsewhere(&s->journal[k])) return !is_event(&s->journal[k], "lr");
    return true;
}

static void show_decisions(const surroundings *s)
{
    size_t n_shown = 0, n_undone = 0, seen = 0;

    for (size_t i = 0; i < s->n_journal; i++) {
        n_shown += is_shown(s, i);
        n_undone += s->journal[i].undone;
    }
    if (n_shown == 0) return;
    printf("\ndecisions of the run%s\n", n_shown > N_DECISIONS ? ", the last ones" : "");
    for (size_t i = 0; i < s->n_journal; i++) {
        const lk_journal_entry *e = &s->journal[i];

        if (!is_shown(s, i) || ++seen + N_DECISIONS <= n_shown) continue;
        printf("  step %9" PRId64 "  %-10s  %s\n", e->step, e->event, e->reason);
    }
    if (n_undone) printf("  (%zu more were undone when the run was resumed from an earlier step)\n", n_undone);
}

/* ----------------------------------------------------------------- contents */

static void show_metrics(const lk_metadata *metadata)
{
    static const char prefix[] = "metrics/last/";
    bool any = false;

    for (size_t i = 0; i < lk_metadata_n(metadata); i++) {
        const char *path = lk_metadata_path(metadata, i), *name = path + sizeof prefix - 1;
        char best_path[128];
        double last, best;

        if (strncmp(path, prefix, sizeof prefix - 1) != 0 || lk_metadata_get_real(metadata, path, &last) != LK_OK)
            continue;
        snprintf(best_path, sizeof best_path, "metrics/best/%s", name);
        if (lk_metadata_get_real(metadata, best_path, &best) != LK_OK || isnan(last)) continue;
        if (!any) printf("\n%-38s %-14s %s\n", "metrics", "last", "best so far");
        printf("  %-36s %-14.6g %.6g\n", name, last, best);
        any = true;
    }
}

/* Notes of one line each: counters, the schedule's state; metrics and long texts stand elsewhere. */
static void show_state(const lk_metadata *metadata)
{
    printf("\nstate\n");
    for (size_t i = 0; i < lk_metadata_n(metadata); i++) {
        const char *path = lk_metadata_path(metadata, i), *text;
        int64_t integer;
        double real;

        if (strncmp(path, "metrics/", 8) == 0) continue;
        if (lk_metadata_get_int(metadata, path, &integer) == LK_OK) printf("  %-36s %" PRId64 "\n", path, integer);
        else if (lk_metadata_get_real(metadata, path, &real) == LK_OK) printf("  %-36s %.9g\n", path, real);
        else if (lk_metadata_get_text(metadata, path, &text) == LK_OK && *text && !strchr(text, '\n') &&
                 strlen(text) < LONGEST_NOTE)
            printf("  %-36s %s\n", path, text);
    }
}

static void show_tensors(const lk_checkpoint *ckpt)
{
    size_t n_elem = 0;

    for (size_t i = 0; i < lk_checkpoint_n_tensors(ckpt); i++) n_elem += lk_checkpoint_tensor(ckpt, i)->n_elem;
    printf("\n%zu tensors, %zu elements\n", lk_checkpoint_n_tensors(ckpt), n_elem);
    for (size_t i = 0; i < lk_checkpoint_n_tensors(ckpt); i++) {
        const lk_ckpt_tensor *t = lk_checkpoint_tensor(ckpt, i);

        printf("  %-44s (", t->path);
        for (int d = 0; d < t->ndim; d++) printf("%s%" PRId64, d ? ", " : "", t->shape[d]);
        printf(")\n");
    }
}

lk_status show_file(const char *path)
{
    lk_weights *weights;

    LK_TRY(lk_weights_open(path, &weights));
    const lk_metadata *notes = lk_weights_metadata(weights);
    const size_t n = lk_weights_n(weights);
    size_t n_elem = 0;

    printf("%s\n", path);
    for (size_t i = 0; i < lk_metadata_n(notes); i++) {
        const char *text;

        if (lk_metadata_get_text(notes, lk_metadata_path(notes, i), &text) == LK_OK)
            printf("  %s: %s\n", lk_metadata_path(notes, i), text);
    }
    for (size_t i = 0; i < n; i++) n_elem += lk_weights_tensor(weights, i)->n_elem;
    printf("\n%zu tensors, %zu elements\n", n, n_elem);
    for (size_t i = 0; i < n; i++) {
        const lk_ckpt_tensor *t = lk_weights_tensor(weights, i);
        char shape[LK_SHAPE_BYTES];

        printf("  %-44s %-5s %s\n", lk_tensor_name(t), lk_weights_type(weights, i),
               lk_print_shape(t->ndim, t->shape, shape));
    }
    lk_weights_free(&weights);
    return LK_OK;
}

lk_status show_checkpoint(const lk_checkpoint *ckpt)
{
    const lk_metadata *metadata = lk_checkpoint_metadata(ckpt);
    surroundings s;

    const lk_status status = look_around(ckpt, &s);
    if (status == LK_OK) {
        show_head(ckpt, &s);
        show_best(&s);
        show_decisions(&s);
        show_metrics(metadata);
        show_state(metadata);
        show_tensors(ckpt);
        printf("\nrecipe\n%s", s.state.recipe);
    }
    forget(&s);
    return status;
}
