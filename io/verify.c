/*
 * Is a file of a checkpoint what was written?  The whole file is read and hashed, then compared with its own seal and
 * with what index.h5 expects; from both together follows what is wrong.  HDF5 opens a file only when it is whole, or to
 * find the damaged tensor in one that is not (its metadata carries checksums of its own).
 */
#include "io/ckpt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_BYTES = 1 << 20, REASON_BYTES = 512 };

/* What a file turns out to be. */
typedef struct scan {
    lk_seal seal;     /* what it says of itself */
    bool has_seal;
    size_t nbytes;    /* what it is */
    char checksum[LK_CHECKSUM_CHARS + 1];
} scan;

static lk_status open_file(const char *path, int *fd, size_t *nbytes)
{
    struct stat info;

    *fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*fd < 0 && errno == ENOENT) return LK_FAIL(LK_ERR_CHECKPOINT, "%s is missing: " LK_CKPT_ADVICE, path);
    if (*fd < 0) return LK_FAIL(LK_ERR_CHECKPOINT, "cannot open %s: %s", path, strerror(errno));
    if (fstat(*fd, &info) != 0) {
        const int why = errno;
        close(*fd);
        return LK_FAIL(LK_ERR_CHECKPOINT, "cannot ask for the size of %s: %s", path, strerror(why));
    }
    *nbytes = (size_t)info.st_size;
    return LK_OK;
}

/* Up to nbytes, fewer at the end of the file; -1 with errno set on failure. */
static ssize_t read_up_to(int fd, unsigned char *out, size_t nbytes)
{
    size_t done = 0;

    while (done < nbytes) {
        const ssize_t n = read(fd, out + done, nbytes - done);

        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -1;
        if (n == 0) break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

/* Reads the seal and hashes the rest; errno tells what failed. */
static bool scan_bytes(int fd, unsigned char *buffer, XXH3_state_t *state, scan *out)
{
    ssize_t n = read_up_to(fd, buffer, LK_SEAL_BYTES);

    out->has_seal = n == LK_SEAL_BYTES && lk_seal_parse(buffer, &out->seal);
    XXH3_128bits_reset(state);
    while (n > 0 && (n = read_up_to(fd, buffer, READ_BYTES)) > 0) XXH3_128bits_update(state, buffer, (size_t)n);
    lk_checksum_hex(XXH3_128bits_digest(state), out->checksum);
    return n == 0;
}

static lk_status scan_file(const char *path, scan *out)
{
    int fd;

    LK_TRY(open_file(path, &fd, &out->nbytes));
    unsigned char *buffer = malloc(READ_BYTES);
    XXH3_state_t *state = XXH3_createState();
    const bool memory = buffer && state;
    const bool good = memory && scan_bytes(fd, buffer, state, out);
    const int why = errno;

    XXH3_freeState(state);
    free(buffer);
    close(fd);
    if (!memory) return LK_FAIL(LK_ERR_SYSTEM, "out of memory: %d bytes to read %s", READ_BYTES, path);
    if (!good) return LK_FAIL(LK_ERR_CHECKPOINT, "cannot read %s: %s", path, strerror(why));
    return LK_OK;
}

static bool same(const lk_seal *a, const lk_seal *b)
{
    return a->step == b->step && a->nbytes == b->nbytes && strcmp(a->file, b->file) == 0 &&
           strcmp(a->checksum, b->checksum) == 0;
}

static lk_status wrong_size(const char *path, size_t nbytes, size_t expected)
{
    if (nbytes < expected)
        return LK_FAIL(LK_ERR_CHECKPOINT, "%s is cut: %zu of its %zu bytes are there: " LK_CKPT_ADVICE, path, nbytes, expected);
    return LK_FAIL(LK_ERR_CHECKPOINT, "%s has been changed: %zu bytes instead of %zu: " LK_CKPT_ADVICE, path, nbytes, expected);
}

static lk_status damaged(const char *dir, const char *file, const char *path)
{
    char what[REASON_BYTES];

    if (lk_shard_find_damage(dir, file, what, sizeof what))
        return LK_FAIL(LK_ERR_CHECKPOINT, "%s: %s is damaged (checksum): " LK_CKPT_ADVICE, path, what);
    return LK_FAIL(LK_ERR_CHECKPOINT, "%s is damaged (checksum of the file): " LK_CKPT_ADVICE, path);
}

lk_status lk_sealed_verify(const char *dir, const char *file, const lk_seal *expected, lk_seal *out)
{
    char path[LK_CKPT_PATH_BYTES];
    scan found = {0};

    LK_TRY(lk_ckpt_path(path, dir, file));
    LK_TRY(scan_file(path, &found));
    *out = found.seal;
    const bool intact = found.has_seal && found.nbytes == found.seal.nbytes &&
                        strcmp(found.checksum, found.seal.checksum) == 0;

    if (intact && (expected ? same(&found.seal, expected) : strcmp(found.seal.file, file) == 0)) return LK_OK;
    if (intact)
        return LK_FAIL(LK_ERR_CHECKPOINT, "%s is not of this checkpoint: it was saved as %s of step %lld%s: " LK_CKPT_ADVICE,
                       path, found.seal.file, (long long)found.seal.step,
                       expected && expected->step == found.seal.step ? " by another save" : "");
    /* What the index says about the length is worth more than what the file says of itself. */
    if (expected && found.nbytes != expected->nbytes) return wrong_size(path, found.nbytes, expected->nbytes);
    if (!expected && found.has_seal && found.nbytes != found.seal.nbytes)
        return wrong_size(path, found.nbytes, found.seal.nbytes);
    return damaged(dir, file, path);
}

lk_status lk_sealed_peek(const char *dir, const char *file, int64_t step, lk_seal *out)
{
    unsigned char block[LK_SEAL_BYTES];
    char path[LK_CKPT_PATH_BYTES];
    size_t nbytes;
    int fd;

    LK_TRY(lk_ckpt_path(path, dir, file));
    if (access(path, F_OK) != 0)
        return LK_FAIL(LK_ERR_CHECKPOINT, "%s is missing though its worker has written it: is it on a file system that "
                       "all hosts share?", path);
    LK_TRY(open_file(path, &fd, &nbytes));
    const ssize_t n = read_up_to(fd, block, LK_SEAL_BYTES);
    const int why = errno;

    close(fd);
    if (n < 0) return LK_FAIL(LK_ERR_CHECKPOINT, "cannot read %s: %s", path, strerror(why));
    if (n != LK_SEAL_BYTES || !lk_seal_parse(block, out) || out->nbytes != nbytes || out->step != step ||
        strcmp(out->file, file) != 0)
        return LK_FAIL(LK_ERR_CHECKPOINT, "%s is not what was just written there: do two runs share this folder?",
                       path);
    return LK_OK;
}
