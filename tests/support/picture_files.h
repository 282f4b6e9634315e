/* JPEG and PNG files as tests want them, by the libraries themselves.  Bytes are from malloc(). */
#ifndef LK_TESTS_PICTURE_FILES_H
#define LK_TESTS_PICTURE_FILES_H

#include <png.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

/* Pixels (H, W, components) side by side; components 1: grey, 3: RGB, 4: CMYK as Adobe writes it. */
static inline uint8_t *encode_jpeg(const uint8_t *pixels, int H, int W, int components, bool progressive,
                                   size_t *nbytes)
{
    static const J_COLOR_SPACE spaces[] = {[1] = JCS_GRAYSCALE, [3] = JCS_RGB, [4] = JCS_CMYK};
    struct jpeg_compress_struct jpeg = {0};
    struct jpeg_error_mgr errors;
    unsigned char *bytes = NULL;
    unsigned long length = 0;

    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &bytes, &length);
    jpeg.image_width = (JDIMENSION)W;
    jpeg.image_height = (JDIMENSION)H;
    jpeg.input_components = components;
    jpeg.in_color_space = spaces[components];
    jpeg_set_defaults(&jpeg);
    if (progressive) jpeg_simple_progression(&jpeg);
    jpeg_start_compress(&jpeg, TRUE);
    for (int h = 0; h < H; h++) {
        JSAMPROW row = (JSAMPROW)(pixels + (size_t)h * (size_t)(W * components));
        jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    *nbytes = length;
    return bytes;
}

typedef struct png_sink { uint8_t *bytes; size_t nbytes; } png_sink;

static inline void take_png(png_structp png, png_bytep bytes, size_t nbytes)
{
    png_sink *sink = png_get_io_ptr(png);

    sink->bytes = realloc(sink->bytes, sink->nbytes + nbytes);
    if (!sink->bytes) abort();
    memcpy(sink->bytes + sink->nbytes, bytes, nbytes);
    sink->nbytes += nbytes;
}

static inline void flush_png(png_structp png) { (void)png; }

/* Color of palette entry i. */
static inline png_color test_palette(int i) { return (png_color){(png_byte)(i * 7), (png_byte)(255 - i), (png_byte)i}; }

/* Rows of pixels packed as PNG packs them; type is a PNG_COLOR_TYPE. */
static inline uint8_t *encode_png(const uint8_t *rows, int H, int W, int type, int depth, bool interlaced,
                                  size_t *nbytes)
{
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_sink sink = {0};
    png_color palette[256];
    png_byte opaque[2] = {0, 128};

    png_set_write_fn(png, &sink, take_png, flush_png);
    png_set_IHDR(png, info, (png_uint_32)W, (png_uint_32)H, depth, type, interlaced, 0, 0);
    for (int i = 0; i < 256; i++) palette[i] = test_palette(i);
    if (type == PNG_COLOR_TYPE_PALETTE) {
        png_set_PLTE(png, info, palette, 1 << depth);
        png_set_tRNS(png, info, opaque, 2, NULL);
    }
    png_write_info(png, info);
    const int n_passes = png_set_interlace_handling(png);
    for (int pass = 0; pass < n_passes; pass++)
        for (int h = 0; h < H; h++) png_write_row(png, rows + (size_t)h * png_get_rowbytes(png, info));
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    *nbytes = sink.nbytes;
    return sink.bytes;
}

#endif
