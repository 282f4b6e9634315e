/*
 * Affine maps of pictures, nearest: shears, shifts and turns.  Output pixel (x, y), counted from the middle, is the
 * input's nearest to theta (x, y, 1), in fp32 as PyTorch's grid_sample counts; what lies outside is black.
 * Source: torchvision, _get_inverse_affine_matrix() and _affine_grid().
 */
#include "io/data/transforms/warp.h"

#include <math.h>
#include <string.h>

/* Where in the input (n pixels long) a place of its own, in halves of its length from the middle, lies. */
static float place(float at, int64_t n) { return (at + 1.0f) * ((float)n * 0.5f) - 0.5f; }

static void warp_row(const lk_picture *from, const float theta[2][3], int64_t h, int64_t H, char *to)
{
    const float y = (float)h - (float)(H - 1) * 0.5f;
    const size_t pixel = lk_pixel_nbytes(from);

    for (int64_t w = 0; w < from->W; w++, to += pixel) {
        const float x = (float)w - (float)(from->W - 1) * 0.5f;
        const float u = fmaf(y, theta[0][1], x * theta[0][0]) + theta[0][2];
        const float v = fmaf(y, theta[1][1], x * theta[1][0]) + theta[1][2];
        const float column = rintf(place(u, from->W)), row = rintf(place(v, from->H));

        if (column >= 0.0f && column < (float)from->W && row >= 0.0f && row < (float)from->H)
            memcpy(to, from->pixels + (size_t)row * from->row_nbytes + (size_t)column * pixel, pixel);
        else memset(to, 0, pixel);
    }
}

lk_status lk_warp(lk_easel *easel, lk_picture *picture, const double map[6])
{
    float theta[2][3];
    lk_picture made;

    for (int k = 0; k < 3; k++) {
        theta[0][k] = (float)map[k] / ((float)picture->W * 0.5f);
        theta[1][k] = (float)map[3 + k] / ((float)picture->H * 0.5f);
    }
    LK_TRY(lk_easel_paint(easel, picture, picture->H, picture->W, &made));
    for (int64_t h = 0; h < made.H; h++) warp_row(picture, theta, h, made.H, made.own + (size_t)h * made.row_nbytes);
    *picture = made;
    return LK_OK;
}

/* About the upper left corner. */
lk_status lk_shear(lk_easel *easel, lk_picture *picture, double across, double down)
{
    const double sx = tan(atan(across)), sy = tan(atan(down)); /* by way of the angle, as torchvision */
    const double cx = -0.5 * (double)picture->W, cy = -0.5 * (double)picture->H;
    const double d = 1.0 + sx * sy;
    const double map[6] = {d, sx, cx - d * cx - sx * cy, sy, 1.0, cy - sy * cx - cy};

    return lk_warp(easel, picture, map);
}

lk_status lk_shift(lk_easel *easel, lk_picture *picture, int right, int down)
{
    return lk_warp(easel, picture, (const double[6]){1.0, 0.0, -(double)right, 0.0, 1.0, -(double)down});
}

/* A quarter of a square picture, exactly. */
static lk_status turn_quarter(lk_easel *easel, lk_picture *picture, bool left)
{
    const size_t pixel = lk_pixel_nbytes(picture);
    const int64_t n = picture->H;
    lk_picture made;

    LK_TRY(lk_easel_paint(easel, picture, n, n, &made));
    for (int64_t h = 0; h < n; h++)
        for (int64_t w = 0; w < n; w++)
            memcpy(made.own + (size_t)h * made.row_nbytes + (size_t)w * pixel,
                   picture->pixels + (size_t)(left ? w : n - 1 - w) * picture->row_nbytes +
                       (size_t)(left ? n - 1 - h : h) * pixel, pixel);
    *picture = made;
    return LK_OK;
}

lk_status lk_rotate(lk_easel *easel, lk_picture *picture, double degrees)
{
    const double angle = -degrees * (M_PI / 180.0);

    if (degrees == 0.0) return LK_OK;
    if (fabs(degrees) == 90.0 && picture->H == picture->W) return turn_quarter(easel, picture, degrees > 0.0);
    return lk_warp(easel, picture,
                   (const double[6]){cos(angle), sin(angle), 0.0, -sin(angle), cos(angle), 0.0});
}
