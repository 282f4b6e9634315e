/* Schedules: expressions and what is said about wrong ones, the plateau's rules and its state. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/schedule/schedule.h"

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

/* ---------------------------------------------- warmup and what PyTorch lacks */

/* The value at each of n steps, within the rounding of a few operations. */
static void expect_course(lk_schedule_spec spec, double base_lr, int n, const double *want)
{
    lk_schedule *schedule = schedule_of(spec, base_lr);

    for (int i = 0; i < n; i++) {
        const double got = lr_at(schedule, 100 * i, i);
        cr_expect(fabs(got - want[i]) <= 1e-15 * fabs(want[i]), "step %d: got %.17g, want %.17g", i, got, want[i]);
    }
    lk_schedule_free(&schedule);
}

Test(schedule, a_warmup_leads_to_the_first_value_of_what_follows)
{
    const lk_schedule_spec by_line = {.kind = LK_SCHEDULE_EXPONENTIAL, .gamma = 0.5,
                                      .warmup = {LK_WARMUP_LINEAR, 4, 0.2}};
    const lk_schedule_spec by_power = {.kind = LK_SCHEDULE_NONE, .warmup = {LK_WARMUP_EXPONENTIAL, 2, 0.01}};
    const lk_schedule_spec to_cyclic = {.kind = LK_SCHEDULE_CYCLIC, .base_lr = 8, .max_lr = 16, .step_size_up = 2,
                                        .step_size_down = 2, .mode = LK_CYCLE_TRIANGULAR,
                                        .warmup = {LK_WARMUP_LINEAR, 2, 0.5}};

    expect_course(by_line, 10, 7, (double[]){2, 4, 6, 8, 10, 5, 2.5});
    expect_course(by_power, 10, 4, (double[]){0.1, 1, 10, 10});
    expect_course(to_cyclic, 1, 7, (double[]){4, 6, 8, 12, 16, 12, 8});
}

Test(schedule, a_plateau_does_not_observe_in_its_warmup)
{
    const lk_schedule_spec spec = WITH(s.patience = 0, s.warmup = (typeof(s.warmup)){LK_WARMUP_LINEAR, 3, 0.25});
    lk_schedule *schedule = schedule_of(spec, 1.0);
    const double want[] = {0.25, 0.5, 0.75, 1, 0.5, 0.25};
    bool reduced;

    for (int epoch = 0; epoch < 6; epoch++) {
        const double got = lr_at(schedule, epoch, epoch);
        cr_expect_eq(got, want[epoch], "epoch %d: got %g, want %g", epoch, got, want[epoch]);
        lk_schedule_observe(schedule, epoch + 1, epoch + 1, 7, &reduced);
        cr_expect_eq(reduced, epoch >= 3, "epoch %d: reduced %d", epoch, reduced);
    }
    lk_schedule_free(&schedule);
}

Test(schedule, inverse_sqrt_peaks_at_the_last_step_of_its_warmup)
{
    const lk_schedule_spec spec = {.kind = LK_SCHEDULE_INVERSE_SQRT, .warmup_steps = 4};

    expect_course(spec, 8, 5, (double[]){2, 4, 6, 8, 8 * sqrt(4.0 / 5.0)});
    lk_schedule *schedule = schedule_of(spec, 8);
    cr_expect_eq(lr_at(schedule, 0, 15), 4.0, "got %.17g", lr_at(schedule, 0, 15));
    lk_schedule_free(&schedule);
}

/* Vaswani et al., section 5.3: d_model^-0.5 * min(step^-0.5, step * warmup^-1.5), steps from 1. */
Test(schedule, inverse_sqrt_with_d_model_is_the_transformers)
{
    const lk_schedule_spec spec = {.kind = LK_SCHEDULE_INVERSE_SQRT, .warmup_steps = 4000, .d_model = 512};
    lk_schedule *schedule = schedule_of(spec, 1);

    for (int i = 0; i < 100000; i += 37) {
        const double step = i + 1, want = pow(512, -0.5) * fmin(pow(step, -0.5), step * pow(4000, -1.5));
        const double got = lr_at(schedule, 0, i);
        cr_expect(fabs(got - want) <= 1e-15 * want * 8, "step %d: got %.17g, want %.17g", i, got, want);
    }
    lk_schedule_free(&schedule);
}

Test(schedule, wsd_rises_stays_and_falls_to_eta_min)
{
    lk_schedule_spec spec = {
        .kind = LK_SCHEDULE_WSD, .warmup_steps = 2, .stable_steps = 2, .decay_steps = 4, .eta_min = 1};

    expect_course(spec, 5, 10, (double[]){2.5, 5, 5, 5, 5, 4, 3, 2, 1, 1});
    spec.decay_type = LK_DECAY_ONE_MINUS_SQRT;
    expect_course(spec, 5, 9, (double[]){2.5, 5, 5, 5, 5, 3, 1 + 4 * (1 - sqrt(0.5)), 1 + 4 * (1 - sqrt(0.75)), 1});
    spec.decay_type = LK_DECAY_COSINE;
    expect_course(spec, 5, 9, (double[]){2.5, 5, 5, 5, 5, 1 + 4 * (1 + cos(M_PI / 4)) / 2, 3,
                                         1 + 4 * (1 + cos(3 * M_PI / 4)) / 2, 1});
}

/* --------------------------------------------------------- right where PyTorch is not */

Test(schedule, onecycle_stays_at_its_end)
{
    const lk_schedule_spec spec = {.kind = LK_SCHEDULE_ONECYCLE, .max_lr = 1, .total_steps = 10, .pct_start = 0.3,
                                   .div_factor = 25, .final_div_factor = 1e4, .cycle_momentum = true,
                                   .base_momentum = 0.85, .max_momentum = 0.95};
    lk_schedule *schedule = schedule_of(spec, 1);
    double last, value, momentum, last_momentum;

    cr_assert_eq(lk_schedule_at(schedule, 0, 9, &last, &last_momentum), LK_OK);
    cr_expect(fabs(last - 4e-6) <= 1e-18, "got %.17g", last);
    for (int i = 10; i < 30; i++) {
        cr_assert_eq(lk_schedule_at(schedule, 0, i, &value, &momentum), LK_OK);
        cr_expect(value == last && momentum == last_momentum, "step %d: %.17g, %.17g", i, value, momentum);
    }
    lk_schedule_free(&schedule);
}

/* int(log(epoch / T_0 * (T_mult - 1) + 1, T_mult)) is one too small at some of these. */
Test(schedule, a_restart_begins_exactly_where_the_cycle_before_ends)
{
    for (int64_t T_mult = 1; T_mult < 12; T_mult++) {
        const lk_schedule_spec spec = {
            .kind = LK_SCHEDULE_WARM_RESTARTS, .T_0 = 3, .T_mult = T_mult, .fractional = true};
        lk_schedule *schedule = schedule_of(spec, 1);
        int64_t end = 3, T_i = 3;

        for (int cycle = 0; cycle < 10; cycle++) {
            double at, before;

            cr_assert_eq(lk_schedule_at(schedule, 0, (double)end, &at, NULL), LK_OK);
            cr_assert_eq(lk_schedule_at(schedule, 0, (double)end - 0.125, &before, NULL), LK_OK);
            cr_expect_eq(at, 1.0, "T_mult %ld, epoch %ld: got %.17g", (long)T_mult, (long)end, at);
            cr_expect_lt(before, 0.01, "T_mult %ld, before epoch %ld: got %.17g", (long)T_mult, (long)end, before);
            end += T_i *= T_mult;
        }
        lk_schedule_free(&schedule);
    }
}

Test(schedule, restarts_of_huge_periods_do_not_overflow)
{
    const lk_schedule_spec spec = {.kind = LK_SCHEDULE_WARM_RESTARTS, .T_0 = INT64_MAX / 2, .T_mult = INT64_MAX};
    lk_schedule *schedule = schedule_of(spec, 1);

    cr_expect(isfinite(lr_at(schedule, 0, INT64_MAX / 4)));
    lk_schedule_free(&schedule);
}

/* ------------------------------------------------------------------- trees */

Test(schedule, an_inner_expression_counts_from_where_it_begins)
{
    const lk_schedule_spec inner[] = {{.kind = LK_SCHEDULE_NONE}, {.kind = LK_SCHEDULE_LAMBDA, .expr = "1 + epoch"}};
    const int64_t milestones[] = {3};
    lk_schedule_spec spec = {.kind = LK_SCHEDULE_SEQUENTIAL, .schedulers = inner, .n_schedulers = 2,
                             .milestones = milestones, .n_milestones = 1};
    lk_schedule *schedule;

    expect_course(spec, 1, 6, (double[]){1, 1, 1, 1, 2, 3});
    spec.every = LK_EVERY_STEP;
    cr_expect_eq(lk_schedule_new("scheduler", &spec, 1, &schedule), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "scheduler.schedulers[1].expr: "), "%s", lk_error_message());
}

Test(schedule, trees_that_make_no_sense_are_refused_by_name)
{
    const lk_schedule_spec leaf = {.kind = LK_SCHEDULE_NONE}, two[] = {leaf, leaf}, with_plateau[] = {leaf, plateau};
    const int64_t back[] = {5, 3}, once[] = {5};
    lk_schedule_spec deep[12] = {leaf};
    lk_schedule *schedule;

    for (int i = 1; i < 12; i++)
        deep[i] = (lk_schedule_spec){.kind = LK_SCHEDULE_CHAINED, .schedulers = &deep[i - 1], .n_schedulers = 1};
    const struct { lk_schedule_spec spec; const char *words; } cases[] = {
        {{.kind = LK_SCHEDULE_CHAINED}, "scheduler.schedulers: "},
        {{.kind = LK_SCHEDULE_SEQUENTIAL, .schedulers = two, .n_schedulers = 2},
         "scheduler.milestones: a list of 0 for 2"},
        {{.kind = LK_SCHEDULE_SEQUENTIAL, .schedulers = (lk_schedule_spec[]){leaf, leaf, leaf}, .n_schedulers = 3,
          .milestones = back, .n_milestones = 2}, "scheduler.milestones[1]: 3 is out of order"},
        {{.kind = LK_SCHEDULE_SEQUENTIAL, .schedulers = with_plateau, .n_schedulers = 2, .milestones = once,
          .n_milestones = 1}, "scheduler.schedulers[1].kind: reduce_on_plateau"},
        {{.kind = LK_SCHEDULE_ONECYCLE, .max_lr = 1, .div_factor = 1, .final_div_factor = 1},
         "scheduler.total_steps: onecycle needs"},
        {{.kind = LK_SCHEDULE_STEP, .gamma = 0.1}, "scheduler.step_size: 0 is out of range"},
        {deep[11], "more than"},
    };

    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        cr_expect_eq(lk_schedule_new("scheduler", &cases[c].spec, 1, &schedule), LK_ERR_USAGE, "case %zu was taken", c);
        cr_expect(strstr(lk_error_message(), cases[c].words), "want %s in: %s", cases[c].words, lk_error_message());
    }
}

/* ------------------------------------------------------------ a later beginning */

Test(schedule, a_schedule_that_starts_in_its_middle_goes_on_as_if_it_had_run)
{
    const lk_schedule_spec specs[] = {
        {.kind = LK_SCHEDULE_COSINE, .T_max = 20},
        {.kind = LK_SCHEDULE_EXPONENTIAL, .gamma = 0.9},
        {.kind = LK_SCHEDULE_MULTIPLICATIVE, .expr = "0.9 + epoch / 1000"},
        {.kind = LK_SCHEDULE_LAMBDA, .expr = "0.95^epoch", .warmup = {.total_iters = 4, .start_factor = 0.1}},
    };

    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        lk_schedule_spec later = specs[i];

        later.start_step = 7;
        lk_schedule *whole = schedule_of(specs[i], 0.5), *rest = schedule_of(later, 0.5);
        for (int64_t epoch = 0; epoch < 10; epoch++) {
            const double got = lr_at(rest, 3 * epoch, epoch), want = lr_at(whole, 3 * (epoch + 7), epoch + 7);

            cr_expect_eq(got, want, "case %zu, epoch %ld: got %.17g, want %.17g", i, (long)epoch, got, want);
        }
        lk_schedule_free(&rest);
        lk_schedule_free(&whole);
    }
}

Test(schedule, the_count_of_the_run_inside_a_schedule_is_refused_with_the_reason)
{
    static const char want[] = "scheduler.schedulers[1].expr: `step` counts the run, and only an outermost lambda sees "
                               "that; `epoch` counts the steps of this schedule\n    1 - step/10";
    const lk_schedule_spec inner[] = {{.kind = LK_SCHEDULE_NONE}, lambda("1 - step/10")};
    const int64_t milestone = 5;
    const lk_schedule_spec spec = {.kind = LK_SCHEDULE_SEQUENTIAL, .milestones = &milestone, .n_milestones = 1,
                                   .schedulers = inner, .n_schedulers = 2};
    lk_schedule *schedule;

    cr_expect_eq(lk_schedule_new("scheduler", &spec, 0.1, &schedule), LK_ERR_USAGE);
    cr_expect_str_eq(lk_error_message(), want, "got:  %s\nwant: %s", lk_error_message(), want);
    cr_expect(lk_expression_mentions("a + step", "step"));
    cr_expect_not(lk_expression_mentions("steps + my_step + step2", "step"));
}
