/* Transforms: what they do to pixels, and that chance depends on (seed, epoch, sample) alone. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/data/transforms/transforms.h"

enum { H = 3, W = 4, C = 2, N = H * W * C };

static void ramp(uint8_t picture[N])
{
    for (int i = 0; i < N; i++) picture[i] = (uint8_t)(i + 1);
}

static lk_picture picture_of(const void *pixels, int64_t h, int64_t w, int64_t c, bool floats)
{
    lk_picture picture = {.pixels = pixels, .H = h, .W = w, .C = c, .floats = floats};
    picture.row_nbytes = (size_t)w * lk_pixel_nbytes(&picture);
    return picture;
}

/* Pixels row by row, until the next call. */
static const void *pixels_of(const lk_picture *picture)
{
    enum { ROOM = 1 << 16 };
    static char pixels[ROOM];
    const size_t row_nbytes = (size_t)picture->W * lk_pixel_nbytes(picture);
    cr_assert_leq((size_t)picture->H * row_nbytes, ROOM);
    for (int64_t h = 0; h < picture->H; h++)
        memcpy(pixels + (size_t)h * row_nbytes, picture->pixels + (size_t)h * picture->row_nbytes, row_nbytes);
    return pixels;
}

static lk_picture apply_to(lk_picture picture, lk_transform_spec *specs, unsigned n, const lk_draw *draw,
                           int64_t sample)
{
    static lk_easel easel;
    const lk_transform_list list = {specs, n};
    cr_assert_eq(lk_transforms_apply(&list, 0, n, draw, sample, &easel, &picture), LK_OK, "%s", lk_error_message());
    return picture;
}

static const uint8_t *apply(lk_transform_spec *specs, unsigned n, const lk_draw *draw, int64_t sample,
                            const uint8_t *from)
{
    const lk_picture made = apply_to(picture_of(from, H, W, C, false), specs, n, draw, sample);
    cr_assert(made.H == H && made.W == W && made.C == C);
    return pixels_of(&made);
}

Test(transforms, hflip_mirrors_with_its_probability)
{
    enum { DRAWS = 4000 };
    lk_transform_spec flip = {.kind = LK_TRANSFORM_HFLIP, .p = 0.25};
    const lk_draw draw = {.seed = 1, .epoch = 3, .train = true};
    uint8_t from[N] = {0}, mirrored[N];
    int flipped = 0;
    ramp(from);
    for (int h = 0; h < H; h++)
        for (int w = 0; w < W; w++) memcpy(mirrored + (h * W + w) * C, from + (h * W + W - 1 - w) * C, C);

    for (int64_t sample = 0; sample < DRAWS; sample++) {
        const uint8_t *to = apply(&flip, 1, &draw, sample, from);
        const bool is = memcmp(to, mirrored, N) == 0;
        cr_assert(is || memcmp(to, from, N) == 0, "sample %lld is neither", (long long)sample);
        flipped += is;
    }
    /* 1000 expected; five deviations are 137. */
    cr_expect(abs(flipped - DRAWS / 4) < 137, "%d of %d are mirrored", flipped, DRAWS);
    flip.p = 1;
    cr_expect_eq(memcmp(apply(&flip, 1, &draw, 0, from), mirrored, N), 0);
    flip.p = 0;
    cr_expect_eq(memcmp(apply(&flip, 1, &draw, 0, from), from, N), 0);
}

/* Every result is the picture moved by (down, right), with zeros behind; all places occur, about equally often. */
Test(transforms, random_crop_moves_the_picture_in_a_frame_of_zeros)
{
    enum { PADDING = 2, PLACES = 2 * PADDING + 1, DRAWS = 5000 };
    lk_transform_spec crop = {.kind = LK_TRANSFORM_RANDOM_CROP, .padding = PADDING};
    const lk_draw draw = {.seed = 1, .epoch = 0, .train = true};
    uint8_t from[N] = {0};
    int seen[PLACES][PLACES] = {0};
    ramp(from);

    for (int64_t sample = 0; sample < DRAWS; sample++) {
        const uint8_t *to = apply(&crop, 1, &draw, sample, from);
        int matches = 0;
        for (int down = -PADDING; down <= PADDING; down++)
            for (int right = -PADDING; right <= PADDING; right++) {
                bool same = true;
                for (int h = 0; h < H; h++)
                    for (int w = 0; w < W; w++) {
                        const bool inside = h + down >= 0 && h + down < H && w + right >= 0 && w + right < W;
                        const int want = inside ? from[((h + down) * W + w + right) * C] : 0;
                        same &= to[(h * W + w) * C] == want;
                    }
                matches += same;
                seen[down + PADDING][right + PADDING] += same;
            }
        cr_assert_eq(matches, 1, "sample %lld is %d crops", (long long)sample, matches);
    }
    /* 200 expected each; five deviations are 69. */
    for (int i = 0; i < PLACES * PLACES; i++)
        cr_expect(abs(seen[i / PLACES][i % PLACES] - DRAWS / 25) < 69, "place %d: %d times", i,
                  seen[i / PLACES][i % PLACES]);
}

Test(transforms, chance_is_a_function_of_seed_epoch_and_sample)
{
    lk_transform_spec both[] = {{.kind = LK_TRANSFORM_RANDOM_CROP, .padding = 3},
                                {.kind = LK_TRANSFORM_HFLIP, .p = 0.5}};
    const lk_draw draw = {.seed = 1, .epoch = 1, .train = true};
    const struct { lk_draw draw; int64_t sample; } others[] = {
        {{2, 1, true}, 0}, {{1, 2, true}, 0}, {{1, 1, true}, 1}, {{1, 1, true}, INT64_C(1) << 32}};
    uint8_t from[N] = {0}, first[40][N];
    ramp(from);

    for (int i = 0; i < 40; i++) memcpy(first[i], apply(both, 2, &draw, i * 7, from), N);
    for (int i = 39; i >= 0; i--) cr_assert_eq(memcmp(first[i], apply(both, 2, &draw, i * 7, from), N), 0);
    for (size_t o = 0; o < sizeof others / sizeof *others; o++) {
        int differ = 0;
        for (int i = 0; i < 40; i++)
            differ += memcmp(first[i], apply(both, 2, &others[o].draw, others[o].sample + i * 7, from), N) != 0;
        cr_expect_gt(differ, 30, "draw %zu: only %d of 40 differ", o, differ);
    }
}

Test(transforms, normalize_moves_no_pixel)
{
    double mean = 0.5, std = 0.25;
    lk_transform_spec list[] = {{.kind = LK_TRANSFORM_HFLIP, .p = 0},
                                {.kind = LK_TRANSFORM_NORMALIZE, .mean = &mean, .std = &std, .n_mean = 1, .n_std = 1}};
    const lk_draw draw = {.train = true};
    uint8_t from[N] = {0};
    const lk_picture picture = picture_of(from, H, W, C, false);

    cr_expect_eq(apply_to(picture, list, 2, &draw, 0).pixels, (char *)from);
    cr_expect_eq(lk_transforms_normalize(&(lk_transform_list){list, 2}), 1);
    cr_expect_eq(lk_transforms_normalize(&(lk_transform_list){list, 1}), 1);
}

/* ----------------------------------------------------------------- windows */

enum { TALL = 40, WIDE = 60 };

/* Pixel (h, w) holds h and w. */
static lk_picture places(void)
{
    static uint8_t pixels[TALL * WIDE * 2];
    for (int h = 0; h < TALL; h++)
        for (int w = 0; w < WIDE; w++) {
            pixels[(h * WIDE + w) * 2] = (uint8_t)h;
            pixels[(h * WIDE + w) * 2 + 1] = (uint8_t)w;
        }
    return picture_of(pixels, TALL, WIDE, 2, false);
}

/* A window keeps its pixels together, and every place is as likely as any other. */
Test(transforms, random_crop_of_a_size_takes_a_window)
{
    enum { DRAWS = 2000, SIZE_H = 38, SIZE_W = 58 };
    lk_transform_spec crop = {.kind = LK_TRANSFORM_RANDOM_CROP, .size = {SIZE_H, SIZE_W}, .n_size = 2};
    const lk_draw draw = {.seed = 4};
    int seen[3][3] = {0};

    for (int64_t sample = 0; sample < DRAWS; sample++) {
        const lk_picture made = apply_to(places(), &crop, 1, &draw, sample);
        const uint8_t *pixels = pixels_of(&made);
        cr_assert(made.H == SIZE_H && made.W == SIZE_W);
        cr_assert(pixels[0] < 3 && pixels[1] < 3, "begins at %d, %d", pixels[0], pixels[1]);
        seen[pixels[0]][pixels[1]]++;
        const uint8_t *last = pixels + (SIZE_H * SIZE_W - 1) * 2;
        cr_assert(last[0] == pixels[0] + SIZE_H - 1 && last[1] == pixels[1] + SIZE_W - 1);
    }
    /* 222 expected each; five deviations are 70. */
    for (int i = 0; i < 9; i++)
        cr_expect(abs(seen[i / 3][i % 3] - DRAWS / 9) < 70, "place %d: %d times", i, seen[i / 3][i % 3]);
}

Test(transforms, random_crop_needs_a_picture_as_large)
{
    lk_transform_spec crop = {.kind = LK_TRANSFORM_RANDOM_CROP, .size = {TALL + 3}, .n_size = 1, .padding = 1};
    const lk_transform_list list = {&crop, 1};
    int64_t h = TALL, w = WIDE;
    lk_picture picture = places();
    lk_easel easel = {0};

    cr_expect_eq(lk_transforms_size(&list, &h, &w), LK_ERR_USAGE);
    cr_expect_str_eq(lk_error_message(), "data.transforms: random_crop of 43 x 43 from a picture that is 42 x 62 with "
                                         "its padding; resize it first, or give it more padding");
    cr_expect_eq(lk_transforms_apply(&list, 0, 1, &(lk_draw){0}, 0, &easel, &picture), LK_ERR_USAGE);
    h = w = 0;
    cr_expect_eq(lk_transforms_size(&list, &h, &w), LK_OK);
    cr_expect(h == TALL + 3 && w == TALL + 3, "got %ld x %ld", (long)h, (long)w);
}

/* What nearest takes of a window are its first row and column, and, all sizes known, where it ends. */
Test(transforms, random_resized_crop_has_the_areas_and_ratios_it_is_given)
{
    enum { DRAWS = 3000 };
    lk_transform_spec crop = {.kind = LK_TRANSFORM_RANDOM_RESIZED_CROP, .size = {120, 120}, .n_size = 1,
                              .interpolation = LK_INTERPOLATION_NEAREST, .scale = {0.25, 0.5}, .ratio = {0.5, 2.0}};
    const lk_draw draw = {.seed = 8};
    double areas = 0.0, logs = 0.0, least = 1.0, most = 0.0;

    for (int64_t sample = 0; sample < DRAWS; sample++) {
        const lk_picture made = apply_to(places(), &crop, 1, &draw, sample);
        const uint8_t *pixels = pixels_of(&made), *last = pixels + (120 * 120 - 1) * 2;
        const double h = last[0] - pixels[0] + 1, w = last[1] - pixels[1] + 1;
        const double area = h * w / (TALL * WIDE), ratio = w / h;
        cr_assert(made.H == 120 && made.W == 120);
        /* Half a pixel of rounding on sides of 17 at least. */
        cr_assert(area > 0.25 * 0.94 && area < 0.5 * 1.06, "sample %ld: area %g", (long)sample, area);
        cr_assert(ratio > 0.5 * 0.94 && ratio < 2.0 * 1.06, "sample %ld: ratio %g", (long)sample, ratio);
        areas += area / DRAWS, logs += log(ratio) / DRAWS;
        least = fmin(least, area), most = fmax(most, area);
    }
    cr_expect(fabs(areas - 0.375) < 0.01, "mean area %g, want 0.375", areas);
    cr_expect(fabs(logs) < 0.05, "mean logarithm of ratios %g, want 0", logs);
    cr_expect(least < 0.27 && most > 0.48, "areas from %g to %g", least, most);
}

Test(transforms, a_window_that_never_fits_is_the_middle)
{
    lk_transform_spec crop = {.kind = LK_TRANSFORM_RANDOM_RESIZED_CROP, .size = {30, 20}, .n_size = 2,
                              .interpolation = LK_INTERPOLATION_NEAREST, .scale = {1.0, 1.0}, .ratio = {0.5, 0.5}};
    const lk_picture made = apply_to(places(), &crop, 1, &(lk_draw){0}, 0);
    const uint8_t *pixels = pixels_of(&made);

    /* 40 rows, and half as many columns: 20 from the 20th on. */
    cr_expect(pixels[0] == 0 && pixels[1] == 20, "begins at %d, %d", pixels[0], pixels[1]);
    cr_expect_eq(pixels[19 * 2 + 1], 39, "ends at column %d", pixels[19 * 2 + 1]);
}

/* --------------------------------------------------------- sizes along lists */

Test(transforms, sizes_are_known_along_a_list)
{
    lk_transform_spec shorter = {.kind = LK_TRANSFORM_RESIZE, .size = {256}, .n_size = 1};
    lk_transform_spec both = {.kind = LK_TRANSFORM_RESIZE, .size = {30, 50}, .n_size = 2};
    lk_transform_spec crop = {.kind = LK_TRANSFORM_CENTER_CROP, .size = {224}, .n_size = 1};
    const struct { lk_transform_spec list[2]; unsigned n; int64_t from[2], to[2]; } cases[] = {
        {{shorter}, 1, {375, 500}, {256, 341}}, {{shorter}, 1, {500, 375}, {341, 256}},
        {{shorter}, 1, {0, 0}, {0, 0}},         {{shorter, crop}, 2, {0, 0}, {224, 224}},
        {{both}, 1, {0, 0}, {30, 50}},          {{both, crop}, 2, {7, 9}, {224, 224}},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const lk_transform_list list = {(lk_transform_spec *)cases[i].list, cases[i].n};
        int64_t h = cases[i].from[0], w = cases[i].from[1];
        cr_assert_eq(lk_transforms_size(&list, &h, &w), LK_OK);
        cr_expect(h == cases[i].to[0] && w == cases[i].to[1], "case %zu: got %ld x %ld", i, (long)h, (long)w);
    }
}

/* Floats that are bytes' values come out as bytes do, but for rounding. */
Test(transforms, floats_are_resized_as_bytes_are)
{
    float floats[TALL * WIDE * 2];
    const lk_picture bytes = places(), as_floats = picture_of(floats, TALL, WIDE, 2, true);
    lk_transform_spec list[] = {{.kind = LK_TRANSFORM_RESIZE, .size = {17, 70}, .n_size = 2},
                                {.kind = LK_TRANSFORM_HFLIP, .p = 1},
                                {.kind = LK_TRANSFORM_CENTER_CROP, .size = {20, 60}, .n_size = 2}};
    enum { PIXELS = 20 * 60 };
    uint8_t want[PIXELS * 2];

    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++) floats[i] = ((const uint8_t *)bytes.pixels)[i];
    const lk_picture made = apply_to(bytes, list, 3, &(lk_draw){0}, 0);
    memcpy(want, pixels_of(&made), sizeof want);
    const lk_picture got = apply_to(as_floats, list, 3, &(lk_draw){0}, 0);
    const float *pixels = pixels_of(&got);
    /* Two roundings to whole numbers. */
    for (int i = 0; i < PIXELS * 2; i++)
        cr_expect(fabsf(pixels[i] - want[i]) <= 1.01f, "number %d: got %g, want %d", i, (double)pixels[i], want[i]);
}

/* -------------------------------------------------------------------- values */

/* A rectangle within its range of areas, of one value, about as often as said. */
Test(transforms, random_erasing_erases_a_rectangle)
{
    enum { DRAWS = 2000 };
    lk_transform_spec erase = {.kind = LK_TRANSFORM_RANDOM_ERASING, .p = 0.25, .scale = {0.1, 0.2}, .ratio = {0.5, 2.0},
                               .value = {200, 100}, .n_value = 2};
    int erased = 0;

    for (int64_t sample = 0; sample < DRAWS; sample++) {
        const lk_picture made = apply_to(places(), &erase, 1, &(lk_draw){.seed = 2}, sample);
        const uint8_t *pixels = pixels_of(&made);
        int top = TALL, left = WIDE, bottom = 0, right = 0, n = 0;
        for (int h = 0; h < TALL; h++)
            for (int w = 0; w < WIDE; w++) {
                const uint8_t *p = pixels + (h * WIDE + w) * 2;
                if (p[0] == h && p[1] == w) continue;
                cr_assert(p[0] == 200 && p[1] == 100, "(%d, %d) holds %d, %d", h, w, p[0], p[1]);
                top = h < top ? h : top, bottom = h + 1 > bottom ? h + 1 : bottom;
                left = w < left ? w : left, right = w + 1 > right ? w + 1 : right;
                n++;
            }
        if (n == 0) continue;
        erased++;
        cr_assert_eq(n, (bottom - top) * (right - left), "sample %ld: no rectangle", (long)sample);
        cr_assert(n > 0.1 * 0.93 * TALL * WIDE && n < 0.2 * 1.07 * TALL * WIDE, "%d pixels", n);
    }
    /* 500 expected; five deviations are 97. */
    cr_expect(abs(erased - DRAWS / 4) < 97, "%d of %d erased", erased, DRAWS);
}

Test(transforms, random_erasing_sets_numbers_too)
{
    float from[TALL * WIDE * 2] = {0};
    lk_transform_spec erase = {.kind = LK_TRANSFORM_RANDOM_ERASING, .p = 1, .scale = {0.1, 0.2}, .ratio = {0.5, 2.0},
                               .value = {-0.5}, .n_value = 1};
    const lk_picture made = apply_to(picture_of(from, TALL, WIDE, 2, true), &erase, 1, &(lk_draw){.seed = 2}, 1);
    const float *pixels = pixels_of(&made);
    int n = 0;

    for (int i = 0; i < TALL * WIDE * 2; i++) {
        cr_assert(pixels[i] == 0.0f || pixels[i] == -0.5f, "%g", (double)pixels[i]);
        n += pixels[i] != 0.0f;
    }
    cr_expect_gt(n, 0.1 * 0.93 * TALL * WIDE * 2);
}

/* Of a grey picture every one of the four but hue and saturation is one factor: the bytes tell it. */
Test(transforms, color_jitter_draws_its_factors_from_their_ranges)
{
    enum { DRAWS = 2000 };
    uint8_t grey[3] = {100, 100, 100};
    const struct { lk_jitter range; int low, high; } cases[] = {
        {{{0.5}, 1}, 50, 150}, {{{1.5}, 1}, 0, 250}, {{{1.1, 1.3}, 2}, 110, 130}};

    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        lk_transform_spec jitter = {.kind = LK_TRANSFORM_COLOR_JITTER, .brightness = cases[k].range};
        const int low = cases[k].low, high = cases[k].high;
        int least = 255, most = 0;
        double mean = 0.0;
        for (int64_t sample = 0; sample < DRAWS; sample++) {
            const lk_picture made = apply_to(picture_of(grey, 1, 1, 3, false), &jitter, 1, &(lk_draw){0}, sample);
            const int v = *(const uint8_t *)pixels_of(&made);
            cr_assert(v >= low && v <= high, "case %zu: %d is not from %d to %d", k, v, low, high);
            least = v < least ? v : least, most = v > most ? v : most;
            mean += (double)v / DRAWS;
        }
        cr_expect(least < low + 3 && most > high - 3, "case %zu: from %d to %d", k, least, most);
        /* Cut to whole numbers: half a level less; five deviations of the widest range's mean are 8. */
        cr_expect(fabs(mean - (low + high) / 2.0 + 0.5) < 9, "case %zu: mean %g", k, mean);
    }
    cr_expect(grey[0] == 100 && grey[1] == 100 && grey[2] == 100, "the data set's picture was written to");
}

/* Brightness and contrast do not commute: both orders occur. */
Test(transforms, color_jitter_goes_in_any_order)
{
    enum { DRAWS = 400 };
    uint8_t pixels[6] = {20, 20, 20, 200, 200, 200};
    lk_transform_spec jitter = {.kind = LK_TRANSFORM_COLOR_JITTER, .brightness = {{2.0, 2.0}, 2},
                                .contrast = {{0.5, 0.5}, 2}};
    int first = 0, second = 0;

    for (int64_t sample = 0; sample < DRAWS; sample++) {
        const lk_picture made = apply_to(picture_of(pixels, 1, 2, 3, false), &jitter, 1, &(lk_draw){0}, sample);
        const int v = *(const uint8_t *)pixels_of(&made);
        /* 40 and 255, mean grey (39 + 254) / 2; or 65 and 155, doubled (grey of v is v - 1). */
        first += v == 93, second += v == 129 || v == 128;
        cr_assert(v == 93 || v == 128 || v == 129, "got %d", v);
    }
    /* 200 expected; five deviations are 50. */
    cr_expect(abs(first - DRAWS / 2) < 50, "brightness first %d, contrast first %d times", first, second);
}

/* Of fourteen changes four keep this picture (identity, and at magnitude 0 others): most are another, few alike. */
Test(transforms, trivial_augment_makes_many_pictures_and_keeps_their_size)
{
    enum { DRAWS = 500, BYTES = TALL * WIDE * 3 };
    static uint8_t from[BYTES], seen[DRAWS][BYTES];
    lk_transform_spec trivial = {.kind = LK_TRANSFORM_TRIVIAL_AUGMENT};
    int same = 0, distinct = 0;

    for (int i = 0; i < BYTES; i++) from[i] = (uint8_t)(i * 37 % 251 / 2 + 30);
    for (int64_t sample = 0; sample < DRAWS; sample++) {
        const lk_picture made = apply_to(picture_of(from, TALL, WIDE, 3, false), &trivial, 1, &(lk_draw){0}, sample);
        bool new = true;
        cr_assert(made.H == TALL && made.W == WIDE && made.C == 3);
        memcpy(seen[sample], pixels_of(&made), BYTES);
        for (int64_t i = 0; i < sample && new; i++) new = memcmp(seen[i], seen[sample], BYTES) != 0;
        same += memcmp(from, seen[sample], BYTES) == 0;
        distinct += new;
    }
    /* 1/14 for identity, and 1/31 of the others, of posterize and solarize more. */
    cr_expect(same > DRAWS / 20 && same < DRAWS / 5, "%d of %d are unchanged", same, DRAWS);
    cr_expect_gt(distinct, 200, "only %d distinct pictures", distinct);
}
