/*
 * The seal of a file: six lines of text in HDF5's user block, and the writing of sealed files.
 *
 * A seal is good only if it is exactly what would be written for the values it holds, so a flipped bit anywhere
 * in the block is found.  Files are written with write(2) from memory: a full disk, a limit or a dead disk is an
 * errno here, and HDF5 never sees it.
 */
#include "io/checkpoint/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const mode_t FILE_MODE = 0666; /* the umask takes away what it should */

#define SEAL_FORM                                             \
    "Lockstep checkpoint: HDF5 starts at byte 512\n"          \
    "file %s\n"                                               \
    "step %" PRId64 "\n"                                      \
    "bytes %zu\n"                                             \
    "table of pieces at byte %zu\n"                           \
    "xxh3-128 of all this with zeros here: %s\n"
#define SEAL_SCAN                                             \
    "Lockstep checkpoint: HDF5 starts at byte 512\n"          \
    "file %63s\n"                                             \
    "step %" SCNd64 "\n"                                      \
    "bytes %zu\n"                                             \
    "table of pieces at byte %zu\n"                           \
    "xxh3-128 of all this with zeros here: %32s\n"

void lk_seal_print(const lk_seal *seal, unsigned char block[LK_SEAL_BYTES])
{
    memset(block, 0, LK_SEAL_BYTES);
    snprintf((char *)block, LK_SEAL_BYTES, SEAL_FORM, seal->file, seal->step, seal->nbytes,
             seal->pieces, seal->checksum);
}

bool lk_seal_parse(const unsigned char block[LK_SEAL_BYTES], lk_seal *out)
{
    unsigned char again[LK_SEAL_BYTES];
    char text[LK_SEAL_BYTES + 1] = "";

    memcpy(text, block, LK_SEAL_BYTES);
    *out = (lk_seal){0};
    if (sscanf(text, SEAL_SCAN, out->file, &out->step, &out->nbytes, &out->pieces, out->checksum) != 5) return false;
    lk_seal_print(out, again);
    return memcmp(block, again, LK_SEAL_BYTES) == 0;
}

/* Returns bytes written; fewer than nbytes with errno set when that failed. */
static size_t write_all(int fd, const unsigned char *bytes, size_t nbytes)
{
    size_t done = 0;

    while (done < nbytes) {
        const ssize_t n = write(fd, bytes + done, nbytes - done);

        if (n < 0 && errno == EINTR) continue;
        if (n < 0) break;
        done += (size_t)n;
    }
    return done;
}

static lk_status write_file(const char *path, const lk_h5_image *image)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, FILE_MODE);

    if (fd < 0) return LK_FAIL(LK_ERR_CHECKPOINT, "cannot make %s: %s", path, strerror(errno));
    const size_t done = write_all(fd, image->bytes, image->nbytes);
    bool good = done == image->nbytes && fsync(fd) == 0;
    int why = errno;

    if (close(fd) != 0 && good) good = false, why = errno;
    if (good) return LK_OK;
    unlink(path);
    return LK_FAIL(LK_ERR_CHECKPOINT, "cannot write %s: %s after %zu of %zu bytes%s", path, strerror(why), done,
                   image->nbytes, why == ENOSPC || why == EDQUOT ? ": make room, or keep fewer checkpoints" : "");
}

lk_seal lk_seal_unsigned(const lk_seal *seal)
{
    lk_seal copy = *seal;

    memset(copy.checksum, '0', LK_CHECKSUM_CHARS);
    copy.checksum[LK_CHECKSUM_CHARS] = '\0';
    return copy;
}

lk_status lk_sealed_write(const char *dir, const char *file, int64_t step, size_t pieces, lk_h5_image *image)
{
    lk_seal seal = {.step = step, .nbytes = image->nbytes, .pieces = pieces};
    char path[LK_CKPT_PATH_BYTES];

    LK_TRY(lk_ckpt_path(path, dir, file));
    snprintf(seal.file, sizeof seal.file, "%s", file);
    seal = lk_seal_unsigned(&seal);
    lk_seal_print(&seal, image->bytes);
    lk_checksum(image->bytes, image->nbytes, seal.checksum);
    lk_seal_print(&seal, image->bytes);
    LK_TRY(write_file(path, image));
    return LK_OK;
}
