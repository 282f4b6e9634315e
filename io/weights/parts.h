/*
 * What a source of named tensors is inside: a table of functions over what it is read from.  For the files of
 * io/weights, from the ground up; no file calls one that stands behind it:
 *
 *     types.c          numbers to fp32               header.c    the JSON of a safetensors file, checked
 *     recognize.c      files of other formats        safetensors.c  one file: opened, read
 *     buffers.c        PyTorch's whole numbers       weights.c   what sources have in common
 *     of_checkpoint.c, of_files.c  the two sources   write.c     to a safetensors file
 *     rename.c         rules                         prefix.c    the rule that is missing
 *     match.c          which tensors meet
 */
#ifndef LK_WEIGHTS_PARTS_H
#define LK_WEIGHTS_PARTS_H

#include "io/io.h"

typedef struct lk_weights_kind {
    /* Rows [begin, end) of tensor i, fp32. */
    lk_status (*read)(lk_weights *weights, size_t i, int64_t begin, int64_t end, float *out);
    const char *(*type)(const lk_weights *weights, size_t i);
    const lk_metadata *(*metadata)(const lk_weights *weights);
    lk_status (*hash)(const lk_weights *weights, char out[LK_HASH_BYTES]);
    void (*close)(lk_weights *weights);
} lk_weights_kind;

struct lk_weights {
    const lk_weights_kind *kind;
    char *path;             /* owned, as those of the tensors */
    lk_ckpt_tensor *tensor; /* owned */
    size_t n;
    void *inside;           /* owned: what `kind` reads from */
};

/* An empty one, for at most so many tensors. */
lk_status lk_weights_new(const lk_weights_kind *kind, const char *path, size_t most, lk_weights **out);
/* Appends a tensor PREFIX + NAME; there is room. */
lk_status lk_weights_add(lk_weights *weights, const char *prefix, const char *name, int ndim, const int64_t *shape,
                         size_t n_elem);

/* buffers.c: whole numbers that PyTorch's modules keep in a state_dict beside what is learned, and that follow from the
 * rest: a batch norm's num_batches_tracked, window attention's relative_position_index. */
typedef struct lk_buffer {
    char *name;    /* owned */
    int ndim;
    int64_t shape[1];
    size_t n_elem;
    int64_t value; /* of num_batches_tracked; of relative_position_index the side of the window */
} lk_buffer;

bool      lk_buffer_is(const char *name);
/* A mask of attention, in whatever type. */
bool      lk_mask_is(const char *name, int ndim, const int64_t *shape);
/* The one that belongs to a tensor of the model, if one does: out->name stays NULL where none does.  updates: steps
 * that the weights have been trained for. */
lk_status lk_buffer_beside(const char *name, int ndim, const int64_t *shape, int64_t updates, lk_buffer *out);
void      lk_buffer_fill(const lk_buffer *buffer, int64_t *out);

#endif
