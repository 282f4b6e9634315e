/*
 * The JSON header of a safetensors file, taken apart and checked.
 *
 *     {"__metadata__": {"format": "pt"}, "fc.weight": {"dtype": "F32", "shape": [10, 512], "data_offsets": [0, 20480]}}
 *
 * Nothing in it is believed: each tensor's bytes must be as many as its type and shape need and lie in the file, and
 * all tensors together must be the data, without an overlap and without a hole.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "io/weights/safetensors.h"

static const char metadata_key[] = "__metadata__";

#define FAIL_TENSOR(file, name, ...) fail_tensor(file, name, __FILE__, __LINE__, __VA_ARGS__)

/* "w.safetensors: tensor fc.weight: ..." */
__attribute__((format(printf, 5, 6))) static lk_status fail_tensor(const lk_safetensors *file, const char *name,
                                                                   const char *at, int line, const char *format, ...)
{
    char why[256];
    va_list args;

    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    return lk_fail(LK_ERR_CHECKPOINT, at, line, "%s: tensor %.256s: %s", file->path, name, why);
}

/* ------------------------------------------------------------------- tensors */

/* A whole number of at least 0. */
static bool take_count(const json_t *value, int64_t *out)
{
    *out = json_is_integer(value) ? (int64_t)json_integer_value(value) : -1;
    return *out >= 0;
}

static lk_status take_type(const lk_safetensors *file, const json_t *entry, lk_safe_tensor *t)
{
    const char *word = json_string_value(json_object_get(entry, "dtype"));

    if (!word) return FAIL_TENSOR(file, t->name, "its entry in the header has no text `dtype`");
    t->type = lk_safe_type_find(word);
    if (!t->type) return FAIL_TENSOR(file, t->name, "its type `%.32s` is unknown here", word);
    return LK_OK;
}

/* The shape, and how many elements and bytes it makes. */
static lk_status take_shape(const lk_safetensors *file, const json_t *entry, lk_safe_tensor *t, size_t *nbytes)
{
    const json_t *shape = json_object_get(entry, "shape");

    if (!json_is_array(shape)) return FAIL_TENSOR(file, t->name, "its entry in the header has no list `shape`");
    if (json_array_size(shape) > LK_MAX_DIMS)
        return FAIL_TENSOR(file, t->name, "it has %zu dimensions; at most %d can be read", json_array_size(shape),
                           LK_MAX_DIMS);
    t->ndim = (int)json_array_size(shape);
    t->n_elem = 1;
    for (int d = 0; d < t->ndim; d++) {
        if (!take_count(json_array_get(shape, (size_t)d), &t->shape[d]))
            return FAIL_TENSOR(file, t->name, "number %d of its shape is no whole number of at least 0", d);
        if (__builtin_mul_overflow(t->n_elem, (size_t)t->shape[d], &t->n_elem))
            return FAIL_TENSOR(file, t->name, "its shape makes more elements than can be counted");
    }
    if (__builtin_mul_overflow(t->n_elem, t->type->nbytes, nbytes))
        return FAIL_TENSOR(file, t->name, "its shape makes more bytes than can be counted");
    return LK_OK;
}

static lk_status take_range(const lk_safetensors *file, const json_t *entry, lk_safe_tensor *t, size_t nbytes)
{
    const json_t *offsets = json_object_get(entry, "data_offsets");
    char shape[LK_SHAPE_BYTES];
    int64_t begin, end;

    if (json_array_size(offsets) != 2 || !take_count(json_array_get(offsets, 0), &begin) ||
        !take_count(json_array_get(offsets, 1), &end))
        return FAIL_TENSOR(file, t->name, "its `data_offsets` are not two whole numbers of at least 0");
    if (begin > end) return FAIL_TENSOR(file, t->name, "its bytes end at %lld, before they begin at %lld",
                                        (long long)end, (long long)begin);
    if ((size_t)end > file->data_nbytes)
        return FAIL_TENSOR(file, t->name, "its bytes [%lld, %lld) lie beyond the %zu of data that the file has: "
                           "it is cut short, copy it again",
                           (long long)begin, (long long)end, file->data_nbytes);
    if ((size_t)(end - begin) != nbytes)
        return FAIL_TENSOR(file, t->name, "%s %s takes %zu bytes, and the header gives it %lld", t->type->word,
                           lk_print_shape(t->ndim, t->shape, shape), nbytes, (long long)(end - begin));
    t->begin = (size_t)begin;
    t->end = (size_t)end;
    return LK_OK;
}

static lk_status take_tensor(lk_safetensors *file, const char *name, const json_t *entry)
{
    lk_safe_tensor *t = &file->tensor[file->n];
    size_t nbytes = 0;

    t->name = strdup(name);
    LK_TRY_ALLOC(t->name, strlen(name) + 1);
    file->n++;
    if (!json_is_object(entry)) return FAIL_TENSOR(file, name, "its entry in the header is no {...}");
    LK_TRY(take_type(file, entry, t));
    LK_TRY(take_shape(file, entry, t, &nbytes));
    return take_range(file, entry, t, nbytes);
}

/* ------------------------------------------------------------------- the whole */

static lk_status take_metadata(lk_safetensors *file, const json_t *entries)
{
    const char *key;
    json_t *value;

    if (!json_is_object(entries))
        return LK_FAIL(LK_ERR_CHECKPOINT, "%s: %s in its header is no {...}", file->path, metadata_key);
    json_object_foreach((json_t *)entries, key, value) {
        if (!json_is_string(value))
            return LK_FAIL(LK_ERR_CHECKPOINT, "%s: %s.%s in its header is no text", file->path, metadata_key, key);
        LK_TRY(lk_metadata_set_text(file->metadata, key, json_string_value(value)));
    }
    return LK_OK;
}

static int by_place(const void *a, const void *b)
{
    const lk_safe_tensor *x = a, *y = b;

    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end) return x->end < y->end ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* Each tensor begins where the one before it ends, the last ends with the file. */
static lk_status check_places(const lk_safetensors *file)
{
    size_t end = 0;

    for (size_t i = 0; i < file->n; i++) {
        const lk_safe_tensor *t = &file->tensor[i];

        if (t->begin < end)
            return FAIL_TENSOR(file, t->name, "its bytes [%zu, %zu) overlap those of %.128s, which end at %zu",
                               t->begin, t->end, file->tensor[i - 1].name, end);
        if (t->begin > end)
            return FAIL_TENSOR(file, t->name, "its bytes begin at %zu, behind a hole: those before it end at %zu",
                               t->begin, end);
        end = t->end;
    }
    if (end == file->data_nbytes) return LK_OK;
    return LK_FAIL(LK_ERR_CHECKPOINT, "%s: %zu bytes lie behind the last tensor, which ends at %zu of the data",
                   file->path, file->data_nbytes - end, end);
}

static lk_status take_all(const json_t *root, lk_safetensors *file)
{
    const char *name;
    json_t *entry;

    file->tensor = calloc(json_object_size(root) + 1, sizeof *file->tensor);
    LK_TRY_ALLOC(file->tensor, json_object_size(root) * sizeof *file->tensor);
    LK_TRY(lk_metadata_new(&file->metadata));
    json_object_foreach((json_t *)root, name, entry)
        LK_TRY(strcmp(name, metadata_key) == 0 ? take_metadata(file, entry) : take_tensor(file, name, entry));
    qsort(file->tensor, file->n, sizeof *file->tensor, by_place);
    return check_places(file);
}

lk_status lk_safetensors_parse(const char *header, size_t nbytes, lk_safetensors *file)
{
    json_error_t error;
    json_t *root = json_loadb(header, nbytes, JSON_REJECT_DUPLICATES, &error);

    if (!root)
        return LK_FAIL(LK_ERR_CHECKPOINT, "%s: its header is no JSON: %s, before byte %d of it", file->path, error.text,
                       error.position);
    const lk_status status = json_is_object(root)
        ? take_all(root, file) : LK_FAIL(LK_ERR_CHECKPOINT, "%s: its header is no {...}", file->path);
    json_decref(root);
    return status;
}
