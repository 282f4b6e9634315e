/* The graph grows with its edges right; differentiation emits what is needed and nothing else. */
#include <criterion/criterion.h>
#include <string.h>

#include "engine/ops/ops.h"

enum { N = 3, I = 4, O = 2 };

static int tensor(lk_graph *graph, const char *name, lk_arena arena, size_t offset, int ndim, int64_t a, int64_t b)
{
    const int64_t shape[] = {a, b};
    int id;

    cr_assert_eq(lk_graph_tensor(graph, name, LK_DTYPE_F32, ndim, shape, arena, offset, &id), LK_OK);
    graph->tensors[id].needs_grad = arena == LK_ARENA_PARAMS;
    return id;
}

static int count_ops(const lk_graph *graph, lk_op_id op)
{
    int n = 0;

    for (int i = 0; i < graph->n_nodes; i++) n += graph->nodes[i].op == op;
    return n;
}

static int linear(lk_graph *graph, int x, int w)
{
    int y;

    cr_assert_eq(lk_op_linear(graph, "fc", x, w, LK_NO_TENSOR, &y), LK_OK, "%s", lk_error_message());
    return y;
}

/* The gradient that a loss would hand in. */
static void differentiate(lk_graph *graph, int y)
{
    int dy;

    cr_assert_eq(lk_graph_grad(graph, y, &dy), LK_OK);
    cr_assert_eq(lk_graph_differentiate(graph, 1, &y, &dy), LK_OK, "%s", lk_error_message());
}

static int gradient_at(const lk_graph *graph, size_t offset)
{
    for (int t = 0; t < graph->n_tensors; t++)
        if (graph->tensors[t].arena == LK_ARENA_GRADS && graph->tensors[t].offset == offset &&
            graph->tensors[t].producer >= 0)
            return t;
    return LK_NO_TENSOR;
}

Test(graph, ids_stay_valid_while_it_grows_and_edges_are_recorded)
{
    lk_graph graph;

    lk_graph_init(&graph, NULL, LK_TRAIN, LK_FP32, N);
    const int x = tensor(&graph, "x", LK_ARENA_FIELD, 0, 2, N, I), w = tensor(&graph, "w", LK_ARENA_PARAMS, 0, 2, I, I);
    int y = x;
    for (int i = 0; i < 100; i++) y = linear(&graph, y, w);

    cr_expect_str_eq(graph.tensors[x].name, "x");
    cr_expect_eq(graph.tensors[w].n_uses, 100, "got %d uses, want 100", graph.tensors[w].n_uses);
    cr_expect_eq(graph.tensors[y].producer, 99, "got producer %d, want 99", graph.tensors[y].producer);
    cr_expect(graph.tensors[y].needs_grad && !graph.tensors[x].needs_grad);
    lk_graph_clear(&graph);
}

/* Under AddressSanitizer a read after the move would end the test; without it the shapes tell. */
Test(graph, a_tensor_may_be_given_the_shape_of_another)
{
    lk_graph graph;
    int last;

    lk_graph_init(&graph, NULL, LK_TRAIN, LK_FP32, N);
    last = tensor(&graph, "x", LK_ARENA_FIELD, 0, 2, N, I);
    for (int i = 0; i < 200; i++)
        cr_assert_eq(lk_graph_act(&graph, "copy", LK_DTYPE_F32, 2, graph.tensors[last].shape, &last), LK_OK);
    cr_expect(graph.tensors[last].shape[0] == N && graph.tensors[last].shape[1] == I, "got (%ld, %ld), want (%d, %d)",
              (long)graph.tensors[last].shape[0], (long)graph.tensors[last].shape[1], (int)N, (int)I);
    lk_graph_clear(&graph);
}

Test(graph, a_shape_that_cannot_be_is_a_usage_error)
{
    lk_graph graph;
    const int64_t zero[] = {3, 0}, huge[] = {INT64_MAX / 2, 3};
    int id;

    lk_graph_init(&graph, NULL, LK_TRAIN, LK_FP32, N);
    cr_expect_eq(lk_graph_act(&graph, "fc1", LK_DTYPE_F32, 2, zero, &id), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "fc1"), "message: %s", lk_error_message());
    cr_expect_eq(lk_graph_act(&graph, "fc1", LK_DTYPE_F32, 2, huge, &id), LK_ERR_USAGE);
    lk_graph_clear(&graph);
}

Test(autodiff, a_parameter_gets_its_gradient_at_its_own_offset_and_the_input_gets_none)
{
    lk_graph graph;

    lk_graph_init(&graph, NULL, LK_TRAIN, LK_FP32, N);
    const int x = tensor(&graph, "x", LK_ARENA_FIELD, 0, 2, N, I),
              w = tensor(&graph, "w", LK_ARENA_PARAMS, 128, 2, O, I);
    differentiate(&graph, linear(&graph, x, w));

    cr_expect_neq(gradient_at(&graph, 128), LK_NO_TENSOR, "no gradient at the parameter's offset");
    cr_expect_eq(count_ops(&graph, LK_OP_LINEAR_GRAD_W), 1);
    cr_expect_eq(count_ops(&graph, LK_OP_LINEAR_GRAD_X), 0, "the input's gradient was emitted");
    lk_graph_clear(&graph);
}

Test(autodiff, a_frozen_prefix_costs_no_backward_node)
{
    lk_graph graph;

    lk_graph_init(&graph, NULL, LK_TRAIN, LK_FP32, N);
    const int x = tensor(&graph, "x", LK_ARENA_FIELD, 0, 2, N, I);
    const int frozen = tensor(&graph, "frozen", LK_ARENA_PARAMS, 0, 2, I, I);
    const int trainable = tensor(&graph, "trained", LK_ARENA_PARAMS, 64, 2, O, I);
    graph.tensors[frozen].needs_grad = false;
    differentiate(&graph, linear(&graph, linear(&graph, x, frozen), trainable));

    cr_expect_eq(count_ops(&graph, LK_OP_LINEAR_GRAD_W), 1, "got %d weight gradients, want 1",
                 count_ops(&graph, LK_OP_LINEAR_GRAD_W));
    cr_expect_eq(count_ops(&graph, LK_OP_LINEAR_GRAD_X), 0);
    lk_graph_clear(&graph);
}

Test(autodiff, contributions_of_several_readers_are_added_and_end_in_the_gradient_arena)
{
    lk_graph graph;
    int sum, y;

    lk_graph_init(&graph, NULL, LK_TRAIN, LK_FP32, N);
    const int x = tensor(&graph, "x", LK_ARENA_FIELD, 0, 2, N, I),
              w = tensor(&graph, "w", LK_ARENA_PARAMS, 192, 2, I, I);
    /* w is read three times; h has two readers. */
    const int h = linear(&graph, x, w);
    cr_assert_eq(lk_op_add(&graph, "sum", h, linear(&graph, h, w), &sum), LK_OK);
    y = linear(&graph, sum, w);
    const int forward_adds = count_ops(&graph, LK_OP_ADD);
    differentiate(&graph, y);

    const int dw = gradient_at(&graph, 192);
    cr_assert_neq(dw, LK_NO_TENSOR, "no gradient in the arena");
    cr_expect_eq(graph.nodes[graph.tensors[dw].producer].op, LK_OP_ADD, "the arena does not hold the sum");
    /* Two additions for three contributions to w, one for two to h. */
    cr_expect_eq(count_ops(&graph, LK_OP_ADD) - forward_adds, 3, "got %d additions, want 3",
                 count_ops(&graph, LK_OP_ADD) - forward_adds);
    lk_graph_clear(&graph);
}

Test(autodiff, the_list_gives_every_op_a_name_and_a_cost_and_the_flag_says_who_has_a_rule)
{
    for (int id = 0; id < LK_N_OPS; id++) {
        const lk_op *op = lk_op_get((lk_op_id)id);

        cr_expect(op->name && op->flops, "op %d", id);
        cr_expect_eq(op->gradient != NULL, lk_op_is_differentiable((lk_op_id)id), "%s", op->name);
    }
    cr_expect_null(lk_op_get(LK_OP_LINEAR_GRAD_W)->gradient);
    cr_expect_not_null(lk_op_get(LK_OP_LINEAR)->gradient);
}
