/* Places: workers of a host are neighbours in the tree, however the launcher dealt ranks to hosts. */
#include "dist/world/world.h"

#include <criterion/criterion.h>

enum { N = 6 };

static void expect_places(const int first[N], const int want[N])
{
    for (int rank = 0; rank < N; rank++) {
        int rank_at[N];
        const int place = lk_places_make(first, N, rank, rank_at);

        cr_expect_eq(rank_at[place], rank, "rank %d is in place %d, which is rank %d's", rank, place, rank_at[place]);
        for (int p = 0; p < N; p++)
            cr_expect_eq(rank_at[p], want[p], "place %d: got %d, want %d", p, rank_at[p], want[p]);
    }
}

Test(places, hosts_one_after_another_keep_their_ranks)
{
    expect_places((const int[N]){0, 0, 0, 3, 3, 3}, (const int[N]){0, 1, 2, 3, 4, 5});
    expect_places((const int[N]){0, 1, 2, 3, 4, 5}, (const int[N]){0, 1, 2, 3, 4, 5});
}

Test(places, ranks_dealt_in_turn_come_together)
{
    expect_places((const int[N]){0, 1, 0, 1, 0, 1}, (const int[N]){0, 2, 4, 1, 3, 5});
    expect_places((const int[N]){0, 1, 2, 0, 1, 0}, (const int[N]){0, 3, 5, 1, 4, 2});
}
