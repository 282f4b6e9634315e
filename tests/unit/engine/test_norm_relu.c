/* A batch norm and a ReLU in one kernel, maybe with an addition between them, give the bits of one after the other, in
 * both directions and both types. */
#include "tests/support/op_harness.h"

#include <stdio.h>
#include <string.h>

enum { MOST_ELEM = 1 << 15 };

/* What one kernel does, and whether the ReLU's gradient is wanted by others too. */
typedef enum manner { ONE_BY_ONE, TOGETHER, TOGETHER_WITH_READERS } manner;

typedef struct net {
    op_harness h;
    int x, g, b, r, y, dy, relu_dx; /* r: what is added, LK_NO_TENSOR where nothing is */
} net;

/* What is between norm and ReLU: nothing, or a sum in which the norm's result stands first or second. */
typedef enum between { NOTHING, ADD_FIRST, ADD_SECOND, N_BETWEEN } between;

static void make_groups(net *t, manner way)
{
    lk_graph *graph = &t->h.graph;
    int n_groups = 0;

    if (way == ONE_BY_ONE) return;
    op_ok(t->h.backend->rewrite(t->h.ctx, graph));
    for (int i = 0; i < graph->n_nodes; i++) n_groups += graph->nodes[i].n_fused >= 2;
    cr_assert_eq(n_groups, 2, "%d groups, want one a direction", n_groups);
    cr_assert_eq(graph->nodes[0].n_fused, t->r == LK_NO_TENSOR ? 2 : 3);
    for (int i = 0; i < graph->nodes[0].n_fused - 1; i++) graph->tensors[graph->nodes[i].out[0]].swallowed = true;
    graph->tensors[t->relu_dx].swallowed = way == TOGETHER;
}

static void add(net *t, const int64_t shape[4], lk_dtype dtype, between what, int *norm)
{
    t->r = LK_NO_TENSOR;
    if (what == NOTHING) return;
    t->r = op_tensor(&t->h, "r", LK_ARENA_FIELD, dtype, 4, shape);
    op_ok(lk_op_add(&t->h.graph, "add", what == ADD_FIRST ? *norm : t->r, what == ADD_FIRST ? t->r : *norm, norm));
}

static void open_net(net *t, const int64_t shape[4], lk_dtype dtype, int threads, manner way, between what)
{
    const int64_t C = shape[3];
    int norm;

    op_open(&t->h, LK_TRAIN, threads);
    t->x = op_tensor(&t->h, "x", LK_ARENA_FIELD, dtype, 4, shape);
    t->h.graph.tensors[t->x].needs_grad = true;
    t->g = op_tensor(&t->h, "g", LK_ARENA_PARAMS, LK_DTYPE_F32, 1, &C);
    t->b = op_tensor(&t->h, "b", LK_ARENA_PARAMS, LK_DTYPE_F32, 1, &C);
    const int mean = op_tensor(&t->h, "stat_mean", LK_ARENA_GRADS, LK_DTYPE_F32, 1, &C);
    const int var = op_tensor(&t->h, "stat_var", LK_ARENA_GRADS, LK_DTYPE_F32, 1, &C);
    op_ok(lk_op_batch_norm(&t->h.graph, "norm",
                           &(lk_batch_norm){t->x, t->g, t->b, LK_NO_TENSOR, LK_NO_TENSOR, mean, var, 1e-5f, 0.1f},
                           &norm));
    add(t, shape, dtype, what, &norm);
    op_ok(lk_op_activation(&t->h.graph, "relu", LK_ACT_RELU, norm, &t->y));
    t->dy = op_differentiate(&t->h, t->y);
    t->relu_dx = op_gradient(&t->h, norm);
    make_groups(t, way);
    op_bind(&t->h);
    op_fill(&t->h, t->x, 1);
    op_fill(&t->h, t->g, 2);
    op_fill(&t->h, t->b, 3);
    op_fill(&t->h, t->dy, 4);
    if (what != NOTHING) op_fill(&t->h, t->r, 5);
    op_run(&t->h);
}

static void expect_same(const net *one, const net *both, int tensor, const char *what)
{
    float want[MOST_ELEM], got[MOST_ELEM];
    const size_t n = op_n_elem(&one->h, tensor);

    cr_assert_leq(n, MOST_ELEM);
    op_get(&one->h, tensor, want);
    op_get(&both->h, tensor, got);
    for (size_t i = 0; i < n; i++)
        cr_expect_eq(memcmp(&got[i], &want[i], sizeof *got), 0, "%s, %s[%zu]: got %.9g, one by one %.9g", what,
                     one->h.graph.tensors[tensor].name, i, (double)got[i], (double)want[i]);
}

static void check(const int64_t shape[4], lk_dtype dtype, int threads, manner way, between middle)
{
    net one, both;
    char what[96];

    snprintf(what, sizeof what, "%d channels, %s, %d threads, way %d, between %d", (int)shape[3],
             lk_dtype_name(dtype), threads, (int)way, (int)middle);
    open_net(&one, shape, dtype, 1, ONE_BY_ONE, middle);
    open_net(&both, shape, dtype, threads, way, middle);
    const int same[] = {one.y, op_gradient(&one.h, one.x), op_gradient(&one.h, one.g), op_gradient(&one.h, one.b)};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) expect_same(&one, &both, same[i], what);
    if (way == TOGETHER_WITH_READERS) expect_same(&one, &both, one.relu_dx, what);
    op_close(&both.h);
    op_close(&one.h);
}

/* Few channels, of which several rows are taken as one; many; blocks that do not fill up. */
static const int64_t shapes[][4] = {{2, 1, 1, 1}, {3, 5, 7, 3}, {2, 9, 8, 64}, {4, 3, 5, 200}};

Test(norm_relu, one_kernel_gives_the_bits_of_two)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (manner way = TOGETHER; way <= TOGETHER_WITH_READERS; way++)
            for (between middle = NOTHING; middle < N_BETWEEN; middle++) {
                check(shapes[i], LK_DTYPE_F32, 1, way, middle);
                check(shapes[i], LK_DTYPE_BF16, 1, way, middle);
                check(shapes[i], LK_DTYPE_F32, 2, way, middle);
            }
}

/* Another activation, and a norm whose result somebody else reads, stay apart. */
Test(norm_relu, what_is_not_a_relu_alone_is_left_as_it_is)
{
    for (int both = 0; both < 2; both++) {
        const int64_t shape[] = {4, 3}, C = 3;
        op_harness h;
        int norm, y;

        op_open(&h, LK_EVAL, 1);
        const int x = op_tensor(&h, "x", LK_ARENA_FIELD, LK_DTYPE_F32, 2, shape);
        int of[4];
        for (int i = 0; i < 4; i++) of[i] = op_tensor(&h, "c", LK_ARENA_PARAMS, LK_DTYPE_F32, 1, &C);
        op_ok(lk_op_batch_norm(&h.graph, "norm",
                               &(lk_batch_norm){x, of[0], of[1], of[2], of[3], LK_NO_TENSOR, LK_NO_TENSOR, 1e-5f, 0.1f},
                               &norm));
        op_ok(lk_op_activation(&h.graph, "act", both ? LK_ACT_RELU : LK_ACT_TANH, norm, &y));
        if (both) op_ok(lk_op_add(&h.graph, "add", y, norm, &y));
        op_ok(h.backend->rewrite(h.ctx, &h.graph));
        cr_expect_eq(h.graph.nodes[0].n_fused, 0, "case %d: a group of %d", both, h.graph.nodes[0].n_fused);
        lk_graph_clear(&h.graph);
        h.backend->close(h.ctx);
    }
}
