/*
 * Transforms of images.  Each is a pure function of (seed, epoch, sample) and its place in the list, so a run gives the
 * same pictures on any number of workers and loader threads, and after a resume.
 *
 *     random_crop  padding p: p pixels of zeros around the image, and a window of the old size at a random place in
 *                  that; as torchvision's RandomCrop(size, padding=p)
 *     hflip        mirrors left and right with probability p; as RandomHorizontalFlip
 *     normalize    (x - mean) / std by channel; what a file has as bytes is divided by 255 first, as ToTensor and
 *                  Normalize do
 *
 * Adding one: a word in LK_TRANSFORM_LIST (io.h), its keys in io/recipe/transforms.c, a function here and its
 * case in apply_of().  What moves pixels works on whole pixels, bytes or floats alike; values change at the end alone,
 * so images travel as bytes until then.
 */
#include "io/data/transforms.h"

#include <string.h>

/* Four random words, the transform's own. */
typedef void apply_fn(const lk_transform_spec *spec, const uint32_t word[4], const lk_picture *shape, const char *from,
                      char *to);

/* A whole number below n. */
static int64_t below(uint32_t word, int64_t n) { return (int64_t)((uint64_t)word * (uint64_t)n >> 32); }

static void crop(const lk_transform_spec *spec, const uint32_t word[4], const lk_picture *shape, const char *from,
                 char *to)
{
    const int64_t places = 2 * spec->padding + 1;
    const int64_t down = below(word[0], places) - spec->padding, right = below(word[1], places) - spec->padding;
    const size_t pixel = shape->pixel_nbytes, row_nbytes = (size_t)shape->W * pixel;
    const int64_t begin = right < 0 ? -right : 0, end = right > 0 ? shape->W - right : shape->W;

    for (int64_t h = 0; h < shape->H; h++) {
        char *row = to + (size_t)h * row_nbytes;
        memset(row, 0, row_nbytes);
        if (h + down < 0 || h + down >= shape->H || begin >= end) continue;
        memcpy(row + (size_t)begin * pixel, from + (size_t)(h + down) * row_nbytes + (size_t)(begin + right) * pixel,
               (size_t)(end - begin) * pixel);
    }
}

static void flip(const lk_transform_spec *spec, const uint32_t word[4], const lk_picture *shape, const char *from,
                 char *to)
{
    const size_t pixel = shape->pixel_nbytes;
    const bool mirror = (double)word[0] < spec->p * 0x1p32;

    for (int64_t h = 0; h < shape->H; h++)
        for (int64_t w = 0; w < shape->W; w++) {
            const int64_t taken = mirror ? shape->W - 1 - w : w;
            memcpy(to + (size_t)(h * shape->W + w) * pixel, from + (size_t)(h * shape->W + taken) * pixel, pixel);
        }
}

/* NULL: it changes values, at the end.  A switch, for compilers tell of a kind that is missing in one. */
static apply_fn *apply_of(lk_transform_kind kind)
{
    switch (kind) {
    case LK_TRANSFORM_RANDOM_CROP: return crop;
    case LK_TRANSFORM_HFLIP: return flip;
    case LK_TRANSFORM_NORMALIZE: return NULL;
    }
    return NULL;
}

const void *lk_transforms_apply(const lk_transform_list *list, const lk_draw *draw, int64_t sample,
                                const lk_picture *shape, const void *from, void *const scratch[2])
{
    const lk_philox_key key = lk_philox_key_new(draw->seed, LK_PURPOSE_AUGMENT, (uint32_t)draw->epoch);
    int turn = 0;

    for (unsigned i = 0; i < list->n; i++) {
        const lk_transform_spec *spec = &list->transform[i];
        const uint32_t counter[4] = {(uint32_t)sample, (uint32_t)((uint64_t)sample >> 32), i, 0};
        uint32_t word[4];

        apply_fn *const apply = apply_of(spec->kind);
        if (!apply) continue;
        lk_philox(key, counter, word);
        apply(spec, word, shape, from, scratch[turn]);
        from = scratch[turn];
        turn = !turn;
    }
    return from;
}

bool lk_transforms_move(const lk_transform_list *list)
{
    for (unsigned i = 0; i < list->n; i++)
        if (apply_of(list->transform[i].kind)) return true;
    return false;
}

const lk_transform_spec *lk_transforms_normalize(const lk_transform_list *list)
{
    const lk_transform_spec *last = list->n ? &list->transform[list->n - 1] : NULL;

    return last && last->kind == LK_TRANSFORM_NORMALIZE ? last : NULL;
}
