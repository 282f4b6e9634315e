/*
 * Crops and flips: what moves whole pixels, bytes or floats alike.  A window that lies inside a picture is no copy.
 * Rules of places and of rounding are those of torchvision's CenterCrop, RandomCrop and RandomResizedCrop.
 */
#include <math.h>
#include <string.h>

#include "io/data/transforms/transforms.h"

enum { TRIES = 10 /* torchvision's, for a window that fits */ };

/* ----------------------------------------------------------------------- crops */

/* One number stands for both sides. */
void lk_crop_size(const lk_transform_spec *spec, int64_t *H, int64_t *W)
{
    *H = spec->size[0];
    *W = spec->size[spec->n_size > 1];
}

/* The part of row h of the window that lies inside, behind zeros. */
static void copy_row(const lk_picture *from, int64_t h, int64_t left, int64_t W, char *to)
{
    const int64_t begin = left < 0 ? -left : 0, end = from->W - left < W ? from->W - left : W;
    const size_t pixel = lk_pixel_nbytes(from);

    memset(to, 0, (size_t)W * pixel);
    if (h < 0 || h >= from->H || begin >= end) return;
    memcpy(to + (size_t)begin * pixel, from->pixels + (size_t)h * from->row_nbytes + (size_t)(begin + left) * pixel,
           (size_t)(end - begin) * pixel);
}

/* What lies outside the picture is zeros. */
static lk_status take_window(lk_easel *easel, int64_t top, int64_t left, int64_t H, int64_t W, lk_picture *picture)
{
    lk_picture made;

    if (top >= 0 && left >= 0 && top + H <= picture->H && left + W <= picture->W) {
        const size_t offset = (size_t)top * picture->row_nbytes + (size_t)left * lk_pixel_nbytes(picture);
        picture->pixels += offset;
        if (picture->own) picture->own += offset;
        picture->H = H;
        picture->W = W;
        return LK_OK;
    }
    LK_TRY(lk_easel_paint(easel, picture, H, W, &made));
    for (int64_t h = 0; h < H; h++) copy_row(picture, top + h, left, W, made.own + (size_t)h * made.row_nbytes);
    *picture = made;
    return LK_OK;
}

/* Where `taken` pixels in the middle of `there` begin; of an odd rest the half is rounded to an even number. */
static int64_t middle(int64_t there, int64_t taken)
{
    return taken > there ? -((taken - there) / 2) : (int64_t)rint((double)(there - taken) / 2.0);
}

lk_status lk_center_crop(const lk_transform_spec *spec, lk_dice *dice, lk_easel *easel, lk_picture *picture)
{
    int64_t H, W;

    (void)dice;
    lk_crop_size(spec, &H, &W);
    return take_window(easel, middle(picture->H, H), middle(picture->W, W), H, W, picture);
}

lk_status lk_random_crop_size(const lk_transform_spec *spec, int64_t *H, int64_t *W)
{
    const int64_t room_h = *H + 2 * spec->padding, room_w = *W + 2 * spec->padding;
    const bool known = *H > 0;

    if (spec->n_size == 0) return LK_OK;
    lk_crop_size(spec, H, W);
    if (!known || (*H <= room_h && *W <= room_w)) return LK_OK;
    return LK_FAIL(LK_ERR_USAGE, "data.transforms: random_crop of %lld x %lld from a picture that is %lld x %lld with "
                   "its padding; resize it first, or give it more padding", (long long)*H, (long long)*W,
                   (long long)room_h, (long long)room_w);
}

lk_status lk_random_crop(const lk_transform_spec *spec, lk_dice *dice, lk_easel *easel, lk_picture *picture)
{
    int64_t H = picture->H, W = picture->W;

    LK_TRY(lk_random_crop_size(spec, &H, &W));
    const int64_t down = lk_dice_below(dice, picture->H + 2 * spec->padding - H + 1);
    const int64_t right = lk_dice_below(dice, picture->W + 2 * spec->padding - W + 1);
    return take_window(easel, down - spec->padding, right - spec->padding, H, W, picture);
}

typedef struct window { int64_t top, left, H, W; } window;

/* The whole, or of a picture longer than any ratio allows the middle. */
static window central_window(const lk_transform_spec *spec, const lk_picture *p)
{
    const double ratio = (double)p->W / (double)p->H;
    window made = {.H = p->H, .W = p->W};

    if (ratio < spec->ratio[0]) made.H = (int64_t)fmax(rint((double)p->W / spec->ratio[0]), 1.0);
    else if (ratio > spec->ratio[1]) made.W = (int64_t)fmax(rint((double)p->H * spec->ratio[1]), 1.0);
    made.top = (p->H - made.H) / 2;
    made.left = (p->W - made.W) / 2;
    return made;
}

/* Area and the logarithm of width by height are uniform. */
static window random_window(const lk_transform_spec *spec, lk_dice *dice, const lk_picture *p)
{
    const double whole = (double)p->H * (double)p->W;

    for (int i = 0; i < TRIES; i++) {
        const double area = whole * lk_dice_between(dice, spec->scale[0], spec->scale[1]);
        const double ratio = exp(lk_dice_between(dice, log(spec->ratio[0]), log(spec->ratio[1])));
        const int64_t W = (int64_t)rint(sqrt(area * ratio)), H = (int64_t)rint(sqrt(area / ratio));

        if (W < 1 || W > p->W || H < 1 || H > p->H) continue;
        const int64_t top = lk_dice_below(dice, p->H - H + 1), left = lk_dice_below(dice, p->W - W + 1);
        return (window){top, left, H, W};
    }
    return central_window(spec, p);
}

lk_status lk_random_resized_crop(const lk_transform_spec *spec, lk_dice *dice, lk_easel *easel, lk_picture *picture)
{
    const window taken = random_window(spec, dice, picture);
    int64_t H, W;

    lk_crop_size(spec, &H, &W);
    LK_TRY(take_window(easel, taken.top, taken.left, taken.H, taken.W, picture));
    return lk_resize_to(spec->interpolation, H, W, easel, picture);
}

/* ----------------------------------------------------------------------- flips */

/* `pixel` is known where it is inlined: a copy of three bytes is then no call. */
static inline void mirror_row(const char *from, int64_t W, size_t pixel, char *to)
{
    for (int64_t w = 0; w < W; w++) memcpy(to + (size_t)w * pixel, from + (size_t)(W - 1 - w) * pixel, pixel);
}

static void mirror(const lk_picture *from, const lk_picture *to)
{
    const size_t pixel = lk_pixel_nbytes(from);

    for (int64_t h = 0; h < from->H; h++) {
        const char *row = from->pixels + (size_t)h * from->row_nbytes;
        char *made = to->own + (size_t)h * to->row_nbytes;

        if (pixel == 1) mirror_row(row, from->W, 1, made);
        else if (pixel == 3) mirror_row(row, from->W, 3, made);
        else mirror_row(row, from->W, pixel, made);
    }
}

lk_status lk_hflip(const lk_transform_spec *spec, lk_dice *dice, lk_easel *easel, lk_picture *picture)
{
    lk_picture made;

    if (!lk_dice_happens(dice, spec->p)) return LK_OK;
    LK_TRY(lk_easel_paint(easel, picture, picture->H, picture->W, &made));
    mirror(picture, &made);
    *picture = made;
    return LK_OK;
}

lk_status lk_vflip(const lk_transform_spec *spec, lk_dice *dice, lk_easel *easel, lk_picture *picture)
{
    lk_picture made;

    if (!lk_dice_happens(dice, spec->p)) return LK_OK;
    LK_TRY(lk_easel_paint(easel, picture, picture->H, picture->W, &made));
    for (int64_t h = 0; h < made.H; h++)
        memcpy(made.own + (size_t)h * made.row_nbytes,
               picture->pixels + (size_t)(picture->H - 1 - h) * picture->row_nbytes, made.row_nbytes);
    *picture = made;
    return LK_OK;
}
