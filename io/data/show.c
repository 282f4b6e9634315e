/* What a sample of images looks like to the eye, once it is what the model reads. */
#include <math.h>

#include "io/data/data.h"

/* Bytes as they are; numbers back by way of the normalize that made them, or by what is smallest and largest. */
typedef struct eye {
    const lk_view *view;
    bool of_bytes, as_bytes, stretched;
    float low, high;
} eye;

static float seen(const eye *e, const void *x, size_t i, size_t c)
{
    const lk_view *view = e->view;

    if (e->of_bytes) return (float)((const uint8_t *)x)[i];
    const float v = ((const float *)x)[i];
    if (e->stretched) return (v - e->low) / (e->high > e->low ? e->high - e->low : 1.0f) * UINT8_MAX;
    if (e->as_bytes) return v;
    return (v * view->std[view->n_scales > 1 ? c : 0] + view->mean[view->n_scales > 1 ? c : 0]) * UINT8_MAX;
}

static void find_range(const float *x, size_t n, eye *e)
{
    e->low = INFINITY, e->high = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        e->low = fminf(e->low, x[i]);
        e->high = fmaxf(e->high, x[i]);
    }
}

void lk_dataset_show(const lk_dataset *d, const void *x, uint8_t *rgb)
{
    const lk_view *view = &d->view[true];
    const size_t n_pixels = (size_t)(view->H * view->W), C = view->C;
    eye e = {.view = view, .of_bytes = d->sample.field[d->x_field].dtype == LK_DTYPE_U8};

    e.as_bytes = view->n_scales == 0 && d->bytes;
    e.stretched = view->n_scales == 0 && !d->bytes;
    if (e.stretched) find_range(x, n_pixels * C, &e);
    for (size_t p = 0; p < n_pixels; p++)
        for (size_t k = 0; k < 3; k++) {
            const size_t c = C < 3 ? 0 : k;
            rgb[p * 3 + k] = (uint8_t)rintf(fmaxf(0.0f, fminf(seen(&e, x, p * C + c, c), UINT8_MAX)));
        }
}
