/* The order of samples: every sample once an epoch, the same from any position, bounded where the data are in
 * blocks. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "io/data/shuffle.h"

static const struct { int64_t n, block, window; } cases[] = {
    {1, 0, 0},   {100, 0, 0},  {100, 10, 3}, {103, 10, 3}, {95, 10, 1},
    {7, 10, 2},  {10, 10, 2},  {64, 1, 8},   {1000, 7, 11}, {21, 10, 100},
};
enum { N_CASES = sizeof cases / sizeof *cases, EPOCHS = 4 };

static int64_t *whole_epoch(lk_shuffle *s, int64_t epoch)
{
    int64_t *sample = calloc((size_t)s->n, sizeof *sample);
    lk_shuffle_range(s, epoch, 0, s->n, sample);
    return sample;
}

Test(shuffle, every_sample_comes_once_an_epoch)
{
    for (int c = 0; c < N_CASES; c++)
        for (int64_t epoch = 0; epoch < EPOCHS; epoch++) {
            lk_shuffle s;
            cr_assert_eq(lk_shuffle_init(&s, cases[c].n, true, 5, cases[c].block, cases[c].window), LK_OK);
            int64_t *sample = whole_epoch(&s, epoch);
            int *seen = calloc((size_t)s.n, sizeof *seen);
            for (int64_t i = 0; i < s.n; i++) {
                cr_assert(sample[i] >= 0 && sample[i] < s.n, "case %d: sample %lld", c, (long long)sample[i]);
                seen[sample[i]]++;
            }
            for (int64_t i = 0; i < s.n; i++)
                cr_assert_eq(seen[i], 1, "case %d, epoch %lld: sample %lld comes %d times", c, (long long)epoch,
                             (long long)i, seen[i]);
            free(seen), free(sample);
            lk_shuffle_clear(&s);
        }
}

/* As a resumed run and as another worker would ask: from anywhere, in any order of epochs. */
Test(shuffle, a_part_is_the_same_however_it_is_come_to)
{
    for (int c = 0; c < N_CASES; c++) {
        lk_shuffle s, other;
        cr_assert_eq(lk_shuffle_init(&s, cases[c].n, true, 5, cases[c].block, cases[c].window), LK_OK);
        cr_assert_eq(lk_shuffle_init(&other, cases[c].n, true, 5, cases[c].block, cases[c].window), LK_OK);
        int64_t *sample = whole_epoch(&s, 2);
        for (int64_t begin = s.n - 1; begin >= 0; begin -= 3) {
            int64_t part[5], unused;
            const int64_t n = s.n - begin < 5 ? s.n - begin : 5;
            lk_shuffle_range(&other, begin % 2, 0, 1, &unused);
            lk_shuffle_range(&other, 2, begin, n, part);
            cr_assert_eq(memcmp(part, sample + begin, (size_t)n * sizeof *part), 0, "case %d from %lld", c,
                         (long long)begin);
        }
        free(sample);
        lk_shuffle_clear(&s);
        lk_shuffle_clear(&other);
    }
}

Test(shuffle, epochs_and_seeds_have_orders_of_their_own)
{
    for (int c = 1; c < 5; c++) {
        lk_shuffle s, other;
        cr_assert_eq(lk_shuffle_init(&s, cases[c].n, true, 5, cases[c].block, cases[c].window), LK_OK);
        cr_assert_eq(lk_shuffle_init(&other, cases[c].n, true, 6, cases[c].block, cases[c].window), LK_OK);
        int64_t *a = whole_epoch(&s, 0), *b = whole_epoch(&s, 1), *d = whole_epoch(&other, 0);
        cr_expect_neq(memcmp(a, b, (size_t)s.n * sizeof *a), 0, "case %d: two epochs are alike", c);
        cr_expect_neq(memcmp(a, d, (size_t)s.n * sizeof *a), 0, "case %d: two seeds are alike", c);
        free(a), free(b), free(d);
        lk_shuffle_clear(&s);
        lk_shuffle_clear(&other);
    }
}

/* Whoever goes through an epoch reads every block once, if it keeps one window and what was read ahead. */
Test(shuffle, a_window_and_the_next_are_enough)
{
    enum { BATCH = 4, MOST = 64 };
    for (int c = 2; c < N_CASES; c++) {
        lk_shuffle s;
        cr_assert_eq(lk_shuffle_init(&s, cases[c].n, true, 5, cases[c].block, cases[c].window), LK_OK);
        const int64_t blocks = (s.n + s.block - 1) / s.block;
        int64_t *first = calloc((size_t)blocks, sizeof *first), *last = calloc((size_t)blocks, sizeof *last);
        int64_t *sample = whole_epoch(&s, 1);
        for (int64_t i = 0; i < s.n; i++) {
            const int64_t b = sample[i] / s.block;
            first[b] = first[b] ? first[b] : i + 1;
            last[b] = i + 1;
        }
        for (int64_t i = 0; i < s.n; i++) {
            int64_t open = 0;
            for (int64_t b = 0; b < blocks; b++) open += first[b] <= i + 1 && last[b] >= i + 1;
            cr_assert_leq(open, s.window, "case %d: %lld blocks are open at %lld", c, (long long)open, (long long)i);
        }
        /* Every block but those of the first window is announced once, before its first use. */
        int64_t announced = 0, ahead[MOST];
        for (int64_t at = 0; at < s.n; at += BATCH) {
            const int64_t n = lk_shuffle_ahead(&s, 1, at, BATCH < s.n - at ? BATCH : s.n - at, MOST, ahead);
            for (int64_t i = 0; i < n; i++)
                cr_assert_gt(first[ahead[i]], at, "case %d: block %lld comes too late", c, (long long)ahead[i]);
            announced += n;
        }
        cr_expect_leq(announced, blocks - s.window, "case %d: %lld announced", c, (long long)announced);
        free(first), free(last), free(sample);
        lk_shuffle_clear(&s);
    }
}

Test(shuffle, without_it_samples_come_in_order)
{
    lk_shuffle s;
    int64_t sample[3];
    cr_assert_eq(lk_shuffle_init(&s, 10, false, 5, 4, 2), LK_OK);
    lk_shuffle_range(&s, 3, 6, 3, sample);
    cr_expect(sample[0] == 6 && sample[1] == 7 && sample[2] == 8);
    lk_shuffle_clear(&s);
}
