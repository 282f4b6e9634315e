/*
 * Safetensors files as a source of named tensors: one, or those that an index names.
 *
 *     {"metadata": {...}, "weight_map": {"fc.weight": "model-00002-of-00002.safetensors", ...}}
 *
 * The index says which tensors there are and in which file each is.  The files lie in its folder.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "io/file/file_hash.h"
#include "io/file/files.h"
#include "io/weights/safetensors.h"
#include "io/weights/parts.h"

static const char index_ending[] = ".json", kind_of_tensor[] = "model/";

typedef struct place { const lk_safetensors *file; const lk_safe_tensor *tensor; } place;

typedef struct files {
    lk_safetensors *file; /* owned */
    size_t n;
    place *place;         /* owned: of each tensor of the lk_weights */
} files;

/* --------------------------------------------------------------------- kind */

static lk_status read(lk_weights *weights, size_t i, int64_t begin, int64_t end, float *out)
{
    const place *at = &((const files *)weights->inside)->place[i];
    size_t row = 1;

    for (int d = 1; d < at->tensor->ndim; d++) row *= (size_t)at->tensor->shape[d];
    return lk_safetensors_read(at->file, at->tensor, (size_t)begin * row, (size_t)(end - begin) * row, out);
}

static const char *type(const lk_weights *weights, size_t i)
{
    return ((const files *)weights->inside)->place[i].tensor->type->word;
}

/* The first file's: those of one model are written together. */
static const lk_metadata *metadata(const lk_weights *weights)
{
    return ((const files *)weights->inside)->file[0].metadata;
}

/* One file's own; of several, that of their hashes behind one another. */
static lk_status hash(const lk_weights *weights, char out[LK_HASH_BYTES])
{
    const files *f = weights->inside;
    lk_status status = LK_OK;

    if (f->n == 1) return lk_file_hash(f->file[0].path, out);
    XXH3_state_t *state = XXH3_createState();
    LK_TRY_ALLOC(state, sizeof state);
    XXH3_128bits_reset(state);
    for (size_t i = 0; i < f->n && status == LK_OK; i++) {
        status = lk_file_hash(f->file[i].path, out);
        if (status == LK_OK) XXH3_128bits_update(state, out, LK_HASH_BYTES);
    }
    lk_hash_print(XXH3_128bits_digest(state), out);
    XXH3_freeState(state);
    return status;
}

static void close_all(lk_weights *weights)
{
    files *f = weights->inside;

    for (size_t i = 0; i < f->n; i++) lk_safetensors_close(&f->file[i]);
    free(f->place);
    free(f->file);
    free(f);
}

static const lk_weights_kind of_files = {read, type, metadata, hash, close_all};

/* ------------------------------------------------------------------ opening */

/* With room for so many files and tensors. */
static lk_status begin(const char *path, size_t n_files, size_t most, lk_weights **out)
{
    files *f = calloc(1, sizeof *f);
    lk_status status = lk_weights_new(&of_files, path, most, out);

    if (f) f->file = calloc(n_files + 1, sizeof *f->file);
    if (f) f->place = calloc(most + 1, sizeof *f->place);
    if (status == LK_OK && !(f && f->file && f->place))
        status = LK_FAIL(LK_ERR_SYSTEM, "out of memory: the places of %zu tensors", most);
    if (status == LK_OK) {
        (*out)->inside = f;
        return LK_OK;
    }
    if (f) free(f->place), free(f->file), free(f);
    lk_weights_free(out);
    return status;
}

/* What is no weight is left where it is: PyTorch's buffers of whole numbers, masks. */
static lk_status add(lk_weights *weights, const lk_safetensors *file, const lk_safe_tensor *t)
{
    if (!t->type->to_f32 && lk_buffer_is(t->name)) return LK_OK;
    if (lk_mask_is(t->name, t->ndim, t->shape)) return LK_OK;
    ((files *)weights->inside)->place[weights->n] = (place){file, t};
    return lk_weights_add(weights, kind_of_tensor, t->name, t->ndim, t->shape, t->n_elem);
}

static lk_status open_one(const char *path, lk_weights **out)
{
    lk_safetensors file;

    LK_TRY(lk_safetensors_open(path, &file));
    const lk_status status = begin(path, 1, file.n, out);
    if (status != LK_OK) {
        lk_safetensors_close(&file);
        return status;
    }
    files *f = (*out)->inside;
    f->file[f->n++] = file;
    for (size_t i = 0; i < file.n; i++) LK_TRY(add(*out, &f->file[0], &f->file[0].tensor[i]));
    return LK_OK;
}

/* -------------------------------------------------------------------- index */

static lk_status find_file(const lk_weights *weights, const char *tensor, const char *name, lk_safetensors **out)
{
    files *f = weights->inside;
    char *dir, *path = NULL;
    lk_status status = LK_OK;

    if (!*name || strchr(name, '/'))
        return LK_FAIL(LK_ERR_CHECKPOINT, "%s: tensor %s: its file `%s` is no name in the index's folder",
                       weights->path, tensor, name);
    dir = lk_dir_of(weights->path);
    if (!dir || asprintf(&path, "%s/%s", dir, name) < 0)
        status = LK_FAIL(LK_ERR_SYSTEM, "out of memory: the path of %s", name);
    *out = NULL;
    for (size_t i = 0; status == LK_OK && i < f->n && !*out; i++)
        if (strcmp(f->file[i].path, path) == 0) *out = &f->file[i];
    if (status == LK_OK && !*out) {
        status = lk_safetensors_open(path, &f->file[f->n]);
        if (status == LK_OK) *out = &f->file[f->n++];
        else status = LK_FAIL(status, "%s (named by %s, for tensor %s)", lk_error_message(), weights->path, tensor);
    }
    free(path);
    free(dir);
    return status;
}

static lk_status add_mapped(lk_weights *weights, const char *name, const json_t *value)
{
    lk_safetensors *file = NULL;

    if (!json_is_string(value))
        return LK_FAIL(LK_ERR_CHECKPOINT, "%s: weight_map.%s is no name of a file", weights->path, name);
    LK_TRY(find_file(weights, name, json_string_value(value), &file));
    for (size_t i = 0; i < file->n; i++)
        if (strcmp(file->tensor[i].name, name) == 0) return add(weights, file, &file->tensor[i]);
    return LK_FAIL(LK_ERR_CHECKPOINT, "%s: tensor %s: the index says that it is here, and it is not (%s)", file->path,
                   name, weights->path);
}

/* No more files than tensors. */
static lk_status open_mapped(const char *path, const json_t *map, lk_weights **out)
{
    const char *name;
    json_t *value;

    if (json_object_size(map) == 0)
        return LK_FAIL(LK_ERR_CHECKPOINT, "%s: has no `weight_map` that names tensors: {\"fc.weight\": FILE, ...}",
                       path);
    LK_TRY(begin(path, json_object_size(map), json_object_size(map), out));
    json_object_foreach((json_t *)map, name, value) LK_TRY(add_mapped(*out, name, value));
    return LK_OK;
}

static lk_status open_index(const char *path, lk_weights **out)
{
    char *text;
    size_t nbytes;
    json_error_t error;

    if (lk_read_file(path, &text, &nbytes) != LK_OK) return LK_FAIL(LK_ERR_CHECKPOINT, "%s", lk_error_message());
    json_t *root = json_loadb(text, nbytes, JSON_REJECT_DUPLICATES, &error);
    free(text);
    if (!root)
        return LK_FAIL(LK_ERR_CHECKPOINT, "%s: line %d: it is no JSON: %s", path, error.line, error.text);
    const lk_status status = open_mapped(path, json_object_get(root, "weight_map"), out);
    json_decref(root);
    return status;
}

lk_status lk_weights_open(const char *path, lk_weights **out)
{
    const size_t length = strlen(path), ending = strlen(index_ending);
    const bool is_index = length > ending && strcmp(path + length - ending, index_ending) == 0;

    *out = NULL;
    const lk_status status = is_index ? open_index(path, out) : open_one(path, out);
    if (status != LK_OK) lk_weights_free(out);
    return status;
}
