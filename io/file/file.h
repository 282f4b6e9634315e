/* What the others of io are told and kept in: named values, words, hashes, files.  Everything here is Local. */
#ifndef LK_FILE_H
#define LK_FILE_H

#include "engine/engine.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Named values beside the tensors: "schedule/best", "loader/epoch", "run/recipe".  A small owned dictionary. */
typedef struct lk_metadata lk_metadata;
lk_status lk_metadata_new(lk_metadata **out);
void      lk_metadata_free(lk_metadata **metadata);
lk_status lk_metadata_set_int(lk_metadata *metadata, const char *path, int64_t value);
lk_status lk_metadata_set_real(lk_metadata *metadata, const char *path, double value);
lk_status lk_metadata_set_text(lk_metadata *metadata, const char *path, const char *value);
/* Errors: LK_ERR_CHECKPOINT (absent or of another type). */
lk_status lk_metadata_get_int(const lk_metadata *metadata, const char *path, int64_t *out);
lk_status lk_metadata_get_real(const lk_metadata *metadata, const char *path, double *out);
lk_status lk_metadata_get_text(const lk_metadata *metadata, const char *path, const char **out); /* owned by metadata */
bool      lk_metadata_has(const lk_metadata *metadata, const char *path);
size_t    lk_metadata_n(const lk_metadata *metadata);
const char *lk_metadata_path(const lk_metadata *metadata, size_t i); /* in the order they were set */

/* A list of words; storage owned by whoever owns the struct around it. */
typedef struct lk_words { char **word; unsigned n; } lk_words;

enum { LK_HASH_BYTES = 33 };
/* XXH3-128 in hexadecimal of a file's bytes.  Errors: LK_ERR_SYSTEM. */
lk_status lk_file_hash(const char *path, char out[LK_HASH_BYTES]);
/* The same of bytes in memory. */
void      lk_hash_bytes(const void *bytes, size_t nbytes, char out[LK_HASH_BYTES]);

/* Rows of one size on disk, in files of as many rows each. */
typedef struct lk_row_files lk_row_files;
/* dir is made if it is absent.  key says what the rows are: files of another key are none. */
lk_status lk_row_files_new(const char *dir, const char *key, int64_t n, int64_t rows_per_file, size_t row_nbytes,
                           lk_row_files **out);
void      lk_row_files_free(lk_row_files **files);
/* Writes file f, rows [f * rows_per_file, ...): it is there whole or not at all.  Errors: LK_ERR_SYSTEM. */
lk_status lk_row_files_write(const lk_row_files *files, int64_t f, const void *rows);
/* Whether file f is there with the right key and checksum: reads all of it. */
lk_status lk_row_files_check(const lk_row_files *files, int64_t f, bool *whole);
/* Maps all of them.  Errors: LK_ERR_SYSTEM (one is not there). */
lk_status lk_row_files_open(lk_row_files *files);
/* A row, once they are open. */
const void *lk_row_files_row(const lk_row_files *files, int64_t row);
/* Removes a folder and what is in it; one that is absent is no error. */
lk_status lk_remove_tree(const char *path);
/* Removes all that is in `dir` but these names; absent: nothing to do. */
lk_status lk_remove_others(const char *dir, const char *const *keep, size_t n);

/* Makes a folder and its parents, as mkdir -p.  Errors: LK_ERR_SYSTEM. */
lk_status lk_make_dirs(const char *path);
/* The whole of a file with a NUL behind it; release with free().  nbytes may be NULL.  Errors: LK_ERR_SYSTEM. */
lk_status lk_read_file(const char *path, char **text, size_t *nbytes);
/* Writes nbytes to a temporary name beside `path`, syncs it, renames it and syncs the folder: at every moment `path`
 * is the old file or the new one.  Errors: LK_ERR_SYSTEM; the temporary file is then removed. */
lk_status lk_write_file_atomic(const char *path, const char *text, size_t nbytes);

#ifdef __cplusplus
}
#endif

#endif
