/* The keyed bijection is one, looks random, and can be entered anywhere. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/data/permute.h"

enum { SEEDS = 4000, SMALL = 10 };

static void permute(uint64_t seed, uint32_t epoch, int64_t n, int64_t begin, int64_t count, int64_t *out)
{
    lk_permutation p;
    lk_permutation_init(&p, seed, LK_PURPOSE_SHUFFLE, epoch, n);
    lk_permutation_range(&p, begin, count, out);
}

Test(permute, every_index_appears_once_whatever_n)
{
    const int64_t sizes[] = {1, 2, 3, 7, 15, 16, 17, 31, 33, 100, 1600, 4096, 4097, 100003, 1 << 20};

    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const int64_t n = sizes[s];
        int64_t *at = calloc((size_t)n, sizeof *at);
        char *seen = calloc((size_t)n, 1);
        permute(7, 3, n, 0, n, at);
        for (int64_t i = 0; i < n; i++) {
            cr_assert(at[i] >= 0 && at[i] < n, "n %ld: position %ld is %ld", (long)n, (long)i, (long)at[i]);
            cr_assert_not(seen[at[i]], "n %ld: %ld appears twice", (long)n, (long)at[i]);
            seen[at[i]] = 1;
        }
        free(at);
        free(seen);
    }
}

Test(permute, any_range_equals_the_same_part_of_the_whole)
{
    enum { N = 1000 };
    int64_t whole[N], part[N];

    permute(1, 2, N, 0, N, whole);
    for (int64_t begin = 0; begin < N; begin += 37)
        for (int64_t count = 0; count <= N - begin; count += 41) {
            permute(1, 2, N, begin, count, part);
            cr_assert_eq(memcmp(part, whole + begin, (size_t)count * sizeof *part), 0, "[%ld, +%ld)", (long)begin,
                         (long)count);
        }
}

/* A changed order would change every run and every checkpoint's meaning: these are the first values as released. */
Test(permute, the_order_of_a_seed_and_epoch_never_changes)
{
    const int64_t want[8] = {956, 1267, 1056, 79, 1443, 373, 397, 1149};
    int64_t got[8];

    permute(42, 5, 1600, 0, 8, got);
    for (int i = 0; i < 8; i++)
        cr_expect_eq(got[i], want[i], "position %d: got %ld, want %ld", i, (long)got[i], (long)want[i]);
}

Test(permute, epochs_and_seeds_have_orders_of_their_own)
{
    enum { N = 1000 };
    int64_t a[N], b[N], c[N];
    int same_epoch = 0, same_seed = 0;

    permute(1, 0, N, 0, N, a);
    permute(1, 1, N, 0, N, b);
    permute(2, 0, N, 0, N, c);
    for (int i = 0; i < N; i++) same_epoch += a[i] == b[i], same_seed += a[i] == c[i];
    /* Two random permutations share one position on average, more than 10 with chance 1e-8. */
    cr_expect_leq(same_epoch, 10, "epochs 0 and 1 share %d of %d positions", same_epoch, N);
    cr_expect_leq(same_seed, 10, "seeds 1 and 2 share %d of %d positions", same_seed, N);
}

/* Chi-square over all (position, value) pairs of small permutations: SEEDS / SMALL expected in each cell. With
 * (SMALL - 1)^2 = 81 degrees of freedom its mean is 81 and deviation 12.7; 150 is beyond 1e-5. */
Test(permute, every_value_is_equally_likely_at_every_position)
{
    double count[SMALL][SMALL] = {{0}}, chi_square = 0.0;
    int64_t at[SMALL];

    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        permute(seed, 0, SMALL, 0, SMALL, at);
        for (int i = 0; i < SMALL; i++) count[i][at[i]]++;
    }
    for (int i = 0; i < SMALL; i++)
        for (int v = 0; v < SMALL; v++)
            chi_square += pow(count[i][v] - (double)SEEDS / SMALL, 2) / ((double)SEEDS / SMALL);
    cr_expect_lt(chi_square, 150.0, "chi-square is %g, want about 81", chi_square);
}

/* All 24 orders of four: 23 degrees of freedom, deviation 6.8; 65 is beyond 1e-5. */
Test(permute, every_order_of_four_is_equally_likely)
{
    double count[256] = {0}, chi_square = 0.0;
    int64_t at[4];

    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        permute(seed, 9, 4, 0, 4, at);
        count[at[0] + 4 * at[1] + 16 * at[2] + 64 * at[3]]++;
    }
    for (int c = 0; c < 256; c++)
        if (count[c] > 0) chi_square += pow(count[c] - SEEDS / 24.0, 2) / (SEEDS / 24.0);
    cr_expect_lt(chi_square, 65.0, "chi-square is %g, want about 23", chi_square);
}

/* Neighbours stay neighbours (value + 1 behind a value) once in a permutation on average: a Poisson count over
 * 100 epochs of 1000, mean 100 and deviation 10. */
Test(permute, neighbours_do_not_stay_neighbours)
{
    enum { N = 1000, EPOCHS = 100 };
    int64_t at[N];
    int kept = 0;

    for (uint32_t epoch = 0; epoch < EPOCHS; epoch++) {
        permute(3, epoch, N, 0, N, at);
        for (int i = 1; i < N; i++) kept += at[i] == at[i - 1] + 1;
    }
    cr_expect(kept > 50 && kept < 150, "%d neighbours kept, want about %d", kept, EPOCHS);
}

/* The correlation of position and value is 0 with deviation 1 / sqrt(N): 0.01 for 10000. */
Test(permute, values_do_not_follow_positions)
{
    enum { N = 10000 };
    int64_t *at = malloc(N * sizeof *at);
    double sum = 0.0;
    const double middle = (N - 1) / 2.0, variance = ((double)N * N - 1) / 12.0;

    permute(11, 0, N, 0, N, at);
    for (int i = 0; i < N; i++) sum += (i - middle) * ((double)at[i] - middle);
    cr_expect_lt(fabs(sum / N / variance), 0.05, "correlation %g", sum / N / variance);
    free(at);
}
