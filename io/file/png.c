/*
 * PNG by libpng: every kind of pixel becomes three bytes, without a correction for gamma, as Pillow's convert("RGB").
 *
 * As jpeg.c: errors leave through longjmp().  What libpng warns of concerns no pixel (a colour profile, a text).
 */
#include <assert.h>
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include "io/file/raster.h"

enum { TEXT_BYTES = 128, DEEP = 16 };

typedef struct decoder {
    png_structp png;
    png_infop info;
    const uint8_t *file; /* what is left of it; borrowed */
    size_t nbytes;
    jmp_buf out;
    char text[TEXT_BYTES]; /* what went wrong */
} decoder;

static _Noreturn void leave(png_structp png, png_const_charp text)
{
    decoder *d = png_get_error_ptr(png);

    snprintf(d->text, sizeof d->text, "%s", text);
    longjmp(d->out, 1);
}

static void pass_over(png_structp png, png_const_charp text) { (void)png, (void)text; }

static void give(png_structp png, png_bytep out, size_t nbytes)
{
    decoder *d = png_get_io_ptr(png);

    if (nbytes > d->nbytes) leave(png, "the file ends within");
    memcpy(out, d->file, nbytes);
    d->file += nbytes;
    d->nbytes -= nbytes;
}

/* Every pixel becomes RGB of 8 bits. */
static void ask_for_rgb(decoder *d)
{
    png_set_palette_to_rgb(d->png);
    png_set_expand_gray_1_2_4_to_8(d->png);
    png_set_strip_16(d->png);
    png_set_strip_alpha(d->png);
    png_set_gray_to_rgb(d->png);
}

/* Interlaced ones in several passes, each over all rows. */
static void read_rows(decoder *d, lk_raster *raster)
{
    const size_t row_nbytes = (size_t)raster->W * LK_RASTER_CHANNELS;
    const int n_passes = png_set_interlace_handling(d->png);

    png_read_update_info(d->png, d->info);
    assert(png_get_rowbytes(d->png, d->info) == row_nbytes);
    for (int pass = 0; pass < n_passes; pass++)
        for (int64_t h = 0; h < raster->H; h++)
            png_read_row(d->png, raster->bytes + (size_t)h * row_nbytes, NULL);
}

static lk_status decode(decoder *d, const char *path, lk_raster *raster)
{
    d->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, d, leave, pass_over);
    LK_TRY_ALLOC(d->png, sizeof *d, "libpng");
    d->info = png_create_info_struct(d->png);
    LK_TRY_ALLOC(d->info, sizeof *d, "libpng");
    png_set_read_fn(d->png, d, give);
    png_set_user_limits(d->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX); /* lk_raster_fit() has its own */
    png_read_info(d->png, d->info);
    if (png_get_bit_depth(d->png, d->info) == DEEP && !(png_get_color_type(d->png, d->info) & PNG_COLOR_MASK_COLOR))
        return LK_FAIL(LK_ERR_DATA, "%s: a PNG of 16-bit grey, whose range nothing says; convert it to 8 bits, or take "
                       "it out of its folder", path);
    LK_TRY(lk_raster_fit(raster, path, png_get_image_height(d->png, d->info), png_get_image_width(d->png, d->info)));
    ask_for_rgb(d);
    read_rows(d, raster);
    return LK_OK;
}

/* As in jpeg.c. */
static lk_status try_to_decode(decoder *d, const char *path, lk_raster *raster)
{
    if (setjmp(d->out) == 0) return decode(d, path, raster);
    return LK_FAIL(LK_ERR_DATA, "%s: this PNG is cut short or damaged (%s); mend it, or take it out of its folder",
                   path, d->text);
}

lk_status lk_png_decode(const char *path, const uint8_t *file, size_t nbytes, lk_raster *raster)
{
    decoder d = {.file = file, .nbytes = nbytes};
    const lk_status status = try_to_decode(&d, path, raster);

    png_destroy_read_struct(&d.png, &d.info, NULL);
    return status;
}
