/*
 * What patterns select: tensors that are frozen in a stage, and tensors of a parameter group.  Patterns are globs over
 * tensor names; one that begins with ! takes its matches out of its list again, so the last that matches decides.
 */
#include <string.h>

#include "io/recipe/parts.h"

bool lk_words_select(const lk_words *patterns, const char *name)
{
    bool selected = false;

    for (unsigned i = 0; i < patterns->n; i++) {
        const char *pattern = patterns->word[i];
        const bool out = *pattern == '!';

        if (lk_glob(pattern + out, name)) selected = !out;
    }
    return selected;
}

bool lk_recipe_frozen(const lk_recipe *recipe, unsigned stage, const char *name)
{
    bool frozen = false;

    for (unsigned i = 0; i <= stage; i++) {
        if (lk_words_select(&recipe->stages[i]->train.freeze, name)) frozen = true;
        if (lk_words_select(&recipe->stages[i]->train.unfreeze, name)) frozen = false;
    }
    return frozen;
}

lk_status lk_recipe_group(const lk_recipe *recipe, const char *name, unsigned *group)
{
    *group = 0;
    for (unsigned g = 1; g < recipe->n_groups; g++) {
        if (!lk_words_select(&recipe->groups[g]->params, name)) continue;
        if (*group)
            return LK_FAIL(LK_ERR_USAGE,
                           "%s: optimizer.groups: %s is in two groups, %s and %s; exclude it from one with a "
                           "pattern that begins with !",
                           lk_recipe_where(recipe->groups[g], "optimizer.params"), name, recipe->groups[*group]->group,
                           recipe->groups[g]->group);
        *group = g;
    }
    return LK_OK;
}

/* The model's tensors; those that train are the first n_params. */
typedef struct tensors { const char *const *name; size_t n_params, n; } tensors;

static bool matches_any(const char *pattern, const char *const *names, size_t n)
{
    for (size_t k = 0; k < n; k++)
        if (lk_glob(pattern, names[k])) return true;
    return false;
}

static lk_status check_pattern(const lk_recipe *stage, const char *key, const char *pattern, const tensors *all)
{
    const char *of = stage->group ? " of group " : stage->stage ? " of stage " : "";
    const char *whose = stage->group ? stage->group : stage->stage ? stage->stage : "";
    const char *glob = pattern + (*pattern == '!'), *where = lk_recipe_where(stage, key);

    if (matches_any(glob, all->name, all->n_params)) return LK_OK;
    if (matches_any(glob, all->name, all->n))
        return LK_FAIL(LK_ERR_USAGE,
                       "%s: %s%s%s: `%s` matches running statistics alone, which never train: a batch norm "
                       "keeps them where its weight and bias are frozen (train.frozen_mode)",
                       where, key, of, whose, pattern);
    const char *near = lk_nearest(glob, all->name, all->n);
    return LK_FAIL(LK_ERR_USAGE, "%s: %s%s%s: `%s` matches no tensor; %s%s", where, key, of, whose, pattern,
                   near ? "did you mean " : "lockstep plan lists their names, the first is ",
                   near ? near : all->name[0]);
}

static lk_status check_list(const lk_recipe *stage, const char *key, const lk_words *patterns, const tensors *all)
{
    for (unsigned i = 0; i < patterns->n; i++) LK_TRY(check_pattern(stage, key, patterns->word[i], all));
    return LK_OK;
}

lk_status lk_recipe_check_patterns(const lk_recipe *recipe, const char *const *names, size_t n_params, size_t n)
{
    const tensors all = {names, n_params, n};

    for (unsigned i = 0; i < recipe->n_stages; i++) {
        const lk_recipe *stage = recipe->stages[i];

        LK_TRY(check_list(stage, "train.freeze", &stage->train.freeze, &all));
        LK_TRY(check_list(stage, "train.unfreeze", &stage->train.unfreeze, &all));
        for (unsigned g = 1; g < stage->n_groups; g++)
            LK_TRY(check_list(stage->groups[g], "optimizer.params", &stage->groups[g]->params, &all));
    }
    return LK_OK;
}
