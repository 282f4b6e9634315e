/* Pictures as RGB: every kind of PNG exactly, JPEG nearly; and the message of each that cannot be read.  JPEG's exact
 * values are test_golden_pictures'. */
#include <criterion/criterion.h>

#include "io/file/raster.h"
#include "tests/support/picture_files.h"

enum { H = 9, W = 13, N = H * W, MOST_ROW = W * 8 };

/* Byte c of pixel p. */
static uint8_t value(int p, int c) { return (uint8_t)(37 * p + 91 * c + p * p); }

static void expect_pixel(const lk_raster *r, int p, int red, int green, int blue, const char *what)
{
    const uint8_t *got = r->bytes + 3 * p;
    cr_assert(got[0] == red && got[1] == green && got[2] == blue, "%s: pixel %d: got %d %d %d, want %d %d %d", what, p,
              got[0], got[1], got[2], red, green, blue);
}

/* An encoded PNG of this kind, decoded; fails where that does. */
static void through_png(const uint8_t *rows, int type, int depth, bool interlaced, lk_raster *raster)
{
    size_t nbytes;
    uint8_t *file = encode_png(rows, H, W, type, depth, interlaced, &nbytes);
    cr_assert_eq(lk_raster_decode("a.png", file, nbytes, raster), LK_OK, "%s", lk_error_message());
    cr_assert(raster->H == H && raster->W == W && raster->C == 3);
    free(file);
}

/* Rows of `channels` samples of 8 or 16 bits, of the latter the lower half other than the upper. */
static void fill_rows(int channels, int depth, uint8_t *rows)
{
    for (int p = 0; p < N; p++)
        for (int c = 0; c < channels; c++) {
            *rows++ = value(p, c);
            if (depth == 16) *rows++ = (uint8_t)(255 - value(p, c));
        }
}

Test(raster, png_of_whole_samples_is_exact)
{
    static const struct { int type, depth, channels; } kinds[] = {
        {PNG_COLOR_TYPE_GRAY, 8, 1},  {PNG_COLOR_TYPE_GRAY_ALPHA, 8, 2}, {PNG_COLOR_TYPE_RGB, 8, 3},
        {PNG_COLOR_TYPE_RGBA, 8, 4},  {PNG_COLOR_TYPE_RGB, 16, 3},       {PNG_COLOR_TYPE_RGBA, 16, 4},
    };
    uint8_t rows[H * MOST_ROW];
    lk_raster r = {0};

    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (int interlaced = 0; interlaced < 2; interlaced++) {
            const bool grey = kinds[k].channels < 3;
            char what[64];
            snprintf(what, sizeof what, "type %d, %d bits, laced %d", kinds[k].type, kinds[k].depth, interlaced);
            fill_rows(kinds[k].channels, kinds[k].depth, rows);
            through_png(rows, kinds[k].type, kinds[k].depth, interlaced, &r);
            for (int p = 0; p < N; p++)
                expect_pixel(&r, p, value(p, 0), value(p, grey ? 0 : 1), value(p, grey ? 0 : 2), what);
        }
    lk_raster_clear(&r);
}

/* Samples of fewer bits lie side by side in bytes, the first in the upper bits; rows begin with a byte. */
static int packed(const uint8_t *rows, int p, int depth)
{
    const int row_nbytes = (W * depth + 7) / 8, bit = p % W * depth;
    return rows[p / W * row_nbytes + bit / 8] >> (8 - depth - bit % 8) & ((1 << depth) - 1);
}

Test(raster, png_of_few_bits_and_palettes_is_expanded)
{
    uint8_t rows[H * W];
    lk_raster r = {0};

    for (int i = 0; i < H * W; i++) rows[i] = value(i, 1);
    for (int depth = 1; depth <= 8; depth *= 2) {
        through_png(rows, PNG_COLOR_TYPE_PALETTE, depth, false, &r);
        for (int p = 0; p < N; p++) {
            const png_color want = test_palette(packed(rows, p, depth));
            expect_pixel(&r, p, want.red, want.green, want.blue, "palette");
        }
        through_png(rows, PNG_COLOR_TYPE_GRAY, depth, true, &r);
        for (int p = 0; p < N; p++) {
            const int grey = packed(rows, p, depth) * 255 / ((1 << depth) - 1);
            expect_pixel(&r, p, grey, grey, grey, "grey");
        }
    }
    lk_raster_clear(&r);
}

static const int colours[2][4] = {{40, 90, 200, 0}, {210, 120, 60, 30}};

/* Left half of one colour, right half of another. */
static uint8_t *two_colours(int components, bool progressive, size_t *nbytes)
{
    uint8_t pixels[H * W * 4];
    for (int p = 0; p < N; p++)
        for (int c = 0; c < components; c++) pixels[p * components + c] = (uint8_t)colours[p % W >= 8][c];
    return encode_jpeg(pixels, H, W, components, progressive, nbytes);
}

static void expect_near(const lk_raster *r, int p, const int want[3], const char *what)
{
    for (int c = 0; c < 3; c++)
        cr_expect(abs(r->bytes[3 * p + c] - want[c]) <= 8, "%s: pixel %d, channel %d: got %d, want %d", what, p, c,
                  r->bytes[3 * p + c], want[c]);
}

/* Quality 75 and colour at half the size: a few levels off, but at the edge. */
Test(raster, jpeg_of_grey_colour_and_inks_becomes_rgb)
{
    static const char *const names[] = {[1] = "grey", [3] = "RGB", [4] = "CMYK"};
    lk_raster r = {0};

    for (int components = 1; components <= 4; components++)
        for (int progressive = 0; progressive < 2; progressive++) {
            size_t nbytes;
            if (components == 2) continue;
            uint8_t *file = two_colours(components, progressive, &nbytes);
            cr_assert_eq(lk_raster_decode("a.jpg", file, nbytes, &r), LK_OK, "%s", lk_error_message());
            free(file);
            cr_assert(r.H == H && r.W == W && r.C == 3);
            for (int side = 0; side < 2; side++) {
                const int *ink = colours[side];
                int want[3];
                for (int c = 0; c < 3; c++)
                    want[c] = components == 1 ? ink[0] : components == 3 ? ink[c] : ink[c] * ink[3] / 255;
                expect_near(&r, 4 * W + (side ? W - 2 : 2), want, names[components]);
            }
        }
    lk_raster_clear(&r);
}

/* -------------------------------------------------------------------- messages */

static void expect_message(const uint8_t *file, size_t nbytes, const char *want)
{
    lk_raster r = {0};
    uint8_t *copy = malloc(nbytes + 1); /* of its very length: a read behind the end is seen by the sanitizers */
    memcpy(copy, file, nbytes);
    copy = realloc(copy, nbytes ? nbytes : 1);
    cr_expect_eq(lk_raster_decode("d/a.jpg", copy, nbytes, &r), LK_ERR_DATA, "%zu bytes", nbytes);
    cr_expect(strstr(lk_error_message(), want), "\n got: %s\nwant: %s", lk_error_message(), want);
    free(copy);
    lk_raster_clear(&r);
}

static void expect_every_part_refused(uint8_t *file, size_t nbytes, const char *what)
{
    for (size_t n = 8; n < nbytes; n++) expect_message(file, n, what);
    free(file);
}

Test(raster, a_file_cut_short_anywhere_is_refused)
{
    uint8_t rows[H * MOST_ROW];
    size_t nbytes;

    for (int progressive = 0; progressive < 2; progressive++) {
        uint8_t *file = two_colours(3, progressive, &nbytes);
        expect_every_part_refused(file, nbytes, "d/a.jpg: this JPEG is cut short or damaged (");
    }
    fill_rows(3, 8, rows);
    uint8_t *file = encode_png(rows, H, W, PNG_COLOR_TYPE_RGB, 8, true, &nbytes);
    /* All but the last chunk, of 12 bytes, which says nothing of pixels. */
    expect_every_part_refused(file, nbytes - 12, "d/a.jpg: this PNG is cut short or damaged (the file ends within)");
}

Test(raster, what_is_no_picture_is_told_with_its_name)
{
    uint8_t rows[H * MOST_ROW] = {0};
    size_t nbytes;

    expect_message(rows, 0, "d/a.jpg is empty");
    expect_message((const uint8_t *)"abc", 3, "d/a.jpg holds 3 bytes, which are no picture");
    expect_message((const uint8_t *)"GIF89a..", 8,
                   "d/a.jpg is neither JPEG nor PNG: it begins with 0x47494638; convert it");
    uint8_t *file = encode_png(rows, H, W, PNG_COLOR_TYPE_GRAY, 16, false, &nbytes);
    expect_message(file, nbytes, "d/a.jpg: a PNG of 16-bit grey, whose range nothing says; convert it to 8 bits");
    free(file);
}

/* Where a JPEG's frame header has the two bytes of its height, then of its width. */
static uint8_t *frame_sizes(uint8_t *file, size_t nbytes)
{
    size_t i = 0;

    while (i + 9 < nbytes && !(file[i] == 0xff && file[i + 1] == 0xc0)) i++;
    cr_assert_lt(i + 9, nbytes, "no frame header");
    return file + i + 5;
}

Test(raster, a_few_bytes_cannot_ask_for_much_memory)
{
    size_t nbytes;
    uint8_t *file = two_colours(3, false, &nbytes);

    memcpy(frame_sizes(file, nbytes), (const uint8_t[]){0xff, 0xdc, 0xff, 0xdc}, 4); /* 65500, the format's most */
    expect_message(file, nbytes, "d/a.jpg: a picture of 65500 x 65500 pixels; more than 178956970 are refused");
    free(file);
}

Test(raster, a_file_that_cannot_be_read_is_told)
{
    lk_raster r = {0};

    cr_expect_eq(lk_raster_read("/nowhere/a.jpg", &r), LK_ERR_DATA);
    cr_expect_str_eq(lk_error_message(), "cannot open /nowhere/a.jpg: No such file or directory");
    cr_expect_eq(lk_raster_read("/", &r), LK_ERR_DATA);
    cr_expect_str_eq(lk_error_message(), "/ is no plain file");
}
