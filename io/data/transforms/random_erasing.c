/*
 * random_erasing: with probability p, a rectangle of random area and aspect gets one value.
 *
 * In front of normalize the value is a byte's (of floats: as they are stored); behind it, where torchvision's recipes
 * have it, it is one of what the model reads, so 0 is the mean colour.
 * Source: Zhong et al., 2017, arXiv:1708.04896; torchvision, transforms/v2/_augment.py.
 */
#include <math.h>
#include <string.h>

#include "io/data/transforms/transforms.h"

enum { TRIES = 10 /* torchvision's, for a rectangle that fits */ };

static float value_of(const lk_transform_spec *spec, int64_t c)
{
    return (float)spec->value[spec->n_value > 1 ? c : 0];
}

static void fill_row(const lk_transform_spec *spec, const lk_picture *p, int64_t W, char *row)
{
    for (int64_t w = 0; w < W; w++)
        for (int64_t c = 0; c < p->C; c++) {
            if (p->floats) ((float *)(void *)row)[w * p->C + c] = value_of(spec, c);
            else ((uint8_t *)row)[w * p->C + c] = (uint8_t)value_of(spec, c);
        }
}

static void fill(const lk_transform_spec *spec, const lk_picture *p, int64_t top, int64_t left, int64_t H, int64_t W)
{
    for (int64_t h = top; h < top + H; h++)
        fill_row(spec, p, W, p->own + (size_t)h * p->row_nbytes + (size_t)left * lk_pixel_nbytes(p));
}

lk_status lk_random_erasing(const lk_transform_spec *spec, lk_dice *dice, lk_easel *easel, lk_picture *picture)
{
    const double whole = (double)picture->H * (double)picture->W;

    if (!lk_dice_happens(dice, spec->p)) return LK_OK;
    LK_TRY(lk_easel_own(easel, picture));
    for (int i = 0; i < TRIES; i++) {
        const double area = whole * lk_dice_between(dice, spec->scale[0], spec->scale[1]);
        const double ratio = exp(lk_dice_between(dice, log(spec->ratio[0]), log(spec->ratio[1])));
        const int64_t H = (int64_t)rint(sqrt(area * ratio)), W = (int64_t)rint(sqrt(area / ratio));

        if (H >= picture->H || W >= picture->W) continue;
        const int64_t top = lk_dice_below(dice, picture->H - H + 1), left = lk_dice_below(dice, picture->W - W + 1);
        fill(spec, picture, top, left, H, W);
        return LK_OK;
    }
    return LK_OK;
}
