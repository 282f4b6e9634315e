/* Recipes: what is read and what is filled in, each value where it belongs. */
#include <stdio.h>
#include <stdlib.h>

#include "dist/dist.h"
#include "tests/support/recipes.h"

/* ---------------------------------------------------------------- defaults */

Test(recipe_values, defaults_are_those_of_pytorch_and_ema_pytorch)
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

Test(recipe_values, defaults_that_depend_on_other_keys_follow_them)
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

Test(recipe_values, every_kind_of_value_arrives)
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
    cr_expect_eq(r->model.vision.image[2], 27);
    cr_expect_eq(r->model.cnn.n_channels, 2);
    cr_expect_eq(r->model.cnn.channels[1], 8);
    cr_expect_eq(r->model.cnn.kernel, 5);
    cr_expect_eq(r->model.cnn.pool, LK_POOL_AVG);
    cr_expect_eq(r->model.cnn.n_hidden, 0);
    cr_expect_eq(r->model.vision.classes, 10);
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

Test(recipe_values, schedulers_arrive_one_inside_the_other)
{
    lk_recipe *r = good(base, "scheduler={kind: sequential, milestones: [4], every: step, schedulers: ["
                        "{kind: chained, schedulers: [{kind: linear}, {kind: multistep, milestones: [9, 0]}]}, "
                        "{kind: cyclic, base_lr: 0.1, max_lr: 1, step_size_up: 3, warmup: {total_iters: 2}}]}");
    const lk_schedule_spec *outer = &r->scheduler.spec, *chained = &outer->schedulers[0],
                           *cyclic = &outer->schedulers[1];

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
Test(recipe_values, reductions_are_numbered_as_in_dist)
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

Test(recipe_values, wires_are_numbered_as_in_dist)
{
#define AS_CASE(name, word) {name, "dist.wire=" word},
    const struct { int value; const char *override; } cases[] = {LK_WIRE_LIST(AS_CASE)};
#undef AS_CASE

    for (size_t i = 0; i < N_OF(cases); i++) {
        lk_recipe *r = good(base, cases[i].override);
        cr_expect_eq(r->dist.wire, cases[i].value, "%s: got %d, want %d", cases[i].override, r->dist.wire,
                     cases[i].value);
        lk_recipe_free(&r);
    }
}

Test(recipe_values, event_files_are_off_until_asked_for)
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

Test(recipe_values, polynomial_weights_arrive_in_order)
{
    lk_recipe *r = good(base, "data={kind: polynomial, weights: [2, -1.5, 3e0], degree: 2, samples: 4}");

    cr_assert_eq(r->data.n_weights, 3);
    cr_expect_eq(r->data.weights[0], 2);
    cr_expect_eq(r->data.weights[1], -1.5);
    cr_expect_eq(r->data.weights[2], 3);
    cr_expect_str_eq(r->train.best_metric, "train.loss");
    lk_recipe_free(&r);
}

/* ------------------------------------------------------------------- model */

Test(recipe_values, keys_are_for_families_by_pattern_and_defaults_may_be_a_familys_own)
{
    lk_recipe *r = good(base, "model={kind: resnet50, stem: cifar, width: 0.25, zero_init_residual: true}");

    cr_expect_eq(r->model.kind, LK_MODEL_RESNET50);
    cr_expect_eq(r->model.backbone.stem, LK_STEM_CIFAR);
    cr_expect_eq(r->model.vision.width, 0.25);
    cr_expect(r->model.backbone.zero_init_residual);
    cr_expect_eq(r->model.dropout, 0.0);
    lk_recipe_free(&r);
    r = good(base, "model={kind: vgg13_bn}");
    cr_expect_eq(r->model.kind, LK_MODEL_VGG13_BN);
    cr_expect_eq(r->model.backbone.stem, LK_STEM_IMAGENET);
    cr_expect_eq(r->model.vision.width, 1.0);
    cr_expect(r->model.backbone.init_weights);
    cr_expect_eq(r->model.dropout, 0.5, "got %g, torchvision's is 0.5", r->model.dropout);
    lk_recipe_free(&r);
    r = good(base, "model={kind: vgg11, dropout: 0.1}");
    cr_expect_eq(r->model.dropout, 0.1);
    lk_recipe_free(&r);
    expect_failure(base, "model={kind: resnet18, dropout: 0.1}",
                   "model={kind: resnet18, dropout: 0.1}: model.dropout: kind resnet18 does not take it: it is for "
                   "mlp, cnn, plugin, vgg*, swin_*, transformer, gpt2*");
    expect_failure(base, "model={kind: vgg11, zero_init_residual: true}",
                   "model={kind: vgg11, zero_init_residual: true}: model.zero_init_residual: kind vgg11 does not take "
                   "it: it is for resnet*");
    expect_failure(base, "model={kind: resnet18, norm: batch}",
                   "model={kind: resnet18, norm: batch}: model.norm: kind resnet18 does not take it: it is for mlp, "
                   "cnn, plugin, transformer");
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

Test(recipe_values, files_of_a_part_may_be_several)
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

Test(recipe_values, transforms_are_lists_of_sections)
{
    lk_recipe *r = good(with(images, "  transforms:\n"
                                     "    - {kind: random_crop, padding: 4}\n"
                                     "    - {kind: hflip}\n"
                                     "    - {kind: normalize, mean: [0.5, 0.4, 0.3], std: [0.2]}\n"), NULL);
    const lk_transform_list *t = &r->data.transforms, *v = &r->data.validation_transforms;

    cr_assert_eq(t->n, 3);
    cr_expect(t->transform[0].kind == LK_TRANSFORM_RANDOM_CROP && t->transform[0].padding == 4);
    cr_expect(t->transform[1].kind == LK_TRANSFORM_HFLIP && t->transform[1].p == 0.5);
    cr_assert(t->transform[2].kind == LK_TRANSFORM_NORMALIZE && t->transform[2].n_mean == 3 &&
              t->transform[2].n_std == 1);
    cr_expect(t->transform[2].mean[2] == 0.3 && t->transform[2].std[0] == 0.2);
    /* Without a word on evaluation, it gets what is not left to chance. */
    cr_assert(v->n == 1 && v->transform[0].kind == LK_TRANSFORM_NORMALIZE && v->transform[0].mean[1] == 0.4);
    lk_recipe_free(&r);
    r = good(with(images, "  transforms: [{kind: hflip, p: 1}]\n"), NULL);
    cr_expect_eq(r->data.validation_transforms.n, 0);
    cr_expect_null(r->notes);
    lk_recipe_free(&r);
    /* One number for all channels needs no brackets. */
    r = good(with(images, "  transforms: [{kind: normalize, mean: 0.5, std: 0.25}]\n"), NULL);
    t = &r->data.transforms, v = &r->data.validation_transforms;
    cr_assert(t->n == 1 && t->transform[0].n_mean == 1 && t->transform[0].n_std == 1);
    cr_expect(t->transform[0].mean[0] == 0.5 && t->transform[0].std[0] == 0.25);
    cr_assert(v->n == 1 && v->transform[0].n_mean == 1);
    cr_expect(v->transform[0].mean[0] == 0.5 && v->transform[0].std[0] == 0.25);
    cr_expect_null(r->notes);
    lk_recipe_free(&r);
}

Test(recipe_values, a_normalize_in_one_list_alone_is_noted)
{
    static const struct { const char *more, *note;
    } cases[] = {
        {"  transforms: [{kind: normalize, mean: 0.5, std: 1}]\n  validation_transforms: []\n",
         "warning: data.transforms has a normalize and data.validation_transforms none: evaluation sees numbers of "
         "another scale than training"},
        {"  validation_transforms: [{kind: normalize, mean: 0.5, std: 1}]\n",
         "warning: data.validation_transforms has a normalize and data.transforms none: evaluation sees numbers of "
         "another scale than training"},
    };

    for (size_t i = 0; i < N_OF(cases); i++) {
        lk_recipe *r = good(with(images, cases[i].more), NULL);
        cr_expect_str_eq(r->notes ? r->notes : "", cases[i].note, "got: %s", r->notes);
        lk_recipe_free(&r);
    }
}

Test(recipe_values, transforms_get_torchvisions_defaults)
{
    lk_recipe *r = good(with(images, "  transforms:\n"
                                     "    - {kind: random_resized_crop, size: 8}\n"
                                     "    - {kind: color_jitter, brightness: 0.4, hue: [-0.1, 0.2]}\n"
                                     "    - {kind: normalize, mean: [0.5], std: [0.2]}\n"
                                     "    - {kind: random_erasing, value: [1, 2, 3]}\n"
                                     "  validation_transforms: [{kind: resize, size: [8, 8], "
                                     "interpolation: nearest}]\n"), NULL);
    const lk_transform_spec *t = r->data.transforms.transform, *v = r->data.validation_transforms.transform;

    cr_assert_eq(r->data.transforms.n, 4);
    cr_expect(t[0].n_size == 1 && t[0].size[0] == 8 && t[0].interpolation == LK_INTERPOLATION_BILINEAR);
    cr_expect(t[0].scale[0] == 0.08 && t[0].scale[1] == 1.0, "scale %g to %g", t[0].scale[0], t[0].scale[1]);
    cr_expect(t[0].ratio[0] == 3.0 / 4.0 && t[0].ratio[1] == 4.0 / 3.0, "ratio %g to %g", t[0].ratio[0],
              t[0].ratio[1]);
    cr_expect(t[1].brightness.n == 1 && t[1].brightness.bound[0] == 0.4 && t[1].contrast.n == 0);
    cr_expect(t[1].hue.n == 2 && t[1].hue.bound[0] == -0.1 && t[1].hue.bound[1] == 0.2);
    cr_expect(t[3].p == 0.5 && t[3].scale[0] == 0.02 && t[3].scale[1] == 0.33 && t[3].ratio[1] == 3.3);
    cr_expect(t[3].n_value == 3 && t[3].value[2] == 3.0);
    cr_assert_eq(r->data.validation_transforms.n, 1);
    cr_expect(v[0].n_size == 2 && v[0].interpolation == LK_INTERPOLATION_NEAREST);
    lk_recipe_free(&r);

    /* A random crop of a size is one from the middle in evaluation. */
    r = good(with(images, "  transforms: [{kind: random_crop, size: [7, 8], padding: 1}, {kind: hflip}]\n"), NULL);
    v = r->data.validation_transforms.transform;
    cr_assert_eq(r->data.validation_transforms.n, 1);
    cr_expect(v[0].kind == LK_TRANSFORM_CENTER_CROP && v[0].n_size == 2 && v[0].size[1] == 8);
    lk_recipe_free(&r);
}

Test(recipe_values, transforms_that_are_unknown_or_misplaced_are_told_with_their_line)
{
    static const struct { const char *more, *message;
    } cases[] = {
        {"  transforms:\n    - {kind: hflip}\n    - {kind: hflop}\n",
         "r.yaml:12: data.transforms[1].kind: `hflop` is none of resize, center_crop, random_crop, "
         "random_resized_crop, hflip, vflip, color_jitter, trivial_augment, random_erasing, normalize, mixup, "
         "cutmix; did you mean `hflip`?"},
        {"  transforms:\n    - {kind: normalize, mean: [0], std: [1]}\n    - {kind: hflip}\n",
         "r.yaml:12: data.transforms: hflip stands behind normalize, where images are bytes no more; random_erasing, "
         "mixup and cutmix alone may"},
        {"  transforms: [{kind: mixup}, {kind: cutmix}, {kind: hflip}]\n",
         "r.yaml:10: data.transforms: hflip stands behind cutmix, which mixes samples that are done: it comes last"},
        {"  transforms: [{kind: mixup}, {kind: mixup}]\n",
         "r.yaml:10: data.transforms: mixup stands behind mixup, which mixes samples that are done: it comes last"},
        {"  validation_transforms:\n    - {kind: hflip}\n",
         "r.yaml:11: data.validation_transforms: hflip is left to chance, and evaluation is not: it belongs into "
         "data.transforms"},
        {"  transforms:\n    - {kind: random_crop}\n",
         "r.yaml:11: data.transforms: random_crop needs size, padding or both"},
        {"  validation_transforms:\n    - {kind: resize}\n",
         "r.yaml:11: data.validation_transforms: resize needs size: one number, or [height, width]"},
        {"  transforms: [{kind: resize, size: [1, 2, 3]}]\n",
         "r.yaml:10: data.transforms[0].size: a list of 3, expected at most 2"},
        {"  transforms: [{kind: resize, size: 8, interpolation: cubic}]\n",
         "r.yaml:10: data.transforms[0].interpolation: `cubic` is none of bilinear, nearest"},
        {"  transforms:\n    - {kind: hflip}\n    - {kind: random_resized_crop, size: 8}\n",
         "r.yaml:12: data.transforms: random_resized_crop has no counterpart without chance: say in "
         "data.validation_transforms what evaluation sees, as {kind: resize, size: 256} and {kind: center_crop, "
         "size: 224}"},
        {"  transforms: [{kind: random_erasing, scale: [0.5, 0.1]}]\n",
         "r.yaml:10: data.transforms: scale of random_erasing is [from, to], and from is the larger one"},
        {"  transforms: [{kind: color_jitter}]\n",
         "r.yaml:10: data.transforms: color_jitter needs one of brightness, contrast, saturation and hue"},
        {"  transforms: [{kind: color_jitter, hue: -0.1}]\n",
         "r.yaml:10: data.transforms: hue of color_jitter is one number from 0, or [from, to]"},
        {"  transforms:\n    - {kind: hflip, padding: 1}\n",
         "r.yaml:11: data.transforms[0].padding: kind hflip does not take it: it is for random_crop"},
        {"  transforms: [{kind: hflip, q: 1}]\n",
         "r.yaml:10: data.transforms[0].q: no such key; known here: kind, p"},
        {"  transforms: [{kind: normalize, mean: [], std: 1}]\n",
         "r.yaml:10: data.transforms[0].mean: a list of 0, expected at least 1"},
        {"  pixel_mean: 0.5\n  transforms: [{kind: normalize, mean: [0], std: [1]}]\n",
         "r.yaml:10: data.pixel_mean: data.transforms has a normalize, too: leave one of them out"},
        {"  transforms: [{kind: normalize, mean: [0], std: [0]}]\n",
         "r.yaml:10: data.transforms[0].std[0]: 0 is out of range: above 0"},
    };

    for (size_t i = 0; i < N_OF(cases); i++) expect_failure(with(images, cases[i].more), NULL, cases[i].message);
    expect_failure(
        images, "data={kind: csv, train: a.csv, target: y, transforms: [{kind: hflip}]}",
        "data={kind: csv, train: a.csv, target: y, transforms: [{kind: hflip}]}: data.transforms: kind csv does "
        "not take it: it is for hdf5, idx, cifar10, cifar100, images");
}
