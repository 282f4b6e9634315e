/*
 * Stages.  A stage names what differs from the recipe's sections; merged into them it makes a whole recipe of its
 * own, which is checked, completed and loaded like any other.  So a stage can say all that a recipe can say of
 * training, and nothing else needs to know of stages.
 *
 *   name                          the stage's
 *   optimizer                     its keys go over those of the section; with another kind it replaces the section
 *   scheduler                     replaces the section; so do momentum_scheduler, weight_decay_scheduler
 *   epochs, batch, freeze, ...    keys of `train`
 *
 * An override of a section's key on the command line is for the whole run: it also replaces what stages say there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/recipe/parts.h"

/* Keys of `train` that are the run's and no stage's. */
static const char *const run_keys[] = {"lanes", "best_metric", "best_mode"};

static const yaml_node_t *node_of(const lk_yaml *yaml, int node) { return yaml->document.nodes.start + node - 1; }

static bool is_run_key(const char *key)
{
    for (size_t i = 0; i < sizeof run_keys / sizeof *run_keys; i++)
        if (strcmp(run_keys[i], key) == 0) return true;
    return false;
}

/* What a stage names beside keys of `train`. */
static const char *const sections[] = {"optimizer", "scheduler", "momentum_scheduler", "weight_decay_scheduler"};

static bool is_section(const char *key)
{
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        if (strcmp(sections[i], key) == 0) return true;
    return false;
}

/* "epochs" -> "train.epochs", "optimizer.lr" -> itself. */
void lk_recipe_stage_key(const char *stage_path, char out[LK_RECIPE_PATH_BYTES])
{
    char first[LK_RECIPE_PATH_BYTES];

    snprintf(first, sizeof first, "%.*s", (int)strcspn(stage_path, "."), stage_path);
    snprintf(out, LK_RECIPE_PATH_BYTES, "%s%s", is_section(first) ? "" : "train.", stage_path);
}

static lk_status fail_unknown(lk_yaml *yaml, int node, const char *path, const char *key)
{
    const cyaml_schema_field_t *train = lk_recipe_field("train", NULL)->value.mapping.fields;
    const char *known[64] = {"name"};
    size_t n = 1;

    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) known[n++] = sections[i];

    for (; train->key && n < sizeof known / sizeof *known; train++)
        if (!is_run_key(train->key)) known[n++] = train->key;
    if (is_run_key(key)) return lk_yaml_fail(yaml, node, path, "is for the whole run: say it in the section train");
    if (lk_recipe_field(key, NULL))
        return lk_yaml_fail(yaml, node, path, "is for the whole run: say it beside `stages`");
    const char *near = lk_nearest(key, known, n);
    if (near) return lk_yaml_fail(yaml, node, path, "no such key of a stage; did you mean `%s`?", near);
    return lk_yaml_fail(yaml, node, path,
                        "no such key of a stage: it takes name, optimizer, scheduler and keys of train");
}

/* ------------------------------------------------------------ reading them */

const lk_named_list lk_recipe_stages = {.path = "stages", .one = "stage", .many = "stages", .unnamed = "stage "};

static lk_status check_keys(lk_yaml *yaml, unsigned i)
{
    const int stage = lk_named_item(yaml, &lk_recipe_stages, i);
    char path[LK_RECIPE_PATH_BYTES], section_path[LK_RECIPE_PATH_BYTES];

    snprintf(path, sizeof path, "stages[%u]", i);
    if (node_of(yaml, stage)->type != YAML_MAPPING_NODE)
        return lk_yaml_fail(yaml, stage, path, "expected keys, {name: ..., epochs: ...}");
    for (const yaml_node_pair_t *pair = node_of(yaml, stage)->data.mapping.pairs.start;
         pair < node_of(yaml, stage)->data.mapping.pairs.top; pair++) {
        const char *key = lk_yaml_text(yaml, pair->key);

        if (!key) return lk_yaml_fail(yaml, pair->key, path, "a key must be a word");
        if (strcmp(key, "name") == 0) continue;
        lk_recipe_stage_key(key, section_path);
        snprintf(path, sizeof path, "stages[%u].%s", i, key);
        if (is_run_key(key) || !lk_recipe_field(section_path, NULL)) return fail_unknown(yaml, pair->key, path, key);
    }
    return LK_OK;
}

static lk_status refuse_early_freeze(lk_yaml *yaml)
{
    static const char *const keys[] = {"train.freeze", "train.unfreeze"};

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (lk_yaml_at(yaml, keys[i]))
            return lk_yaml_fail(yaml, lk_yaml_at(yaml, keys[i]), keys[i],
                                "in a recipe with stages, say it in the stage where it begins");
    return LK_OK;
}

lk_status lk_recipe_count_stages(lk_yaml *yaml, unsigned *n)
{
    const int list = lk_yaml_at(yaml, "stages");

    *n = 1;
    if (!list) return LK_OK;
    if (lk_named_count(yaml, &lk_recipe_stages) == 0)
        return lk_yaml_fail(yaml, list, "stages", "expected a list of stages, [{name: ..., epochs: ...}, ...]");
    *n = lk_named_count(yaml, &lk_recipe_stages);
    for (unsigned i = 0; i < *n; i++) LK_TRY(check_keys(yaml, i));
    LK_TRY(refuse_early_freeze(yaml));
    return lk_named_check(yaml, &lk_recipe_stages);
}

/* ------------------------------------------------------------------ merging */

/* The section of that name, made where it is missing. */
static lk_status section_at(lk_yaml *yaml, const char *name, int *out)
{
    *out = lk_yaml_at(yaml, name);
    if (*out && node_of(yaml, *out)->type != YAML_MAPPING_NODE)
        return lk_yaml_fail(yaml, *out, name, "expected keys, {key: value}");
    if (*out) return LK_OK;
    LK_TRY(lk_yaml_add_mapping(yaml, out));
    return lk_yaml_set(yaml, 1, name, *out);
}

lk_status lk_recipe_merge(lk_yaml *yaml, const char *section, int named)
{
    int to;

    LK_TRY(section_at(yaml, section, &to));
    for (size_t i = 0;; i++) {
        const yaml_node_t *from = node_of(yaml, named); /* adding nodes may move it */

        if (i == (size_t)(from->data.mapping.pairs.top - from->data.mapping.pairs.start)) return LK_OK;
        const yaml_node_pair_t pair = from->data.mapping.pairs.start[i];
        char key[LK_RECIPE_PATH_BYTES];
        snprintf(key, sizeof key, "%s", lk_yaml_text(yaml, pair.key) ? lk_yaml_text(yaml, pair.key) : "");
        LK_TRY(lk_yaml_set(yaml, to, key, pair.value));
    }
}

static lk_status merge_optimizer(lk_yaml *yaml, int named)
{
    const char *was = lk_yaml_text_at(yaml, "optimizer.kind");
    const char *is = lk_yaml_text(yaml, lk_yaml_get(yaml, named, "kind"));

    if (node_of(yaml, named)->type != YAML_MAPPING_NODE || (was && is && strcmp(was, is) != 0))
        return lk_yaml_set(yaml, 1, "optimizer", named);
    return lk_recipe_merge(yaml, "optimizer", named);
}

static lk_status merge_key(lk_yaml *yaml, const char *key, int value)
{
    int train;

    if (strcmp(key, "name") == 0) return LK_OK;
    if (strcmp(key, "optimizer") == 0) return merge_optimizer(yaml, value);
    if (is_section(key)) return lk_yaml_set(yaml, 1, key, value);
    LK_TRY(section_at(yaml, "train", &train));
    return lk_yaml_set(yaml, train, key, value);
}

lk_status lk_recipe_take_stage(lk_yaml *yaml, unsigned i, char **name)
{
    char text[LK_RECIPE_PATH_BYTES];

    *name = NULL;
    if (!lk_yaml_at(yaml, "stages")) return LK_OK;
    LK_TRY(lk_named_copy_name(yaml, &lk_recipe_stages, i, name));
    const int stage = lk_named_item(yaml, &lk_recipe_stages, i);
    const size_t n = (size_t)(node_of(yaml, stage)->data.mapping.pairs.top -
                              node_of(yaml, stage)->data.mapping.pairs.start);
    for (size_t k = 0; k < n; k++) {
        const yaml_node_pair_t pair = node_of(yaml, stage)->data.mapping.pairs.start[k];

        snprintf(text, sizeof text, "%s", lk_yaml_text(yaml, pair.key));
        LK_TRY(merge_key(yaml, text, pair.value));
    }
    lk_yaml_remove(yaml, 1, "stages");
    return LK_OK;
}

/* ---------------------------------------------------------------- overrides */

void lk_recipe_override_stages(lk_yaml *yaml, const char *section_path, int value)
{
    static const char train[] = "train.";
    const char *path = strncmp(section_path, train, strlen(train)) == 0 ? section_path + strlen(train) : section_path;
    char parent[LK_RECIPE_PATH_BYTES];

    const char *dot = strrchr(path, '.'), *last = dot ? dot + 1 : path;
    snprintf(parent, sizeof parent, "%.*s", dot ? (int)(dot - path) : 0, path);
    for (unsigned i = 0; i < lk_named_count(yaml, &lk_recipe_stages); i++) {
        const int stage = lk_named_item(yaml, &lk_recipe_stages, i),
                  holder = *parent ? lk_yaml_get(yaml, stage, parent) : stage;

        if (lk_yaml_get(yaml, holder, last)) lk_yaml_set(yaml, holder, last, value); /* in place: cannot fail */
    }
}
