/*
 * Opening, verifying and reading a checkpoint.
 *
 * Opening reads every file once (workers each their part of them) and compares it with its checksum; only then does
 * HDF5 see it.  Reading asks for rows of a tensor, whoever wrote them: index.h5 says which part has which.  Files of
 * shards are opened when they are first needed and a few stay open.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/checkpoint/parts.h"

enum { OPEN_FILES = 32, MESSAGE_BYTES = 2048 };

typedef struct open_file {
    int number; /* of the file in the manifest */
    lk_shard_reader reader;
} open_file;

struct lk_checkpoint {
    char *path;                 /* owned, of the folder itself */
    lk_manifest manifest;
    lk_metadata *metadata;      /* owned */
    open_file open[OPEN_FILES]; /* file f at f % OPEN_FILES; reader.file invalid when none is */
};

/* ------------------------------------------------------------------ opening */

static bool exists(const char *dir, const char *name)
{
    char path[LK_CKPT_PATH_BYTES];

    return lk_ckpt_path(path, dir, name) == LK_OK && access(path, F_OK) == 0;
}

/* The folder behind the path of a step or of a link to one.  Links are followed once, here: `latest` may move on while
 * the checkpoint is read. */
static lk_status find_folder(const char *path, char **out)
{
    struct stat info;

    *out = realpath(path, NULL);
    if (*out) return LK_OK;
    const int why = errno;
    if (why == ENOENT && lstat(path, &info) == 0)
        return LK_FAIL(LK_ERR_CHECKPOINT,
                       "%s links to a checkpoint that is gone: name the run, for its newest good one", path);
    return LK_FAIL(LK_ERR_CHECKPOINT, "there is no checkpoint at %s: %s", path, strerror(why));
}

/* Tensors in a file: the shared ones in every shard, the leader's in the last file. */
static size_t tensors_in(const lk_manifest *manifest, int number, const lk_ckpt_tensor **first)
{
    const bool of_leader = number == manifest->parts;

    *first = manifest->layout.tensor + (of_leader ? manifest->n_shared : 0);
    return of_leader ? manifest->layout.n - manifest->n_shared : manifest->n_shared;
}

/* Who verifies which files when one is opened: every n-th from r on; n 0: they have been verified. */
typedef struct share { int r, n; } share;

static lk_status verify(const lk_checkpoint *checkpoint, share mine)
{
    const lk_manifest *manifest = &checkpoint->manifest;

    for (int f = mine.r; mine.n > 0 && f <= manifest->parts; f += mine.n) {
        const lk_ckpt_tensor *tensors;
        const size_t n = tensors_in(manifest, f, &tensors);

        LK_TRY(lk_ckpt_file_verify(checkpoint->path, manifest->header[f].file, &manifest->header[f], tensors, n));
    }
    return LK_OK;
}

static lk_status file_of(lk_checkpoint *checkpoint, int number, const lk_shard_reader **out)
{
    const lk_manifest *manifest = &checkpoint->manifest;
    open_file *open = &checkpoint->open[number % OPEN_FILES];
    const lk_ckpt_tensor *tensors;

    if (open->reader.file < 0 || open->number != number) {
        lk_shard_close(&open->reader);
        LK_TRY(lk_shard_open(checkpoint->path, manifest->header[number].file, tensors_in(manifest, number, &tensors),
                             &open->reader));
        open->number = number;
    }
    *out = &open->reader;
    return LK_OK;
}

static lk_status read_metadata(lk_checkpoint *checkpoint)
{
    const lk_shard_reader *leader = NULL;

    LK_TRY(file_of(checkpoint, checkpoint->manifest.parts, &leader));
    LK_TRY(lk_shard_read_metadata(leader, &checkpoint->metadata));
    return LK_OK;
}

/* Without its metadata, for leader.h5 may be in another's share. */
static lk_status open_folder(const char *path, share mine, lk_checkpoint *checkpoint)
{
    for (int i = 0; i < OPEN_FILES; i++) checkpoint->open[i].reader.file = H5I_INVALID_HID;
    LK_TRY(find_folder(path, &checkpoint->path));
    LK_TRY(lk_ckpt_file_verify(checkpoint->path, LK_INDEX_FILE, NULL, NULL, 0));
    LK_TRY(lk_manifest_read(checkpoint->path, &checkpoint->manifest));
    LK_TRY(verify(checkpoint, mine));
    return LK_OK;
}

lk_status lk_checkpoint_verify_part(const char *path, int r, int n)
{
    lk_checkpoint *checkpoint = calloc(1, sizeof *checkpoint);

    LK_TRY_ALLOC(checkpoint, sizeof *checkpoint);
    const lk_status status = open_folder(path, (share){r, n}, checkpoint);
    lk_checkpoint_free(&checkpoint);
    return status;
}

static lk_status open_shared(const char *path, share mine, lk_checkpoint **out)
{
    lk_checkpoint *checkpoint = calloc(1, sizeof *checkpoint);

    LK_TRY_ALLOC(checkpoint, sizeof *checkpoint);
    lk_status status = open_folder(path, mine, checkpoint);
    if (status == LK_OK) status = read_metadata(checkpoint);
    if (status != LK_OK) {
        lk_checkpoint_free(&checkpoint);
        return lk_trace(status, __FILE__, __LINE__);
    }
    *out = checkpoint;
    return LK_OK;
}

static lk_status open_exactly(const char *path, lk_checkpoint **out) { return open_shared(path, (share){0, 1}, out); }

lk_status lk_checkpoint_open_verified(const char *path, lk_checkpoint **out)
{
    *out = NULL;
    return open_shared(path, (share){0, 0}, out);
}

void lk_checkpoint_free(lk_checkpoint **checkpoint)
{
    if (!checkpoint || !*checkpoint) return;
    for (int i = 0; i < OPEN_FILES; i++) lk_shard_close(&(*checkpoint)->open[i].reader);
    lk_metadata_free(&(*checkpoint)->metadata);
    lk_manifest_free(&(*checkpoint)->manifest);
    free((*checkpoint)->path);
    lk_free(checkpoint);
}

/* ------------------------------------------------------------------- newest */

static lk_status newest_of(const char *dir, const int64_t *steps, size_t n,
                           void (*warn)(void *arg, const char *message), void *arg, lk_checkpoint **out)
{
    char path[LK_CKPT_PATH_BYTES], name[LK_FILE_NAME_BYTES], message[MESSAGE_BYTES], first[MESSAGE_BYTES] = "";

    for (size_t i = n; i-- > 0;) {
        lk_step_name(name, steps[i], "");
        LK_TRY(lk_ckpt_path(path, dir, name));
        const lk_status status = open_exactly(path, out);

        if (status == LK_OK) return LK_OK;
        if (status != LK_ERR_CHECKPOINT) return lk_trace(status, __FILE__, __LINE__);
        /* The caller may use this thread's message itself. */
        snprintf(message, sizeof message, "%s", lk_error_message());
        if (i + 1 == n) memcpy(first, message, sizeof first);
        if (warn) warn(arg, message);
    }
    if (n == 0) return LK_OK;
    return LK_FAIL(LK_ERR_CHECKPOINT, "none of the %zu checkpoints under %s is good; the newest: %s", n, dir, first);
}

lk_status lk_checkpoint_newest(const char *dir, void (*warn)(void *arg, const char *message), void *arg,
                               lk_checkpoint **out)
{
    int64_t *steps;
    size_t n;

    *out = NULL;
    LK_TRY(lk_ckpt_steps(dir, &steps, &n));
    const lk_status status = newest_of(dir, steps, n, warn, arg, out);
    free(steps);
    LK_TRY(status);
    return LK_OK;
}

lk_status lk_checkpoint_open(const char *path, lk_checkpoint **out)
{
    char dir[LK_CKPT_PATH_BYTES];
    int64_t *steps;
    size_t n = 0;

    *out = NULL;
    if (!exists(path, LK_INDEX_FILE)) {
        LK_TRY(lk_ckpt_path(dir, path, exists(path, "checkpoints") ? "checkpoints" : ""));
        if (lk_ckpt_steps(dir, &steps, &n) == LK_OK) free(steps);
        if (n > 0) return lk_checkpoint_newest(dir, NULL, NULL, out);
    }
    return open_exactly(path, out);
}

/* The newest first. */
static char *print_paths(const char *dir, const int64_t *steps, size_t n)
{
    char path[LK_CKPT_PATH_BYTES], name[LK_FILE_NAME_BYTES];
    char *text = NULL;
    size_t nbytes;
    FILE *out = open_memstream(&text, &nbytes);

    for (size_t i = n; out && i-- > 0;) {
        lk_step_name(name, steps[i], "");
        if (lk_ckpt_path(path, dir, name) == LK_OK) fprintf(out, "%s\n", path);
    }
    if (out && fclose(out) == 0) return text;
    free(text);
    return NULL;
}

static lk_status list_paths(const char *dir, char **paths)
{
    int64_t *steps;
    size_t n;

    LK_TRY(lk_ckpt_steps(dir, &steps, &n));
    if (n > 0) *paths = print_paths(dir, steps, n);
    free(steps);
    return n == 0 || *paths ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "out of memory: paths of %zu checkpoints", n);
}

lk_status lk_checkpoint_candidates(const char *path, char **paths, bool *any)
{
    char dir[LK_CKPT_PATH_BYTES];

    *paths = NULL;
    *any = !exists(path, LK_INDEX_FILE);
    if (*any) {
        LK_TRY(lk_ckpt_path(dir, path, exists(path, "checkpoints") ? "checkpoints" : ""));
        LK_TRY(list_paths(dir, paths));
        if (*paths || exists(path, "checkpoints")) return LK_OK;
    }
    *any = false; /* what is there is told by opening it */
    *paths = strdup(path);
    return *paths ? LK_OK : LK_FAIL(LK_ERR_SYSTEM, "out of memory: the path %s", path);
}

/* ------------------------------------------------------------------ reading */

const char *lk_checkpoint_path(const lk_checkpoint *checkpoint) { return checkpoint->path; }
int64_t lk_checkpoint_step(const lk_checkpoint *checkpoint) { return checkpoint->manifest.step; }
const lk_metadata *lk_checkpoint_metadata(const lk_checkpoint *checkpoint) { return checkpoint->metadata; }
size_t lk_checkpoint_n_tensors(const lk_checkpoint *checkpoint) { return checkpoint->manifest.layout.n; }

const lk_ckpt_tensor *lk_checkpoint_tensor(const lk_checkpoint *checkpoint, size_t i)
{
    return &checkpoint->manifest.layout.tensor[i];
}

/* n tensors in all: there is none. */
static size_t index_of(const lk_layout *layout, const char *path)
{
    size_t i = 0;

    while (i < layout->n && strcmp(layout->tensor[i].path, path) != 0) i++;
    return i;
}

bool lk_checkpoint_has(const lk_checkpoint *checkpoint, const char *path)
{
    return index_of(&checkpoint->manifest.layout, path) < checkpoint->manifest.layout.n;
}

static lk_status find_tensor(const lk_checkpoint *checkpoint, const char *path, size_t *out)
{
    *out = index_of(&checkpoint->manifest.layout, path);
    if (*out < checkpoint->manifest.layout.n) return LK_OK;
    return LK_FAIL(LK_ERR_CHECKPOINT, "%s has no tensor %s", checkpoint->path, path);
}

/* Rows [begin, end) of tensor i, all of them in one file. */
static lk_status read_extent(lk_checkpoint *checkpoint, size_t i, int number, int64_t begin, int64_t end, float *out)
{
    const lk_manifest *manifest = &checkpoint->manifest;
    const size_t in_file = i < manifest->n_shared ? i : i - manifest->n_shared;
    const lk_shard_reader *reader = NULL;

    LK_TRY(file_of(checkpoint, number, &reader));
    LK_TRY(lk_shard_read(reader, in_file, &manifest->layout.tensor[i], begin, end, out));
    return LK_OK;
}

static lk_status read_rows(lk_checkpoint *checkpoint, size_t i, int64_t begin, int64_t end, float *out)
{
    const lk_manifest *manifest = &checkpoint->manifest;
    const lk_ckpt_tensor *tensor = &manifest->layout.tensor[i];
    const int64_t n_rows = lk_tensor_rows(tensor);
    const size_t row_elems = lk_tensor_row_elems(tensor);
    const bool of_leader = i >= manifest->n_shared;

    if (begin < 0 || begin > end || end > n_rows)
        return LK_FAIL(LK_ERR_CHECKPOINT, "%s: %s has %lld rows, there is no [%lld, %lld)", checkpoint->path,
                       tensor->path, (long long)n_rows, (long long)begin, (long long)end);
    if (begin == end || row_elems == 0) return LK_OK;
    if (of_leader) return read_extent(checkpoint, i, manifest->parts, begin, end, out);
    for (size_t k = manifest->pieces.first[i]; k < manifest->pieces.first[i + 1]; k++) {
        const lk_ckpt_piece *piece = &manifest->pieces.piece[k];
        const int64_t from = piece->begin > begin ? piece->begin : begin, to = piece->end < end ? piece->end : end;

        if (from < to)
            LK_TRY(read_extent(checkpoint, i, (int)piece->part, from, to,
                               out + (size_t)(from - begin) * row_elems));
    }
    return LK_OK;
}

lk_status lk_checkpoint_read(lk_checkpoint *checkpoint, const char *path, int64_t begin, int64_t end, float *out)
{
    size_t i = 0;

    LK_TRY(find_tensor(checkpoint, path, &i));
    LK_TRY(read_rows(checkpoint, i, begin, end, out));
    return LK_OK;
}

static lk_status load_one(lk_checkpoint *checkpoint, const lk_ckpt_tensor *tensor)
{
    char wanted[LK_SHAPE_BYTES], saved[LK_SHAPE_BYTES];
    size_t i = 0;

    LK_TRY(find_tensor(checkpoint, tensor->path, &i));
    const lk_ckpt_tensor *found = &checkpoint->manifest.layout.tensor[i];
    if (!lk_tensor_same_shape(found, tensor))
        return LK_FAIL(LK_ERR_CHECKPOINT, "%s: %s was saved with shape %s, this model has %s", checkpoint->path,
                       tensor->path, lk_print_shape(found->ndim, found->shape, saved),
                       lk_print_shape(tensor->ndim, tensor->shape, wanted));
    if (tensor->is_part) LK_TRY(read_rows(checkpoint, i, tensor->begin, tensor->end, tensor->data));
    else LK_TRY(read_rows(checkpoint, i, 0, lk_tensor_rows(found), tensor->data));
    return LK_OK;
}

lk_status lk_checkpoint_load(lk_checkpoint *checkpoint, const lk_ckpt_tensor *tensors, size_t n)
{
    for (size_t i = 0; i < n; i++) LK_TRY(load_one(checkpoint, &tensors[i]));
    return LK_OK;
}
