/*
 * Tables of 256 bytes that pictures are put through: posterize, solarize, autocontrast, equalize.
 * Source: torchvision, transforms/v2/functional/_color.py; Pillow's ImageOps for the last.
 */
#include "io/data/transforms/colour.h"

#include <assert.h>
#include <limits.h>
#include <string.h>

enum { CHANNELS = 3 };

void lk_posterize(const lk_picture *picture, int bits)
{
    uint8_t table[1][LK_N_BYTES];

    for (int v = 0; v < LK_N_BYTES; v++) table[0][v] = (uint8_t)(v >> (CHAR_BIT - bits) << (CHAR_BIT - bits));
    lk_look_up(picture, table, 0);
}

void lk_solarize(const lk_picture *picture, float threshold)
{
    uint8_t table[1][LK_N_BYTES];

    for (int v = 0; v < LK_N_BYTES; v++) table[0][v] = (uint8_t)((float)v >= threshold ? UINT8_MAX - v : v);
    lk_look_up(picture, table, 0);
}

/* How often each byte occurs in each channel. */
static void count_bytes(const lk_picture *p, int64_t count[CHANNELS][LK_N_BYTES])
{
    assert(p->C <= CHANNELS);
    memset(count, 0, CHANNELS * sizeof *count);
    for (int64_t h = 0; h < p->H; h++) {
        const uint8_t *row = (const uint8_t *)p->pixels + (size_t)h * p->row_nbytes;

        for (int64_t w = 0; w < p->W; w++)
            for (int64_t c = 0; c < p->C; c++) count[c][*row++]++;
    }
}

static int lowest(const int64_t count[LK_N_BYTES])
{
    int v = 0;

    while (count[v] == 0) v++;
    return v;
}

static int highest(const int64_t count[LK_N_BYTES])
{
    int v = UINT8_MAX;

    while (count[v] == 0) v--;
    return v;
}

void lk_autocontrast(const lk_picture *picture)
{
    int64_t count[CHANNELS][LK_N_BYTES];
    uint8_t table[CHANNELS][LK_N_BYTES];

    count_bytes(picture, count);
    for (int64_t c = 0; c < picture->C; c++) {
        const int low = lowest(count[c]), high = highest(count[c]);
        const float unit = (float)(high - low) * (float)(1.0 / UINT8_MAX);

        for (int v = 0; v < LK_N_BYTES; v++)
            table[c][v] = low == high ? (uint8_t)v : lk_cut_to_byte((float)(v - low) / unit);
    }
    lk_look_up(picture, table, 1);
}

/* So that the values are as frequent as those below them allow; the last one that occurs is not counted. */
static void equalizing(const int64_t count[LK_N_BYTES], int64_t n, uint8_t table[LK_N_BYTES])
{
    const int64_t step = (n - count[highest(count)]) / UINT8_MAX;
    int64_t below = step / 2;

    for (int v = 0; v < LK_N_BYTES; below += count[v++])
        table[v] = (uint8_t)(step == 0 ? v : below / step < UINT8_MAX ? below / step : UINT8_MAX);
}

void lk_equalize(const lk_picture *picture)
{
    int64_t count[CHANNELS][LK_N_BYTES];
    uint8_t table[CHANNELS][LK_N_BYTES];

    count_bytes(picture, count);
    for (int64_t c = 0; c < picture->C; c++) equalizing(count[c], picture->H * picture->W, table[c]);
    lk_look_up(picture, table, 1);
}
