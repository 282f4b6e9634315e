/*
 * `model: {plugin: FILE, args: {width: 64}}` in the schema's words: the kind that it implies, and the arguments, whose
 * names only the plug-in knows, as a list of "name=value".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/recipe/parts.h"

static lk_status append(lk_yaml *yaml, int list, const char *name, const char *value)
{
    char *text;
    int item;

    if (asprintf(&text, "%s=%s", name, value) < 0) return LK_FAIL(LK_ERR_SYSTEM, "out of memory: model.args");
    const lk_status status = lk_yaml_add_text(yaml, text, &item);
    free(text);
    LK_TRY(status);
    if (yaml_document_append_sequence_item(&yaml->document, list, item)) return LK_OK;
    return LK_FAIL(LK_ERR_SYSTEM, "out of memory: model.args");
}

/* Adding nodes moves them, so a pair is looked up each time. */
static lk_status list_args(lk_yaml *yaml, int model, int args)
{
    const yaml_node_t *node = yaml_document_get_node(&yaml->document, args);

    if (!node || node->type != YAML_MAPPING_NODE) return LK_OK;
    const ptrdiff_t n = node->data.mapping.pairs.top - node->data.mapping.pairs.start;
    const int list = yaml_document_add_sequence(&yaml->document, NULL, YAML_FLOW_SEQUENCE_STYLE);

    if (!list) return LK_FAIL(LK_ERR_SYSTEM, "out of memory: model.args");
    lk_yaml_place(yaml, list, args);
    for (ptrdiff_t i = 0; i < n; i++) {
        const yaml_node_pair_t pair = yaml_document_get_node(&yaml->document, args)->data.mapping.pairs.start[i];
        const char *name = lk_yaml_text(yaml, pair.key), *value = lk_yaml_text(yaml, pair.value);

        if (!name || !value)
            return lk_yaml_fail(yaml, pair.value, "model.args", "an argument is a name and one value: {width: 64}");
        LK_TRY(append(yaml, list, name, value));
    }
    return lk_yaml_set(yaml, model, "args", list);
}

lk_status lk_recipe_set_arg(lk_yaml *yaml, int model, const char *name, const char *value)
{
    int args = lk_yaml_get(yaml, model, "args");

    if (!args) {
        args = yaml_document_add_sequence(&yaml->document, NULL, YAML_FLOW_SEQUENCE_STYLE);
        if (!args) return LK_FAIL(LK_ERR_SYSTEM, "out of memory: model.args");
        LK_TRY(lk_yaml_set(yaml, model, "args", args));
    }
    if (yaml_document_get_node(&yaml->document, args)->type != YAML_SEQUENCE_NODE)
        return lk_yaml_fail(yaml, args, "model.args", "an argument is a name and one value: {width: 64}");
    LK_TRY(append(yaml, args, name, value));

    /* In place of what was given before. */
    yaml_node_item_t *first = yaml_document_get_node(&yaml->document, args)->data.sequence.items.start;
    yaml_node_item_t **top = &yaml_document_get_node(&yaml->document, args)->data.sequence.items.top;
    const size_t n = strlen(name);
    for (yaml_node_item_t *item = first; item + 1 < *top; item++) {
        const char *text = lk_yaml_text(yaml, *item);
        if (!text || strncmp(text, name, n) != 0 || text[n] != '=') continue;
        *item = *--*top;
        break;
    }
    return LK_OK;
}

lk_status lk_recipe_imply_plugin(lk_yaml *yaml)
{
    const int model = lk_yaml_at(yaml, "model");
    int kind;

    if (!model || !lk_yaml_at(yaml, "model.plugin")) return LK_OK;
    if (!lk_yaml_at(yaml, "model.kind")) {
        LK_TRY(lk_yaml_add_text(yaml, "plugin", &kind));
        lk_yaml_place(yaml, kind, lk_yaml_at(yaml, "model.plugin"));
        LK_TRY(lk_yaml_set(yaml, model, "kind", kind));
    }
    return list_args(yaml, model, lk_yaml_at(yaml, "model.args"));
}
