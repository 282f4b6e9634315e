/* The boundary to libjpeg and libpng: pictures as rows of RGB bytes.  Private to io/. */
#ifndef LK_IO_RASTER_H
#define LK_IO_RASTER_H

#include "engine/base/base.h"

/* A picture that is decompressed into more pixels than this is refused, for a small file can ask for any amount of
 * memory.  It is where Pillow refuses: twice the pixels of a quarter of a GiB of RGB. */
enum { LK_MOST_PIXELS = 178956970, LK_RASTER_CHANNELS = 3 };

/* The pixels of a picture, and room for the next ones: owned by whoever holds it, as a thread's scratch, and made
 * larger where a picture needs that. */
typedef struct lk_raster {
    uint8_t *bytes;   /* (H, W, C), owned */
    size_t room;      /* of bytes */
    int64_t H, W, C;
    uint8_t *file;    /* what a picture is decoded from, owned */
    size_t file_room;
} lk_raster;

void lk_raster_clear(lk_raster *raster);
/* Makes room for a picture of three channels and sets its sizes.  Errors: LK_ERR_DATA (too many pixels; path is for
 * the message). */
lk_status lk_raster_fit(lk_raster *raster, const char *path, int64_t H, int64_t W);
/* Makes room for a file. */
lk_status lk_raster_fit_file(lk_raster *raster, size_t nbytes);

/* The pixels of a JPEG or PNG file's bytes as RGB, what torchvision's ImageFolder makes of it: Pillow's
 * convert("RGB").  Grey is three equal channels, a palette its colours, alpha is left out, CMYK is printed on white; of
 * 16 bits RGB keeps the upper 8.  EXIF's orientation is left alone.  file must not be of raster's.
 * Errors: LK_ERR_DATA naming path (neither format, cut short, damaged, too large, 16-bit grey). */
lk_status lk_raster_decode(const char *path, const uint8_t *file, size_t nbytes, lk_raster *raster);
/* The same of a file, which is read into raster->file. */
lk_status lk_raster_read(const char *path, lk_raster *raster);

/* Its two halves. */
lk_status lk_jpeg_decode(const char *path, const uint8_t *file, size_t nbytes, lk_raster *raster);
lk_status lk_png_decode(const char *path, const uint8_t *file, size_t nbytes, lk_raster *raster);

#endif
