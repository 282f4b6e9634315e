/* init_from: what its keys become, how names are rewritten, and which tensors meet. */
#include "tests/support/ckpt_fixture.h"

enum { MOST = 8 };

/* ------------------------------------------------------------------- keys */

#define SECTIONS                                                      \
    "run: {name: a}\n"                                                \
    "data: {kind: regression, samples: 64, n_features: 3}\n"          \
    "model: {kind: mlp, layers: [3, 4, 1]}\n"                         \
    "loss: {kind: mse}\n"                                             \
    "optimizer: {kind: sgd}\n"                                        \
    "train: {epochs: 7}\n"

static lk_status parse(const char *more, const char *override, lk_recipe **out)
{
    char text[2048];

    snprintf(text, sizeof text, "%s%s", SECTIONS, more);
    return lk_recipe_parse(text, "r.yaml", &override, override != NULL, out);
}

static lk_recipe *must_parse(const char *more, const char *override)
{
    lk_recipe *r;

    OK(parse(more, override, &r));
    return r;
}

static void expect_refused(const char *more, const char *override, const char *want)
{
    lk_recipe *r = NULL;

    cr_expect_eq(parse(more, override, &r), LK_ERR_USAGE, "%s is taken", more);
    cr_expect_str_eq(lk_error_message(), want, "\n  got:  %s\n  want: %s", lk_error_message(), want);
    lk_recipe_free(&r);
}

Test(keys, without_the_section_nothing_is_loaded)
{
    lk_recipe *r = must_parse("", NULL);

    cr_expect_not(r->has_init_from);
    cr_expect_null(r->init_from.checkpoint);
    lk_recipe_free(&r);
}

Test(keys, the_defaults_are_strict_and_without_ema_and_the_path_stays_as_it_was_written)
{
    lk_recipe *r = must_parse("init_from: {checkpoint: runs/pre}\n", NULL);

    cr_expect(r->has_init_from);
    cr_expect_str_eq(r->init_from.checkpoint, "runs/pre", "%s", r->init_from.checkpoint);
    cr_expect(r->init_from.strict);
    cr_expect_not(r->init_from.ema);
    cr_expect_eq(r->init_from.rename.n, 0u);
    cr_expect_str_eq(lk_recipe_where(r, "init_from.checkpoint"), "r.yaml:7");
    lk_recipe_free(&r);
}

Test(keys, every_key_is_taken)
{
    lk_recipe *r = must_parse(
        "init_from: {checkpoint: c, ema: true, strict: false, rename: ['a.* -> b.*', 'c -> d']}\n", NULL);

    cr_expect(r->init_from.ema);
    cr_expect_not(r->init_from.strict);
    cr_assert_eq(r->init_from.rename.n, 2u);
    cr_expect_str_eq(r->init_from.rename.word[1], "c -> d");
    lk_recipe_free(&r);
}

Test(keys, a_path_alone_is_short_for_the_checkpoint)
{
    lk_recipe *r = must_parse("init_from: runs/pre\n", "init_from.strict=false");

    cr_expect_str_eq(r->init_from.checkpoint, "runs/pre");
    cr_expect_not(r->init_from.strict);
    cr_expect_str_eq(lk_recipe_where(r, "init_from.checkpoint"), "r.yaml:7");
    lk_recipe_free(&r);
    r = must_parse("", "init_from=runs/other");
    cr_expect_str_eq(r->init_from.checkpoint, "runs/other");
    lk_recipe_free(&r);
    r = must_parse("init_from: runs/pre\n", "init_from=null");
    cr_expect_not(r->has_init_from);
    lk_recipe_free(&r);
}

Test(keys, every_stage_of_a_recipe_knows_it)
{
    lk_recipe *r = must_parse("init_from: runs/pre\nstages: [{name: a}, {name: b}]\n", NULL);

    cr_expect(r->stages[1]->has_init_from);
    lk_recipe_free(&r);
}

Test(keys, mistakes_are_told_with_their_line)
{
    expect_refused("init_from: {ema: true}\n", NULL, "r.yaml:7: init_from.checkpoint: is missing");
    expect_refused("init_from: {checkpoint: c, strikt: true}\n", NULL,
                   "r.yaml:7: init_from.strikt: no such key; did you mean `init_from.strict`?");
    expect_refused("init_from: {checkpoint: c, ema: maybe}\n", NULL,
                   "r.yaml:7: init_from.ema: expected true or false, found `maybe`");
    expect_refused(
        "init_from:\n  checkpoint: c\n  rename:\n    - a -> b\n    - a.* b.*\n", NULL,
        "r.yaml:11: init_from.rename: `a.* b.*` is not written FROM -> TO, as in \"backbone.* -> features.*\"");
    expect_refused(
        "init_from: {checkpoint: c, rename: ['a.* -> *.*']}\n", NULL,
        "r.yaml:7: init_from.rename: `a.* -> *.*` has 2 * behind the arrow and only 1 before it, which they are "
        "to repeat");
    expect_refused("stages: [{name: a, init_from: c}]\n", NULL,
                   "r.yaml:7: stages[0].init_from: is for the whole run: say it beside `stages`");
}

/* ---------------------------------------------------------------- meeting */

/* Tensors by name and shape; the elements are nobody's business here. */
static void fill(lk_ckpt_tensor *out, size_t n, const char *const *paths, int64_t rows)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (lk_ckpt_tensor){.path = paths[i], .ndim = 2, .shape = {rows, 3}, .n_elem = (size_t)rows * 3};
}

#define N_OF(array) (sizeof(array) / sizeof *(array))

static lk_status plan(const char *const *here, size_t n_here, const char *const *there, size_t n_there,
                      const char *const *rules, size_t n_rules, lk_weight_match **out)
{
    static lk_ckpt_tensor a[MOST], b[MOST];
    const lk_words rename = {.word = (char **)rules, .n = (unsigned)n_rules};

    fill(a, n_here, here, 2);
    fill(b, n_there, there, 2);
    return lk_weight_match_new(a, n_here, b, n_there, &rename, out);
}

/* The name that one rule gives to one name of the checkpoint. */
static void expect_renamed(const char *rule, const char *from, const char *want)
{
    char there[64], here[64];
    const char *there_path = there, *here_path = here;
    lk_weight_match *t;

    snprintf(there, sizeof there, "ema/%s", from);
    snprintf(here, sizeof here, "model/%s", want);
    OK(plan(&here_path, 1, &there_path, 1, &rule, 1, &t));
    cr_expect_eq(t->n[LK_MATCH_LOADED], 1u, "`%s` makes of %s not %s: %s", rule, from, want, t->row[t->n_rows - 1].why);
    lk_weight_match_free(&t);
}

Test(rename, each_star_behind_the_arrow_is_what_that_star_before_it_matched)
{
    expect_renamed("backbone.* -> features.*", "backbone.0.weight", "features.0.weight");
    expect_renamed("  backbone.*->*  ", "backbone.0.weight", "0.weight");
    expect_renamed("*.layer.* -> x.*.y.*", "a.b.layer.3.bias", "x.a.b.y.3.bias");
    expect_renamed("*.* -> *_*", "a.b.c", "a_b.c"); /* the shortest */
    expect_renamed("*.*.* -> *", "a.b.c", "a");     /* fewer are left out */
    expect_renamed("*weight -> w*", "weight", "w"); /* a star may match nothing */
    expect_renamed("a -> b", "a", "b");
}

Test(rename, globs_match_as_they_do_elsewhere)
{
    expect_renamed("layer?.* -> *", "layer3.w", "w");
    expect_renamed("[0-3].* -> low.*", "2.w", "low.w");
    expect_renamed("[!]0-3].* -> high.*", "7.w", "high.w");
    expect_renamed("a\\*.* -> b.*", "a*.w", "b.w");
}

Test(rename, the_first_rule_that_matches_wins)
{
    const char *here[] = {"model/x.weight", "model/y.bias"}, *there[] = {"model/0.weight", "model/0.bias"};
    const char *rules[] = {"*.weight -> x.weight", "0.* -> y.*"};
    lk_weight_match *t;

    OK(plan(here, 2, there, 2, rules, 2, &t));
    cr_expect_eq(t->n[LK_MATCH_LOADED], 2u);
    cr_expect_str_eq(lk_tensor_name(t->row[0].there), "0.weight");
    lk_weight_match_free(&t);
}

static void expect_failure(const char *rule, const char *want)
{
    const char *here[] = {"model/0.weight"}, *there[] = {"model/0.weight", "model/1.weight", "model/1.bias"};
    lk_weight_match *t = NULL;

    cr_expect_eq(plan(here, 1, there, 3, &rule, 1, &t), LK_ERR_USAGE, "%s", rule);
    cr_expect_str_eq(lk_error_message(), want, "\n  got:  %s\n  want: %s", lk_error_message(), want);
    cr_expect_null(t);
}

Test(rename, a_rule_that_matches_nothing_and_two_names_that_become_one_are_refused)
{
    expect_failure("1.wieght -> a", "`1.wieght` matches no tensor of the checkpoint; did you mean 1.weight");
    expect_failure("backbone.* -> *", "`backbone.*` matches no tensor of the checkpoint; its first is 0.weight");
    expect_failure("*.weight -> w", "0.weight and 1.weight of the checkpoint both become w");
    expect_failure("0.* -> 1.*", "0.weight and 1.weight of the checkpoint both become 1.weight");
}

Test(rename, a_pattern_that_could_match_in_very_many_ways_ends)
{
    char name[64] = "model/";
    const char *there = name, *rule = "*a*a*a*a*a*b -> x";
    lk_weight_match *t = NULL;

    memset(name + 6, 'a', 40);
    cr_expect_eq(plan(&there, 1, &there, 1, &rule, 1, &t), LK_ERR_USAGE);
    cr_expect_eq(lk_rename_check("********* -> x"), LK_ERR_USAGE, "more than eight stars");
}

static void expect_report(const lk_weight_match *t, const char *want)
{
    char text[1024];

    lk_weight_match_describe(t, text, sizeof text);
    cr_expect_str_eq(text, want, "\n  got:  %s\n  want: %s", text, want);
}

/* Rows: the model's in their order, then what is left of the checkpoint. */
Test(meeting, every_tensor_of_both_sides_has_its_fate_and_reason)
{
    const char *here_paths[] = {"model/0.weight", "model/8.weight", "model/new"};
    const char *there_paths[] = {"model/8.weight", "model/old", "model/b.0.weight"};
    char *rules[] = {"b.* -> *"};
    const lk_words rename = {rules, 1};
    lk_ckpt_tensor here[3], there[3];
    lk_weight_match *t;

    fill(here, 3, here_paths, 2);
    fill(there, 3, there_paths, 2);
    there[0].shape[0] = 10;
    OK(lk_weight_match_new(here, 3, there, 3, &rename, &t));
    cr_assert_eq(t->n_rows, 4u);
    cr_expect(t->row[0].result == LK_MATCH_LOADED && t->row[0].here == &here[0] && t->row[0].there == &there[2]);
    cr_expect(t->row[1].result == LK_MATCH_SHAPE && t->row[1].there == &there[0]);
    cr_expect(t->row[2].result == LK_MATCH_MISSING && !t->row[2].there);
    cr_expect(t->row[3].result == LK_MATCH_UNEXPECTED && !t->row[3].here && t->row[3].there == &there[1]);
    expect_report(t, "1 loaded, 1 missing (new: absent in the checkpoint), 1 unexpected (old: absent here), 1 of "
                     "another shape (8.weight: (10, 3) in the checkpoint, (2, 3) here)");

    OK(lk_weight_match_check(t, false));
    cr_expect_eq(lk_weight_match_check(t, true), LK_ERR_USAGE);
    cr_expect_not_null(strstr(lk_error_message(), "8.weight: (10, 3) in the checkpoint, (2, 3) here"));
    cr_expect_not_null(strstr(lk_error_message(), "strict: false loads what fits"));
    lk_weight_match_free(&t);
}

Test(meeting, equal_elements_in_another_shape_do_not_fit)
{
    lk_ckpt_tensor here = {.path = "model/w", .ndim = 2, .shape = {2, 6}, .n_elem = 12}, there = {.path = "model/w",
        .ndim = 3, .shape = {2, 3, 2}, .n_elem = 12};
    lk_weight_match *t;

    OK(lk_weight_match_new(&here, 1, &there, 1, &(lk_words){NULL, 0}, &t));
    expect_report(t, "0 loaded, 0 missing, 0 unexpected, 1 of another shape (w: (2, 3, 2) in the checkpoint, (2, 6) "
                     "here)");
    lk_weight_match_free(&t);
}

Test(meeting, nothing_that_fits_is_an_error_also_when_not_strict)
{
    const char *here[] = {"model/a"}, *there[] = {"model/b"};
    lk_weight_match *t;

    OK(plan(here, 1, there, 1, NULL, 0, &t));
    cr_expect_eq(lk_weight_match_check(t, false), LK_ERR_USAGE);
    cr_expect_not_null(strstr(lk_error_message(),
                              "no tensor of the checkpoint fits this model: 0 loaded, 1 missing (a: absent "
                              "in the checkpoint), 1 unexpected (b: absent here)"),
                       "%s", lk_error_message());
    lk_weight_match_free(&t);
}

Test(meeting, a_tensor_that_is_left_over_is_refused_only_when_strict)
{
    const char *here[] = {"model/a"}, *there[] = {"model/a", "model/b"};
    lk_weight_match *t;

    OK(plan(here, 1, there, 2, NULL, 0, &t));
    OK(lk_weight_match_check(t, false));
    cr_expect_eq(lk_weight_match_check(t, true), LK_ERR_USAGE);
    lk_weight_match_free(&t);
    OK(plan(here, 1, there, 1, NULL, 0, &t));
    OK(lk_weight_match_check(t, true));
    lk_weight_match_free(&t);
}

/* The advice at the end of what is refused. */
static void expect_advice(const char *const *here, size_t n_here, const char *const *there, size_t n_there,
                          const char *want)
{
    lk_weight_match *t;
    char whole[128];

    OK(plan(here, n_here, there, n_there, NULL, 0, &t));
    snprintf(whole, sizeof whole, "rename: [\"%s\"] turns its names into the model's", want);
    cr_expect_eq(lk_weight_match_check(t, true), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), whole), "\n  got:  %s\n  want: %s", lk_error_message(), whole);
    lk_weight_match_free(&t);
}

Test(meeting, names_that_fit_but_for_a_prefix_are_told_the_rule)
{
    const char *plain[] = {"model/fc.weight", "model/fc.bias"}, *other[] = {"model/fc.weight", "model/head.bias"};
    const char *wrapped[] = {"model/step", "model/module.fc.weight", "model/module.fc.bias"};
    const char *deep[] = {"model/a.b.fc.weight", "model/a.b.fc.bias"};

    expect_advice(plain, 2, wrapped, 3, "module.* -> *");
    expect_advice(plain, 2, deep, 2, "a.b.* -> *");
    expect_advice(deep, 2, plain, 2, "* -> a.b.*");
    expect_advice(plain, 2, other, 2, "FROM -> TO");      /* no prefix at all */
    expect_advice(other, 2, wrapped, 3, "FROM -> TO");    /* of one of two names */
}

/* Of GPT-2's files with a head; a model that has such names itself keeps them. */
Test(meeting, the_prefix_transformer_is_taken_off)
{
    const char *plain[] = {"model/wte.weight", "model/lm_head.weight"}, *own[] = {"model/transformer.wte.weight"};
    const char *file[] = {"model/transformer.wte.weight", "model/lm_head.weight"};
    const char *both[] = {"model/transformer.wte.weight", "model/wte.weight"};
    lk_weight_match *t;

    OK(plan(plain, 2, file, 2, NULL, 0, &t));
    expect_report(t, "2 loaded, 0 missing, 0 unexpected, 0 of another shape");
    lk_weight_match_free(&t);
    OK(plan(own, 1, file, 1, NULL, 0, &t));
    expect_report(t, "1 loaded, 0 missing, 0 unexpected, 0 of another shape");
    lk_weight_match_free(&t);
    OK(plan(plain, 1, both, 2, NULL, 0, &t));
    expect_report(t, "1 loaded, 0 missing, 1 unexpected (transformer.wte.weight: absent here), 0 of another shape");
    lk_weight_match_free(&t);
}

Test(meeting, a_text_of_any_length_is_cut_not_overrun)
{
    const char *here[] = {"model/a"}, *there[] = {"model/b"};
    lk_weight_match *t;

    OK(plan(here, 1, there, 1, NULL, 0, &t));
    for (size_t n = 1; n < 64; n++) {
        char text[65];

        memset(text, '#', sizeof text);
        lk_weight_match_describe(t, text, n);
        cr_expect_eq(text[n], '#', "%zu bytes", n);
        cr_expect_lt(strlen(text), n);
    }
    lk_weight_match_free(&t);
}

/* --------------------------------------------------------------- loading */

/* What is loaded has the checkpoint's values, written by three parts; the rest keeps its own. */
Test(loading, values_come_from_the_checkpoint_and_what_is_missing_is_left_alone)
{
    char dir[64], path[96];
    float weight[35], fresh[4] = {1, 2, 3, 4};
    lk_ckpt_tensor here[] = {{.path = "model/x.weight", .ndim = 2, .shape = {7, 5}, .n_elem = 35, .data = weight},
        {.path = "model/one", .ndim = 2, .shape = {4, 1}, .n_elem = 4, .data = fresh}};
    char *rules[] = {"0.* -> x.*"};
    lk_checkpoint *ckpt;
    lk_weights *weights;
    lk_weight_match *t;

    make_folder(dir);
    save(dir, 3, 5, 2);
    snprintf(path, sizeof path, "%s/latest", dir);
    OK(lk_checkpoint_open(path, &ckpt));
    OK(lk_weights_of(ckpt, "model/0.", &weights));
    OK(lk_weight_match_new(here, 2, lk_weights_tensor(weights, 0), 1, &(lk_words){rules, 1}, &t));
    OK(lk_weight_match_load(t, weights));
    for (size_t i = 0; i < 35; i++)
        cr_expect_eq(weight[i], value_of(0, i, 2), "element %zu: got %g, want %g", i, weight[i], value_of(0, i, 2));
    for (size_t i = 0; i < 4; i++) cr_expect_eq(fresh[i], (float)(i + 1), "fresh[%zu] became %g", i, fresh[i]);
    lk_weight_match_free(&t);
    lk_weights_free(&weights);
    OK(lk_remove_tree(dir));
}
