/* The model of `bench scaling`: what it must say where the answer is known, and that a fit finds the network again. */
#include <criterion/criterion.h>
#include <math.h>

#include "launch/bench/predict.h"

static const network ethernet = {.alpha = 2e-4, .beta = 8e-9};
static const part work = {.first = 0.3, .rest = 0.6, .update = 0.1};

Test(scaling_model, one_worker_sums_nothing)
{
    const prediction p = predict_step(&ethernet, &work, &(gradients){1e8, 20}, 1.0);

    cr_expect_float_eq(p.step, 1.0, 1e-12, "got %g", p.step);
    cr_expect_eq(p.reduction, 0.0);
}

/* 2 workers send the bytes once: 0.8 s, more than the backward pass; behind a longer one all but the last bucket is
 * hidden. */
Test(scaling_model, what_is_longer_counts)
{
    const gradients g = {1e8, 20};
    const part longer = {.first = 0.5, .rest = 2.0, .update = 0.1};
    const double bucket = 2 * 2e-4 + 1e8 / 20 * 8e-9;

    const prediction bound = predict_step(&ethernet, &work, &g, 2.0);
    const prediction hidden = predict_step(&ethernet, &longer, &g, 2.0);
    cr_expect_float_eq(bound.step, 0.3 + 0.6 / 20 + 20 * bucket + 0.1, 1e-12, "got %g", bound.step);
    cr_expect_float_eq(hidden.step, 2.6 + bucket, 1e-12, "got %g", hidden.step);
    cr_expect_float_eq(hidden.hidden, 0.95, 1e-12, "got %g", hidden.hidden);
}

Test(scaling_model, a_fit_finds_the_network_again)
{
    static const double nbytes[] = {1 << 17, 1 << 20, 1 << 24};
    sum_point points[9];
    network found;

    for (int i = 0; i < 9; i++) {
        points[i] = (sum_point){.workers = 2 << (i / 3), .nbytes = nbytes[i % 3]};
        points[i].seconds = network_sum(&ethernet, points[i].workers, points[i].nbytes);
    }
    cr_assert(network_fit(points, 9, &found));
    cr_expect_float_eq(found.alpha, ethernet.alpha, 1e-9, "got %g", found.alpha);
    cr_expect_float_eq(found.beta, ethernet.beta, 1e-14, "got %g", found.beta);
    cr_expect_lt(network_error(&found, points, 9), 1e-9);
}

/* Shorter sums that take longer: no message takes less than no time. */
Test(scaling_model, a_fit_stays_above_0_and_says_when_it_cannot_tell)
{
    const sum_point odd[] = {{2, 1e6, 1e-3}, {2, 2e6, 3e-3}, {2, 4e6, 9e-3}};
    network found;

    cr_assert(network_fit(odd, 3, &found));
    cr_expect_eq(found.alpha, 0.0);
    cr_expect_gt(found.beta, 0.0);
    cr_expect_not(network_fit(odd, 1, &found));
    cr_expect_not(network_fit(odd, 0, &found));
}
