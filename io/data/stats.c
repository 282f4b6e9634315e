/*
 * The statistics of the training part, which every other part and later predictions are read by; and their form as
 * JSON, which checkpoints keep:
 *
 *     {"kind": "csv", "file_columns": 3, "columns": [
 *        {"name": "age", "mean": 28.6, "deviation": 12.5, "fill": 29.0},
 *        {"name": "ocean_proximity", "categories": ["INLAND", "NEAR BAY"]}],
 *      "image": [0, 0, 0], "classes": 0, "target": {"name": "y", "scales": [{"mean": 0.0, "deviation": 1.0}]}}
 *
 * Numbers have 17 digits, so they come back as the same doubles.  No fill value: the key is absent.  Of pairs there are
 * the words by their numbers, too, of source and target: "words": [["<pad>", ...], ["<pad>", ...]], or by byte pairs
 * "merges": the list of merges as a file holds it; of text by characters "words", in one list.  fit.c computes
 * statistics, apply.c uses them.
 */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/data/data.h"

enum { NAME_CHARS = 24, DIGITS = 17 };

/* --------------------------------------------------------------------- memory */

lk_status lk_stats_new(lk_data_kind kind, lk_data_stats **out)
{
    *out = calloc(1, sizeof **out);
    LK_TRY_ALLOC(*out, sizeof **out);
    (*out)->n_users = 1;
    (*out)->kind = kind;
    return LK_OK;
}

lk_data_stats *lk_stats_share(lk_data_stats *stats)
{
    stats->n_users++;
    return stats;
}

static void free_categories(lk_categories *categories)
{
    for (size_t c = 0; c < categories->n; c++) free(categories->text[c]);
    free(categories->text);
}

void lk_stats_free(lk_data_stats **stats)
{
    lk_data_stats *s = *stats;

    *stats = NULL;
    if (!s || --s->n_users > 0) return;
    for (size_t k = 0; k < s->n_columns; k++) {
        free_categories(&s->column[k].categories);
        free(s->column[k].name);
    }
    free(s->column);
    free_categories(&s->classes);
    for (int side = 0; side < LK_N_LANGUAGES; side++) lk_vocabulary_free(&s->words[side]);
    lk_bpe_free(&s->bpe);
    free(s->target_name);
    free(s->target);
    free(s);
}

lk_status lk_stats_set_columns(lk_data_stats *stats, size_t n_columns, const char *const *names)
{
    char number[NAME_CHARS];

    stats->column = calloc(n_columns, sizeof *stats->column);
    LK_TRY_ALLOC(stats->column, n_columns * sizeof *stats->column);
    stats->n_columns = n_columns;
    for (size_t k = 0; k < n_columns; k++) {
        lk_column *column = &stats->column[k];
        snprintf(number, sizeof number, "x%zu", k);
        column->name = strdup(names ? names[k] : number);
        LK_TRY_ALLOC(column->name, sizeof number);
        column->fill = NAN;
        column->scale.deviation = 1.0;
    }
    return LK_OK;
}

lk_status lk_stats_set_target(lk_data_stats *stats, const char *name, size_t n_targets)
{
    stats->target_name = strdup(name);
    LK_TRY_ALLOC(stats->target_name, strlen(name) + 1);
    stats->target = calloc(n_targets, sizeof *stats->target);
    LK_TRY_ALLOC(stats->target, n_targets * sizeof *stats->target);
    stats->n_targets = n_targets;
    for (size_t j = 0; j < n_targets; j++) stats->target[j].deviation = 1.0;
    return LK_OK;
}

size_t lk_stats_n_input(const lk_data_stats *stats, int64_t rows_per_sample)
{
    size_t width = 0;

    for (size_t k = 0; k < stats->n_columns; k++) width += lk_column_width(&stats->column[k]);
    return width * (size_t)rows_per_sample;
}

static const char *const kind_word[] = {
#define KIND_WORD(id, word, read) [id] = word,
    LK_DATA_LIST(KIND_WORD)
#undef KIND_WORD
};

/* ---------------------------------------------------------------------- write */

static json_t *categories_to_json(const lk_categories *categories)
{
    json_t *list = json_array();

    for (size_t c = 0; c < categories->n; c++)
        if (json_array_append_new(list, json_string(categories->text[c])) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static json_t *column_to_json(const lk_column *column)
{
    if (column->categorical)
        return json_pack("{s:s, s:o}", "name", column->name, "categories",
                         categories_to_json(&column->categories));
    json_t *object = json_pack("{s:s, s:f, s:f}", "name", column->name, "mean", column->scale.mean, "deviation",
                               column->scale.deviation);
    if (object && !isnan(column->fill)) json_object_set_new(object, "fill", json_real(column->fill));
    return object;
}

static json_t *target_to_json(const lk_data_stats *stats)
{
    json_t *scales = json_array();

    for (size_t j = 0; j < stats->n_targets; j++)
        json_array_append_new(scales, json_pack("{s:f, s:f}", "mean", stats->target[j].mean, "deviation",
                                                stats->target[j].deviation));
    json_t *object = json_pack("{s:s, s:o}", "name", stats->target_name, "scales", scales);
    if (object && stats->classes.n) json_object_set_new(object, "classes", categories_to_json(&stats->classes));
    return object;
}

static json_t *vocabulary_to_json(const lk_vocabulary *vocabulary)
{
    json_t *list = json_array();

    for (int64_t w = 0; w < lk_vocabulary_n(vocabulary); w++)
        if (json_array_append_new(list, json_string(lk_vocabulary_text(vocabulary, w))) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static json_t *words_to_json(const lk_data_stats *stats)
{
    json_t *sides = json_array();

    for (int side = 0; side < LK_N_LANGUAGES && stats->words[side]; side++)
        json_array_append_new(sides, vocabulary_to_json(stats->words[side]));
    return sides;
}

static json_t *merges_to_json(const lk_data_stats *stats)
{
    char *text = NULL;
    json_t *merges = lk_bpe_write(stats->bpe, &text) == LK_OK ? json_string(text) : NULL;

    free(text);
    return merges;
}

/* By one or the other, a sentence's numbers. */
static int add_words(const lk_data_stats *stats, json_t *root)
{
    return stats->bpe ? json_object_set_new(root, "merges", merges_to_json(stats))
                      : json_object_set_new(root, "words", words_to_json(stats));
}

static json_t *to_json(const lk_data_stats *stats)
{
    json_t *columns = json_array();

    for (size_t k = 0; k < stats->n_columns; k++)
        if (json_array_append_new(columns, column_to_json(&stats->column[k])) != 0) {
            json_decref(columns);
            return NULL;
        }
    json_t *root = json_pack("{s:s, s:I, s:o, s:[I,I,I], s:I}", "kind", kind_word[stats->kind], "file_columns",
                             (json_int_t)stats->file_columns, "columns", columns, "image",
                             (json_int_t)stats->image[0], (json_int_t)stats->image[1], (json_int_t)stats->image[2],
                             "classes", (json_int_t)stats->n_classes);
    if (root && stats->target_name) json_object_set_new(root, "target", target_to_json(stats));
    if (root && stats->words[0] && add_words(stats, root) != 0) {
        json_decref(root);
        return NULL;
    }
    return root;
}

lk_status lk_stats_write(const lk_data_stats *stats, char **json)
{
    json_t *root = to_json(stats);

    *json = root ? json_dumps(root, JSON_REAL_PRECISION(DIGITS)) : NULL;
    json_decref(root);
    if (!*json) return LK_FAIL(LK_ERR_SYSTEM, "out of memory: statistics of %zu columns as JSON", stats->n_columns);
    return LK_OK;
}

/* ----------------------------------------------------------------------- read */

static bool scale_from_json(json_t *object, lk_scale *scale)
{
    return json_unpack(object, "{s:F, s:F}", "mean", &scale->mean, "deviation", &scale->deviation) == 0;
}

static bool categories_from_json(json_t *list, lk_categories *categories)
{
    categories->text = calloc(json_array_size(list) + 1, sizeof *categories->text);
    if (!categories->text || !json_is_array(list)) return false;
    for (size_t c = 0; c < json_array_size(list); c++) {
        const char *text = json_string_value(json_array_get(list, c));
        if (!text || !(categories->text[c] = strdup(text))) return false;
        categories->n++;
    }
    return true;
}

static bool column_from_json(json_t *object, lk_column *column)
{
    const char *name = json_string_value(json_object_get(object, "name"));
    json_t *categories = json_object_get(object, "categories"), *fill = json_object_get(object, "fill");

    if (!name) return false;
    free(column->name);
    column->name = strdup(name);
    if (!column->name) return false;
    column->categorical = categories != NULL;
    if (categories) return categories_from_json(categories, &column->categories);
    if (json_is_number(fill)) column->fill = json_number_value(fill);
    return scale_from_json(object, &column->scale);
}

static bool columns_from_json(json_t *list, lk_data_stats *stats)
{
    const size_t n = json_array_size(list);

    if (!json_is_array(list)) return false;
    if (n == 0) return true;
    if (lk_stats_set_columns(stats, n, NULL) != LK_OK) return false;
    for (size_t k = 0; k < n; k++)
        if (!column_from_json(json_array_get(list, k), &stats->column[k])) return false;
    return true;
}

static bool target_from_json(json_t *object, lk_data_stats *stats)
{
    const char *name = json_string_value(json_object_get(object, "name"));
    json_t *scales = json_object_get(object, "scales"), *classes = json_object_get(object, "classes");

    if (!name || !json_is_array(scales)) return false;
    if (lk_stats_set_target(stats, name, json_array_size(scales)) != LK_OK) return false;
    for (size_t j = 0; j < stats->n_targets; j++)
        if (!scale_from_json(json_array_get(scales, j), &stats->target[j])) return false;
    return !classes || categories_from_json(classes, &stats->classes);
}

static bool vocabulary_from_json(json_t *list, lk_vocabulary **vocabulary)
{
    for (size_t w = 0; w < json_array_size(list); w++) {
        const char *text = json_string_value(json_array_get(list, w));
        if (!text || lk_vocabulary_add(vocabulary, text) != (int64_t)w) return false;
    }
    return *vocabulary != NULL;
}

static bool words_from_json(json_t *sides, lk_data_stats *stats)
{
    const size_t n = json_array_size(sides);

    for (size_t side = 0; side < n && side < LK_N_LANGUAGES; side++)
        if (!vocabulary_from_json(json_array_get(sides, side), &stats->words[side])) return false;
    return n >= 1 && n <= LK_N_LANGUAGES;
}

static bool merges_from_json(json_t *merges, lk_data_stats *stats)
{
    const char *text = json_string_value(merges);
    lk_bpe *bpe;

    return text && lk_bpe_parse("the checkpoint's merges", text, strlen(text), &bpe) == LK_OK &&
           lk_stats_set_bpe(stats, bpe) == LK_OK;
}

static bool kind_from_json(json_t *word, lk_data_kind *kind)
{
    const char *text = json_string_value(word);

    for (size_t i = 0; text && i < sizeof kind_word / sizeof *kind_word; i++)
        if (strcmp(kind_word[i], text) == 0) {
            *kind = (lk_data_kind)i;
            return true;
        }
    return false;
}

static bool from_json(json_t *root, lk_data_stats *stats)
{
    json_int_t file_columns, image[3], classes;
    json_t *target = json_object_get(root, "target"), *words = json_object_get(root, "words");
    json_t *merges = json_object_get(root, "merges");

    if (json_unpack(root, "{s:I, s:[I,I,I], s:I}", "file_columns", &file_columns, "image", &image[0], &image[1],
                    &image[2], "classes", &classes) != 0)
        return false;
    stats->file_columns = (size_t)file_columns;
    for (int d = 0; d < 3; d++) stats->image[d] = image[d];
    stats->n_classes = classes;
    return kind_from_json(json_object_get(root, "kind"), &stats->kind) &&
           columns_from_json(json_object_get(root, "columns"), stats) &&
           (!target || target_from_json(target, stats)) && (!words || words_from_json(words, stats)) &&
           (!merges || merges_from_json(merges, stats));
}

lk_status lk_stats_read(const char *json, lk_data_stats **out)
{
    json_error_t error;
    json_t *root = json_loads(json, 0, &error);

    *out = NULL;
    if (!root) return LK_FAIL(LK_ERR_DATA, "the statistics of the training data are not JSON: %s", error.text);
    lk_status status = lk_stats_new(LK_DATA_CSV, out);
    if (status == LK_OK && !from_json(root, *out)) {
        lk_stats_free(out);
        status = LK_FAIL(LK_ERR_DATA, "the statistics of the training data lack a key or have one of another type");
    }
    json_decref(root);
    return status;
}
