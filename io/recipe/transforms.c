/*
 * The schema of one transform in data.transforms and data.validation_transforms, and what concerns the lists as wholes:
 * normalize comes last, and only once, for images are bytes until then.
 */
#include <string.h>

#define LK_OWNER lk_transform_spec
#include "io/recipe/keys.h"

static const cyaml_strval_t transform_words[] = WORDS(LK_TRANSFORM_LIST);

enum { MOST_PADDING = 1 << 12 };

#define TRANSFORM_KEYS(X)                                                                             \
    X("kind", WORD(kind, transform_words), NEEDED)                                                    \
    X("padding", WHOLE(padding), FROM_TO(1, MOST_PADDING), NEEDED, ONLY("random_crop"))               \
    X("p", REAL(p), FROM_TO(0, 1), DEFAULT("0.5"), ONLY("hflip"))                                     \
    X("mean", REALS(mean, n_mean, 1), ANY, NEEDED, ONLY("normalize"))                                 \
    X("std", REALS(std, n_std, 1), ABOVE(0), NEEDED, ONLY("normalize"))

static const cyaml_schema_field_t transform_fields[] = {TRANSFORM_KEYS(AS_FIELD) CYAML_FIELD_END};
const lk_rule lk_transform_rules[] = {TRANSFORM_KEYS(AS_RULE)};
const cyaml_schema_value_t lk_transform_entry = {
    .type = CYAML_MAPPING, .data_size = sizeof(lk_transform_spec), .mapping = {transform_fields}};

static bool is_random(const char *kind)
{
#define RANDOM(id, word, random) if (random && strcmp(kind, word) == 0) return true;
    LK_TRANSFORM_LIST(RANDOM)
#undef RANDOM
    return false;
}

/* The nodes of a list of sections; n 0 where there is none. */
static const int *items_of(lk_yaml *yaml, const char *path, ptrdiff_t *n)
{
    const yaml_node_t *list = yaml_document_get_node(&yaml->document, lk_yaml_at(yaml, path));

    *n = list ? list->data.sequence.items.top - list->data.sequence.items.start : 0;
    return list ? list->data.sequence.items.start : NULL;
}

static const char *kind_of(lk_yaml *yaml, int item) { return lk_yaml_text(yaml, lk_yaml_get(yaml, item, "kind")); }

static lk_status check_list(lk_yaml *yaml, const char *path, bool evaluation)
{
    ptrdiff_t n;
    const int *item = items_of(yaml, path, &n);

    for (ptrdiff_t i = 0; i < n; i++) {
        const char *kind = kind_of(yaml, item[i]);
        if (strcmp(kind, "normalize") == 0 && i + 1 < n)
            return lk_yaml_fail(yaml, item[i], path, "normalize is followed by %s: it comes last, images are bytes "
                                "until then", kind_of(yaml, item[i + 1]));
        if (evaluation && is_random(kind))
            return lk_yaml_fail(yaml, item[i], path, "%s is left to chance, and evaluation is not: it belongs into "
                                "data.transforms", kind);
    }
    return LK_OK;
}

/* Evaluation sees what training sees, but for chance. */
static lk_status derive_evaluation(lk_yaml *yaml)
{
    ptrdiff_t n;
    const int *item = items_of(yaml, "data.transforms", &n);
    const int data = lk_yaml_at(yaml, "data");
    int list = 0;

    if (lk_yaml_at(yaml, "data.validation_transforms")) return LK_OK;
    for (ptrdiff_t i = 0; i < n; i++) {
        if (is_random(kind_of(yaml, item[i]))) continue;
        if (!list) list = yaml_document_add_sequence(&yaml->document, NULL, YAML_FLOW_SEQUENCE_STYLE);
        if (!list || !yaml_document_append_sequence_item(&yaml->document, list, item[i]))
            return LK_FAIL(LK_ERR_SYSTEM, "out of memory: data.validation_transforms");
    }
    return list ? lk_yaml_set(yaml, data, "validation_transforms", list) : LK_OK;
}

/* One word on values is enough. */
static lk_status check_pixels(lk_yaml *yaml)
{
    static const char *const keys[] = {"data.pixel_mean", "data.pixel_std"};
    ptrdiff_t n;
    const int *item = items_of(yaml, "data.transforms", &n);

    for (size_t k = 0; k < N_OF(keys); k++)
        if (n && strcmp(kind_of(yaml, item[n - 1]), "normalize") == 0 && lk_yaml_at(yaml, keys[k]))
            return lk_yaml_fail(yaml, lk_yaml_at(yaml, keys[k]), keys[k],
                                "data.transforms has a normalize, too: leave one of them out");
    return LK_OK;
}

lk_status lk_recipe_check_transforms(lk_yaml *yaml)
{
    LK_TRY(check_list(yaml, "data.transforms", false));
    LK_TRY(check_list(yaml, "data.validation_transforms", true));
    LK_TRY(check_pixels(yaml));
    return derive_evaluation(yaml);
}
