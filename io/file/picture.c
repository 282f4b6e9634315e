/* Pictures from files: which format it is, by its first bytes, as Pillow tells them, and not by its name. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "io/file/files.h"
#include "io/file/raster.h"

enum {
    MOST_FILE_BYTES = 1 << 30, /* what the most pixels take as 16-bit RGB that is not packed */
    NAMED_BYTES = 4,           /* of a file that is no picture: told in the message */
};

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
    LK_TRY(lk_raster_fit_file(raster, (size_t)info.st_size));
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
