/* Transforms: what they do to pixels, and that chance depends on (seed, epoch, sample) alone. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "io/data/transforms.h"

enum { H = 3, W = 4, C = 2, N = H * W * C };

static const lk_picture shape = {H, W, C};

static void ramp(uint8_t picture[N])
{
    for (int i = 0; i < N; i++) picture[i] = (uint8_t)(i + 1);
}

static const uint8_t *apply(lk_transform_spec *specs, unsigned n, const lk_draw *draw, int64_t sample,
                            const uint8_t *from)
{
    static uint8_t a[N], b[N];
    const lk_transform_list list = {specs, n};
    return lk_transforms_apply(&list, draw, sample, &shape, from, (void *const[]){a, b});
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
    lk_transform_spec normal = {.kind = LK_TRANSFORM_NORMALIZE, .mean = &mean, .std = &std, .n_mean = 1, .n_std = 1};
    const lk_transform_list list = {&normal, 1}, none = {NULL, 0};
    const lk_draw draw = {.train = true};
    uint8_t from[N] = {0};

    cr_expect_eq(apply(&normal, 1, &draw, 0, from), from);
    cr_expect_not(lk_transforms_move(&list));
    cr_expect_eq(lk_transforms_normalize(&list), &normal);
    cr_expect_null(lk_transforms_normalize(&none));
}
