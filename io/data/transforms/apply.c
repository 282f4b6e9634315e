/*
 * A list of transforms, one after another: which is which, the random words each has to itself, and the memory that
 * pictures are made in.
 */
#include <string.h>

#include "io/data/transforms/transforms.h"

/* ---------------------------------------------------------------------- chance */

uint32_t lk_dice_word(lk_dice *dice)
{
    if (dice->left == 0) {
        lk_philox(dice->key, dice->counter, dice->word);
        dice->counter[3]++;
        dice->left = 4;
    }
    return dice->word[4 - dice->left--];
}

double lk_dice_unit(lk_dice *dice) { return (double)lk_dice_word(dice) * 0x1p-32; }

double lk_dice_between(lk_dice *dice, double low, double high) { return low + (high - low) * lk_dice_unit(dice); }

int64_t lk_dice_below(lk_dice *dice, int64_t n)
{
    return (int64_t)((uint64_t)lk_dice_word(dice) * (uint64_t)n >> 32);
}

bool lk_dice_happens(lk_dice *dice, double p) { return lk_dice_unit(dice) < p; }

/* ---------------------------------------------------------------------- memory */

lk_status lk_room_take(lk_room *room, size_t nbytes)
{
    if (nbytes <= room->nbytes) return LK_OK;
    lk_free(&room->at);
    room->nbytes = 0;
    room->at = lk_alloc(nbytes);
    LK_TRY_ALLOC(room->at, nbytes);
    room->nbytes = nbytes;
    return LK_OK;
}

void lk_easel_clear(lk_easel *easel)
{
    for (int k = 0; k < 2; k++) {
        lk_free(&easel->axis[k].at);
        lk_free(&easel->side[k].at);
    }
    lk_free(&easel->between.at);
    lk_free(&easel->stored.at);
    lk_raster_clear(&easel->decoded);
    *easel = (lk_easel){0};
}

lk_status lk_easel_paint(lk_easel *easel, const lk_picture *like, int64_t H, int64_t W, lk_picture *out)
{
    const size_t row_nbytes = (size_t)W * lk_pixel_nbytes(like);
    lk_room *side = &easel->side[easel->turn = !easel->turn];

    LK_TRY(lk_room_take(side, (size_t)H * row_nbytes));
    *out = (lk_picture){.pixels = side->at, .own = side->at, .row_nbytes = row_nbytes, .H = H, .W = W, .C = like->C,
                        .floats = like->floats};
    return LK_OK;
}

lk_status lk_easel_copy(lk_easel *easel, const lk_picture *from, lk_picture *out)
{
    LK_TRY(lk_easel_paint(easel, from, from->H, from->W, out));
    for (int64_t h = 0; h < from->H; h++)
        memcpy(out->own + (size_t)h * out->row_nbytes, from->pixels + (size_t)h * from->row_nbytes, out->row_nbytes);
    return LK_OK;
}

lk_status lk_easel_own(lk_easel *easel, lk_picture *picture)
{
    const lk_picture from = *picture;

    return picture->own ? LK_OK : lk_easel_copy(easel, &from, picture);
}

/* ----------------------------------------------------------------------- lists */

/* NULL: it is no matter of a picture's.  A switch, for compilers tell of a kind that is missing in one. */
static lk_transform_fn *function_of(lk_transform_kind kind)
{
    switch (kind) {
    case LK_TRANSFORM_RESIZE: return lk_resize;
    case LK_TRANSFORM_CENTER_CROP: return lk_center_crop;
    case LK_TRANSFORM_RANDOM_CROP: return lk_random_crop;
    case LK_TRANSFORM_RANDOM_RESIZED_CROP: return lk_random_resized_crop;
    case LK_TRANSFORM_HFLIP: return lk_hflip;
    case LK_TRANSFORM_VFLIP: return lk_vflip;
    case LK_TRANSFORM_COLOR_JITTER: return lk_color_jitter;
    case LK_TRANSFORM_TRIVIAL_AUGMENT: return lk_trivial_augment;
    case LK_TRANSFORM_RANDOM_ERASING: return lk_random_erasing;
    case LK_TRANSFORM_NORMALIZE:
    case LK_TRANSFORM_MIXUP:
    case LK_TRANSFORM_CUTMIX: return NULL;
    }
    return NULL;
}

lk_status lk_transforms_apply(const lk_transform_list *list, unsigned begin, unsigned end, const lk_draw *draw,
                              int64_t sample, lk_easel *easel, lk_picture *picture)
{
    if (begin == end) return LK_OK;
    const lk_philox_key key = lk_philox_key_new(draw->seed, LK_PURPOSE_AUGMENT, (uint32_t)draw->epoch);
    for (unsigned i = begin; i < end; i++) {
        lk_transform_fn *const function = function_of(list->transform[i].kind);
        lk_dice dice = {.key = key, .counter = {(uint32_t)sample, (uint32_t)((uint64_t)sample >> 32), i, 0}};

        if (function) LK_TRY(function(&list->transform[i], &dice, easel, picture));
    }
    return LK_OK;
}

unsigned lk_transforms_normalize(const lk_transform_list *list)
{
    unsigned i = 0;

    while (i < list->n && list->transform[i].kind != LK_TRANSFORM_NORMALIZE) i++;
    return i;
}

static lk_status size_behind(const lk_transform_spec *spec, int64_t *H, int64_t *W)
{
    switch (spec->kind) {
    case LK_TRANSFORM_RESIZE: lk_resized_size(spec, H, W); return LK_OK;
    case LK_TRANSFORM_RANDOM_CROP: return lk_random_crop_size(spec, H, W);
    case LK_TRANSFORM_CENTER_CROP:
    case LK_TRANSFORM_RANDOM_RESIZED_CROP: lk_crop_size(spec, H, W); return LK_OK;
    default: return LK_OK;
    }
}

lk_status lk_transforms_size(const lk_transform_list *list, int64_t *H, int64_t *W)
{
    for (unsigned i = 0; i < list->n; i++) LK_TRY(size_behind(&list->transform[i], H, W));
    return LK_OK;
}
