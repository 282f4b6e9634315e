/*
 * Parameter groups.  Like a stage, a group names what differs: keys of the optimizer and schedulers.  Merged into the
 * sections it makes a whole recipe, whose optimizer and schedulers are the group's.
 *
 *     optimizer:
 *       kind: adamw
 *       lr: 1e-3
 *       groups:
 *         - {name: no_decay, params: ['*.bias', '*norm*'], weight_decay: 0}
 *         - {name: head, params: ['head.*', '!*.bias'], lr: 1e-2, scheduler: {kind: cosine, T_max: 10}}
 *
 * What no group selects is in the group of the rest, which comes first.  Where a recipe names no groups, those of a
 * network that leaves some tensors without weight decay (lk_model_no_decay()) are a group no_decay; `groups: []` asks
 * for none.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/recipe/parts.h"

/* Keys of the optimizer that are the same for all groups. */
static const char *const common_keys[] = {"kind", "amsgrad", "clip_norm", "clip_value", "groups"};
static const char *const schedulers[] = {"scheduler", "momentum_scheduler", "weight_decay_scheduler"};

static const yaml_node_t *node_of(const lk_yaml *yaml, int node) { return yaml->document.nodes.start + node - 1; }

static bool is_one_of(const char *const *words, size_t n, const char *word)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(words[i], word) == 0) return true;
    return false;
}

static bool is_scheduler(const char *key) { return is_one_of(schedulers, sizeof schedulers / sizeof *schedulers, key); }
static bool is_common(const char *key) { return is_one_of(common_keys, sizeof common_keys / sizeof *common_keys, key); }

const lk_named_list lk_recipe_groups = {
    .path = "optimizer.groups", .one = "group", .many = "groups", .unnamed = "", .first = 1};

void lk_recipe_group_key(const char *group_path, char out[LK_RECIPE_PATH_BYTES])
{
    char first[LK_RECIPE_PATH_BYTES];

    snprintf(first, sizeof first, "%.*s", (int)strcspn(group_path, "."), group_path);
    snprintf(out, LK_RECIPE_PATH_BYTES, "%s%s", is_scheduler(first) ? "" : "optimizer.", group_path);
}

static lk_status check_key(lk_yaml *yaml, unsigned i, const yaml_node_pair_t *pair)
{
    const cyaml_schema_field_t *fields = lk_recipe_field("optimizer", NULL)->value.mapping.fields;
    const char *key = lk_yaml_text(yaml, pair->key);
    char path[LK_RECIPE_PATH_BYTES];

    snprintf(path, sizeof path, "optimizer.groups[%u].%s", i, key ? key : "");
    if (!key) return lk_yaml_fail(yaml, pair->key, path, "a key must be a word");
    if (strcmp(key, "name") == 0 || is_scheduler(key)) return LK_OK;
    if (is_common(key))
        return lk_yaml_fail(yaml, pair->key, path, "is the same for all groups: say it in the section optimizer");
    if (lk_recipe_row(fields, key) >= 0) return LK_OK;

    const char *known[64] = {"name"};
    size_t n = 1;
    for (size_t k = 0; k < sizeof schedulers / sizeof *schedulers; k++) known[n++] = schedulers[k];
    for (; fields->key && n < sizeof known / sizeof *known; fields++)
        if (!is_common(fields->key)) known[n++] = fields->key;
    const char *near = lk_nearest(key, known, n);
    return lk_yaml_fail(yaml, pair->key, path, "no such key of a group%s%s%s", near ? "; did you mean `" : "",
                        near ? near : "",
                        near ? "`?" : ": it takes name, params, schedulers and keys of the optimizer");
}

static lk_status check_group(lk_yaml *yaml, unsigned i)
{
    const int group = lk_named_item(yaml, &lk_recipe_groups, i);
    char path[LK_RECIPE_PATH_BYTES];

    snprintf(path, sizeof path, "optimizer.groups[%u]", i);
    if (node_of(yaml, group)->type != YAML_MAPPING_NODE)
        return lk_yaml_fail(yaml, group, path, "expected keys, {params: [...], lr: ...}");
    for (const yaml_node_pair_t *pair = node_of(yaml, group)->data.mapping.pairs.start;
         pair < node_of(yaml, group)->data.mapping.pairs.top; pair++)
        LK_TRY(check_key(yaml, i, pair));
    if (!lk_yaml_get(yaml, group, "params"))
        return lk_yaml_fail(yaml, group, path, "params is missing: patterns of the tensor names in the group");
    return LK_OK;
}

/* ------------------------------------------------------------------ implied */

static bool has_decay(lk_yaml *yaml)
{
    if (lk_yaml_at(yaml, "optimizer.weight_decay")) return lk_yaml_number_at(yaml, "optimizer.weight_decay") > 0.0;
    return lk_yaml_is(yaml, "optimizer.kind", "adamw"); /* whose default it is */
}

static lk_status set_text(lk_yaml *yaml, int mapping, const char *key, const char *text)
{
    int value;

    LK_TRY(lk_yaml_add_text(yaml, text, &value));
    return lk_yaml_set(yaml, mapping, key, value);
}

static lk_status fill_no_decay(lk_yaml *yaml, int group, const char *const *patterns)
{
    size_t n = 0;
    int params;

    while (patterns[n]) n++;
    LK_TRY(lk_yaml_add_list(yaml, patterns, n, &params));
    LK_TRY(set_text(yaml, group, "name", "no_decay"));
    LK_TRY(lk_yaml_set(yaml, group, "params", params));
    LK_TRY(set_text(yaml, group, "weight_decay", "0"));
    if (!lk_yaml_at(yaml, "weight_decay_scheduler")) return LK_OK;
    int scheduler;

    LK_TRY(lk_yaml_add_mapping(yaml, &scheduler));
    LK_TRY(set_text(yaml, scheduler, "kind", "none"));
    return lk_yaml_set(yaml, group, "weight_decay_scheduler", scheduler);
}

lk_status lk_recipe_imply_groups(lk_yaml *yaml)
{
    const char *kind = lk_yaml_text_at(yaml, "model.kind");
    const char *const *patterns = kind ? lk_model_no_decay(kind) : NULL;
    const int optimizer = lk_yaml_at(yaml, "optimizer");
    int group;

    if (!patterns || !optimizer || lk_yaml_at(yaml, "optimizer.groups") || !has_decay(yaml)) return LK_OK;
    if (node_of(yaml, optimizer)->type != YAML_MAPPING_NODE) return LK_OK; /* the check will say so */
    LK_TRY(lk_yaml_add_mapping(yaml, &group));
    LK_TRY(fill_no_decay(yaml, group, patterns));
    const int list = yaml_document_add_sequence(&yaml->document, NULL, YAML_BLOCK_SEQUENCE_STYLE);
    if (!list || !yaml_document_append_sequence_item(&yaml->document, list, group))
        return LK_FAIL(LK_ERR_SYSTEM, "out of memory: the group of what does not decay");
    return lk_yaml_set(yaml, optimizer, "groups", list);
}

/* ------------------------------------------------------------------- a group */

lk_status lk_recipe_count_groups(lk_yaml *yaml, unsigned *n)
{
    const int list = lk_yaml_at(yaml, "optimizer.groups"), params = lk_yaml_at(yaml, "optimizer.params");

    *n = 1;
    if (params)
        return lk_yaml_fail(yaml, params, "optimizer.params", "belongs to a group: optimizer.groups: [{params: ...}]");
    if (!list) return LK_OK;
    if (node_of(yaml, list)->type != YAML_SEQUENCE_NODE)
        return lk_yaml_fail(yaml, list, "optimizer.groups",
                            "expected a list of groups, [{params: [...], lr: ...}, ...]");
    const unsigned length = lk_named_count(yaml, &lk_recipe_groups);
    if (length + 1 > LK_MOST_GROUPS)
        return lk_yaml_fail(yaml, list, "optimizer.groups", "%u groups and the rest are more than %d", length,
                            LK_MOST_GROUPS);
    for (unsigned i = 0; i < length; i++) LK_TRY(check_group(yaml, i));
    *n = length + 1;
    return lk_named_check(yaml, &lk_recipe_groups);
}

lk_status lk_recipe_take_group(lk_yaml *yaml, unsigned g, char **name)
{
    *name = NULL;
    if (!lk_yaml_at(yaml, "optimizer.groups")) return LK_OK;
    if (g > 0) {
        const int group = lk_named_item(yaml, &lk_recipe_groups, g - 1);

        LK_TRY(lk_named_copy_name(yaml, &lk_recipe_groups, g - 1, name));
        for (size_t i = 0; i < sizeof schedulers / sizeof *schedulers; i++) {
            const int scheduler = lk_yaml_get(yaml, group, schedulers[i]);

            if (scheduler) LK_TRY(lk_yaml_set(yaml, 1, schedulers[i], scheduler));
            lk_yaml_remove(yaml, group, schedulers[i]);
        }
        lk_yaml_remove(yaml, group, "name");
        LK_TRY(lk_recipe_merge(yaml, "optimizer", group));
    }
    lk_yaml_remove(yaml, lk_yaml_at(yaml, "optimizer"), "groups");
    return LK_OK;
}
