/* summary.json: notes as JSON in their order; metrics/validation.mse is the key validation.mse of an object metrics,
 * layers/fc1/flops one of an object in an object. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/file/files.h"
#include "io/file/json.h"
#include "io/file/metadata.h"

static json_t *value_of(const lk_metadata *metadata, size_t i)
{
    const char *path = lk_metadata_path(metadata, i), *text = "";
    int64_t integer = 0;
    double real = 0;

    switch (lk_metadata_kind(metadata, i)) {
    case LK_NOTE_INT: return lk_metadata_get_int(metadata, path, &integer) == LK_OK ? json_integer(integer) : NULL;
    case LK_NOTE_REAL:
        if (lk_metadata_get_real(metadata, path, &real) != LK_OK) return NULL;
        return isfinite(real) ? json_real(real) : json_null();
    case LK_NOTE_TEXT: break;
    }
    return lk_metadata_get_text(metadata, path, &text) == LK_OK ? lk_json_text(text) : NULL;
}

/* The member of that name, made when it is the first. */
static json_t *member_of(json_t *object, const char *text, size_t length)
{
    char *name = strndup(text, length);
    json_t *member = name ? json_object_get(object, name) : NULL;

    if (name && !member && json_object_set_new(object, name, json_object()) == 0)
        member = json_object_get(object, name);
    free(name);
    return member;
}

/* The object in which a path's key goes; *key is what remains of the path. */
static json_t *object_of(json_t *root, const char *path, const char **key)
{
    json_t *object = root;

    *key = path;
    for (const char *slash; (slash = strchr(*key, '/')); *key = slash + 1)
        object = member_of(object, *key, (size_t)(slash - *key));
    return object;
}

static char *dump_metadata(const lk_metadata *metadata)
{
    enum { INDENT = 2 };
    json_t *root = json_object();
    char *text = NULL;
    bool good = root != NULL;

    for (size_t i = 0; good && i < lk_metadata_n(metadata); i++) {
        const char *key;
        json_t *object = object_of(root, lk_metadata_path(metadata, i), &key);
        good = json_object_set_new(object, key, value_of(metadata, i)) == 0;
    }
    if (good) text = json_dumps(root, JSON_INDENT(INDENT));
    json_decref(root);
    return text;
}

lk_status lk_summary_write(const char *path, const lk_metadata *metadata)
{
    char *json = dump_metadata(metadata), *text = NULL;

    const int n = json ? asprintf(&text, "%s\n", json) : -1;
    free(json);
    if (n < 0) return LK_FAIL(LK_ERR_SYSTEM, "out of memory: the text of %s", path);
    const lk_status status = lk_write_file_atomic(path, text, (size_t)n);
    free(text);
    return status;
}

lk_status lk_summary_read_real(const char *path, const char *key, double *out)
{
    json_error_t error;
    char *text;

    LK_TRY(lk_read_file(path, &text, NULL));
    json_t *root = json_loads(text, 0, &error);
    free(text);
    if (!root) return LK_FAIL(LK_ERR_USAGE, "%s:%d: %s", path, error.line, error.text);
    const json_t *value = json_object_get(root, key);
    const bool good = json_is_number(value);

    *out = json_number_value(value);
    json_decref(root);
    return good ? LK_OK : LK_FAIL(LK_ERR_USAGE, "%s has no number `%s`", path, key);
}
