/*
 * Evaluation by all workers.  Each lane adds up its own sums over the batches in double precision, in order; at the
 * end the lanes are summed in the tree.  So the metrics, too, are the same bits for any number of workers.
 */
#include "launch/launch.h"

#include <stdlib.h>

static lk_status add_batch(job *j, const lk_batch *batch, const float *params, uint64_t version, double *lanes)
{
    for (int l = 0; l < j->lane_end - j->lane_begin; l++) {
        const lk_batch_lane *own = &batch->lane[l];
        double sums[LK_N_SUMS];
        lk_lane lane = job_lane(own, LK_EVAL);

        if (own->n == 0) continue;
        lane.params = params;
        lane.params_version = version;
        lane.sums = sums;
        LK_TRY(lk_engine_run(j->engine, &lane));
        for (int k = 0; k < LK_N_SUMS; k++) lanes[l * LK_N_SUMS + k] += sums[k];
    }
    return LK_OK;
}

lk_status evaluate(job *j, const lk_dataset *dataset, lk_loader *loader, const float *params, uint64_t version,
                   lk_metric_part_id part)
{
    const size_t own = (size_t)(j->lane_end - j->lane_begin);
    double sum[LK_N_SUMS];
    double *lanes = calloc(own ? own : 1, LK_N_SUMS * sizeof *lanes);
    lk_status status = LK_OK;
    lk_batch batch = {0};

    LK_TRY_ALLOC(lanes, own * LK_N_SUMS * sizeof *lanes);
    lk_world_progress(j->world, j->step, "evaluate");
    while (status == LK_OK && !batch.last) {
        status = lk_loader_next(loader, &batch);
        if (status == LK_OK) status = add_batch(j, &batch, params, version, lanes);
        lk_world_progress(j->world, j->step, "evaluate");
    }
    status = job_agree(j, status);
    if (status == LK_OK) status = lk_world_sum_lanes(j->world, j->lanes, lanes, LK_N_SUMS, sum);
    if (status == LK_OK)
        metrics_put_part(&j->metrics, part, &(lk_sums){.of = sum, .spread = lk_dataset_target_spread(dataset)});
    free(lanes);
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
