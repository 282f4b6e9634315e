/*
 * From stored samples to the fields of a lane: pick, transform, give values.
 *
 * What is stored is copied, once all transforms have moved its pixels.  Bytes of images travel as bytes, and the model
 * makes numbers of them; where no one description of bytes is true (view.c), the same numbers are made here.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "io/data/data.h"

/* --------------------------------------------------------------------- pixels */

/* As they are. */
static void put_pixels(const lk_picture *picture, char *to)
{
    const size_t row_nbytes = (size_t)picture->W * lk_pixel_nbytes(picture);

    for (int64_t h = 0; h < picture->H; h++, to += row_nbytes)
        memcpy(to, picture->pixels + (size_t)h * picture->row_nbytes, row_nbytes);
}

static void put_bytes(const lk_view *view, const uint8_t *from, size_t n, float *to)
{
    const size_t C = view->n_scales;

    for (size_t i = 0; C == 0 && i < n; i++) to[i] = (float)from[i];
    for (size_t i = 0; C > 0 && i < n; i += C)
        for (size_t c = 0; c < C; c++) to[i + c] = view->of_byte[from[i + c] * C + c];
}

static void put_floats(const lk_view *view, const float *from, size_t n, float *to)
{
    const size_t C = view->n_scales;

    for (size_t i = 0; C == 0 && i < n; i++) to[i] = from[i];
    for (size_t i = 0; C > 0 && i < n; i += C)
        for (size_t c = 0; c < C; c++) to[i + c] = lk_view_number(view, from[i + c], c);
}

/* As numbers. */
static void put_numbers(const lk_view *view, const lk_picture *picture, float *to)
{
    const size_t n = (size_t)(picture->W * picture->C);

    for (int64_t h = 0; h < picture->H; h++, to += n) {
        const char *row = picture->pixels + (size_t)h * picture->row_nbytes;

        if (picture->floats) put_floats(view, (const float *)(const void *)row, n, to);
        else put_bytes(view, (const uint8_t *)row, n, to);
    }
}

/* ---------------------------------------------------------------------- fetch */

/* Of label or target, which there is. */
static const void *stored_target(const lk_dataset *d, int64_t sample)
{
    return d->label ? (const void *)(d->label + sample) : (const void *)(d->target + (size_t)sample * d->n_output);
}

/* Of labels that become probabilities: one is 1. */
static void fetch_probabilities(const lk_dataset *d, const int64_t *sample, int64_t n, float *target)
{
    memset(target, 0, (size_t)n * d->n_output * sizeof *target);
    for (int64_t i = 0; i < n; i++) target[(size_t)i * d->n_output + (size_t)d->label[sample[i]]] = 1.0f;
}

static void fetch_targets(const lk_dataset *d, const int64_t *sample, int64_t n, void *target)
{
    const size_t nbytes = lk_field_nbytes(&d->sample.field[d->target_field], 0);

    if (d->label && d->probabilities) fetch_probabilities(d, sample, n, target);
    else
        for (int64_t i = 0; i < n; i++)
            memcpy((char *)target + (size_t)i * nbytes, stored_target(d, sample[i]), nbytes);
}

static size_t stored_nbytes(const lk_dataset *d) { return d->n_input * (d->bytes ? sizeof *d->pixels : sizeof *d->x); }

/* They leave as they are stored: bytes whose field is of bytes, numbers that nothing is made of. */
static bool is_copied(const lk_dataset *d, const lk_view *view)
{
    return d->bytes ? d->sample.field[d->x_field].dtype == LK_DTYPE_U8 : view->n_scales == 0;
}

/* A picture file is as large as it is. */
static lk_status decode(const lk_dataset *d, int64_t sample, lk_raster *raster, lk_picture *out)
{
    LK_TRY(lk_pictures_decode(d->pictures, sample, raster));
    *out = (lk_picture){.own = (char *)raster->bytes, .H = raster->H, .W = raster->W, .C = raster->C};
    out->pixels = out->own;
    out->row_nbytes = (size_t)out->W * lk_pixel_nbytes(out);
    return LK_OK;
}

/* A sample as it is stored; samples of tables are rows of one picture.  One that is read goes through the easel. */
static lk_status stored(const lk_dataset *d, int64_t sample, lk_easel *easel, lk_picture *out)
{
    const bool image = d->image[0] > 0;

    if (d->pictures) return decode(d, sample, &easel->decoded, out);
    *out = (lk_picture){.H = image ? d->image[1] : 1, .W = image ? d->image[2] : 1,
                        .C = image ? d->image[0] : (int64_t)d->n_input, .floats = !d->bytes};
    out->row_nbytes = (size_t)out->W * lk_pixel_nbytes(out);
    if (d->stream) {
        LK_TRY(lk_room_take(&easel->stored, stored_nbytes(d)));
        out->pixels = out->own = easel->stored.at;
        return lk_stream_get(d->stream, sample, out->own);
    }
    out->pixels = d->pixels ? (const char *)(d->pixels + (size_t)sample * d->n_input)
                            : (const char *)(d->x + (size_t)sample * d->n_input);
    return LK_OK;
}

/* What stands behind the normalize works on numbers where they are. */
static lk_status transform_numbers(const lk_view *view, const lk_draw *draw, int64_t sample, lk_easel *easel, char *x)
{
    lk_picture picture = {.pixels = x, .own = x, .H = view->H, .W = view->W, .C = (int64_t)view->C, .floats = true};

    picture.row_nbytes = (size_t)view->W * lk_pixel_nbytes(&picture);
    return lk_transforms_apply(&view->list, view->n_moving, view->list.n, draw, sample, easel, &picture);
}

static lk_status fetch_x(const lk_dataset *d, const lk_draw *draw, const int64_t *sample, int64_t n, char *x,
                         lk_easel *easel)
{
    const lk_view *view = &d->view[draw->train];
    const size_t nbytes = lk_field_nbytes(&d->sample.field[d->x_field], 0);
    const bool copied = is_copied(d, view);

    for (int64_t i = 0; i < n; i++, x += nbytes) {
        lk_picture picture;

        LK_TRY(stored(d, sample[i], easel, &picture));
        LK_TRY(lk_transforms_apply(&view->list, 0, view->n_moving, draw, sample[i], easel, &picture));
        assert(d->image[0] == 0 || (picture.H == view->H && picture.W == view->W));
        if (copied) put_pixels(&picture, x);
        else put_numbers(view, &picture, (float *)(void *)x);
        LK_TRY(transform_numbers(view, draw, sample[i], easel, x));
    }
    return LK_OK;
}

static lk_status fetch_windows(const lk_dataset *d, const int64_t *sample, int64_t n, int64_t length,
                               void *const field[])
{
    int32_t *tokens = field[d->windows_field];
    int32_t *target = d->windows_field + 1 < d->sample.n_fields ? field[d->windows_field + 1] : NULL;

    for (int64_t i = 0; i < n; i++)
        LK_TRY(lk_windows_get(d->windows, sample[i], tokens ? tokens + i * length : NULL,
                              target ? target + i * length : NULL));
    return LK_OK;
}

lk_status lk_dataset_fetch(const lk_dataset *d, const lk_draw *draw, const int64_t *sample, int64_t n, int64_t length,
                           void *const field[], lk_easel *easel)
{
    const int x = d->x_field, target = d->target_field, first = d->sample.n_fields - d->n_fields;

    if (d->windows) return fetch_windows(d, sample, n, length, field);
    for (int f = 0; f < d->n_fields; f++)
        if (field[first + f]) lk_table_field_fetch(&d->fields[f], sample, n, length, field[first + f]);
    if (target >= 0 && field[target]) fetch_targets(d, sample, n, field[target]);
    return x >= 0 && field[x] ? fetch_x(d, draw, sample, n, field[x], easel) : LK_OK;
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

/* Tokens are looked at where they weigh unlike alone: whoever asks for every sample would read all of a text. */
static double window_terms(const lk_dataset *d, const lk_loss_spec *loss, int64_t sample)
{
    const int64_t n_values = lk_windows_n_values(d->windows);
    double terms = 0.0;

    if (!loss->n_weight && (loss->ignore_index < 0 || loss->ignore_index >= n_values)) return (double)d->length;
    for (int64_t t = 0; t < d->length; t++) {
        const int32_t token = lk_windows_target(d->windows, sample, t);
        if (token < n_values) terms += lk_loss_count_terms(loss, &token, 1);
    }
    return terms;
}

size_t lk_dataset_target_elems(const lk_dataset *d, int64_t sample)
{
    size_t n_elem = d->target_field < 0    ? 0
                    : d->probabilities     ? 1
                                           : lk_field_n_elem(&d->sample.field[d->target_field], 0);

    for (int f = 0; f < d->n_fields; f++)
        if (d->fields[f].field.target) n_elem += field_elems(&d->fields[f], sample);
    if (d->windows) n_elem += (size_t)d->length;
    return n_elem;
}

double lk_dataset_terms(const lk_dataset *d, const lk_loss_spec *loss, int64_t sample)
{
    const int target = d->target_field;
    double terms = 0.0;

    if (target >= 0 && d->probabilities) terms = 1.0;
    else if (target >= 0)
        terms = lk_loss_count_terms(loss, stored_target(d, sample), lk_field_n_elem(&d->sample.field[target], 0));
    for (int f = 0; f < d->n_fields; f++)
        if (d->fields[f].field.target) terms += field_terms(&d->fields[f], loss, sample);
    return d->windows ? window_terms(d, loss, sample) : terms;
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

/* Of what is as large as it is stored. */
lk_status lk_dataset_ready(const lk_dataset *d, lk_easel *easel)
{
    if (d->stream) LK_TRY(lk_room_take(&easel->stored, stored_nbytes(d)));
    for (int k = 0; k < 2 && d->image[0] > 0; k++) LK_TRY(lk_room_take(&easel->side[k], stored_nbytes(d)));
    return LK_OK;
}

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
