/*
 * From stored samples to the fields of a lane: pick, transform, give values.
 *
 * Images are bytes (or floats) until all transforms have moved their pixels; only then a byte becomes a number, (v
 * / 255 - mean) / std in fp32, operation by operation as torchvision's ToTensor and Normalize, by way of a table
 * of 256 a channel.  Data that lie in memory and have nothing to be done to them are copied.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/data/data.h"

enum { FIELD_X, FIELD_TARGET, SCRATCH_SAMPLES = 3 /* as read, and two for transforms in turn */ };

#define FULL_BYTE 255.0f

/* ---------------------------------------------------------------------- views */

static float by_channel(const double *value, unsigned n, size_t c) { return (float)value[n == 1 ? 0 : c]; }

static lk_status set_levels(lk_view *view, const double *mean, unsigned n_mean, const double *std, unsigned n_std)
{
    view->level = malloc(view->C * LK_PIXEL_LEVELS * sizeof *view->level);
    LK_TRY_ALLOC(view->level, view->C * LK_PIXEL_LEVELS * sizeof *view->level);
    for (size_t c = 0; c < view->C; c++)
        for (int v = 0; v < LK_PIXEL_LEVELS; v++)
            view->level[c * LK_PIXEL_LEVELS + (size_t)v] =
                ((float)v / FULL_BYTE - by_channel(mean, n_mean, c)) / by_channel(std, n_std, c);
    return LK_OK;
}

static lk_status set_scales(lk_view *view, const lk_transform_spec *normalize)
{
    view->mean = malloc(2 * view->C * sizeof *view->mean);
    LK_TRY_ALLOC(view->mean, 2 * view->C * sizeof *view->mean);
    view->std = view->mean + view->C;
    for (size_t c = 0; c < view->C; c++) {
        view->mean[c] = by_channel(normalize->mean, normalize->n_mean, c);
        view->std[c] = by_channel(normalize->std, normalize->n_std, c);
    }
    return LK_OK;
}

static lk_status check_channels(const lk_transform_spec *t, size_t C)
{
    if ((t->n_mean == 1 || t->n_mean == C) && (t->n_std == 1 || t->n_std == C)) return LK_OK;
    return LK_FAIL(LK_ERR_USAGE, "data.transforms: normalize has %u means and %u deviations, the images %zu channels; "
                   "give one for all, or one for each", t->n_mean, t->n_std, C);
}

lk_status lk_view_open(const lk_data_spec *spec, const lk_transform_list *list, const int64_t image[3],
                       const lk_table *table, lk_view *view)
{
    const lk_transform_spec *normalize = lk_transforms_normalize(list);

    if (list->n && image[0] == 0)
        return LK_FAIL(LK_ERR_USAGE, "data.transforms are of images, and these samples are none");
    *view = (lk_view){.C = image[0] > 0 ? (size_t)image[0] : 1, .moves = lk_transforms_move(list),
                      .full = table->of_bytes ? FULL_BYTE : 1.0f};
    view->list.transform = calloc(list->n + 1, sizeof *list->transform);
    LK_TRY_ALLOC(view->list.transform, (list->n + 1) * sizeof *list->transform);
    view->list.n = list->n;
    if (list->n) memcpy(view->list.transform, list->transform, list->n * sizeof *list->transform);
    if (normalize) LK_TRY(check_channels(normalize, view->C));
    if (!table->pixels) return normalize ? set_scales(view, normalize) : LK_OK;
    if (normalize) return set_levels(view, normalize->mean, normalize->n_mean, normalize->std, normalize->n_std);
    if (!(fabs(spec->pixel_std) > 0.0) || !isfinite(spec->pixel_std) || !isfinite(spec->pixel_mean))
        return LK_FAIL(LK_ERR_USAGE,
                       "data.pixel_mean %g and data.pixel_std %g: both must be finite, the second not 0",
                       spec->pixel_mean, spec->pixel_std);
    return set_levels(view, &spec->pixel_mean, 1, &spec->pixel_std, 1);
}

void lk_view_close(lk_view *view)
{
    free(view->mean);
    free(view->level);
    free(view->list.transform);
}

/* --------------------------------------------------------------------- values */

static void put_bytes(const lk_view *view, const uint8_t *from, size_t n, float *to)
{
    for (size_t i = 0; i < n; i += view->C)
        for (size_t c = 0; c < view->C; c++) to[i + c] = view->level[c * LK_PIXEL_LEVELS + from[i + c]];
}

static void put_floats(const lk_view *view, const float *from, size_t n, float *to)
{
    if (!view->mean) {
        memcpy(to, from, n * sizeof *to);
        return;
    }
    for (size_t i = 0; i < n; i += view->C)
        for (size_t c = 0; c < view->C; c++) to[i + c] = (from[i + c] / view->full - view->mean[c]) / view->std[c];
}

/* ---------------------------------------------------------------------- fetch */

const void *lk_dataset_target(const lk_dataset *dataset, int64_t sample)
{
    if (dataset->label) return dataset->label + sample;
    return dataset->target ? dataset->target + (size_t)sample * dataset->n_output : NULL;
}

static void fetch_targets(const lk_dataset *dataset, const int64_t *sample, int64_t n, void *target)
{
    if (!target) return;
    const size_t nbytes = lk_field_nbytes(&dataset->sample.field[FIELD_TARGET], 0);

    for (int64_t i = 0; i < n; i++)
        memcpy((char *)target + (size_t)i * nbytes, lk_dataset_target(dataset, sample[i]), nbytes);
}

static size_t stored_nbytes(const lk_dataset *d) { return d->n_input * (d->pixels ? sizeof *d->pixels : sizeof *d->x); }

/* A sample as it is stored; one that is read goes through `room`. */
static lk_status stored(const lk_dataset *d, int64_t sample, void *room, const void **out)
{
    *out = room;
    if (d->stream) return lk_stream_get(d->stream, sample, room);
    *out = d->pixels ? (const void *)(d->pixels + (size_t)sample * d->n_input)
                     : (const void *)(d->x + (size_t)sample * d->n_input);
    return LK_OK;
}

static lk_status fetch_x(const lk_dataset *d, const lk_draw *draw, const int64_t *sample, int64_t n, float *x,
                         char *scratch)
{
    const lk_view *view = &d->view[draw->train];
    const size_t nbytes = stored_nbytes(d);
    const lk_picture shape = {d->image[1], d->image[2], view->C * (nbytes / d->n_input)};

    for (int64_t i = 0; i < n; i++) {
        const void *from;
        LK_TRY(stored(d, sample[i], scratch, &from));
        if (view->moves)
            from = lk_transforms_apply(&view->list, draw, sample[i], &shape, from,
                                       (void *const[]){scratch + nbytes, scratch + 2 * nbytes});
        float *to = x + (size_t)i * d->n_input;
        if (view->level) put_bytes(view, from, d->n_input, to);
        else put_floats(view, from, d->n_input, to);
    }
    return LK_OK;
}

lk_status lk_dataset_fetch(const lk_dataset *dataset, const lk_draw *draw, const int64_t *sample, int64_t n,
                           void *const field[], void *scratch)
{
    fetch_targets(dataset, sample, n, field[FIELD_TARGET]);
    return field[FIELD_X] ? fetch_x(dataset, draw, sample, n, field[FIELD_X], scratch) : LK_OK;
}

size_t lk_dataset_scratch(const lk_dataset *dataset) { return SCRATCH_SAMPLES * stored_nbytes(dataset); }

bool lk_dataset_may_thread(const lk_dataset *dataset)
{
    return !dataset->stream || lk_stream_may_thread(dataset->stream);
}

lk_status lk_dataset_read_ahead(const lk_dataset *dataset, lk_shuffle *order, int64_t epoch, int64_t begin, int64_t n)
{
    enum { MOST = 64 };
    int64_t block[MOST];

    if (!dataset->stream) return LK_OK;
    const int64_t n_blocks = lk_shuffle_ahead(order, epoch, begin, n, MOST, block);
    for (int64_t b = 0; b < n_blocks; b++) LK_TRY(lk_stream_want(dataset->stream, block[b]));
    return LK_OK;
}
