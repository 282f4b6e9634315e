/* The tree over lanes: whatever the workers, the same additions. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "dist/reduce/tree.h"

enum { MOST_LANES = 16, N_ELEM = 40 };

static float lanes_value[MOST_LANES][N_ELEM];

/* Values of very different sizes, so that another order of adding gives other bits. */
static void fill_lanes(unsigned seed)
{
    srand(seed);
    for (int l = 0; l < MOST_LANES; l++)
        for (int i = 0; i < N_ELEM; i++) {
            const float mantissa = (float)rand() / (float)RAND_MAX - 0.5f;
            lanes_value[l][i] = mantissa * (float)(1 << (rand() % 20));
        }
}

/* The definition, level by level: a node is the sum of its two children, or its only child. */
static float direct_sum(int lanes, int element)
{
    float value[MOST_LANES];

    for (int l = 0; l < lanes; l++) value[l] = lanes_value[l][element];
    for (int n = lanes; n > 1; n = (n + 1) / 2) {
        for (int i = 0; i < n / 2; i++) value[i] = value[2 * i] + value[2 * i + 1];
        if (n % 2) value[n / 2] = value[n - 1];
    }
    return value[0];
}

/* One worker's lanes into its roots, as the reducer does it. */
static void run_worker(int lanes, int begin, int end, float (*buffer)[N_ELEM], int *n_roots)
{
    lk_tree_local run;
    float *pointer[LK_TREE_DEPTH];

    for (int i = 0; i < LK_TREE_DEPTH; i++) pointer[i] = buffer[i];
    cr_assert_eq(lk_tree_local_new(lanes, begin, end, &run), LK_OK);
    for (int l = begin; l < end; l++) {
        const int i = l - begin;
        memcpy(buffer[run.buffer[i]], lanes_value[l], sizeof lanes_value[l]);
        lk_tree_apply(run.add + run.first_add[i], run.first_add[i + 1] - run.first_add[i], pointer, 0, N_ELEM);
    }
    *n_roots = run.n_roots;
    lk_tree_local_clear(&run);
}

static void expect_same_bits(int lanes, int workers, const float *sum)
{
    for (int i = 0; i < N_ELEM; i++) {
        const float want = direct_sum(lanes, i);
        cr_expect(memcmp(&sum[i], &want, sizeof want) == 0, "%d lanes, %d workers, element %d: got %.9g, want %.9g",
                  lanes, workers, i, (double)sum[i], (double)want);
    }
}

Test(tree, any_number_of_workers_gives_the_bits_of_the_direct_tree)
{
    static float buffer[LK_TREE_DEPTH][N_ELEM], root[MOST_LANES * 4][N_ELEM];

    fill_lanes(1);
    for (int lanes = 1; lanes <= MOST_LANES; lanes++)
        for (int workers = 1; workers <= lanes; workers++) {
            lk_tree_join join;
            float *pointer[MOST_LANES * 4];

            cr_assert_eq(lk_tree_join_new(lanes, workers, &join), LK_OK);
            for (int r = 0; r < workers; r++) {
                int64_t begin, end;
                int n_roots;

                cr_assert_eq(lk_part_rows(lanes, r, workers, &begin, &end), LK_OK);
                run_worker(lanes, (int)begin, (int)end, buffer, &n_roots);
                cr_assert_eq(n_roots, join.first[r + 1] - join.first[r], "worker %d of %d: %d roots, the join says %d",
                             r, workers, n_roots, join.first[r + 1] - join.first[r]);
                memcpy(root[join.first[r]], buffer, (size_t)n_roots * sizeof buffer[0]);
            }
            for (int i = 0; i < join.first[workers]; i++) pointer[i] = root[i];
            lk_tree_apply(join.add, join.n_adds, pointer, 0, N_ELEM);
            expect_same_bits(lanes, workers, root[0]);
            lk_tree_join_clear(&join);
        }
}

/* The test above can fail: adding from left to right gives other bits. */
Test(tree, another_order_gives_other_bits)
{
    int n_differ = 0;

    fill_lanes(1);
    for (int i = 0; i < N_ELEM; i++) {
        float sum = 0;
        for (int l = 0; l < MOST_LANES; l++) sum += lanes_value[l][i];
        const float want = direct_sum(MOST_LANES, i);
        n_differ += memcmp(&sum, &want, sizeof want) != 0;
    }
    cr_expect_gt(n_differ, N_ELEM / 4, "only %d of %d elements depend on the order", n_differ, N_ELEM);
}

Test(tree, halving_is_used_where_one_root_a_worker_makes_the_full_binary_tree)
{
    static const struct { int lanes, workers; bool perfect; } cases[] = {
        {4, 4, true}, {8, 4, true}, {7, 4, true}, {4, 2, true}, {3, 2, true}, {5, 2, false}, {4, 3, false},
        {3, 3, false}, {6, 4, true}, {9, 4, false}, {16, 8, true}, {1, 1, true},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        lk_tree_join join;
        cr_assert_eq(lk_tree_join_new(cases[i].lanes, cases[i].workers, &join), LK_OK);
        cr_expect_eq(join.perfect, cases[i].perfect, "%d lanes on %d workers: got %d, want %d", cases[i].lanes,
                     cases[i].workers, join.perfect, cases[i].perfect);
        lk_tree_join_clear(&join);
    }
}

Test(tree, a_worker_needs_few_arenas)
{
    static const struct { int lanes, begin, end, n_buffers; } cases[] = {
        {1, 0, 1, 1}, {2, 0, 2, 2}, {4, 0, 4, 3}, {64, 0, 64, 7}, {64, 1, 3, 2}, {4, 2, 4, 2},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        lk_tree_local run;
        cr_assert_eq(lk_tree_local_new(cases[i].lanes, cases[i].begin, cases[i].end, &run), LK_OK);
        cr_expect_eq(run.n_buffers, cases[i].n_buffers, "lanes [%d, %d) of %d: got %d arenas, want %d", cases[i].begin,
                     cases[i].end, cases[i].lanes, run.n_buffers, cases[i].n_buffers);
        lk_tree_local_clear(&run);
    }
}

Test(tree, sums_in_double_follow_the_same_tree)
{
    double values[MOST_LANES][N_ELEM], sum[N_ELEM];

    fill_lanes(2);
    for (int lanes = 1; lanes <= MOST_LANES; lanes++) {
        for (int l = 0; l < lanes; l++)
            for (int i = 0; i < N_ELEM; i++) values[l][i] = lanes_value[l][i];
        lk_tree_sum_f64(&values[0][0], lanes, N_ELEM, sum);
        /* Sums of at most 16 floats within 20 binary orders are exact in double, so any order gives this. */
        for (int i = 0; i < N_ELEM; i++) {
            double want = 0;
            for (int l = 0; l < lanes; l++) want += lanes_value[l][i];
            cr_expect_eq(sum[i], want, "%d lanes, element %d: got %.17g, want %.17g", lanes, i, sum[i], want);
        }
    }
}
