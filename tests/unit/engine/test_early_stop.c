/* Early stopping: what counts as an improvement, and when it says stop. */
#include <criterion/criterion.h>
#include <math.h>

#include "engine/schedule/schedule.h"

/* Expects stop at the observation `want` from 0, or never (-1). */
static void expect_stop(lk_early_stop_spec spec, const double *metrics, int n, int want)
{
    lk_early_stop state;
    int got = -1;

    lk_early_stop_init(&spec, &state);
    for (int i = 0; i < n && got < 0; i++)
        if (lk_early_stop_observe(&spec, &state, metrics[i])) got = i;
    cr_expect_eq(got, want, "stopped at %d, want %d", got, want);
}

Test(early_stop, it_stops_after_patience_observations_without_improvement)
{
    const double metrics[] = {3, 2, 2, 2.5, 1, 1, 1, 1};

    expect_stop((lk_early_stop_spec){.patience = 3, .mode = LK_MIN}, metrics, 8, 7);
    expect_stop((lk_early_stop_spec){.patience = 2, .mode = LK_MIN}, metrics, 8, 3);
    expect_stop((lk_early_stop_spec){.patience = 1, .mode = LK_MIN}, metrics, 8, 2);
    expect_stop((lk_early_stop_spec){.patience = 4, .mode = LK_MIN}, metrics, 8, -1);
}

Test(early_stop, mode_max_waits_for_larger_values)
{
    const double metrics[] = {1, 2, 3, 2, 1, 0};

    expect_stop((lk_early_stop_spec){.patience = 2, .mode = LK_MAX}, metrics, 6, 4);
    expect_stop((lk_early_stop_spec){.patience = 2, .mode = LK_MIN}, metrics, 6, 2);
}

Test(early_stop, an_improvement_of_exactly_min_delta_is_none)
{
    const double metrics[] = {4, 3.5, 3.5, 3.25, 3};

    expect_stop((lk_early_stop_spec){.patience = 2, .min_delta = 0.5, .mode = LK_MIN}, metrics, 5, 2);
    expect_stop((lk_early_stop_spec){.patience = 3, .min_delta = 0.5, .mode = LK_MIN}, metrics, 5, -1);
}

Test(early_stop, a_metric_that_is_no_number_is_never_an_improvement)
{
    const double from_the_start[] = {NAN, NAN, NAN}, later[] = {1, NAN, 0.5, NAN, NAN};

    expect_stop((lk_early_stop_spec){.patience = 3, .mode = LK_MIN}, from_the_start, 3, 2);
    expect_stop((lk_early_stop_spec){.patience = 2, .mode = LK_MIN}, later, 5, 4);
    expect_stop((lk_early_stop_spec){.patience = 2, .mode = LK_MAX}, later, 5, 2);
}
