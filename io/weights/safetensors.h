/*
 * One safetensors file, as its format describes it: 8 bytes of little-endian length, a JSON header of that length that
 * gives each tensor's type, shape and bytes, and those bytes.  For the files of io/weights.
 */
#ifndef LK_SAFETENSORS_H
#define LK_SAFETENSORS_H

#include <jansson.h>

#include "io/io.h"

/* What the format calls its header's limit: nobody has to read more before knowing that a file is none. */
#define LK_SAFETENSORS_MOST_HEADER ((uint64_t)100000000)
enum { LK_SAFETENSORS_LENGTH_BYTES = 8 };

/* Bytes to fp32; NULL in the table: such numbers are no weights. */
typedef void lk_convert_fn(const unsigned char *from, size_t n_elem, float *to);

/* A type by its word in headers. */
typedef struct lk_safe_type {
    const char *word;
    size_t nbytes; /* of an element */
    lk_convert_fn *to_f32;
} lk_safe_type;

/* NULL: there is none of that word. */
const lk_safe_type *lk_safe_type_find(const char *word);

typedef struct lk_safe_tensor {
    char *name;               /* owned */
    const lk_safe_type *type;
    int ndim;
    int64_t shape[LK_MAX_DIMS];
    size_t n_elem;
    size_t begin, end;        /* bytes behind the header */
} lk_safe_tensor;

typedef struct lk_safetensors {
    char *path;               /* owned */
    int fd;                   /* -1: none */
    size_t data;              /* where the header ends */
    size_t data_nbytes;
    lk_safe_tensor *tensor;   /* owned, in the order of their bytes */
    size_t n;
    lk_metadata *metadata;    /* owned: __metadata__, texts by their names */
} lk_safetensors;

/* Reads the header and checks all of it; the file stays open.  Errors: LK_ERR_CHECKPOINT naming file, tensor and place;
 * *out is then closed. */
lk_status lk_safetensors_open(const char *path, lk_safetensors *out);
void      lk_safetensors_close(lk_safetensors *file);
/* Elements [first, first + n_elem) of a tensor.  Errors: LK_ERR_CHECKPOINT (it holds whole numbers; the file has become
 * shorter). */
lk_status lk_safetensors_read(const lk_safetensors *file, const lk_safe_tensor *tensor, size_t first, size_t n_elem,
                              float *out);

/* The header of a file of `data_nbytes`, taken apart and checked.  header: JSON, not NUL-terminated. */
lk_status lk_safetensors_parse(const char *header, size_t nbytes, lk_safetensors *file);

/* Says of a file that is no safetensors file what it is instead, by its first bytes.  Errors: LK_ERR_CHECKPOINT. */
lk_status lk_safetensors_recognize(const char *path, const unsigned char *head, size_t nbytes);

#endif
