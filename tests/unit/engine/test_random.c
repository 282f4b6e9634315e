/* Philox gives the published words; draws are addressed, streams differ, and the distributions have their moments. */
#include <criterion/criterion.h>
#include <math.h>

#include "engine/base/base.h"
#include "engine/base/philox.h"

/* The vectors of Random123's kat_vectors, philox4x32 with 10 rounds. */
static const struct known {
    uint32_t counter[4], key[2], want[4];
} known[] = {
    {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
    {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff},
     {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
    {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0},
     {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
};

Test(random, philox_gives_the_published_words)
{
    for (size_t v = 0; v < sizeof known / sizeof *known; v++) {
        uint32_t got[4];

        lk_philox((lk_philox_key){{known[v].key[0], known[v].key[1]}}, known[v].counter, got);
        for (int i = 0; i < 4; i++)
            cr_expect_eq(got[i], known[v].want[i], "vector %zu word %d: got %08x, want %08x", v, i, got[i],
                         known[v].want[i]);
    }
}

Test(random, the_largest_word_is_still_below_one)
{
    cr_expect_eq(lk_philox_unit(0), 0.0f);
    cr_expect_lt(lk_philox_unit(UINT32_MAX), 1.0f, "got %.9g", (double)lk_philox_unit(UINT32_MAX));
}

Test(random, a_draw_depends_on_its_number_alone)
{
    const lk_philox_key key = lk_philox_key_new(42, LK_PURPOSE_DATA, 0);
    const float forwards = lk_uniform(key, 5);

    for (uint64_t i = 1000; i-- > 0;) lk_uniform(key, i);
    cr_expect_eq(lk_uniform(key, 5), forwards, "got %.9g, want %.9g", (double)lk_uniform(key, 5), (double)forwards);
    /* Far draws use the upper counter word. */
    cr_expect_neq(lk_uniform(key, 5), lk_uniform(key, 5 + ((uint64_t)4 << 32)));
}

Test(random, streams_of_other_seeds_purposes_and_subs_have_other_keys)
{
    const lk_philox_key keys[] = {
        lk_philox_key_new(1, LK_PURPOSE_INIT, 0), lk_philox_key_new(2, LK_PURPOSE_INIT, 0),
        lk_philox_key_new((uint64_t)1 << 32, LK_PURPOSE_INIT, 0), lk_philox_key_new(1, LK_PURPOSE_DATA, 0),
        lk_philox_key_new(1, LK_PURPOSE_INIT, 1),
    };
    const size_t n = sizeof keys / sizeof *keys;

    for (size_t a = 0; a < n; a++)
        for (size_t b = a + 1; b < n; b++)
            cr_expect(keys[a].k[0] != keys[b].k[0] && keys[a].k[1] != keys[b].k[1], "streams %zu and %zu share a key",
                      a, b);
}

enum { N_DRAWS = 200000 };

/* The mean of n draws has deviation sigma / sqrt(n); five of them, once in two million seeds. */
static void expect_moment(const char *what, double got, double want, double deviation)
{
    const double tolerance = 5.0 * deviation / sqrt(N_DRAWS);
    cr_expect_float_eq(got, want, tolerance, "%s: got %g, want %g +- %g", what, got, want, tolerance);
}

Test(random, uniform_draws_have_the_moments_of_their_distribution)
{
    const lk_philox_key key = lk_philox_key_new(7, LK_PURPOSE_DATA, 3);
    double sum = 0.0, squares = 0.0, lagged = 0.0;

    for (uint64_t i = 0; i < N_DRAWS; i++) {
        const double u = (double)lk_uniform(key, i), next = (double)lk_uniform(key, i + 1);

        cr_assert(u >= 0.0 && u < 1.0, "draw %lu is %g", (unsigned long)i, u);
        sum += u;
        squares += u * u;
        lagged += (u - 0.5) * (next - 0.5);
    }
    expect_moment("mean", sum / N_DRAWS, 0.5, sqrt(1.0 / 12.0));
    expect_moment("square", squares / N_DRAWS, 1.0 / 3.0, sqrt(4.0 / 45.0));
    expect_moment("neighbours", lagged / N_DRAWS, 0.0, 1.0 / 12.0);
}

Test(random, normal_draws_have_the_moments_of_their_distribution)
{
    const lk_philox_key key = lk_philox_key_new(7, LK_PURPOSE_DATA, 3);
    double sum = 0.0, squares = 0.0, fourths = 0.0, lagged = 0.0;

    for (uint64_t i = 0; i < N_DRAWS; i++) {
        const double z = lk_normal(key, i);

        sum += z;
        squares += z * z;
        fourths += z * z * z * z;
        lagged += z * lk_normal(key, i + 1);
    }
    expect_moment("mean", sum / N_DRAWS, 0.0, 1.0);
    expect_moment("square", squares / N_DRAWS, 1.0, sqrt(2.0));
    expect_moment("fourth power", fourths / N_DRAWS, 3.0, sqrt(96.0));
    expect_moment("neighbours", lagged / N_DRAWS, 0.0, 1.0);
}
