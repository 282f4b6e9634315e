/* Pictures from files: which format it is, by its first bytes as Pillow tells them, and room for its pixels. */
#include "io/file/raster.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/file/files.h"

enum {
    MOST_FILE_BYTES = 1 << 30, /* 16-bit RGB of the most pixels, packed by nothing */
    NAMED_BYTES = 4,           /* of a file that is no picture: told in the message */
};

void lk_raster_clear(lk_raster *raster)
{
    free(raster->bytes);
    free(raster->file);
    *raster = (lk_raster){0};
}

static lk_status grow(uint8_t **bytes, size_t *room, size_t nbytes)
{
    if (nbytes <= *room) return LK_OK;
    uint8_t *grown = realloc(*bytes, nbytes);
    LK_TRY_ALLOC(grown, nbytes, "a picture");
    *bytes = grown;
    *room = nbytes;
    return LK_OK;
}

lk_status lk_raster_fit(lk_raster *raster, const char *path, int64_t H, int64_t W)
{
    assert(H > 0 && W > 0); /* the libraries refuse others */
    if (W > LK_MOST_PIXELS / H)
        return LK_FAIL(LK_ERR_DATA, "%s: a picture of %lld x %lld pixels; more than %d are refused: make it smaller",
                       path, (long long)W, (long long)H, LK_MOST_PIXELS);
    LK_TRY(grow(&raster->bytes, &raster->room, (size_t)(H * W * LK_RASTER_CHANNELS)));
    raster->H = H;
    raster->W = W;
    raster->C = LK_RASTER_CHANNELS;
    return LK_OK;
}

/* --------------------------------------------------------------------- formats */

static bool begins_with(const uint8_t *file, size_t nbytes, const char *magic, size_t n)
{
    return nbytes >= n && memcmp(file, magic, n) == 0;
}

static lk_status no_picture(const char *path, const uint8_t *file, size_t nbytes)
{
    if (nbytes == 0) return LK_FAIL(LK_ERR_DATA, "%s is empty", path);
    if (nbytes < NAMED_BYTES) return LK_FAIL(LK_ERR_DATA, "%s holds %zu bytes, which are no picture", path, nbytes);
    return LK_FAIL(LK_ERR_DATA, "%s is neither JPEG nor PNG: it begins with 0x%02x%02x%02x%02x; convert it, or take it "
                   "out of its folder", path, file[0], file[1], file[2], file[3]);
}

lk_status lk_raster_decode(const char *path, const uint8_t *file, size_t nbytes, lk_raster *raster)
{
    static const char jpeg[] = "\xff\xd8\xff", png[] = "\x89PNG\r\n\x1a\n";

    if (begins_with(file, nbytes, jpeg, sizeof jpeg - 1)) return lk_jpeg_decode(path, file, nbytes, raster);
    if (begins_with(file, nbytes, png, sizeof png - 1)) return lk_png_decode(path, file, nbytes, raster);
    return no_picture(path, file, nbytes);
}

/* ----------------------------------------------------------------------- files */

static lk_status read_whole(int fd, const char *path, lk_raster *raster, size_t *nbytes)
{
    struct stat info;

    if (fstat(fd, &info) != 0) return LK_FAIL(LK_ERR_DATA, "cannot read %s: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode)) return LK_FAIL(LK_ERR_DATA, "%s is no plain file", path);
    if (info.st_size > MOST_FILE_BYTES)
        return LK_FAIL(LK_ERR_DATA, "%s holds %lld bytes; a picture's file of more than %d is refused", path,
                       (long long)info.st_size, MOST_FILE_BYTES);
    LK_TRY(grow(&raster->file, &raster->file_room, (size_t)info.st_size));
    const ssize_t n = lk_read_at(fd, raster->file, (size_t)info.st_size, 0);
    if (n < 0) return LK_FAIL(LK_ERR_DATA, "cannot read %s: %s", path, strerror(errno));
    *nbytes = (size_t)n;
    return LK_OK;
}

lk_status lk_raster_read(const char *path, lk_raster *raster)
{
    const int fd = lk_open(path, O_RDONLY);
    size_t nbytes = 0;

    lk_alive();
    if (fd < 0) return LK_FAIL(LK_ERR_DATA, "cannot open %s: %s", path, strerror(errno));
    const lk_status status = read_whole(fd, path, raster, &nbytes);
    lk_close(fd);
    LK_TRY(status);
    return lk_raster_decode(path, raster->file, nbytes, raster);
}
