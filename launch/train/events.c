/*
 * What a run tells TensorBoard: loss and learning rate every few steps, the metrics of each evaluation, the recipe, and
 * on request the distributions of weights and gradients.
 *
 * The x axis of all is the number of steps trained.  A step's tags and values are ready arrays, so that a training step
 * allocates nothing for them.
 */
#include "launch/train/trainer.h"

#include <string.h>

enum { PATH_BYTES = 4096, TAG_BYTES = 128, N_BEFORE_LR = 1 /* the loss */ };

static const char *const step_tags[N_BEFORE_LR + LK_MAX_GROUPS] = {
    "step/train.loss", "step/lr",    "step/lr.1",  "step/lr.2",  "step/lr.3",  "step/lr.4",
    "step/lr.5",       "step/lr.6",  "step/lr.7",  "step/lr.8",  "step/lr.9",  "step/lr.10",
    "step/lr.11",      "step/lr.12", "step/lr.13", "step/lr.14", "step/lr.15",
};

static void give_up(trainer *t)
{
    lk_progress_say(t->progress, "lockstep: warning: %s; the run goes on without TensorBoard", lk_error_message());
    lk_events_close(&t->events);
}

lk_status events_open(trainer *t)
{
    const lk_recipe *r = t->j->recipe;
    char dir[PATH_BYTES];

    if (!r->metrics.tensorboard) return LK_OK;
    snprintf(dir, sizeof dir, "%s/tensorboard", r->run.dir);
    /* Steps are counted when they are done: the next to be told is the one behind those of the checkpoint. */
    LK_TRY(lk_events_open(dir, t->j->step + 1, &t->events));
    return lk_events_text(t->events, t->j->step + 1, "recipe", r->text);
}

void events_close(trainer *t)
{
    if (lk_events_close(&t->events) != LK_OK) fprintf(stderr, "lockstep: warning: %s\n", lk_error_message());
}

void events_sync(trainer *t)
{
    if (t->events && lk_events_sync(t->events) != LK_OK) give_up(t);
}

void events_step(trainer *t)
{
    const job *j = t->j;
    double values[N_BEFORE_LR + LK_MAX_GROUPS] = {(double)t->loss};
    const size_t n_groups = (size_t)t->order.n_groups;

    if (j->step % j->recipe->metrics.log_every != 0) return;
    for (size_t g = 0; g < n_groups; g++) values[N_BEFORE_LR + g] = t->order.lr[g];
    if (lk_events_scalars(t->events, j->step, step_tags, values, N_BEFORE_LR + n_groups) != LK_OK) give_up(t);
}

/* --------------------------------------------------------------- evaluation */

static lk_status put_metrics(trainer *t)
{
    const metrics *set = &t->j->metrics;
    char text[LK_MOST_METRICS][TAG_BYTES];
    const char *tags[LK_MOST_METRICS];

    for (int i = 0; i < set->n; i++) {
        snprintf(text[i], TAG_BYTES, "epoch/%s", set->name[i]);
        tags[i] = text[i];
    }
    return lk_events_scalars(t->events, t->j->step, tags, set->last, (size_t)set->n);
}

/* A histogram of tensor i of the model, whose values these are. */
static lk_status put_tensor(trainer *t, const char *group, size_t i, const float *values)
{
    const lk_tensor_info *info = lk_model_tensor(t->j->model, i);
    char tag[TAG_BYTES];

    snprintf(tag, sizeof tag, "%s/%s", group, info->name);
    return lk_events_histogram(t->events, t->j->step, tag, values, info->n_elem);
}

static lk_status put_weights(trainer *t)
{
    job *j = t->j;
    float *weights;

    LK_TRY(job_host_read(j, j->params, lk_model_n_elem(j->model), &weights));
    for (size_t i = 0; i < lk_model_n_tensors(j->model); i++)
        LK_TRY(put_tensor(t, "weights", i, weights + lk_model_tensor(j->model, i)->offset));
    return LK_OK;
}

static lk_status put_gradients(trainer *t)
{
    job *j = t->j;
    float *grads;

    LK_TRY(job_host_read(j, t->grads, lk_trainable_n_elem(j->trainable), &grads));
    for (size_t i = 0; i < lk_model_n_tensors(j->model); i++)
        if (lk_trainable_has(j->trainable, i))
            LK_TRY(put_tensor(t, "gradients", i, grads + lk_trainable_offset(j->trainable, i)));
    return LK_OK;
}

/* Counted in evaluations since the run's first step, so that a resumed run draws the same ones. */
static bool histograms_are_due(const trainer *t)
{
    const lk_recipe *r = t->j->recipe;
    const int64_t done = r->train.evaluate_unit == LK_UNIT_STEP ? t->j->step : t->epoch;

    return r->metrics.histograms && t->samples > 0 && done / r->train.evaluate_every % r->metrics.histograms == 0;
}

static lk_status put_evaluation(trainer *t)
{
    LK_TRY(put_metrics(t));
    if (histograms_are_due(t)) {
        LK_TRY(put_weights(t));
        if (t->grads) LK_TRY(put_gradients(t));
    }
    return lk_events_flush(t->events);
}

void events_evaluation(trainer *t)
{
    if (t->events && put_evaluation(t) != LK_OK) give_up(t);
}
