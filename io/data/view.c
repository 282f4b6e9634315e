/*
 * Views: what training, or evaluation, makes of stored samples.  First a list of transforms, then values: bytes of
 * images become (v / 255 - mean) / std in fp32, operation by operation as torchvision's ToTensor and Normalize.
 *
 * Where that is true of every byte in both views, a field of bytes is described by it, and the model makes the
 * numbers.  They are made here of floats with a normalize, and of bytes that no one description is true of: training
 * and evaluation normalize differently, one part has bytes and the other floats, more channels have scales of their
 * own than a description holds, or a transform makes other numbers of them.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/data/data.h"

#define FULL_BYTE 255.0f
#define WORD(id, word, random) [id] = word,

/* ---------------------------------------------------------------------- values */

float lk_view_number(const lk_view *view, float v, size_t c)
{
    return (v / view->full - view->mean[c]) / view->std[c];
}

static float by_channel(const double *value, unsigned n, size_t c) { return (float)value[n == 1 ? 0 : c]; }

static lk_status set_scales(lk_view *view, const double *mean, unsigned n_mean, const double *std, unsigned n_std)
{
    const size_t n = n_mean > n_std ? n_mean : n_std, n_bytes = UINT8_MAX + 1, n_elem = (2 + n_bytes) * n;

    view->n_scales = n;
    view->mean = malloc(n_elem * sizeof *view->mean);
    LK_TRY_ALLOC(view->mean, n_elem * sizeof *view->mean);
    view->std = view->mean + n;
    view->of_byte = view->std + n;
    for (size_t c = 0; c < n; c++) {
        view->mean[c] = by_channel(mean, n_mean, c);
        view->std[c] = by_channel(std, n_std, c);
        for (size_t v = 0; v < n_bytes; v++) view->of_byte[v * n + c] = lk_view_number(view, (float)v, c);
    }
    return LK_OK;
}

static lk_status check_channels(const char *key, const lk_transform_spec *t, size_t C)
{
    if ((t->n_mean == 1 || t->n_mean == C) && (t->n_std == 1 || t->n_std == C)) return LK_OK;
    return LK_FAIL(LK_ERR_USAGE, "%s: normalize has %u means and %u deviations, the images %zu channels; give one for "
                   "all, or one for each", key, t->n_mean, t->n_std, C);
}

static lk_status choose_values(const lk_data_spec *spec, const lk_table *table, lk_view *view)
{
    const unsigned at = lk_transforms_normalize(&view->list);

    if (at < view->list.n) {
        const lk_transform_spec *normalize = &view->list.transform[at];
        return set_scales(view, normalize->mean, normalize->n_mean, normalize->std, normalize->n_std);
    }
    if (!table->unit) return LK_OK;
    if (!(fabs(spec->pixel_std) > 0.0) || !isfinite(spec->pixel_std) || !isfinite(spec->pixel_mean))
        return LK_FAIL(LK_ERR_USAGE,
                       "data.pixel_mean %g and data.pixel_std %g: both must be finite, the second not 0",
                       spec->pixel_mean, spec->pixel_std);
    return set_scales(view, &spec->pixel_mean, 1, &spec->pixel_std, 1);
}

/* ----------------------------------------------------------------------- lists */

static lk_status copy_list(const lk_transform_list *list, lk_view *view)
{
    view->list.transform = calloc(list->n + 1, sizeof *list->transform);
    LK_TRY_ALLOC(view->list.transform, (list->n + 1) * sizeof *list->transform);
    view->list.n = list->n;
    if (list->n) memcpy(view->list.transform, list->transform, list->n * sizeof *list->transform);
    view->n_moving = lk_transforms_normalize(&view->list);
    return LK_OK;
}

/* Lanes are of pictures of one size. */
static lk_status choose_size(const char *key, const int64_t image[3], lk_view *view)
{
    view->H = image[1];
    view->W = image[2];
    LK_TRY(lk_transforms_size(&view->list, &view->H, &view->W));
    if (image[0] == 0 || view->H > 0) return LK_OK;
    return LK_FAIL(LK_ERR_USAGE, "%s: pictures differ in size and stay so: add one that gives all the same, "
                   "{kind: random_resized_crop, size: 224}, or {kind: resize, size: 256} and {kind: center_crop, "
                   "size: 224}", key);
}

static bool is_of_colours(lk_transform_kind kind)
{
    return kind == LK_TRANSFORM_COLOR_JITTER || kind == LK_TRANSFORM_TRIVIAL_AUGMENT;
}

/* of_bytes: what it erases. */
static lk_status check_erasing(const char *key, const lk_transform_spec *t, bool of_bytes, size_t C)
{
    if (t->n_value > 1 && t->n_value != C)
        return LK_FAIL(LK_ERR_USAGE, "%s: random_erasing has %u values, the images %zu channels; give one for all, or "
                       "one for each", key, t->n_value, C);
    for (unsigned c = 0; of_bytes && c < t->n_value; c++)
        if (t->value[c] < 0.0 || t->value[c] > FULL_BYTE || t->value[c] != floor(t->value[c]))
            return LK_FAIL(LK_ERR_USAGE, "%s: random_erasing sets bytes to %g; in front of normalize its value is a "
                           "whole number from 0 to 255", key, t->value[c]);
    return LK_OK;
}

/* What fits these images, and what does not. */
static lk_status check_transform(const char *key, const lk_transform_spec *t, bool bytes, size_t C)
{
    static const char *const words[] = {LK_TRANSFORM_LIST(WORD)};

    if (is_of_colours(t->kind) && !bytes)
        return LK_FAIL(LK_ERR_USAGE, "%s: %s changes colours of bytes, and these images are floats", key,
                       words[t->kind]);
    if (is_of_colours(t->kind) && C != 1 && C != 3)
        return LK_FAIL(LK_ERR_USAGE, "%s: %s changes colours of one channel or three, and these images have %zu", key,
                       words[t->kind], C);
    return t->kind == LK_TRANSFORM_NORMALIZE ? check_channels(key, t, C) : LK_OK;
}

static lk_status check_list(const char *key, bool bytes, const lk_view *view)
{
    for (unsigned i = 0; i < view->list.n; i++) {
        const lk_transform_spec *t = &view->list.transform[i];

        LK_TRY(check_transform(key, t, bytes, view->C));
        if (t->kind == LK_TRANSFORM_RANDOM_ERASING)
            LK_TRY(check_erasing(key, t, bytes && i < view->n_moving, view->C));
    }
    return LK_OK;
}

lk_status lk_view_open(const lk_data_spec *spec, bool train, const int64_t image[3], const lk_table *table,
                       lk_view *view)
{
    const lk_transform_list *list = train ? &spec->transforms : &spec->validation_transforms;
    const char *key = train ? "data.transforms" : "data.validation_transforms";

    if (list->n && image[0] == 0)
        return LK_FAIL(LK_ERR_USAGE, "data.transforms: they are of images, and these samples are none");
    *view = (lk_view){.C = image[0] > 0 ? (size_t)image[0] : 1, .full = table->of_bytes ? FULL_BYTE : 1.0f};
    LK_TRY(copy_list(list, view));
    LK_TRY(check_list(key, lk_table_is_bytes(table), view));
    if (lk_view_mixes(view) && !spec->probabilities)
        return LK_FAIL(LK_ERR_USAGE, "%s: mixed labels are probabilities: loss.probabilities must be true", key);
    LK_TRY(choose_size(key, image, view));
    return choose_values(spec, table, view);
}

void lk_view_close(lk_view *view)
{
    free(view->mean);
    free(view->list.transform);
}

/* ----------------------------------------------------------------------- pairs */

lk_status lk_views_check(const lk_view view[2])
{
    const lk_view *evaluation = &view[false], *training = &view[true];

    if (evaluation->H == training->H && evaluation->W == training->W) return LK_OK;
    return LK_FAIL(LK_ERR_USAGE, "data.validation_transforms: pictures are %lld x %lld behind them, and %lld x %lld "
                   "behind data.transforms; the model reads one size", (long long)evaluation->H,
                   (long long)evaluation->W, (long long)training->H, (long long)training->W);
}

static bool same_scales(const lk_view *a, const lk_view *b)
{
    if (a->n_scales != b->n_scales) return false;
    for (size_t c = 0; c < a->n_scales; c++)
        if (a->mean[c] != b->mean[c] || a->std[c] != b->std[c]) return false;
    return true;
}

/* Something is made of numbers: behind the normalize, or by mixing pixels.  cutmix moves what there is. */
static bool works_on_numbers(const lk_view *view)
{
    for (unsigned i = 0; i < view->list.n; i++) {
        const lk_transform_kind kind = view->list.transform[i].kind;

        if (kind == LK_TRANSFORM_MIXUP || (i > view->n_moving && kind != LK_TRANSFORM_CUTMIX)) return true;
    }
    return false;
}

bool lk_view_pixels(const lk_view view[2], lk_pixels *out)
{
    const size_t n = view[0].n_scales;

    *out = (lk_pixels){0};
    if (works_on_numbers(&view[0]) || works_on_numbers(&view[1])) return false;
    if (n > LK_MAX_CHANNELS || !same_scales(&view[0], &view[1])) return false;
    out->n_channels = (int)n;
    for (size_t c = 0; c < n; c++) out->mean[c] = view[0].mean[c], out->std[c] = view[0].std[c];
    return true;
}
