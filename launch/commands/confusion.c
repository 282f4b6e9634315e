/*
 * The confusion matrix of a loader's samples: how often each class was taken for each.  A row of logits says the first
 * of its largest; labels that are ignored are left out.  Counts are whole numbers, so it does not matter in which order
 * workers add them.
 */
#include "launch/launch.h"

#include <stdio.h>
#include <stdlib.h>

static size_t likeliest(const float *logit, size_t n)
{
    size_t best = 0;

    for (size_t c = 1; c < n; c++)
        if (logit[c] > logit[best]) best = c;
    return best;
}

/* -1: it is ignored. */
static int64_t label_of(const job *j, const void *target, size_t r, size_t V)
{
    const lk_loss_spec *loss = &j->recipe->model.loss;

    if (loss->probabilities) return (int64_t)likeliest((const float *)target + r * V, V);
    const int32_t label = ((const int32_t *)target)[r];
    return label == loss->ignore_index ? -1 : label;
}

/* counts: (V, V), rows by label. */
static lk_status count_lane(job *j, const lk_batch_lane *own, float *output, double *counts)
{
    const size_t V = lk_model_n_row(j->model), rows = (size_t)own->n * lk_model_n_output(j->model) / V;
    const void *target = own->field[lk_model_sample(j->model)->n_fields - 1]; /* it is the last */
    lk_lane lane = job_lane(own, LK_PREDICT);

    if (own->n == 0) return LK_OK;
    lane.params = j->params;
    lane.params_version = j->params_version;
    lane.output = output;
    LK_TRY(lk_engine_run(j->engine, &lane));
    for (size_t r = 0; r < rows; r++) {
        const int64_t label = label_of(j, target, r, V);
        if (label >= 0) counts[(size_t)label * V + likeliest(output + r * V, V)] += 1.0;
    }
    return LK_OK;
}

static lk_status count_all(job *j, lk_loader *loader, float *output, double *counts)
{
    lk_batch batch = {0};

    while (!batch.last) {
        lk_world_progress(j->world, j->step, "confusion matrix");
        LK_TRY(lk_loader_next(loader, &batch));
        for (int l = 0; l < j->lane_end - j->lane_begin; l++) LK_TRY(count_lane(j, &batch.lane[l], output, counts));
    }
    return LK_OK;
}

/* Row by row, so that what the lanes exchange stays small: a worker's counts go in its first lane. */
static lk_status sum_rows(job *j, double *counts)
{
    const size_t V = lk_model_n_row(j->model), own = (size_t)(j->lane_end - j->lane_begin);
    double *lanes = calloc(own * V, sizeof *lanes);
    lk_status status = job_agree(j, lanes ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "out of memory for a row of counts"));

    for (size_t row = 0; status == LK_OK && row < V; row++) {
        for (size_t c = 0; c < V; c++) lanes[c] = counts[row * V + c];
        status = lk_world_sum_lanes(j->world, j->lanes, lanes, V, counts + row * V);
    }
    free(lanes);
    return status;
}

/* A class by its word, in quotes, or by its number. */
static void print_name(FILE *file, const job *j, size_t c)
{
    const char *word = lk_dataset_class(j->validation, c);

    if (!word) fprintf(file, "%zu", c);
    else print_csv_text(file, word);
}

static lk_status write_matrix(const job *j, const double *counts, const char *path)
{
    const size_t V = lk_model_n_row(j->model);
    char *text = NULL;
    size_t nbytes;
    FILE *file = open_memstream(&text, &nbytes);

    if (!file) return LK_FAIL(LK_ERR_SYSTEM, "out of memory for the confusion matrix");
    fputs("label", file);
    for (size_t c = 0; c < V; c++) fputc(',', file), print_name(file, j, c);
    for (size_t row = 0; row < V; row++) {
        fputc('\n', file);
        print_name(file, j, row);
        for (size_t c = 0; c < V; c++) fprintf(file, ",%.0f", counts[row * V + c]);
    }
    fputc('\n', file);
    const bool failed = fclose(file) != 0;
    const lk_status status = failed ? LK_FAIL(LK_ERR_SYSTEM, "out of memory for the confusion matrix")
                                    : lk_write_file_atomic(path, text, nbytes);
    free(text);
    return status;
}

/* Samples of the largest own lane. */
static size_t largest_lane(const lk_loader *loader)
{
    int64_t sizes[4], largest = 1;
    const int n = lk_loader_lane_sizes(loader, sizes);

    for (int i = 0; i < n; i++)
        if (sizes[i] > largest) largest = sizes[i];
    return (size_t)largest;
}

lk_status write_confusion(job *j, lk_loader *loader, const char *path)
{
    const size_t V = lk_model_n_row(j->model), samples = largest_lane(loader);
    double *counts = calloc(V * V, sizeof *counts);
    float *output = malloc(samples * lk_model_n_output(j->model) * sizeof *output);
    lk_status status = counts && output ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "out of memory for the confusion matrix");

    if (status == LK_OK) status = count_all(j, loader, output, counts);
    status = job_agree(j, status);
    if (status == LK_OK) status = sum_rows(j, counts);
    if (status == LK_OK) status = job_agree(j, j->leader ? write_matrix(j, counts, path) : LK_OK);
    free(output);
    free(counts);
    return status;
}
