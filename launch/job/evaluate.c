/*
 * Evaluation by all workers.  Each lane adds up its own sums over the batches in double precision, in order; at the
 * end the lanes are summed in the tree.  So the metrics, too, are the same bits for any number of workers.
 */
#include "launch/job/bleu.h"

#include <stdlib.h>

/* One evaluation on its way. */
typedef struct evaluation {
    const float *params;
    uint64_t version;
    features *features; /* borrowed; NULL: lanes run whole */
    translations *translations; /* owned; NULL: no metric wants them */
    size_t n_sums;
    double *batch;  /* (n_sums): of a lane of one batch; owned, as the next */
    double *lanes;  /* (own lanes, n_sums) */
    double *total;  /* (n_sums) */
} evaluation;

static lk_status add_batch(job *j, const lk_batch *batch, evaluation *e)
{
    for (int l = 0; l < j->lane_end - j->lane_begin; l++) {
        const lk_batch_lane *own = &batch->lane[l];
        double *sums = e->lanes + (size_t)l * e->n_sums;
        lk_lane lane = job_lane(own, LK_EVAL);

        if (own->n == 0) continue;
        lane.params = e->params;
        lane.params_version = e->version;
        lane.sums = e->batch;
        LK_TRY(features_lane(j, e->features, own, &lane));
        LK_TRY(lk_engine_run(j->engine, &lane));
        if (batch->steps > 0) e->batch[LK_SUM_LOSS] /= (double)batch->steps;
        for (size_t k = 0; k < e->n_sums; k++) sums[k] += e->batch[k];
        LK_TRY(translations_add(e->translations, own));
    }
    return LK_OK;
}

static lk_status begin(job *j, evaluation *e)
{
    const size_t rows = (size_t)(j->lane_end - j->lane_begin) + 2; /* own lanes, a batch's, the total */

    e->n_sums = lk_model_n_sums(j->model);
    e->batch = calloc(rows * e->n_sums, sizeof *e->batch);
    LK_TRY_ALLOC(e->batch, rows * e->n_sums * sizeof *e->batch);
    e->total = e->batch + e->n_sums;
    e->lanes = e->total + e->n_sums;
    return translations_new(j, &e->translations);
}

/* A part of the samples is the same each time: that at the beginning of the loader's first epoch. */
static lk_status add_all(job *j, lk_loader *loader, evaluation *e)
{
    const int64_t most = job_evaluate_batches(j);
    lk_batch batch = {0};

    if (most) LK_TRY(lk_loader_seek(loader, 0, 0));
    for (int64_t i = 0; !batch.last && (!most || i < most); i++) {
        lk_world_progress(j->world, j->step, "evaluate");
        LK_TRY(lk_loader_next(loader, &batch));
        LK_TRY(add_batch(j, &batch, e));
    }
    return LK_OK;
}

lk_status evaluate(job *j, lk_loader *loader, const float *params, uint64_t version, lk_metric_part_id part)
{
    evaluation e = {.params = params, .version = version,
                    .features = part == LK_PART_OF_WEIGHTS ? j->validation_features : NULL};
    const lk_dataset *dataset = part == LK_PART_OF_TRAINING ? j->train : j->validation;
    const decoder_weights weights = {.params = params, .version = version};
    lk_sums sums = {.n_output = lk_model_n_row(j->model)};
    lk_status status = begin(j, &e);

    if (status == LK_OK) status = add_all(j, loader, &e);
    status = job_agree(j, status);
    if (status == LK_OK) status = lk_world_sum_lanes(j->world, j->lanes, e.lanes, e.n_sums, e.total);
    if (status == LK_OK) status = translations_score(j, e.translations, dataset, &weights, &sums);
    sums.of = e.total;
    if (status == LK_OK) metrics_put_part(&j->metrics, part, &sums);
    translations_free(&e.translations);
    free(e.batch);
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
