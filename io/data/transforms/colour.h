/*
 * What changes the colours of bytes, with its strength given: torchvision's adjust_* and kin, with their rounding to
 * uint8, products fused into sums where PyTorch fuses them.  Pictures are the caller's own, of one channel or three.
 * Private to io/data/transforms.
 */
#ifndef LK_IO_COLOUR_H
#define LK_IO_COLOUR_H

#include <math.h>

#include "io/data/transforms/transforms.h"

/* factor 0: black, all grey, grey, smooth; 1: the picture as it is; more: beyond it. */
void lk_adjust_brightness(const lk_picture *picture, double factor);
void lk_adjust_contrast(const lk_picture *picture, double factor);
void lk_adjust_saturation(const lk_picture *picture, double factor);
lk_status lk_adjust_sharpness(lk_easel *easel, lk_picture *picture, double factor);
/* turn: of the circle of hues, in [-0.5, 0.5]. */
void lk_adjust_hue(const lk_picture *picture, double turn);

/* The upper bits alone; bytes from threshold on inverted; each channel stretched to 0 .. 255; each value as often. */
void lk_posterize(const lk_picture *picture, int bits);
void lk_solarize(const lk_picture *picture, float threshold);
void lk_autocontrast(const lk_picture *picture);
void lk_equalize(const lk_picture *picture);

/* The brightness of a pixel, as a whole number. */
static inline uint8_t lk_grey(const uint8_t rgb[3])
{
    return (uint8_t)fmaf((float)rgb[2], 0.114f, fmaf((float)rgb[1], 0.587f, (float)rgb[0] * 0.2989f));
}

/* A value that is to be a byte: cut, not rounded, as torchvision does. */
static inline uint8_t lk_cut_to_byte(float v)
{
    return (uint8_t)(v < 0.0f ? 0.0f : v > (float)UINT8_MAX ? (float)UINT8_MAX : v);
}

enum { LK_N_BYTES = UINT8_MAX + 1 };

/* Byte v of channel c becomes table[c][v]; of_channel 0: of all channels table[0][v]. */
void lk_look_up(const lk_picture *picture, uint8_t (*table)[LK_N_BYTES], int of_channel);

#endif
