/*
 * lockstep eval: metrics of a checkpoint's weights, and of its EMA's, or of a file's, on the validation part or another
 * file; on request the confusion matrix of the one or the other.
 */
#include "launch/launch.h"

#include <inttypes.h>
#include <math.h>

enum { LOST_BYTES = 512 };

static lk_status check(const job *j, const options *opt)
{
    const lk_loss *loss = lk_loss_get(j->recipe->model.loss.kind);

    if (!j->validation)
        return LK_FAIL(LK_ERR_USAGE, "%s has no validation part: name a file with --data", j->recipe->path);
    if (opt->confusion && loss->reads != LK_READS_CLASSES)
        return LK_FAIL(LK_ERR_USAGE, "--confusion: loss %s knows no classes", loss->word);
    if (opt->confusion) LK_TRY(job_check_rows(j));
    if (opt->ema && !opt->confusion)
        return LK_FAIL(LK_ERR_USAGE, "--ema: eval looks at both weights anyway; it says whose --confusion is");
    if (opt->ema && j->weights)
        return LK_FAIL(LK_ERR_USAGE, "--ema: %s has one set of weights", lk_weights_path(j->weights));
    if (opt->ema && !j->recipe->has_ema) return LK_FAIL(LK_ERR_USAGE, "--ema: %s keeps no EMA", j->recipe->path);
    return LK_OK;
}

/* The weights now loaded. */
static lk_status look(job *j, const options *opt, lk_metric_part_id part)
{
    LK_TRY(evaluate(j, j->validation_loader, j->params, j->params_version, part));
    if (!opt->confusion || opt->ema != (part == LK_PART_OF_EMA)) return LK_OK;
    return write_confusion(j, j->validation_loader, opt->confusion);
}

/* A value that is no number is told, too; the sign of a NaN says nothing. */
static void print_metrics(const metrics *set)
{
    char lost[LOST_BYTES];

    for (int i = 0; i < set->n; i++)
        if (set->measured[i])
            printf("  %-24s %.9g\n", set->name[i], isnan(set->last[i]) ? (double)NAN : set->last[i]);
    fflush(stdout);
    if (metrics_describe_lost(set, lost, sizeof lost)) fprintf(stderr, "lockstep: warning: %s\n", lost);
}

lk_status command_eval(job *j, const options *opt)
{
    LK_TRY(job_read_recipe(j, opt));
    LK_TRY(job_need_checkpoint(j, opt));
    LK_TRY(job_agree(j, job_say_differences(j)));
    job_look_at(j, opt, true);
    LK_TRY(job_open(j));
    LK_TRY(job_agree(j, check(j, opt)));
    LK_TRY(job_agree(j, job_say_plugin(j)));
    LK_TRY(job_load_model(j, "model"));
    LK_TRY(look(j, opt, LK_PART_OF_WEIGHTS));
    if (j->recipe->has_ema && j->checkpoint) {
        LK_TRY(job_load_model(j, "ema"));
        LK_TRY(look(j, opt, LK_PART_OF_EMA));
    }
    if (!j->leader) return LK_OK;
    if (j->weights) printf("%s\n", lk_weights_path(j->weights));
    else printf("%s (step %" PRId64 ")\n", lk_checkpoint_path(j->checkpoint), lk_checkpoint_step(j->checkpoint));
    print_metrics(&j->metrics);
    return LK_OK;
}
