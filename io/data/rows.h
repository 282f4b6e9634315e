/* Rows that can be read when they are wanted: what a kind gives in place of numbers in memory.  Private to io/data. */
#ifndef LK_IO_ROWS_H
#define LK_IO_ROWS_H

#include "engine/engine.h"

/* Numbers as a file has them: doubles, or floats where it holds no more.  Statistics are taken and applied in double;
 * the one rounding to fp32 is the last step.  Column values such as seconds since 1970 would lose their digits else. */
typedef struct lk_numbers {
    void *at;  /* owned, or NULL: there are none */
    bool wide; /* doubles */
} lk_numbers;

lk_status lk_numbers_new(size_t n, bool wide, lk_numbers *out);
static inline double lk_number(const lk_numbers *numbers, size_t i)
{
    return numbers->wide ? ((const double *)numbers->at)[i] : (double)((const float *)numbers->at)[i];
}
static inline void lk_number_set(lk_numbers *numbers, size_t i, double value)
{
    if (numbers->wide) ((double *)numbers->at)[i] = value;
    else ((float *)numbers->at)[i] = (float)value;
}

/* Samples of a file, or of several one behind the other.  Called by one thread at a time. */
typedef struct lk_rows {
    void *from;      /* owned; NULL: there are none */
    int64_t block;   /* samples that are best read together, and the most that are */
    lk_dtype dtype;  /* the narrowest of U8, F32 and F64 that holds them, until something asks for more */
    bool turns;      /* numbers are read through a block beside the one asked for: images, to put channels last */
    bool one_thread; /* the library below is not for several */
    /* Samples [begin, end) into out as this type, `dtype` or a wider one, images channels-last. */
    lk_status (*read)(void *from, int64_t begin, int64_t end, lk_dtype dtype, void *out);
    void (*close)(void *from);
} lk_rows;

void      lk_rows_close(lk_rows *rows);
/* Bytes that stay bytes: images. */
static inline bool lk_rows_are_bytes(const lk_rows *rows) { return rows->from && rows->dtype == LK_DTYPE_U8; }
/* All n samples of n_elem numbers: as numbers, and as bytes (*out is owned by the caller). */
lk_status lk_rows_read_all(const lk_rows *rows, int64_t n, size_t n_elem, lk_numbers *out);
lk_status lk_rows_read_bytes(const lk_rows *rows, int64_t n, size_t n_elem, uint8_t **out);
/* Takes over the rows of n files, of which file f has n_samples[f] of n_elem numbers. */
lk_status lk_rows_join(lk_rows *const *rows, const int64_t *n_samples, int64_t n, size_t n_elem, lk_rows *out);

#endif
