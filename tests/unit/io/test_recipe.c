/* Recipes as texts: overrides, the text that is kept, our own recipes, old keys, sections that are absent. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/support/recipes.h"

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

static void expect_args(const char *model, const char *override, const char *first, const char *second)
{
    char text[512];

    snprintf(text, sizeof text, "run: {name: small}\ndata: {kind: regression, samples: 8, n_features: 3}\nmodel: %s\n"
             "loss: {kind: mse}\noptimizer: {kind: adam}\ntrain: {epochs: 2}\n", model);
    lk_recipe *r = good(text, override);
    cr_assert_eq(r->model.plugin.args.n, second ? 2 : 1, "got %u arguments", r->model.plugin.args.n);
    cr_expect_str_eq(r->model.plugin.args.word[0], first);
    if (second) cr_expect_str_eq(r->model.plugin.args.word[1], second);
    lk_recipe_free(&r);
}

Test(recipe, an_argument_of_a_plug_in_is_overridden_by_its_name)
{
    expect_args("{plugin: a.so, args: {width: 8, wid: 2}}", "model.args.wid=3", "width=8", "wid=3");
    expect_args("{plugin: a.so, args: {width: 8, wid: 2}}", "model.args.width=64", "width=64", "wid=2");
    expect_args("{plugin: a.so, args: [width=8]}", "model.args.depth=3", "width=8", "depth=3");
    expect_args("{plugin: a.so}", "model.args.width=64", "width=64", NULL);
    expect_failure(base, "model.args.width=64",
                   "model.args.width=64: model.args: kind mlp does not take it: it is for plugin");
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

    cr_assert_eq(lk_recipe_parse(base, "a/r.yaml", overrides, N_OF(overrides), &first), LK_OK, "%s",
                 lk_error_message());
    cr_assert_eq(lk_recipe_parse(first->text, "/elsewhere/leader.h5", NULL, 0, &second), LK_OK, "%s",
                 lk_error_message());
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
    cr_expect_eq(r->stages[r->n_stages - 1]->train.frozen_mode, LK_FROZEN_MODE_TRAIN);
    lk_recipe_free(&r);
}

Test(recipe, an_old_key_works_and_its_reader_is_told)
{
    static const char said[] = "train.norm is called train.frozen_mode now; the old word still works";
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
    expect_note(text, "stages.b.frozen_norm=train",
                "train.frozen_norm is called train.frozen_mode now; the old word still works");
    r = good(base, "metrics={every: 7}");
    cr_expect_eq(r->metrics.log_every, 7);
    cr_expect_str_eq(r->notes, "metrics.every is called metrics.log_every now; the old word still works");
    lk_recipe_free(&r);
    expect_failure(base, "train={epochs: 2, norm: train, frozen_mode: eval}",
                   "train={epochs: 2, norm: train, frozen_mode: eval}: norm is the old word for frozen_mode, which "
                   "is given too: leave it out");
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
    cr_expect(r->checkpoint.unit == unit && r->checkpoint.every == every, "%s: every %ld of unit %d, want %ld of %d",
              train, (long)r->checkpoint.every, (int)r->checkpoint.unit, (long)every, (int)unit);
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
