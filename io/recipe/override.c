/*
 * Overrides "a.b=value", of a section's key, a stage's ("stages.NAME.batch"), a group's ("optimizer.groups.NAME.lr") or
 * a plug-in's argument ("model.args.NAME").
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/recipe/parts.h"

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
static bool is_list(const char *path)
{
    return strcmp(path, lk_recipe_stages.path) == 0 || strcmp(path, lk_recipe_groups.path) == 0;
}

/* NAME of `model.args.NAME`, which the plug-in knows and the schema does not; NULL: another path. */
static const char *argument_of(const char *path)
{
    static const char args[] = "model.args.";
    const size_t n = sizeof args - 1;

    return strncmp(path, args, n) == 0 && path[n] ? path + n : NULL;
}

/* Where an override goes: the mapping it starts from, its path there, and that of the schema. */
typedef struct target { int mapping; const char *rest; char section_path[LK_RECIPE_PATH_BYTES]; bool in_list; } target;

static lk_status find_target(lk_yaml *yaml, const char *override, const char *path, target *t)
{
    *t = (target){.in_list = true};
    LK_TRY(lk_named_path(yaml, &lk_recipe_stages, override, path, &t->mapping, &t->rest));
    if (t->mapping) {
        lk_recipe_stage_key(t->rest, t->section_path);
        return LK_OK;
    }
    LK_TRY(lk_named_path(yaml, &lk_recipe_groups, override, path, &t->mapping, &t->rest));
    if (t->mapping) {
        lk_recipe_group_key(t->rest, t->section_path);
        return LK_OK;
    }
    *t = (target){.mapping = 1, .rest = path};
    snprintf(t->section_path, sizeof t->section_path, "%s", path);
    return LK_OK;
}

static lk_status set_argument(lk_yaml *yaml, const char *name, const char *text)
{
    const char *last;
    int model;

    LK_TRY(section_of(yaml, 1, "model.args", &model, &last));
    return lk_recipe_set_arg(yaml, model, name, text);
}

static lk_status set_value(lk_yaml *yaml, const char *override, const char *path, const char *text)
{
    const char *last;
    int section, value;
    target t;

    LK_TRY(find_target(yaml, override, path, &t));
    const cyaml_schema_field_t *field = lk_recipe_field(t.section_path, NULL);
    if (!field && !is_list(t.section_path)) return lk_recipe_fail_unknown_path(override, t.section_path);

    if (field && is_literal(field, text)) LK_TRY(lk_yaml_add_text(yaml, text, &value));
    else LK_TRY(add_value(yaml, override, text, &value));
    LK_TRY(section_of(yaml, t.mapping, t.rest, &section, &last));
    if (!t.in_list) lk_recipe_override_stages(yaml, path, value);
    return lk_yaml_set(yaml, section, last, value);
}

lk_status lk_recipe_override(lk_yaml *yaml)
{
    const char *override = yaml->overrides[yaml->n_overrides], *equals = strchr(override, '=');
    char path[LK_RECIPE_PATH_BYTES];

    if (!equals || equals == override)
        return LK_FAIL(LK_ERR_USAGE, "%s: an override is written section.key=value", override);
    snprintf(path, sizeof path, "%.*s", (int)(equals - override), override);
    LK_TRY(lk_recipe_rename_path(yaml, path));
    if (argument_of(path)) LK_TRY(set_argument(yaml, argument_of(path), equals + 1));
    else LK_TRY(set_value(yaml, override, path, equals + 1));
    yaml->n_overrides++;
    yaml->last_node[yaml->n_overrides] = (int)(yaml->document.nodes.top - yaml->document.nodes.start);
    return LK_OK;
}
