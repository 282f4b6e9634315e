/*
 * Stages of a run: which tensors train in each, and turning from one to the next.  A stage is a whole recipe (io.h), so
 * everything else reads its keys from j->recipe as if there were only one.
 */
#include "launch/job/hyperparams.h"
#include "launch/job/shards.h"

#include <stdlib.h>
#include <string.h>

int64_t stage_batches(const lk_recipe *stage, int64_t samples)
{
    return (samples + (stage->data.drop_last ? 0 : stage->train.batch - 1)) / stage->train.batch;
}

int64_t stage_steps(const lk_recipe *stage, int64_t samples)
{
    const int64_t by_epochs = stage->train.epochs * stage_batches(stage, samples), cap = stage->train.steps;

    return cap && cap < by_epochs ? cap : by_epochs;
}

/* Which tensors train in the current stage, and in which groups; both arrays are (lk_model_n_tensors). */
static lk_status fill_set(const job *j, bool *trains, int *group)
{
    for (size_t i = 0; i < lk_model_n_tensors(j->model); i++) {
        const lk_tensor_info *info = lk_model_tensor(j->model, i);
        unsigned g;

        trains[i] = !lk_recipe_frozen(j->whole, j->stage, info->name);
        if (info->role != LK_ROLE_PARAM) continue;
        LK_TRY(lk_recipe_group(j->recipe, info->name, &g));
        group[i] = (int)g;
    }
    return LK_OK;
}

lk_status job_make_set(job *j, lk_trainable **out)
{
    const size_t n = lk_model_n_tensors(j->model);
    bool *trains = calloc(n, sizeof *trains);
    int *group = calloc(n, sizeof *group);
    const lk_trainable_spec spec = {
        .trains = trains,
        .group = group,
        .n_groups = (int)j->recipe->n_groups,
        .frozen_eval = j->recipe->train.frozen_mode == LK_FROZEN_MODE_EVAL,
    };

    lk_status status = trains && group ? fill_set(j, trains, group)
                                       : LK_FAIL(LK_ERR_SYSTEM, "out of memory for %zu tensors", n);
    if (status == LK_OK) {
        status = lk_trainable_new(j->model, &spec, out);
        if (status == LK_ERR_USAGE)
            status = LK_FAIL(LK_ERR_USAGE, "%s: %s: %s", lk_recipe_where(j->recipe, "train.freeze"),
                             j->recipe->stage ? j->recipe->stage : "train.freeze", lk_error_message());
    }
    free(group);
    free(trains);
    return status;
}

static lk_status fill_specs(const lk_recipe *stage, lk_optimizer_spec specs[LK_MAX_GROUPS])
{
    for (unsigned g = 0; g < stage->n_groups; g++) LK_TRY(hyperparams_optimizer(stage->groups[g], &specs[g]));
    return lk_optimizer_check(specs, (int)stage->n_groups);
}

/* What a stage's train.recompute asks for; its patterns are the recipe's. */
static lk_recompute recompute_of(const lk_recipe *stage)
{
    const lk_words *words = &stage->train.recompute;
    const bool none = words->n == 1 && strcmp(words->word[0], "none") == 0;

    return (lk_recompute){.pattern = (const char *const *)words->word, .n = none ? 0 : words->n};
}

static lk_status make_updating(job *j)
{
    lk_optimizer_spec specs[LK_MAX_GROUPS];
    const lk_recompute recompute = recompute_of(j->recipe);
    lk_trainable *trainable;

    LK_TRY(fill_specs(j->recipe, specs));
    LK_TRY(job_make_set(j, &trainable));
    j->trainable = trainable;
    lk_engine_set_trainable(j->engine, trainable);
    lk_engine_set_recompute(j->engine, &recompute);
    return shards_make_optimizer(j, specs);
}

/* The engine turns to the new set before the old one goes; an optimizer needs its set to the end.  Collective. */
static lk_status change_set(job *j)
{
    updating before = {j->trainable, j->shards, j->optimizer};

    j->trainable = NULL;
    j->shards = NULL;
    j->optimizer = NULL;
    lk_status status = job_agree(j, make_updating(j));
    if (status == LK_OK) status = shards_carry_states(j, &before);
    updating_free(&before);
    return status;
}

static lk_status make_training_loader(job *j)
{
    LK_TRY(job_make_loader(j, j->train, true, features_reads(j->train_features), &j->loader));
    return job_compile(j, j->loader, LK_TRAIN, j->train_features ? LK_SIDE_TRAINED : LK_SIDE_BOTH);
}

static lk_status turn(job *j)
{
    if (j->whole->n_stages > 1) LK_TRY(job_make_evaluation_loaders(j));
    LK_TRY(frozen_open(j));
    return make_training_loader(j);
}

lk_status job_enter_stage(job *j, unsigned stage)
{
    lk_reducer_free(&j->reducer); /* first: two sets of gradient arenas need not fit side by side */
    j->stage = stage;
    j->recipe = j->whole->stages[stage];
    lk_world_progress(j->world, j->step, "compile");
    lk_loader_free(&j->loader);
    LK_TRY(change_set(j));
    LK_TRY(job_agree(j, turn(j)));
    /* Collective, and the same on all. */
    const lk_status status = lk_reducer_new(j->world, j->engine, j->trainable, (lk_reduction)j->recipe->dist.reduction,
                                            (lk_wire)j->recipe->dist.wire, j->lanes,
                                            (size_t)j->recipe->dist.bucket_bytes, j->shards, &j->reducer);
    if (status != LK_OK) j->agreed = true;
    LK_TRY(status);
    if (!j->dry) job_say_slow(j);
    return job_compare_choices(j);
}

/* Of all stages. */
static lk_status check_recompute(const job *j)
{
    for (unsigned s = 0; s < j->whole->n_stages; s++) {
        const lk_recompute recompute = recompute_of(j->whole->stages[s]);

        if (lk_recompute_check(j->model, &recompute) == LK_OK) continue;
        return LK_FAIL(LK_ERR_USAGE, "%s: %s", lk_recipe_where(j->whole->stages[s], "train.recompute"),
                       lk_error_message());
    }
    return LK_OK;
}

lk_status job_check_patterns(job *j)
{
    const size_t n = lk_model_n_tensors(j->model);
    LK_TRY(check_recompute(j));
    const char **names = calloc(n, sizeof *names);

    LK_TRY_ALLOC(names, n * sizeof *names);
    size_t n_params = 0, used;
    for (size_t i = 0; i < n; i++)
        if (lk_model_tensor(j->model, i)->role == LK_ROLE_PARAM) names[n_params++] = lk_model_tensor(j->model, i)->name;
    used = n_params;
    for (size_t i = 0; i < n; i++)
        if (lk_model_tensor(j->model, i)->role != LK_ROLE_PARAM) names[used++] = lk_model_tensor(j->model, i)->name;
    const lk_status status = lk_recipe_check_patterns(j->whole, names, n_params, n);
    free(names);
    return status;
}

/* ------------------------------------------------------------------- before */

static lk_status check_schedules(const lk_recipe *stage)
{
    lk_optimizer_spec specs[LK_MAX_GROUPS];
    hyperparams schedules;

    const lk_status status = hyperparams_open(stage, &schedules);
    hyperparams_close(&schedules);
    LK_TRY(status);
    return fill_specs(stage, specs);
}

/* What a stage will be made of, as far as it can be known without its memory: batches, set, shapes, specs. */
static lk_status check_stage(job *j)
{
    lk_loader *loader = NULL;
    lk_trainable *trainable = NULL;

    lk_status status = job_make_loader(j, j->train, true, ALL_FIELDS, &loader);
    if (status == LK_OK) status = job_make_set(j, &trainable);
    if (status == LK_OK) status = job_check_sizes(j, trainable, loader);
    if (status == LK_OK) status = frozen_check(j, trainable);
    if (status == LK_OK) status = check_schedules(j->recipe);
    lk_trainable_free(&trainable);
    lk_loader_free(&loader);
    return status;
}

static lk_status check_later_stages(job *j)
{
    const unsigned first = j->stage;
    lk_status status = LK_OK;

    for (unsigned s = first + 1; s < j->whole->n_stages && status == LK_OK; s++) {
        j->stage = s;
        j->recipe = j->whole->stages[s];
        status = check_stage(j);
    }
    j->stage = first;
    j->recipe = j->whole->stages[first];
    return status;
}

lk_status job_open_training(job *j)
{
    lk_status status = job_check_patterns(j);

    if (status == LK_OK) status = check_later_stages(j);
    if (status == LK_OK && j->recipe->has_ema && !j->dry)
        status = j->leader
                     ? lk_ema_new(j->engine, &j->recipe->ema.spec, j->params, &j->ema)
                     : lk_engine_alloc(j->engine, lk_model_n_elem(j->model) * sizeof(float), (void **)&j->ema_view);
    LK_TRY(job_agree(j, status));
    LK_TRY(job_compare_machines(j));
    return job_enter_stage(j, j->stage);
}
