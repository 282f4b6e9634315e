/*
 * Packed files are unpacked in memory: gz by zlib, xz by liblzma.  A file of several members, as `cat a.gz b.gz` makes,
 * is what its members hold, one behind the other.
 */
#include "io/file/unpack.h"

#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { FIRST_FACTOR = 4, LEAST_ROOM = 1 << 16, GZIP_ALONE = 16 + MAX_WBITS };

typedef struct output {
    char *bytes; /* owned */
    size_t n, capacity;
} output;

/* At least one byte of room, and one more for the NUL. */
static bool make_room(output *out, size_t first)
{
    if (out->n + 1 < out->capacity) return true;
    const size_t capacity = out->capacity ? 2 * out->capacity : first + LEAST_ROOM;
    char *grown = realloc(out->bytes, capacity);
    if (!grown) return false;
    out->bytes = grown;
    out->capacity = capacity;
    return true;
}

static lk_status damaged(const char *path, const char *packer, const char *why)
{
    return LK_FAIL(LK_ERR_DATA, "%s cannot be unpacked (%s): %s", path, packer, why);
}

/* Room for an unsigned int's worth at most: zlib counts in those. */
static unsigned int some(size_t n) { return n < UINT32_MAX / 2 ? (unsigned int)n : UINT32_MAX / 2; }

static lk_status inflate_all(const char *path, z_stream *stream, const char *bytes, size_t nbytes, output *out)
{
    size_t read = 0;

    for (;;) {
        if (!make_room(out, FIRST_FACTOR * nbytes)) return LK_FAIL(LK_ERR_SYSTEM, "out of memory: unpacking %s", path);
        const unsigned int in = some(nbytes - read), room = some(out->capacity - out->n - 1);
        stream->next_in = (Bytef *)bytes + read;
        stream->avail_in = in;
        stream->next_out = (Bytef *)out->bytes + out->n;
        stream->avail_out = room;
        const int code = inflate(stream, Z_NO_FLUSH);
        read += in - stream->avail_in;
        out->n += room - stream->avail_out;
        if (code == Z_STREAM_END && read == nbytes) return LK_OK;
        if (code == Z_STREAM_END && inflateReset(stream) != Z_OK) return damaged(path, "gzip", "zlib gives up");
        if (code == Z_BUF_ERROR || (code == Z_OK && read == nbytes && stream->avail_out))
            return damaged(path, "gzip", "it is cut short");
        if (code != Z_OK && code != Z_STREAM_END)
            return damaged(path, "gzip", stream->msg ? stream->msg : "zlib gives no reason");
    }
}

static lk_status unpack_gzip(const char *path, const char *bytes, size_t nbytes, output *out)
{
    z_stream stream = {0};

    if (inflateInit2(&stream, GZIP_ALONE) != Z_OK)
        return LK_FAIL(LK_ERR_SYSTEM, "zlib cannot start unpacking %s", path);
    const lk_status status = inflate_all(path, &stream, bytes, nbytes, out);
    inflateEnd(&stream);
    return status;
}

static lk_status decode_all(const char *path, lzma_stream *stream, size_t nbytes, output *out)
{
    lzma_ret code = LZMA_OK;

    while (code == LZMA_OK) {
        if (!make_room(out, FIRST_FACTOR * nbytes)) return LK_FAIL(LK_ERR_SYSTEM, "out of memory: unpacking %s", path);
        stream->next_out = (uint8_t *)out->bytes + out->n;
        stream->avail_out = out->capacity - out->n - 1;
        code = lzma_code(stream, LZMA_FINISH);
        out->n = out->capacity - 1 - stream->avail_out;
    }
    if (code == LZMA_STREAM_END) return LK_OK;
    return damaged(path, "xz", code == LZMA_BUF_ERROR ? "it is cut short" : code == LZMA_MEM_ERROR ? "out of memory"
                                                                                                   : "it is damaged");
}

static lk_status unpack_xz(const char *path, const char *bytes, size_t nbytes, output *out)
{
    lzma_stream stream = LZMA_STREAM_INIT;

    if (lzma_stream_decoder(&stream, UINT64_MAX, LZMA_CONCATENATED) != LZMA_OK)
        return LK_FAIL(LK_ERR_SYSTEM, "liblzma cannot start unpacking %s", path);
    stream.next_in = (const uint8_t *)bytes;
    stream.avail_in = nbytes;
    const lk_status status = decode_all(path, &stream, nbytes, out);
    lzma_end(&stream);
    return status;
}

typedef struct packer {
    const char *name, *magic;
    lk_status (*unpack)(const char *path, const char *bytes, size_t nbytes, output *out); /* NULL: by other programs */
} packer;

static const packer packers[] = {{"gzip", "\x1F\x8B", unpack_gzip}, {"xz", "\xFD" "7zXZ", unpack_xz},
                                 {"zip", "PK\x03\x04", NULL}, {"zstd", "\x28\xB5\x2F\xFD", NULL},
                                 {"bzip2", "BZh", NULL}};

static const packer *packer_of(const char *bytes, size_t nbytes)
{
    for (size_t i = 0; i < sizeof packers / sizeof *packers; i++) {
        const size_t n = strlen(packers[i].magic);
        if (nbytes >= n && memcmp(bytes, packers[i].magic, n) == 0) return &packers[i];
    }
    return NULL;
}

lk_status lk_unpack(const char *path, char **bytes, size_t *nbytes)
{
    const packer *p = packer_of(*bytes, *nbytes);
    output out = {0};

    if (!p) return LK_OK;
    if (!p->unpack) return LK_FAIL(LK_ERR_DATA, "%s is packed (%s); unpack it first", path, p->name);
    const lk_status status = p->unpack(path, *bytes, *nbytes, &out);
    if (status != LK_OK) {
        free(out.bytes);
        return status;
    }
    free(*bytes);
    out.bytes[out.n] = '\0';
    *bytes = out.bytes;
    *nbytes = out.n;
    return LK_OK;
}
