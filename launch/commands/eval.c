/* lockstep eval: metrics of a checkpoint's weights, and of its EMA's, on the validation part or another file. */
#include "launch/launch.h"

#include <inttypes.h>
#include <math.h>

static lk_status need_validation(const job *j)
{
    if (j->validation) return LK_OK;
    return LK_FAIL(LK_ERR_USAGE, "%s has no validation part: name a file with --data", j->recipe->path);
}

lk_status command_eval(job *j, const options *opt)
{
    LK_TRY(job_read_recipe(j, opt));
    LK_TRY(job_need_checkpoint(j, opt));
    job_look_at(j, opt, true);
    LK_TRY(job_open(j));
    LK_TRY(job_agree(j, need_validation(j)));
    LK_TRY(job_load_model(j, "model"));
    LK_TRY(job_agree(j, lk_world_set_timeout(j->world, j->recipe->dist.timeout)));
    LK_TRY(evaluate(j, j->validation_loader, j->params, j->params_version, LK_PART_OF_WEIGHTS));
    if (j->recipe->has_ema) {
        LK_TRY(job_load_model(j, "ema"));
        LK_TRY(evaluate(j, j->validation_loader, j->params, j->params_version, LK_PART_OF_EMA));
    }
    if (!j->leader) return LK_OK;
    printf("%s (step %" PRId64 ")\n", lk_checkpoint_path(j->checkpoint), lk_checkpoint_step(j->checkpoint));
    for (int i = 0; i < j->metrics.n; i++)
        if (!isnan(j->metrics.last[i])) printf("  %-24s %.9g\n", j->metrics.name[i], j->metrics.last[i]);
    return LK_OK;
}
