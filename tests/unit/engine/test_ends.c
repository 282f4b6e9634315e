/* Rows that nobody reads: which activations have ends, and that leaving out the rows behind them changes no bit of what
 * a lane is for, its loss and its gradients. */
#include "tests/support/op_harness.h"

enum { N = 4, L = 9, C = 16, V = 7, IGNORED = -100 };

/* A small encoder and decoder: what is read, and activations of both sides. */
typedef struct net {
    op_harness h;
    int64_t sample[N];
    int source, source_len, target_in, target;
    int memory, x, logits, loss;
} net;

static int param(net *t, const char *name, int ndim, int64_t rows, int64_t cols)
{
    return op_tensor(&t->h, name, LK_ARENA_PARAMS, LK_DTYPE_F32, ndim, (int64_t[]){rows, cols});
}

static int field(net *t, const char *name, int ndim)
{
    return op_tensor(&t->h, name, LK_ARENA_FIELD, LK_DTYPE_I32, ndim, (int64_t[]){N, L});
}

static int embed(net *t, const char *name, int tokens)
{
    const int table = param(t, name, 2, V, C), places = param(t, "places", 2, L, C);
    int y;

    op_ok(lk_op_embedding(&t->h.graph, name, tokens, table, 4.0f, LK_DTYPE_F32, &y));
    op_ok(lk_op_positions(&t->h.graph, name, y, places, &y));
    op_ok(lk_op_dropout(&t->h.graph, name, 0.1, 2, y, &y));
    return y;
}

static int attend(net *t, const char *name, int q, int kv, int lengths, bool causal)
{
    const lk_attention attention = {.heads = 2, .causal = causal, .p = 0.2, .layer = 1};
    const int w = param(t, name, 2, C, C);
    int k, y, log_sum;

    op_ok(lk_op_linear(&t->h.graph, name, kv, w, LK_NO_TENSOR, &k));
    op_ok(lk_op_attention(&t->h.graph, name, q, k, k, lengths, &attention, &y, &log_sum));
    return y;
}

/* norm(x + relu(w x + b)) */
static int transform(net *t, const char *name, int x)
{
    const int w = param(t, "w", 2, C, C), b = param(t, "b", 1, C, 0);
    const int g = param(t, "g", 1, C, 0), bias = param(t, "bias", 1, C, 0);
    int y;

    op_ok(lk_op_linear(&t->h.graph, name, x, w, b, &y));
    op_ok(lk_op_activation(&t->h.graph, name, LK_ACT_RELU, y, &y));
    op_ok(lk_op_add(&t->h.graph, name, x, y, &y));
    op_ok(lk_op_layer_norm(&t->h.graph, name, y, g, bias, 1e-5f, &y));
    return y;
}

static void build(net *t)
{
    const lk_loss_spec loss = {.kind = LK_LOSS_CROSS_ENTROPY, .ignore_index = IGNORED, .label_smoothing = 0.1f};
    const int64_t one = 1;
    int dy;

    *t = (net){0};
    op_open(&t->h, LK_TRAIN, 1);
    t->h.graph.n = N, t->h.graph.length = L;
    t->source = field(t, "source", 2), t->source_len = field(t, "source_len", 1);
    t->target_in = field(t, "target_in", 2), t->target = field(t, "target", 2);
    t->memory = embed(t, "source table", t->source);
    t->memory = transform(t, "encoder", attend(t, "self", t->memory, t->memory, t->source_len, false));
    t->x = embed(t, "target table", t->target_in);
    t->x = transform(t, "decoder", attend(t, "causal", t->x, t->x, LK_NO_TENSOR, true));
    t->x = attend(t, "cross", t->x, t->memory, t->source_len, false);
    op_ok(lk_op_linear(&t->h.graph, "logits", t->x, param(t, "w", 2, V, C), LK_NO_TENSOR, &t->logits));
    t->loss = op_tensor(&t->h, "loss", LK_ARENA_GRADS, LK_DTYPE_F32, 1, &one);
    op_ok(lk_op_loss(&t->h.graph, "loss", &loss, t->logits, t->target, t->loss, LK_NO_TENSOR, &dy));
    op_ok(lk_graph_differentiate(&t->h.graph, 1, &t->logits, &dy));
}

/* -------------------------------------------------------------------- which */

static void expect_ends(const net *t, int tensor, int of, const char *what)
{
    const lk_ends ends = t->h.graph.tensors[tensor].ends;

    cr_expect_eq(ends.of, of, "%s ends by tensor %d, want %d", what, ends.of, of);
    if (of == t->target) cr_expect_eq(ends.ignore_index, IGNORED, "%s: label %d is ignored", what, ends.ignore_index);
}

Test(ends, a_side_ends_where_its_lengths_or_its_labels_say)
{
    net t;

    build(&t);
    op_ok(lk_graph_find_ends(&t.h.graph));
    expect_ends(&t, t.memory, t.source_len, "what the encoder made");
    expect_ends(&t, op_gradient(&t.h, t.memory), t.source_len, "its gradient");
    expect_ends(&t, t.x, t.target, "the decoder's activation");
    expect_ends(&t, t.logits, t.target, "the logits");
    expect_ends(&t, op_gradient(&t.h, t.logits), t.target, "their gradient");
    expect_ends(&t, t.source, LK_NO_TENSOR, "a field");
    op_close(&t.h);
}

/* Of the encoder alone: a sum along positions needs them all, and so does an output. */
Test(ends, who_mixes_rows_or_hands_them_out_needs_them_all)
{
    for (int output = 0; output < 2; output++) {
        net t;
        int y;

        build(&t);
        if (output) t.h.graph.tensors[t.memory].arena = LK_ARENA_OUTPUT;
        else op_ok(lk_op_cumsum(&t.h.graph, "sum", t.memory, L, &y));
        op_ok(lk_graph_find_ends(&t.h.graph));
        expect_ends(&t, t.memory, LK_NO_TENSOR, "what the encoder made");
        expect_ends(&t, op_gradient(&t.h, t.memory), LK_NO_TENSOR, "its gradient");
        expect_ends(&t, t.logits, t.target, "the logits");
        op_close(&t.h);
    }
}

/* -------------------------------------------------------------------- bits */

/* One sample has no source, one no labels, one fills its lane; a label in the midst of others is ignored. */
static void fill(net *t)
{
    static const int source[N] = {9, 0, 4, 2}, target[N] = {0, 3, 9, 6};

    op_bind(&t->h);
    for (int i = 0; i < t->h.graph.n_tensors; i++)
        if (t->h.graph.tensors[i].arena == LK_ARENA_PARAMS) op_fill(&t->h, i, 7);
    for (size_t at = 0; at < N * L; at++) {
        const size_t n = at / L, i = at % L;

        op_set_one(&t->h, t->source, at, (float)((at * 5 + n) % V));
        op_set_one(&t->h, t->target_in, at, (float)((at * 3 + n) % V));
        op_set_one(&t->h, t->target, at, (int)i < target[n] && at != 2 * L + 4 ? (float)((at * 2 + n) % V) : IGNORED);
    }
    for (size_t n = 0; n < N; n++) {
        op_set_one(&t->h, t->source_len, n, (float)source[n]);
        t->sample[n] = (int64_t)(100 + 31 * n);
    }
    t->h.run.sample = t->sample;
    t->h.run.step = 3;
    t->h.run.inv_count = 1.0f / 16;
}

/* The kernels' buffers hold numbers that are none: a row that is not there must not be read. */
static void spoil(net *t)
{
    float *at = (float *)t->h.arena[LK_ARENA_ACT];

    for (size_t i = 0; i < t->h.used[LK_ARENA_ACT] / sizeof *at; i++) at[i] = NAN;
}

Test(ends, leaving_rows_out_changes_no_bit)
{
    net whole, ragged;

    build(&whole), build(&ragged);
    op_ok(lk_graph_find_ends(&ragged.h.graph));
    fill(&whole), fill(&ragged);
    spoil(&ragged);
    op_run(&whole.h), op_run(&ragged.h);
    const float *want = (const float *)whole.h.arena[LK_ARENA_GRADS];
    const float *got = (const float *)ragged.h.arena[LK_ARENA_GRADS];

    for (size_t i = 0; i < whole.h.used[LK_ARENA_GRADS] / sizeof *want; i++)
        cr_expect_eq(got[i], want[i], "element %zu of the gradients: got %.9g, want %.9g", i, (double)got[i],
                     (double)want[i]);
    cr_expect(isfinite(op_get_one(&ragged.h, ragged.loss, 0)) && op_get_one(&ragged.h, ragged.loss, 0) > 0.0f,
              "the loss is %g", (double)op_get_one(&ragged.h, ragged.loss, 0));
    op_close(&ragged.h), op_close(&whole.h);
}
