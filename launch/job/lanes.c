/*
 * From the loader's lanes to the engine's: what every run of a lane has in common, and a training lane's micro-batches.
 *
 * With train.accumulate a lane is computed as so many runs of neighbouring samples, in order, their sizes differing by
 * at most one; never more than it has samples.  So what a lane gives is a function of the recipe, whoever computes it.
 */
#include "launch/launch.h"

#include <string.h>

lk_lane job_lane(const lk_batch_lane *own, lk_mode mode)
{
    lk_lane lane = {.mode = mode, .n = own->n, .length = own->length, .sample = own->sample};

    memcpy(lane.field, own->field, sizeof lane.field);
    return lane;
}

int job_n_micro_batches(const job *j, int64_t n)
{
    return n < j->recipe->train.accumulate ? (int)n : j->recipe->train.accumulate;
}

/* The first n % micro-batches have one sample more, as lk_part_rows() has it. */
int64_t job_micro_batch_size(const job *j, int64_t n, int m)
{
    const int n_micro = job_n_micro_batches(j, n);

    return n / n_micro + (m < n % n_micro);
}

lk_batch_lane job_micro_batch(const job *j, const lk_batch_lane *own, int m)
{
    const lk_sample *sample = lk_model_sample(j->model);
    const int64_t n_micro = job_n_micro_batches(j, own->n), extra = own->n % n_micro;
    const int64_t begin = own->n / n_micro * m + (m < extra ? m : extra);
    lk_batch_lane out = {.n = job_micro_batch_size(j, own->n, m), .length = own->length};

    out.sample = own->sample + begin;
    for (int f = 0; f < sample->n_fields; f++) {
        const size_t nbytes = lk_field_nbytes(&sample->field[f], own->length);

        if (own->field[f]) out.field[f] = (const char *)own->field[f] + (size_t)begin * nbytes;
    }
    return out;
}

int64_t job_evaluate_batch(const job *j)
{
    const lk_recipe *r = j->recipe;
    const int64_t lane = (r->train.batch + j->lanes - 1) / j->lanes;

    if (r->train.evaluate_batch) return r->train.evaluate_batch;
    return r->train.accumulate > 1 ? job_micro_batch_size(j, lane, 0) * j->lanes : r->train.batch;
}

lk_status job_check_rows(const job *j)
{
    if (!lk_sample_has_length(lk_model_sample(j->model))) return LK_OK;
    return LK_FAIL(LK_ERR_USAGE,
                   "%s: model.kind: this model's outputs are as long as its samples, and a row of a table "
                   "is not",
                   lk_recipe_where(j->recipe, "model.kind"));
}

/* By name, once, before anything runs. */
lk_status job_match_fields(const job *j, const lk_dataset *dataset, bool need_targets, lk_field_map *out)
{
    const lk_status status = lk_sample_match(lk_model_sample(j->model), lk_dataset_sample(dataset), need_targets, out);

    if (status == LK_OK) return LK_OK;
    return LK_FAIL(status, "%s: model.kind: %s", lk_recipe_where(j->recipe, "model.kind"), lk_error_message());
}
