/*
 * Weights into a safetensors file: fp32, under the names they have, with the buffers that PyTorch's modules ask for.
 *
 * Types of longer elements come first, then names in their order, and the header is filled up with blanks to a multiple
 * of 8 bytes: as the reference library does it, so that equal weights and notes are equal files.
 */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "io/checkpoint/parts.h"
#include "io/file/files.h"
#include "io/weights/safetensors.h"
#include "io/weights/parts.h"

enum { HEADER_ALIGNMENT = 8 };

/* A tensor of the file. */
typedef struct item {
    const lk_ckpt_tensor *tensor; /* NULL: it is the buffer */
    lk_buffer buffer;
} item;

typedef struct writing {
    lk_weights *from;
    item *item; /* owned, in the order of the file */
    size_t n;
    json_t *root;
    size_t end; /* of the data so far */
} writing;

static const char *name_of(const item *it) { return it->tensor ? lk_tensor_name(it->tensor) : it->buffer.name; }

static size_t nbytes_of(const item *it)
{
    return it->tensor ? it->tensor->n_elem * sizeof(float) : it->buffer.n_elem * sizeof(int64_t);
}

static int in_file(const void *a, const void *b)
{
    const item *x = a, *y = b;

    if (!x->tensor != !y->tensor) return x->tensor ? 1 : -1;
    return strcmp(name_of(x), name_of(y));
}

/* --------------------------------------------------------------------- header */

static lk_status gather(writing *w, int64_t updates)
{
    w->item = calloc(2 * lk_weights_n(w->from) + 1, sizeof *w->item);
    LK_TRY_ALLOC(w->item, 2 * lk_weights_n(w->from) * sizeof *w->item);
    for (size_t i = 0; i < lk_weights_n(w->from); i++) {
        const lk_ckpt_tensor *t = lk_weights_tensor(w->from, i);
        item beside = {0};

        w->item[w->n++].tensor = t;
        LK_TRY(lk_buffer_beside(lk_tensor_name(t), t->ndim, t->shape, updates, &beside.buffer));
        if (beside.buffer.name) w->item[w->n++] = beside;
    }
    qsort(w->item, w->n, sizeof *w->item, in_file);
    return LK_OK;
}

static json_t *shape_of(const item *it)
{
    const int ndim = it->tensor ? it->tensor->ndim : it->buffer.ndim;
    const int64_t *shape = it->tensor ? it->tensor->shape : it->buffer.shape;
    json_t *list = json_array();
    bool good = true;

    for (int d = 0; d < ndim; d++) good &= json_array_append_new(list, json_integer(shape[d])) == 0;
    if (good) return list;
    json_decref(list);
    return NULL;
}

/* Jansson's functions take the NULL of one that failed and fail in turn: the last result tells of all. */
static bool add_entry(writing *w, const item *it)
{
    const size_t begin = w->end;

    w->end += nbytes_of(it);
    return json_object_set_new(w->root, name_of(it),
                               json_pack("{s:s, s:o, s:[I, I]}", "dtype", it->tensor ? "F32" : "I64", "shape",
                                         shape_of(it), "data_offsets", (json_int_t)begin, (json_int_t)w->end)) == 0;
}

/* Values there are texts; s* leaves out what is NULL. */
static json_t *notes_of(int64_t step, bool ema)
{
    char text[32];

    snprintf(text, sizeof text, "%lld", (long long)step);
    return json_pack("{s:s, s:s, s:s, s:s*}", "format", "pt", "producer", "lockstep " LK_VERSION, "weights",
                     ema ? "ema" : "trained", "step", step >= 0 ? text : NULL);
}

/* The header with the blanks that align the data; release with free(). */
static char *print_header(writing *w, int64_t step, bool ema, size_t *nbytes)
{
    bool good;
    char *padded = NULL;

    w->root = json_object();
    good = json_object_set_new(w->root, "__metadata__", notes_of(step, ema)) == 0;
    for (size_t i = 0; i < w->n; i++) good &= add_entry(w, &w->item[i]);
    char *text = good ? json_dumps(w->root, JSON_COMPACT) : NULL;
    const size_t length = text ? strlen(text) : 0;
    const int blanks = (int)(-length % HEADER_ALIGNMENT);

    *nbytes = length + (size_t)blanks;
    if (text && asprintf(&padded, "%s%*s", text, blanks, "") < 0) padded = NULL;
    free(text);
    return padded;
}

/* ----------------------------------------------------------------------- data */

static lk_status put(int fd, const char *path, const void *bytes, size_t nbytes)
{
    if (lk_write_all(fd, bytes, nbytes) == nbytes) return LK_OK;
    return LK_FAIL(LK_ERR_SYSTEM, "cannot write %s: %s", path, strerror(errno));
}

static lk_status put_item(const writing *w, const item *it, int fd, const char *path)
{
    void *numbers = lk_alloc(nbytes_of(it));
    lk_status status = LK_OK;

    LK_TRY_ALLOC(numbers, nbytes_of(it));
    if (it->tensor) status = lk_weights_read(w->from, (size_t)(it->tensor - lk_weights_tensor(w->from, 0)), numbers);
    else lk_buffer_fill(&it->buffer, numbers);
    if (status == LK_OK) status = put(fd, path, numbers, nbytes_of(it));
    lk_free(&numbers);
    return status;
}

/* What lk_write_atomic() calls. */
typedef struct contents { const writing *w; const char *header; size_t header_nbytes; } contents;

static lk_status put_all(void *arg, int fd, const char *path)
{
    const contents *c = arg;
    const uint64_t length = c->header_nbytes;

    LK_TRY(put(fd, path, &length, sizeof length));
    LK_TRY(put(fd, path, c->header, c->header_nbytes));
    for (size_t i = 0; i < c->w->n; i++) LK_TRY(put_item(c->w, &c->w->item[i], fd, path));
    return LK_OK;
}

lk_status lk_weights_write(lk_weights *from, int64_t step, bool ema, const char *path)
{
    writing w = {.from = from};
    contents c = {.w = &w};
    char *header = NULL;

    lk_status status = gather(&w, step > 0 ? step : 0);
    if (status == LK_OK) {
        header = print_header(&w, step, ema, &c.header_nbytes);
        c.header = header;
        if (!header) status = LK_FAIL(LK_ERR_SYSTEM, "%s: its header of %zu tensors cannot be made", path, w.n);
    }
    if (status == LK_OK) status = lk_write_atomic(path, put_all, &c);
    free(header);
    json_decref(w.root);
    for (size_t i = 0; i < w.n; i++) free(w.item[i].buffer.name);
    free(w.item);
    return status;
}
