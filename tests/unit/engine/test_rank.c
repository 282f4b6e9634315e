/*
 * Rules over the last axis: samples of sequences, (N, T, C), have the very bits of the same rows as (N * T, C), forward
 * and backward; a dropout mask belongs to the sample, so it differs from that of rows.
 */
#include "tests/support/op_harness.h"

enum { N = 4, T = 3, C = 8, ROWS = N * T };

static const int64_t sequences[] = {N, T, C}, rows[] = {ROWS, C};

/* x through linear, layer norm, GELU and a residual connection into a loss. */
typedef struct net {
    op_harness h;
    int x, w, b, g, beta, target, slot, y, dx;
} net;

static void open_net(net *t, lk_loss_kind loss, int ndim, const int64_t *shape, lk_dtype dtype)
{
    const int64_t square[] = {C, C}, one = 1, vector = C;
    const lk_loss_spec spec = {.kind = loss, .ignore_index = -100};
    const bool labels = loss == LK_LOSS_CROSS_ENTROPY;
    lk_graph *graph = &t->h.graph;
    int y;

    op_open(&t->h, LK_TRAIN, 1);
    t->x = op_tensor(&t->h, "x", LK_ARENA_FIELD, dtype, ndim, shape);
    t->w = op_tensor(&t->h, "w", LK_ARENA_PARAMS, LK_DTYPE_F32, 2, square);
    t->b = op_tensor(&t->h, "b", LK_ARENA_PARAMS, LK_DTYPE_F32, 1, &vector);
    t->g = op_tensor(&t->h, "g", LK_ARENA_PARAMS, LK_DTYPE_F32, 1, &vector);
    t->beta = op_tensor(&t->h, "beta", LK_ARENA_PARAMS, LK_DTYPE_F32, 1, &vector);
    t->target = op_tensor(&t->h, "target", lk_arena_of_field(1), labels ? LK_DTYPE_I32 : LK_DTYPE_F32,
                          labels ? ndim - 1 : ndim, shape);
    t->slot = op_tensor(&t->h, "slot", LK_ARENA_GRADS, LK_DTYPE_F32, 1, &one);
    graph->tensors[t->x].needs_grad = true;
    op_ok(lk_op_linear(graph, "fc", t->x, t->w, t->b, &y));
    op_ok(lk_op_layer_norm(graph, "ln", y, t->g, t->beta, 1e-5f, &y));
    op_ok(lk_op_activation(graph, "act", LK_ACT_GELU, y, &y));
    op_ok(lk_op_add(graph, "add", y, t->x, &t->y));
    op_ok(lk_op_loss(graph, "loss", &spec, t->y, t->target, t->slot, LK_NO_TENSOR, &t->dx));
    op_ok(lk_graph_differentiate(graph, 1, &t->y, &t->dx));
    op_bind(&t->h);
    op_fill(&t->h, t->x, 1), op_fill(&t->h, t->w, 2), op_fill(&t->h, t->b, 3);
    op_fill(&t->h, t->g, 4), op_fill(&t->h, t->beta, 5), op_fill(&t->h, t->target, 6);
    for (size_t r = 0; labels && r < ROWS; r++) op_set_one(&t->h, t->target, r, (float)(r * 5 % C));
    t->h.run.inv_count = 1.0f / (labels ? ROWS : ROWS * C);
    op_run(&t->h);
}

static void expect_same(const net *a, const net *b, int of_a, int of_b)
{
    for (size_t i = 0; i < op_n_elem(&a->h, of_a); i++) {
        const float got = op_get_one(&a->h, of_a, i), want = op_get_one(&b->h, of_b, i);

        cr_expect_eq(got, want, "%s[%zu]: got %.9g of (N, T, C), %.9g of rows", a->h.graph.tensors[of_a].name, i,
                     (double)got, (double)want);
    }
}

static void expect_bits_of_rows(lk_loss_kind loss, lk_dtype dtype)
{
    net a, b;

    open_net(&a, loss, 3, sequences, dtype);
    open_net(&b, loss, 2, rows, dtype);
    cr_assert_eq(a.h.graph.tensors[a.y].ndim, 3);
    expect_same(&a, &b, a.y, b.y);
    expect_same(&a, &b, a.slot, b.slot);
    cr_expect_gt(op_get_one(&a.h, a.slot, 0), 0.0f, "the loss: got %g", (double)op_get_one(&a.h, a.slot, 0));
    expect_same(&a, &b, op_gradient(&a.h, a.x), op_gradient(&b.h, b.x));
    expect_same(&a, &b, op_gradient(&a.h, a.w), op_gradient(&b.h, b.w));
    expect_same(&a, &b, op_gradient(&a.h, a.g), op_gradient(&b.h, b.g));
    op_close(&a.h);
    op_close(&b.h);
}

Test(rank, sequences_have_the_bits_of_their_rows)
{
    expect_bits_of_rows(LK_LOSS_MSE, LK_DTYPE_F32);
    expect_bits_of_rows(LK_LOSS_CROSS_ENTROPY, LK_DTYPE_F32);
}

Test(rank, sequences_have_the_bits_of_their_rows_in_bf16) { expect_bits_of_rows(LK_LOSS_CROSS_ENTROPY, LK_DTYPE_BF16); }

static void mask_of(int64_t n, int ndim, const int64_t *shape, float mask[ROWS * C])
{
    const int64_t sample[] = {7, 8, 9, 10};
    op_harness h;
    int y;

    op_open(&h, LK_TRAIN, 1);
    h.graph.n = n;
    const int x = op_tensor(&h, "x", LK_ARENA_FIELD, LK_DTYPE_F32, ndim, shape);
    op_ok(lk_op_dropout(&h.graph, "drop", 0.5, 0, x, &y));
    op_bind(&h);
    for (size_t i = 0; i < ROWS * C; i++) op_set_one(&h, x, i, 1.0f);
    h.run.sample = sample;
    h.run.n = n;
    op_run(&h);
    op_get(&h, y, mask);
    op_close(&h);
}

/* (sample, element) addresses a mask: how a sample's elements are laid out in axes does not matter. */
Test(rank, a_dropout_mask_is_the_samples_whatever_its_axes)
{
    float of_sequences[ROWS * C], flat[ROWS * C];
    const int64_t flattened[] = {N, T * C};
    int dropped = 0;

    mask_of(N, 3, sequences, of_sequences);
    mask_of(N, 2, flattened, flat);
    for (size_t i = 0; i < ROWS * C; i++) {
        cr_expect_eq(of_sequences[i], flat[i], "element %zu: got %g, want %g", i, (double)of_sequences[i],
                     (double)flat[i]);
        dropped += flat[i] == 0.0f;
    }
    cr_expect(dropped > 20 && dropped < 76, "%d of 96 dropped", dropped);
}

Test(rank, labels_must_be_one_for_each_row)
{
    const lk_loss_spec spec = {.kind = LK_LOSS_CROSS_ENTROPY};
    const int64_t one_a_sample[] = {N};
    op_harness h;
    int dx;

    op_open(&h, LK_TRAIN, 1);
    const int x = op_tensor(&h, "x", LK_ARENA_FIELD, LK_DTYPE_F32, 3, sequences);
    const int label = op_tensor(&h, "label", lk_arena_of_field(1), LK_DTYPE_I32, 1, one_a_sample);
    cr_expect_eq(lk_op_loss(&h.graph, "loss", &spec, x, label, 0, LK_NO_TENSOR, &dx), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "expected int32 (4, 3), one for each row"), "message: %s", lk_error_message());
    op_close(&h);
}
