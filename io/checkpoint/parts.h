/*
 * What the files of the checkpoint share; for the files of io/ only.
 *
 * From the ground up; no file calls one that stands behind it:
 *
 *     checksum.c     XXH3-128 of bytes                    layout.c      the list of tensors of a save
 *     file_header.c  a file's first 512 bytes; writing    folder.c      names, links, removal
 *     cut.c          rows of tensors in parts
 *     shard.c        tensors, or rows of them, in a file  index.c       index.h5; manifest.c reads it
 *     verify.c       is a file whole; if not, what of it  publish.c     partial -> published, `keep`
 *     saver.c        copy, thread, states                 checkpoint.c  open, read, newest
 *     digest.c       one hash of many tensors              list.c        what is there
 *
 * A file of a checkpoint is an HDF5 file behind a user block, which holds the file's header: its name, step, length
 * and XXH3-128, as text (`head -6 shard-00000-of-00004.h5`).  So each file can be verified by itself, and
 * index.h5 repeats all headers: what is intact but of another checkpoint is told apart from what is damaged.  HDF5
 * sees only files that were found whole; on damaged ones it can leak or crash.
 */
#ifndef LK_CHECKPOINT_PARTS_H
#define LK_CHECKPOINT_PARTS_H

#include <sys/types.h>
#include <xxhash.h>

#include "io/file/h5.h"
#include "io/io.h"

enum {
    LK_FILE_HEADER_BYTES = 512,     /* the smallest user block HDF5 knows */
    LK_CHECKSUM_CHARS = 32,  /* hexadecimal digits of 128 bits */
    LK_FILE_NAME_BYTES = 64,
    LK_CKPT_PATH_BYTES = 4096,
    LK_CKPT_FORMAT = 2,      /* which is written; */
    LK_CKPT_OLDEST = 1,      /* the oldest that is read: there each part has its lk_part_rows() of every tensor */
    LK_MOST_PARTS = 99999,   /* five digits in the names of shards */
};
/* The table of shapes: how many dimensions files of this format have room for, whatever the engine can do, and what
 * stands for those a tensor does not have. */
enum { LK_CKPT_DIMS = 4, LK_NO_DIM = -1, LK_PIECE_INTS = 4 };

/* Where the files keep what they say of themselves; shard.c and index.c explain. */
#define LK_AT_PATH "lockstep/path"
#define LK_AT_EXTENT "lockstep/piece"
#define LK_AT_NOTE "lockstep/note"
#define LK_AT_FORMAT "lockstep/format"
#define LK_AT_STEP "lockstep/step"
#define LK_AT_PARTS "lockstep/parts"
#define LK_AT_VERSION "lockstep/version"
#define LK_AT_SHAPE "lockstep/shape"
#define LK_AT_SHARED "lockstep/shared"
#define LK_AT_ROWS "lockstep/rows"
#define LK_AT_FILE "lockstep/file"
#define LK_AT_FILE_BYTES "lockstep/file_bytes"
#define LK_AT_FILE_XXH3 "lockstep/file_xxh3"

#define LK_INDEX_FILE "index.h5"
#define LK_LEADER_FILE "leader.h5"

/* Tensors are put into the images of files as they lie in memory. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "checkpoints hold little-endian numbers");

/* ------------------------------------------------------------------- layout */

/* Paths and shapes of tensors; their data pointers are NULL. */
typedef struct lk_layout {
    lk_ckpt_tensor *tensor; /* owned, as are the paths */
    size_t n;
} lk_layout;

/* Errors: LK_ERR_USAGE (a shape that does not give n_elem, naming the tensor). */
lk_status lk_layout_check(const lk_ckpt_tensor *tensors, size_t n);
lk_status lk_layout_copy(const lk_ckpt_tensor *tensors, size_t n, lk_layout *out);
bool      lk_layout_equal(const lk_layout *layout, const lk_ckpt_tensor *tensors, size_t n);
void      lk_layout_free(lk_layout *layout);
/* A tensor without dimensions has one row of one element. */
int64_t lk_tensor_rows(const lk_ckpt_tensor *tensor);
size_t  lk_tensor_row_elems(const lk_ckpt_tensor *tensor);
/* Where a row that is held lies. */
const float *lk_tensor_row(const lk_ckpt_tensor *tensor, int64_t row);
bool    lk_tensor_same_shape(const lk_ckpt_tensor *a, const lk_ckpt_tensor *b);

/* ------------------------------------------------------------------- pieces */

/* Pieces of the shared tensors, in order of tensors and rows: those of tensor i are [first[i], first[i + 1]). */
typedef struct lk_cut {
    lk_ckpt_piece *piece; /* owned */
    size_t *first;        /* owned */
    size_t n;
} lk_cut;
_Static_assert(sizeof(lk_ckpt_piece) == LK_PIECE_INTS * sizeof(int64_t), "pieces go into files as they are");

/* All parts have their lk_part_rows() of each tensor. */
lk_status lk_cut_even(const lk_ckpt_tensor *tensors, size_t n, int parts, lk_cut *out);
/* Errors: LK_ERR_CHECKPOINT (they are out of order, or a row is in none or in several). */
lk_status lk_cut_take(const lk_ckpt_piece *from, size_t n_pieces, const lk_ckpt_tensor *tensors, size_t n, int parts,
                         lk_cut *out);
void      lk_cut_free(lk_cut *pieces);

/* ----------------------------------------------------------------- checksum */

/* XXH3-128 as hexadecimal digits, without a NUL: they go into files as they are. */
void lk_checksum(const void *bytes, size_t nbytes, char out[LK_CHECKSUM_CHARS]);
void lk_checksum_hex(XXH128_hash_t hash, char out[LK_CHECKSUM_CHARS]);

/* ------------------------------------------------------------------- digest */

/* Rows [begin, end) of tensor i of what `of` holds. */
typedef lk_status lk_read_rows_fn(void *of, size_t i, int64_t begin, int64_t end, float *out);
/* lk_digest() of tensors that are read as they are wanted. */
lk_status lk_digest_read(const lk_ckpt_tensor *tensors, size_t n, const char *prefix, lk_read_rows_fn *read, void *of,
                         char out[33]);

/* --------------------------------------------------------------------- header */

typedef struct lk_file_header {
    char file[LK_FILE_NAME_BYTES];
    int64_t step;
    size_t nbytes;                        /* of the whole file */
    size_t extents;                       /* first byte of its table of extents, 0 when it has none */
    char checksum[LK_CHECKSUM_CHARS + 1]; /* of the whole file with zeros for these digits */
} lk_file_header;

void lk_file_header_print(const lk_file_header *header, unsigned char block[LK_FILE_HEADER_BYTES]);
/* False: these bytes are no header, or a damaged one. */
bool lk_file_header_parse(const unsigned char block[LK_FILE_HEADER_BYTES], lk_file_header *out);
/* The same header before its checksum was known. */
lk_file_header lk_file_header_unsigned(const lk_file_header *header);
/* Writes the header of the image and writes it to DIR/FILE, to the disk.  A file that could not be written is removed.
 * Errors: LK_ERR_SYSTEM with the path, the bytes written and the system's reason. */
lk_status lk_ckpt_file_write(const char *dir, const char *file, int64_t step, size_t extents, lk_h5_image *image);

/* ------------------------------------------------------------------- verify */

/* The header of a file just written, which must be of that name, step and length.  Its bytes are not read. */
lk_status lk_ckpt_file_peek(const char *dir, const char *file, int64_t step, lk_file_header *out);
/* Reads the whole file.  expected NULL: the file is verified by its own header.  tensors: those of the file, to name
 * the damaged one.  Errors: LK_ERR_CHECKPOINT: it is missing, cut, damaged, or intact but of another checkpoint. */
lk_status lk_ckpt_file_verify(const char *dir, const char *file, const lk_file_header *expected,
                              const lk_ckpt_tensor *tensors, size_t n);

/* -------------------------------------------------------------------- shard */

/* What a file holds of a tensor, as in its table of extents. */
typedef struct lk_extent {
    int64_t offset;     /* first byte in the file, 0 for none */
    int64_t begin, end; /* rows */
    char xxh3[LK_CHECKSUM_CHARS];
} lk_extent;
_Static_assert(sizeof(lk_extent) == 3 * sizeof(int64_t) + LK_CHECKSUM_CHARS, "pieces go into files as they are");

size_t lk_extent_bytes(const lk_extent *extent, const lk_ckpt_tensor *tensor);

/* One file of tensors in memory: part r of n of the shared ones, or the leader's, whole. */
typedef struct lk_shard {
    lk_h5_image image;
    lk_layout layout;
    lk_extent *extent;    /* owned, one a tensor */
    size_t extents_offset; /* of the table of extents in the image */
} lk_shard;

void      lk_shard_name(char out[LK_FILE_NAME_BYTES], int r, int n);
/* Makes the file's structure with room for the extents: part r's pieces, or (pieces NULL) all tensors whole.  metadata
 * may be NULL. */
lk_status lk_shard_build(lk_shard *shard, const char *file, const lk_ckpt_tensor *tensors, size_t n_tensors,
                         const lk_cut *pieces, int r, const lk_metadata *metadata);
/* Copies the extents from tensors of the same layout. */
void      lk_shard_fill(lk_shard *shard, const lk_ckpt_tensor *tensors);
/* Takes the checksums of the extents. */
void      lk_shard_check(lk_shard *shard);
void      lk_shard_free(lk_shard *shard);

/* A file of tensors open for reading. */
typedef struct lk_shard_reader {
    hid_t file;
    lk_extent *extent; /* owned, one a tensor */
} lk_shard_reader;

/* n: tensors in the file. */
lk_status lk_shard_open(const char *dir, const char *file, size_t n, lk_shard_reader *out);
void      lk_shard_close(lk_shard_reader *reader);
/* Rows [begin, end) of the whole tensor, the file's tensor i.  A extent that is read whole is compared with its
 * checksum. */
lk_status lk_shard_read(const lk_shard_reader *reader, size_t i, const lk_ckpt_tensor *tensor, int64_t begin,
                        int64_t end, float *out);
lk_status lk_shard_read_metadata(const lk_shard_reader *reader, lk_metadata **out);

/* -------------------------------------------------------------------- index */

/* index.h5 in memory. */
typedef struct lk_index {
    lk_h5_image image;
    lk_layout shared, leader;
    int parts;
    size_t step_offset, nbytes_offset, checksum_offset; /* what differs between saves, in the image */
    size_t *scalar_offset;  /* owned; shared then leader: the value of a tensor without dimensions, else 0 */
} lk_index;

/* pieces: of the shared tensors; borrowed for the call. */
lk_status lk_index_build(lk_index *index, const lk_ckpt_tensor *shared, size_t n_shared,
                         const lk_ckpt_tensor *leader, size_t n_leader, int parts, const lk_cut *pieces);
/* Copies the values of tensors without dimensions. */
void      lk_index_fill(lk_index *index, const lk_ckpt_tensor *shared, const lk_ckpt_tensor *leader);
/* headers: of the shards, then of leader.h5. */
void      lk_index_complete(lk_index *index, int64_t step, const lk_file_header *headers);
void      lk_index_free(lk_index *index);

/* What index.h5 says. */
typedef struct lk_manifest {
    int64_t step;
    int parts;
    lk_layout layout;     /* shared tensors, then the leader's */
    size_t n_shared;
    lk_cut pieces;     /* of the shared tensors */
    lk_file_header *header; /* owned: parts shards, then leader.h5 */
} lk_manifest;

lk_status lk_manifest_read(const char *dir, lk_manifest *out);
void      lk_manifest_free(lk_manifest *manifest);

/* ------------------------------------------------------------------- folder */

/* DIR/NAME.  Errors: LK_ERR_CHECKPOINT (longer than a path can be). */
lk_status lk_ckpt_path(char out[LK_CKPT_PATH_BYTES], const char *dir, const char *name);
void      lk_step_name(char out[LK_FILE_NAME_BYTES], int64_t step, const char *suffix);
/* Steps that are published under a folder, ascending; release with free().  A folder that is absent has none. */
lk_status lk_ckpt_steps(const char *dir, int64_t **out, size_t *n);
/* Step that a link names, -1 when there is no such link or what it names is gone. */
int64_t   lk_link_step(const char *dir, const char *link);
/* Points a link at a step, at once.  Errors: LK_ERR_SYSTEM: there are no links here, or something else has the name. */
lk_status lk_link_set(const char *dir, const char *link, int64_t step);
/* A published step, good or not. */
bool      lk_step_exists(const char *dir, int64_t step);
/* Renames a published step first, so that half of it is never taken for a checkpoint, then removes it. */
lk_status lk_step_remove(const char *dir, int64_t step);
/* Removes what crashes have left: *.partial and *.deleting. */
lk_status lk_clear_leftovers(const char *dir);

/* ------------------------------------------------------------------ publish */

/* All parts of step-N.partial are written: completes it with index.h5 and gives it its name. */
lk_status lk_publish(const char *dir, int64_t step, int parts, lk_index *index);
/* `latest` and, where best is a step, `best`: whatever they were. */
lk_status lk_links_set(const char *dir, int64_t latest, int64_t best);
/* Removes the steps before `step` that `keep` does not keep, except the best. */
lk_status lk_prune(const char *dir, int64_t step, int keep, int64_t best);

#endif
