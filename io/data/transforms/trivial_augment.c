/*
 * trivial_augment: one change of fourteen, at one strength of 31, each as likely as any other.
 * Source: Mueller and Hutter, 2021, arXiv:2103.10158; torchvision's TrivialAugmentWide, nearest and black outside.
 */
#include <math.h>

#include "io/data/transforms/colour.h"
#include "io/data/transforms/warp.h"

enum { BINS = 31 };

/* The change, its strongest magnitude, and whether it goes both ways. */
#define CHANGES(X)                                                                                   \
    X(IDENTITY, 0.0, false) X(SHEAR_X, 0.99, true) X(SHEAR_Y, 0.99, true) X(TRANSLATE_X, 32.0, true) \
    X(TRANSLATE_Y, 32.0, true) X(ROTATE, 135.0, true) X(BRIGHTNESS, 0.99, true) X(COLOR, 0.99, true) \
    X(CONTRAST, 0.99, true) X(SHARPNESS, 0.99, true) X(POSTERIZE, 6.0, false)                        \
    X(SOLARIZE, 255.0, false) X(AUTOCONTRAST, 0.0, false) X(EQUALIZE, 0.0, false)

typedef enum change {
#define AS_ENUM(id, strongest, signed_) id,
    CHANGES(AS_ENUM)
} change;

static const struct { double strongest; bool both_ways; } changes[] = {
#define AS_ROW(id, strongest, signed_) {strongest, signed_},
    CHANGES(AS_ROW)
};

/* magnitude: of posterize the bits that go, of solarize how far below white it begins. */
static lk_status make(change which, double magnitude, lk_easel *easel, lk_picture *picture)
{
    const double factor = 1.0 + magnitude;

    switch (which) {
    case IDENTITY: break;
    case SHEAR_X: return lk_shear(easel, picture, magnitude, 0.0);
    case SHEAR_Y: return lk_shear(easel, picture, 0.0, magnitude);
    case TRANSLATE_X: return lk_shift(easel, picture, (int)magnitude, 0);
    case TRANSLATE_Y: return lk_shift(easel, picture, 0, (int)magnitude);
    case ROTATE: return lk_rotate(easel, picture, magnitude);
    case BRIGHTNESS: lk_adjust_brightness(picture, factor); break;
    case COLOR: lk_adjust_saturation(picture, factor); break;
    case CONTRAST: lk_adjust_contrast(picture, factor); break;
    case SHARPNESS: return lk_adjust_sharpness(easel, picture, factor);
    case POSTERIZE: lk_posterize(picture, 8 - (int)rint(magnitude)); break;
    case SOLARIZE: lk_solarize(picture, (float)(UINT8_MAX - magnitude)); break;
    case AUTOCONTRAST: lk_autocontrast(picture); break;
    case EQUALIZE: lk_equalize(picture); break;
    }
    return LK_OK;
}

lk_status lk_trivial_augment(const lk_transform_spec *spec, lk_dice *dice, lk_easel *easel, lk_picture *picture)
{
    const change which = (change)lk_dice_below(dice, (int64_t)(sizeof changes / sizeof *changes));
    const double strength = changes[which].strongest * (double)lk_dice_below(dice, BINS) / (BINS - 1);
    const bool back = changes[which].both_ways && lk_dice_happens(dice, 0.5);

    (void)spec;
    LK_TRY(lk_easel_own(easel, picture));
    return make(which, back ? -strength : strength, easel, picture);
}
