/*
 * From stored samples to the fields of a lane: pick, transform, give values.
 *
 * What is stored is copied, once all transforms have moved its pixels.  Bytes of images travel as bytes, and the model
 * makes numbers of them, (v / 255 - mean) / std in fp32, operation by operation as torchvision's ToTensor and
 * Normalize.  The same is done here, with the same numbers, to floats with a normalize and to bytes that no one
 * description is true of: training and evaluation normalize differently, one part has bytes and the other floats, or
 * more channels have scales of their own than a description holds.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/data/data.h"

enum { SCRATCH_SAMPLES = 3 /* as read, and two for transforms in turn */ };

#define FULL_BYTE 255.0f

/* ---------------------------------------------------------------------- views */

static float by_channel(const double *value, unsigned n, size_t c) { return (float)value[n == 1 ? 0 : c]; }

static lk_status set_scales(lk_view *view, const double *mean, unsigned n_mean, const double *std, unsigned n_std)
{
    view->n_scales = n_mean > n_std ? n_mean : n_std;
    view->mean = malloc(2 * view->n_scales * sizeof *view->mean);
    LK_TRY_ALLOC(view->mean, 2 * view->n_scales * sizeof *view->mean);
    view->std = view->mean + view->n_scales;
    for (size_t c = 0; c < view->n_scales; c++) {
        view->mean[c] = by_channel(mean, n_mean, c);
        view->std[c] = by_channel(std, n_std, c);
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
    if (normalize) {
        LK_TRY(check_channels(normalize, view->C));
        return set_scales(view, normalize->mean, normalize->n_mean, normalize->std, normalize->n_std);
    }
    if (!table->unit) return LK_OK;
    if (!(fabs(spec->pixel_std) > 0.0) || !isfinite(spec->pixel_std) || !isfinite(spec->pixel_mean))
        return LK_FAIL(LK_ERR_USAGE,
                       "data.pixel_mean %g and data.pixel_std %g: both must be finite, the second not 0",
                       spec->pixel_mean, spec->pixel_std);
    return set_scales(view, &spec->pixel_mean, 1, &spec->pixel_std, 1);
}

void lk_view_close(lk_view *view)
{
    free(view->mean);
    free(view->list.transform);
}

static bool same_scales(const lk_view *a, const lk_view *b)
{
    if (a->n_scales != b->n_scales) return false;
    for (size_t c = 0; c < a->n_scales; c++)
        if (a->mean[c] != b->mean[c] || a->std[c] != b->std[c]) return false;
    return true;
}

bool lk_view_pixels(const lk_view view[2], lk_pixels *out)
{
    const size_t n = view[0].n_scales;

    *out = (lk_pixels){0};
    if (n > LK_MAX_CHANNELS || !same_scales(&view[0], &view[1])) return false;
    out->n_channels = (int)n;
    for (size_t c = 0; c < n; c++) out->mean[c] = view[0].mean[c], out->std[c] = view[0].std[c];
    return true;
}

/* --------------------------------------------------------------------- values */

static inline float number(const void *from, bool bytes, size_t i)
{
    return bytes ? (float)((const uint8_t *)from)[i] : ((const float *)from)[i];
}

static void put_numbers(const lk_view *view, const void *from, bool bytes, size_t n, float *to)
{
    const size_t C = view->n_scales;

    for (size_t i = 0; C == 0 && i < n; i++) to[i] = number(from, bytes, i);
    for (size_t i = 0; C > 0 && i < n; i += C)
        for (size_t c = 0; c < C; c++)
            to[i + c] = (number(from, bytes, i + c) / view->full - view->mean[c]) / view->std[c];
}

/* ---------------------------------------------------------------------- fetch */

/* Of label or target, which there is. */
static const void *stored_target(const lk_dataset *d, int64_t sample)
{
    return d->label ? (const void *)(d->label + sample) : (const void *)(d->target + (size_t)sample * d->n_output);
}

static void fetch_targets(const lk_dataset *d, const int64_t *sample, int64_t n, void *target)
{
    const size_t nbytes = lk_field_nbytes(&d->sample.field[d->target_field], 0);

    for (int64_t i = 0; i < n; i++) memcpy((char *)target + (size_t)i * nbytes, stored_target(d, sample[i]), nbytes);
}

static size_t stored_nbytes(const lk_dataset *d) { return d->n_input * (d->bytes ? sizeof *d->pixels : sizeof *d->x); }

/* They leave as they are stored: bytes whose field is of bytes, numbers that nothing is made of. */
static bool is_copied(const lk_dataset *d, const lk_view *view)
{
    return d->bytes ? d->sample.field[d->x_field].dtype == LK_DTYPE_U8 : view->n_scales == 0;
}

/* A sample as it is stored; one that is read goes through `room`. */
static lk_status stored(const lk_dataset *d, int64_t sample, void *room, const void **out)
{
    *out = room;
    if (d->stream) return lk_stream_get(d->stream, sample, room);
    *out = d->pixels ? (const void *)(d->pixels + (size_t)sample * d->n_input)
                     : (const void *)(d->x + (size_t)sample * d->n_input);
    return LK_OK;
}

static lk_status fetch_x(const lk_dataset *d, const lk_draw *draw, const int64_t *sample, int64_t n, char *x,
                         char *scratch)
{
    const lk_view *view = &d->view[draw->train];
    const size_t nbytes = stored_nbytes(d), field_nbytes = lk_field_nbytes(&d->sample.field[d->x_field], 0);
    const bool copied = is_copied(d, view);
    const lk_picture shape = {d->image[1], d->image[2], view->C * (nbytes / d->n_input)};

    for (int64_t i = 0; i < n; i++) {
        const void *from;
        LK_TRY(stored(d, sample[i], scratch, &from));
        if (view->moves)
            from = lk_transforms_apply(&view->list, draw, sample[i], &shape, from,
                                       (void *const[]){scratch + nbytes, scratch + 2 * nbytes});
        char *to = x + (size_t)i * field_nbytes;
        if (copied) memcpy(to, from, nbytes);
        else put_numbers(view, from, d->bytes, d->n_input, (float *)(void *)to);
    }
    return LK_OK;
}

lk_status lk_dataset_fetch(const lk_dataset *d, const lk_draw *draw, const int64_t *sample, int64_t n, int64_t length,
                           void *const field[], void *scratch)
{
    const int x = d->x_field, target = d->target_field, first = d->sample.n_fields - d->n_fields;

    for (int f = 0; f < d->n_fields; f++)
        if (field[first + f]) lk_table_field_fetch(&d->fields[f], sample, n, length, field[first + f]);
    if (target >= 0 && field[target]) fetch_targets(d, sample, n, field[target]);
    return x >= 0 && field[x] ? fetch_x(d, draw, sample, n, field[x], scratch) : LK_OK;
}

/* -------------------------------------------------------------------- samples */

static size_t field_elems(const lk_table_field *f, int64_t sample)
{
    return lk_field_n_elem(&f->field, lk_table_field_length(f, sample));
}

static double field_terms(const lk_table_field *f, const lk_loss_spec *loss, int64_t sample)
{
    return lk_loss_count_terms(loss, lk_table_field_at(f, sample), field_elems(f, sample));
}

size_t lk_dataset_target_elems(const lk_dataset *d, int64_t sample)
{
    size_t n_elem = d->target_field < 0 ? 0 : lk_field_n_elem(&d->sample.field[d->target_field], 0);

    for (int f = 0; f < d->n_fields; f++)
        if (d->fields[f].field.target) n_elem += field_elems(&d->fields[f], sample);
    return n_elem;
}

double lk_dataset_terms(const lk_dataset *d, const lk_loss_spec *loss, int64_t sample)
{
    const int target = d->target_field;
    double terms = 0.0;

    if (target >= 0)
        terms = lk_loss_count_terms(loss, stored_target(d, sample), lk_field_n_elem(&d->sample.field[target], 0));
    for (int f = 0; f < d->n_fields; f++)
        if (d->fields[f].field.target) terms += field_terms(&d->fields[f], loss, sample);
    return terms;
}

int64_t lk_dataset_lane_length(const lk_dataset *d, const int64_t *sample, int64_t n)
{
    int64_t longest = 1;

    if (d->longest == 0 || d->length > 0) return d->length;
    for (int f = 0; f < d->n_fields; f++)
        for (int64_t i = 0; d->fields[f].begin && i < n; i++) {
            const int64_t length = lk_table_field_length(&d->fields[f], sample[i]);
            if (length > longest) longest = length;
        }
    return longest;
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
