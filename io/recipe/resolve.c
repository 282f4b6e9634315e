/*
 * What is settled in a document after it was read and after each override: keys with the value null and sections with
 * nothing in them are taken out, old words renamed, short forms made whole, and names of files made absolute.  A file's
 * names count from the recipe's folder, an override's from the folder in which it was typed; settled one after the
 * other, each is resolved from its own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/recipe/parts.h"

static bool is_null(const lk_yaml *yaml, int node)
{
    static const char *const nulls[] = {"null", "Null", "NULL", "~"};
    const yaml_node_t *n = yaml->document.nodes.start + node - 1;

    if (n->type != YAML_SCALAR_NODE || n->data.scalar.style != YAML_PLAIN_SCALAR_STYLE) return false;
    for (size_t i = 0; i < sizeof nulls / sizeof *nulls; i++)
        if (strcmp((const char *)n->data.scalar.value, nulls[i]) == 0) return true;
    return false;
}

static bool is_empty(const lk_yaml *yaml, int node)
{
    const yaml_node_t *n = yaml->document.nodes.start + node - 1;

    return n->type == YAML_SCALAR_NODE && n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && n->data.scalar.length == 0;
}

/* Where an item of the list `path` is written like: a stage's keys are those of sections, a schedule's in a schedule
 * those of the outer one. */
static void path_of_items(const char *path, char out[LK_RECIPE_PATH_BYTES])
{
    static const char inner[] = ".schedulers";
    const size_t n = strlen(path), m = strlen(inner);
    const bool is_inner = n > m && strcmp(path + n - m, inner) == 0;

    snprintf(out, LK_RECIPE_PATH_BYTES, "%.*s", (int)(is_inner ? n - m : n), path);
}

static void path_of_key(const char *path, const char *key, char out[LK_RECIPE_PATH_BYTES])
{
    if (strcmp(path, lk_recipe_stages.path) == 0) lk_recipe_stage_key(key, out);
    else if (strcmp(path, lk_recipe_groups.path) == 0) lk_recipe_group_key(key, out);
    else snprintf(out, LK_RECIPE_PATH_BYTES, "%s%s%s", path, *path ? "." : "", key);
}

static bool is_section(const char *path)
{
    const cyaml_schema_field_t *field = lk_recipe_field(path, NULL);

    return strcmp(path, lk_recipe_stages.path) == 0 || strcmp(path, lk_recipe_groups.path) == 0 ||
           (field && field->value.type == CYAML_MAPPING);
}

/* Of a node and of all below it: keys that are null, and sections with nothing in them. */
static void drop_absent(lk_yaml *yaml, int node, const char *path)
{
    const yaml_node_t *n = yaml->document.nodes.start + node - 1;
    char inner[LK_RECIPE_PATH_BYTES];

    if (n->type == YAML_SEQUENCE_NODE) {
        path_of_items(path, inner);
        for (const int *item = n->data.sequence.items.start; item < n->data.sequence.items.top; item++)
            drop_absent(yaml, *item, inner);
    }
    if (n->type != YAML_MAPPING_NODE) return;
    yaml_node_pair_t *kept = n->data.mapping.pairs.start;
    for (yaml_node_pair_t *pair = kept; pair < n->data.mapping.pairs.top; pair++) {
        const char *key = lk_yaml_text(yaml, pair->key);

        path_of_key(path, key ? key : "", inner);
        if (is_null(yaml, pair->value) || (is_empty(yaml, pair->value) && is_section(inner))) continue;
        drop_absent(yaml, pair->value, inner);
        *kept++ = *pair;
    }
    yaml->document.nodes.start[node - 1].data.mapping.pairs.top = kept;
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

/* "~" and "~/x": the shell leaves them alone behind `key=`, and a file's are nobody else's to expand. */
static char *at_home(const char *name)
{
    const char *home = getenv("HOME");
    char *path;

    if (name[0] != '~' || (name[1] != '/' && name[1] != '\0') || !home || *home != '/') return NULL;
    return asprintf(&path, "%s%s", home, name + 1) < 0 ? NULL : path;
}

/* folder NULL: a relative name stays one. */
static lk_status resolve_name(lk_yaml *yaml, int node, const char *folder)
{
    const char *name = lk_yaml_text(yaml, node);

    if (!name || *name == '/' || *name == '\0') return LK_OK;
    char *path = at_home(name);
    if (!path && !folder) return LK_OK;
    if (!path) path = absolute(folder, name);
    LK_TRY_ALLOC(path, strlen(name));
    const lk_status status = lk_yaml_rewrite(yaml, node, path);
    free(path);
    return status;
}

/* A name, or each of a list. */
static lk_status resolve_path(lk_yaml *yaml, const char *key, const char *folder)
{
    const int node = lk_yaml_at(yaml, key);
    const yaml_node_t *list = yaml_document_get_node(&yaml->document, node);

    if (!list || list->type != YAML_SEQUENCE_NODE) return resolve_name(yaml, node, folder);
    for (const int *item = list->data.sequence.items.start; item < list->data.sequence.items.top; item++)
        LK_TRY(resolve_name(yaml, *item, folder));
    return LK_OK;
}

/* `init_from: PATH` is short for `init_from: {checkpoint: PATH}`. */
static lk_status resolve_init_from(lk_yaml *yaml)
{
    const int path = lk_yaml_at(yaml, "init_from");
    int section;

    if (!lk_yaml_text(yaml, path)) return LK_OK;
    LK_TRY(lk_yaml_add_mapping(yaml, &section));
    lk_yaml_place(yaml, section, path);
    LK_TRY(lk_yaml_set(yaml, section, "checkpoint", path));
    return lk_yaml_set(yaml, 1, "init_from", section);
}

/* Those of data and of a plug-in count from `folder`; others from where the program runs, which is told when it is
 * known. */
static lk_status resolve_paths(lk_yaml *yaml, const char *folder)
{
    const lk_rule *data;
    const cyaml_schema_field_t *fields = lk_recipe_field("data", &data)->value.mapping.fields;
    char path[LK_RECIPE_PATH_BYTES];

    for (int i = 0; fields[i].key; i++) {
        snprintf(path, sizeof path, "data.%s", fields[i].key);
        if (data->rules[i].is_path) LK_TRY(resolve_path(yaml, path, folder));
    }
    LK_TRY(resolve_path(yaml, "model.plugin", folder));
    LK_TRY(resolve_path(yaml, "run.dir", NULL));
    return resolve_path(yaml, "init_from.checkpoint", NULL);
}

lk_status lk_recipe_resolve(lk_yaml *yaml, const char *folder)
{
    drop_absent(yaml, 1, "");
    LK_TRY(lk_recipe_rename_old(yaml));
    LK_TRY(resolve_init_from(yaml));
    LK_TRY(lk_recipe_imply_plugin(yaml));
    return resolve_paths(yaml, folder);
}
