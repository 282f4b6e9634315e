/* Schedules: expressions and what is said about wrong ones, the plateau's rules and its state. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/engine.h"

static const lk_schedule_spec plateau = {.kind = LK_SCHEDULE_PLATEAU, .factor = 0.5, .patience = 2, .threshold = 0.1,
                                         .eps = 1e-8};

/* plateau with some members set: WITH(s.patience = 0). */
#define WITH(...) ({ lk_schedule_spec s = plateau; (void)(__VA_ARGS__); s; })

static lk_schedule *schedule_of(lk_schedule_spec spec, double base_lr)
{
    lk_schedule *schedule;

    cr_assert_eq(lk_schedule_new("scheduler", &spec, base_lr, &schedule), LK_OK, "%s", lk_error_message());
    return schedule;
}

static lk_schedule_spec lambda(const char *expr)
{
    return (lk_schedule_spec){.kind = LK_SCHEDULE_LAMBDA, .expr = expr};
}

static double lr_at(lk_schedule *schedule, int64_t step, int64_t epoch)
{
    double lr = NAN;

    cr_assert_eq(lk_schedule_at(schedule, step, (double)epoch, &lr, NULL), LK_OK, "%s", lk_error_message());
    return lr;
}

/* -------------------------------------------------------------- expressions */

static void expect_value(const char *expr, int64_t epoch, int64_t step, double want)
{
    lk_schedule *schedule = schedule_of(lambda(expr), 2.0);
    const double got = lr_at(schedule, step, epoch);

    cr_expect(fabs(got - 2 * want) <= 1e-15 * fabs(got), "%s at epoch %ld, step %ld: got %.17g, want %.17g", expr,
              (long)epoch, (long)step, got, 2 * want);
    lk_schedule_free(&schedule);
}

Test(schedule, an_expression_multiplies_the_base_learning_rate)
{
    expect_value("0.95^epoch", 7, 100, pow(0.95, 7));
    expect_value("0.95**epoch", 7, 100, pow(0.95, 7));
    expect_value("epoch % 40 / 100", 47, 0, 0.07);
    expect_value("min(1, (step + 1) / 10)", 0, 4, 0.5);
    expect_value("epoch < 5 ? 1 : 0.1", 4, 0, 1);
    expect_value("epoch < 5 ? 1 : 0.1", 5, 0, 0.1);
    expect_value("(1 + cos(pi * epoch / 10)) / 2", 5, 0, 0.5);
    expect_value("e^(-step / 100)", 0, 100, exp(-1));
    expect_value("0.1^floor(epoch / 30)", 65, 0, 0.1 * 0.1);
    expect_value("epoch == 3 && step >= 9 ? 2 : 1", 3, 9, 2);
}

Test(schedule, operators_bind_as_in_python)
{
    expect_value("2**3**2", 0, 0, 512);
    expect_value("-2**2", 0, 0, -4);
    expect_value("2 * 7 % 4", 0, 0, 2);
    expect_value("1 + 7 % 4 * 2", 0, 0, 7);
    expect_value("(epoch - 5) % 4", 2, 0, 1);
    expect_value("5 % (0 - 3)", 0, 0, -1);
    expect_value("epoch % 0.5", 3, 0, 0);
}

/* The caret must stand in the message's last line, below `at` of the expression. */
static void expect_refused(const char *expr, const char *words, int at)
{
    lk_schedule *schedule;
    const lk_schedule_spec spec = lambda(expr);
    char caret[128];

    snprintf(caret, sizeof caret, "\n    %s\n    %*s^", expr, at, "");
    cr_expect_eq(lk_schedule_new("scheduler", &spec, 1, &schedule), LK_ERR_USAGE, "%s was taken", expr);
    cr_expect_null(schedule);
    cr_expect(strstr(lk_error_message(), words), "%s: want \"%s\" in: %s", expr, words, lk_error_message());
    if (at >= 0) cr_expect(strstr(lk_error_message(), caret), "%s: want%s\ngot %s", expr, caret, lk_error_message());
}

Test(schedule, the_message_points_into_a_wrong_expression)
{
    expect_refused("0.95^epohc", "Did you mean \"epoch\"?", 5);
    expect_refused("0.95^epohc", "scheduler.expr: ", 5);
    expect_refused("coss(epoch)", "Did you mean \"cos\"?", 0);
    expect_refused("epoch +", "end of expression", 7);
    expect_refused("2 +/ 3", "operator \"/\"", 3);
    expect_refused("epoch) * 2", "parenthesis", 5);
    expect_refused("(epoch", "parenthesis", 6);
    expect_refused("1 + max()", "Too few", 4);
    expect_refused("sin(1, 2)", "Too many", 0);
    expect_refused("epoch ? 1", "else", -1);
    expect_refused("", "empty", -1);
}

Test(schedule, several_values_and_assignments_are_refused)
{
    expect_refused("1, 2", "one value", -1);
    expect_refused("epoch = 3", "==", 6);
    expect_refused("epoch > 1 ? (step = 2) : 1", "==", 18);
}

Test(schedule, a_value_that_is_not_finite_is_refused_when_it_comes)
{
    lk_schedule *schedule = schedule_of(lambda("1 / (3 - epoch)"), 1.0);
    double lr;

    cr_expect_eq(lr_at(schedule, 0, 2), 1.0);
    cr_expect_eq(lk_schedule_at(schedule, 40, 3, &lr, NULL), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "epoch 3, step 40"), "%s", lk_error_message());
    cr_expect_eq(lr_at(schedule, 0, 4), -1.0);
    lk_schedule_free(&schedule);
}

/* ----------------------------------------------------------------- plateau */

/* Feeds metrics and expects the learning rate after each. */
static void expect_rates(lk_schedule_spec spec, int n, const double *metrics, const double *want)
{
    lk_schedule *schedule = schedule_of(spec, 1.0);
    double before = 1.0;

    for (int i = 0; i < n; i++) {
        bool reduced;

        lk_schedule_observe(schedule, i, i, metrics[i], &reduced);
        const double got = lr_at(schedule, i, i);
        cr_expect_eq(got, want[i], "observation %d: got %g, want %g", i, got, want[i]);
        cr_expect_eq(reduced, got < before, "observation %d: reduced %d, %g after %g", i, reduced, got, before);
        before = got;
    }
    lk_schedule_free(&schedule);
}

Test(schedule, a_plateau_lowers_the_rate_after_patience_bad_observations)
{
    const double metrics[] = {1, 1, 0.95, 0.91, 0.8, 0.8, 0.8, 0.8};
    const double want[] = {1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25};

    expect_rates(plateau, 8, metrics, want);
}

Test(schedule, bad_observations_in_the_cooldown_do_not_count)
{
    const double metrics[] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    const double want[] = {1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.5, 0.25};

    expect_rates(WITH(s.cooldown = 2), 9, metrics, want);
}

Test(schedule, the_rate_stops_at_min_lr_and_small_falls_are_not_made)
{
    const double metrics[] = {1, 1, 1, 1}, stops[] = {1, 0.5, 0.3, 0.3}, small[] = {1, 0.5, 0.5, 0.5};

    expect_rates(WITH(s.patience = 0, s.min_lr = 0.3), 4, metrics, stops);
    expect_rates(WITH(s.patience = 0, s.eps = 0.3), 4, metrics, small);
}

Test(schedule, a_metric_below_zero_must_beat_its_best_by_the_threshold)
{
    /* PyTorch would call -1.05 better than -1, and -0.95 too: its bar is -1 * (1 - 0.1) = -0.9. */
    const double falling[] = {-1, -1.05, -1.05, -1.05}, want_falling[] = {1, 1, 1, 0.5};
    const double better[] = {-1, -1.2, -1.5, -2}, want_better[] = {1, 1, 1, 1};
    const double rising[] = {-1, -0.95, -0.95, -0.95}, want_rising[] = {1, 1, 1, 0.5};

    expect_rates(plateau, 4, falling, want_falling);
    expect_rates(plateau, 4, better, want_better);
    expect_rates(WITH(s.mode = LK_MAX), 4, rising, want_rising);
}

Test(schedule, a_metric_that_is_no_number_is_a_bad_observation)
{
    const double metrics[] = {NAN, NAN, NAN, 1, NAN, NAN, NAN}, want[] = {1, 1, 0.5, 0.5, 0.5, 0.5, 0.25};

    expect_rates(plateau, 7, metrics, want);
    expect_rates(WITH(s.mode = LK_MAX), 7, metrics, want);
}

Test(schedule, a_threshold_of_one_still_takes_the_first_metric)
{
    lk_schedule *schedule = schedule_of(WITH(s.threshold = 1), 1.0);
    lk_schedule_state state;
    bool reduced;

    lk_schedule_observe(schedule, 0, 0, 5, &reduced);
    lk_schedule_get(schedule, &state);
    cr_expect_eq(state.best, 5.0, "got %g", state.best);
    lk_schedule_free(&schedule);
}

/* One schedule runs through; another is made anew from its state after every observation. */
Test(schedule, the_state_survives_exactly)
{
    const lk_schedule_spec spec = WITH(s.cooldown = 1);
    lk_schedule *through = schedule_of(spec, 1.0), *resumed = schedule_of(spec, 1.0);

    for (int i = 0; i < 20; i++) {
        lk_schedule_state state, want;
        bool reduced, reduced_want;

        lk_schedule_get(resumed, &state);
        lk_schedule_free(&resumed);
        resumed = schedule_of(spec, 1.0);
        lk_schedule_set(resumed, &state);
        lk_schedule_observe(through, i, i, i == 9 ? 0.5 : 1, &reduced_want);
        lk_schedule_observe(resumed, i, i, i == 9 ? 0.5 : 1, &reduced);
        lk_schedule_get(through, &want);
        lk_schedule_get(resumed, &state);
        cr_expect_eq(reduced, reduced_want);
        cr_expect(state.lr == want.lr && state.best == want.best && state.num_bad == want.num_bad &&
                      state.cooldown_counter == want.cooldown_counter,
                  "observation %d: lr %g best %g, want lr %g best %g", i, state.lr, state.best, want.lr, want.best);
    }
    lk_schedule_free(&through), lk_schedule_free(&resumed);
}

Test(schedule, values_out_of_range_are_refused_by_name)
{
    const struct { lk_schedule_spec spec; const char *key; } cases[] = {
        {WITH(s.factor = 1), "scheduler.factor"},     {WITH(s.factor = -0.1), "scheduler.factor"},
        {WITH(s.patience = -1), "scheduler.patience"}, {WITH(s.threshold = -1), "scheduler.threshold"},
        {WITH(s.cooldown = -1), "scheduler.cooldown"}, {WITH(s.min_lr = -1), "scheduler.min_lr"},
        {WITH(s.eps = NAN), "scheduler.eps"},          {lambda(NULL), "scheduler.expr"},
    };
    lk_schedule *schedule;

    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        cr_expect_eq(lk_schedule_new("scheduler", &cases[c].spec, 1, &schedule), LK_ERR_USAGE);
        cr_expect(strstr(lk_error_message(), cases[c].key), "want %s in: %s", cases[c].key, lk_error_message());
    }
    cr_expect_eq(lk_schedule_new("scheduler", &plateau, -1, &schedule), LK_ERR_USAGE);
}

Test(schedule, none_keeps_the_base_rate_and_ignores_metrics)
{
    lk_schedule *schedule = schedule_of((lk_schedule_spec){.kind = LK_SCHEDULE_NONE}, 0.25);
    bool reduced = true;

    for (int i = 0; i < 30; i++) {
        lk_schedule_observe(schedule, i, i, 1, &reduced);
        cr_expect_not(reduced);
        cr_expect_eq(lr_at(schedule, i, i), 0.25);
    }
    lk_schedule_free(&schedule);
}
