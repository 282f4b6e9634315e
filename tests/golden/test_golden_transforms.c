/*
 * Transforms of bytes against torchvision's, bit for bit: geometry, resizing, colours.
 *
 * transforms.json holds what torchvision makes of pictures that are a formula (make_transforms.py).
 */
#include <string.h>

#include "io/data/transforms/colour.h"
#include "io/data/transforms/warp.h"
#include "tests/support/golden.h"

enum { MOST_BYTES = 1 << 14 };

static int64_t whole(const json_t *item, const char *key, size_t i)
{
    return json_integer_value(json_array_get(json_object_get(item, key), i));
}

/* The picture that make_transforms.py calls picture(), dimmed, or flat. */
static lk_picture make_picture(const json_t *item, uint8_t bytes[MOST_BYTES])
{
    const int64_t H = whole(item, "shape", 0), W = whole(item, "shape", 1), C = whole(item, "shape", 2);
    const bool dim = json_object_get(item, "dim"), flat = json_object_get(item, "flat");
    int64_t i = 0;

    cr_assert_leq(H * W * C, MOST_BYTES);
    for (int64_t y = 0; y < H; y++)
        for (int64_t x = 0; x < W; x++)
            for (int64_t z = 0; z < C; z++, i++) {
                const int64_t noise = (y * 7919 + x * 104729 + z * 1299709 + x * y * 31) % 101;
                const int64_t v = (y * 9 + x * 5 + z * 60 + noise) % 256;
                bytes[i] = (uint8_t)(flat ? 90 : dim ? v / 3 + 20 : v);
            }
    return (lk_picture){.pixels = (char *)bytes, .row_nbytes = (size_t)(W * C), .H = H, .W = W, .C = C};
}

static void expect_picture(const json_t *item, const lk_picture *p, const char *what)
{
    const char *want = json_string_value(json_object_get(item, "want"));
    int64_t i = 0;

    cr_assert(p->H == whole(item, "made", 0) && p->W == whole(item, "made", 1), "%s: got %ld x %ld, want %ld x %ld",
              what, (long)p->H, (long)p->W, (long)whole(item, "made", 0), (long)whole(item, "made", 1));
    for (int64_t h = 0; h < p->H; h++)
        for (int64_t k = 0; k < p->W * p->C; k++, i++) {
            const int got = ((const uint8_t *)p->pixels)[(size_t)h * p->row_nbytes + (size_t)k];
            unsigned wanted;

            cr_assert_eq(sscanf(want + 2 * i, "%2x", &wanted), 1);
            cr_expect_eq(got, (int)wanted, "%s: row %ld, byte %ld: got %d, want %u", what, (long)h, (long)k,
                      got, wanted);
        }
}

/* ------------------------------------------------------------------------- what */

typedef lk_status make_fn(const json_t *item, lk_easel *easel, lk_picture *picture);

static double factor(const json_t *item) { return json_number_value(json_object_get(item, "factor")); }

static lk_transform_spec spec_of(const json_t *item)
{
    const json_t *size = json_object_get(item, "size"), *word = json_object_get(item, "interpolation");
    lk_transform_spec spec = {.p = 1, .n_size = (unsigned)json_array_size(size)};

    for (unsigned d = 0; d < spec.n_size; d++) spec.size[d] = whole(item, "size", d);
    if (word && strcmp(json_string_value(word), "nearest") == 0) spec.interpolation = LK_INTERPOLATION_NEAREST;
    return spec;
}

#define OF_SPEC(name)                                                                       \
    static lk_status name(const json_t *item, lk_easel *easel, lk_picture *picture)         \
    {                                                                                       \
        const lk_transform_spec spec = spec_of(item);                                       \
        return lk_##name(&spec, &(lk_dice){0}, easel, picture);                             \
    }
OF_SPEC(resize)
OF_SPEC(center_crop)
OF_SPEC(hflip)
OF_SPEC(vflip)

/* A change of the caller's own bytes. */
#define IN_PLACE(name, ...)                                                                 \
    static lk_status name(const json_t *item, lk_easel *easel, lk_picture *picture)         \
    {                                                                                       \
        (void)item;                                                                         \
        LK_TRY(lk_easel_own(easel, picture));                                               \
        lk_##name(picture __VA_ARGS__);                                                     \
        return LK_OK;                                                                       \
    }
IN_PLACE(adjust_brightness, , factor(item))
IN_PLACE(adjust_contrast, , factor(item))
IN_PLACE(adjust_saturation, , factor(item))
IN_PLACE(adjust_hue, , factor(item))
IN_PLACE(posterize, , (int)factor(item))
IN_PLACE(solarize, , (float)factor(item))
IN_PLACE(autocontrast)
IN_PLACE(equalize)

#define MADE_ANEW(name, call)                                                               \
    static lk_status name(const json_t *item, lk_easel *easel, lk_picture *picture) { return call; }
MADE_ANEW(sharpness, lk_adjust_sharpness(easel, picture, factor(item)))
MADE_ANEW(shear_x, lk_shear(easel, picture, factor(item), 0.0))
MADE_ANEW(shear_y, lk_shear(easel, picture, 0.0, factor(item)))
MADE_ANEW(translate_x, lk_shift(easel, picture, (int)factor(item), 0))
MADE_ANEW(translate_y, lk_shift(easel, picture, 0, (int)factor(item)))
MADE_ANEW(rotate, lk_rotate(easel, picture, factor(item)))

static const struct { const char *kind; make_fn *make; } kinds[] = {
    {"resize", resize}, {"center_crop", center_crop}, {"hflip", hflip}, {"vflip", vflip},
    {"brightness", adjust_brightness}, {"contrast", adjust_contrast},
    {"saturation", adjust_saturation}, {"hue", adjust_hue}, {"sharpness", sharpness},
    {"posterize", posterize}, {"solarize", solarize}, {"autocontrast", autocontrast},
    {"equalize", equalize}, {"shear_x", shear_x}, {"shear_y", shear_y}, {"translate_x", translate_x},
    {"translate_y", translate_y}, {"rotate", rotate},
};

/* ------------------------------------------------------------------------- test */

static void expect_case(const json_t *item, lk_easel *easel)
{
    const char *kind = json_string_value(json_object_get(item, "kind"));
    uint8_t bytes[MOST_BYTES] = {0}, before[MOST_BYTES];
    lk_picture picture = make_picture(item, bytes);
    char what[128];
    size_t k = 0;

    memcpy(before, bytes, sizeof bytes);
    while (k < sizeof kinds / sizeof *kinds && strcmp(kinds[k].kind, kind) != 0) k++;
    cr_assert_lt(k, sizeof kinds / sizeof *kinds, "nothing makes %s", kind);
    snprintf(what, sizeof what, "%s of %ld x %ld x %ld by %g", kind, (long)picture.H, (long)picture.W,
             (long)picture.C, factor(item));
    cr_assert_eq(kinds[k].make(item, easel, &picture), LK_OK, "%s: %s", what, lk_error_message());
    expect_picture(item, &picture, what);
    cr_expect_eq(memcmp(before, bytes, sizeof bytes), 0, "%s wrote to the data set's picture", what);
}

/* One easel for all, as a loader's thread has: what is left on it must not show. */
Test(golden_transforms, pictures_are_torchvisions)
{
    json_t *file = golden_load("transforms.json"), *item;
    lk_easel easel = {0};
    size_t i;

    json_array_foreach(file, i, item) expect_case(item, &easel);
    cr_expect_gt(i, 100, "only %zu cases", i);
    lk_easel_clear(&easel);
    json_decref(file);
}
