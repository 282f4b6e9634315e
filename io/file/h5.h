/*
 * The boundary to HDF5.  Every call of the library goes through LK_H5, which turns a failure into a status whose
 * message ends with HDF5's own innermost description; the library's printing of errors is off.
 *
 * Ids close themselves: an LK_H5_ID is released at the end of its scope, so LK_H5 and LK_TRY may leave in the
 * middle. That is safe because files are only ever read here, or made in memory (lk_h5_image): nothing is flushed
 * by a close.
 *
 * Files are opened without HDF5's file locking, which fails on NFS and Lustre, and made within a fixed range of
 * format versions, whose metadata carries checksums.
 */
#ifndef LK_IO_H5_H
#define LK_IO_H5_H

#include <hdf5.h>

#include "engine/base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An id of any kind that is closed at the end of its scope.  It must be set where it is declared, H5I_INVALID_HID
 * if to nothing else. */
#define LK_H5_ID __attribute__((cleanup(lk_h5_close))) hid_t
void lk_h5_close(hid_t *id); /* accepts what is no id, leaves H5I_INVALID_HID */

/* Runs `call`, whose result is negative when it failed; then this function returns `status` with the message
 * (printf form) and HDF5's reason.  `call` may be an assignment: LK_H5(LK_ERR_DATA, set = H5Dopen2(...), "%s:
 * ...", path). */
#define LK_H5(status, call, ...)                                                          \
    do {                                                                                  \
        lk_h5_quiet();                                                                    \
        if ((call) < 0) return lk_h5_fail((status), __FILE__, __LINE__, __VA_ARGS__);     \
    } while (0)
lk_status lk_h5_fail(lk_status status, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Turns HDF5's printing of errors off for this thread. */
void lk_h5_quiet(void);

/* Opens a file for reading.  Errors: `status`. */
lk_status lk_h5_open(lk_status status, const char *path, hid_t *out);
/* Between the two, a signal that kills the process (the library aborts on some damaged files) names the file first.
 * Any thread. */
void lk_h5_guard_begin(const char *path);
void lk_h5_guard_end(void);
/* "FILE: /PATH", the place of an object, for messages; returns `out`. */
enum { LK_H5_PLACE_BYTES = 1024 };
const char *lk_h5_place(hid_t object, char out[LK_H5_PLACE_BYTES]);

/* ------------------------------------------------------------------ reading */

/* Each names file and data set in its message.  `where` is a file or a group; `path` is relative to it. */
lk_status lk_h5_open_set(lk_status status, hid_t where, const char *path, hid_t *out);
/* Number of dimensions and extents of a data set; more than `max_dims` dimensions are an error. */
lk_status lk_h5_shape(lk_status status, hid_t set, int max_dims, int *ndim, hsize_t *dims);
/* A whole data set of exactly n_elem elements into out, converted to the memory type. */
lk_status lk_h5_read(lk_status status, hid_t where, const char *path, hid_t memory_type, size_t n_elem, void *out);
/* Rows [begin, end) along the first dimension.  A data set without dimensions has one row. */
lk_status lk_h5_read_rows(lk_status status, hid_t set, hid_t memory_type, int64_t begin, int64_t end, void *out);
/* A scalar string, or an array of strings of one dimension.  *out is released with free(). */
lk_status lk_h5_read_text(lk_status status, hid_t where, const char *path, char **out);
lk_status lk_h5_read_texts(lk_status status, hid_t where, const char *path, char ***out, size_t *n);

/* ------------------------------------------------------------------ writing */

/* Groups on the way to `path` are made.  ndim 0 is a scalar.  `set` may be NULL; otherwise it gets the data set,
 * which the caller closes.  data NULL leaves the contents to the caller: contiguous space that lk_h5_offset()
 * finds. */
lk_status lk_h5_write(hid_t where, const char *path, hid_t file_type, hid_t memory_type, int ndim,
                      const int64_t *shape, const void *data, hid_t *set);
lk_status lk_h5_write_text(hid_t where, const char *path, const char *text);
/* An array of n strings of one fixed length, the longest's. */
lk_status lk_h5_write_texts(hid_t where, const char *path, const char *const *texts, size_t n);
lk_status lk_h5_set_attribute(hid_t object, const char *name, const int64_t *values, size_t n);
/* First byte of a contiguous data set in its file, user block included. */
lk_status lk_h5_offset(hid_t set, size_t *out);
/* The type of strings of one fixed length, UTF-8, padded with NULs. */
lk_status lk_h5_text_type(size_t length, hid_t *out);
/* A property list for links that makes the groups on the way. */
lk_status lk_h5_link_properties(hid_t *out);

/* ---------------------------------------------------------- a file in memory */

/* The bytes of an HDF5 file, made without touching a disk, so that writing them is a plain write(2) whose errors are
 * exact: HDF5 can lose ids or crash when a disk fills up while it closes a file. */
typedef struct lk_h5_image {
    unsigned char *bytes; /* owned; kept for the next file made in this image */
    size_t capacity;
    size_t nbytes;        /* of the file, user block included */
    size_t user_block;
} lk_h5_image;

/* Starts a file of this name (nothing of that name is opened or made) behind a user block of `user_block` bytes. */
lk_status lk_h5_image_begin(lk_h5_image *image, const char *name, size_t user_block, hid_t *file);
/* Closes the file: its bytes are complete.  Every other id of the file must have been closed. */
lk_status lk_h5_image_end(lk_h5_image *image, hid_t *file);
void      lk_h5_image_free(lk_h5_image *image);

#ifdef __cplusplus
}
#endif
#endif
