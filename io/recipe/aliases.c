/*
 * Keys that have been renamed.  A recipe with the old word, a checkpoint's above all, goes on working: the document is
 * given the new one before anything looks at it, and the reader of the recipe is told.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/recipe/parts.h"

/* One row a renamed key; both in the same section. */
static const struct { const char *section, *was, *is; } aliases[] = {
    {"train", "norm", "frozen_mode"}, /* beside model.norm the word said nothing */
    {"train", "frozen_norm", "frozen_mode"}, /* it decides about dropout too */
    {"metrics", "every", "log_every"},
};
enum { N_ALIASES = sizeof aliases / sizeof *aliases };

static lk_status note(lk_yaml *yaml, size_t i)
{
    char line[LK_RECIPE_PATH_BYTES];

    snprintf(line, sizeof line, "%s.%s is called %s.%s now; the old word still works", aliases[i].section,
             aliases[i].was, aliases[i].section, aliases[i].is);
    return lk_yaml_note(yaml, line);
}

/* In a mapping that holds keys of alias i's section. */
static lk_status rename_in(lk_yaml *yaml, int mapping, size_t i)
{
    const int old = lk_yaml_key(yaml, mapping, aliases[i].was);

    if (!old) return LK_OK;
    if (lk_yaml_get(yaml, mapping, aliases[i].is))
        return lk_yaml_fail(yaml, old, aliases[i].section,
                            "%s is the old word for %s, which is given too: leave it out", aliases[i].was,
                            aliases[i].is);
    LK_TRY(note(yaml, i));
    return lk_yaml_rewrite(yaml, old, aliases[i].is);
}

/* Stages hold keys of `train`. */
static lk_status rename_in_stages(lk_yaml *yaml, size_t i)
{
    const int list = lk_yaml_at(yaml, "stages");
    const yaml_node_t *stages = list ? yaml_document_get_node(&yaml->document, list) : NULL;

    if (!stages || stages->type != YAML_SEQUENCE_NODE || strcmp(aliases[i].section, "train") != 0) return LK_OK;
    for (const int *item = stages->data.sequence.items.start; item < stages->data.sequence.items.top; item++)
        LK_TRY(rename_in(yaml, *item, i));
    return LK_OK;
}

lk_status lk_recipe_rename_old(lk_yaml *yaml)
{
    for (size_t i = 0; i < N_ALIASES; i++) {
        LK_TRY(rename_in(yaml, lk_yaml_at(yaml, aliases[i].section), i));
        LK_TRY(rename_in_stages(yaml, i));
    }
    return LK_OK;
}

/* "train.norm" and "stages.NAME.norm" alike: what is before the last dot may be the section or one of the stages. */
static bool is_old(const char *path, const char *last, size_t i)
{
    static const char stages[] = "stages.";
    const size_t n = (size_t)(last - path) - 1;
    const bool in_stage = strcmp(aliases[i].section, "train") == 0 && strncmp(path, stages, strlen(stages)) == 0 &&
                          strchr(path + strlen(stages), '.') == last - 1;

    if (strcmp(last, aliases[i].was) != 0) return false;
    return in_stage || (n == strlen(aliases[i].section) && strncmp(path, aliases[i].section, n) == 0);
}

lk_status lk_recipe_rename_path(lk_yaml *yaml, char path[LK_RECIPE_PATH_BYTES])
{
    char *last = strrchr(path, '.');

    for (size_t i = 0; last && i < N_ALIASES; i++) {
        if (!is_old(path, last + 1, i)) continue;
        snprintf(last + 1, LK_RECIPE_PATH_BYTES - (size_t)(last + 1 - path), "%s", aliases[i].is);
        return note(yaml, i);
    }
    return LK_OK;
}
