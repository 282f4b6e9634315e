/* Lists of sections that have names, `stages` and `optimizer.groups`: finding one, and that no two are called alike. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/recipe/parts.h"

static const yaml_node_t *node_at(lk_yaml *yaml, const char *list)
{
    return yaml_document_get_node(&yaml->document, lk_yaml_at(yaml, list));
}

unsigned lk_named_count(lk_yaml *yaml, const lk_named_list *list)
{
    const yaml_node_t *node = node_at(yaml, list->path);

    if (!node || node->type != YAML_SEQUENCE_NODE) return 0;
    return (unsigned)(node->data.sequence.items.top - node->data.sequence.items.start);
}

int lk_named_item(lk_yaml *yaml, const lk_named_list *list, unsigned i)
{
    return node_at(yaml, list->path)->data.sequence.items.start[i];
}

const char *lk_named_name(lk_yaml *yaml, const lk_named_list *list, unsigned i, char text[LK_RECIPE_PATH_BYTES])
{
    const char *given = lk_yaml_text(yaml, lk_yaml_get(yaml, lk_named_item(yaml, list, i), "name"));

    if (given) return given;
    snprintf(text, LK_RECIPE_PATH_BYTES, "%s%u", list->unnamed, i + list->first);
    return text;
}

lk_status lk_named_copy_name(lk_yaml *yaml, const lk_named_list *list, unsigned i, char **out)
{
    char text[LK_RECIPE_PATH_BYTES];
    const char *name = lk_named_name(yaml, list, i, text);

    *out = strdup(name);
    LK_TRY_ALLOC(*out, strlen(name) + 1);
    return LK_OK;
}

lk_status lk_named_check(lk_yaml *yaml, const lk_named_list *list)
{
    char a[LK_RECIPE_PATH_BYTES], b[LK_RECIPE_PATH_BYTES];
    const unsigned n = lk_named_count(yaml, list);

    for (unsigned i = 0; i < n; i++) {
        const char *name = lk_named_name(yaml, list, i, a);

        for (unsigned k = 0; k < i; k++)
            if (strcmp(name, lk_named_name(yaml, list, k, b)) == 0)
                return lk_yaml_fail(yaml, lk_named_item(yaml, list, i), list->path, "two %s are called `%s`",
                                    list->many, name);
    }
    return LK_OK;
}

/* By name, or by number from 0. */
static int find(lk_yaml *yaml, const lk_named_list *list, const char *name)
{
    const unsigned n = lk_named_count(yaml, list);
    char text[LK_RECIPE_PATH_BYTES], *end;

    for (unsigned i = 0; i < n; i++)
        if (strcmp(lk_named_name(yaml, list, i, text), name) == 0) return lk_named_item(yaml, list, i);
    const unsigned long number = strtoul(name, &end, 10);
    const bool is_number = isdigit((unsigned char)*name) && *end == '\0';
    return is_number && number < n ? lk_named_item(yaml, list, (unsigned)number) : 0;
}

lk_status lk_named_path(lk_yaml *yaml, const lk_named_list *list, const char *override, const char *path, int *mapping,
                        const char **rest)
{
    const size_t n = strlen(list->path);
    char name[LK_RECIPE_PATH_BYTES];

    *mapping = 0;
    if (strncmp(path, list->path, n) != 0 || path[n] != '.') return LK_OK;
    path += n + 1;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(path, "."), path);
    *mapping = find(yaml, list, name);
    if (!*mapping) return LK_FAIL(LK_ERR_USAGE, "%s: the recipe has no %s `%s`", override, list->one, name);
    if (yaml_document_get_node(&yaml->document, *mapping)->type != YAML_MAPPING_NODE)
        return lk_yaml_fail(yaml, *mapping, list->path, "expected keys, {key: value}");
    path += strlen(name);
    if (*path != '.')
        return LK_FAIL(LK_ERR_USAGE, "%s: name a key of the %s: %s.%s.key=value", override, list->one, list->path,
                       name);
    *rest = path + 1;
    return LK_OK;
}
