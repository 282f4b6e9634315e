/*
 * An HDF5 file in memory, by HDF5's core driver.  The driver asks callbacks for its memory, so the buffer is
 * ours: it outlives the file, is used again for the next one, and no second copy of the file is ever made.
 */
#include "io/file/h5.h"

#include <stdlib.h>
#include <string.h>

/* The buffer grows by at least this much, and HDF5 keeps its small things together in blocks of it. */
enum { GROWTH_BYTES = 64 * 1024 };

static void *image_realloc(void *old, size_t nbytes, H5FD_file_image_op_t op, void *udata)
{
    lk_h5_image *image = udata;

    (void)old, (void)op; /* always image->bytes, or NULL at first */
    if (nbytes > image->capacity) {
        unsigned char *bytes = realloc(image->bytes, nbytes);

        if (!bytes) return NULL;
        image->bytes = bytes;
        image->capacity = nbytes;
    }
    return image->bytes;
}

static void *image_malloc(size_t nbytes, H5FD_file_image_op_t op, void *udata)
{
    return image_realloc(NULL, nbytes, op, udata);
}

/* The file closes, its bytes stay. */
static herr_t image_free(void *bytes, H5FD_file_image_op_t op, void *udata)
{
    (void)bytes, (void)op, (void)udata;
    return 0;
}

/* Property lists are copied; all copies mean the one image. */
static void *udata_copy(void *udata) { return udata; }
static herr_t udata_free(void *udata)
{
    (void)udata;
    return 0;
}

static lk_status memory_properties(lk_h5_image *image, hid_t *out)
{
    H5FD_file_image_callbacks_t callbacks = {
        .image_malloc = image_malloc, .image_realloc = image_realloc, .image_free = image_free,
        .udata_copy = udata_copy, .udata_free = udata_free, .udata = image,
    };
    LK_H5_ID list = H5I_INVALID_HID;

    LK_H5(LK_ERR_SYSTEM, list = H5Pcreate(H5P_FILE_ACCESS), "cannot make file properties");
    LK_H5(LK_ERR_SYSTEM, H5Pset_fapl_core(list, GROWTH_BYTES, false), "cannot make files in memory");
    LK_H5(LK_ERR_SYSTEM, H5Pset_file_image_callbacks(list, &callbacks), "cannot give a file its memory");
    /* 1.8's object headers and up carry checksums; 1.10 is needed for virtual data sets. */
    LK_H5(LK_ERR_SYSTEM, H5Pset_libver_bounds(list, H5F_LIBVER_V18, H5F_LIBVER_V110), "cannot set format versions");
    *out = list;
    list = H5I_INVALID_HID;
    return LK_OK;
}

lk_status lk_h5_image_begin(lk_h5_image *image, const char *name, size_t user_block, hid_t *file)
{
    LK_H5_ID access = H5I_INVALID_HID;
    LK_H5_ID creation = H5I_INVALID_HID;

    image->nbytes = 0;
    image->user_block = user_block;
    LK_TRY(memory_properties(image, &access));
    LK_H5(LK_ERR_SYSTEM, creation = H5Pcreate(H5P_FILE_CREATE), "cannot make file properties");
    LK_H5(LK_ERR_SYSTEM, H5Pset_userblock(creation, user_block), "cannot ask for a user block of %zu bytes",
          user_block);
    LK_H5(LK_ERR_SYSTEM, *file = H5Fcreate(name, H5F_ACC_TRUNC, creation, access), "cannot make %s in memory", name);
    return LK_OK;
}

/* Length of the file by its superblock (HDF5 File Format Specification 3.0, II.A, versions 2 and 3): the driver's
 * own length is rounded up, and H5Fget_file_image() forgets the user block. */
static size_t stored_length(const lk_h5_image *image)
{
    enum { END_OF_FILE = 28 };
    static const unsigned char signature[] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
    uint64_t length;

    if (image->capacity < image->user_block + END_OF_FILE + sizeof length) return 0;
    const unsigned char *superblock = image->bytes + image->user_block;
    const unsigned char version = superblock[sizeof signature];
    if (memcmp(superblock, signature, sizeof signature) != 0 || version < 2 || version > 3) return 0;
    memcpy(&length, superblock + END_OF_FILE, sizeof length);
    return length <= image->capacity ? (size_t)length : 0;
}

lk_status lk_h5_image_end(lk_h5_image *image, hid_t *file)
{
    /* Space without contents is part of the buffer only after a flush. */
    LK_H5(LK_ERR_SYSTEM, H5Fflush(*file, H5F_SCOPE_LOCAL), "cannot complete a file in memory");
    LK_H5(LK_ERR_SYSTEM, H5Fclose(*file), "cannot close a file in memory");
    *file = H5I_INVALID_HID;
    image->nbytes = stored_length(image);
    if (image->nbytes == 0)
        return LK_FAIL(LK_ERR_SYSTEM, "a file made in memory has no length: this program does not know the HDF5 "
                       "format that the library wrote");
    return LK_OK;
}

void lk_h5_image_free(lk_h5_image *image)
{
    free(image->bytes);
    *image = (lk_h5_image){0};
}
