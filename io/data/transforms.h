/* Transforms of images, one after another.  Private to io/data. */
#ifndef LK_IO_TRANSFORMS_H
#define LK_IO_TRANSFORMS_H

#include "io/io.h"

/* What is transformed: (H, W) pixels side by side, each of some bytes (its channels). */
typedef struct lk_picture { int64_t H, W; size_t pixel_nbytes; } lk_picture;

/* Which draw of the random numbers: with the sample's number, all that a transform may depend on. */
typedef struct lk_draw { uint64_t seed; int64_t epoch; bool train; } lk_draw;

/* `from` after all transforms of the list that move pixels: `from` itself or one of the two scratch pictures. */
const void *lk_transforms_apply(const lk_transform_list *list, const lk_draw *draw, int64_t sample,
                                const lk_picture *shape, const void *from, void *const scratch[2]);
/* Whether any of the list moves pixels. */
bool        lk_transforms_move(const lk_transform_list *list);
/* The list's last word on values: its normalize; NULL without. */
const lk_transform_spec *lk_transforms_normalize(const lk_transform_list *list);

#endif
