/* Stages: what they inherit, what they replace, which tensors they freeze, and how mistakes in them are told. */
#include <criterion/criterion.h>
#include <string.h>

#include "io/io.h"

#define SECTIONS                                                       \
    "run: {name: a}\n"                                                 \
    "data: {kind: regression, samples: 64, n_features: 3}\n"           \
    "model: {kind: mlp, layers: [3, 4, 1]}\n"                          \
    "loss: {kind: mse}\n"                                              \
    "optimizer: {kind: sgd, lr: 0.1, momentum: 0.9}\n"                 \
    "scheduler: {kind: lambda, expr: 0.9^epoch}\n"                     \
    "train: {epochs: 7, batch: 16, lanes: 2}\n"

static lk_recipe *must_parse(const char *text, const char *const *overrides, size_t n)
{
    lk_recipe *recipe;
    const lk_status status = lk_recipe_parse(text, "r.yaml", overrides, n, &recipe);
    cr_assert_eq(status, LK_OK, "%s", lk_error_message());
    return recipe;
}

static void expect_error(const char *stages, const char *want)
{
    char text[2048];
    lk_recipe *recipe;

    snprintf(text, sizeof text, "%s%s", SECTIONS, stages);
    cr_assert_eq(lk_recipe_parse(text, "r.yaml", NULL, 0, &recipe), LK_ERR_USAGE);
    cr_expect_str_eq(lk_error_message(), want, "\n  got:  %s\n  want: %s", lk_error_message(), want);
}

static const char three[] = SECTIONS
    "stages:\n"
    "  - {name: pretrain, epochs: 3}\n"
    "  - {name: head, freeze: ['*'], unfreeze: ['3.*'], optimizer: {lr: 0.01}, batch: 8, frozen_mode: train}\n"
    "  - {name: all, unfreeze: ['*'], optimizer: {kind: adam, lr: 1e-4}, scheduler: {kind: none}, steps: 9}\n";

Test(stages, a_recipe_without_stages_has_one_and_no_name)
{
    lk_recipe *r = must_parse(SECTIONS, NULL, 0);
    cr_expect_eq(r->n_stages, 1);
    cr_expect_eq(r->stages[0], r);
    cr_expect_null(r->stage);
    lk_recipe_free(&r);
}

Test(stages, a_stage_inherits_what_it_does_not_name)
{
    lk_recipe *r = must_parse(three, NULL, 0);

    cr_assert_eq(r->n_stages, 3);
    const lk_recipe *pretrain = r->stages[0], *head = r->stages[1], *all = r->stages[2];
    cr_expect_str_eq(pretrain->stage, "pretrain");
    cr_expect_eq(pretrain->train.epochs, 3);
    cr_expect_eq(pretrain->train.batch, 16);
    cr_expect_eq(head->train.epochs, 7);
    cr_expect_eq(head->train.batch, 8);
    cr_expect_eq(head->train.frozen_mode, LK_FROZEN_MODE_TRAIN);
    cr_expect_eq(head->optimizer.lr, 0.01);
    cr_expect_eq(head->optimizer.momentum, 0.9, "the section's momentum stays");
    cr_expect_eq(head->scheduler.spec.kind, LK_SCHEDULE_LAMBDA);
    cr_expect_eq(all->optimizer.kind, LK_ADAM);
    cr_expect_eq(all->optimizer.momentum, 0.0, "another kind replaces the section");
    cr_expect_eq(all->scheduler.spec.kind, LK_SCHEDULE_NONE);
    cr_expect_eq(all->train.steps, 9);
    lk_recipe_free(&r);
}

Test(stages, the_frozen_set_goes_on_from_stage_to_stage)
{
    lk_recipe *r = must_parse(three, NULL, 0);

    cr_expect_not(lk_recipe_frozen(r, 0, "0.weight"));
    cr_expect(lk_recipe_frozen(r, 1, "0.weight"));
    cr_expect_not(lk_recipe_frozen(r, 1, "3.bias"));
    cr_expect_not(lk_recipe_frozen(r, 2, "0.weight"));
    lk_recipe_free(&r);
}

Test(stages, an_exclamation_mark_takes_matches_out_again)
{
    lk_recipe *r = must_parse(SECTIONS "stages: [{freeze: ['*', '!3.*']}, {unfreeze: ['0.bias']}]\n", NULL, 0);

    cr_expect(lk_recipe_frozen(r, 0, "0.weight"));
    cr_expect_not(lk_recipe_frozen(r, 0, "3.weight"));
    cr_expect(lk_recipe_frozen(r, 1, "0.weight"), "what the stage does not unfreeze stays frozen");
    cr_expect_not(lk_recipe_frozen(r, 1, "0.bias"));
    lk_recipe_free(&r);
}

Test(stages, an_override_is_for_the_whole_run_or_for_one_stage)
{
    const char *overrides[] = {"train.batch=4", "stages.all.steps=2", "stages.1.optimizer.lr=0.5"};
    lk_recipe *r = must_parse(three, overrides, 3);

    for (unsigned i = 0; i < 3; i++) cr_expect_eq(r->stages[i]->train.batch, 4, "stage %u", i);
    cr_expect_eq(r->stages[2]->train.steps, 2);
    cr_expect_eq(r->stages[1]->optimizer.lr, 0.5);
    cr_expect_eq(r->stages[0]->optimizer.lr, 0.1);

    /* The text that checkpoints keep says the same without the overrides. */
    lk_recipe *again = must_parse(r->text, NULL, 0);
    cr_assert_eq(again->n_stages, 3);
    cr_expect_eq(again->stages[1]->train.batch, 4);
    cr_expect_eq(again->stages[1]->optimizer.lr, 0.5);
    cr_expect_eq(again->stages[2]->train.steps, 2);
    lk_recipe_free(&again);
    lk_recipe_free(&r);
}

Test(stages, mistakes_name_the_line_and_the_key)
{
    expect_error("stages: []\n", "r.yaml:8: stages: expected a list of stages, [{name: ..., epochs: ...}, ...]");
    expect_error("stages:\n  - {name: a}\n  - {name: b, epoch: 3}\n",
                 "r.yaml:10: stages[1].epoch: no such key of a stage; did you mean `epochs`?");
    expect_error("stages:\n  - {name: a, lanes: 3}\n",
                 "r.yaml:9: stages[0].lanes: is for the whole run: say it in the section train");
    expect_error("stages:\n  - {name: a}\n  - {name: a}\n", "r.yaml:10: stages: two stages are called `a`");
    expect_error("stages:\n  - {name: a}\n  - {name: b, optimizer: {lrr: 1}}\n",
                 "r.yaml:10: optimizer.lrr: no such key; did you mean `optimizer.lr`?");
    expect_error("stages:\n  - {name: a}\n  - {name: b,\n     batch: 0}\n",
                 "r.yaml:11: train.batch: 0 is out of range: at least 1");
}

Test(stages, a_pattern_that_matches_nothing_is_an_error_with_a_near_name)
{
    static const char *const names[] = {"0.weight", "0.bias", "3.weight", "3.bias"};
    lk_recipe *r = must_parse(SECTIONS "stages:\n  - {name: a, epochs: 1}\n  - {name: b, freeze: ['0.wieght']}\n", NULL,
                              0);

    cr_expect_eq(lk_recipe_check_patterns(r, names, 4, 4), LK_ERR_USAGE);
    cr_expect_str_eq(lk_error_message(),
                     "r.yaml:10: train.freeze of stage b: `0.wieght` matches no tensor; did you mean 0.weight");
    lk_recipe_free(&r);
}

Test(stages, an_override_of_a_stage_that_is_not_there_is_an_error)
{
    const char *overrides[] = {"stages.hed.batch=4"};
    lk_recipe *recipe;

    cr_expect_eq(lk_recipe_parse(three, "r.yaml", overrides, 1, &recipe), LK_ERR_USAGE);
    cr_expect_str_eq(lk_error_message(), "stages.hed.batch=4: the recipe has no stage `hed`");
}
