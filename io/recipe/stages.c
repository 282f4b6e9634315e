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
#include <ctype.h>
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
static void to_section_path(const char *stage_path, char out[LK_RECIPE_PATH_BYTES])
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
    if (lk_recipe_field(key, NULL)) return lk_yaml_fail(yaml, node, path, "is for the whole run: say it beside `stages`");
    const char *near = lk_nearest(key, known, n);
    if (near) return lk_yaml_fail(yaml, node, path, "no such key of a stage; did you mean `%s`?", near);
    return lk_yaml_fail(yaml, node, path, "no such key of a stage: it takes name, optimizer, scheduler and keys of train");
}

/* ------------------------------------------------------------ reading them */

static size_t length_of(const yaml_node_t *list)
{
    return (size_t)(list->data.sequence.items.top - list->data.sequence.items.start);
}

static int stage_node(lk_yaml *yaml, unsigned i)
{
    return node_of(yaml, lk_yaml_at(yaml, "stages"))->data.sequence.items.start[i];
}

/* The stage's name, or "stage I". */
static const char *name_of(lk_yaml *yaml, unsigned i, char text[LK_RECIPE_PATH_BYTES])
{
    const char *given = lk_yaml_text(yaml, lk_yaml_get(yaml, stage_node(yaml, i), "name"));

    if (given) return given;
    snprintf(text, LK_RECIPE_PATH_BYTES, "stage %u", i);
    return text;
}

static lk_status check_keys(lk_yaml *yaml, unsigned i)
{
    const int stage = stage_node(yaml, i);
    char path[LK_RECIPE_PATH_BYTES], section_path[LK_RECIPE_PATH_BYTES];

    snprintf(path, sizeof path, "stages[%u]", i);
    if (node_of(yaml, stage)->type != YAML_MAPPING_NODE)
        return lk_yaml_fail(yaml, stage, path, "expected keys, {name: ..., epochs: ...}");
    for (const yaml_node_pair_t *pair = node_of(yaml, stage)->data.mapping.pairs.start;
         pair < node_of(yaml, stage)->data.mapping.pairs.top; pair++) {
        const char *key = lk_yaml_text(yaml, pair->key);

        if (!key) return lk_yaml_fail(yaml, pair->key, path, "a key must be a word");
        if (strcmp(key, "name") == 0) continue;
        to_section_path(key, section_path);
        snprintf(path, sizeof path, "stages[%u].%s", i, key);
        if (is_run_key(key) || !lk_recipe_field(section_path, NULL)) return fail_unknown(yaml, pair->key, path, key);
    }
    return LK_OK;
}

static lk_status check_names(lk_yaml *yaml, unsigned n)
{
    char a[LK_RECIPE_PATH_BYTES], b[LK_RECIPE_PATH_BYTES];

    for (unsigned i = 0; i < n; i++)
        for (unsigned k = 0; k < i; k++)
            if (strcmp(name_of(yaml, i, a), name_of(yaml, k, b)) == 0)
                return lk_yaml_fail(yaml, stage_node(yaml, i), "stages", "two stages are called `%s`",
                                    name_of(yaml, i, a));
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
    if (node_of(yaml, list)->type != YAML_SEQUENCE_NODE || length_of(node_of(yaml, list)) == 0)
        return lk_yaml_fail(yaml, list, "stages", "expected a list of stages, [{name: ..., epochs: ...}, ...]");
    *n = (unsigned)length_of(node_of(yaml, list));
    for (unsigned i = 0; i < *n; i++) LK_TRY(check_keys(yaml, i));
    LK_TRY(refuse_early_freeze(yaml));
    return check_names(yaml, *n);
}

/* ------------------------------------------------------------------ merging */

/* The section of that name, made where it is missing. */
static lk_status section_at(lk_yaml *yaml, const char *name, int *out)
{
    *out = lk_yaml_at(yaml, name);
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
    *name = strdup(name_of(yaml, i, text));
    LK_TRY_ALLOC(*name, strlen(name_of(yaml, i, text)) + 1);

    const int stage = stage_node(yaml, i);
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

static int find_stage(lk_yaml *yaml, const char *name)
{
    const int list = lk_yaml_at(yaml, "stages");
    char text[LK_RECIPE_PATH_BYTES], *end;

    if (!list || node_of(yaml, list)->type != YAML_SEQUENCE_NODE) return 0;
    const size_t n = length_of(node_of(yaml, list));
    for (unsigned i = 0; i < n; i++)
        if (strcmp(name_of(yaml, i, text), name) == 0) return stage_node(yaml, i);
    const unsigned long number = strtoul(name, &end, 10);
    return isdigit((unsigned char)*name) && *end == '\0' && number < n ? stage_node(yaml, (unsigned)number) : 0;
}

lk_status lk_recipe_stage_path(lk_yaml *yaml, const char *override, const char *path, int *mapping,
                               char section_path[LK_RECIPE_PATH_BYTES])
{
    static const char prefix[] = "stages.";
    char name[LK_RECIPE_PATH_BYTES];

    *mapping = 0;
    if (strncmp(path, prefix, strlen(prefix)) != 0) return LK_OK;
    path += strlen(prefix);
    snprintf(name, sizeof name, "%.*s", (int)strcspn(path, "."), path);
    *mapping = find_stage(yaml, name);
    if (!*mapping) return LK_FAIL(LK_ERR_USAGE, "%s: the recipe has no stage `%s`", override, name);
    path += strlen(name);
    if (*path != '.') return LK_FAIL(LK_ERR_USAGE, "%s: name a key of the stage: stages.%s.key=value", override, name);
    to_section_path(path + 1, section_path);
    return LK_OK;
}

void lk_recipe_override_stages(lk_yaml *yaml, const char *section_path, int value)
{
    static const char train[] = "train.";
    const char *path = strncmp(section_path, train, strlen(train)) == 0 ? section_path + strlen(train) : section_path;
    const int list = lk_yaml_at(yaml, "stages");
    char parent[LK_RECIPE_PATH_BYTES];

    if (!list || node_of(yaml, list)->type != YAML_SEQUENCE_NODE) return;
    const char *dot = strrchr(path, '.'), *last = dot ? dot + 1 : path;
    snprintf(parent, sizeof parent, "%.*s", dot ? (int)(dot - path) : 0, path);
    for (unsigned i = 0; i < length_of(node_of(yaml, list)); i++) {
        const int stage = stage_node(yaml, i), holder = *parent ? lk_yaml_get(yaml, stage, parent) : stage;

        if (lk_yaml_get(yaml, holder, last)) lk_yaml_set(yaml, holder, last, value); /* in place: cannot fail */
    }
}

/* ------------------------------------------------------------------ freezing */

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

static lk_status check_list(const lk_recipe *stage, const char *key, const lk_words *patterns, const char *const *names,
                            size_t n)
{
    const char *of = stage->group ? " of group " : stage->stage ? " of stage " : "";
    const char *whose = stage->group ? stage->group : stage->stage ? stage->stage : "";

    for (unsigned i = 0; i < patterns->n; i++) {
        const char *pattern = patterns->word[i] + (patterns->word[i][0] == '!');
        bool matches = false;

        for (size_t k = 0; k < n && !matches; k++) matches = lk_glob(pattern, names[k]);
        if (matches) continue;
        const char *near = lk_nearest(pattern, names, n);
        return LK_FAIL(LK_ERR_USAGE, "%s: %s%s%s: `%s` matches no tensor; %s%s", lk_recipe_where(stage, key), key, of, whose,
                       patterns->word[i],
                       near ? "did you mean " : "lockstep plan lists their names, the first is ", near ? near : names[0]);
    }
    return LK_OK;
}

lk_status lk_recipe_check_patterns(const lk_recipe *recipe, const char *const *names, size_t n)
{
    for (unsigned i = 0; i < recipe->n_stages; i++) {
        const lk_recipe *stage = recipe->stages[i];

        LK_TRY(check_list(stage, "train.freeze", &stage->train.freeze, names, n));
        LK_TRY(check_list(stage, "train.unfreeze", &stage->train.unfreeze, names, n));
        for (unsigned g = 1; g < stage->n_groups; g++)
            LK_TRY(check_list(stage->groups[g], "optimizer.params", &stage->groups[g]->params, names, n));
    }
    return LK_OK;
}
