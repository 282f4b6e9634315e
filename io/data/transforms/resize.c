/*
 * Pictures at another size, as torchvision's resize: bilinear with antialias, or nearest.
 *
 * Bilinear is a triangle, as wide as one output pixel where the picture shrinks and as one input pixel where it grows,
 * over the columns first and then over the rows.  Bytes go the way of Pillow and PyTorch: weights in fixed point, as
 * many bits as 16 allow, and rounding to bytes in between; so the result is theirs, bit for bit.
 *
 *     centre = (i + 0.5) n_in / n_out,  reach = max(n_in / n_out, 1)
 *     w[j]   = max(0, 1 - |j + 0.5 - centre| / reach), over their sum
 *
 * Source: Pillow, src/libImaging/Resample.c; PyTorch, UpSampleKernel.cpp (interpolate with antialias).
 */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "io/data/transforms/transforms.h"

/* ----------------------------------------------------------------------- sizes */

void lk_resized_size(const lk_transform_spec *spec, int64_t *H, int64_t *W)
{
    const int64_t shorter = spec->size[0];

    if (spec->n_size > 1) {
        *H = spec->size[0];
        *W = spec->size[1];
    } else if (*H > 0) {
        const bool wide = *W > *H;
        const int64_t longer = (int64_t)((double)shorter * (double)(wide ? *W : *H) / (double)(wide ? *H : *W));
        *H = wide ? shorter : longer;
        *W = wide ? longer : shorter;
    }
}

/* ------------------------------------------------------------------------ axes */

/* What the outputs along one axis are made of: output i of inputs first[i] .. first[i] + taps - 1, some with weight 0
 * so that all have as many: loops of one length are foreseen by processors. */
typedef struct axis {
    int64_t n_out, most;    /* most: inputs that an output may have */
    int32_t taps;
    int32_t *first, *n;     /* n: inputs that weigh something */
    double *weight;         /* (n_out, most) */
    int32_t *fixed;         /* the same in fixed point */
    int bits;               /* behind its point */
} axis;

static lk_status make_room(lk_room *room, int64_t n_in, int64_t n_out, axis *a)
{
    const int64_t most = 2 * (int64_t)ceil(fmax((double)n_in / (double)n_out, 1.0)) + 1;
    const size_t n_weights = (size_t)(n_out * most);

    LK_TRY(lk_room_take(room, n_weights * (sizeof *a->weight + sizeof *a->fixed) +
                              2 * (size_t)n_out * sizeof *a->first));
    *a = (axis){.n_out = n_out, .most = most, .weight = room->at};
    a->fixed = (int32_t *)(void *)(a->weight + n_weights);
    a->first = a->fixed + n_weights;
    a->n = a->first + n_out;
    return LK_OK;
}

static void set_weights(axis *a, int64_t i, int64_t n_in)
{
    const double scale = (double)n_in / (double)a->n_out, reach = fmax(scale, 1.0);
    const double centre = scale * ((double)i + 0.5);
    double *weight = a->weight + i * a->most, sum = 0.0;
    const int64_t begin = (int64_t)fmax(centre - reach + 0.5, 0.0);
    const int64_t last = (int64_t)(centre + reach + 0.5), end = last < n_in ? last : n_in;

    a->first[i] = (int32_t)begin;
    a->n[i] = (int32_t)(end - begin);
    assert(end - begin <= a->most);
    for (int64_t j = 0; j < end - begin; j++) {
        const double distance = fabs(((double)(begin + j) - centre + 0.5) / reach);
        sum += weight[j] = distance < 1.0 ? 1.0 - distance : 0.0;
    }
    for (int64_t j = 0; j < end - begin; j++) weight[j] /= sum;
}

static void level(axis *a, int64_t n_in)
{
    for (int64_t i = 0; i < a->n_out; i++)
        if (a->n[i] > a->taps) a->taps = a->n[i];
    for (int64_t i = 0; i < a->n_out; i++) {
        const int64_t over = a->first[i] + a->taps - n_in, back = over > 0 ? over : 0;
        double *weight = a->weight + i * a->most;

        memmove(weight + back, weight, (size_t)a->n[i] * sizeof *weight);
        for (int64_t j = 0; j < back; j++) weight[j] = 0.0;
        for (int64_t j = back + a->n[i]; j < a->taps; j++) weight[j] = 0.0;
        a->first[i] -= (int32_t)back;
    }
}

/* As many bits as leave the largest weight in 16 with its sign. */
static void fix_weights(axis *a)
{
    enum { MOST_BITS = 22 };
    double largest = 0.0;

    for (int64_t i = 0; i < a->n_out; i++)
        for (int32_t j = 0; j < a->taps; j++) largest = fmax(largest, a->weight[i * a->most + j]);
    for (a->bits = 0; a->bits < MOST_BITS; a->bits++)
        if ((int)(0.5 + largest * (double)(1 << (a->bits + 1))) >= 1 << 15) break;
    for (int64_t i = 0; i < a->n_out; i++)
        for (int32_t j = 0; j < a->taps; j++) {
            const int64_t k = i * a->most + j;
            a->fixed[k] = (int32_t)(0.5 + a->weight[k] * (double)(1 << a->bits));
        }
}

static lk_status make_axis(lk_room *room, int64_t n_in, int64_t n_out, axis *a)
{
    LK_TRY(make_room(room, n_in, n_out, a));
    for (int64_t i = 0; i < n_out; i++) set_weights(a, i, n_in);
    level(a, n_in);
    fix_weights(a);
    return LK_OK;
}

/* ----------------------------------------------------------------------- bytes */

/* No weight is negative, but rounded ones may add up to a little more than 1. */
static inline uint8_t to_byte(int32_t sum, int bits)
{
    const int32_t v = (sum + (1 << (bits - 1))) >> bits;

    return (uint8_t)(v > UINT8_MAX ? UINT8_MAX : v);
}

static void columns_of_bytes(const axis *a, const uint8_t *from, size_t C, uint8_t *to)
{
    for (int64_t i = 0; i < a->n_out; i++)
        for (size_t c = 0; c < C; c++) {
            const uint8_t *at = from + (size_t)a->first[i] * C + c;
            const int32_t *weight = a->fixed + i * a->most;
            int32_t sum = 0;

            for (int32_t j = 0; j < a->taps; j++) sum += weight[j] * at[(size_t)j * C];
            to[(size_t)i * C + c] = to_byte(sum, a->bits);
        }
}

typedef int32_t four __attribute__((vector_size(16)));
typedef uint8_t four_bytes __attribute__((vector_size(4)));

static inline four_bytes to_bytes(four sum, int bits)
{
    const four v = (sum + (1 << (bits - 1))) >> bits, fits = v <= UINT8_MAX;

    return __builtin_convertvector((v & fits) | (UINT8_MAX & ~fits), four_bytes);
}

/* Three channels at once, as four: a number behind the last pixel of a row is read and not used, and a byte behind the
 * last one is written, which is the next pixel's, the next row's or nobody's. */
static void columns_of_rgb(const axis *a, const int32_t *from, uint8_t *to)
{
    for (int64_t i = 0; i < a->n_out; i++, to += 3) {
        const int32_t *at = from + (size_t)a->first[i] * 3, *weight = a->fixed + i * a->most;
        four sum = {0};

        for (int32_t j = 0; j < a->taps; j++, at += 3) {
            four pixel;
            memcpy(&pixel, at, sizeof pixel);
            sum += weight[j] * pixel;
        }
        const four_bytes made = to_bytes(sum, a->bits);
        memcpy(to, &made, sizeof made);
    }
}

/* Row i of the result, of n bytes, by way of n sums. */
static void row_of_bytes(const axis *a, int64_t i, const uint8_t *from, size_t row_nbytes, size_t n, int32_t *sums,
                         uint8_t *to)
{
    memset(sums, 0, n * sizeof *sums);
    for (int32_t j = 0; j < a->taps; j++) {
        const uint8_t *row = from + (size_t)(a->first[i] + j) * row_nbytes;
        const int32_t weight = a->fixed[i * a->most + j];

        for (size_t k = 0; k < n; k++) sums[k] += weight * row[k];
    }
    for (size_t k = 0; k < n; k++) to[k] = to_byte(sums[k], a->bits);
}

/* wide: room for a row's numbers and one more. */
static void resize_columns(const axis *a, const lk_picture *from, int32_t *wide, const lk_picture *to)
{
    const size_t n = (size_t)(from->W * from->C);

    wide[n] = 0;
    for (int64_t h = 0; h < from->H; h++) {
        const uint8_t *row = (const uint8_t *)from->pixels + (size_t)h * from->row_nbytes;
        uint8_t *made = (uint8_t *)to->own + (size_t)h * to->row_nbytes;

        for (size_t k = 0; from->C == 3 && k < n; k++) wide[k] = row[k];
        if (from->C == 3) columns_of_rgb(a, wide, made);
        else columns_of_bytes(a, row, (size_t)from->C, made);
    }
}

/* ---------------------------------------------------------------------- floats */

static void columns_of_floats(const axis *a, const float *from, size_t C, float *to)
{
    for (int64_t i = 0; i < a->n_out; i++)
        for (size_t c = 0; c < C; c++) {
            const float *at = from + (size_t)a->first[i] * C + c;
            float sum = 0.0f;

            for (int32_t j = 0; j < a->taps; j++) sum += (float)a->weight[i * a->most + j] * at[(size_t)j * C];
            to[(size_t)i * C + c] = sum;
        }
}

static void row_of_floats(const axis *a, int64_t i, const float *from, size_t row_n, size_t n, float *to)
{
    memset(to, 0, n * sizeof *to);
    for (int32_t j = 0; j < a->taps; j++) {
        const float *row = from + (size_t)(a->first[i] + j) * row_n, weight = (float)a->weight[i * a->most + j];

        for (size_t k = 0; k < n; k++) to[k] += weight * row[k];
    }
}

static void resize_float_columns(const axis *a, const lk_picture *from, const lk_picture *to)
{
    for (int64_t h = 0; h < from->H; h++)
        columns_of_floats(a, (const float *)(const void *)(from->pixels + (size_t)h * from->row_nbytes),
                          (size_t)from->C, (float *)(void *)(to->own + (size_t)h * to->row_nbytes));
}

/* -------------------------------------------------------------------- bilinear */

/* Into the room between, behind that for a row of numbers. */
static lk_status shrink_columns(lk_easel *easel, int64_t W, size_t row_nbytes, lk_picture *picture)
{
    lk_picture made = *picture;
    axis columns;

    made.pixels = made.own = (char *)easel->between.at + row_nbytes;
    made.row_nbytes = (size_t)W * lk_pixel_nbytes(picture);
    made.W = W;
    LK_TRY(make_axis(&easel->axis[1], picture->W, W, &columns));
    if (picture->floats) resize_float_columns(&columns, picture, &made);
    else resize_columns(&columns, picture, easel->between.at, &made);
    *picture = made;
    return LK_OK;
}

static void resize_rows(const axis *rows, const lk_picture *from, int32_t *sums, const lk_picture *to)
{
    const size_t n = (size_t)to->W * (size_t)to->C;

    for (int64_t h = 0; h < to->H; h++) {
        char *row = to->own + (size_t)h * to->row_nbytes;

        if (from->floats)
            row_of_floats(rows, h, (const float *)(const void *)from->pixels, from->row_nbytes / sizeof(float), n,
                          (float *)(void *)row);
        else row_of_bytes(rows, h, (const uint8_t *)from->pixels, from->row_nbytes, n, sums, (uint8_t *)row);
    }
}

static void copy_rows(const lk_picture *from, const lk_picture *to)
{
    for (int64_t h = 0; h < to->H; h++)
        memcpy(to->own + (size_t)h * to->row_nbytes, from->pixels + (size_t)h * from->row_nbytes, to->row_nbytes);
}

static lk_status resize_bilinear(lk_easel *easel, const lk_picture *from, const lk_picture *to)
{
    const int64_t longest = to->W > from->W ? to->W : from->W;
    const size_t numbers_nbytes = (size_t)(longest * to->C + 1) * sizeof(int32_t);
    lk_picture narrow = *from;
    axis rows;

    LK_TRY(lk_room_take(&easel->between, numbers_nbytes + (size_t)from->H * to->row_nbytes + 1));
    if (to->W != from->W) LK_TRY(shrink_columns(easel, to->W, numbers_nbytes, &narrow));
    if (to->H == from->H) {
        copy_rows(&narrow, to);
        return LK_OK;
    }
    LK_TRY(make_axis(&easel->axis[0], from->H, to->H, &rows));
    resize_rows(&rows, &narrow, easel->between.at, to);
    return LK_OK;
}

/* --------------------------------------------------------------------- nearest */

/* In fp32, as PyTorch counts. */
static int64_t nearest(int64_t i, int64_t n_in, int64_t n_out)
{
    const int64_t taken = (int64_t)((float)i * ((float)n_in / (float)n_out));

    return taken < n_in ? taken : n_in - 1;
}

static void resize_nearest(const lk_picture *from, const lk_picture *to)
{
    const size_t pixel = lk_pixel_nbytes(from);

    for (int64_t h = 0; h < to->H; h++) {
        const char *row = from->pixels + (size_t)nearest(h, from->H, to->H) * from->row_nbytes;
        char *made = to->own + (size_t)h * to->row_nbytes;

        for (int64_t w = 0; w < to->W; w++)
            memcpy(made + (size_t)w * pixel, row + (size_t)nearest(w, from->W, to->W) * pixel, pixel);
    }
}

lk_status lk_resize_to(lk_interpolation interpolation, int64_t H, int64_t W, lk_easel *easel, lk_picture *picture)
{
    lk_picture made;

    if (H == picture->H && W == picture->W) return LK_OK;
    LK_TRY(lk_easel_paint(easel, picture, H, W, &made));
    if (interpolation == LK_INTERPOLATION_NEAREST) resize_nearest(picture, &made);
    else LK_TRY(resize_bilinear(easel, picture, &made));
    *picture = made;
    return LK_OK;
}

lk_status lk_resize(const lk_transform_spec *spec, lk_dice *dice, lk_easel *easel, lk_picture *picture)
{
    int64_t H = picture->H, W = picture->W;

    (void)dice;
    lk_resized_size(spec, &H, &W);
    return lk_resize_to(spec->interpolation, H, W, easel, picture);
}
