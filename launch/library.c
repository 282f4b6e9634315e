/* The commands of the program as calls: what options would say is said here, and messages stay in
 * lk_error_message(). */
#include "launch/lockstep.h"

#include "launch/launch.h"

#include <math.h>
#include <stdlib.h>

/* As main.c: a failure that a worker has alone ends the job, for others may be waiting. */
static lk_status finish(job *j, lk_status status)
{
    if (status != LK_OK && status != LK_STOPPED && !j->agreed && lk_world_size(j->world) > 1)
        lk_world_abort(j->world, status, lk_error_message());
    job_close(j);
    return status;
}

static lk_status check_processor(void)
{
    char lacks[512];

    return lk_processor_lacks(lacks, sizeof lacks) ? LK_FAIL(LK_ERR_SYSTEM, "%s", lacks) : LK_OK;
}

lk_status lk_run_train(lk_world *world, const lk_training *training)
{
    job j = {.world = world, .leader = lk_world_rank(world) == 0, .watch = training->watch, .watch_arg = training->arg};
    options opt = {.command = "train", .positional = {training->recipe}, .n_positional = 1, .resume = training->resume};

    LK_TRY(check_processor());
    if (training->n_overrides > MAX_OVERRIDES)
        return LK_FAIL(LK_ERR_USAGE, "%d overrides: at most %d", training->n_overrides, MAX_OVERRIDES);
    for (int i = 0; i < training->n_overrides; i++) opt.overrides[i] = training->overrides[i];
    opt.n_overrides = training->n_overrides;
    return finish(&j, command_train(&j, &opt));
}

/* ----------------------------------------------------------------- predictions */

typedef struct rows {
    const lk_dataset *dataset;
    lk_reading reads;
    size_t n_output;
    double *next; /* where the next row goes */
} rows;

/* p[k] = exp(z[k] - max) / sum of those. */
static void put_probabilities(double *row, const float *z, size_t n)
{
    float most = z[0];
    double sum = 0.0;

    for (size_t k = 1; k < n; k++) most = fmaxf(most, z[k]);
    for (size_t k = 0; k < n; k++) sum += row[k] = exp((double)z[k] - (double)most);
    for (size_t k = 0; k < n; k++) row[k] /= sum;
}

static double value_of(const rows *r, size_t k, float output)
{
    if (r->reads == LK_READS_EVENTS) return 1.0 / (1.0 + exp(-(double)output));
    return lk_dataset_unstandardize(r->dataset, k, output);
}

static void put_row(void *arg, const float *output)
{
    rows *r = arg;

    if (r->reads == LK_READS_CLASSES) put_probabilities(r->next, output, r->n_output);
    else
        for (size_t k = 0; k < r->n_output; k++) r->next[k] = value_of(r, k, output[k]);
    r->next += r->n_output;
}

static lk_status predict(job *j, const lk_dataset *dataset, lk_predictions *out)
{
    const size_t n_output = lk_model_n_output(j->model);
    const int64_t n = lk_dataset_n(dataset);

    out->value = calloc((size_t)n * n_output, sizeof *out->value);
    LK_TRY_ALLOC(out->value, (size_t)n * n_output * sizeof *out->value);
    out->n = n;
    out->n_output = n_output;
    rows r = {dataset, lk_loss_get(j->recipe->model.loss.kind)->reads, n_output, out->value};
    return job_predict(j, dataset, put_row, &r);
}

lk_status lk_run_predict(lk_world *world, const char *run, const char *file, bool ema, lk_predictions *out)
{
    job j = {.world = world, .leader = lk_world_rank(world) == 0};
    const options opt = {.command = "predict", .positional = {run}, .n_positional = 1, .data = file, .ema = ema};

    *out = (lk_predictions){0};
    LK_TRY(check_processor());
    lk_status status = job_open_for_predict(&j, &opt);
    if (status == LK_OK)
        status = job_agree(&j, j.leader ? predict(&j, j.validation ? j.validation : j.train, out) : LK_OK);
    if (status != LK_OK) lk_predictions_free(out);
    return finish(&j, status);
}

void lk_predictions_free(lk_predictions *predictions)
{
    free(predictions->value);
    *predictions = (lk_predictions){0};
}
