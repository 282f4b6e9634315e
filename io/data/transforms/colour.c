/*
 * Brightness, contrast, saturation, hue and sharpness: a picture and another one, mixed in fp32 and cut to bytes.
 *
 *     brightness  with black              contrast  with its mean grey
 *     saturation  with its grey           sharpness with itself smoothed
 *     hue         turned on the circle of hues, by way of HSV
 *
 * Source: torchvision, transforms/v2/functional/_color.py.
 */
#include "io/data/transforms/colour.h"

#include <math.h>
#include <string.h>

static inline uint8_t *row_of(const lk_picture *p, int64_t h)
{
    return (uint8_t *)p->own + (size_t)h * p->row_nbytes;
}

void lk_look_up(const lk_picture *p, uint8_t (*table)[LK_N_BYTES], int of_channel)
{
    for (int64_t h = 0; h < p->H; h++) {
        uint8_t *row = row_of(p, h);

        for (int64_t w = 0; w < p->W; w++)
            for (int64_t c = 0; c < p->C; c++, row++) *row = table[of_channel ? c : 0][*row];
    }
}

void lk_adjust_brightness(const lk_picture *picture, double factor)
{
    uint8_t table[1][LK_N_BYTES];

    for (int v = 0; v < LK_N_BYTES; v++) table[0][v] = lk_cut_to_byte((float)v * (float)factor);
    lk_look_up(picture, table, 0);
}

/* ---------------------------------------------------------------------- greys */

static float mean_grey(const lk_picture *p)
{
    uint64_t sum = 0;

    for (int64_t h = 0; h < p->H; h++) {
        const uint8_t *row = row_of(p, h);

        for (int64_t w = 0; w < p->W; w++, row += p->C) sum += p->C == 3 ? lk_grey(row) : *row;
    }
    return (float)((double)sum / (double)(p->H * p->W));
}

void lk_adjust_contrast(const lk_picture *picture, double factor)
{
    const float grey = mean_grey(picture), others = (float)(1.0 - factor);
    uint8_t table[1][LK_N_BYTES];

    for (int v = 0; v < LK_N_BYTES; v++) table[0][v] = lk_cut_to_byte(fmaf(grey, others, (float)v * (float)factor));
    lk_look_up(picture, table, 0);
}

/* Grey pictures have none. */
void lk_adjust_saturation(const lk_picture *p, double factor)
{
    const float own = (float)factor, others = (float)(1.0 - factor);

    for (int64_t h = 0; h < p->H && p->C == 3; h++) {
        uint8_t *pixel = row_of(p, h);

        for (int64_t w = 0; w < p->W; w++, pixel += 3) {
            const float grey = (float)lk_grey(pixel);

            for (int c = 0; c < 3; c++) pixel[c] = lk_cut_to_byte(fmaf(grey, others, (float)pixel[c] * own));
        }
    }
}

/* ------------------------------------------------------------------------ hues */

typedef struct hsv { float h, s, v; } hsv;

static inline hsv hsv_of(const float rgb[3])
{
    const float r = rgb[0], g = rgb[1], b = rgb[2];
    const float most = fmaxf(fmaxf(r, g), b), range = most - fminf(fminf(r, g), b);
    const float divisor = range > 0.0f ? range : 1.0f;
    const float rc = (most - r) / divisor, gc = (most - g) / divisor, bc = (most - b) / divisor;
    const float sixth = most == r ? bc - gc : most == g ? 2.0f + rc - bc : 4.0f + gc - rc;
    const float h = sixth * (float)(1.0 / 6.0) + 1.0f; /* from 5/6 to 11/6 */

    return (hsv){h < 1.0f ? h : h - 1.0f, range / (range > 0.0f ? most : 1.0f), most};
}

static inline void rgb_of(hsv in, float rgb[3])
{
    static const int select[3][6] = {{0, 2, 1, 1, 3, 0}, {3, 0, 0, 2, 1, 1}, {1, 1, 3, 0, 0, 2}}; /* of v, p, q, t */
    const float h6 = in.h * 6.0f, sector = floorf(h6), sf = in.s * (h6 - sector), rest = 1.0f - in.s;
    const float vpqt[4] = {in.v, rest * in.v, (1.0f - sf) * in.v, (sf + rest) * in.v};

    for (int c = 0; c < 3; c++) rgb[c] = vpqt[select[c][(int)sector % 6]];
}

void lk_adjust_hue(const lk_picture *p, double turn)
{
    const float full = (float)UINT8_MAX, to_byte = (float)UINT8_MAX + 1.0f - 1e-3f; /* torchvision's way back */

    for (int64_t h = 0; h < p->H && p->C == 3; h++) {
        uint8_t *pixel = row_of(p, h);

        for (int64_t w = 0; w < p->W; w++, pixel += 3) {
            float rgb[3];

            for (int c = 0; c < 3; c++) rgb[c] = (float)pixel[c] / full;
            hsv turned = hsv_of(rgb);
            turned.h += (float)turn;
            turned.h -= floorf(turned.h);
            rgb_of(turned, rgb);
            for (int c = 0; c < 3; c++) pixel[c] = lk_cut_to_byte(rgb[c] * to_byte);
        }
    }
}

/* ------------------------------------------------------------------- sharpness */

/* A pixel's byte and its eight neighbours', five times and once, over 13: never half way between two numbers. */
static inline int smooth(const uint8_t *above, const uint8_t *row, const uint8_t *below, size_t C)
{
    int sum = 4 * row[0];

    for (const uint8_t *const *r = (const uint8_t *const[]){above, row, below, NULL}; *r; r++)
        sum += *(*r - C) + **r + (*r)[C];
    return (2 * sum + 13) / 26;
}

static void sharpen_row(const lk_picture *from, int64_t h, float smoothing, uint8_t *to)
{
    const size_t C = (size_t)from->C, n = (size_t)from->W * C;
    const uint8_t *above = (const uint8_t *)from->pixels + (size_t)(h - 1) * from->row_nbytes;
    const uint8_t *row = above + from->row_nbytes, *below = row + from->row_nbytes;

    for (size_t i = C; i < n - C; i++) {
        const float v = (float)row[i], blurred = (float)smooth(above + i, row + i, below + i, C);
        to[i] = lk_cut_to_byte(fmaf(blurred - v, smoothing, v));
    }
}

/* The rim stays as it is. */
lk_status lk_adjust_sharpness(lk_easel *easel, lk_picture *picture, double factor)
{
    lk_picture made;

    if (picture->H <= 2 || picture->W <= 2) return LK_OK;
    LK_TRY(lk_easel_copy(easel, picture, &made));
    for (int64_t h = 1; h + 1 < picture->H; h++) sharpen_row(picture, h, (float)(1.0 - factor), row_of(&made, h));
    *picture = made;
    return LK_OK;
}
