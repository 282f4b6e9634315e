/* Numbers, and rows that are read when they are wanted: from one file, or from several as one. */
#include "io/data/rows.h"

#include <stdlib.h>

lk_status lk_numbers_new(size_t n, bool wide, lk_numbers *out)
{
    const size_t nbytes = n * (wide ? sizeof(double) : sizeof(float));

    *out = (lk_numbers){calloc(nbytes ? nbytes : 1, 1), wide};
    LK_TRY_ALLOC(out->at, nbytes);
    return LK_OK;
}

void lk_rows_close(lk_rows *rows)
{
    if (rows->from) rows->close(rows->from);
    rows->from = NULL;
}

static lk_status read_all(const lk_rows *rows, int64_t n, size_t n_elem, lk_dtype dtype, void *out)
{
    for (int64_t begin = 0; begin < n; begin += rows->block) {
        const int64_t end = begin + rows->block < n ? begin + rows->block : n;
        LK_TRY(rows->read(rows->from, begin, end, dtype, (char *)out + (size_t)begin * n_elem * lk_dtype_size(dtype)));
    }
    return LK_OK;
}

lk_status lk_rows_read_all(const lk_rows *rows, int64_t n, size_t n_elem, lk_numbers *out)
{
    const bool wide = rows->dtype == LK_DTYPE_F64;

    LK_TRY(lk_numbers_new((size_t)n * n_elem, wide, out));
    return read_all(rows, n, n_elem, wide ? LK_DTYPE_F64 : LK_DTYPE_F32, out->at);
}

lk_status lk_rows_read_bytes(const lk_rows *rows, int64_t n, size_t n_elem, uint8_t **out)
{
    *out = malloc((size_t)n * n_elem);
    LK_TRY_ALLOC(*out, (size_t)n * n_elem);
    return read_all(rows, n, n_elem, LK_DTYPE_U8, *out);
}

/* -------------------------------------------------------------- several files */

typedef struct joined {
    int64_t n;
    size_t n_elem;
    lk_rows *rows;  /* (n), owned */
    int64_t *first; /* (n + 1), owned: number of each file's first sample, then of all */
} joined;

/* A block may begin in one file and end in another. */
static lk_status read_joined(void *from, int64_t begin, int64_t end, lk_dtype dtype, void *out)
{
    const joined *j = from;

    for (int64_t f = 0; f < j->n; f++) {
        const int64_t a = begin > j->first[f] ? begin : j->first[f], b = end < j->first[f + 1] ? end : j->first[f + 1];
        for (int64_t at = a; at < b; at += j->rows[f].block) {
            const int64_t to = at + j->rows[f].block < b ? at + j->rows[f].block : b;
            LK_TRY(j->rows[f].read(j->rows[f].from, at - j->first[f], to - j->first[f], dtype,
                                   (char *)out + (size_t)(at - begin) * j->n_elem * lk_dtype_size(dtype)));
        }
    }
    return LK_OK;
}

static void close_joined(void *from)
{
    joined *j = from;

    for (int64_t f = 0; j->rows && f < j->n; f++) lk_rows_close(&j->rows[f]);
    free(j->rows);
    free(j->first);
    free(j);
}

lk_status lk_rows_join(lk_rows *const *rows, const int64_t *n_samples, int64_t n, size_t n_elem, lk_rows *out)
{
    joined *j = calloc(1, sizeof *j);

    LK_TRY_ALLOC(j, sizeof *j);
    *j = (joined){n, n_elem, calloc((size_t)n, sizeof *j->rows), calloc((size_t)n + 1, sizeof *j->first)};
    *out = (lk_rows){.from = j, .block = rows[0]->block, .dtype = rows[0]->dtype, .read = read_joined,
                     .close = close_joined};
    if (!j->rows || !j->first) {
        lk_rows_close(out);
        return LK_FAIL(LK_ERR_SYSTEM, "out of memory: %lld files", (long long)n);
    }
    for (int64_t f = 0; f < n; f++) {
        if (lk_dtype_size(rows[f]->dtype) > lk_dtype_size(out->dtype)) out->dtype = rows[f]->dtype;
        out->turns |= rows[f]->turns;
        out->one_thread |= rows[f]->one_thread;
        j->first[f + 1] = j->first[f] + n_samples[f];
        j->rows[f] = *rows[f];
        rows[f]->from = NULL;
    }
    return LK_OK;
}
