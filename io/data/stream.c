/*
 * Data larger than memory: blocks of samples read when they are wanted, the latest kept.
 *
 * Whoever goes through an epoch in the order of shuffle.c uses the blocks of one window at a time, while those of
 * the next are read ahead.  So with room for two windows and a block, the used block that was not used for longest
 * is of the window before, is never wanted again, and each block is read once an epoch.
 */
#include "io/data/stream.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

typedef struct block {
    int64_t number; /* -1: none */
    uint64_t used;  /* when last */
    bool fresh;     /* read ahead and not used yet: it is of the next window, or of this one */
    char *samples;  /* owned */
} block;

struct lk_stream {
    lk_rows rows;
    int64_t n;
    size_t sample_nbytes;
    int64_t n_slots;
    block *slots;       /* (n_slots), owned */
    int64_t *slot_of;   /* (number of blocks): where a block lies, -1: nowhere; owned */
    size_t raw_nbytes;  /* of a block as it is read */
    char *raw;          /* that, where it is wider; owned */
    lk_block_fn *finish;
    const void *arg;    /* borrowed */
    uint64_t clock;
    int64_t n_read;
    pthread_mutex_t lock;
};

static bool goes_before(const block *a, const block *b)
{
    return a->fresh != b->fresh ? b->fresh : a->used < b->used;
}

/* A free slot, or the one that can best be spared. */
static int64_t oldest(const lk_stream *s)
{
    int64_t found = 0;

    for (int64_t i = 1; i < s->n_slots; i++)
        if (goes_before(&s->slots[i], &s->slots[found])) found = i;
    return found;
}

static lk_status load(lk_stream *s, int64_t number, block *b)
{
    const int64_t begin = number * s->rows.block, end = begin + s->rows.block < s->n ? begin + s->rows.block : s->n;
    void *raw = s->raw ? s->raw : b->samples;

    if (b->number >= 0) s->slot_of[b->number] = -1;
    b->number = -1;
    LK_TRY(s->rows.read(s->rows.from, begin, end, s->rows.dtype, raw));
    if (!lk_rows_are_bytes(&s->rows)) LK_TRY(s->finish(s->arg, raw, begin, end - begin));
    if (s->raw) memcpy(b->samples, raw, (size_t)(end - begin) * s->sample_nbytes);
    b->number = number;
    b->fresh = true;
    s->slot_of[number] = b - s->slots;
    s->n_read++;
    return LK_OK;
}

/* With the lock held. */
static lk_status find(lk_stream *s, int64_t number, block **out)
{
    const int64_t slot = s->slot_of[number] >= 0 ? s->slot_of[number] : oldest(s);

    *out = &s->slots[slot];
    if ((*out)->number != number) LK_TRY(load(s, number, *out));
    (*out)->used = ++s->clock;
    return LK_OK;
}

lk_status lk_stream_get(lk_stream *stream, int64_t sample, void *out)
{
    const int64_t rows = stream->rows.block;
    block *b;

    pthread_mutex_lock(&stream->lock);
    const lk_status status = find(stream, sample / rows, &b);
    if (status == LK_OK) {
        b->fresh = false;
        memcpy(out, b->samples + (size_t)(sample % rows) * stream->sample_nbytes, stream->sample_nbytes);
    }
    pthread_mutex_unlock(&stream->lock);
    return status;
}

lk_status lk_stream_want(lk_stream *stream, int64_t number)
{
    block *b;

    pthread_mutex_lock(&stream->lock);
    const lk_status status = find(stream, number, &b);
    pthread_mutex_unlock(&stream->lock);
    return status;
}

bool lk_stream_may_thread(const lk_stream *stream) { return !stream->rows.one_thread; }

size_t lk_stream_nbytes(const lk_stream *s)
{
    const size_t held = (size_t)s->n_slots * (size_t)s->rows.block * s->sample_nbytes;
    const size_t turned = s->rows.turns && !lk_rows_are_bytes(&s->rows) ? s->raw_nbytes : 0;

    return held + (s->raw ? s->raw_nbytes : 0) + turned;
}

int64_t lk_stream_n_read(const lk_stream *stream) { return stream->n_read; }

static lk_status allocate(lk_stream *s)
{
    const int64_t n_blocks = (s->n + s->rows.block - 1) / s->rows.block;
    const size_t block_nbytes = (size_t)s->rows.block * s->sample_nbytes;

    s->slots = calloc((size_t)s->n_slots, sizeof *s->slots);
    LK_TRY_ALLOC(s->slots, (size_t)s->n_slots * sizeof *s->slots);
    for (int64_t i = 0; i < s->n_slots; i++) {
        s->slots[i] = (block){.number = -1, .samples = malloc(block_nbytes)};
        LK_TRY_ALLOC(s->slots[i].samples, block_nbytes);
    }
    s->slot_of = malloc((size_t)n_blocks * sizeof *s->slot_of);
    LK_TRY_ALLOC(s->slot_of, (size_t)n_blocks * sizeof *s->slot_of);
    for (int64_t b = 0; b < n_blocks; b++) s->slot_of[b] = -1;
    if (s->raw_nbytes <= block_nbytes) return LK_OK;
    s->raw = malloc(s->raw_nbytes);
    LK_TRY_ALLOC(s->raw, s->raw_nbytes);
    return LK_OK;
}

lk_status lk_stream_new(lk_rows *rows, int64_t n, size_t n_elem, int64_t slots, lk_block_fn *finish, const void *arg,
                        lk_stream **out)
{
    *out = calloc(1, sizeof **out);
    LK_TRY_ALLOC(*out, sizeof **out);
    lk_stream *s = *out;
    *s = (lk_stream){.rows = *rows, .n = n, .n_slots = slots, .finish = finish, .arg = arg,
                     .sample_nbytes = n_elem * (lk_rows_are_bytes(rows) ? sizeof(uint8_t) : sizeof(float)),
                     .raw_nbytes = (size_t)rows->block * n_elem * lk_dtype_size(rows->dtype)};
    rows->from = NULL;
    pthread_mutex_init(&s->lock, NULL);
    const lk_status status = allocate(s);
    if (status != LK_OK) lk_stream_free(out);
    return status;
}

void lk_stream_free(lk_stream **stream)
{
    lk_stream *s = *stream;

    if (!s) return;
    for (int64_t i = 0; s->slots && i < s->n_slots; i++) free(s->slots[i].samples);
    free(s->slots);
    free(s->slot_of);
    free(s->raw);
    lk_rows_close(&s->rows);
    pthread_mutex_destroy(&s->lock);
    lk_free(stream);
}
