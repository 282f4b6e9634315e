/* Floats as bf16: the nearest, by arithmetic that knows no bits, and exact in 16 bits. */
#include "dist/reduce/bf16.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { KEPT = 8, N = 100000 };

static float rounded(float value)
{
    lk_bf16_round(&value, 1);
    return value;
}

Test(bf16, is_the_nearest_with_ties_to_even)
{
    srand(1);
    for (int i = 0; i < N; i++) {
        int exponent;
        const float value = ldexpf((float)rand() / (float)RAND_MAX - 0.5f, rand() % 200 - 100);

        frexpf(value, &exponent);
        const float want = ldexpf(rintf(ldexpf(value, KEPT - exponent)), exponent - KEPT);
        cr_assert_eq(rounded(value), want, "%.9g: got %.9g, want %.9g", (double)value, (double)rounded(value),
                     (double)want);
    }
    cr_expect_eq(rounded(1.0f + 0x1p-8f), 1.0f, "a tie goes to the even one, below");
    cr_expect_eq(rounded(1.0f + 3 * 0x1p-8f), 1.0f + 0x1p-6f, "and above");
}

Test(bf16, what_is_not_finite_stays_so)
{
    const uint32_t bits = 0x7f800001u; /* a NaN by its last bit alone */
    float hidden;

    memcpy(&hidden, &bits, sizeof hidden);
    cr_expect(isnan(rounded(NAN)) && isnan(rounded(-NAN)) && isnan(rounded(hidden)));
    cr_expect_eq(rounded(INFINITY), INFINITY);
    cr_expect_eq(rounded(-INFINITY), -INFINITY);
    cr_expect_eq(rounded(FLT_MAX), INFINITY, "as addition would have it");
    cr_expect(signbit(rounded(-0.0f)) && rounded(-0.0f) == 0.0f);
}

Test(bf16, packs_without_loss)
{
    float value[] = {1.0f, -3.25f, 1e-40f, 0.1f, INFINITY}, back[sizeof value / sizeof *value];
    uint16_t packed[sizeof value / sizeof *value];
    const size_t n = sizeof value / sizeof *value;

    lk_bf16_round(value, n);
    lk_bf16_pack(packed, value, n);
    lk_bf16_unpack(back, packed, n);
    for (size_t i = 0; i < n; i++)
        cr_expect(memcmp(&back[i], &value[i], sizeof *back) == 0, "%.9g came back as %.9g", (double)value[i],
                  (double)back[i]);
}
