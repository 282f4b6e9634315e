/*
 * Is a file of a checkpoint what was written?  The whole file is read and hashed, then compared with its own header
 * and with what index.h5 expects; from both together follows what is wrong.  No HDF5 here: it opens a file only
 * when it is whole.
 */
#include "io/checkpoint/parts.h"
#include "io/file/files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ADVICE "restore it or resume from an older checkpoint"

enum { READ_BYTES = 1 << 20, REASON_BYTES = 512 };

/* What a file turns out to be. */
typedef struct scan {
    lk_file_header header; /* what it says of itself */
    bool has_header;
    size_t nbytes;    /* what it is */
    char checksum[LK_CHECKSUM_CHARS + 1];
} scan;

static lk_status open_file(const char *path, int *fd, size_t *nbytes)
{
    struct stat info;

    *fd = lk_open(path, O_RDONLY);
    if (*fd < 0 && errno == ENOENT) return LK_FAIL(LK_ERR_CHECKPOINT, "%s is missing: " ADVICE, path);
    if (*fd < 0) return LK_FAIL(LK_ERR_CHECKPOINT, "cannot open %s: %s", path, strerror(errno));
    if (fstat(*fd, &info) != 0) {
        const int why = errno;
        lk_close(*fd);
        return LK_FAIL(LK_ERR_CHECKPOINT, "cannot ask for the size of %s: %s", path, strerror(why));
    }
    *nbytes = (size_t)info.st_size;
    return LK_OK;
}

/* Reads the header and hashes the file as it was when it was written; errno tells what failed. */
static bool scan_bytes(int fd, unsigned char *buffer, XXH3_state_t *state, scan *out)
{
    ssize_t n = lk_read_at(fd, buffer, LK_FILE_HEADER_BYTES, 0);
    size_t place = 0;

    out->has_header = n == LK_FILE_HEADER_BYTES && lk_file_header_parse(buffer, &out->header);
    if (out->has_header) {
        const lk_file_header header = lk_file_header_unsigned(&out->header);
        lk_file_header_print(&header, buffer);
    }
    XXH3_128bits_reset(state);
    for (; n > 0; n = lk_read_at(fd, buffer, READ_BYTES, place)) {
        XXH3_128bits_update(state, buffer, (size_t)n);
        place += (size_t)n;
    }
    lk_checksum_hex(XXH3_128bits_digest(state), out->checksum);
    return n == 0;
}

static lk_status scan_file(int fd, const char *path, scan *out)
{
    unsigned char *buffer = malloc(READ_BYTES);
    XXH3_state_t *state = XXH3_createState();
    const bool memory = buffer && state;
    const bool good = memory && scan_bytes(fd, buffer, state, out);
    const int why = errno;

    XXH3_freeState(state);
    free(buffer);
    if (!memory) return LK_FAIL(LK_ERR_SYSTEM, "out of memory: %d bytes to read %s", READ_BYTES, path);
    if (!good) return LK_FAIL(LK_ERR_CHECKPOINT, "cannot read %s: %s", path, strerror(why));
    return LK_OK;
}

/* ------------------------------------------------------------------- damage */

/* Which tensor of a damaged file is damaged?  The header tells where the table of extents is, the table where each
 * extent is and what its checksum was.  The table may be damaged itself, so nothing in it is believed that does
 * not fit the tensors; then no tensor is named. */
static bool fits(const lk_extent *extent, const lk_ckpt_tensor *tensor, size_t file_bytes)
{
    if (extent->begin < 0 || extent->begin > extent->end || extent->end > lk_tensor_rows(tensor)) return false;
    const size_t nbytes = lk_extent_bytes(extent, tensor);

    return extent->offset >= 0 && nbytes <= file_bytes && (size_t)extent->offset <= file_bytes - nbytes;
}

static bool is_damaged(int fd, const lk_extent *extent, size_t nbytes)
{
    char checksum[LK_CHECKSUM_CHARS];
    void *bytes = malloc(nbytes + 1);
    bool damaged = false;

    if (bytes && lk_read_at(fd, bytes, nbytes, (size_t)extent->offset) == (ssize_t)nbytes) {
        lk_checksum(bytes, nbytes, checksum);
        damaged = memcmp(checksum, extent->xxh3, sizeof checksum) != 0;
    }
    free(bytes);
    return damaged;
}

static bool first_damaged(int fd, const lk_extent *extents, size_t file_bytes, const lk_ckpt_tensor *tensors,
                          size_t n, char *out, size_t out_bytes)
{
    for (size_t i = 0; i < n; i++) {
        const lk_extent *extent = &extents[i];

        if (!fits(extent, &tensors[i], file_bytes)) return false;
        if (!is_damaged(fd, extent, lk_extent_bytes(extent, &tensors[i]))) continue;
        snprintf(out, out_bytes, "/%s rows %" PRId64 "..%" PRId64, tensors[i].path, extent->begin, extent->end - 1);
        return true;
    }
    return false;
}

/* Describes the first of the file's n tensors whose bytes do not have their checksum; false when none can be told. */
static bool find_damage(int fd, const lk_file_header *header, size_t file_bytes, const lk_ckpt_tensor *tensors,
                        size_t n, char *out, size_t out_bytes)
{
    lk_extent *extents = calloc(n + 1, sizeof *extents);
    const size_t nbytes = n * sizeof *extents;
    const bool found = extents && lk_read_at(fd, extents, nbytes, header->extents) == (ssize_t)nbytes &&
                       first_damaged(fd, extents, file_bytes, tensors, n, out, out_bytes);

    free(extents);
    return found;
}

/* ------------------------------------------------------------------ judgement */

static bool same(const lk_file_header *a, const lk_file_header *b)
{
    return a->step == b->step && a->nbytes == b->nbytes && strcmp(a->file, b->file) == 0 &&
           strcmp(a->checksum, b->checksum) == 0;
}

static lk_status wrong_size(const char *path, size_t nbytes, size_t expected)
{
    if (nbytes < expected)
        return LK_FAIL(LK_ERR_CHECKPOINT, "%s is cut: %zu of its %zu bytes are there: " ADVICE, path, nbytes,
                       expected);
    return LK_FAIL(LK_ERR_CHECKPOINT, "%s has been changed: %zu bytes instead of %zu: " ADVICE, path, nbytes,
                   expected);
}

/* What is wrong with a file that is not what was expected. */
static lk_status tell(const char *path, const scan *found, bool intact, const lk_file_header *expected)
{
    if (intact)
        return LK_FAIL(LK_ERR_CHECKPOINT, "%s is not of this checkpoint: it was saved as %s of step %lld%s: " ADVICE,
                       path, found->header.file, (long long)found->header.step,
                       expected && expected->step == found->header.step ? " by another save" : "");
    /* What the index says about the length is worth more than what the file says of itself. */
    if (expected && found->nbytes != expected->nbytes) return wrong_size(path, found->nbytes, expected->nbytes);
    if (!expected && found->has_header && found->nbytes != found->header.nbytes)
        return wrong_size(path, found->nbytes, found->header.nbytes);
    return LK_FAIL(LK_ERR_CHECKPOINT, "%s is damaged (checksum of the file): " ADVICE, path);
}

static lk_status verify(int fd, const char *path, const char *file, scan *found, const lk_file_header *expected,
                        const lk_ckpt_tensor *tensors, size_t n)
{
    char what[REASON_BYTES];

    LK_TRY(scan_file(fd, path, found));
    const bool intact = found->has_header && found->nbytes == found->header.nbytes &&
                        strcmp(found->checksum, found->header.checksum) == 0;

    if (intact && (expected ? same(&found->header, expected) : strcmp(found->header.file, file) == 0)) return LK_OK;
    if (!intact && found->has_header && found->nbytes == found->header.nbytes &&
        find_damage(fd, &found->header, found->nbytes, tensors, n, what, sizeof what))
        return LK_FAIL(LK_ERR_CHECKPOINT, "%s: %s is damaged (checksum): " ADVICE, path, what);
    return tell(path, found, intact, expected);
}

lk_status lk_ckpt_file_verify(const char *dir, const char *file, const lk_file_header *expected,
                              const lk_ckpt_tensor *tensors, size_t n)
{
    char path[LK_CKPT_PATH_BYTES];
    scan found = {0};
    int fd = -1;

    LK_TRY(lk_ckpt_path(path, dir, file));
    LK_TRY(open_file(path, &fd, &found.nbytes));
    const lk_status status = verify(fd, path, file, &found, expected, tensors, n);
    lk_close(fd);
    LK_TRY(status);
    return LK_OK;
}

lk_status lk_ckpt_file_peek(const char *dir, const char *file, int64_t step, lk_file_header *out)
{
    unsigned char block[LK_FILE_HEADER_BYTES];
    char path[LK_CKPT_PATH_BYTES];
    size_t nbytes = 0;
    int fd = -1;

    LK_TRY(lk_ckpt_path(path, dir, file));
    if (access(path, F_OK) != 0)
        return LK_FAIL(LK_ERR_CHECKPOINT, "%s is missing though its worker has written it: is it on a file system "
                       "that all hosts share?", path);
    LK_TRY(open_file(path, &fd, &nbytes));
    const ssize_t n = lk_read_at(fd, block, LK_FILE_HEADER_BYTES, 0);
    const int why = errno;

    lk_close(fd);
    if (n < 0) return LK_FAIL(LK_ERR_CHECKPOINT, "cannot read %s: %s", path, strerror(why));
    if (n != LK_FILE_HEADER_BYTES || !lk_file_header_parse(block, out) || out->nbytes != nbytes || out->step != step ||
        strcmp(out->file, file) != 0)
        return LK_FAIL(LK_ERR_CHECKPOINT, "%s is not what was just written there: do two runs share this folder?",
                       path);
    return LK_OK;
}
