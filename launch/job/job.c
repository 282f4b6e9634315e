/*
 * From a recipe to a ready worker: recipe, checkpoint, data, model, engine, then what only training needs.  Every
 * step that can fail on one worker is agreed on by all before the next, so nobody waits for a worker that has left.
 */
#include "launch/job/bleu.h"
#include "launch/job/state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The watchdog's until the recipe says its own: the default of dist.timeout. */
static const double TIMEOUT_UNTIL_KNOWN_S = 300;

lk_status job_agree(job *j, lk_status mine)
{
    const lk_status all = lk_world_agree(j->world, mine);

    if (all != LK_OK) j->agreed = true;
    return all;
}

lk_status job_share_text(job *j, const char *mine, char **text)
{
    int64_t nbytes = mine ? (int64_t)strlen(mine) + 1 : 0;

    *text = NULL;
    LK_TRY(lk_world_broadcast(j->world, &nbytes, sizeof nbytes));
    if (nbytes == 0) return LK_OK;
    *text = malloc((size_t)nbytes);
    LK_TRY_ALLOC(*text, nbytes);
    if (j->leader) memcpy(*text, mine, (size_t)nbytes);
    return lk_world_broadcast(j->world, *text, (size_t)nbytes);
}

/* ------------------------------------------------------------------- recipe */

static bool is_dir(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

void job_say_notes(const lk_recipe *recipe)
{
    for (const char *line = recipe->notes; line && *line;) {
        const size_t n = strcspn(line, "\n");

        fprintf(stderr, "lockstep: %s: %.*s\n", recipe->path, (int)n, line);
        line += n + (line[n] == '\n');
    }
}

/* A run keeps its recipe in RUN/recipe.yaml, and is where it is now; anything else is a recipe itself. */
lk_status job_read_recipe_alone(job *j, const options *opt, const char *given)
{
    const char *overrides[MAX_OVERRIDES + 2];
    char path[4096], dir[4096 + 16], engine[64];
    size_t n = 0;

    snprintf(path, sizeof path, is_dir(given) ? "%s/recipe.yaml" : "%s", given);
    if (is_dir(given)) {
        snprintf(dir, sizeof dir, "run.dir=%s", given);
        overrides[n++] = dir;
    }
    for (int i = 0; i < opt->n_overrides; i++) overrides[n++] = opt->overrides[i];
    if (opt->engine) {
        snprintf(engine, sizeof engine, "engine.kind=%s", opt->engine);
        overrides[n++] = engine;
    }
    LK_TRY(lk_recipe_read(path, overrides, n, &j->whole));
    job_say_notes(j->whole);
    j->recipe = j->whole;
    return LK_OK;
}

static lk_status read_as_leader(job *j, const options *opt)
{
    if (opt->n_positional < 1)
        return LK_FAIL(LK_ERR_USAGE, "lockstep %s needs a recipe: lockstep %s RECIPE.yaml [key=value ...]",
                       opt->command, opt->command);
    if (opt->n_positional > 1)
        return LK_FAIL(LK_ERR_USAGE, "`%s` is neither an option nor an override key=value", opt->positional[1]);
    return job_read_recipe_alone(j, opt, opt->positional[0]);
}

lk_status job_read_recipe(job *j, const options *opt)
{
    char *text = NULL, *path = NULL;

    /* From here on a worker that stops is missed, also while it reads or compiles. */
    LK_TRY(lk_world_set_timeout(j->world, TIMEOUT_UNTIL_KNOWN_S));
    lk_world_progress(j->world, j->step, "read recipe");
    LK_TRY(job_agree(j, j->leader ? read_as_leader(j, opt) : LK_OK));
    LK_TRY(job_share_text(j, j->leader ? j->whole->text : NULL, &text));
    lk_status status = job_share_text(j, j->leader ? j->whole->path : NULL, &path);
    if (status == LK_OK && !j->leader) status = lk_recipe_parse(text, path, NULL, 0, &j->whole);
    free(text);
    free(path);
    LK_TRY(job_agree(j, status));
    j->recipe = j->whole;
    return job_agree(j, lk_world_set_timeout(j->world, j->recipe->dist.timeout));
}

/* ----------------------------------------------------------- data and model */

/* What the model is fitted to: a sample of either part has the same shape. */
static const lk_dataset *opened(const job *j) { return j->train ? j->train : j->validation; }

/* The fields of the data, and the target's where this data set comes without: a run's statistics know what it was. */
static lk_sample fields_of(const job *j, const lk_dataset *data)
{
    lk_sample sample = *lk_dataset_sample(data);
    const int64_t outputs = (int64_t)lk_dataset_n_output(data);

    if (lk_sample_find(&sample, "label") >= 0 || lk_sample_find(&sample, "target") >= 0) return sample;
    if (lk_dataset_has_labels(data) && !j->recipe->model.loss.probabilities)
        lk_sample_add(&sample,
                      &(lk_field){.name = "label", .dtype = LK_DTYPE_I32, .target = true, .n_values = outputs});
    else
        lk_sample_add(&sample, &(lk_field){.name = "target", .dtype = LK_DTYPE_F32, .ndim = 1, .shape = {outputs},
                                           .target = true});
    return sample;
}

/* False: nothing is known of the data. */
static bool given_fields(const job *j, lk_sample *out)
{
    if (opened(j)) *out = fields_of(j, opened(j));
    else if (j->languages) *out = *lk_languages_sample(j->languages);
    else if (j->codec) *out = *lk_codec_sample(j->codec);
    else return false;
    return true;
}

/* Checked against the data where they are there. */
lk_status job_make_model(job *j)
{
    lk_model_spec *spec = &j->whole->model;
    lk_sample data;

    if (given_fields(j, &data)) LK_TRY(job_blame_key(j, lk_model_fit(spec, &data)));
    const lk_status status = lk_model_new(spec, &j->model);
    return status != LK_OK && strncmp(lk_error_message(), "loss.", strlen("loss.")) == 0 ? job_blame_key(j, status)
                                                                                         : status;
}

lk_status job_open_model(job *j)
{
    LK_TRY(job_open_data(j));
    return job_make_model(j);
}

/* Whoever has a GPU and did not ask for the CPU should know that it is not used. */
static void say_not_cuda(const job *j)
{
    char why[512];

    if (j->recipe->engine.kind != LK_ENGINE_AUTO || lk_engine_on_device(j->engine) || !j->leader) return;
    if (!lk_engine_expected(LK_ENGINE_CUDA)) return;
    lk_engine_describe(LK_ENGINE_CUDA, why, sizeof why);
    fprintf(stderr, "lockstep: training on the cpu engine: %s\n", why);
}

static lk_status set_first_values(job *j)
{
    const size_t n_elem = lk_model_n_elem(j->model);
    float *host;

    LK_TRY(job_host_room(j, j->params, n_elem, &host));
    lk_model_init(j->model, j->recipe->run.seed, host);
    const lk_status status = job_host_write(j, j->params, host, n_elem);
    job_host_release(j); /* training may not need it again */
    j->params_version = ++j->last_version;
    return status;
}

static lk_status make_engine(job *j)
{
    const lk_engine_options engine = {
        .kind = j->recipe->engine.kind,
        .precision = j->recipe->engine.precision,
        .threads = j->recipe->engine.threads,
        .device = lk_world_host_rank(j->world),
        .seed = j->recipe->run.seed,
        .dry = j->dry,
    };

    LK_TRY(lk_engine_new(&engine, j->model, &j->engine));
    say_not_cuda(j);

    LK_TRY(lk_engine_alloc(j->engine, lk_model_n_elem(j->model) * sizeof(float), (void **)&j->params));
    return j->dry ? LK_OK : set_first_values(j);
}

/* Of a whole batch: the last of an epoch may leave lanes without samples, and micro-batches out. */
static lk_status check_cuts(const job *j, const lk_recipe *r)
{
    if (r->train.batch < j->lanes)
        return LK_FAIL(LK_ERR_USAGE, "%s: train.batch: %lld samples cannot be cut into %d lanes: at least one a lane",
                       lk_recipe_where(r, "train.batch"), (long long)r->train.batch, j->lanes);
    if (r->train.batch / j->lanes < r->train.accumulate)
        return LK_FAIL(LK_ERR_USAGE, "%s: train.accumulate: batches of %lld samples in %d lane%s cannot be cut into %d "
                       "micro-batches a lane: at least one sample in each",
                       lk_recipe_where(r, "train.accumulate"), (long long)r->train.batch, j->lanes, plural(j->lanes),
                       r->train.accumulate);
    return LK_OK;
}

/* Lanes are a property of the run: the checkpoint's, else the recipe's, else one a worker. */
static lk_status choose_lanes(job *j)
{
    const int asked = j->recipe->train.lanes;

    j->lanes = asked ? asked : lk_world_size(j->world);
    if (j->checkpoint) {
        run_state saved;

        LK_TRY(state_get(lk_checkpoint_metadata(j->checkpoint), &saved));
        if (asked && asked != saved.lanes)
            return LK_FAIL(LK_ERR_USAGE,
                           "%s: train.lanes: the checkpoint was trained in %lld lanes, the recipe says %d; "
                           "lanes decide the bits, so keep them or start a new run",
                           lk_recipe_where(j->recipe, "train.lanes"), (long long)saved.lanes, asked);
        j->lanes = (int)saved.lanes;
    }
    for (unsigned s = 0; s < j->whole->n_stages; s++) LK_TRY(check_cuts(j, j->whole->stages[s]));
    return lk_world_lanes(j->world, j->lanes, &j->lane_begin, &j->lane_end);
}

int64_t job_evaluate_batches(const job *j) { return j->look_at.whole ? 0 : j->recipe->train.evaluate_batches; }

lk_status job_make_loader(job *j, const lk_dataset *dataset, bool training, unsigned reads, lk_loader **out)
{
    const lk_recipe *r = j->recipe;
    lk_loader_spec spec = {
        .batch = training ? r->train.batch : job_evaluate_batch(j),
        .lanes = j->lanes,
        .lane_begin = j->lane_begin,
        .lane_end = j->lane_end,
        .shuffle = training ? r->data.shuffle : job_evaluate_batches(j) > 0,
        .drop_last = training && r->data.drop_last,
        .buckets = training ? r->data.buckets : 0,
        .train = training,
        .threads = r->data.threads,
        .seed = r->run.seed,
        .loss = r->model.loss,
    };

    LK_TRY(job_match_fields(j, dataset, true, &spec.fields));
    for (int k = 0; k < spec.fields.n; k++)
        if (!(reads >> k & 1u)) spec.fields.from[k] = -1;
    return lk_loader_new(dataset, &spec, out);
}

static lk_status make_evaluation_loader(job *j, const lk_dataset *dataset, lk_loader **out)
{
    if (!dataset) return LK_OK;
    LK_TRY(job_make_loader(j, dataset, false, ALL_FIELDS, out));
    return job_compile(j, *out, LK_EVAL, LK_SIDE_BOTH);
}

lk_status job_make_evaluation_loaders(job *j)
{
    const bool predicts = j->look_at.file && !j->look_at.need_target; /* it has a loader of its own */

    lk_loader_free(&j->train_eval_loader);
    lk_loader_free(&j->validation_loader);
    LK_TRY(make_evaluation_loader(j, predicts ? NULL : j->validation, &j->validation_loader));
    return make_evaluation_loader(j, j->recipe->metrics.train ? j->train : NULL, &j->train_eval_loader);
}

lk_status job_open(job *j)
{
    lk_world_progress(j->world, j->step, "read data");
    LK_TRY(job_agree(j, job_open_model(j)));
    LK_TRY(job_agree(j, job_compare_data(j)));
    LK_TRY(job_agree(j, job_compare_plugin(j)));
    lk_world_progress(j->world, j->step, "compile");
    LK_TRY(job_agree(j, make_engine(j)));
    LK_TRY(job_agree(j, choose_lanes(j)));
    const lk_measured measured = lk_recipe_measures(j->recipe, j->validation != NULL);
    metrics_init(&j->metrics, &measured);
    LK_TRY(job_agree(j, job_make_evaluation_loaders(j)));
    return job_agree(j, translations_open(j));
}

void job_close(job *j)
{
    lk_reducer_free(&j->reducer);
    lk_ema_free(&j->ema);
    lk_optimizer_free(&j->optimizer);
    lk_shards_free(&j->shards);
    features_free(&j->validation_features);
    features_free(&j->train_features);
    lk_loader_free(&j->train_eval_loader);
    lk_loader_free(&j->validation_loader);
    lk_loader_free(&j->loader);
    lk_free(&j->init_report);
    job_host_release(j);
    if (j->engine) {
        lk_engine_release(j->engine, &j->ema_view);
        lk_engine_release(j->engine, &j->params);
    }
    lk_engine_free(&j->engine);
    lk_trainable_free(&j->trainable);
    lk_model_free(&j->model);
    lk_codec_free(&j->codec);
    lk_languages_free(&j->languages);
    lk_dataset_free(&j->validation);
    lk_dataset_free(&j->train);
    lk_weights_free(&j->weights);
    lk_checkpoint_free(&j->checkpoint);
    lk_recipe_free(&j->whole);
}
