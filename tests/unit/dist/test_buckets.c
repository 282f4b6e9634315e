/* Buckets: they tile the arena from its end to its front, and are complete in that order, whatever becomes final
 * first. */
#include <criterion/criterion.h>

#include "dist/reduce/buckets.h"

static const size_t cut[] = {0, 16, 64, 96}; /* the last tensor ends at 128; behind it statistics and slots */
static const lk_arena_cuts cuts = {.cut = cut, .n = 4, .n_elem = 160};

static void expect_buckets(size_t bucket_bytes, const lk_range *want, size_t n_want)
{
    lk_buckets got;

    cr_assert_eq(lk_buckets_cut(cuts, bucket_bytes, &got), LK_OK);
    cr_assert_eq(got.n, n_want, "%zu bytes: got %zu buckets, want %zu", bucket_bytes, got.n, n_want);
    for (size_t i = 0; i < got.n; i++)
        cr_expect(got.bucket[i].begin == want[i].begin && got.bucket[i].end == want[i].end,
                  "%zu bytes, bucket %zu: got [%zu, %zu), want [%zu, %zu)", bucket_bytes, i, got.bucket[i].begin,
                  got.bucket[i].end, want[i].begin, want[i].end);
    lk_buckets_clear(&got);
}

Test(buckets, they_go_from_the_end_to_the_front_and_are_cut_at_tensors)
{
    expect_buckets(1, (lk_range[]){{96, 160}, {64, 96}, {16, 64}, {0, 16}}, 4);
    expect_buckets(64 * 4, (lk_range[]){{96, 160}, {16, 96}, {0, 16}}, 3);
    expect_buckets(100 * 4, (lk_range[]){{16, 160}, {0, 16}}, 2);
    expect_buckets(160 * 4, (lk_range[]){{0, 160}}, 1);
}

Test(buckets, a_size_of_zero_is_a_usage_error)
{
    lk_buckets got;

    cr_expect_eq(lk_buckets_cut(cuts, 0, &got), LK_ERR_USAGE);
    lk_buckets_clear(&got);
}

/* Slices that cross borders, the front before the end: a bucket waits for those before it. */
Test(buckets, they_are_complete_in_order)
{
    static const struct { lk_range ready; size_t want; } moves[] = {
        {{128, 160}, 0}, {{80, 128}, 1}, {{0, 8}, 1}, {{8, 16}, 1}, {{64, 80}, 2}, {{16, 64}, 4},
    };
    lk_buckets b;

    cr_assert_eq(lk_buckets_cut(cuts, 1, &b), LK_OK);
    for (int step = 0; step < 2; step++) {
        lk_buckets_begin(&b);
        for (size_t i = 0; i < sizeof moves / sizeof moves[0]; i++) {
            lk_buckets_ready(&b, moves[i].ready.begin, moves[i].ready.end);
            cr_expect_eq(b.n_complete, moves[i].want, "step %d, after [%zu, %zu): got %zu, want %zu", step,
                         moves[i].ready.begin, moves[i].ready.end, b.n_complete, moves[i].want);
        }
    }
    lk_buckets_clear(&b);
}
