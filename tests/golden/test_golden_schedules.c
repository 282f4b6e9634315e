/*
 * Every schedule against PyTorch: schedules.json, made by make_schedules.py.
 *
 * A case's `scheduler` is read as a recipe's section, JSON being YAML.  Values must agree to 1e-12 of themselves,
 * or to 1e-15 of the course's largest where one is next to nothing: PyTorch's steps leave a rest of some 1e-17
 * where the formula gives 0 (a line to 0, a cosine at its lowest), and all it does later with that rest is as
 * small.
 */
#include "tests/support/golden.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "io/io.h"

static const double RELATIVE = 1e-12, OF_LARGEST = 1e-15;

static double real(const json_t *object, const char *key) { return json_number_value(json_object_get(object, key)); }
static const char *text(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* A recipe around a case. */
static lk_recipe *recipe_of(const json_t *c)
{
    char *scheduler = json_dumps(json_object_get(c, "scheduler"), JSON_REAL_PRECISION(17)), *yaml;
    lk_recipe *recipe;

    cr_assert(scheduler);
    cr_assert(asprintf(&yaml, "run: {name: golden}\ndata: {kind: regression, samples: 8, n_features: 2}\n"
                       "model: {kind: mlp, layers: [2, 1]}\nloss: {kind: mse}\noptimizer: {kind: %s, lr: %.17g}\n"
                       "train: {epochs: 1}\nscheduler: %s\n", text(c, "optimizer"), real(c, "lr"), scheduler) > 0);
    cr_assert_eq(lk_recipe_parse(yaml, "golden.yaml", NULL, 0, &recipe), LK_OK, "%s", lk_error_message());
    free(yaml);
    free(scheduler);
    return recipe;
}

static lk_schedule *schedule_of(const lk_recipe *recipe)
{
    lk_schedule *schedule;

    cr_assert_eq(lk_schedule_new("scheduler", &recipe->scheduler.spec, recipe->optimizer.lr, &schedule), LK_OK, "%s",
                 lk_error_message());
    return schedule;
}

static double largest(const json_t *values)
{
    double most = 0;

    for (size_t i = 0; i < json_array_size(values); i++)
        most = fmax(most, json_number_value(json_array_get(values, i)));
    return most;
}

static void expect_close(const char *name, const char *what, int64_t step, double got, double want, double most)
{
    cr_expect(fabs(got - want) <= RELATIVE * fabs(want) + OF_LARGEST * most,
              "%s, %s at step %ld: got %.17g, want %.17g, %.2g of it apart", name, what, (long)step, got, want,
              fabs(got - want) / fabs(want));
}

static bool is_kept(const json_t *golden, int64_t i, int64_t n)
{
    return i < (int64_t)real(golden, "head") || i % (int64_t)real(golden, "every") == 0 || i == n - 1;
}

static void expect_course(const json_t *golden, const json_t *c)
{
    const json_t *values = json_object_get(c, "values"), *momenta = json_object_get(c, "momentum");
    const int64_t n = (int64_t)real(c, "n");
    const double most = largest(values);
    lk_recipe *recipe = recipe_of(c);
    lk_schedule *schedule = schedule_of(recipe);
    size_t k = 0;

    cr_expect_eq(lk_schedule_has_momentum(schedule), momenta != NULL, "%s", text(c, "name"));
    for (int64_t i = 0; i < n; i++) {
        double lr, momentum;

        if (!is_kept(golden, i, n)) continue;
        cr_assert_eq(lk_schedule_at(schedule, 10 * i, (double)i, &lr, &momentum), LK_OK, "%s", lk_error_message());
        expect_close(text(c, "name"), "lr", i, lr, json_number_value(json_array_get(values, k)), most);
        if (momenta)
            expect_close(text(c, "name"), "momentum", i, momentum, json_number_value(json_array_get(momenta, k)), 1);
        k++;
    }
    cr_expect_eq(k, json_array_size(values), "%s: %zu values of %zu were compared", text(c, "name"), k,
                 json_array_size(values));
    lk_schedule_free(&schedule);
    lk_recipe_free(&recipe);
}

Test(golden_schedules, values_agree_with_pytorch)
{
    json_t *golden = golden_load("schedules.json"), *cases = json_object_get(golden, "cases");

    cr_assert_geq(json_array_size(cases), 70);
    for (size_t i = 0; i < json_array_size(cases); i++) expect_course(golden, json_array_get(cases, i));
    json_decref(golden);
}

/* No state: a value does not depend on what was asked before, so a resumed run goes on exactly. */
Test(golden_schedules, a_value_is_the_same_bits_whatever_was_asked_before)
{
    enum { N = 200, STRIDE = 77 /* no divisor of N: all steps, in disorder */ };
    json_t *golden = golden_load("schedules.json"), *cases = json_object_get(golden, "cases");

    for (size_t c = 0; c < json_array_size(cases); c++) {
        lk_recipe *recipe = recipe_of(json_array_get(cases, c));
        lk_schedule *forward = schedule_of(recipe), *disorderly = schedule_of(recipe);
        double in_order[N], lr;

        for (int i = 0; i < N; i++) cr_assert_eq(lk_schedule_at(forward, i, i, &in_order[i], NULL), LK_OK);
        for (int i = 0; i < N; i++) {
            const int at = i * STRIDE % N;

            cr_assert_eq(lk_schedule_at(disorderly, at, at, &lr, NULL), LK_OK);
            cr_expect(memcmp(&lr, &in_order[at], sizeof lr) == 0, "%s at step %d: got %.17g, want %.17g",
                      text(json_array_get(cases, c), "name"), at, lr, in_order[at]);
        }
        lk_schedule_free(&forward), lk_schedule_free(&disorderly);
        lk_recipe_free(&recipe);
    }
    json_decref(golden);
}

Test(golden_schedules, counted_in_steps_the_values_are_those_of_epochs)
{
    json_t *golden = golden_load("schedules.json"), *cases = json_object_get(golden, "cases");

    for (size_t c = 0; c < json_array_size(cases); c++) {
        const json_t *one = json_array_get(cases, c);
        lk_recipe *recipe = recipe_of(one);
        lk_schedule *by_epoch = schedule_of(recipe), *by_step;

        recipe->scheduler.spec.every = LK_EVERY_STEP;
        /* Expressions in `epoch` see another count then. */
        if (lk_schedule_new("scheduler", &recipe->scheduler.spec, recipe->optimizer.lr, &by_step) == LK_OK) {
            for (int i = 0; i < 100 && recipe->scheduler.spec.kind != LK_SCHEDULE_LAMBDA; i++) {
                double want, got;

                cr_assert_eq(lk_schedule_at(by_epoch, 7 * i, i, &want, NULL), LK_OK);
                cr_assert_eq(lk_schedule_at(by_step, i, i / 7, &got, NULL), LK_OK);
                cr_expect_eq(got, want, "%s at step %d: got %.17g, want %.17g", text(one, "name"), i, got, want);
            }
        }
        lk_schedule_free(&by_epoch), lk_schedule_free(&by_step);
        lk_recipe_free(&recipe);
    }
    json_decref(golden);
}

Test(golden_schedules, warm_restarts_at_fractions_of_epochs_agree_with_pytorch)
{
    json_t *golden = golden_load("schedules.json"), *cases = json_object_get(golden, "fractional");

    for (size_t c = 0; c < json_array_size(cases); c++) {
        const json_t *one = json_array_get(cases, c), *values = json_object_get(one, "values");
        const lk_schedule_spec spec = {.kind = LK_SCHEDULE_WARM_RESTARTS, .T_0 = (int64_t)real(one, "T_0"),
                                       .T_mult = (int64_t)real(one, "T_mult"), .eta_min = real(one, "eta_min"),
                                       .fractional = true};
        lk_schedule *schedule;
        double lr;

        cr_assert_eq(lk_schedule_new("scheduler", &spec, 0.05, &schedule), LK_OK, "%s", lk_error_message());
        for (size_t i = 0; i < json_array_size(values); i++) {
            const double epoch = (double)i / real(one, "batches");

            cr_assert_eq(lk_schedule_at(schedule, (int64_t)i, epoch, &lr, NULL), LK_OK);
            expect_close("fractional", "lr", (int64_t)i, lr, json_number_value(json_array_get(values, i)), 0.05);
        }
        lk_schedule_free(&schedule);
    }
    json_decref(golden);
}
