/* Which token is drawn: by temperature, among the top_k likeliest, among those that have top_p together; always the
 * same at one place of a seed. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>

#include "launch/decode/sampling.h"

enum { N_DRAWS = 20000, MOST_TOKENS = 4 };

/* How often each token is drawn. */
static void count(const sampling_spec *spec, const float *logits, size_t n, int drawn[MOST_TOKENS])
{
    sampler *s;

    cr_assert_eq(sampler_new(spec, n, &s), LK_OK, "%s", lk_error_message());
    for (size_t t = 0; t < n; t++) drawn[t] = 0;
    for (int64_t place = 0; place < N_DRAWS; place++) drawn[sampler_draw(s, logits, place)]++;
    sampler_free(&s);
}

/* Five deviations of a binomial number; of what cannot come, none at all. */
static void expect_shares(const sampling_spec *spec, const double *p, const char *what)
{
    const float logits[MOST_TOKENS] = {logf(0.2f), logf(0.4f), logf(0.1f), logf(0.3f)};
    int drawn[MOST_TOKENS];

    count(spec, logits, MOST_TOKENS, drawn);
    for (size_t t = 0; t < MOST_TOKENS; t++) {
        const double want = N_DRAWS * p[t], off = 5.0 * sqrt(want * (1.0 - p[t]));

        cr_expect(fabs(drawn[t] - want) <= off, "%s: token %zu: %d times, expected %g", what, t, drawn[t], want);
    }
}

Test(sampling, shares_are_those_of_softmax)
{
    const double squares = 0.04 + 0.16 + 0.01 + 0.09;

    expect_shares(&(sampling_spec){.temperature = 1.0, .top_p = 1.0, .seed = 3}, (double[]){0.2, 0.4, 0.1, 0.3},
                  "temperature 1");
    expect_shares(&(sampling_spec){.temperature = 0.5, .top_p = 1.0, .seed = 3},
                  (double[]){0.04 / squares, 0.16 / squares, 0.01 / squares, 0.09 / squares}, "temperature 0.5");
}

Test(sampling, of_the_likeliest_alone)
{
    expect_shares(&(sampling_spec){.temperature = 1.0, .top_k = 2, .top_p = 1.0}, (double[]){0, 4.0 / 7, 0, 3.0 / 7},
                  "two of them");
    expect_shares(&(sampling_spec){.temperature = 1.0, .top_k = 9, .top_p = 1.0}, (double[]){0.2, 0.4, 0.1, 0.3},
                  "more than there are");
    expect_shares(&(sampling_spec){.temperature = 1.0, .top_p = 0.75}, (double[]){2.0 / 9, 4.0 / 9, 0, 3.0 / 9},
                  "the fewest with 0.75: 0.4 and 0.3 are not enough");
    expect_shares(&(sampling_spec){.temperature = 1.0, .top_p = 1e-9}, (double[]){0, 1, 0, 0}, "one at least");
    expect_shares(&(sampling_spec){.temperature = 1.0, .top_k = 3, .top_p = 0.7}, (double[]){0, 4.0 / 7, 0, 3.0 / 7},
                  "of three, 0.7 of their sum");
}

Test(sampling, without_temperature_it_is_the_likeliest_the_first_of_equals)
{
    const float logits[MOST_TOKENS] = {1.0f, 2.0f, 2.0f, -1.0f};
    int drawn[MOST_TOKENS];

    count(&(sampling_spec){.temperature = 0.0, .top_k = 3, .top_p = 0.5, .seed = 9}, logits, MOST_TOKENS, drawn);
    cr_expect_eq(drawn[1], N_DRAWS, "token 1: %d times of %d", drawn[1], N_DRAWS);
}

/* Huge and tiny logits, and temperatures, leave no room for what is not a number. */
Test(sampling, sizes_do_not_matter)
{
    const float logits[MOST_TOKENS] = {3e38f, -3e38f, 0.0f, 3e38f};
    int drawn[MOST_TOKENS];

    count(&(sampling_spec){.temperature = 1e-3, .top_p = 1.0}, logits, MOST_TOKENS, drawn);
    cr_expect(drawn[0] > 0 && drawn[3] > 0 && drawn[0] + drawn[3] == N_DRAWS, "%d and %d", drawn[0], drawn[3]);
}

Test(sampling, a_place_of_a_seed_has_one_token)
{
    const float logits[MOST_TOKENS] = {0.0f, 0.1f, 0.2f, 0.3f};
    sampling_spec spec = {.temperature = 1.0, .top_k = 4, .top_p = 0.99, .seed = 5};
    int n_other = 0;
    sampler *a, *b, *other;

    cr_assert_eq(sampler_new(&spec, MOST_TOKENS, &a), LK_OK);
    cr_assert_eq(sampler_new(&spec, MOST_TOKENS, &b), LK_OK);
    spec.seed = 6;
    cr_assert_eq(sampler_new(&spec, MOST_TOKENS, &other), LK_OK);
    for (int64_t place = 0; place < 100; place++) {
        const int32_t token = sampler_draw(a, logits, place), back = sampler_draw(a, logits, 99 - place);
        const int32_t again = sampler_draw(b, logits, place), back_again = sampler_draw(b, logits, 99 - place);

        cr_expect_eq(token, again, "place %d: %d and %d", (int)place, token, again);
        cr_expect_eq(back, back_again, "place %d: %d and %d", 99 - (int)place, back, back_again);
        n_other += sampler_draw(other, logits, place) != token;
    }
    cr_expect_gt(n_other, 20, "another seed draws the same: %d of 100 differ", n_other);
    sampler_free(&other), sampler_free(&b), sampler_free(&a);
}
