/*
 * Evaluation by all workers.  Each lane adds up its own sums over the batches in double precision, in order; at the
 * end the lanes are summed in the tree.  So the metrics, too, are the same bits for any number of workers.
 */
#include "launch/launch.h"

#include <stdlib.h>

/* One evaluation under way.  r2 is a mean over outputs, so where there are several their squared errors are also told
 * apart, here: the engine adds them up over all. */
typedef struct evaluation {
    size_t n_outputs;  /* values a sample; 0: labels */
    size_t width;      /* sums a lane: the engine's, then those of each output */
    double *lanes;     /* owned: (own lanes, width) */
    float *output;     /* owned: (largest lane, n_outputs); NULL where the engine's sums will do */
    int target;        /* number of the field */
} evaluation;

static void close_evaluation(evaluation *e)
{
    free(e->output);
    free(e->lanes);
}

static int find_target(const lk_sample *sample)
{
    int f = 0;

    while (!sample->field[f].target) f++;
    return f;
}

static lk_status open_evaluation(const job *j, const lk_dataset *dataset, const lk_loader *loader, evaluation *e)
{
    const size_t own = (size_t)(j->lane_end - j->lane_begin);
    int64_t sizes[4], largest = 0;
    const int n_sizes = lk_loader_lane_sizes(loader, sizes);

    *e = (evaluation){.n_outputs = lk_dataset_has_labels(dataset) ? 0 : lk_dataset_n_output(dataset), .width = LK_N_SUMS,
                      .target = find_target(lk_model_sample(j->model))};
    if (e->n_outputs > 1) e->width += e->n_outputs;
    e->lanes = calloc(own ? own : 1, e->width * sizeof *e->lanes);
    LK_TRY_ALLOC(e->lanes, own * e->width * sizeof *e->lanes);
    if (e->n_outputs <= 1) return LK_OK;
    for (int i = 0; i < n_sizes; i++) largest = sizes[i] > largest ? sizes[i] : largest;
    e->output = malloc((size_t)largest * e->n_outputs * sizeof *e->output);
    LK_TRY_ALLOC(e->output, (size_t)largest * e->n_outputs * sizeof *e->output);
    return LK_OK;
}

static void add_squares(const evaluation *e, const lk_batch_lane *own, double *sums)
{
    const float *target = own->field[e->target];

    for (size_t i = 0; i < (size_t)own->n * e->n_outputs; i++) {
        const double error = (double)e->output[i] - (double)target[i];

        sums[i % e->n_outputs] += error * error;
    }
}

static lk_status add_lane(job *j, evaluation *e, const lk_batch_lane *own, lk_lane *lane, double *sums)
{
    double made[LK_N_SUMS];

    lane->sums = made;
    lane->output = e->output;
    LK_TRY(lk_engine_run(j->engine, lane));
    for (int k = 0; k < LK_N_SUMS; k++) sums[k] += made[k];
    if (e->output) add_squares(e, own, sums + LK_N_SUMS);
    return LK_OK;
}

static lk_status add_batch(job *j, evaluation *e, const lk_batch *batch, const float *params, uint64_t version)
{
    for (int l = 0; l < j->lane_end - j->lane_begin; l++) {
        const lk_batch_lane *own = &batch->lane[l];
        lk_lane lane = job_lane(own, LK_EVAL);

        if (own->n == 0) continue;
        lane.params = params;
        lane.params_version = version;
        LK_TRY(add_lane(j, e, own, &lane, e->lanes + (size_t)l * e->width));
    }
    return LK_OK;
}

/* Over the lanes in the tree, then into the metrics. */
static lk_status finish(job *j, const evaluation *e, const lk_dataset *dataset, lk_metric_part_id part)
{
    double *sum = calloc(e->width + e->n_outputs, sizeof *sum);

    LK_TRY(job_agree(j, sum ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "out of memory for %zu sums", e->width)));
    double *spread = sum + e->width;
    const lk_status status = lk_world_sum_lanes(j->world, j->lanes, e->lanes, e->width, sum);
    if (status == LK_OK) {
        lk_dataset_target_spread(dataset, spread);
        metrics_put_part(&j->metrics, part,
                         &(lk_sums){.of = sum, .n_outputs = e->n_outputs, .spread = spread,
                                    .squared = e->n_outputs > 1 ? sum + LK_N_SUMS : sum + LK_SUM_SQUARED});
    }
    free(sum);
    return status;
}

lk_status evaluate(job *j, const lk_dataset *dataset, lk_loader *loader, const float *params, uint64_t version,
                   lk_metric_part_id part)
{
    evaluation e;
    lk_batch batch = {0};
    lk_status status = open_evaluation(j, dataset, loader, &e);

    lk_world_progress(j->world, j->step, "evaluate");
    while (status == LK_OK && !batch.last) {
        status = lk_loader_next(loader, &batch);
        if (status == LK_OK) status = add_batch(j, &e, &batch, params, version);
        lk_world_progress(j->world, j->step, "evaluate");
    }
    status = job_agree(j, status);
    if (status == LK_OK) status = finish(j, &e, dataset, part);
    close_evaluation(&e);
    return status;
}

lk_status broadcast_ema(job *j, const float **ema)
{
    const size_t n_elem = lk_model_n_elem(j->model);
    float *host;

    *ema = j->leader ? lk_ema_params(j->ema) : j->ema_view;
    if (lk_world_size(j->world) == 1) return LK_OK;
    if (j->leader) LK_TRY(job_host_read(j, *ema, n_elem, &host));
    else LK_TRY(job_host_room(j, j->ema_view, n_elem, &host));
    LK_TRY(lk_world_broadcast(j->world, host, n_elem * sizeof *host));
    return j->leader ? LK_OK : job_host_write(j, j->ema_view, host, n_elem);
}
