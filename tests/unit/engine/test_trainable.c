/* Trained sets: packing, runs, groups, which statistics are collected, refusals. */
#include <criterion/criterion.h>
#include <string.h>

#include "engine/model/trainable.h"

/* 0.weight 0.bias | 1.weight 1.bias (norm) | 4.weight 4.bias | 5.weight 5.bias (norm) | 8.weight 8.bias | buffers */
static const lk_model_spec mlp = {.kind = LK_MODEL_MLP, .n_layers = 4, .layers = {5, 20, 12, 2},
                                  .norm = LK_NORM_BATCH};
enum { MOST_TENSORS = 32 };

static lk_model *model;

static void set_up(void) { cr_assert_eq(lk_model_new(&mlp, &model), LK_OK, "%s", lk_error_message()); }
static void tear_down(void) { lk_model_free(&model); }

static size_t padded(size_t i) { return lk_round_up(lk_model_tensor(model, i)->n_elem); }
static size_t at(const char *name) { return (size_t)lk_model_find(model, name); }

/* The set in which tensors matched by `frozen` do not train; those matched by `second` are group 1. */
static lk_trained *set_of(const char *frozen, const char *second, bool norm_eval)
{
    bool trains[MOST_TENSORS];
    int group[MOST_TENSORS];
    lk_trained *trained;

    for (size_t i = 0; i < lk_model_n_tensors(model); i++) {
        trains[i] = !lk_glob(frozen, lk_model_tensor(model, i)->name);
        group[i] = lk_glob(second, lk_model_tensor(model, i)->name);
    }
    const lk_trained_spec spec = {.trains = trains, .group = group, .n_groups = 2, .frozen_norm_eval = norm_eval};
    cr_assert_eq(lk_trained_new(model, &spec, &trained), LK_OK, "%s", lk_error_message());
    return trained;
}

/* Runs cover exactly what trains, in order of both arenas, without a gap in the packed one. */
static void expect_packed(const lk_trained *trained)
{
    size_t end = 0, n_weights = 0, r = 0;

    for (size_t i = 0; i < lk_model_n_tensors(model); i++) {
        const lk_tensor_info *info = lk_model_tensor(model, i);

        if (!lk_trained_has(trained, i)) continue;
        cr_expect_eq(lk_trained_offset(trained, i), end, "%s lies at %zu, want %zu", info->name,
                     lk_trained_offset(trained, i), end);
        while (end >= lk_trained_get_run(trained, r)->grad + lk_trained_get_run(trained, r)->n_elem) r++;
        const lk_trained_run *run = lk_trained_get_run(trained, r);
        cr_expect_eq(run->param + (end - run->grad), info->offset, "%s: its run says %zu, the model %zu", info->name,
                     run->param + (end - run->grad), info->offset);
        cr_expect_eq(run->group, lk_trained_group(trained, i));
        end += padded(i);
        n_weights += info->n_elem;
    }
    cr_expect_eq(lk_trained_n_elem(trained), end, "got %zu elements, want %zu", lk_trained_n_elem(trained), end);
    cr_expect_eq(lk_trained_n_weights(trained), n_weights);
}

Test(trained, everything_in_one_group_is_one_run_and_the_parameter_arena, .init = set_up, .fini = tear_down)
{
    lk_trained *trained;

    cr_assert_eq(lk_trained_new(model, NULL, &trained), LK_OK);
    expect_packed(trained);
    cr_expect_eq(lk_trained_n_runs(trained), 1, "got %zu runs", lk_trained_n_runs(trained));
    for (size_t i = 0; i < lk_model_n_tensors(model); i++)
        cr_expect_eq(lk_trained_offset(trained, i), lk_model_tensor(model, i)->offset, "%s lies at %zu, in params %zu",
                     lk_model_tensor(model, i)->name, lk_trained_offset(trained, i), lk_model_tensor(model, i)->offset);
    cr_expect_eq(lk_trained_slot(trained, LK_SLOT_LOSS), lk_model_n_elem(model));
    lk_trained_free(&trained);
    cr_expect_null(trained);
}

Test(trained, any_freezing_is_packed_into_the_fewest_runs, .init = set_up, .fini = tear_down)
{
    const struct { const char *frozen, *second; size_t n_runs; } cases[] = {
        {"[01].*", "none", 1}, {"[58].*", "none", 1}, {"4.*", "none", 2}, {"*.bias", "none", 5},
        {"*.weight", "none", 5}, {"none", "8.*", 2}, {"0.*", "*.bias", 8}, {"none", "[45].*", 3},
    };

    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        lk_trained *trained = set_of(cases[c].frozen, cases[c].second, true);

        expect_packed(trained);
        cr_expect_eq(lk_trained_n_runs(trained), cases[c].n_runs, "frozen %s, group 1 %s: %zu runs, want %zu",
                     cases[c].frozen, cases[c].second, lk_trained_n_runs(trained), cases[c].n_runs);
        lk_trained_free(&trained);
    }
}

Test(trained, only_a_norm_frozen_whole_in_eval_mode_collects_nothing, .init = set_up, .fini = tear_down)
{
    const struct { const char *frozen; bool norm_eval, first, second; } cases[] = {
        {"[01].*", true, false, true}, {"[01].*", false, true, true}, {"1.weight", true, true, true},
        {"[15].*", true, false, false}, {"0.*", true, true, true},
    };

    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        lk_trained *trained = set_of(cases[c].frozen, "none", cases[c].norm_eval);
        const bool first = lk_trained_offset(trained, at("1.running_mean")) != SIZE_MAX;
        const bool second = lk_trained_offset(trained, at("5.running_var")) != SIZE_MAX;
        const size_t want = lk_trained_n_elem(trained) + (first ? 2 * padded(at("1.running_mean")) : 0) +
                            (second ? 2 * padded(at("5.running_mean")) : 0);

        cr_expect_eq(first, cases[c].first, "case %zu: layer 1 collects: %d", c, first);
        cr_expect_eq(second, cases[c].second, "case %zu: layer 5 collects: %d", c, second);
        cr_expect_eq(lk_trained_slot(trained, LK_SLOT_LOSS), want, "case %zu: slots at %zu, want %zu", c,
                     lk_trained_slot(trained, LK_SLOT_LOSS), want);
        cr_expect_not(lk_trained_has(trained, at("5.running_mean")), "a statistic is no trained tensor");
        lk_trained_free(&trained);
    }
}

Test(trained, nothing_to_train_and_unknown_groups_are_refused, .init = set_up, .fini = tear_down)
{
    const bool none[MOST_TENSORS] = {false};
    const int group[MOST_TENSORS] = {[3] = 2};
    const lk_trained_spec nothing = {.trains = none, .n_groups = 1}, outside = {.group = group, .n_groups = 2};
    lk_trained *trained;

    cr_expect_eq(lk_trained_new(model, &nothing, &trained), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "no tensor is left to train"), "message: %s", lk_error_message());
    cr_expect_null(trained);
    cr_expect_eq(lk_trained_new(model, &outside, &trained), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), lk_model_tensor(model, 3)->name), "message: %s", lk_error_message());
    cr_expect_eq(lk_trained_new(model, &(lk_trained_spec){0}, &trained), LK_ERR_USAGE);
}
