/* The world: agreement, collectives, lanes, orders. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

static void a_failure_of_one_worker_reaches_all(void)
{
    const int size = lk_world_size(world), rank = lk_world_rank(world);

    for (int bad = 0; bad < size; bad++) {
        char want[256];
        const lk_status mine = rank >= bad ? LK_FAIL(LK_ERR_DATA, "line %d is broken", 10 + rank) : LK_OK;
        const lk_status all = lk_world_agree(world, mine);

        snprintf(want, sizeof want, size == 1 ? "line 10 is broken" : "rank %d (%s): line %d is broken", bad,
                 lk_world_host(world, bad), 10 + bad);
        check(all == LK_ERR_DATA, "agree: got %d, want %d", (int)all, (int)LK_ERR_DATA);
        check(strcmp(lk_error_message(), want) == 0, "message: got '%s', want '%s'", lk_error_message(), want);

        /* Agreed once more, as a caller further up does: no second prefix. */
        check(lk_world_agree(world, all) == LK_ERR_DATA, "agreed again: still the failure");
        check(strcmp(lk_error_message(), want) == 0, "again: got '%s', want '%s'", lk_error_message(), want);
        check_say("agree: rank %d and above fail: '%s'\n", bad, lk_error_message());
    }
    check(lk_world_agree(world, LK_OK) == LK_OK, "all well: agree says LK_OK");
}

static void collectives_move_what_they_say(void)
{
    enum { N = 1000 };
    const int size = lk_world_size(world), rank = lk_world_rank(world);
    int buffer[N], *all = rank == 0 ? malloc((size_t)size * sizeof buffer) : NULL;

    for (int i = 0; i < N; i++) buffer[i] = rank == 0 ? 3 * i : -1;
    MUST(lk_world_broadcast(world, buffer, sizeof buffer));
    for (int i = 0; i < N; i++)
        check(buffer[i] == 3 * i, "broadcast, element %d: got %d, want %d", i, buffer[i], 3 * i);

    for (int i = 0; i < N; i++) buffer[i] = 1000 * rank + i;
    MUST(lk_world_gather(world, buffer, sizeof buffer, all));
    for (int r = 0; all && r < size; r++)
        for (int i = 0; i < N; i++)
            check(all[r * N + i] == 1000 * r + i, "gather, rank %d: got %d, want %d", r, all[r * N + i], 1000 * r + i);
    free(all);
    check_say("broadcast and gather of %d bytes\n", (int)sizeof buffer);
}

static void texts_of_any_length_are_gathered(void)
{
    const int size = lk_world_size(world), rank = lk_world_rank(world);
    char mine[64], want[64], **all;

    snprintf(mine, sizeof mine, "%.*s", rank * 7, "I am a text that grows with the rank of its worker");
    MUST(lk_world_gather_text(world, mine, &all));
    check((all != NULL) == (rank == 0), "texts are the leader's alone");
    for (int r = 0; all && r < size; r++) {
        snprintf(want, sizeof want, "%.*s", r * 7, "I am a text that grows with the rank of its worker");
        check(strcmp(all[r], want) == 0, "text of rank %d: got '%s', want '%s'", r, all[r], want);
    }
    if (all) check_say("texts: the last is '%s'\n", all[size - 1]);
    free(all);
}

static void sums_over_lanes_do_not_depend_on_the_workers(void)
{
    enum { LANES = 7, N = 3 };
    /* 1e16 + 1 rounds back to 1e16, so the tree gives 3 and adding from left to right 4. */
    static const double lane[LANES] = {1e16, 1, -1e16, 1, 1, 1, 1};
    const double want = ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + lane[6]);
    double mine[LANES][N], sum[N];
    int begin, end;

    MUST(lk_world_lanes(world, LANES, &begin, &end));
    for (int l = begin; l < end; l++)
        for (int i = 0; i < N; i++) mine[l - begin][i] = lane[l] * (i + 1);
    MUST(lk_world_sum_lanes(world, LANES, &mine[0][0], N, sum));
    check(sum[0] == want, "sum of lanes: got %.17g, want %.17g", sum[0], want);
    check_say("sum over %d lanes: %.17g, want %.17g\n", LANES, sum[0], want);
}

static void more_workers_than_lanes_is_the_same_error_on_all(void)
{
    const int size = lk_world_size(world);
    int begin, end;

    check(lk_world_lanes(world, 0, &begin, &end) == LK_ERR_USAGE, "no lanes: an error");
    if (size == 1) return;
    check(lk_world_lanes(world, size - 1, &begin, &end) == LK_ERR_USAGE, "fewer lanes than workers: an error");
    check_say("too few lanes: '%s'\n", lk_error_message());
}

static void orders_reach_everybody_while_they_compute(void)
{
    lk_order order;

    for (int step = 0; step < 100; step++) {
        memset(&order, 0, sizeof order);
        if (lk_world_rank(world) == 0)
            order = (lk_order){.step = step, .flags = LK_ORDER_STOP, .n_groups = 1, .lr = {0.5 / (step + 1)}};
        MUST(lk_order_begin(world, &order));
        lk_world_progress(world, step, "forward");
        MUST(lk_order_wait(world, step));
        check(order.lr[0] == 0.5 / (step + 1) && order.flags == LK_ORDER_STOP, "order of step %d: got lr %g, want %g",
              step, order.lr[0], 0.5 / (step + 1));
    }
    order.step = 7;
    MUST(lk_order_begin(world, &order));
    check(lk_order_wait(world, 8) == LK_ERR_PEER, "an order for another step is an error");
    check_say("orders: '%s'\n", lk_error_message());
}

int main(void)
{
    char text[256];

    check_start(60);
    lk_world_describe(world, text, sizeof text);
    check_say("%s\n", text);
    check(lk_world_n_hosts(world) == 1, "%d hosts", lk_world_n_hosts(world));
    MUST(lk_world_barrier(world));
    a_failure_of_one_worker_reaches_all();
    collectives_move_what_they_say();
    texts_of_any_length_are_gathered();
    sums_over_lanes_do_not_depend_on_the_workers();
    more_workers_than_lanes_is_the_same_error_on_all();
    orders_reach_everybody_while_they_compute();
    return check_finish();
}
