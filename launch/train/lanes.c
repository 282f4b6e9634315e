/*
 * A step's lanes of this worker: forward and backward, micro-batch by micro-batch, while finished buckets are on their
 * way.  On a device the next step's travel there before this one's report is waited for.
 */
#include "launch/train/trainer.h"

/* What the sum of a batch's loss terms is multiplied by. */
static float inv_count(const lk_batch *batch)
{
    if (batch->steps > 0) return 1.0f / (float)batch->steps;
    return batch->n_terms ? 1.0f / (float)batch->n_terms : 0.0f;
}

/* What it points to is good until the next one is made. */
static lk_status make_micro_batch(job *j, const lk_batch_lane *own, int m, lk_lane *out)
{
    const lk_batch_lane part = job_micro_batch(j, own, m);

    *out = job_lane(&part, LK_TRAIN);
    out->accumulate = m > 0;
    out->n_micro_batches = job_n_micro_batches(j, own->n);
    return features_lane(j, j->train_features, &part, out);
}

/* -------------------------------------------------------------------- ahead */

/* Micro-batches of a lane, in the stage that has most of them. */
static int most_micro_batches(const job *j)
{
    int most = 1;

    for (unsigned s = 0; s < j->whole->n_stages; s++)
        if (j->whole->stages[s]->train.accumulate > most) most = j->whole->stages[s]->train.accumulate;
    return most;
}

static lk_status upload_lane(trainer *t, const lk_batch_lane *own, lk_lane *ahead)
{
    for (int m = 0; own->n > 0 && m < job_n_micro_batches(t->j, own->n); m++) {
        LK_TRY(make_micro_batch(t->j, own, m, &ahead[m]));
        LK_TRY(lk_engine_upload(t->j->engine, &ahead[m]));
    }
    return LK_OK;
}

lk_status lanes_look_ahead(trainer *t, const lk_batch *batch)
{
    job *j = t->j;
    const size_t n_lanes = (size_t)(j->lane_end - j->lane_begin);

    if (!lk_engine_on_device(j->engine)) return LK_OK;
    LK_TRY(lk_engine_launch(j->engine));
    if (t->order.flags || batch->last) return LK_OK;
    if (!t->ahead_lanes) {
        t->ahead_stride = (size_t)most_micro_batches(j);
        t->ahead_lanes = lk_alloc(n_lanes * t->ahead_stride * sizeof *t->ahead_lanes);
        LK_TRY_ALLOC(t->ahead_lanes, n_lanes * t->ahead_stride * sizeof *t->ahead_lanes);
    }
    LK_TRY(lk_loader_next(j->loader, &t->ahead_batch));
    for (size_t own = 0; own < n_lanes; own++)
        LK_TRY(upload_lane(t, &t->ahead_batch.lane[own], t->ahead_lanes + own * t->ahead_stride));
    t->ahead = true;
    return LK_OK;
}

lk_status lanes_take(trainer *t, lk_batch *batch)
{
    if (!t->ahead) return lk_loader_next(t->j->loader, batch);
    *batch = t->ahead_batch;
    return LK_OK;
}

/* ---------------------------------------------------------------------- run */

/* A lane with samples.  The first micro-batch brings the votes; with the last, gradients become final. */
static lk_status run_lane(trainer *t, const lk_batch *batch, int l, float *grads, const float *votes)
{
    job *j = t->j;
    const size_t own = (size_t)(l - j->lane_begin);
    const int n_micro = job_n_micro_batches(j, batch->lane[own].n);

    for (int m = 0; m < n_micro; m++) {
        lk_lane lane;

        if (t->ahead) lane = t->ahead_lanes[own * t->ahead_stride + (size_t)m];
        else LK_TRY(make_micro_batch(j, &batch->lane[own], m, &lane));
        lane.grads = grads;
        lane.step = j->step;
        lane.inv_count = inv_count(batch);
        lane.params = j->params;
        lane.params_version = j->params_version;
        lane.votes = m == 0 ? votes : NULL;
        if (m + 1 == n_micro) trace_lane(t, l, &lane);
        LK_TRY(lk_engine_run(j->engine, &lane));
    }
    return LK_OK;
}

lk_status lanes_run(trainer *t, const lk_batch *batch)
{
    job *j = t->j;
    const float *votes = t->votes;

    for (int l = j->lane_begin; l < j->lane_end; l++) {
        float *grads;

        LK_TRY(lk_reducer_lane(j->reducer, l, &grads));
        if (batch->lane[l - j->lane_begin].n == 0) {
            LK_TRY(lk_reducer_empty_lane(j->reducer));
            continue;
        }
        LK_TRY(run_lane(t, batch, l, grads, votes));
        votes = NULL; /* they ride in the first own lane that has samples */
    }
    t->ahead = false;
    return LK_OK;
}
