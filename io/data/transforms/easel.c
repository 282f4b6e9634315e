/* What every transform works with: the random words of one, and the memory that pictures are made in. */
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
