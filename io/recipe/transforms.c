/*
 * The schema of one transform in data.transforms and data.validation_transforms, and what concerns the lists as wholes:
 * images are bytes until normalize, behind which only what works on numbers may stand.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LK_OWNER lk_transform_spec
#include "io/recipe/keys.h"

static const cyaml_strval_t transform_words[] = WORDS(LK_TRANSFORM_LIST);
static const cyaml_strval_t interpolation_words[] = WORDS(LK_INTERPOLATION_LIST);

enum { MOST_PADDING = 1 << 12, MOST_SIDE = 1 << 14 };

#define RESIZERS "resize random_resized_crop"
#define CUTTERS "random_resized_crop random_erasing"
#define MIXERS "mixup cutmix"
#define JITTER(m) COUNTED(0, m.bound, m.n, real_entry, 1, 2)
#define TRANSFORM_KEYS(X)                                                                             \
    X("kind", WORD(kind, transform_words), NEEDED)                                                    \
    X("size", COUNTED(0, size, n_size, whole_entry, 1, 2), FROM_TO(1, MOST_SIDE), ONE_OR_MORE,        \
      ONLY(RESIZERS " center_crop random_crop"))                                                      \
    X("interpolation", WORD(interpolation, interpolation_words), DEFAULT("bilinear"), ONLY(RESIZERS)) \
    X("padding", WHOLE(padding), FROM_TO(0, MOST_PADDING), DEFAULT("0"), ONLY("random_crop"))         \
    X("scale", FIXED(scale, double, real_entry, 2), FROM_TO(0, 1), ONLY(CUTTERS))                     \
    X("ratio", FIXED(ratio, double, real_entry, 2), ABOVE(0), ONLY(CUTTERS))                          \
    X("p", REAL(p), FROM_TO(0, 1), DEFAULT("0.5"), ONLY("hflip vflip random_erasing"))                \
    X("brightness", JITTER(brightness), AT_LEAST(0), ONE_OR_MORE, ONLY("color_jitter"))               \
    X("contrast", JITTER(contrast), AT_LEAST(0), ONE_OR_MORE, ONLY("color_jitter"))                   \
    X("saturation", JITTER(saturation), AT_LEAST(0), ONE_OR_MORE, ONLY("color_jitter"))               \
    X("hue", JITTER(hue), FROM_TO(-0.5, 0.5), ONE_OR_MORE, ONLY("color_jitter"))                      \
    X("value", COUNTED(0, value, n_value, real_entry, 1, LK_MAX_CHANNELS), ANY, ONE_OR_MORE,          \
      DEFAULT("0"), ONLY("random_erasing"))                                                           \
    X("mean", REALS(mean, n_mean, 1), ANY, NEEDED, ONE_OR_MORE, ONLY("normalize"))                    \
    X("std", REALS(std, n_std, 1), ABOVE(0), NEEDED, ONE_OR_MORE, ONLY("normalize"))                  \
    X("alpha", REAL(alpha), ABOVE(0), DEFAULT("1"), ONLY(MIXERS))

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
    const char *mixed = NULL;
    bool normalized = false;

    for (ptrdiff_t i = 0; i < n; i++) {
        const char *kind = kind_of(yaml, item[i]);
        const bool mixer = strstr(MIXERS, kind);

        if (normalized && !mixer && strcmp(kind, "random_erasing") != 0)
            return lk_yaml_fail(yaml, item[i], path, "%s stands behind normalize, where images are bytes no more; "
                                "random_erasing, mixup and cutmix alone may", kind);
        if (mixed && (!mixer || strcmp(mixed, kind) == 0))
            return lk_yaml_fail(yaml, item[i], path, "%s stands behind %s, which mixes samples that are done: it comes "
                                "last", kind, mixed);
        normalized |= strcmp(kind, "normalize") == 0;
        if (mixer) mixed = kind;
        if (evaluation && is_random(kind))
            return lk_yaml_fail(yaml, item[i], path, "%s is left to chance, and evaluation is not: it belongs into "
                                "data.transforms", kind);
    }
    return LK_OK;
}

/* -------------------------------------------------------------------- sections */

/* Areas and ratios that torchvision takes unless told. */
static const struct { const char *kind, *key, *range[2]; } ranges[] = {
    {"random_resized_crop", "scale", {"0.08", "1"}},
    {"random_resized_crop", "ratio", {"0.75", "1.3333333333333333"}},
    {"random_erasing", "scale", {"0.02", "0.33"}},
    {"random_erasing", "ratio", {"0.3", "3.3"}},
};

static double number_of(lk_yaml *yaml, int list, int i)
{
    const yaml_node_t *node = yaml_document_get_node(&yaml->document, list);

    return strtod(lk_yaml_text(yaml, node->data.sequence.items.start[i]), NULL);
}

static lk_status fill_ranges(lk_yaml *yaml, const char *path, int item)
{
    for (size_t r = 0; r < N_OF(ranges); r++) {
        int list = lk_yaml_get(yaml, item, ranges[r].key);

        if (strcmp(kind_of(yaml, item), ranges[r].kind) != 0) continue;
        if (!list) {
            LK_TRY(lk_yaml_add_list(yaml, ranges[r].range, 2, &list));
            LK_TRY(lk_yaml_set(yaml, item, ranges[r].key, list));
        }
        if (number_of(yaml, list, 0) > number_of(yaml, list, 1))
            return lk_yaml_fail(yaml, item, path, "%s of %s is [from, to], and from is the larger one",
                                ranges[r].key, ranges[r].kind);
    }
    return LK_OK;
}

/* How large the result is must be said, and a random_crop that says nothing does nothing. */
static lk_status check_size(lk_yaml *yaml, const char *path, int item)
{
    const char *kind = kind_of(yaml, item);
    const bool sized = lk_yaml_get(yaml, item, "size"), crop = strcmp(kind, "random_crop") == 0;

    if (crop && !sized && strtol(lk_yaml_text(yaml, lk_yaml_get(yaml, item, "padding")), NULL, 10) == 0)
        return lk_yaml_fail(yaml, item, path, "random_crop needs size, padding or both");
    if (!sized && (strcmp(kind, "center_crop") == 0 || strstr(RESIZERS, kind)))
        return lk_yaml_fail(yaml, item, path, "%s needs size: one number, or [height, width]", kind);
    return LK_OK;
}

/* A jitter is how far it goes, or [from, to]. */
static lk_status check_jitter(lk_yaml *yaml, const char *path, int item)
{
    static const char *const keys[] = {"brightness", "contrast", "saturation", "hue"};
    bool any = false;

    if (strcmp(kind_of(yaml, item), "color_jitter") != 0) return LK_OK;
    for (size_t k = 0; k < N_OF(keys); k++) {
        const int list = lk_yaml_get(yaml, item, keys[k]);

        if (!list) continue;
        any = true;
        const yaml_node_t *node = yaml_document_get_node(&yaml->document, list);
        const bool one = node->data.sequence.items.top - node->data.sequence.items.start == 1;
        const double low = one ? 0.0 : number_of(yaml, list, 0), high = number_of(yaml, list, one ? 0 : 1);
        if (low > high)
            return lk_yaml_fail(yaml, item, path, "%s of color_jitter is one number from 0, or [from, to]", keys[k]);
    }
    if (any) return LK_OK;
    return lk_yaml_fail(yaml, item, path, "color_jitter needs one of brightness, contrast, saturation and hue");
}

static lk_status check_items(lk_yaml *yaml, const char *path)
{
    ptrdiff_t n;

    items_of(yaml, path, &n);
    for (ptrdiff_t i = 0; i < n; i++) {
        const int item = items_of(yaml, path, &n)[i]; /* adding nodes moves them */

        LK_TRY(check_size(yaml, path, item));
        LK_TRY(check_jitter(yaml, path, item));
        LK_TRY(fill_ranges(yaml, path, item));
    }
    return LK_OK;
}

/* ------------------------------------------------------------------ evaluation */

/* A crop of the same size from the middle stands for a random one. */
static lk_status add_center_crop(lk_yaml *yaml, int crop, int *out)
{
    int kind;

    LK_TRY(lk_yaml_add_mapping(yaml, out));
    LK_TRY(lk_yaml_add_text(yaml, "center_crop", &kind));
    LK_TRY(lk_yaml_set(yaml, *out, "kind", kind));
    return lk_yaml_set(yaml, *out, "size", lk_yaml_get(yaml, crop, "size"));
}

/* What evaluation does in the place of one of training's; *out 0: nothing. */
static lk_status twin_of(lk_yaml *yaml, int item, int *out)
{
    const char *kind = kind_of(yaml, item);

    *out = is_random(kind) ? 0 : item;
    if (strcmp(kind, "random_crop") == 0 && lk_yaml_get(yaml, item, "size"))
        return add_center_crop(yaml, item, out);
    if (strcmp(kind, "random_resized_crop") != 0) return LK_OK;
    return lk_yaml_fail(yaml, item, "data.transforms", "random_resized_crop has no counterpart without chance: say "
                        "in data.validation_transforms what evaluation sees, as {kind: resize, size: 256} and "
                        "{kind: center_crop, size: 224}");
}

/* Evaluation sees what training sees, but for chance. */
static lk_status derive_evaluation(lk_yaml *yaml)
{
    ptrdiff_t n;
    int list = 0;

    items_of(yaml, "data.transforms", &n);
    if (lk_yaml_at(yaml, "data.validation_transforms")) return LK_OK;
    for (ptrdiff_t i = 0; i < n; i++) {
        int twin;

        LK_TRY(twin_of(yaml, items_of(yaml, "data.transforms", &n)[i], &twin));
        if (!twin) continue;
        if (!list) list = yaml_document_add_sequence(&yaml->document, NULL, YAML_FLOW_SEQUENCE_STYLE);
        if (!list || !yaml_document_append_sequence_item(&yaml->document, list, twin))
            return LK_FAIL(LK_ERR_SYSTEM, "out of memory: data.validation_transforms");
    }
    return list ? lk_yaml_set(yaml, lk_yaml_at(yaml, "data"), "validation_transforms", list) : LK_OK;
}

static bool has_normalize(lk_yaml *yaml, const char *path)
{
    ptrdiff_t n;
    const int *item = items_of(yaml, path, &n);
    bool normalized = false;

    for (ptrdiff_t i = 0; i < n; i++) normalized |= strcmp(kind_of(yaml, item[i]), "normalize") == 0;
    return normalized;
}

/* Numbers of two scales are rarely meant. */
static lk_status note_one_normalize(lk_yaml *yaml)
{
    static const char *const lists[] = {"data.validation_transforms", "data.transforms"};
    const bool training = has_normalize(yaml, "data.transforms");
    char line[LK_RECIPE_PATH_BYTES];

    if (training == has_normalize(yaml, "data.validation_transforms")) return LK_OK;
    snprintf(line, sizeof line, "warning: %s has a normalize and %s none: evaluation sees numbers of another scale "
             "than training", lists[training], lists[!training]);
    return lk_yaml_note(yaml, line);
}

/* One word on values is enough. */
static lk_status check_pixels(lk_yaml *yaml)
{
    static const char *const keys[] = {"data.pixel_mean", "data.pixel_std"};
    const bool normalized = has_normalize(yaml, "data.transforms");

    for (size_t k = 0; k < N_OF(keys); k++)
        if (normalized && lk_yaml_at(yaml, keys[k]))
            return lk_yaml_fail(yaml, lk_yaml_at(yaml, keys[k]), keys[k],
                                "data.transforms has a normalize, too: leave one of them out");
    return LK_OK;
}

/* Mixed labels are probabilities. */
static lk_status derive_probabilities(lk_yaml *yaml)
{
    static const char path[] = "loss.probabilities";
    int mixer = 0;
    ptrdiff_t n;
    const int *item = items_of(yaml, "data.transforms", &n);

    for (ptrdiff_t i = 0; i < n; i++)
        if (strstr(MIXERS, kind_of(yaml, item[i]))) mixer = item[i];
    if (!lk_yaml_is(yaml, "loss.kind", "cross_entropy")) {
        if (!mixer) return LK_OK;
        return lk_yaml_fail(yaml, mixer, "data.transforms", "%s mixes labels: it is for loss.kind cross_entropy",
                            kind_of(yaml, mixer));
    }
    if (mixer && lk_yaml_is(yaml, path, "false"))
        return lk_yaml_fail(yaml, lk_yaml_at(yaml, path), path, "%s in data.transforms makes probabilities of labels: "
                            "leave this out", kind_of(yaml, mixer));
    return lk_yaml_default_to(yaml, "loss", "probabilities", mixer ? "true" : "false");
}

lk_status lk_recipe_check_transforms(lk_yaml *yaml)
{
    LK_TRY(check_list(yaml, "data.transforms", false));
    LK_TRY(check_list(yaml, "data.validation_transforms", true));
    LK_TRY(check_items(yaml, "data.transforms"));
    LK_TRY(check_items(yaml, "data.validation_transforms"));
    LK_TRY(check_pixels(yaml));
    LK_TRY(derive_probabilities(yaml));
    LK_TRY(derive_evaluation(yaml));
    return note_one_normalize(yaml);
}
