/* What the weights in j->params say of every sample of a data set, in order. */
#include "launch/launch.h"

#include <inttypes.h>

static lk_status predict_batch(job *j, const lk_batch *batch, float *output, predict_row_fn *each, void *arg)
{
    const size_t n_output = lk_model_n_output(j->model);
    lk_lane lane = job_lane(&batch->lane[0], LK_PREDICT);

    lane.params = j->params;
    lane.params_version = j->params_version;
    lane.output = output;
    LK_TRY(lk_engine_run(j->engine, &lane));
    for (int64_t i = 0; i < batch->n; i++) each(arg, output + (size_t)i * n_output);
    return LK_OK;
}

lk_status job_predict(job *j, const lk_dataset *dataset, predict_row_fn *each, void *arg)
{
    const size_t n_output = lk_model_n_output(j->model);
    const int64_t batch = j->recipe->train.evaluate_batch ? j->recipe->train.evaluate_batch : j->recipe->train.batch;
    lk_loader_spec spec = {.batch = batch, .lanes = 1, .lane_begin = 0, .lane_end = 1};
    lk_loader *loader = NULL;
    lk_batch one = {0};

    LK_TRY(job_check_rows(j));
    LK_TRY(job_match_fields(j, dataset, false, &spec.fields));
    float *output = lk_alloc((size_t)batch * n_output * sizeof *output);
    lk_status status = output ? lk_loader_new(dataset, &spec, &loader)
                              : LK_FAIL(LK_ERR_SYSTEM, "out of memory for %" PRId64 " predictions", batch);
    while (status == LK_OK && !one.last) {
        lk_world_progress(j->world, j->step, "predict");
        status = lk_loader_next(loader, &one);
        if (status == LK_OK) status = predict_batch(j, &one, output, each, arg);
    }
    lk_loader_free(&loader);
    lk_free(&output);
    return status;
}

/* The recipe, and where its weights are. */
static lk_status find_weights(job *j, const options *opt)
{
    LK_TRY(job_read_recipe(j, opt));
    if (opt->ema && !j->recipe->has_ema) {
        j->agreed = true;
        return LK_FAIL(LK_ERR_USAGE, "--ema: %s keeps no EMA", j->recipe->path);
    }
    LK_TRY(job_need_checkpoint(j, opt));
    if (opt->ema && j->weights) {
        j->agreed = true;
        return LK_FAIL(LK_ERR_USAGE, "--ema: %s has one set of weights", lk_weights_path(j->weights));
    }
    return job_agree(j, job_say_differences(j));
}

static lk_status open_with_weights(job *j, const options *opt)
{
    LK_TRY(job_open(j));
    LK_TRY(job_agree(j, job_say_plugin(j)));
    return job_load_model(j, opt->ema ? "ema" : "model");
}

lk_status job_open_for_predict(job *j, const options *opt)
{
    LK_TRY(find_weights(j, opt));
    job_look_at(j, opt, false);
    return open_with_weights(j, opt);
}

/* Words behind the recipe are sentences. */
lk_status job_open_for_sentences(job *j, const options *opt)
{
    options recipe = *opt;

    if (recipe.n_positional > 1) recipe.n_positional = 1;
    LK_TRY(find_weights(j, &recipe));
    j->words_alone = true;
    return open_with_weights(j, opt);
}

lk_status job_open_for_text(job *j, const options *opt)
{
    LK_TRY(find_weights(j, opt));
    j->text_alone = true;
    return open_with_weights(j, opt);
}
