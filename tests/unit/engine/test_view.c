/*
 * Views: the same bytes in another shape, gradients through them, and lives that reach as far as their readers.
 */
#include "tests/support/op_harness.h"

enum { ROWS = 6, COLS = 32 };

Test(view, of_all_of_a_tensor_moves_nothing_forward_or_back)
{
    op_harness h;
    int y, z;

    op_open(&h, LK_TRAIN, 1);
    const int x = op_tensor(&h, "x", LK_ARENA_FIELD, LK_DTYPE_F32, 2, (int64_t[]){ROWS, COLS});
    h.graph.tensors[x].needs_grad = true;
    op_ok(lk_op_activation(&h.graph, "relu", LK_ACT_RELU, x, &y));
    op_ok(lk_op_view(&h.graph, "view", y, 3, (int64_t[]){2, ROWS / 2, COLS}, 0, &z));
    const int dz = op_differentiate(&h, z);
    op_bind(&h);
    op_fill(&h, x, 1);
    op_fill(&h, dz, 2);
    op_run(&h);

    const int dx = op_gradient(&h, x);
    cr_expect_eq(h.graph.tensors[z].ndim, 3);
    cr_expect_eq(op_at(&h, z), op_at(&h, y), "the view lies elsewhere");
    cr_expect_eq(op_at(&h, op_gradient(&h, y)), op_at(&h, dz), "the gradient was copied");
    for (size_t i = 0; i < ROWS * COLS; i++) {
        const float want = op_get_one(&h, x, i) > 0.0f ? op_get_one(&h, dz, i) : 0.0f;
        cr_expect_eq(op_get_one(&h, dx, i), want, "dx[%zu]: got %g, want %g", i, (double)op_get_one(&h, dx, i),
                     (double)want);
    }
    op_close(&h);
}

/* Rows 2 and 3 of a parameter, read by one op, and the whole of it by another: both contribute. */
Test(view, of_a_part_gives_zero_outside_and_adds_to_what_others_contribute)
{
    enum { FIRST = 2, N = 2 };
    op_harness h;
    int part, whole, sum;

    op_open(&h, LK_TRAIN, 1);
    const int w = op_tensor(&h, "w", LK_ARENA_PARAMS, LK_DTYPE_F32, 2, (int64_t[]){ROWS, COLS});
    op_ok(lk_op_view(&h.graph, "part", w, 2, (int64_t[]){N, COLS}, FIRST * COLS, &part));
    op_ok(lk_op_view(&h.graph, "head", w, 2, (int64_t[]){N, COLS}, 0, &whole));
    op_ok(lk_op_add(&h.graph, "sum", part, whole, &sum));
    const int dsum = op_differentiate(&h, sum);
    op_bind(&h);
    op_fill(&h, w, 1);
    op_fill(&h, dsum, 2);
    op_run(&h);

    const float *dw = (const float *)(h.arena[LK_ARENA_GRADS] + h.graph.tensors[w].grad_offset);
    for (size_t i = 0; i < ROWS * COLS; i++) {
        const size_t row = i / COLS;
        const float want = row < 2 * N ? op_get_one(&h, dsum, (row % N) * COLS + i % COLS) : 0.0f;
        cr_expect_eq(dw[i], want, "dw[%zu]: got %g, want %g", i, (double)dw[i], (double)want);
    }
    for (size_t i = 0; i < N * COLS; i++) {
        const float want = op_get_one(&h, w, i) + op_get_one(&h, w, FIRST * COLS + i);
        cr_expect_eq(op_get_one(&h, sum, i), want, "sum[%zu]: got %g, want %g", i, (double)op_get_one(&h, sum, i),
                     (double)want);
    }
    op_close(&h);
}

Test(view, that_does_not_fit_is_refused)
{
    op_harness h;
    int y;

    op_open(&h, LK_TRAIN, 1);
    const int x = op_tensor(&h, "x", LK_ARENA_FIELD, LK_DTYPE_F32, 2, (int64_t[]){ROWS, COLS});
    cr_expect_eq(lk_op_view(&h.graph, "rows", x, 2, (int64_t[]){ROWS, COLS}, COLS, &y), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "rows: (6, 32) from element 32 on is not inside (6, 32)"), "message: %s",
              lk_error_message());
    cr_expect_eq(lk_op_view(&h.graph, "rows", x, 1, (int64_t[]){COLS}, 3, &y), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "does not begin on a cache line"), "message: %s", lk_error_message());
    op_close(&h);
}

/* relu -> view -> read late, with others between: the root's bytes must not be given away before the view is read. */
Test(view, keeps_its_root_alive)
{
    const int64_t shape[] = {ROWS, COLS}, flat[] = {ROWS * COLS};
    lk_graph graph;
    int x, root, view, t, late, out;

    lk_graph_init(&graph, NULL, LK_PREDICT, LK_FP32, ROWS);
    cr_assert_eq(lk_graph_tensor(&graph, "x", LK_DTYPE_F32, 2, shape, LK_ARENA_FIELD, 0, &x), LK_OK);
    op_ok(lk_op_activation(&graph, "root", LK_ACT_RELU, x, &root));
    op_ok(lk_op_view(&graph, "view", root, 1, flat, 0, &view));
    op_ok(lk_op_activation(&graph, "one", LK_ACT_TANH, x, &t));
    op_ok(lk_op_activation(&graph, "two", LK_ACT_TANH, t, &t));
    op_ok(lk_op_view(&graph, "flat", t, 1, flat, 0, &late));
    op_ok(lk_op_add(&graph, "sum", view, late, &out));
    graph.tensors[out].arena = LK_ARENA_OUTPUT;
    op_ok(lk_graph_prune(&graph));
    op_ok(lk_graph_allocate(&graph));

    cr_expect_eq(graph.n_nodes, 4, "got %d nodes, want 4: views are no work", graph.n_nodes);
    cr_expect_eq(graph.tensors[view].offset, graph.tensors[root].offset);
    cr_expect_eq(graph.tensors[root].n_uses, 1, "got %d uses, want the one by way of the view",
                 graph.tensors[root].n_uses);
    cr_expect_eq(graph.act_bytes, 3 * ROWS * COLS * sizeof(float), "got %zu bytes, want three activations of %zu",
                 graph.act_bytes, ROWS * COLS * sizeof(float));
    lk_graph_clear(&graph);
}
