/*
 * Training steps to be measured: what `lockstep train` does in one, without the leader's decisions and with the same
 * batch each time, so that no time goes into data.
 *
 * A step can be stretched to a fixed time (busy_s): each part then ends when its share of that has passed, and
 * gradients become final as evenly as their number.  Workers sleep meanwhile; so several that share a core take the
 * time that they would take with a core each, and what is left to measure is the network.
 */
#include "launch/bench/bench.h"
#include "launch/job/update.h"

#include <math.h>
#include <time.h>

/* Of a stretched step: a forward pass, a backward pass of twice its work, an update. */
static const double FORWARD = 0.3, BACKWARD = 0.6, UPDATE = 0.1;

static void sleep_until(double moment)
{
    const double rest = moment - lk_seconds();

    if (rest > 0.0) nanosleep(&(struct timespec){(time_t)rest, (long)((rest - floor(rest)) * 1e9)}, NULL);
}

lk_status bench_steps_open(bench_steps *s, job *j, const options *opt)
{
    s->j = j;
    LK_TRY(job_read_recipe(j, opt));
    LK_TRY(job_open(j));
    LK_TRY(job_open_training(j));
    if (j->train_features)
        return job_agree(j, LK_FAIL(LK_ERR_USAGE, "bench measures steps that compute all layers: set "
                                                  "train.cache_frozen=no"));
    LK_TRY(job_agree(j, lk_loader_seek(j->loader, 0, 0)));
    return job_agree(j, lk_loader_next(j->loader, &s->batch));
}

static float inv_count(const lk_batch *batch)
{
    if (batch->steps > 0) return 1.0f / (float)batch->steps;
    return batch->n_terms ? 1.0f / (float)batch->n_terms : 0.0f;
}

/* Gradients are final: notes when the first were, and stretches the backward pass. */
static void ready(void *arg, size_t begin, size_t end)
{
    bench_steps *s = arg;

    s->n_ready += end - begin;
    if (s->busy_s > 0.0)
        sleep_until(s->began + s->busy_s * (FORWARD + BACKWARD * (double)s->n_ready / (double)s->n_grads));
    if (s->n_ready == end - begin) s->first_s = lk_seconds() - s->began;
    lk_reducer_ready(s->j->reducer, begin, end);
}

static lk_status run_plainly(void *arg, const lk_lane *lane) { return lk_engine_run(arg, lane); }

static lk_status run_lanes(bench_steps *s, bench_run_fn *run, void *arg)
{
    job *j = s->j;

    for (int l = j->lane_begin; l < j->lane_end; l++) {
        const lk_batch_lane *own = &s->batch.lane[l - j->lane_begin];
        lk_lane lane = job_lane(own, LK_TRAIN);

        LK_TRY(lk_reducer_lane(j->reducer, l, &lane.grads));
        if (lane.n == 0) {
            LK_TRY(lk_reducer_empty_lane(j->reducer));
            continue;
        }
        lane.step = j->step;
        lane.inv_count = inv_count(&s->batch);
        lane.params = j->params;
        lane.params_version = j->params_version;
        lane.ready = ready;
        lane.ready_arg = s;
        s->n_ready = 0;
        LK_TRY(run(arg, &lane));
    }
    return LK_OK;
}

static lk_status update(job *j, const float *sum)
{
    lk_hyperparams groups[LK_MAX_GROUPS];
    lk_grad_report report;

    for (unsigned g = 0; g < j->recipe->n_groups; g++)
        groups[g] = (lk_hyperparams){.lr = j->recipe->groups[g]->optimizer.lr, .momentum = NAN, .weight_decay = NAN};
    LK_TRY(update_inspect(j, sum, &report));
    if (report.finite) LK_TRY(update_weights(j, sum, groups, &report));
    LK_TRY(lk_optimizer_sync(j->optimizer, &report, j->ema));
    j->params_version = ++j->last_version;
    j->step++;
    return lk_engine_wait(j->engine);
}

lk_status bench_step_once(bench_steps *s, bench_run_fn *run, void *arg)
{
    job *j = s->j;
    const float *sum;

    lk_world_progress(j->world, j->step, "bench");
    s->n_grads = lk_trainable_n_grads(j->trainable);
    s->began = lk_seconds();
    LK_TRY(run_lanes(s, run ? run : run_plainly, run ? arg : j->engine));
    const double computed = lk_seconds();
    LK_TRY(lk_reducer_finish(j->reducer, &sum));
    const double summed = lk_seconds();
    LK_TRY(update(j, sum));
    sleep_until(summed + UPDATE * s->busy_s);
    s->compute_s = computed - s->began;
    s->wait_s = summed - computed;
    s->update_s = lk_seconds() - summed;
    return LK_OK;
}
