/* Recipes that are wrong: the one message of each mistake, compared as text. */
#include <stdio.h>

#include "tests/support/recipes.h"

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

Test(recipe_mistakes, a_file_that_is_no_recipe_is_told_with_its_place)
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
    {"scheduler: {factor: 0.5}",
     "r.yaml:7: scheduler.factor: kind none does not take it: it is for reduce_on_plateau, constant"},
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
    {"scheduler: {kind: lambda, expr: 0.9^epohc}", "r.yaml:7: scheduler.expr: Unexpected token \"epohc\" found at "
                                                   "position 4. Did you mean \"epoch\"?\n    0.9^epohc\n"
                                                   "        ^"},
    {"scheduler:\n  kind: chained\n  schedulers:\n    - {kind: none}\n    - {gamma: 0.9}",
     "r.yaml:11: scheduler.schedulers[1].gamma: kind none does not take it: it is for step, multistep, exponential, "
     "cyclic"},
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

Test(recipe_mistakes, a_mistake_is_told_with_file_line_key_and_remedy)
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
    {"model.layers=[]", "model.layers=[]: a list of 0, expected at least 1"},
    {"model.layers=[3", "model.layers=[3: while parsing a flow sequence, did not find expected ',' or ']'"},
    {"model.init=normel", "model.init=normel: there is no initialiser `normel`; did you mean `normal`?"},
    {"model.init_bias=normal(sdt=1)",
     "model.init_bias=normal(sdt=1): normal has no argument `sdt`; its arguments: mean, std"},
    {"model.image=[1, 28]", "model.image=[1, 28]: kind mlp does not take it: it is for cnn, resnet*, vgg*, swin_*"},
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
    {"model.kind=cnn", "r.yaml:3: model.layers: kind cnn does not take it: it is for mlp, transformer, gpt2*"},
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
    {"data={kind: pairs, train: a, tokenizer: chars}",
     "data={kind: pairs, train: a, tokenizer: chars}: data.tokenizer: data.kind pairs has no tokenizer chars; it "
     "has words and bpe"},
    {"data={kind: tokens, train: a, sequence: 8, tokenizer: bpe}",
     "data={kind: tokens, train: a, sequence: 8, tokenizer: bpe}: data.tokenizer: data.kind tokens has no "
     "tokenizer bpe; it has none, gpt2, chars and bytes"},
    {"data={kind: pairs, train: a, merges: b}",
     "data={kind: pairs, train: a, merges: b}: data.merges: is for data.tokenizer bpe"},
    {"data={kind: pairs, train: a, tokenizer: bpe}",
     "data={kind: pairs, train: a, tokenizer: bpe}: data.tokenizer: bpe needs data.merges, a list of merges, or "
     "data.vocabulary, how many tokens to learn"},
    {"data={kind: pairs, train: a, tokenizer: bpe, merges: b, vocabulary: 300}",
     "data={kind: pairs, train: a, tokenizer: bpe, merges: b, vocabulary: 300}: data.vocabulary: data.merges is "
     "given too: leave one of them out"},
    {"data={kind: pairs, train: a, tokenizer: bpe, vocabulary: 255}",
     "data={kind: pairs, train: a, tokenizer: bpe, vocabulary: 255}: data.vocabulary: 255 is not from 256, the "
     "bytes, to 65535"},
    {"data={kind: pairs, train: a, buckets: 5, steps: 10}",
     "data={kind: pairs, train: a, buckets: 5, steps: 10}: data.buckets: data.steps fills every sentence up to "
     "10, so there is nothing to sort by: leave one of them out"},
    {"data={kind: csv, train: a, target: y, delimiter: ab}",
     "data={kind: csv, train: a, target: y, delimiter: ab}: data.delimiter: `ab` is not one character, nor tab, nor "
     "space"},
    {"data={kind: idx, train: a, train_labels: b, validation: c}",
     "data={kind: idx, train: a, train_labels: b, validation: c}: data.validation_labels: is missing: data.validation "
     "needs it"},
    {"train.early_stop.metric=validation.accuracy",
     "train.early_stop.metric=validation.accuracy: `validation.accuracy` is not measured; did you mean "
     "`validation.mae`? "
     "measured are train.loss, validation.loss, validation.mse, validation.mae, validation.r2"},
};

Test(recipe_mistakes, a_mistake_in_an_override_names_the_override)
{
    for (size_t i = 0; i < N_OF(in_overrides); i++)
        expect_failure(base, in_overrides[i].yaml, in_overrides[i].message);
}

Test(recipe_mistakes, an_override_of_a_file_that_is_no_recipe_tells_of_the_file)
{
    expect_failure("words\n", "train.batch=3", "r.yaml:1: recipe: expected keys, {key: value}, found `words`");
}

Test(recipe_mistakes, a_metric_of_validation_needs_validation_data)
{
    const char *const overrides[] = {"data.validation_samples=0", "train.best_metric=validation.loss"};
    lk_recipe *recipe;

    cr_expect_eq(lk_recipe_parse(base, "r.yaml", overrides, 2, &recipe), LK_ERR_USAGE);
    cr_expect_str_eq(lk_error_message(), "train.best_metric=validation.loss: `validation.loss` needs validation data");
}

Test(recipe_mistakes, a_missing_file_is_named_with_its_neighbour)
{
    lk_recipe *recipe;
    const char *const folder = LK_SOURCE_DIR "/launch/recipes";
    char path[512], want[2048];

    snprintf(path, sizeof path, "%s/ema-regresion.yaml", folder);
    snprintf(want, sizeof want,
             "the recipe: cannot read %s: No such file or directory; did you mean `%s/ema-regression.yaml`?", path,
             folder);
    cr_expect_eq(lk_recipe_read(path, NULL, 0, &recipe), LK_ERR_USAGE);
    cr_expect_str_eq(lk_error_message(), want, "got:  %s\nwant: %s", lk_error_message(), want);

    snprintf(want, sizeof want, "the recipe: cannot read %s: Is a directory", folder);
    cr_expect_eq(lk_recipe_read(folder, NULL, 0, &recipe), LK_ERR_USAGE);
    cr_expect_str_eq(lk_error_message(), want, "got:  %s\nwant: %s", lk_error_message(), want);
}
