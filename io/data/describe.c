/*
 * What a sample's fields are, as JSON that checkpoints keep:
 *
 *     [{"name": "x", "type": "uint8", "shape": [28, 28, 1], "mean": [0.286], "std": [0.353]},
 *      {"name": "label", "type": "int32", "shape": [], "target": true}]
 *
 * and how two of them differ.  The length of an axis that varies is -1; bytes that stand for themselves have no means.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/data/data.h"

enum { SCALE_BYTES = 80, TEXT_BYTES = LK_FIELD_TEXT_BYTES + 2 * SCALE_BYTES + 32, DIGITS = 9 };

/* ---------------------------------------------------------------------- write */

static json_t *shape_to_json(const lk_field *field)
{
    json_t *list = json_array();

    for (int d = 0; d < field->ndim; d++) json_array_append_new(list, json_integer(field->shape[d]));
    return list;
}

static json_t *floats_to_json(const float *values, int n)
{
    json_t *list = json_array();

    for (int i = 0; i < n; i++) json_array_append_new(list, json_real((double)values[i]));
    return list;
}

static json_t *field_to_json(const lk_field *field)
{
    const int n = field->pixels.n_channels;
    json_t *object = json_pack("{s:s, s:s, s:o}", "name", field->name, "type", lk_dtype_name(field->dtype), "shape",
                               shape_to_json(field));

    if (n > 0) json_object_set_new(object, "mean", floats_to_json(field->pixels.mean, n));
    if (n > 0) json_object_set_new(object, "std", floats_to_json(field->pixels.std, n));
    if (field->target) json_object_set_new(object, "target", json_true());
    return object;
}

lk_status lk_sample_write(const lk_sample *sample, char **json)
{
    json_t *list = json_array();

    for (int f = 0; f < sample->n_fields; f++) json_array_append_new(list, field_to_json(&sample->field[f]));
    const bool whole = list && (int)json_array_size(list) == sample->n_fields;
    *json = whole ? json_dumps(list, JSON_REAL_PRECISION(DIGITS)) : NULL;
    json_decref(list);
    return *json ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "out of memory: %d fields as JSON", sample->n_fields);
}

/* ----------------------------------------------------------------------- read */

static bool dtype_from_json(json_t *word, lk_dtype *dtype)
{
    static const lk_dtype of_fields[] = {LK_DTYPE_F32, LK_DTYPE_I32, LK_DTYPE_U8};
    const char *text = json_string_value(word);

    for (size_t i = 0; text && i < sizeof of_fields / sizeof *of_fields; i++)
        if (strcmp(lk_dtype_name(*dtype = of_fields[i]), text) == 0) return true;
    return false;
}

static bool shape_from_json(json_t *list, lk_field *field)
{
    if (!json_is_array(list) || json_array_size(list) > LK_MAX_DIMS - 1) return false;
    field->ndim = (int)json_array_size(list);
    for (int d = 0; d < field->ndim; d++) field->shape[d] = json_integer_value(json_array_get(list, (size_t)d));
    return true;
}

static bool pixels_from_json(json_t *mean, json_t *std, lk_pixels *pixels)
{
    const size_t n = json_array_size(mean);

    if (n > LK_MAX_CHANNELS || json_array_size(std) != n) return false;
    pixels->n_channels = (int)n;
    for (size_t c = 0; c < n; c++) {
        pixels->mean[c] = (float)json_number_value(json_array_get(mean, c));
        pixels->std[c] = (float)json_number_value(json_array_get(std, c));
    }
    return true;
}

static bool field_from_json(json_t *object, lk_field *field)
{
    const char *name = json_string_value(json_object_get(object, "name"));

    *field = (lk_field){.target = json_is_true(json_object_get(object, "target"))};
    if (!name || strlen(name) >= sizeof field->name) return false;
    snprintf(field->name, sizeof field->name, "%s", name);
    return dtype_from_json(json_object_get(object, "type"), &field->dtype) &&
           shape_from_json(json_object_get(object, "shape"), field) &&
           pixels_from_json(json_object_get(object, "mean"), json_object_get(object, "std"), &field->pixels);
}

static bool from_json(json_t *list, lk_sample *sample)
{
    lk_field field;

    if (!json_is_array(list) || json_array_size(list) > LK_MAX_FIELDS) return false;
    for (size_t f = 0; f < json_array_size(list); f++) {
        if (!field_from_json(json_array_get(list, f), &field) || lk_sample_find(sample, field.name) >= 0) return false;
        lk_sample_add(sample, &field);
    }
    return true;
}

lk_status lk_sample_read(const char *json, lk_sample *out)
{
    json_t *list = json_loads(json, 0, NULL);

    *out = (lk_sample){0};
    const bool good = from_json(list, out);
    json_decref(list);
    if (good) return LK_OK;
    return LK_FAIL(LK_ERR_CHECKPOINT, "the description of a sample's fields is not what it should be: %s", json);
}

/* -------------------------------------------------------------------- compare */

static const char *print_floats(const float *values, int n, char text[SCALE_BYTES])
{
    int used = snprintf(text, SCALE_BYTES, n > 1 ? "[" : "");

    for (int c = 0; c < n; c++)
        used += snprintf(text + used, (size_t)(SCALE_BYTES - used), "%s%.6g", c ? ", " : "", (double)values[c]);
    snprintf(text + used, (size_t)(SCALE_BYTES - used), n > 1 ? "]" : "");
    return text;
}

/* "uint8 (28, 28, 1), each (v / 255 - 0.286) / 0.353" */
static const char *print_field(const lk_field *field, char text[TEXT_BYTES])
{
    const int n = field->pixels.n_channels;
    char what[LK_FIELD_TEXT_BYTES], mean[SCALE_BYTES], std[SCALE_BYTES];

    lk_field_describe(field, what);
    if (n == 0) snprintf(text, TEXT_BYTES, "%s", what);
    else
        snprintf(text, TEXT_BYTES, "%s, each (v / 255 - %s) / %s", what, print_floats(field->pixels.mean, n, mean),
                 print_floats(field->pixels.std, n, std));
    return text;
}

static bool same_shape(const lk_field *a, const lk_field *b)
{
    return a->ndim == b->ndim && memcmp(a->shape, b->shape, (size_t)a->ndim * sizeof *a->shape) == 0;
}

static bool same_pixels(const lk_pixels *a, const lk_pixels *b)
{
    if (a->n_channels != b->n_channels) return false;
    for (int c = 0; c < a->n_channels; c++)
        if (a->mean[c] != b->mean[c] || a->std[c] != b->std[c]) return false;
    return true;
}

lk_status lk_sample_compare(const lk_sample *was, const lk_sample *is, char **differences)
{
    char old[TEXT_BYTES], new[TEXT_BYTES];

    for (int f = 0; f < was->n_fields; f++) {
        const lk_field *a = &was->field[f];
        const int at = lk_sample_find(is, a->name);
        const lk_field *b = at < 0 ? NULL : &is->field[at];

        if (!b && a->target) continue;
        if (!b)
            return LK_FAIL(LK_ERR_DATA, "field %s: the run was trained on %s, these data have no such field", a->name,
                           print_field(a, old));
        if (!same_shape(a, b))
            return LK_FAIL(LK_ERR_DATA, "field %s: the run was trained on %s, these data give %s", a->name,
                           print_field(a, old), print_field(b, new));
        if (a->dtype != b->dtype || !same_pixels(&a->pixels, &b->pixels))
            LK_TRY(lk_warning_add(differences, "field %s: the run was trained on %s, these data give %s", a->name,
                                  print_field(a, old), print_field(b, new)));
    }
    return LK_OK;
}
