/*
 * Transforms of images, one after another.  Private to io/data.
 *
 * Each is a pure function of (seed, epoch, sample) and its place in the list, so a run gives the same pictures on any
 * number of workers and loader threads, and after a resume.  Names, keys and meaning are torchvision's:
 *
 *     resize               the shorter side, or both; bilinear with antialias, or nearest       resize.c
 *     center_crop          the middle, with zeros around where the picture is smaller           geometry.c
 *     random_crop          zeros around it, then a window at a random place                     geometry.c
 *     random_resized_crop  a window of random area and aspect, resized                          geometry.c
 *     hflip, vflip         mirrored with probability p                                          geometry.c
 *     color_jitter         brightness, contrast, saturation and hue, in any order               color_jitter.c
 *     trivial_augment      one change of fourteen: TrivialAugmentWide                           trivial_augment.c
 *     normalize            (x - mean) / std by channel; what a file has as bytes is divided by 255 first
 *     random_erasing       a rectangle of one value, with probability p                         random_erasing.c
 *     mixup, cutmix        each sample with the one before it in the global batch               io/data/mix.c
 *
 * Pictures stay bytes, or floats, as they were stored, until normalize makes numbers of them (io/data/view.c): what
 * stands in front of it works on bytes with torchvision's rounding to uint8.  Crops, flips, resizing and erasing work
 * on floats too; what is about colours wants bytes.
 */
#ifndef LK_IO_TRANSFORMS_H
#define LK_IO_TRANSFORMS_H

#include "io/file/raster.h"
#include "io/io.h"

/* Which draw of the random numbers: with the sample's number, all that a transform may depend on. */
typedef struct lk_draw { uint64_t seed; int64_t epoch; bool train; } lk_draw;

/* A picture on its way through a list: rows of (W, C) bytes, or floats. */
typedef struct lk_picture {
    const char *pixels;     /* of its first row */
    char *own;              /* the same, where it may be written to; NULL: it is the data set's */
    size_t row_nbytes;      /* from one row to the next */
    int64_t H, W, C;
    bool floats;
} lk_picture;

static inline size_t lk_pixel_nbytes(const lk_picture *p)
{
    return (size_t)p->C * (p->floats ? sizeof(float) : sizeof(uint8_t));
}

/* Memory that grows when more is wanted of it. */
typedef struct lk_room { void *at; size_t nbytes; } lk_room;

/* What was in the room is lost.  Errors: LK_ERR_SYSTEM. */
lk_status lk_room_take(lk_room *room, size_t nbytes);

/* What a thread that fetches samples keeps between them: nothing is allocated once the sizes that occur have been. */
typedef struct lk_easel {
    lk_room stored;         /* a sample as it is read */
    lk_raster decoded;      /* the same of a picture file */
    lk_room side[2];        /* pictures, by turns */
    int turn;               /* of them, the one that was painted on last */
    lk_room between;        /* resize: its columns done, its rows not */
    lk_room axis[2];        /* resize: what is taken of rows and columns */
} lk_easel;

void      lk_easel_clear(lk_easel *easel);
/* A picture of this size and otherwise like `like`, on the side where `like` is not; its pixels are undefined. */
lk_status lk_easel_paint(lk_easel *easel, const lk_picture *like, int64_t H, int64_t W, lk_picture *out);

/* A copy of the picture, on the other side. */
lk_status lk_easel_copy(lk_easel *easel, const lk_picture *from, lk_picture *out);
/* Copies the picture if it may not be written to. */
lk_status lk_easel_own(lk_easel *easel, lk_picture *picture);

/* Random words, one after another, of one transform of one sample. */
typedef struct lk_dice {
    lk_philox_key key;
    uint32_t counter[4];    /* its last word counts the blocks of four */
    uint32_t word[4];
    int left;               /* of them */
} lk_dice;

uint32_t lk_dice_word(lk_dice *dice);
double   lk_dice_unit(lk_dice *dice);                             /* in [0, 1) */
double   lk_dice_between(lk_dice *dice, double low, double high); /* in [low, high) */
int64_t  lk_dice_below(lk_dice *dice, int64_t n);                 /* 0 .. n - 1 */
bool     lk_dice_happens(lk_dice *dice, double p);

/* One of them: *picture becomes another, or its pixels do. */
typedef lk_status lk_transform_fn(const lk_transform_spec *spec, lk_dice *dice, lk_easel *easel, lk_picture *picture);
lk_transform_fn lk_resize, lk_center_crop, lk_random_crop, lk_random_resized_crop, lk_hflip, lk_vflip, lk_color_jitter,
    lk_trivial_augment, lk_random_erasing;

/* Transforms [begin, end) of the list. */
lk_status lk_transforms_apply(const lk_transform_list *list, unsigned begin, unsigned end, const lk_draw *draw,
                              int64_t sample, lk_easel *easel, lk_picture *picture);
/* Place of the list's normalize; list->n without. */
unsigned  lk_transforms_normalize(const lk_transform_list *list);
/* What becomes of pictures of (*H, *W); zeros: they differ in size.  Errors: LK_ERR_USAGE (too small for a crop). */
lk_status lk_transforms_size(const lk_transform_list *list, int64_t *H, int64_t *W);

/* The size that a resize makes of (*H, *W), and a crop. */
void      lk_resized_size(const lk_transform_spec *spec, int64_t *H, int64_t *W);
void      lk_crop_size(const lk_transform_spec *spec, int64_t *H, int64_t *W);
/* Errors: LK_ERR_USAGE (the picture with its padding is smaller than that). */
lk_status lk_random_crop_size(const lk_transform_spec *spec, int64_t *H, int64_t *W);
/* The picture at another size. */
lk_status lk_resize_to(lk_interpolation interpolation, int64_t H, int64_t W, lk_easel *easel, lk_picture *picture);

#endif
