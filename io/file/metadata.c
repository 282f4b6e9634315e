/*
 * Notes: a small owned dictionary of numbers and texts by path, for checkpoints and summaries.
 *
 * A hash finds a path; an array beside it keeps the order in which paths were first set.  Setting a path again
 * replaces its value, whatever kind it had, and leaves it in its place.
 */
#define HASH_NONFATAL_OOM 1
#include "io/file/metadata.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

typedef struct note {
    char *path; /* owned */
    lk_note_kind kind;
    int64_t integer;
    double real;
    char *text; /* owned */
    UT_hash_handle hh;
} note;

struct lk_metadata {
    note *by_path; /* uthash's head */
    note **order;  /* owned, as are the notes in it */
    size_t n, room;
};

static const char *const kind_words[] = {"a whole number", "a real number", "a text"};

lk_status lk_metadata_new(lk_metadata **out)
{
    *out = calloc(1, sizeof **out);
    LK_TRY_ALLOC(*out, sizeof **out);
    return LK_OK;
}

static void note_free(note *n)
{
    if (!n) return;
    free(n->path);
    free(n->text);
    free(n);
}

void lk_metadata_free(lk_metadata **metadata)
{
    if (!metadata || !*metadata) return;
    HASH_CLEAR(hh, (*metadata)->by_path);
    for (size_t i = 0; i < (*metadata)->n; i++) note_free((*metadata)->order[i]);
    free((*metadata)->order);
    lk_free(metadata);
}

static note *find(const lk_metadata *metadata, const char *path)
{
    note *found;

    HASH_FIND_STR(metadata->by_path, path, found);
    return found;
}

static lk_status make_room(lk_metadata *metadata)
{
    if (metadata->n < metadata->room) return LK_OK;
    const size_t room = metadata->room ? 2 * metadata->room : 16;
    note **order = realloc(metadata->order, room * sizeof *order);

    LK_TRY_ALLOC(order, room * sizeof *order);
    metadata->order = order;
    metadata->room = room;
    return LK_OK;
}

/* The note of that path, added behind the others if there is none. */
static lk_status find_or_add(lk_metadata *metadata, const char *path, note **out)
{
    *out = find(metadata, path);
    if (*out) return LK_OK;

    LK_TRY(make_room(metadata));
    note *added = calloc(1, sizeof *added);
    if (added) added->path = strdup(path);
    if (added && added->path) HASH_ADD_KEYPTR(hh, metadata->by_path, added->path, strlen(added->path), added);
    if (!added || !added->hh.tbl) {
        note_free(added);
        return LK_FAIL(LK_ERR_SYSTEM, "out of memory: a note for %s", path);
    }
    metadata->order[metadata->n++] = added;
    *out = added;
    return LK_OK;
}

lk_status lk_metadata_set_int(lk_metadata *metadata, const char *path, int64_t value)
{
    note *n;

    LK_TRY(find_or_add(metadata, path, &n));
    n->kind = LK_NOTE_INT;
    n->integer = value;
    return LK_OK;
}

lk_status lk_metadata_set_real(lk_metadata *metadata, const char *path, double value)
{
    note *n;

    LK_TRY(find_or_add(metadata, path, &n));
    n->kind = LK_NOTE_REAL;
    n->real = value;
    return LK_OK;
}

lk_status lk_metadata_set_text(lk_metadata *metadata, const char *path, const char *value)
{
    note *n;
    char *copy = strdup(value);

    LK_TRY_ALLOC(copy, strlen(value) + 1);
    const lk_status status = find_or_add(metadata, path, &n);
    if (status != LK_OK) {
        free(copy);
        return lk_trace(status, __FILE__, __LINE__);
    }
    free(n->text);
    n->kind = LK_NOTE_TEXT;
    n->text = copy;
    return LK_OK;
}

static lk_status get(const lk_metadata *metadata, const char *path, lk_note_kind kind, const note **out)
{
    *out = find(metadata, path);
    if (!*out) return LK_FAIL(LK_ERR_CHECKPOINT, "the note %s is missing", path);
    if ((*out)->kind != kind)
        return LK_FAIL(LK_ERR_CHECKPOINT, "the note %s is %s, expected %s", path, kind_words[(*out)->kind],
                       kind_words[kind]);
    return LK_OK;
}

lk_status lk_metadata_get_int(const lk_metadata *metadata, const char *path, int64_t *out)
{
    const note *n;

    LK_TRY(get(metadata, path, LK_NOTE_INT, &n));
    *out = n->integer;
    return LK_OK;
}

lk_status lk_metadata_get_real(const lk_metadata *metadata, const char *path, double *out)
{
    const note *n;

    LK_TRY(get(metadata, path, LK_NOTE_REAL, &n));
    *out = n->real;
    return LK_OK;
}

lk_status lk_metadata_get_text(const lk_metadata *metadata, const char *path, const char **out)
{
    const note *n;

    LK_TRY(get(metadata, path, LK_NOTE_TEXT, &n));
    *out = n->text;
    return LK_OK;
}

bool lk_metadata_has(const lk_metadata *metadata, const char *path) { return find(metadata, path) != NULL; }
size_t lk_metadata_n(const lk_metadata *metadata) { return metadata->n; }
const char *lk_metadata_path(const lk_metadata *metadata, size_t i) { return metadata->order[i]->path; }
lk_note_kind lk_metadata_kind(const lk_metadata *metadata, size_t i) { return metadata->order[i]->kind; }
