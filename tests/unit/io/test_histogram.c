/* Histograms for TensorBoard: its limits, each finite value in the bucket that holds it, runs of empty buckets as
 * one. */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "engine/engine.h"
#include "io/log/histogram.h"

static lk_histogram h;

static double in_bucket(size_t i, const float *values, size_t n)
{
    const double low = i ? h.limit[i - 1] : -INFINITY;
    double count = 0;

    for (size_t k = 0; k < n; k++) count += isfinite(values[k]) && values[k] >= low && values[k] < h.limit[i];
    return count;
}

static void expect_right(const float *values, size_t n)
{
    double total = 0;

    lk_histogram_fill(values, n, &h);
    for (size_t i = 0; i < h.n; i++) {
        cr_expect_eq(h.count[i], in_bucket(i, values, n), "bucket %zu below %.9g: got %g values, want %g", i,
                     h.limit[i], h.count[i], in_bucket(i, values, n));
        if (i) cr_expect_gt(h.limit[i], h.limit[i - 1], "limit %zu does not rise", i);
        if (i) cr_expect(h.count[i] || h.count[i - 1], "buckets %zu and %zu are both empty", i - 1, i);
        total += h.count[i];
    }
    cr_expect_eq(total, h.num, "counts sum to %g, num is %g", total, h.num);
}

Test(histogram, each_value_is_in_the_bucket_that_holds_it)
{
    float values[3000];
    const lk_philox_key key = lk_philox_key_new(1, LK_PURPOSE_DATA, 0);

    for (int i = 0; i < 3000; i++) values[i] = (float)(lk_normal(key, (uint64_t)i) * pow(10.0, i % 40 - 20));
    values[7] = 0.0f;
    values[8] = -0.0f;
    values[9] = FLT_MAX;
    values[10] = -FLT_MAX;
    values[11] = FLT_TRUE_MIN;
    expect_right(values, 3000);
    cr_expect_eq(h.max, (double)FLT_MAX, "got %g", h.max);
    cr_expect_eq(h.min, (double)-FLT_MAX, "got %g", h.min);
}

/* Small integers: sums are exact. */
Test(histogram, sums_are_those_of_the_finite_values)
{
    const float values[] = {1, 2, -4, NAN, INFINITY, -INFINITY, 2};

    expect_right(values, sizeof values / sizeof *values);
    cr_expect_eq(h.num, 4, "got %g values, want 4", h.num);
    cr_expect_eq(h.sum, 1, "got sum %g, want 1", h.sum);
    cr_expect_eq(h.sum_squares, 25, "got sum of squares %g, want 25", h.sum_squares);
    cr_expect_eq(h.min, -4, "got least %g, want -4", h.min);
    cr_expect_eq(h.max, 2, "got largest %g, want 2", h.max);
}

/* TensorFlow's rule: 1e-12 times 1.1, multiplied up; a value that equals a limit belongs to the bucket above. */
Test(histogram, limits_are_tensorflow_s)
{
    double limit = 1e-12;

    for (int k = 0; k < 100; k++) limit *= 1.1;
    const float at = (float)limit, values[] = {at};
    lk_histogram_fill(values, 1, &h);
    cr_assert_eq(h.n, 3, "got %zu buckets, want the empty below, the value's and the empty above", h.n);
    const double below = (double)at < limit ? limit / 1.1 : limit;
    /* Dividing back is not the exact inverse of multiplying up. */
    cr_expect_float_eq(h.limit[0], below, 1e-15 * limit, "got %.17g, want %.17g", h.limit[0], below);
    cr_expect_float_eq(h.limit[1], below * 1.1, 1e-15 * limit, "got %.17g, want %.17g", h.limit[1], below * 1.1);
    cr_expect_eq(h.limit[2], DBL_MAX);
}

Test(histogram, of_nothing_is_one_empty_bucket)
{
    lk_histogram_fill(NULL, 0, &h);
    cr_expect_eq(h.n, 1, "got %zu buckets, want 1", h.n);
    cr_expect_eq(h.limit[0], DBL_MAX);
    cr_expect_eq(h.count[0], 0);
    cr_expect_eq(h.min, 0);
    cr_expect_eq(h.max, 0);
}
