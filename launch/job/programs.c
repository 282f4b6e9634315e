/* Which programs a loader's lanes need, compiled before the first step, or only looked at. */
#include "launch/launch.h"

lk_program job_program(const lk_loader *loader, lk_mode mode, lk_side side, int64_t n)
{
    return (lk_program){.mode = mode, .n = n, .length = lk_loader_length(loader), .side = side};
}

/* Those of one lane of n samples, added to what is there. */
static void add_programs(const job *j, const lk_loader *loader, lk_mode mode, lk_side side, int64_t n,
                         job_programs *out)
{
    const int n_micro = mode == LK_TRAIN ? job_n_micro_batches(j, n) : 1;
    const int looked_at[] = {0, 1, n_micro - 1}; /* sizes fall by one, somewhere behind the first */

    for (size_t i = 0; i < sizeof looked_at / sizeof *looked_at; i++) {
        const int m = looked_at[i];
        bool known = m >= n_micro;

        lk_program p = job_program(loader, mode, side, mode == LK_TRAIN ? job_micro_batch_size(j, n, m % n_micro) : n);
        p.accumulate = m > 0;
        for (int k = 0; k < out->n; k++)
            known |= out->program[k].n == p.n && out->program[k].accumulate == p.accumulate;
        if (known) continue;
        out->lane[out->n] = n;
        out->program[out->n++] = p;
    }
}

void job_list_programs(const job *j, const lk_loader *loader, lk_mode mode, lk_side side, job_programs *out)
{
    int64_t sizes[JOB_MOST_SIZES];
    const int n = lk_loader_lane_sizes(loader, sizes);

    out->n = 0;
    for (int i = 0; i < n; i++) add_programs(j, loader, mode, side, sizes[i], out);
}

/* The engine's reason, with the key that it names, or as what the lane's size may help against. */
static lk_status fail_size(const job *j, int64_t lane, const lk_program *program)
{
    const lk_recipe *r = j->recipe;
    const char *key = lk_error_key();
    char micro[96] = "";

    if (key) return LK_FAIL(LK_ERR_USAGE, "%s: %s: %s", lk_recipe_where(r, key), key, lk_error_message());
    if (program->mode == LK_TRAIN && r->train.accumulate > 1)
        snprintf(micro, sizeof micro, " and, by train.accumulate: %d, a micro-batch of %lld", r->train.accumulate,
                 (long long)program->n);
    return LK_FAIL(LK_ERR_USAGE, "%s: train.batch: batches of %lld over %lld samples in %d lanes make a lane of "
                   "%lld%s; layer %s; another train.batch%s or train.lanes helps, or data.drop_last: true",
                   lk_recipe_where(r, "train.batch"), (long long)r->train.batch,
                   (long long)lk_dataset_n(j->train ? j->train : j->validation), j->lanes, (long long)lane, micro,
                   lk_error_message(), *micro ? ", train.accumulate" : "");
}

lk_status job_compile(job *j, const lk_loader *loader, lk_mode mode, lk_side side)
{
    job_programs programs;

    job_list_programs(j, loader, mode, side, &programs);
    for (int i = 0; i < programs.n; i++) {
        const lk_status status = lk_engine_compile(j->engine, &programs.program[i]);

        if (status == LK_ERR_USAGE) return fail_size(j, programs.lane[i], &programs.program[i]);
        LK_TRY(status);
    }
    return LK_OK;
}

lk_status job_check_sizes(job *j, const lk_trainable *trainable, const lk_loader *loader)
{
    job_programs programs;

    job_list_programs(j, loader, LK_TRAIN, LK_SIDE_BOTH, &programs);
    for (int i = 0; i < programs.n; i++) {
        const lk_status status = lk_engine_check(j->engine, trainable, &programs.program[i]);

        if (status == LK_ERR_USAGE) return fail_size(j, programs.lane[i], &programs.program[i]);
        LK_TRY(status);
    }
    return LK_OK;
}
