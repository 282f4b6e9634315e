/*
 * Overrides "a.b=value", and what is settled after the file and after each of them: keys with the value null are
 * taken out, short forms become whole, and names of files become absolute.  A file's names count from the recipe's folder, an override's from
 * the folder in which it was typed; settled one after the other, each is resolved from its own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/recipe/parts.h"

/* ---------------------------------------------------------------- settling */

static bool is_null(const lk_yaml *yaml, int node)
{
    static const char *const nulls[] = {"null", "Null", "NULL", "~"};
    const yaml_node_t *n = yaml->document.nodes.start + node - 1;

    if (n->type != YAML_SCALAR_NODE || n->data.scalar.style != YAML_PLAIN_SCALAR_STYLE) return false;
    for (size_t i = 0; i < sizeof nulls / sizeof *nulls; i++)
        if (strcmp((const char *)n->data.scalar.value, nulls[i]) == 0) return true;
    return false;
}

/* In a mapping and, by way of lists, in those below it (stages are a list of them). */
static void drop_nulls(lk_yaml *yaml, int mapping)
{
    const yaml_node_t *node = yaml->document.nodes.start + mapping - 1;
    yaml_node_pair_t *kept = node->data.mapping.pairs.start;

    if (node->type == YAML_SEQUENCE_NODE)
        for (const int *item = node->data.sequence.items.start; item < node->data.sequence.items.top; item++)
            drop_nulls(yaml, *item);
    if (node->type != YAML_MAPPING_NODE) return;
    for (yaml_node_pair_t *pair = kept; pair < node->data.mapping.pairs.top; pair++) {
        if (is_null(yaml, pair->value)) continue;
        drop_nulls(yaml, pair->value);
        *kept++ = *pair;
    }
    yaml->document.nodes.start[mapping - 1].data.mapping.pairs.top = kept;
}

/* folder/name from the root, without "./" inside. */
static char *absolute(const char *folder, const char *name)
{
    char *here = *folder == '/' ? strdup("") : getcwd(NULL, 0), *path = NULL;
    const char *middle = strcmp(folder, ".") == 0 ? "" : folder, *slash = *middle && *middle != '/' ? "/" : "";

    while (strncmp(name, "./", 2) == 0) name += 2 + strspn(name + 2, "/");
    if (here && asprintf(&path, "%s%s%s/%s", here, slash, middle, name) < 0) path = NULL;
    free(here);
    return path;
}

static lk_status resolve_path(lk_yaml *yaml, int node, const char *folder)
{
    const char *name = lk_yaml_text(yaml, node);

    if (!name || *name == '/' || *name == '\0') return LK_OK;
    char *path = absolute(folder, name);
    LK_TRY_ALLOC(path, strlen(folder) + strlen(name));
    const lk_status status = lk_yaml_rewrite(yaml, node, path);
    free(path);
    return status;
}

/* A name, or each of a list. */
static lk_status resolve_paths(lk_yaml *yaml, const char *key, const char *folder)
{
    const int node = lk_yaml_get(yaml, lk_yaml_at(yaml, "data"), key);
    const yaml_node_t *list = yaml_document_get_node(&yaml->document, node);

    if (!list || list->type != YAML_SEQUENCE_NODE) return resolve_path(yaml, node, folder);
    for (const int *item = list->data.sequence.items.start; item < list->data.sequence.items.top; item++)
        LK_TRY(resolve_path(yaml, *item, folder));
    return LK_OK;
}

/* `init_from: PATH` is short for `init_from: {checkpoint: PATH}`. */
static lk_status resolve_init_from(lk_yaml *yaml)
{
    const int path = lk_yaml_at(yaml, "init_from");
    int section;

    if (!lk_yaml_text(yaml, path)) return LK_OK;
    LK_TRY(lk_yaml_add_mapping(yaml, &section));
    LK_TRY(lk_yaml_set(yaml, section, "checkpoint", path));
    return lk_yaml_set(yaml, 1, "init_from", section);
}

lk_status lk_recipe_resolve(lk_yaml *yaml, const char *folder)
{
    const lk_rule *data;
    const cyaml_schema_field_t *fields = lk_recipe_field("data", &data)->value.mapping.fields;

    drop_nulls(yaml, 1);
    LK_TRY(lk_recipe_rename_old(yaml));
    LK_TRY(resolve_init_from(yaml));
    for (int i = 0; fields[i].key; i++)
        if (data->rules[i].is_path) LK_TRY(resolve_paths(yaml, fields[i].key, folder));
    return LK_OK;
}

/* --------------------------------------------------------------- overrides */

/* The section that holds the last key of `path`, made where it is missing; *last is that key. */
static lk_status section_of(lk_yaml *yaml, int from, const char *path, int *section, const char **last)
{
    *section = from;
    *last = strrchr(path, '.') ? strrchr(path, '.') + 1 : path;
    for (const char *dot; (dot = strchr(path, '.')); path = dot + 1) {
        char key[LK_RECIPE_PATH_BYTES];

        snprintf(key, sizeof key, "%.*s", (int)(dot - path), path);
        int next = lk_yaml_get(yaml, *section, key);
        if (!next) {
            LK_TRY(lk_yaml_add_mapping(yaml, &next));
            LK_TRY(lk_yaml_set(yaml, *section, key, next));
        } else if (yaml_document_get_node(&yaml->document, next)->type != YAML_MAPPING_NODE) {
            return lk_yaml_fail(yaml, next, key, "expected a section of keys");
        }
        *section = next;
    }
    return LK_OK;
}

/* Text is taken as it was typed, so that file names and expressions need no second quoting; else it is YAML. */
static bool is_literal(const cyaml_schema_field_t *field, const char *value)
{
    return field->value.type == CYAML_STRING && *value != '\0' && *value != '"' && *value != '\'' &&
           strcmp(value, "null") != 0 && strcmp(value, "~") != 0;
}

static lk_status add_value(lk_yaml *yaml, const char *override, const char *value, int *out)
{
    lk_yaml parsed;

    lk_status status = lk_yaml_load(value, override, false, &parsed);
    if (status == LK_OK) status = lk_yaml_copy(yaml, &parsed, 1, out);
    lk_yaml_close(&parsed);
    return status;
}

/* Lists of recipes within the recipe, which are no keys of a section. */
static bool is_list(const char *path) { return strcmp(path, "stages") == 0 || strcmp(path, "optimizer.groups") == 0; }

lk_status lk_recipe_override(lk_yaml *yaml)
{
    const char *override = yaml->overrides[yaml->n_overrides], *equals = strchr(override, '='), *last = NULL;
    char path[LK_RECIPE_PATH_BYTES], section_path[LK_RECIPE_PATH_BYTES];
    int section, value, stage;

    if (!equals || equals == override)
        return LK_FAIL(LK_ERR_USAGE, "%s: an override is written section.key=value", override);
    snprintf(path, sizeof path, "%.*s", (int)(equals - override), override);
    LK_TRY(lk_recipe_rename_path(yaml, path));
    snprintf(section_path, sizeof section_path, "%s", path);
    LK_TRY(lk_recipe_stage_path(yaml, override, path, &stage, section_path));
    const cyaml_schema_field_t *field = lk_recipe_field(section_path, NULL);
    if (!field && !is_list(section_path)) return lk_recipe_fail_unknown_path(override, section_path);

    if (field && is_literal(field, equals + 1)) LK_TRY(lk_yaml_add_text(yaml, equals + 1, &value));
    else LK_TRY(add_value(yaml, override, equals + 1, &value));
    if (stage) {
        const char *in_stage = strchr(strchr(path, '.') + 1, '.') + 1;
        LK_TRY(section_of(yaml, stage, in_stage, &section, &last));
    } else {
        LK_TRY(section_of(yaml, 1, path, &section, &last));
        lk_recipe_override_stages(yaml, path, value);
    }
    LK_TRY(lk_yaml_set(yaml, section, last, value));
    yaml->n_overrides++;
    yaml->last_node[yaml->n_overrides] = (int)(yaml->document.nodes.top - yaml->document.nodes.start);
    return LK_OK;
}
