/* Formula and simulation of a failing cluster agree, within the noise of the failures that are drawn. */
#include <criterion/criterion.h>
#include <math.h>

#include "launch/bench/goodput.h"

enum { SEED = 7, N_FAILURES = 10000 };
static const double HOUR = 3600.0;
static const goodput_case one = {.mtbf = 1.0, .save = 0.02, .write = 0.1, .restart = 0.05};

static double relative(double a, double b) { return fabs(a - b) / b; }

/* 10 to 10,000 hosts that fail once in 1,000 to 50,000 hours; saves of a second to minutes. */
Test(goodput, the_best_interval_by_simulation_is_dalys)
{
    static const double hosts[] = {10, 100, 1000, 10000}, hours[] = {1000, 10000, 50000}, saves[] = {1, 10, 60};

    for (size_t w = 0; w < 4; w++)
        for (size_t h = 0; h < 3; h++)
            for (size_t s = 0; s < 3; s++) {
                const goodput_case c = {.mtbf = hours[h] * HOUR / hosts[w], .save = saves[s], .write = 5.0 * saves[s],
                                        .restart = 120.0};
                const double daly = goodput_daly(&c), found = goodput_search(&c, SEED, N_FAILURES);
                const goodput by_formula = goodput_expect(&c, daly);
                const goodput drawn = goodput_simulate(&c, found, SEED, N_FAILURES);

                cr_expect_lt(relative(found, daly), 0.05, "%g hosts, %g h, saves of %g s: %g s, Daly %g s", hosts[w],
                             hours[h], saves[s], found, daly);
                cr_expect_lt(relative(drawn.work, by_formula.work), 0.05, "%g hosts, %g h: goodput %g, by formula %g",
                             hosts[w], hours[h], drawn.work, by_formula.work);
            }
}

/* At any interval, not only the best; the noise of n failures is about 1 / sqrt(n), twice that is allowed. */
Test(goodput, shares_of_a_simulation_are_those_expected)
{
    for (double interval = 0.05; interval < 2.0; interval *= 2.0) {
        const goodput want = goodput_expect(&one, interval), got = goodput_simulate(&one, interval, SEED, N_FAILURES);

        cr_expect_float_eq(got.work, want.work, 0.02, "interval %g: work %g, want %g", interval, got.work, want.work);
        cr_expect_float_eq(got.saving, want.saving, 0.02);
        cr_expect_float_eq(got.redone, want.redone, 0.02);
        cr_expect_float_eq(got.down, want.down, 0.02);
        cr_expect_float_eq(got.work + got.saving + got.redone + got.down, 1.0, 1e-12);
    }
}

Test(goodput, a_seed_gives_the_same_failures_and_another_gives_others)
{
    const goodput a = goodput_simulate(&one, 0.2, 1, 1000), b = goodput_simulate(&one, 0.2, 1, 1000);
    const goodput other = goodput_simulate(&one, 0.2, 2, 1000);

    cr_expect_eq(a.work, b.work);
    cr_expect_neq(a.work, other.work);
}

Test(goodput, formulas_at_their_ends)
{
    const goodput_case rare = {.mtbf = 1e9, .save = 1.0}, hopeless = {.mtbf = 1.0, .save = 3.0};

    cr_expect_float_eq(goodput_young(&(goodput_case){.mtbf = 50.0, .save = 1.0}), 10.0, 1e-12);
    cr_expect_lt(relative(goodput_daly(&rare), goodput_young(&rare)), 1e-3, "failures are rare: Young's is enough");
    cr_expect_eq(goodput_daly(&hopeless), hopeless.mtbf, "a save that takes longer than failures: their distance");
    cr_expect_gt(goodput_expect(&rare, goodput_daly(&rare)).work, 0.9999);
}
