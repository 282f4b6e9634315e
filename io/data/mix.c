/*
 * mixup and cutmix: each sample of a global batch with the one in front of it, the first with the last, as
 * torchvision's v2 does by batch.roll(1).
 *
 *     lambda ~ Beta(alpha, alpha), one for the batch
 *     mixup   x = lambda x + (1 - lambda) x_before
 *     cutmix  in one box of the batch, of about 1 - lambda of the area, x = x_before; lambda becomes the rest's share
 *     both    target = lambda target + (1 - lambda) target_before
 *
 * Where a list has both, each batch gets one of them, as by torchvision's RandomChoice.  All that is drawn depends on
 * (seed, epoch, batch), so it does not matter who owns which lanes: each needs one sample more, that in front of its
 * first.
 *
 * Source: Zhang et al., 2017, arXiv:1710.09412; Yun et al., 2019, arXiv:1905.04899; of the gamma distribution Marsaglia
 * and Tsang, 2000.
 */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "io/data/data.h"

#define OF_BATCHES (UINT32_C(1) << 31) /* in the last word of a counter: none that a sample has */

/* ---------------------------------------------------------------------- chance */

/* In (0, 1): its logarithm is finite. */
static double open_unit(lk_dice *dice) { return ((double)lk_dice_word(dice) + 0.5) * 0x1p-32; }

static double normal(lk_dice *dice)
{
    const double radius = sqrt(-2.0 * log(open_unit(dice)));

    return radius * cos(2.0 * M_PI * lk_dice_unit(dice));
}

/* Of one gamma-distributed number of this shape; a logarithm, for with a small shape the number may be 0. */
static double log_gamma_draw(double shape, lk_dice *dice)
{
    if (shape < 1.0) {
        const double larger = log_gamma_draw(shape + 1.0, dice);
        return larger + log(open_unit(dice)) / shape;
    }
    const double d = shape - 1.0 / 3.0, c = 1.0 / sqrt(9.0 * d);
    for (;;) {
        const double x = normal(dice), root = 1.0 + c * x;

        if (root <= 0.0) continue;
        const double log_v = 3.0 * log(root);
        if (log(open_unit(dice)) < 0.5 * x * x + d * (1.0 - exp(log_v) + log_v)) return log(d) + log_v;
    }
}

static double beta_draw(double alpha, lk_dice *dice)
{
    const double a = log_gamma_draw(alpha, dice), b = log_gamma_draw(alpha, dice);

    return 1.0 / (1.0 + exp(b - a));
}

static int64_t clamp(int64_t v, int64_t most) { return v < 0 ? 0 : v > most ? most : v; }

/* The box may reach over the rim, and what lies outside is then not taken. */
static void draw_box(const lk_view *view, double lambda, lk_dice *dice, lk_mixing *out)
{
    const double reach = 0.5 * sqrt(1.0 - lambda);
    const int64_t w = (int64_t)(reach * (double)view->W), h = (int64_t)(reach * (double)view->H);
    const int64_t x = lk_dice_below(dice, view->W), y = lk_dice_below(dice, view->H);

    out->left = clamp(x - w, view->W), out->right = clamp(x + w, view->W);
    out->top = clamp(y - h, view->H), out->bottom = clamp(y + h, view->H);
    const double taken = (double)((out->right - out->left) * (out->bottom - out->top));
    out->own = (float)(1.0 - taken / (double)(view->W * view->H));
    out->other = (float)(taken / (double)(view->W * view->H));
}

/* Places of a list's two; -1: it has none. */
static void find(const lk_transform_list *list, int *mixup, int *cutmix)
{
    *mixup = *cutmix = -1;
    for (unsigned i = 0; i < list->n; i++) {
        if (list->transform[i].kind == LK_TRANSFORM_MIXUP) *mixup = (int)i;
        if (list->transform[i].kind == LK_TRANSFORM_CUTMIX) *cutmix = (int)i;
    }
}

bool lk_view_mixes(const lk_view *view)
{
    int mixup, cutmix;

    find(&view->list, &mixup, &cutmix);
    return mixup >= 0 || cutmix >= 0;
}

void lk_mixing_draw(const lk_view *view, const lk_draw *draw, int64_t index, lk_mixing *out)
{
    int mixup, cutmix;

    find(&view->list, &mixup, &cutmix);
    const int first = mixup >= 0 ? mixup : cutmix;
    lk_dice dice = {.key = lk_philox_key_new(draw->seed, LK_PURPOSE_AUGMENT, (uint32_t)draw->epoch),
                    .counter = {(uint32_t)index, (uint32_t)((uint64_t)index >> 32), (uint32_t)first, OF_BATCHES}};
    *out = (lk_mixing){.cuts = mixup < 0 || (cutmix >= 0 && lk_dice_happens(&dice, 0.5))};
    const double lambda = beta_draw(view->list.transform[out->cuts ? cutmix : mixup].alpha, &dice);
    out->own = (float)lambda;
    out->other = (float)(1.0 - lambda);
    if (out->cuts) draw_box(view, lambda, &dice, out);
}

/* ----------------------------------------------------------------------- lanes */

static void mix(const lk_mixing *m, const float *before, float *own, size_t n)
{
    for (size_t i = 0; i < n; i++) own[i] = before[i] * m->other + own[i] * m->own;
}

static void cut(const lk_mixing *m, const lk_field *x, const char *before, char *own)
{
    const size_t pixel = (size_t)x->shape[2] * lk_dtype_size(x->dtype);

    for (int64_t h = m->top; h < m->bottom; h++) {
        const size_t at = (size_t)(h * x->shape[1] + m->left) * pixel;
        memcpy(own + at, before + at, (size_t)(m->right - m->left) * pixel);
    }
}

static void mix_samples(const lk_dataset *d, const lk_mixing *m, int f, const char *before, char *own)
{
    const lk_field *field = &d->sample.field[f];

    if (f == d->x_field && m->cuts) cut(m, field, before, own);
    else mix(m, (const float *)(const void *)before, (float *)(void *)own, lk_field_n_elem(field, 0));
}

/* From the last sample on, for each needs the one before as it was. */
void lk_dataset_mix(const lk_dataset *d, const lk_mixing *m, int64_t n, void *const field[], void *const front[])
{
    assert(d->n_fields == 0); /* images have a label, and no further fields */
    for (int f = 0; f < d->sample.n_fields; f++) {
        const size_t nbytes = lk_field_nbytes(&d->sample.field[f], 0);
        char *samples = field[f];

        for (int64_t i = n - 1; samples && i >= 0; i--)
            mix_samples(d, m, f, i > 0 ? samples + (size_t)(i - 1) * nbytes : front[f], samples + (size_t)i * nbytes);
    }
}
