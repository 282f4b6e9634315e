/* Affine maps of pictures, nearest, black outside: torchvision's affine and rotate.  Private to io/data/transforms. */
#ifndef LK_IO_WARP_H
#define LK_IO_WARP_H

#include "io/data/transforms/transforms.h"

/* Output (x, y), counted from the middle, is input (map[0] x + map[1] y + map[2], map[3] x + map[4] y + map[5]). */
lk_status lk_warp(lk_easel *easel, lk_picture *picture, const double map[6]);
/* By `across` columns a row, or `down` rows a column, about the upper left corner. */
lk_status lk_shear(lk_easel *easel, lk_picture *picture, double across, double down);
lk_status lk_shift(lk_easel *easel, lk_picture *picture, int right, int down);
/* Anti-clockwise. */
lk_status lk_rotate(lk_easel *easel, lk_picture *picture, double degrees);

#endif
