/*
 * Token files, as llm.c has them: a header of 256 int32, little end first (magic 20240520, version 1, number of tokens,
 * zeros), then the tokens as uint16.  They are mapped: what is not used is not read.
 * Source: github.com/karpathy/llm.c, dev/data/data_common.py.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/file/files.h"
#include "io/text/text.h"

enum { HEADER_INTS = 256, HEADER_BYTES = HEADER_INTS * 4, MAGIC = 20240520, VERSION = 1 };

void lk_tokens_free(lk_tokens *tokens)
{
    if (tokens->nbytes_mapped) munmap(tokens->mapped, tokens->nbytes_mapped);
    free(tokens->owned);
    *tokens = (lk_tokens){0};
}

static lk_status check_header(const char *path, const int32_t *header, size_t nbytes)
{
    const uint64_t want = HEADER_BYTES + (uint64_t)(uint32_t)header[2] * sizeof(uint16_t);

    if ((uint32_t)header[0] == __builtin_bswap32(MAGIC))
        return LK_FAIL(LK_ERR_DATA, "%s is a token file of another byte order; make it anew (lockstep tokenize), on a "
                       "machine that has the little end first", path);
    if (header[0] != MAGIC)
        return LK_FAIL(LK_ERR_DATA, "%s is no token file: it begins with %d, not %d; text wants data.tokenizer", path,
                       header[0], MAGIC);
    if (header[1] != VERSION)
        return LK_FAIL(LK_ERR_DATA, "%s is a token file of version %d; version %d is known, of GPT-2's tokens", path,
                       header[1], VERSION);
    if (want != nbytes)
        return LK_FAIL(LK_ERR_DATA, "%s holds %zu bytes; its header says %u tokens, which are %llu: it was cut, or is "
                       "being written", path, nbytes, (unsigned)header[2], (unsigned long long)want);
    return LK_OK;
}

static lk_status map(const char *path, int fd, lk_tokens *out)
{
    struct stat info;

    if (fstat(fd, &info) != 0) return LK_FAIL(LK_ERR_DATA, "cannot read %s: %s", path, strerror(errno));
    if (info.st_size < HEADER_BYTES)
        return LK_FAIL(LK_ERR_DATA, "%s is no token file: it holds %lld bytes, and the header alone has %d", path,
                       (long long)info.st_size, HEADER_BYTES);
    void *mapped = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED) return LK_FAIL(LK_ERR_DATA, "cannot map %s: %s", path, strerror(errno));
    *out = (lk_tokens){.mapped = mapped, .nbytes_mapped = (size_t)info.st_size};
    LK_TRY(check_header(path, mapped, out->nbytes_mapped));
    out->at = (const uint16_t *)(const void *)((const char *)mapped + HEADER_BYTES);
    out->n = (uint32_t)((const int32_t *)mapped)[2];
    return LK_OK;
}

lk_status lk_token_file_map(const char *path, lk_tokens *out)
{
    const int fd = lk_open(path, O_RDONLY);

    if (fd < 0) return LK_FAIL(LK_ERR_DATA, "cannot read %s: %s", path, strerror(errno));
    const lk_status status = map(path, fd, out);
    lk_close(fd);
    if (status != LK_OK) lk_tokens_free(out);
    return status;
}

/* ----------------------------------------------------------------------- write */

static lk_status write_file(void *arg, int fd, const char *path)
{
    const lk_tokens *tokens = arg;
    const int32_t header[HEADER_INTS] = {MAGIC, VERSION, (int32_t)tokens->n};
    const size_t nbytes = (size_t)tokens->n * sizeof *tokens->at;

    if (lk_write_all(fd, header, sizeof header) == sizeof header && lk_write_all(fd, tokens->at, nbytes) == nbytes)
        return LK_OK;
    return LK_FAIL(LK_ERR_SYSTEM, "cannot write %s: %s", path, strerror(errno));
}

lk_status lk_token_file_write(const char *path, const lk_tokens *tokens)
{
    if (tokens->n > INT32_MAX)
        return LK_FAIL(LK_ERR_USAGE, "%s: %lld tokens; a token file's header counts to %d: make several", path,
                       (long long)tokens->n, INT32_MAX);
    return lk_write_atomic(path, write_file, (void *)tokens);
}
