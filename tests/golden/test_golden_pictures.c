/* Pictures of each kind have Pillow's pixels, every one: the values, and the pictures, are make_pictures.py's. */
#include "io/file/raster.h"
#include "tests/support/golden.h"

#include <string.h>

static unsigned hex_byte(const char *text)
{
    unsigned byte;

    cr_assert_eq(sscanf(text, "%2x", &byte), 1);
    return byte;
}

static void expect_pixels(const char *name, json_t *want, lk_raster *r)
{
    const char *rgb = json_string_value(json_object_get(want, "rgb"));
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/tests/fuzz/pictures/%s", LK_SOURCE_DIR, name);
    cr_assert_eq(lk_raster_read(path, r), LK_OK, "%s", lk_error_message());
    cr_assert_eq(r->H, json_integer_value(json_object_get(want, "H")), "%s", name);
    cr_assert_eq(r->W, json_integer_value(json_object_get(want, "W")), "%s", name);
    const size_t n = (size_t)(r->H * r->W * r->C);
    cr_assert_eq(strlen(rgb), 2 * n, "%s", name);
    for (size_t i = 0; i < n; i++)
        cr_assert_eq(r->bytes[i], hex_byte(rgb + 2 * i), "%s: byte %zu: got %u, want %u", name, i, r->bytes[i],
                     hex_byte(rgb + 2 * i));
}

Test(golden_pictures, pixels_are_pillows)
{
    json_t *golden = golden_load("pictures.json"), *pictures = json_object_get(golden, "pictures"), *want;
    lk_raster raster = {0};
    const char *name;

    cr_assert_geq(json_object_size(pictures), 11);
    json_object_foreach(pictures, name, want) expect_pixels(name, want, &raster);
    lk_raster_clear(&raster);
    json_decref(golden);
}
