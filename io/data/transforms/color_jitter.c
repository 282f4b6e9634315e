/* color_jitter: brightness, contrast, saturation and hue, each by a factor from its range, in any order. */
#include "io/data/transforms/colour.h"

enum { N_CHANGES = 4 };

/* One number b is from 1 - b, at least 0, to 1 + b; of hue from -b to b. */
static double draw(const lk_jitter *range, double centre, lk_dice *dice)
{
    const double b = range->bound[0];
    double low = centre - b, high = centre + b;

    if (range->n > 1) low = b, high = range->bound[1];
    else if (centre > 0.0 && low < 0.0) low = 0.0;
    return lk_dice_between(dice, low, high);
}

static void change(const lk_transform_spec *spec, int which, const double factor[N_CHANGES], const lk_picture *picture)
{
    switch (which) {
    case 0: if (spec->brightness.n) lk_adjust_brightness(picture, factor[0]); return;
    case 1: if (spec->contrast.n) lk_adjust_contrast(picture, factor[1]); return;
    case 2: if (spec->saturation.n) lk_adjust_saturation(picture, factor[2]); return;
    default: if (spec->hue.n) lk_adjust_hue(picture, factor[3]); return;
    }
}

lk_status lk_color_jitter(const lk_transform_spec *spec, lk_dice *dice, lk_easel *easel, lk_picture *picture)
{
    const lk_jitter *range[N_CHANGES] = {&spec->brightness, &spec->contrast, &spec->saturation, &spec->hue};
    int order[N_CHANGES] = {0, 1, 2, 3};
    double factor[N_CHANGES];

    for (int left = N_CHANGES; left > 1; left--) {
        const int64_t k = lk_dice_below(dice, left);
        const int taken = order[k];
        order[k] = order[left - 1];
        order[left - 1] = taken;
    }
    for (int k = 0; k < N_CHANGES; k++) factor[k] = draw(range[k], k < 3 ? 1.0 : 0.0, dice);
    LK_TRY(lk_easel_own(easel, picture));
    for (int k = 0; k < N_CHANGES; k++) change(spec, order[k], factor, picture);
    return LK_OK;
}
