/* Recipes: what is read, what is filled in, and the one message of each mistake, compared as text. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dist/dist.h"
#include "io/io.h"

#define N_OF(array) (sizeof(array) / sizeof *(array))

/* Line 1 to 6; cases below append to it or override it. */
static const char base[] = "run: {name: small}\n"
                           "data: {kind: regression, samples: 8, validation_samples: 4, n_features: 3}\n"
                           "model: {kind: mlp, layers: [3, 2, 1]}\n"
                           "loss: {kind: mse}\n"
                           "optimizer: {kind: adam}\n"
                           "train: {epochs: 2}\n";

static lk_status parse(const char *text, const char *override, lk_recipe **out)
{
    return lk_recipe_parse(text, "r.yaml", &override, override ? 1 : 0, out);
}

static lk_recipe *good(const char *text, const char *override)
{
    lk_recipe *recipe = NULL;

    cr_assert_eq(parse(text, override, &recipe), LK_OK, "%s", lk_error_message());
    return recipe;
}

static void expect_failure(const char *text, const char *override, const char *message)
{
    lk_recipe *recipe;
    const lk_status status = parse(text, override, &recipe);

    cr_expect_eq(status, LK_ERR_USAGE, "status %d for: %s", status, message);
    cr_expect_str_eq(lk_error_message(), message, "got:  %s\nwant: %s", lk_error_message(), message);
    cr_expect_null(recipe);
    lk_recipe_free(&recipe);
}

/* ---------------------------------------------------------------- messages */

typedef struct mistake { const char *yaml, *message; } mistake;

static const mistake in_whole_files[] = {
    {"", "r.yaml: is empty"},
    {"# only words\n", "r.yaml: is empty"},
    {"run\n", "r.yaml:1: recipe: expected keys, {key: value}, found `run`"},
    {"run: {name: a}\n", "r.yaml:1: data: is missing"},
    {"run: {name: a}\n---\nrun: {name: b}\n", "r.yaml:3: a second document: a recipe is one"},
    {"run: {name: a\ndata: {}\n", "r.yaml:2:5: while parsing a flow mapping, did not find expected ',' or '}'"},
    {"run:\n\tname: a\n",
     "r.yaml:2:1: while scanning for the next token, found character that cannot start any token; this is a tab: "
     "indent with blanks"},
    {"run: {name: a}\ndata: {kind: \xff}\n", "r.yaml:2: not text in UTF-8: invalid leading UTF-8 octet"},
    {"run: &a {name: x}\ndata: *a\n",
     "r.yaml:1: YAML: anchors and aliases (&, *) are not used in recipes: write the value out"},
    {"run: &a [*a]\n", "r.yaml:1: YAML: anchors and aliases (&, *) are not used in recipes: write the value out"},
    {"[a]: b\n", "r.yaml:1: recipe: a key must be a word"},
    {"run: {name: \"a\\0b\"}\n", "r.yaml:1: run.name: holds a NUL character"},
};

Test(recipe, a_file_that_is_no_recipe_is_told_with_its_place)
{
    for (size_t i = 0; i < N_OF(in_whole_files); i++)
        expect_failure(in_whole_files[i].yaml, NULL, in_whole_files[i].message);
}

/* Appended to the base, so on line 7. */
static const mistake in_line_7[] = {
    {"trian: {epochs: 3}", "r.yaml:7: trian: no such key; did you mean `train`?"},
    {"batch: 3", "r.yaml:7: batch: no such key; did you mean `train.batch`?"},
    {"xyzzy: 3", "r.yaml:7: xyzzy: no such key; known here: run, engine, data, model, loss, optimizer, scheduler, "
     "momentum_scheduler, weight_decay_scheduler, ema, init_from, "
     "train, checkpoint, metrics, dist"},
    {"bucket_bytes: 3", "r.yaml:7: bucket_bytes: no such key; did you mean `dist.bucket_bytes`?"},
    {"train: {epochs: 3}", "r.yaml:7: train: given twice, first on line 6"},
    {"ema: 0.9", "r.yaml:7: ema: expected keys, {key: value}, found `0.9`"},
    {"scheduler: 3\nstages: [{momentum_scheduler: }, {name: b}]",
     "r.yaml:7: scheduler: expected keys, {key: value}, found `3`"},
    {"stages: [{name: a, scheduler: none}]", "r.yaml:7: scheduler: expected keys, {key: value}, found `none`"},
    {"ema: {betta: 0.9}", "r.yaml:7: ema.betta: no such key; did you mean `ema.beta`?"},
    {"ema: {beta: 1.5}", "r.yaml:7: ema.beta: 1.5 is out of range: at most 1"},
    {"ema: {beta: high}", "r.yaml:7: ema.beta: expected a number, found `high`"},
    {"ema: {beta: 0x1p3}", "r.yaml:7: ema.beta: expected a number, found `0x1p3`"},
    {"ema: {beta: .inf}", "r.yaml:7: ema.beta: expected a number, found `.inf`"},
    {"ema: {beta: 1e999}", "r.yaml:7: ema.beta: 1e999 is too large or too small for a number"},
    {"ema: {beta: [0.9]}", "r.yaml:7: ema.beta: expected a number, found a list"},
    {"ema: {update_every: 0}", "r.yaml:7: ema.update_every: 0 is out of range: at least 1"},
    {"ema: {update_every: 1.5}", "r.yaml:7: ema.update_every: expected a whole number, found `1.5`"},
    {"ema: {update_every: 010}", "r.yaml:7: ema.update_every: expected a whole number, found `010`"},
    {"ema: {update_every: 99999999999999999999}",
     "r.yaml:7: ema.update_every: 99999999999999999999 does not fit in 64 bits"},
    {"ema: {copy: bias}", "r.yaml:7: ema.copy: expected a list in brackets, [a, b], found `bias`"},
    {"ema: {copy: [a, [b]]}", "r.yaml:7: ema.copy[1]: expected text, found a list"},
    {"ema: {inv_gamma: 0}", "r.yaml:7: ema.inv_gamma: 0 is out of range: above 0"},
    {"checkpoint: {unit: epochs}", "r.yaml:7: checkpoint.unit: `epochs` is none of epoch, step; did you mean `epoch`?"},
    {"checkpoint: {unit: 1}", "r.yaml:7: checkpoint.unit: `1` is none of epoch, step"},
    {"checkpoint: {best: maybe}", "r.yaml:7: checkpoint.best: expected true or false, found `maybe`"},
    {"checkpoint:\n  every: 1\n  keep: 0", "r.yaml:9: checkpoint.keep: 0 is out of range: at least 1"},
    {"scheduler: {kind: lambda}", "r.yaml:7: scheduler.expr: is missing: kind lambda needs it"},
    {"scheduler: {kind: reduce_on_plateau, expr: 1}",
     "r.yaml:7: scheduler.expr: kind reduce_on_plateau does not take it: it is for lambda, multiplicative"},
    {"scheduler: {factor: 0.5}", "r.yaml:7: scheduler.factor: kind none does not take it: it is for reduce_on_plateau, constant"},
    {"scheduler: {kind: reduce_on_plateau, metric: validation.los}",
     "r.yaml:7: scheduler.metric: `validation.los` is not measured; did you mean `validation.loss`? measured are "
     "train.loss, validation.loss, validation.mse, validation.mae, validation.r2"},
    {"scheduler: {kind: reduce_on_plateau, metric: ema.validation.loss}",
     "r.yaml:7: scheduler.metric: `ema.validation.loss` needs the section ema"},
    {"scheduler: {kind: exponential}", "r.yaml:7: scheduler.gamma: is missing: kind exponential needs it"},
    {"scheduler: {kind: step, step_size: 0}", "r.yaml:7: scheduler.step_size: 0 is out of range: at least 1"},
    {"scheduler: {kind: cosin, T_max: 3}",
     "r.yaml:7: scheduler.kind: `cosin` is none of none, lambda, multiplicative, step, multistep, constant, linear, "
     "exponential, polynomial, cosine, cosine_warm_restarts, cyclic, onecycle, reduce_on_plateau, swalr, inverse_sqrt, "
     "wsd, sequential, chained; did you mean `cosine`?"},
    {"scheduler: {kind: constant, factor: 0}", "r.yaml:7: scheduler.factor: 0 is out of range: above 0"},
    {"scheduler: {kind: reduce_on_plateau, factor: 1}", "r.yaml:7: scheduler.factor: 1 is out of range: below 1"},
    {"scheduler: {kind: reduce_on_plateau, mode: triangular}",
     "r.yaml:7: scheduler.mode: `triangular` is none of min, max"},
    {"scheduler: {kind: cyclic, base_lr: 0, max_lr: 1, mode: max}",
     "r.yaml:7: scheduler.mode: `max` is none of triangular, triangular2, exp_range"},
    {"scheduler: {kind: onecycle, max_lr: 1}",
     "r.yaml:7: scheduler.total_steps: give total_steps, or epochs and steps_per_epoch"},
    {"scheduler: {kind: onecycle, max_lr: 1, epochs: 2}",
     "r.yaml:7: scheduler.steps_per_epoch: is missing: the other one is given"},
    {"scheduler: {kind: cosine, T_max: 3, warmup: {start_factor: 0.1}}",
     "r.yaml:7: scheduler.warmup.total_iters: is missing"},
    {"scheduler: {kind: lambda, expr: 0.9^epohc}",
     "r.yaml:7: scheduler.expr: Unexpected token \"epohc\" found at position 4. Did you mean \"epoch\"?\n    0.9^epohc\n"
     "        ^"},
    {"scheduler:\n  kind: chained\n  schedulers:\n    - {kind: none}\n    - {gamma: 0.9}",
     "r.yaml:11: scheduler.schedulers[1].gamma: kind none does not take it: it is for step, multistep, exponential, cyclic"},
    {"scheduler:\n  kind: chained\n  schedulers:\n    - {kind: none}\n    - {}",
     "r.yaml:11: scheduler.schedulers[1].kind: is missing: each of several schedulers names its kind"},
    {"scheduler:\n  kind: chained\n  schedulers:\n    - {kind: none, every: step}",
     "r.yaml:10: scheduler.schedulers[0].every: belongs to the outermost scheduler: all in it count alike"},
    {"scheduler:\n  kind: sequential\n  milestones: [4, 2]\n  schedulers: [{kind: none}, {kind: none}, {kind: none}]",
     "r.yaml:9: scheduler.milestones: 2 comes after 4: they count up"},
    {"scheduler:\n  kind: sequential\n  milestones: [4]\n  schedulers: [{kind: none}, {kind: none}, {kind: none}]",
     "r.yaml:9: scheduler.milestones: a list of 1 for 3 schedulers: expected 2, one between each two"},
    {"scheduler: {kind: sequential, milestones: [], schedulers: []}",
     "r.yaml:7: scheduler.schedulers: a list of 0, expected at least 1"},
    {"engine: {threads: 0}", "r.yaml:7: engine.threads: 0 is out of range: at least 1"},
    {"engine: {kind: gpu}", "r.yaml:7: engine.kind: `gpu` is none of auto, cpu, cuda; did you mean `cuda`?"},
};

Test(recipe, a_mistake_is_told_with_file_line_key_and_remedy)
{
    for (size_t i = 0; i < N_OF(in_line_7); i++) {
        char text[1024];
        snprintf(text, sizeof text, "%s%s\n", base, in_line_7[i].yaml);
        expect_failure(text, NULL, in_line_7[i].message);
    }
}

static const mistake in_overrides[] = {
    {"train.batchh=5", "train.batchh=5: no such key; did you mean `train.batch`?"},
    {"batch=5", "batch=5: no such key; did you mean `train.batch`?"},
    {"train.batch", "train.batch: an override is written section.key=value"},
    {"=5", "=5: an override is written section.key=value"},
    {"train.batch=", "train.batch=: has no value"},
    {"train.batch=0", "train.batch=0: 0 is out of range: at least 1"},
    {"train.batch=many", "train.batch=many: expected a whole number, found `many`"},
    {"train={epochs: 1, batch: 0}", "train={epochs: 1, batch: 0}: train.batch: 0 is out of range: at least 1"},
    {"model.layers=[3, 0, 1]", "model.layers=[3, 0, 1]: model.layers[1]: 0 is out of range: at least 1"},
    {"model.layers=[3]", "model.layers=[3]: a list of 1, expected at least 2"},
    {"model.layers=[3",
     "model.layers=[3: while parsing a flow sequence, did not find expected ',' or ']'"},
    {"model.init=normel", "model.init=normel: there is no initialiser `normel`; did you mean `normal`?"},
    {"model.init_bias=normal(sdt=1)",
     "model.init_bias=normal(sdt=1): normal has no argument `sdt`; its arguments: mean, std"},
    {"model.image=[1, 28]", "model.image=[1, 28]: kind mlp does not take it: it is for cnn"},
    {"optimizer.kind=adm", "optimizer.kind=adm: `adm` is none of sgd, adam, adamw; did you mean `adam`?"},
    {"optimizer.momentum=0.9", "optimizer.momentum=0.9: kind adam does not take it: it is for sgd"},
    {"optimizer={kind: sgd, beta1: 0.9}",
     "optimizer={kind: sgd, beta1: 0.9}: optimizer.beta1: kind sgd does not take it: it is for adam, adamw"},
    {"optimizer={lr: 0.1}", "optimizer={lr: 0.1}: optimizer.kind: is missing: give one of sgd, adam, adamw"},
    {"optimizer={kind: adam, betas: [0.9, 0.99], beta1: 0.8}",
     "optimizer={kind: adam, betas: [0.9, 0.99], beta1: 0.8}: optimizer.beta1: optimizer.betas is given too: leave one "
     "of them out"},
    {"optimizer.betas=[0.9]", "optimizer.betas=[0.9]: a list of 1, expected 2"},
    {"optimizer.betas=[0.9, 1]", "optimizer.betas=[0.9, 1]: optimizer.betas[1]: 1 is out of range: below 1"},
    {"train.epochs=null", "r.yaml:6: train.epochs: is missing: give epochs, or steps"},
    {"model.kind=cnn", "r.yaml:3: model.layers: kind cnn does not take it: it is for mlp"},
    {"loss.ignore_index=1", "loss.ignore_index=1: kind mse does not take it: it is for cross_entropy"},
    {"run.name=a/b", "run.name=a/b: `a/b` is to name a folder: no `/` in it and no `.` before it"},
    {"data.n_informative=4", "data.n_informative=4: 4 is more than data.n_features, 3"},
    {"data={kind: csv, train: a.csv}", "data={kind: csv, train: a.csv}: data.target: is missing: kind csv needs it"},
    {"data={kind: csv, train: a.csv, target: y, degree: 2}",
     "data={kind: csv, train: a.csv, target: y, degree: 2}: data.degree: kind csv does not take it: it is for "
     "polynomial"},
    {"data={kind: csv, train: a, target: y, validation: b, validation_fraction: 0.1}",
     "data={kind: csv, train: a, target: y, validation: b, validation_fraction: 0.1}: data.validation_fraction: "
     "data.validation is given too: leave one of them out"},
    {"data={kind: csv, train: a, target: y, delimiter: ab}",
     "data={kind: csv, train: a, target: y, delimiter: ab}: data.delimiter: `ab` is not one character, nor tab, nor "
     "space"},
    {"data={kind: idx, train: a, train_labels: b, validation: c}",
     "data={kind: idx, train: a, train_labels: b, validation: c}: data.validation_labels: is missing: data.validation "
     "needs it"},
    {"train.early_stop.metric=validation.accuracy",
     "train.early_stop.metric=validation.accuracy: `validation.accuracy` is not measured; did you mean `validation.mae`? "
     "measured are train.loss, validation.loss, validation.mse, validation.mae, validation.r2"},
};

Test(recipe, a_mistake_in_an_override_names_the_override)
{
    for (size_t i = 0; i < N_OF(in_overrides); i++)
        expect_failure(base, in_overrides[i].yaml, in_overrides[i].message);
}

Test(recipe, an_override_of_a_file_that_is_no_recipe_tells_of_the_file)
{
    expect_failure("words\n", "train.batch=3", "r.yaml:1: recipe: expected keys, {key: value}, found `words`");
}

Test(recipe, a_metric_of_validation_needs_validation_data)
{
    const char *const overrides[] = {"data.validation_samples=0", "train.best_metric=validation.loss"};
    lk_recipe *recipe;

    cr_expect_eq(lk_recipe_parse(base, "r.yaml", overrides, 2, &recipe), LK_ERR_USAGE);
    cr_expect_str_eq(lk_error_message(), "train.best_metric=validation.loss: `validation.loss` needs validation data");
}

Test(recipe, a_missing_file_is_named_with_its_neighbour)
{
    lk_recipe *recipe;
    const char *const folder = LK_SOURCE_DIR "/launch/recipes";
    char path[512], want[2048];

    snprintf(path, sizeof path, "%s/ema-regresion.yaml", folder);
    snprintf(want, sizeof want, 
             "the recipe: cannot read %s: No such file or directory; did you mean `%s/ema-regression.yaml`?", path, folder);
    cr_expect_eq(lk_recipe_read(path, NULL, 0, &recipe), LK_ERR_USAGE);
    cr_expect_str_eq(lk_error_message(), want, "got:  %s\nwant: %s", lk_error_message(), want);

    snprintf(want, sizeof want, "the recipe: cannot read %s: Is a directory", folder);
    cr_expect_eq(lk_recipe_read(folder, NULL, 0, &recipe), LK_ERR_USAGE);
    cr_expect_str_eq(lk_error_message(), want, "got:  %s\nwant: %s", lk_error_message(), want);
}

/* ---------------------------------------------------------------- defaults */

Test(recipe, defaults_are_those_of_pytorch_and_ema_pytorch)
{
    lk_recipe *r = good(base, "ema={}");

    cr_expect_eq(r->optimizer.lr, 1e-3, "lr %g", r->optimizer.lr);
    cr_expect_eq(r->optimizer.beta1, 0.9, "beta1 %g", r->optimizer.beta1);
    cr_expect_eq(r->optimizer.beta2, 0.999, "beta2 %g", r->optimizer.beta2);
    cr_expect_eq(r->optimizer.eps, 1e-8, "eps %g", r->optimizer.eps);
    cr_expect_eq(r->optimizer.weight_decay, 0, "weight_decay %g", r->optimizer.weight_decay);
    cr_expect(r->has_ema);
    cr_expect_eq(r->ema.spec.beta, 0.9999, "ema beta %g", r->ema.spec.beta);
    cr_expect_eq(r->ema.spec.update_after_step, 100);
    cr_expect_eq(r->ema.spec.update_every, 10);
    cr_expect_eq(r->ema.spec.inv_gamma, 1.0);
    cr_expect_eq(r->ema.spec.power, 2.0 / 3.0, "power %.17g", r->ema.spec.power);
    cr_expect_eq(r->ema.spec.min_value, 0.0);
    cr_expect_eq(r->model.loss.ignore_index, 0, "ignore_index %d is cross_entropy's alone", r->model.loss.ignore_index);
    lk_recipe_free(&r);
    cr_expect_null(r);
}

Test(recipe, defaults_that_depend_on_other_keys_follow_them)
{
    lk_recipe *r = good(base, "optimizer={kind: adamw}");
    cr_expect_eq(r->optimizer.weight_decay, 1e-2, "weight_decay %g", r->optimizer.weight_decay);
    cr_expect_str_eq(r->run.dir, "runs/small");
    cr_expect_str_eq(r->train.best_metric, "validation.loss");
    cr_expect_eq(r->data.n_informative, 3);
    cr_expect_not(r->has_ema);
    cr_expect_not(r->train.has_early_stop);
    lk_recipe_free(&r);

    r = good(base, "run.seed=18446744073709551615");
    cr_expect_eq(r->run.seed, UINT64_MAX, "seed %lu", (unsigned long)r->run.seed);
    cr_expect_eq(r->data.seed, UINT64_MAX, "data.seed %lu", (unsigned long)r->data.seed);
    lk_recipe_free(&r);

    r = good(base, "ema={copy: [a.*, b], ignore: []}");
    cr_expect_str_eq(r->train.best_metric, "ema.validation.loss");
    cr_assert_eq(r->ema.spec.n_copy, 2);
    cr_expect_str_eq(r->ema.spec.copy[1], "b");
    cr_expect_eq(r->ema.spec.n_ignore, 0);
    lk_recipe_free(&r);

    r = good(base, "train.early_stop.metric=validation.r2");
    cr_expect(r->train.has_early_stop);
    cr_expect_eq(r->train.early_stop.spec.mode, LK_MAX);
    cr_expect_str_eq(r->train.best_metric, "validation.r2");
    cr_expect_eq(r->train.best_mode, LK_MAX);
    lk_recipe_free(&r);

    r = good(base, "loss={kind: cross_entropy}");
    cr_expect_eq(r->model.loss.ignore_index, -100, "ignore_index %d", r->model.loss.ignore_index);
    lk_recipe_free(&r);
}

/* ------------------------------------------------------------------ values */

Test(recipe, every_kind_of_value_arrives)
{
    const char *const overrides[] = {
        "data={kind: csv, train: /d/t.csv, target: 3, header: No, delimiter: ';', missing: median,"
        " missing_values: [NA, \"?\"], categorical: [c], standardize: yes, validation_fraction: 0.25}",
        "model={kind: cnn, image: [1, 28, 27], channels: [4, 8], kernel: 5, pool: avg, hidden: [], classes: 10,"
        " activation: gelu_tanh, norm: batch, norm_place: after, dropout: .5, init: trunc_normal}",
        "loss={kind: cross_entropy, label_smoothing: 0.1, ignore_index: -1}",
        "optimizer={kind: adamw, lr: 1E-2, betas: [0.8, 0.99], amsgrad: on, clip_norm: 1}",
        "scheduler={kind: lambda, expr: 0.95^epoch, every: step}",
        "train.on_nonfinite=skip",
        "checkpoint={every: 7, unit: step, best: OFF}",
        "dist={reduction: mpi, timeout: 1.5, bucket_bytes: 1024}",
        "engine={precision: bf16, threads: 2}",
    };
    lk_recipe *r = NULL;

    cr_assert_eq(lk_recipe_parse(base, "r.yaml", overrides, N_OF(overrides), &r), LK_OK, "%s", lk_error_message());
    cr_expect_eq(r->data.kind, LK_DATA_CSV);
    cr_expect_str_eq(r->data.train, "/d/t.csv");
    cr_expect_str_eq(r->data.target, "3");
    cr_expect_not(r->data.header);
    cr_expect_str_eq(r->data.delimiter, ";");
    cr_expect_eq(r->data.missing, LK_MISSING_MEDIAN);
    cr_assert_eq(r->data.missing_values.n, 2);
    cr_expect_str_eq(r->data.missing_values.word[1], "?");
    cr_expect_str_eq(r->data.categorical.word[0], "c");
    cr_expect_eq(r->data.standardize, LK_STANDARDIZE_ALL);
    cr_expect_eq(r->data.validation_fraction, 0.25);
    cr_expect(r->data.shuffle);
    cr_expect_eq(r->model.kind, LK_MODEL_CNN);
    cr_expect_eq(r->model.cnn.image[2], 27);
    cr_expect_eq(r->model.cnn.n_channels, 2);
    cr_expect_eq(r->model.cnn.channels[1], 8);
    cr_expect_eq(r->model.cnn.kernel, 5);
    cr_expect_eq(r->model.cnn.pool, LK_POOL_AVG);
    cr_expect_eq(r->model.cnn.n_hidden, 0);
    cr_expect_eq(r->model.cnn.classes, 10);
    cr_expect_eq(r->model.activation, LK_ACT_GELU_TANH);
    cr_expect_eq(r->model.norm, LK_NORM_BATCH);
    cr_expect_eq(r->model.norm_place, LK_NORM_AFTER);
    cr_expect_eq(r->model.dropout, 0.5);
    cr_expect_str_eq(r->model.init, "trunc_normal");
    cr_expect_str_eq(r->model.init_bias, "default");
    cr_expect_eq(r->model.loss.kind, LK_LOSS_CROSS_ENTROPY);
    cr_expect_eq(r->model.loss.label_smoothing, 0.1f);
    cr_expect_eq(r->model.loss.ignore_index, -1);
    cr_expect_eq(r->optimizer.lr, 0.01);
    cr_expect_eq(r->optimizer.beta1, 0.8);
    cr_expect_eq(r->optimizer.beta2, 0.99);
    cr_expect(r->optimizer.amsgrad);
    cr_expect_eq(r->optimizer.clip_norm, 1);
    cr_expect_eq(r->scheduler.spec.kind, LK_SCHEDULE_LAMBDA);
    cr_expect_str_eq(r->scheduler.spec.expr, "0.95^epoch");
    cr_expect_eq(r->scheduler.spec.every, LK_EVERY_STEP);
    cr_expect_eq(r->train.on_nonfinite, LK_NONFINITE_SKIP);
    cr_expect_eq(r->checkpoint.every, 7);
    cr_expect_eq(r->checkpoint.unit, LK_UNIT_STEP);
    cr_expect_not(r->checkpoint.best);
    cr_expect_eq(r->dist.timeout, 1.5);
    cr_expect_eq(r->dist.bucket_bytes, 1024);
    cr_expect_eq(r->engine.precision, LK_BF16);
    cr_expect_eq(r->engine.threads, 2);
    lk_recipe_free(&r);
}

Test(recipe, schedulers_arrive_one_inside_the_other)
{
    lk_recipe *r = good(base, "scheduler={kind: sequential, milestones: [4], every: step, schedulers: ["
                        "{kind: chained, schedulers: [{kind: linear}, {kind: multistep, milestones: [9, 0]}]}, "
                        "{kind: cyclic, base_lr: 0.1, max_lr: 1, step_size_up: 3, warmup: {total_iters: 2}}]}");
    const lk_schedule_spec *outer = &r->scheduler.spec, *chained = &outer->schedulers[0], *cyclic = &outer->schedulers[1];

    cr_assert_eq(outer->n_schedulers, 2);
    cr_expect_eq(outer->milestones[0], 4);
    cr_expect_eq(outer->every, LK_EVERY_STEP);
    cr_assert_eq(chained->n_schedulers, 2);
    cr_expect_eq(chained->schedulers[0].start_factor, 1.0 / 3.0);
    cr_expect_eq(chained->schedulers[1].gamma, 0.1);
    cr_expect_eq(chained->schedulers[1].n_milestones, 2);
    cr_expect_eq(chained->warmup.total_iters, 0);
    cr_expect_eq(cyclic->step_size_down, 3.0);
    cr_expect_eq(cyclic->max_momentum, 0.9);
    cr_expect(cyclic->cycle_momentum);
    cr_expect_eq(cyclic->mode, LK_CYCLE_TRIANGULAR);
    cr_expect_eq(cyclic->warmup.start_factor, 0.01);
    cr_expect_eq(strncmp(lk_recipe_where(r, "scheduler.kind"), "scheduler={kind: sequential", 27), 0, "%s",
                 lk_recipe_where(r, "scheduler.kind"));
    lk_recipe_free(&r);
}

/* The recipe's words are dist's list, which io cannot include. */
Test(recipe, reductions_are_numbered_as_in_dist)
{
#define AS_CASE(name, word) {name, "dist.reduction=" word},
    const struct { int value; const char *override; } cases[] = {LK_REDUCTION_LIST(AS_CASE)};
#undef AS_CASE

    for (size_t i = 0; i < N_OF(cases); i++) {
        lk_recipe *r = good(base, cases[i].override);
        cr_expect_eq(r->dist.reduction, cases[i].value, "%s: got %d, want %d", cases[i].override, r->dist.reduction,
                     cases[i].value);
        lk_recipe_free(&r);
    }
}

Test(recipe, event_files_are_off_until_asked_for)
{
    lk_recipe *r = good(base, "metrics={log_every: 7}");

    cr_expect(!r->metrics.tensorboard);
    cr_expect_eq(r->metrics.log_every, 7);
    cr_expect_eq(r->metrics.histograms, 0);
    lk_recipe_free(&r);
    r = good(base, "metrics={tensorboard: true, histograms: 3}");
    cr_expect(r->metrics.tensorboard);
    cr_expect_eq(r->metrics.log_every, 10);
    cr_expect_eq(r->metrics.histograms, 3);
    lk_recipe_free(&r);
}

Test(recipe, polynomial_weights_arrive_in_order)
{
    lk_recipe *r = good(base, "data={kind: polynomial, weights: [2, -1.5, 3e0], degree: 2, samples: 4}");

    cr_assert_eq(r->data.n_weights, 3);
    cr_expect_eq(r->data.weights[0], 2);
    cr_expect_eq(r->data.weights[1], -1.5);
    cr_expect_eq(r->data.weights[2], 3);
    cr_expect_str_eq(r->train.best_metric, "train.loss");
    lk_recipe_free(&r);
}

/* --------------------------------------------------------------- overrides */

Test(recipe, later_overrides_win_and_null_removes)
{
    const char *const overrides[] = {"ema.beta=0.5", "train.batch=8", "train.batch=16", "ema=null", "train.steps=7"};
    lk_recipe *r = NULL;

    cr_assert_eq(lk_recipe_parse(base, "r.yaml", overrides, N_OF(overrides), &r), LK_OK, "%s", lk_error_message());
    cr_expect_eq(r->train.batch, 16, "batch %ld", (long)r->train.batch);
    cr_expect_eq(r->train.steps, 7);
    cr_expect_not(r->has_ema);
    lk_recipe_free(&r);
}

Test(recipe, text_is_taken_as_typed)
{
    const char *const overrides[] = {"run.name=a: b #c", "scheduler.kind=lambda", "scheduler.expr=epoch < 4 ? 1: 0.5"};
    lk_recipe *r = NULL;

    cr_assert_eq(lk_recipe_parse(base, "r.yaml", overrides, N_OF(overrides), &r), LK_OK, "%s", lk_error_message());
    cr_expect_str_eq(r->run.name, "a: b #c");
    cr_expect_str_eq(r->scheduler.spec.expr, "epoch < 4 ? 1: 0.5");
    lk_recipe_free(&r);
}

Test(recipe, names_of_files_count_from_the_recipe_and_in_overrides_from_here)
{
    static const char text[] = "run: {name: a}\ndata: {kind: csv, train: t.csv, validation: ./v/v.csv, target: y}\n"
                               "model: {kind: mlp, layers: [3, 1]}\nloss: {kind: mse}\noptimizer: {kind: sgd}\n"
                               "train: {epochs: 1}\n";
    const char *override = "data.train=over.csv";
    char here[4096], want[4200];
    lk_recipe *r;

    cr_assert(getcwd(here, sizeof here));
    cr_assert_eq(lk_recipe_parse(text, "some/r.yaml", NULL, 0, &r), LK_OK, "%s", lk_error_message());
    snprintf(want, sizeof want, "%s/some/t.csv", here);
    cr_expect_str_eq(r->data.train, want);
    snprintf(want, sizeof want, "%s/some/v/v.csv", here);
    cr_expect_str_eq(r->data.validation, want);
    lk_recipe_free(&r);

    cr_assert_eq(lk_recipe_parse(text, "/some/r.yaml", &override, 1, &r), LK_OK, "%s", lk_error_message());
    snprintf(want, sizeof want, "%s/over.csv", here);
    cr_expect_str_eq(r->data.train, want);
    cr_expect_str_eq(r->data.validation, "/some/v/v.csv");
    lk_recipe_free(&r);
}

/* -------------------------------------------------------------- round trip */

Test(recipe, the_kept_text_gives_the_same_text_and_recipe_anywhere)
{
    const char *const overrides[] = {"ema={beta: 0.5}", "data={kind: hdf5, train: x.h5}", "run.seed=7"};
    lk_recipe *first = NULL, *second = NULL;

    cr_assert_eq(lk_recipe_parse(base, "a/r.yaml", overrides, N_OF(overrides), &first), LK_OK, "%s", lk_error_message());
    cr_assert_eq(lk_recipe_parse(first->text, "/elsewhere/leader.h5", NULL, 0, &second), LK_OK, "%s", lk_error_message());
    cr_expect_str_eq(second->text, first->text);
    cr_expect_str_eq(second->data.train, first->data.train);
    cr_expect_eq(second->run.seed, 7);
    cr_expect_eq(second->ema.spec.beta, 0.5);
    cr_expect_str_eq(second->data.features, "x");
    cr_expect_str_eq(second->data.target, "y");
    lk_recipe_free(&first);
    lk_recipe_free(&second);
}

/* Defaults stay out of the kept text: adam's would contradict an override of the kind at resume. */
Test(recipe, the_kept_text_takes_another_optimizer)
{
    lk_recipe *first = good(base, NULL), *second = good(first->text, "optimizer.kind=sgd");

    cr_expect_eq(second->optimizer.kind, LK_SGD);
    cr_expect_eq(second->optimizer.beta1, 0);
    lk_recipe_free(&first);
    lk_recipe_free(&second);
}

Test(recipe, what_names_a_key_is_told_line_or_override)
{
    lk_recipe *r = good(base, "train.batch=8");

    cr_expect_str_eq(lk_recipe_where(r, "train"), "r.yaml:6");
    cr_expect_str_eq(lk_recipe_where(r, "model.layers"), "r.yaml:3");
    cr_expect_str_eq(lk_recipe_where(r, "train.batch"), "train.batch=8");
    cr_expect_str_eq(lk_recipe_where(r, "nothing"), "r.yaml");
    lk_recipe_free(&r);
}

/* ------------------------------------------------------------ our own recipes */

/* Reads every recipe of a folder, and counts them. */
static int read_recipes(const char *folder)
{
    DIR *dir = opendir(folder);
    int n = 0;

    cr_assert(dir, "no folder %s", folder);
    for (struct dirent *entry; (entry = readdir(dir));) {
        char path[1024];
        lk_recipe *r;

        if (!strstr(entry->d_name, ".yaml")) continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        cr_expect_eq(lk_recipe_read(path, NULL, 0, &r), LK_OK, "%s", lk_error_message());
        if (r) {
            char name[1024];
            snprintf(name, sizeof name, "%s.yaml", r->run.name);
            cr_expect_str_eq(name, entry->d_name, "run.name of %s: %s", entry->d_name, r->run.name);
        }
        lk_recipe_free(&r);
        n++;
    }
    closedir(dir);
    return n;
}

Test(recipe, every_recipe_of_the_house_is_read)
{
    const int n = read_recipes(LK_SOURCE_DIR "/launch/recipes");
    const int n_schedules = read_recipes(LK_SOURCE_DIR "/launch/recipes/schedules");

    cr_expect_geq(n, 5, "%d recipes", n);
    cr_expect_geq(n_schedules, 4, "%d recipes of schedules", n_schedules);
}

/* ----------------------------------------------------------------- renamed keys */

static void expect_note(const char *text, const char *override, const char *note)
{
    lk_recipe *r = good(text, override);

    cr_assert_not_null(r->notes, "no note for %s", override ? override : text);
    cr_expect_str_eq(r->notes, note, "got:  %s\nwant: %s", r->notes, note);
    cr_expect_null(strstr(r->text, " norm:"), "the kept text has the old word: %s", r->text);
    cr_expect_eq(r->stages[r->n_stages - 1]->train.frozen_norm, LK_FROZEN_NORM_TRAIN);
    lk_recipe_free(&r);
}

Test(recipe, an_old_key_works_and_its_reader_is_told)
{
    static const char said[] = "train.norm is called train.frozen_norm now; the old word still works";
    char text[1024];
    lk_recipe *r = good(base, NULL);

    cr_expect_null(r->notes, "%s", r->notes);
    lk_recipe_free(&r);
    expect_note(base, "train.norm=train", said);
    expect_note(base, "train={epochs: 2, norm: train}", said);
    snprintf(text, sizeof text, "%sstages: [{name: a}, {name: b, norm: train}]\n", base);
    expect_note(text, NULL, said);
    snprintf(text, sizeof text, "%sstages: [{name: a}, {name: b}]\n", base);
    expect_note(text, "stages.b.norm=train", said);
    r = good(base, "metrics={every: 7}");
    cr_expect_eq(r->metrics.log_every, 7);
    cr_expect_str_eq(r->notes, "metrics.every is called metrics.log_every now; the old word still works");
    lk_recipe_free(&r);
    expect_failure(base, "train={epochs: 2, norm: train, frozen_norm: eval}",
                   "train={epochs: 2, norm: train, frozen_norm: eval}: norm is the old word for frozen_norm, which "
                   "is given too: leave it out");
}

/* -------------------------------------------------------------------- data */

static const char images[] = "run: {name: small}\n"
                             "model: {kind: cnn, channels: [2]}\n"
                             "loss: {kind: cross_entropy}\n"
                             "optimizer: {kind: adam}\n"
                             "train: {epochs: 2}\n"
                             "data:\n"
                             "  kind: idx\n"
                             "  train: a\n"
                             "  train_labels: b\n";

static char *with(const char *text, const char *more)
{
    static char whole[2048];
    snprintf(whole, sizeof whole, "%s%s", text, more);
    return whole;
}

Test(recipe, files_of_a_part_may_be_several)
{
    lk_recipe *r = good(images, "data={kind: csv, target: y, train: [/d/a.csv, /d/b.csv], validation: /d/c.csv}");

    cr_assert_eq(r->data.train_files.n, 2);
    cr_expect_str_eq(r->data.train, "/d/a.csv");
    cr_expect_str_eq(r->data.train_files.word[1], "/d/b.csv");
    cr_assert_eq(r->data.validation_files.n, 1);
    cr_expect_str_eq(r->data.validation, "/d/c.csv");
    lk_recipe_free(&r);
    r = good(with(images, "  validation: [c, d]\n  validation_labels: [e, f]\n"), NULL);
    cr_expect_str_eq(strrchr(r->data.validation_files.word[1], '/'), "/d", "got %s", r->data.validation_files.word[1]);
    cr_expect_eq(*r->data.validation_labels_files.word[1], '/');
    lk_recipe_free(&r);
    expect_failure(with(images, "  validation: [c, d]\n  validation_labels: [e]\n"), NULL,
                   "r.yaml:11: data.validation_labels: 1 files of labels for the 2 of data.validation");
}

Test(recipe, transforms_are_lists_of_sections)
{
    lk_recipe *r = good(with(images, "  transforms:\n"
                                     "    - {kind: random_crop, padding: 4}\n"
                                     "    - {kind: hflip}\n"
                                     "    - {kind: normalize, mean: [0.5, 0.4, 0.3], std: [0.2]}\n"), NULL);
    const lk_transform_list *t = &r->data.transforms, *v = &r->data.validation_transforms;

    cr_assert_eq(t->n, 3);
    cr_expect(t->transform[0].kind == LK_TRANSFORM_RANDOM_CROP && t->transform[0].padding == 4);
    cr_expect(t->transform[1].kind == LK_TRANSFORM_HFLIP && t->transform[1].p == 0.5);
    cr_assert(t->transform[2].kind == LK_TRANSFORM_NORMALIZE && t->transform[2].n_mean == 3 && t->transform[2].n_std == 1);
    cr_expect(t->transform[2].mean[2] == 0.3 && t->transform[2].std[0] == 0.2);
    /* Without a word on evaluation, it gets what is not left to chance. */
    cr_assert(v->n == 1 && v->transform[0].kind == LK_TRANSFORM_NORMALIZE && v->transform[0].mean[1] == 0.4);
    lk_recipe_free(&r);
    r = good(with(images, "  transforms: [{kind: hflip, p: 1}]\n"), NULL);
    cr_expect_eq(r->data.validation_transforms.n, 0);
    lk_recipe_free(&r);
}

Test(recipe, transforms_that_are_unknown_or_misplaced_are_told_with_their_line)
{
    static const struct { const char *more, *message; } cases[] = {
        {"  transforms:\n    - {kind: hflip}\n    - {kind: hflop}\n",
         "r.yaml:12: data.transforms[1].kind: `hflop` is none of random_crop, hflip, normalize; did you mean `hflip`?"},
        {"  transforms:\n    - {kind: normalize, mean: [0], std: [1]}\n    - {kind: hflip}\n",
         "r.yaml:11: data.transforms: normalize is followed by hflip: it comes last, images are bytes until then"},
        {"  validation_transforms:\n    - {kind: hflip}\n",
         "r.yaml:11: data.validation_transforms: hflip is left to chance, and evaluation is not: it belongs into "
         "data.transforms"},
        {"  transforms:\n    - {kind: random_crop}\n", "r.yaml:11: data.transforms[0].padding: is missing: kind random_crop "
                                                       "needs it"},
        {"  transforms:\n    - {kind: hflip, padding: 1}\n",
         "r.yaml:11: data.transforms[0].padding: kind hflip does not take it: it is for random_crop"},
        {"  pixel_mean: 0.5\n  transforms: [{kind: normalize, mean: [0], std: [1]}]\n",
         "r.yaml:10: data.pixel_mean: data.transforms has a normalize, too: leave one of them out"},
        {"  transforms: [{kind: normalize, mean: [0], std: [0]}]\n",
         "r.yaml:10: data.transforms[0].std[0]: 0 is out of range: above 0"},
    };

    for (size_t i = 0; i < N_OF(cases); i++) expect_failure(with(images, cases[i].more), NULL, cases[i].message);
    expect_failure(images, "data={kind: csv, train: a.csv, target: y, transforms: [{kind: hflip}]}",
                   "data={kind: csv, train: a.csv, target: y, transforms: [{kind: hflip}]}: data.transforms: kind csv does "
                   "not take it: it is for hdf5, idx, cifar10");
}

/* --------------------------------------------------------- absent sections, homes */

Test(recipe, a_section_with_nothing_in_it_is_absent)
{
    char text[1024];
    lk_recipe *r;

    snprintf(text, sizeof text, "%sema:\nscheduler:\nstages:\n  - {name: a, early_stop: , scheduler: }\n", base);
    r = good(text, NULL);
    cr_expect_not(r->has_ema);
    cr_expect_not(r->train.has_early_stop);
    cr_expect_eq(r->scheduler.spec.kind, LK_SCHEDULE_NONE);
    lk_recipe_free(&r);
    expect_failure("train:\nstages:\n  - early_stop:\n", NULL, "r.yaml:1: run: is missing");
    snprintf(text, sizeof text, "%sstages: [{name: a, optimizer: {lr: 1}}]\n", base);
    expect_failure(text, "optimizer=3", "optimizer=3: expected keys, {key: value}, found `3`");
    expect_failure(text, "train=3", "train=3: expected keys, {key: value}, found `3`");
}

Test(recipe, a_tilde_is_the_home_of_who_runs_it)
{
    setenv("HOME", "/home/someone", 1);
    lk_recipe *r = good(base, "run.dir=~/runs/x");

    cr_expect_str_eq(r->run.dir, "/home/someone/runs/x");
    lk_recipe_free(&r);
    r = good(base, "data={kind: csv, target: y, train: ~/x.csv}");
    cr_expect_str_eq(r->data.train, "/home/someone/x.csv");
    lk_recipe_free(&r);
    r = good(base, "run.dir=~other/x");
    cr_expect_str_eq(r->run.dir, "~other/x", "another user's home is not guessed");
    lk_recipe_free(&r);
}

Test(recipe, a_section_of_an_override_is_told_when_a_later_check_fails)
{
    lk_recipe *r = good(base, "model={kind: mlp, layers: [3, 1]}");

    cr_expect_str_eq(lk_recipe_where(r, "model.layers"), "model={kind: mlp, layers: [3, 1]}");
    lk_recipe_free(&r);
}

static void expect_checkpoints(const char *train, const char *checkpoint, lk_unit unit, int64_t every)
{
    const char *const overrides[] = {train, checkpoint};
    lk_recipe *r = NULL;

    cr_assert_eq(lk_recipe_parse(base, "r.yaml", overrides, checkpoint ? 2 : 1, &r), LK_OK, "%s", lk_error_message());
    cr_expect(r->checkpoint.unit == unit && r->checkpoint.every == every, "%s: every %ld of unit %d, want %ld of %d", train,
              (long)r->checkpoint.every, (int)r->checkpoint.unit, (long)every, (int)unit);
    lk_recipe_free(&r);
}

/* Only weights that are saved can be the best. */
Test(recipe, evaluations_by_steps_bring_checkpoints_by_steps_unless_told_otherwise)
{
    static const char by_steps[] = "train={epochs: 3, evaluate_every: 500, evaluate_unit: step}";

    expect_checkpoints(by_steps, NULL, LK_UNIT_STEP, 500);
    expect_checkpoints(by_steps, "checkpoint={unit: epoch}", LK_UNIT_EPOCH, 1);
    expect_checkpoints(by_steps, "checkpoint={every: 7}", LK_UNIT_EPOCH, 7);
    expect_checkpoints("train={epochs: 3, evaluate_every: 2}", NULL, LK_UNIT_EPOCH, 1);
}
