/*
 * The header of a file: six lines of text in HDF5's user block, and the writing of files.
 *
 * A header is good only if it is exactly what would be written for the values it holds, so a flipped bit anywhere
 * in the block is found.  Files are written with write(2) from memory: a full disk, a limit or a dead disk is an
 * errno here, and HDF5 never sees it.
 */
#include "io/checkpoint/parts.h"
#include "io/file/files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HEADER_FORM                                           \
    "Lockstep checkpoint: HDF5 starts at byte 512\n"          \
    "file %s\n"                                               \
    "step %" PRId64 "\n"                                      \
    "bytes %zu\n"                                             \
    "table of pieces at byte %zu\n"                           \
    "xxh3-128 of all this with zeros here: %s\n"
#define HEADER_SCAN                                           \
    "Lockstep checkpoint: HDF5 starts at byte 512\n"          \
    "file %63s\n"                                             \
    "step %" SCNd64 "\n"                                      \
    "bytes %zu\n"                                             \
    "table of pieces at byte %zu\n"                           \
    "xxh3-128 of all this with zeros here: %32s\n"

void lk_file_header_print(const lk_file_header *header, unsigned char block[LK_FILE_HEADER_BYTES])
{
    memset(block, 0, LK_FILE_HEADER_BYTES);
    snprintf((char *)block, LK_FILE_HEADER_BYTES, HEADER_FORM, header->file, header->step, header->nbytes,
             header->extents, header->checksum);
}

bool lk_file_header_parse(const unsigned char block[LK_FILE_HEADER_BYTES], lk_file_header *out)
{
    unsigned char again[LK_FILE_HEADER_BYTES];
    char text[LK_FILE_HEADER_BYTES + 1] = "";

    memcpy(text, block, LK_FILE_HEADER_BYTES);
    *out = (lk_file_header){0};
    if (sscanf(text, HEADER_SCAN, out->file, &out->step, &out->nbytes, &out->extents, out->checksum) != 5) return false;
    lk_file_header_print(out, again);
    return memcmp(block, again, LK_FILE_HEADER_BYTES) == 0;
}

static lk_status write_file(const char *path, const lk_h5_image *image)
{
    const int fd = lk_open(path, O_WRONLY | O_CREAT | O_TRUNC);

    if (fd < 0) return LK_FAIL(LK_ERR_SYSTEM, "cannot make %s: %s", path, strerror(errno));
    const size_t done = lk_write_all(fd, image->bytes, image->nbytes);
    bool good = done == image->nbytes && lk_fsync(fd) == 0;
    int why = errno;

    if (lk_close(fd) != 0 && good) good = false, why = errno;
    if (good) return LK_OK;
    unlink(path);
    return LK_FAIL(LK_ERR_SYSTEM, "cannot write %s: %s after %zu of %zu bytes%s", path, strerror(why), done,
                   image->nbytes, why == ENOSPC || why == EDQUOT ? ": make room, or keep fewer checkpoints" : "");
}

lk_file_header lk_file_header_unsigned(const lk_file_header *header)
{
    lk_file_header copy = *header;

    memset(copy.checksum, '0', LK_CHECKSUM_CHARS);
    copy.checksum[LK_CHECKSUM_CHARS] = '\0';
    return copy;
}

lk_status lk_ckpt_file_write(const char *dir, const char *file, int64_t step, size_t extents, lk_h5_image *image)
{
    lk_file_header header = {.step = step, .nbytes = image->nbytes, .extents = extents};
    char path[LK_CKPT_PATH_BYTES];

    LK_TRY(lk_ckpt_path(path, dir, file));
    snprintf(header.file, sizeof header.file, "%s", file);
    header = lk_file_header_unsigned(&header);
    lk_file_header_print(&header, image->bytes);
    lk_checksum(image->bytes, image->nbytes, header.checksum);
    lk_file_header_print(&header, image->bytes);
    LK_TRY(write_file(path, image));
    return LK_OK;
}
