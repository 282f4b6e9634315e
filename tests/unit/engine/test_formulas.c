/*
 * The formulas of single elements: errors against libm's double functions over dense grids, values at the ends, and
 * that no two elements share a random word.
 */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "engine/base/formulas.h"
#include "tests/support/loop_twins.h"

enum { GRID = 1000000 };

/* Distance in units of the spacing of floats at `want`. */
static double ulps(float got, double want)
{
    const float size = fabsf((float)want);
    const double spacing = size < FLT_MIN ? 0x1p-149 : (double)nextafterf(size, INFINITY) - (double)size;

    return fabs((double)got - want) / spacing;
}

typedef float formula(float x);
typedef double reference(double x);

static void expect_ulps(const char *name, formula *f, reference *r, double from, double to, double most)
{
    double worst = 0.0;
    float at = 0.0f;

    for (int i = 0; i <= GRID; i++) {
        const float x = (float)(from + (to - from) * i / GRID);
        const double off = ulps(f(x), r((double)x));
        if (off > worst) worst = off, at = x;
    }
    cr_expect(worst <= most, "%s is %.2f ulp off at %.9g: got %.9g, want %.9g; at most %g", name, worst, (double)at,
              (double)f(at), r((double)at), most);
}

static float formula_exp(float x) { return lk_exp(x); }
static float formula_tanh(float x) { return lk_tanh(x); }
static float formula_sigmoid(float x) { return lk_sigmoid(x); }
static float formula_gelu(float x) { return lk_gelu(x); }
static float formula_gelu_tanh(float x) { return lk_gelu_tanh(x); }
static float formula_gelu_grad(float x) { return lk_gelu_grad(1.0f, x); }
static float formula_gelu_tanh_grad(float x) { return lk_gelu_tanh_grad(1.0f, x); }
static float formula_silu(float x) { return lk_silu(x); }
static float formula_silu_grad(float x) { return lk_silu_grad(1.0f, x); }
static float formula_elu(float x) { return lk_elu(x); }
static double real_silu(double x) { return twin_activation(LK_ACT_SILU, x); }
static double real_silu_slope(double x) { return twin_activation_slope(LK_ACT_SILU, x); }
static double real_elu(double x) { return twin_activation(LK_ACT_ELU, x); }
static double real_sigmoid(double x) { return twin_activation(LK_ACT_SIGMOID, x); }
static double real_gelu(double x) { return twin_activation(LK_ACT_GELU, x); }
static double real_gelu_tanh(double x) { return twin_activation(LK_ACT_GELU_TANH, x); }
static double real_gelu_slope(double x) { return twin_activation_slope(LK_ACT_GELU, x); }
static double real_gelu_tanh_slope(double x) { return twin_activation_slope(LK_ACT_GELU_TANH, x); }

/* The bounds that engine/base/formulas.h states. */
Test(formulas, exp_is_within_one_ulp_subnormal_results_included)
{
    expect_ulps("exp", formula_exp, exp, -1.0, 1.0, 1.0);
    expect_ulps("exp", formula_exp, exp, -103.9, 88.7, 1.0);
    expect_ulps("exp", formula_exp, exp, -88.0, -87.0, 1.0);
}

Test(formulas, exp_at_the_ends_is_zero_infinity_and_nan)
{
    cr_expect_eq(lk_exp(0.0f), 1.0f);
    cr_expect_eq(lk_exp(-INFINITY), 0.0f);
    cr_expect_eq(lk_exp(-1e30f), 0.0f);
    cr_expect_eq(lk_exp(INFINITY), INFINITY);
    cr_expect_eq(lk_exp(88.8f), INFINITY);
    cr_expect(isnan(lk_exp(NAN)));
}

Test(formulas, tanh_and_sigmoid_are_within_their_bounds)
{
    expect_ulps("tanh", formula_tanh, tanh, -10.0, 10.0, 1.3);
    expect_ulps("tanh", formula_tanh, tanh, -1e-3, 1e-3, 1.3);
    expect_ulps("sigmoid", formula_sigmoid, real_sigmoid, -87.0, 20.0, 2.5);
    cr_expect_eq(lk_tanh(INFINITY), 1.0f);
    cr_expect_eq(lk_tanh(-INFINITY), -1.0f);
    cr_expect(isnan(lk_tanh(NAN)) && isnan(lk_sigmoid(NAN)));
}

/* Relative bounds of the formulas, 16.8 million ulp in 1; the tanh form has its cube in the exponent. */
Test(formulas, gelu_is_within_its_bounds)
{
    expect_ulps("gelu", formula_gelu, real_gelu, 0.0, 6.0, 9.0);
    expect_ulps("gelu", formula_gelu, real_gelu, -6.0, 0.0, 26.0);
    expect_ulps("gelu_tanh", formula_gelu_tanh, real_gelu_tanh, -3.0, 6.0, 26.0);
}

Test(formulas, silu_and_elu_are_within_their_bounds)
{
    expect_ulps("silu", formula_silu, real_silu, -87.0, 20.0, 3.5);
    expect_ulps("elu", formula_elu, real_elu, -20.0, 0.0, 3.5);
    expect_ulps("elu", formula_elu, real_elu, -1e-3, 1e-3, 3.5);
    cr_expect_eq(lk_elu(-INFINITY), -1.0f);
    cr_expect(isnan(lk_elu(NAN)) && isnan(lk_silu(NAN)) && isnan(lk_leaky_relu(NAN)));
}

/* The slopes cross 0 near -0.75, so their error is bounded absolutely; they are of size 1. */
static void expect_near(const char *name, formula *f, reference *r, double most)
{
    for (int i = 0; i <= GRID; i++) {
        const float x = (float)(-8.0 + 16.0 * i / GRID);
        const double off = fabs((double)f(x) - r((double)x));
        if (off <= most) continue;
        cr_expect(false, "%s at %.9g: got %.9g, want %.9g", name, (double)x, (double)f(x), r((double)x));
        return;
    }
}

Test(formulas, slopes_of_gelu_are_within_their_bounds)
{
    expect_near("gelu's slope", formula_gelu_grad, real_gelu_slope, 4e-7);
    expect_near("silu's slope", formula_silu_grad, real_silu_slope, 1e-6);
    expect_near("gelu_tanh's slope", formula_gelu_tanh_grad, real_gelu_tanh_slope, 2e-6);
}

Test(formulas, every_element_of_a_sample_has_its_own_word)
{
    enum { ELEMENTS = 4096 };
    static bool taken[ELEMENTS][4];

    for (uint64_t e = 0; e < ELEMENTS; e++) {
        const uint32_t block = lk_dropout_block(e), word = lk_dropout_word(e);

        cr_assert(block < ELEMENTS / 4 && word < 4, "element %lu: block %u, word %u", (unsigned long)e, block, word);
        cr_expect_not(taken[block][word], "element %lu shares block %u, word %u", (unsigned long)e, block, word);
        taken[block][word] = true;
    }
}

Test(formulas, high_parts_of_step_and_sample_reach_the_counter)
{
    const int64_t big = (int64_t)1 << 32;
    const uint32_t none = lk_dropout_high(5, 7);
    const uint32_t step = lk_dropout_high(5 + big, 7), sample = lk_dropout_high(5, 7 + big);

    cr_expect(none != step && none != sample && step != sample, "%x, %x, %x", none, step, sample);
}
