/* lockstep data: what a recipe's generator makes, as CSV. */
#include "launch/launch.h"

lk_status command_data(job *j, const options *opt)
{
    const lk_part part = opt->validation ? LK_PART_VALIDATION : LK_PART_TRAIN;

    LK_TRY(job_read_recipe(j, opt));
    FILE *file = opt->out ? fopen(opt->out, "w") : stdout;
    if (!file) return LK_FAIL(LK_ERR_USAGE, "--out: cannot write %s: %m", opt->out);
    const lk_status status = lk_data_export(&j->recipe->data, part, file);
    const bool failed = fflush(file) != 0 || ferror(file);
    const bool unclosed = opt->out && fclose(file) != 0;
    LK_TRY(status);
    return failed || unclosed ? LK_FAIL(LK_ERR_SYSTEM, "cannot write the data: %m") : LK_OK;
}
