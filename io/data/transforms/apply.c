/* A list of transforms, one after another: which is which, and the random words each has to itself. */
#include "io/data/transforms/transforms.h"

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
