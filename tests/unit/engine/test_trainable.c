/* Trained sets: packing, runs, groups, which statistics are collected, refusals. */
#include <criterion/criterion.h>
#include <string.h>

#include "engine/model/trainable.h"

/* 0.weight 0.bias | 1.weight 1.bias (norm) | 4.weight 4.bias | 5.weight 5.bias (norm) | 8.weight 8.bias | buffers */
static const lk_model_spec mlp = {.kind = LK_MODEL_MLP, .mlp = {4, {5, 20, 12, 2}},
                                  .norm = LK_NORM_BATCH};
enum { MOST_TENSORS = 32 };

static lk_model *model;

static void set_up(void) { cr_assert_eq(lk_model_new(&mlp, &model), LK_OK, "%s", lk_error_message()); }
static void tear_down(void) { lk_model_free(&model); }

static size_t padded(size_t i) { return lk_round_up(lk_model_tensor(model, i)->n_elem); }
static size_t at(const char *name) { return (size_t)lk_model_find(model, name); }

/* The set in which tensors matched by `frozen` do not train; those matched by `second` are group 1. */
static lk_trainable *set_of(const char *frozen, const char *second, bool norm_eval)
{
    bool trains[MOST_TENSORS];
    int group[MOST_TENSORS];
    lk_trainable *trainable;

    for (size_t i = 0; i < lk_model_n_tensors(model); i++) {
        trains[i] = !lk_glob(frozen, lk_model_tensor(model, i)->name);
        group[i] = lk_glob(second, lk_model_tensor(model, i)->name);
    }
    const lk_trainable_spec spec = {.trains = trains, .group = group, .n_groups = 2, .frozen_eval = norm_eval};
    cr_assert_eq(lk_trainable_new(model, &spec, &trainable), LK_OK, "%s", lk_error_message());
    return trainable;
}

/* Runs cover exactly what trains, in order of both arenas, without a gap in the packed one. */
static void expect_packed(const lk_trainable *trainable)
{
    size_t end = 0, n_weights = 0, r = 0;

    for (size_t i = 0; i < lk_model_n_tensors(model); i++) {
        const lk_tensor_info *info = lk_model_tensor(model, i);

        if (!lk_trainable_has(trainable, i)) continue;
        cr_expect_eq(lk_trainable_offset(trainable, i), end, "%s lies at %zu, want %zu", info->name,
                     lk_trainable_offset(trainable, i), end);
        while (end >= lk_trainable_get_range(trainable, r)->grad + lk_trainable_get_range(trainable, r)->n_elem) r++;
        const lk_trainable_range *run = lk_trainable_get_range(trainable, r);
        cr_expect_eq(run->param + (end - run->grad), info->offset, "%s: its run says %zu, the model %zu", info->name,
                     run->param + (end - run->grad), info->offset);
        cr_expect_eq(run->group, lk_trainable_group(trainable, i));
        end += padded(i);
        n_weights += info->n_elem;
    }
    cr_expect_eq(lk_trainable_n_elem(trainable), end, "got %zu elements, want %zu", lk_trainable_n_elem(trainable),
                 end);
    cr_expect_eq(lk_trainable_n_weights(trainable), n_weights);
}

Test(trainable, everything_in_one_group_is_one_run_and_the_parameter_arena, .init = set_up, .fini = tear_down)
{
    lk_trainable *trainable;

    cr_assert_eq(lk_trainable_new(model, NULL, &trainable), LK_OK);
    expect_packed(trainable);
    cr_expect_eq(lk_trainable_n_ranges(trainable), 1, "got %zu runs", lk_trainable_n_ranges(trainable));
    for (size_t i = 0; i < lk_model_n_tensors(model); i++)
        cr_expect_eq(lk_trainable_offset(trainable, i), lk_model_tensor(model, i)->offset,
                     "%s lies at %zu, in params %zu", lk_model_tensor(model, i)->name,
                     lk_trainable_offset(trainable, i), lk_model_tensor(model, i)->offset);
    cr_expect_eq(lk_trainable_slot(trainable, LK_SLOT_LOSS), lk_model_n_elem(model));
    lk_trainable_free(&trainable);
    cr_expect_null(trainable);
}

Test(trainable, any_freezing_is_packed_into_the_fewest_runs, .init = set_up, .fini = tear_down)
{
    const struct { const char *frozen, *second; size_t n_runs; } cases[] = {
        {"[01].*", "none", 1}, {"[58].*", "none", 1}, {"4.*", "none", 2}, {"*.bias", "none", 5},
        {"*.weight", "none", 5}, {"none", "8.*", 2}, {"0.*", "*.bias", 8}, {"none", "[45].*", 3},
    };

    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        lk_trainable *trainable = set_of(cases[c].frozen, cases[c].second, true);

        expect_packed(trainable);
        cr_expect_eq(lk_trainable_n_ranges(trainable), cases[c].n_runs, "frozen %s, group 1 %s: %zu runs, want %zu",
                     cases[c].frozen, cases[c].second, lk_trainable_n_ranges(trainable), cases[c].n_runs);
        lk_trainable_free(&trainable);
    }
}

Test(trainable, only_a_norm_frozen_whole_in_eval_mode_collects_nothing, .init = set_up, .fini = tear_down)
{
    const struct { const char *frozen; bool norm_eval, first, second; } cases[] = {
        {"[01].*", true, false, true}, {"[01].*", false, true, true}, {"1.weight", true, true, true},
        {"[15].*", true, false, false}, {"0.*", true, true, true},
    };

    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        lk_trainable *trainable = set_of(cases[c].frozen, "none", cases[c].norm_eval);
        const bool first = lk_trainable_offset(trainable, at("1.running_mean")) != SIZE_MAX;
        const bool second = lk_trainable_offset(trainable, at("5.running_var")) != SIZE_MAX;
        const size_t want = lk_trainable_n_elem(trainable) + (first ? 2 * padded(at("1.running_mean")) : 0) +
                            (second ? 2 * padded(at("5.running_mean")) : 0);

        cr_expect_eq(first, cases[c].first, "case %zu: layer 1 collects: %d", c, first);
        cr_expect_eq(second, cases[c].second, "case %zu: layer 5 collects: %d", c, second);
        cr_expect_eq(lk_trainable_slot(trainable, LK_SLOT_LOSS), want, "case %zu: slots at %zu, want %zu", c,
                     lk_trainable_slot(trainable, LK_SLOT_LOSS), want);
        cr_expect_not(lk_trainable_has(trainable, at("5.running_mean")), "a statistic is no trained tensor");
        lk_trainable_free(&trainable);
    }
}

Test(trainable, nothing_to_train_and_unknown_groups_are_refused, .init = set_up, .fini = tear_down)
{
    const bool none[MOST_TENSORS] = {false};
    const int group[MOST_TENSORS] = {[3] = 2};
    const lk_trainable_spec nothing = {.trains = none, .n_groups = 1}, outside = {.group = group, .n_groups = 2};
    lk_trainable *trainable;

    cr_expect_eq(lk_trainable_new(model, &nothing, &trainable), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "no tensor is left to train"), "message: %s", lk_error_message());
    cr_expect_null(trainable);
    cr_expect_eq(lk_trainable_new(model, &outside, &trainable), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), lk_model_tensor(model, 3)->name), "message: %s", lk_error_message());
    cr_expect_eq(lk_trainable_new(model, &(lk_trainable_spec){0}, &trainable), LK_ERR_USAGE);
}
