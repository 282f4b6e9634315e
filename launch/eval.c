/* lockstep eval: metrics of a checkpoint's weights, and of its EMA's, on the validation part or another file. */
#include "launch/launch.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* The checkpoint to look at: the one asked for, else the run's newest good one.  Collective. */
static lk_status open_checkpoint(job *j, const options *opt)
{
    LK_TRY(opt->checkpoint ? job_open_checkpoint(j, opt->checkpoint) : job_open_newest(j));
    if (j->checkpoint) return LK_OK;
    j->agreed = true;
    return LK_FAIL(LK_ERR_CHECKPOINT, "no checkpoint in %s: train first, or name one with --checkpoint",
                   opt->checkpoint ? opt->checkpoint : j->recipe->run.dir);
}

/* --data takes the place of the validation part. */
static lk_status replace_validation(job *j, const options *opt)
{
    if (!opt->data) return LK_OK;
    lk_dataset_free(&j->validation);
    return lk_dataset_open_file(&j->recipe->data, j->recipe->model.loss.kind, lk_dataset_stats(j->train), opt->data,
                                opt->labels, true, &j->validation);
}

static lk_status evaluation_loader(job *j)
{
    if (!j->validation)
        return LK_FAIL(LK_ERR_USAGE, "%s has no validation part: name a file with --data", j->recipe->path);
    lk_loader_free(&j->validation_loader);
    return job_make_loader(j, j->validation, false, &j->validation_loader);
}

/* The checkpoint's EMA becomes the engine's parameters. */
static lk_status load_ema(job *j)
{
    lk_ckpt_tensor *tensors = NULL;
    size_t n = 0;

    lk_status status = list_tensors(j->model, "ema", NULL, j->host, &tensors, &n);
    if (status == LK_OK) status = lk_checkpoint_load(j->checkpoint, tensors, n);
    if (status == LK_OK)
        status = lk_engine_write(j->engine, j->params, j->host, lk_model_n_elem(j->model) * sizeof(float));
    free_tensors(&tensors, n);
    j->params_version = ++j->last_version;
    return status;
}

lk_status command_eval(job *j, const options *opt)
{
    LK_TRY(job_read_recipe(j, opt));
    LK_TRY(open_checkpoint(j, opt));
    LK_TRY(job_open(j));
    LK_TRY(job_agree(j, replace_validation(j, opt)));
    LK_TRY(job_agree(j, evaluation_loader(j)));
    metrics_init(&j->metrics, j->recipe->model.loss.kind, true, j->recipe->has_ema);
    LK_TRY(job_load_model(j));
    LK_TRY(evaluate(j, j->validation, j->validation_loader, j->params, j->params_version, "validation."));
    if (j->recipe->has_ema) {
        LK_TRY(job_agree(j, load_ema(j)));
        LK_TRY(evaluate(j, j->validation, j->validation_loader, j->params, j->params_version, "ema.validation."));
    }
    if (!j->leader) return LK_OK;
    printf("%s (step %" PRId64 ")\n", lk_checkpoint_path(j->checkpoint), lk_checkpoint_step(j->checkpoint));
    for (int i = 0; i < j->metrics.n; i++)
        if (!isnan(j->metrics.last[i])) printf("  %-24s %.9g\n", j->metrics.name[i], j->metrics.last[i]);
    return LK_OK;
}

/* ------------------------------------------------------------------ predict */

static void print_header(FILE *file, const lk_dataset *dataset, size_t n_output)
{
    const char *name = lk_dataset_target_name(dataset);

    if (n_output == 1) {
        fprintf(file, "%s\n", name);
        return;
    }
    for (size_t k = 0; k < n_output; k++) fprintf(file, "%s%zu%s", name, k, k + 1 < n_output ? "," : "\n");
}

static lk_status predict_all(job *j, const lk_dataset *dataset, FILE *file)
{
    const size_t n_output = lk_model_n_output(j->model);
    const int64_t batch = j->recipe->train.evaluate_batch ? j->recipe->train.evaluate_batch : j->recipe->train.batch;
    const lk_loader_spec spec = {.batch = batch, .lanes = 1, .lane_begin = 0, .lane_end = 1, .n_output = n_output};
    lk_loader *loader = NULL;
    lk_batch one = {0};
    float *output = lk_alloc((size_t)batch * n_output * sizeof *output);
    lk_status status = output ? lk_loader_new(dataset, &spec, &loader)
                              : LK_FAIL(LK_ERR_SYSTEM, "out of memory for %" PRId64 " predictions", batch);

    print_header(file, dataset, n_output);
    while (status == LK_OK && !one.last) {
        status = lk_loader_next(loader, &one);
        if (status != LK_OK) break;
        const lk_lane lane = {.mode = LK_PREDICT, .n = one.n, .x = one.lane[0].x, .params = j->params,
                              .params_version = j->params_version, .output = output};
        status = lk_engine_run(j->engine, &lane);
        if (status != LK_OK) break;
        lk_dataset_unstandardize(dataset, output, one.n);
        for (int64_t i = 0; i < one.n; i++)
            for (size_t k = 0; k < n_output; k++)
                fprintf(file, "%.9g%s", output[(size_t)i * n_output + k], k + 1 < n_output ? "," : "\n");
    }
    lk_loader_free(&loader);
    lk_free(&output);
    return status;
}

static lk_status write_predictions(job *j, const options *opt)
{
    lk_dataset *other = NULL;
    const lk_dataset *dataset = j->validation ? j->validation : j->train;

    if (opt->ema) LK_TRY(load_ema(j));
    if (opt->data) {
        LK_TRY(lk_dataset_open_file(&j->recipe->data, j->recipe->model.loss.kind, lk_dataset_stats(j->train),
                                    opt->data, opt->labels, false, &other));
        dataset = other;
    }
    FILE *file = opt->out ? fopen(opt->out, "w") : stdout;
    lk_status status = file ? predict_all(j, dataset, file) : LK_FAIL(LK_ERR_USAGE, "cannot write %s: %m", opt->out);
    const bool failed = file && (fflush(file) != 0 || ferror(file));
    if (file && opt->out && fclose(file) != 0) status = LK_FAIL(LK_ERR_SYSTEM, "cannot finish %s: %m", opt->out);
    else if (status == LK_OK && failed) status = LK_FAIL(LK_ERR_SYSTEM, "cannot write the predictions: %m");
    lk_dataset_free(&other);
    return status;
}

/* The leader predicts; several workers would only wait for one file. */
lk_status command_predict(job *j, const options *opt)
{
    LK_TRY(job_read_recipe(j, opt));
    if (opt->ema && !j->recipe->has_ema) {
        j->agreed = true;
        return LK_FAIL(LK_ERR_USAGE, "--ema: %s keeps no EMA", j->recipe->path);
    }
    LK_TRY(open_checkpoint(j, opt));
    LK_TRY(job_open(j));
    LK_TRY(job_load_model(j));
    return job_agree(j, j->leader ? write_predictions(j, opt) : LK_OK);
}
