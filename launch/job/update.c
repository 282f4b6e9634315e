/* From summed gradients to new weights on every worker, whoever holds the optimizer's states. */
#include "launch/job/update.h"

/* Where the optimizer is sharded, each worker has measured its part of the gradients alone. */
lk_status update_inspect(job *j, const float *sum, lk_grad_report *report)
{
    const bool check = j->recipe->train.check_finite;
    lk_squares *squares;
    size_t n;

    if (!j->shards) return lk_optimizer_inspect(j->optimizer, sum, check, report);
    LK_TRY(lk_optimizer_measure(j->optimizer, sum, check, &squares, &n));
    LK_TRY(lk_world_merge(j->world, &squares->raw, n * sizeof *squares / sizeof squares->raw));
    return lk_optimizer_conclude(j->optimizer, sum, check, report);
}

/* New weights, on every worker; the EMA of sharded ones, which the leader alone has, once all of them are there. */
lk_status update_weights(job *j, const float *sum, const lk_hyperparams *groups, const lk_grad_report *report)
{
    LK_TRY(lk_engine_update_stats(j->engine, j->params, sum, report));
    LK_TRY(lk_optimizer_update(j->optimizer, j->params, sum, groups, report, j->shards ? NULL : j->ema));
    if (!j->shards) return LK_OK;
    LK_TRY(lk_reducer_gather(j->reducer, j->trainable, j->params));
    return j->ema ? lk_ema_update(j->ema, j->params) : LK_OK;
}
