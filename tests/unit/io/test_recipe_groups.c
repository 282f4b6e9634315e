/* Parameter groups: each a whole recipe with what it names; who is in which; also inside a stage. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "io/io.h"

static const char text[] =
    "run: {name: a}\n"
    "data: {kind: regression, samples: 64, n_features: 3}\n"
    "model: {kind: mlp, layers: [3, 4, 1]}\n"
    "loss: {kind: mse}\n"
    "optimizer:\n"
    "  {kind: adamw, lr: 0.1, groups: [{params: ['*.bias'], weight_decay: 0},\n"
    "   {name: head, params: ['3.*', '!*.bias'], lr: 0.5, betas: [0.8, 0.9], scheduler: {kind: cosine, T_max: 4}}]}\n"
    "scheduler: {kind: exponential, gamma: 0.9}\n"
    "weight_decay_scheduler: {kind: step, step_size: 2}\n"
    "train: {epochs: 7}\n"
    "stages: [{name: one}, {name: two, optimizer: {lr: 0.2, groups: [{name: body, params: ['0.*']}]}}]\n";

static lk_recipe *must_parse(void)
{
    lk_recipe *recipe;
    cr_assert_eq(lk_recipe_parse(text, "r.yaml", NULL, 0, &recipe), LK_OK, "%s", lk_error_message());
    return recipe;
}

static unsigned group_of(const lk_recipe *recipe, const char *name)
{
    unsigned g;
    cr_assert_eq(lk_recipe_group(recipe, name, &g), LK_OK, "%s", lk_error_message());
    return g;
}

Test(groups, a_group_inherits_what_it_does_not_name)
{
    lk_recipe *r = must_parse();

    cr_assert_eq(r->n_groups, 3);
    const lk_recipe *bias = r->groups[1], *head = r->groups[2];
    cr_expect_eq(r->groups[0], r, "the group of the rest is the recipe itself");
    cr_expect_eq(r->optimizer.weight_decay, 1e-2, "AdamW's default");
    cr_expect_str_eq(bias->group, "1", "a group without a name has its number");
    cr_expect_eq(bias->optimizer.weight_decay, 0.0);
    cr_expect_eq(bias->optimizer.lr, 0.1);
    cr_expect_eq(bias->scheduler.spec.kind, LK_SCHEDULE_EXPONENTIAL);
    cr_expect_str_eq(head->group, "head");
    cr_expect_eq(head->optimizer.lr, 0.5);
    cr_expect_eq(head->optimizer.beta1, 0.8);
    cr_expect_eq(head->scheduler.spec.kind, LK_SCHEDULE_COSINE);
    cr_expect_eq(head->weight_decay_scheduler.spec.kind, LK_SCHEDULE_STEP);
    lk_recipe_free(&r);
}

Test(groups, patterns_decide_who_is_in_which)
{
    lk_recipe *r = must_parse();

    cr_expect_eq(group_of(r, "0.weight"), 0);
    cr_expect_eq(group_of(r, "0.bias"), 1);
    cr_expect_eq(group_of(r, "3.weight"), 2);
    cr_expect_eq(group_of(r, "3.bias"), 1, "the head's list takes biases out again");
    lk_recipe_free(&r);
}

Test(groups, a_stage_may_name_its_own)
{
    lk_recipe *r = must_parse();
    const lk_recipe *two = r->stages[1];

    cr_assert_eq(two->n_groups, 2);
    cr_expect_str_eq(two->groups[1]->group, "body");
    cr_expect_eq(two->groups[1]->optimizer.lr, 0.2);
    cr_expect_eq(group_of(two, "0.bias"), 1);
    cr_expect_eq(group_of(two, "3.bias"), 0);
    lk_recipe_free(&r);
}

Test(groups, the_kept_text_says_the_same)
{
    lk_recipe *r = must_parse(), *again;

    cr_assert_eq(lk_recipe_parse(r->text, "kept", NULL, 0, &again), LK_OK, "%s", lk_error_message());
    cr_expect_eq(again->n_groups, 3);
    cr_expect_eq(again->groups[2]->optimizer.lr, 0.5);
    cr_expect_str_eq(again->text, r->text);
    lk_recipe_free(&again);
    lk_recipe_free(&r);
}

static void expect_refused(const char *override, const char *message)
{
    lk_recipe *recipe;

    cr_expect_eq(lk_recipe_parse(text, "r.yaml", &override, 1, &recipe), LK_ERR_USAGE);
    cr_expect_str_eq(lk_error_message(), message, "got:  %s\nwant: %s", lk_error_message(), message);
}

Test(groups, an_override_reaches_a_group_by_name_or_number)
{
    const char *const overrides[] = {"optimizer.groups.head.lr=0.25", "optimizer.groups.1.weight_decay=0.125",
                                     "optimizer.groups.head.scheduler.T_max=9"};
    lk_recipe *r;

    cr_assert_eq(lk_recipe_parse(text, "r.yaml", overrides, 3, &r), LK_OK, "%s", lk_error_message());
    cr_expect_eq(r->groups[2]->optimizer.lr, 0.25);
    cr_expect_eq(r->groups[2]->scheduler.spec.T_max, 9);
    cr_expect_eq(r->groups[1]->optimizer.weight_decay, 0.125, "the first group has no name and is called 1");
    cr_expect_eq(r->optimizer.lr, 0.1, "the rest keeps its rate");
    lk_recipe_free(&r);
    expect_refused("optimizer.groups.hed.lr=1", "optimizer.groups.hed.lr=1: the recipe has no group `hed`");
    expect_refused("optimizer.groups.head=1",
                   "optimizer.groups.head=1: name a key of the group: optimizer.groups.head.key=value");
    expect_refused("optimizer.groups.head.lrr=1",
                   "optimizer.groups.head.lrr=1: no such key; did you mean `optimizer.lr`?");
}

Test(groups, a_pattern_that_matches_running_statistics_alone_is_refused)
{
    static const char *const names[] = {"0.weight", "0.bias", "3.weight", "3.bias", "1.running_mean"};
    const char *const overrides[] = {"stages.one.freeze=['1.*']"};
    lk_recipe *r;

    cr_assert_eq(lk_recipe_parse(text, "r.yaml", overrides, 1, &r), LK_OK, "%s", lk_error_message());
    cr_expect_eq(lk_recipe_check_patterns(r, names, 4, 5), LK_ERR_USAGE);
    cr_expect_str_eq(
        lk_error_message(),
        "stages.one.freeze=['1.*']: train.freeze of stage one: `1.*` matches running "
        "statistics alone, which never train: a batch norm keeps them where its weight and bias are frozen "
        "(train.frozen_mode)");
    lk_recipe_free(&r);
}

/* ------------------------------------------------------------------ implied */

#define GPT2_TEXT                                                       \
    "run: {name: a}\n"                                                  \
    "data: {kind: tokens, train: t.bin, sequence: 8, vocabulary: 9}\n"  \
    "model: {kind: gpt2}\n"                                             \
    "loss: {kind: cross_entropy}\n"                                     \
    "train: {epochs: 7}\n"

static lk_recipe *parse_gpt2(const char *rest)
{
    lk_recipe *recipe;
    char whole[1024];

    snprintf(whole, sizeof whole, "%s%s", GPT2_TEXT, rest);
    cr_assert_eq(lk_recipe_parse(whole, "r.yaml", NULL, 0, &recipe), LK_OK, "%s", lk_error_message());
    return recipe;
}

Test(groups, a_network_may_imply_what_does_not_decay)
{
    lk_recipe *r = parse_gpt2("optimizer: {kind: adamw, lr: 0.1, weight_decay: 0.3}\n"
                              "weight_decay_scheduler: {kind: step, step_size: 2}\n");

    cr_assert_eq(r->n_groups, 2);
    cr_expect_str_eq(r->groups[1]->group, "no_decay");
    cr_expect_eq(r->optimizer.weight_decay, 0.3);
    cr_expect_eq(r->weight_decay_scheduler.spec.kind, LK_SCHEDULE_STEP);
    cr_expect_eq(r->groups[1]->optimizer.weight_decay, 0.0);
    cr_expect_eq(r->groups[1]->weight_decay_scheduler.spec.kind, LK_SCHEDULE_NONE);
    cr_expect_eq(r->groups[1]->optimizer.lr, 0.1);
    cr_expect_eq(group_of(r, "wte.weight"), 0);
    cr_expect_eq(group_of(r, "h.0.mlp.c_fc.weight"), 0);
    cr_expect_eq(group_of(r, "h.0.mlp.c_fc.bias"), 1);
    cr_expect_eq(group_of(r, "h.0.ln_1.weight"), 1);
    cr_expect_eq(group_of(r, "ln_f.weight"), 1);
    lk_recipe_free(&r);
}

Test(groups, nothing_is_implied_without_decay_nor_beside_a_recipes_own)
{
    static const char *const rest[] = {"optimizer: {kind: adamw, weight_decay: 0}\n", "optimizer: {kind: adam}\n",
                                       "optimizer: {kind: adamw, groups: []}\n"};

    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++) {
        lk_recipe *r = parse_gpt2(rest[i]);

        cr_expect_eq(r->n_groups, 1, "%s: %u groups", rest[i], r->n_groups);
        lk_recipe_free(&r);
    }
    lk_recipe *r = parse_gpt2("optimizer: {kind: adamw}\n");

    cr_expect_eq(r->n_groups, 2, "AdamW's default is a decay: %u groups", r->n_groups);
    lk_recipe_free(&r);
}

/* Sizes that a word implies, and what is said beside it. */
Test(gpt2, its_words_are_sizes)
{
    static const struct { const char *word; int64_t layers, heads; double width; } sizes[] = {
        {"gpt2", 12, 12, 768}, {"gpt2-medium", 24, 16, 1024}, {"gpt2-large", 36, 20, 1280}, {"gpt2-xl", 48, 25, 1600}};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char kind[64];
        const char *overrides[] = {kind, "model.dropout=0.1"};
        lk_recipe *r;

        snprintf(kind, sizeof kind, "model.kind=%s", sizes[i].word);
        cr_assert_eq(lk_recipe_parse(GPT2_TEXT "optimizer: {kind: adamw}\n", "r.yaml", overrides, 2, &r), LK_OK, "%s",
                     lk_error_message());
        cr_expect_eq(r->model.mlp.layers[0], sizes[i].layers, "%s: %lld layers", kind,
                     (long long)r->model.mlp.layers[0]);
        cr_expect_eq(r->model.transformer.heads, sizes[i].heads);
        cr_expect_eq(r->model.vision.width, sizes[i].width);
        cr_expect_eq(r->model.gpt2.context, 1024);
        cr_expect_eq(r->model.transformer.tie, LK_TIE_ALL);
        lk_recipe_free(&r);
    }
}
