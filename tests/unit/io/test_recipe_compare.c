/* Two recipes key by key: what is told, what of it makes another run, and what is no difference at all. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/io.h"

static const char base[] = "run: {name: small}\n"
                           "data: {kind: regression, samples: 8, validation_samples: 4, n_features: 3}\n"
                           "model: {kind: mlp, layers: [3, 2, 1]}\n"
                           "loss: {kind: mse}\n"
                           "optimizer: {kind: adam, groups: [{name: head, params: ['2.*'], weight_decay: 0.1}]}\n"
                           "scheduler: {kind: sequential, milestones: [1], schedulers: [{kind: constant, factor: 0.5, "
                           "total_iters: 1}, {kind: exponential, gamma: 0.9}]}\n"
                           "train: {epochs: 2}\n"
                           "stages: [{name: one}, {name: two, batch: 16}]\n";

static lk_recipe *parse(const char *const *overrides, size_t n)
{
    lk_recipe *recipe = NULL;

    cr_assert_eq(lk_recipe_parse(base, "r.yaml", overrides, n, &recipe), LK_OK, "%s", lk_error_message());
    return recipe;
}

/* "key was -> is! ..." with ! for what makes another run and * for what drops state, in the order told. */
static char *differences(const char *const *overrides, size_t n)
{
    lk_recipe *was = parse(NULL, 0), *is = parse(overrides, n);
    lk_recipe_changes changes;
    char *text = NULL;
    size_t nbytes;
    FILE *stream = open_memstream(&text, &nbytes);

    cr_assert_not_null(stream);
    cr_assert_eq(lk_recipe_compare(was, is, &changes), LK_OK, "%s", lk_error_message());
    for (size_t i = 0; i < changes.n; i++) {
        const lk_recipe_change *c = &changes.change[i];

        fprintf(stream, "%s%s %s -> %s%s%s", i ? ", " : "", c->key, c->was, c->is, c->fixed ? "!" : "",
                c->state ? "*" : "");
    }
    fclose(stream);
    lk_recipe_changes_free(&changes);
    lk_recipe_free(&was);
    lk_recipe_free(&is);
    return text;
}

static void expect(const char *const *overrides, size_t n, const char *want)
{
    char *got = differences(overrides, n);

    cr_expect_str_eq(got, want, "got:  %s\nwant: %s", got, want);
    free(got);
}

#define EXPECT(want, ...)                                                                 \
    do {                                                                                  \
        const char *const overrides_[] = {__VA_ARGS__};                                   \
        expect(overrides_, sizeof overrides_ / sizeof *overrides_, want);                 \
    } while (0)

Test(recipe_compare, what_says_the_same_is_no_difference)
{
    EXPECT("", "run.name=other", "run.dir=elsewhere", "train.lanes=4");
    EXPECT("", "optimizer.lr=0.001", "model.activation=relu", "optimizer.betas=[0.9, 0.999]", "checkpoint={}");
    EXPECT("", "data.noise=0.0", "train.early_stop=null", "data.threads=2");
    EXPECT("", "scheduler={kind: sequential, milestones: [1], schedulers: [{total_iters: 1, factor: 0.50, kind: "
               "constant}, {kind: exponential, gamma: 0.9}]}");
}

Test(recipe_compare, what_makes_another_run_is_marked)
{
    EXPECT("model.activation relu -> tanh!", "model.activation=tanh");
    EXPECT("model.layers [3, 2, 1] -> [3, 4, 1]!", "model.layers=[3, 4, 1]");
    EXPECT("loss.kind mse -> l1!", "loss.kind=l1");
    EXPECT("run.seed 0 -> 7!, data.seed 0 -> 7!", "run.seed=7");
    EXPECT("engine.precision fp32 -> bf16!, data.noise 0 -> 3!", "data.noise=3", "engine.precision=bf16");
    EXPECT("checkpoint.every 1 -> 5, dist.timeout 300 -> 9", "checkpoint.every=5", "dist.timeout=9");
    EXPECT("ema unset -> given*, train.best_metric validation.loss -> ema.validation.loss", "ema={}");
}

Test(recipe_compare, stages_and_groups_are_named_and_what_they_share_is_told_once)
{
    EXPECT("train.epochs 2 -> 9", "train.epochs=9");
    EXPECT("stages.two.epochs 2 -> 9", "stages.two.epochs=9");
    EXPECT("stages.two.optimizer.lr 1e-3 -> 0.5", "stages.two.optimizer.lr=0.5");
    EXPECT("optimizer.groups.head.weight_decay 0.1 -> 0.2", "optimizer.groups.head.weight_decay=0.2");
    EXPECT("optimizer.lr 1e-3 -> 0.5", "optimizer.lr=0.5");
    EXPECT("optimizer.groups 1 -> 0", "optimizer.groups=null");
    EXPECT("stages 2 -> 1", "stages=[{name: one}]");
    EXPECT("optimizer.kind adam -> adamw*, optimizer.weight_decay 0 -> 1e-2", "optimizer.kind=adamw");
}

Test(recipe_compare, entries_of_lists_are_looked_into)
{
    char *got = differences(
        (const char *const[]){"scheduler={kind: sequential, milestones: [1], schedulers: [{kind: constant, "
                              "factor: 0.5, total_iters: 1}, {kind: exponential, gamma: 0.8}]}"},
        1);

    cr_expect(strncmp(got, "scheduler.schedulers [", 22) == 0 && strstr(got, "gamma: 0.9") && strstr(got, "gamma: 0.8"),
              "got: %s", got);
    free(got);
}
