/*
 * JPEG by libjpeg's interface (libjpeg-turbo), with its defaults, which are Pillow's: the accurate integer transform
 * and smooth upsampling of colour.
 *
 * The library tells of errors by a function that must not return, so one call of it that fails leaves through
 * longjmp().  Of what it calls warnings, those are errors here by which pixels are lost: a file that ends too early
 * would be grey from there on, and that would be learnt.
 */
#include <assert.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <jerror.h>
#include <jpeglib.h>

#include "io/file/raster.h"

enum {
    CMYK = 4,
    FULL = 255,
    MOST_SCANS = 500, /* of a progressive file: each goes over all pixels, and a few bytes make one */
};

typedef struct decoder {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf out;
    char text[JMSG_LENGTH_MAX]; /* what went wrong */
} decoder;

/* ----------------------------------------------------------- what goes wrong */

static _Noreturn void leave(j_common_ptr jpeg)
{
    decoder *d = jpeg->client_data;

    jpeg->err->format_message(jpeg, d->text);
    longjmp(d->out, 1);
}

/* What concerns headers, bytes between segments and the order of scans. */
static bool is_harmless(int code)
{
    return code == JWRN_EXTRANEOUS_DATA || code == JWRN_JFIF_MAJOR || code == JWRN_ADOBE_XFORM ||
           code == JWRN_NOT_SEQUENTIAL || code == JWRN_BOGUS_PROGRESSION;
}

/* level -1: a warning; above: what the library does. */
static void hear(j_common_ptr jpeg, int level)
{
    if (level < 0 && !is_harmless(jpeg->err->msg_code)) leave(jpeg);
}

static void count_scans(j_common_ptr jpeg)
{
    decoder *d = jpeg->client_data;

    if (((j_decompress_ptr)jpeg)->input_scan_number <= MOST_SCANS) return;
    snprintf(d->text, sizeof d->text, "it has more than %d scans", MOST_SCANS);
    longjmp(d->out, 1);
}

static void begin(decoder *d)
{
    d->jpeg.err = jpeg_std_error(&d->errors);
    d->errors.error_exit = leave;
    d->errors.emit_message = hear;
    d->jpeg.client_data = d;
    jpeg_create_decompress(&d->jpeg); /* keeps err and client_data */
    d->progress.progress_monitor = count_scans;
    d->jpeg.progress = &d->progress;
}

/* ---------------------------------------------------------------------- pixels */

/* a * b / 255, rounded. */
static inline int part(int a, int b)
{
    const int product = a * b + 128;

    return ((product >> 8) + product) >> 8;
}

/* Adobe's files, and so all there are, have ink upside down: FULL is none.  As Pillow: what black leaves of white, less
 * what each ink takes of that. */
static void print_inks(const uint8_t *cmyk, int64_t W, uint8_t *rgb)
{
    for (int64_t w = 0; w < W; w++, cmyk += CMYK)
        for (int c = 0; c < LK_RASTER_CHANNELS; c++) *rgb++ = (uint8_t)(cmyk[3] - part(FULL - cmyk[c], cmyk[3]));
}

static void read_rows(struct jpeg_decompress_struct *jpeg, lk_raster *raster)
{
    const j_common_ptr common = (j_common_ptr)jpeg;
    const bool inks = jpeg->out_color_space == JCS_CMYK;
    const size_t row_nbytes = (size_t)raster->W * LK_RASTER_CHANNELS;
    JSAMPARRAY ink = inks ? jpeg->mem->alloc_sarray(common, JPOOL_IMAGE, jpeg->output_width * CMYK, 1) : NULL;

    while (jpeg->output_scanline < jpeg->output_height) {
        uint8_t *row = raster->bytes + jpeg->output_scanline * row_nbytes;
        jpeg_read_scanlines(jpeg, inks ? ink : &row, 1);
        if (inks) print_inks(ink[0], raster->W, row);
    }
}

static lk_status decode(decoder *d, const char *path, const uint8_t *file, size_t nbytes, lk_raster *raster)
{
    struct jpeg_decompress_struct *jpeg = &d->jpeg;

    begin(d);
    jpeg_mem_src(jpeg, file, nbytes);
    jpeg_read_header(jpeg, TRUE);
    if (jpeg->num_components != 1 && jpeg->num_components != LK_RASTER_CHANNELS && jpeg->num_components != CMYK)
        return LK_FAIL(LK_ERR_DATA, "%s: a JPEG with %d components of colour; grey (1), colour (3) and CMYK (4) are "
                       "read: convert it, or take it out of its folder", path, jpeg->num_components);
    jpeg->out_color_space = jpeg->num_components == CMYK ? JCS_CMYK : JCS_RGB;
    LK_TRY(lk_raster_fit(raster, path, jpeg->image_height, jpeg->image_width));
    jpeg_start_decompress(jpeg);
    assert(jpeg->output_width == raster->W && jpeg->output_height == raster->H);
    read_rows(jpeg, raster);
    jpeg_finish_decompress(jpeg);
    return LK_OK;
}

/* A function of its own, for what its caller has on the stack is whole again after longjmp(). */
static lk_status try_to_decode(decoder *d, const char *path, const uint8_t *file, size_t nbytes, lk_raster *raster)
{
    if (setjmp(d->out) == 0) return decode(d, path, file, nbytes, raster);
    return LK_FAIL(LK_ERR_DATA, "%s: this JPEG is cut short or damaged (%s); mend it, or take it out of its folder",
                   path, d->text);
}

lk_status lk_jpeg_decode(const char *path, const uint8_t *file, size_t nbytes, lk_raster *raster)
{
    decoder d = {.text = ""};
    const lk_status status = try_to_decode(&d, path, file, nbytes, raster);

    jpeg_destroy_decompress(&d.jpeg);
    return status;
}
