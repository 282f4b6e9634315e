/* Data larger than memory: blocks of samples read when they are wanted, the latest kept.  Private to io/data. */
#ifndef LK_IO_STREAM_H
#define LK_IO_STREAM_H

#include "io/data/rows.h"

/* Turns a block of numbers as it was read into samples, in place: they become floats. */
typedef lk_status lk_block_fn(const void *arg, void *block, int64_t begin, int64_t n);

typedef struct lk_stream lk_stream;

/* Takes over `rows`.  n samples of n_elem numbers; at most `slots` blocks are held.  Bytes stay what they are and need
 * no `finish`. */
lk_status lk_stream_new(lk_rows *rows, int64_t n, size_t n_elem, int64_t slots, lk_block_fn *finish, const void *arg,
                        lk_stream **out);
void      lk_stream_free(lk_stream **stream);
/* A sample's n_elem floats, or bytes.  Any thread. */
lk_status lk_stream_get(lk_stream *stream, int64_t sample, void *out);
/* Reads a block now, so that its samples are there later.  Any thread. */
lk_status lk_stream_want(lk_stream *stream, int64_t block);
bool      lk_stream_may_thread(const lk_stream *stream);
/* Memory of its blocks and of reading one. */
size_t    lk_stream_nbytes(const lk_stream *stream);
/* Blocks read so far, for tests. */
int64_t   lk_stream_n_read(const lk_stream *stream);

#endif
