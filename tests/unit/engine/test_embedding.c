/* Embeddings and positions: outputs and gradients equal to plain loops, also where tokens repeat and where a table is
 * shared; a token outside the vocabulary is named; what cannot be is refused. */
#include "tests/support/op_harness.h"

#include <stdio.h>

enum { N = 3, L = 5, V = 7, C = 6 };

/* Tokens (N, L), table (V, C). */
typedef struct sizes { int64_t N, L, V, C; } sizes;
static const sizes small = {N, L, V, C}, large = {4, 40, 6, 132}; /* rows of many tokens, and of many channels */

typedef struct net {
    op_harness h;
    sizes s;
    int tokens, table, y, dy;
} net;

static void open_net(net *t, sizes s, lk_dtype dtype, int threads, float scale)
{
    t->s = s;
    op_open(&t->h, LK_TRAIN, threads);
    t->h.graph.n = s.N;
    t->tokens = op_tensor(&t->h, "tokens", LK_ARENA_FIELD, LK_DTYPE_I32, 2, (int64_t[]){s.N, s.L});
    t->table = op_tensor(&t->h, "table", LK_ARENA_PARAMS, LK_DTYPE_F32, 2, (int64_t[]){s.V, s.C});
    op_ok(lk_op_embedding(&t->h.graph, "embed", t->tokens, t->table, scale, dtype, &t->y));
}

/* Tokens repeat; token 0 is not among them. */
static void fill_tokens(net *t)
{
    for (size_t i = 0; i < op_n_elem(&t->h, t->tokens); i++)
        op_set_one(&t->h, t->tokens, i, (float)(1 + i * i % (size_t)(t->s.V - 1)));
}

static void start(net *t)
{
    t->dy = op_differentiate(&t->h, t->y);
    op_bind(&t->h);
    fill_tokens(t);
    op_fill(&t->h, t->table, 1);
    op_fill(&t->h, t->dy, 2);
}

/* Multiples of 1/64 times 4: every sum is exact. */
static void expect_plain(net *t, double scale)
{
    const size_t n_channels = (size_t)t->s.C, n_elem = op_n_elem(&t->h, t->y);
    double *y = calloc(n_elem, sizeof *y), *dtable = calloc(op_n_elem(&t->h, t->table), sizeof *dtable);

    cr_assert(y && dtable);
    for (size_t i = 0; i < n_elem; i++) {
        const size_t at = (size_t)op_get_one(&t->h, t->tokens, i / n_channels) * n_channels + i % n_channels;

        y[i] = scale * (double)op_get_one(&t->h, t->table, at);
        dtable[at] += scale * (double)op_get_one(&t->h, t->dy, i);
    }
    op_expect_equal(&t->h, t->y, y, "y");
    op_expect_equal(&t->h, op_gradient(&t->h, t->table), dtable, "dtable");
    free(dtable), free(y);
}

static void expect_rows(sizes s, lk_dtype dtype, int threads)
{
    net t;

    open_net(&t, s, dtype, threads, 4.0f);
    start(&t);
    op_run(&t.h);
    expect_plain(&t, 4.0);
    op_run(&t.h); /* what is there from the run before is overwritten */
    expect_plain(&t, 4.0);
    op_close(&t.h);
}

Test(embedding, rows_and_their_gradient_are_those_of_plain_loops)
{
    for (int dtype = LK_DTYPE_F32; dtype <= LK_DTYPE_BF16; dtype += LK_DTYPE_BF16 - LK_DTYPE_F32)
        for (int threads = 1; threads <= 2; threads++) {
            expect_rows(small, (lk_dtype)dtype, threads);
            expect_rows(large, (lk_dtype)dtype, threads);
        }
}

/* The table is a linear layer's weight too: both gradients add up. */
/* rewritten: as in a plan, where the CPU adds the rows in the place of what the logits gave. */
static void expect_both_gradients(bool rewritten)
{
    double want[V * C] = {0};
    net t;
    int logits;

    open_net(&t, small, LK_DTYPE_F32, 1, 1.0f);
    op_ok(lk_op_linear(&t.h.graph, "head", t.y, t.table, LK_NO_TENSOR, &logits));
    t.dy = op_differentiate(&t.h, logits);
    if (rewritten) op_ok(t.h.backend->rewrite(t.h.ctx, &t.h.graph));
    if (rewritten && !t.h.backend->device)
        cr_expect_eq(t.h.graph.nodes[t.h.graph.n_nodes - 2].n_fused, 2, "the rows and their addition are no group");
    op_bind(&t.h);
    fill_tokens(&t);
    op_fill(&t.h, t.table, 1);
    op_fill(&t.h, t.dy, 2);
    op_run(&t.h);
    for (size_t i = 0; i < N * L; i++) {
        const size_t token = (size_t)op_get_one(&t.h, t.tokens, i);

        for (size_t v = 0; v < V; v++)
            for (size_t c = 0; c < C; c++) {
                const double dlogit = (double)op_get_one(&t.h, t.dy, i * V + v);

                want[v * C + c] += dlogit * (double)op_get_one(&t.h, t.table, token * C + c);
                want[token * C + c] += dlogit * (double)op_get_one(&t.h, t.table, v * C + c);
            }
    }
    op_expect_equal(&t.h, op_gradient(&t.h, t.table), want, "shared table");
    op_close(&t.h);
}

Test(embedding, a_shared_table_gets_the_sum_of_both_gradients)
{
    expect_both_gradients(false);
    expect_both_gradients(true);
}

/* A device's tokens are not seen by the host: there it shows as NaN, and changes no row of the table. */
static void expect_nan(net *t, size_t place)
{
    double dtable[V * C] = {0};

    op_run(&t->h);
    for (size_t i = 0; i < N * L * C; i++) {
        const float got = op_get_one(&t->h, t->y, i);

        cr_expect_eq(isnan(got) != 0, i / C == place, "token %zu, channel %zu: got %g", i / C, i % C, (double)got);
        if (i / C != place)
            dtable[(size_t)op_get_one(&t->h, t->tokens, i / C) * C + i % C] += (double)op_get_one(&t->h, t->dy, i);
    }
    op_expect_equal(&t->h, op_gradient(&t->h, t->table), dtable, "dtable");
}

Test(embedding, a_token_outside_the_vocabulary_is_named)
{
    const float outside[] = {-1.0f, V};

    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) {
        net t;
        char want[32];

        open_net(&t, small, LK_DTYPE_F32, 1, 1.0f);
        start(&t);
        op_set_one(&t.h, t.tokens, L + 2, outside[i]);
        if (t.h.backend->device) {
            expect_nan(&t, L + 2);
            op_close(&t.h);
            continue;
        }
        snprintf(want, sizeof want, "embed: token %d at position 2", (int)outside[i]);
        cr_expect_eq(t.h.kernels[0].run(t.h.kernels[0].state, &t.h.run), LK_ERR_DATA);
        cr_expect(strstr(lk_error_message(), want), "message: %s, without %s", lk_error_message(), want);
        op_close(&t.h);
    }
}

/* --------------------------------------------------------------- positions */

enum { ROWS = 9 };

static void open_positions(op_harness *h, lk_mode mode, lk_dtype dtype, bool learned, int *x, int *table, int *y)
{
    op_open(h, mode, 1);
    h->graph.n = N;
    *x = op_tensor(h, "x", LK_ARENA_FIELD, dtype, 3, (int64_t[]){N, L, C});
    h->graph.tensors[*x].needs_grad = mode == LK_TRAIN;
    *table = learned ? op_tensor(h, "table", LK_ARENA_PARAMS, LK_DTYPE_F32, 2, (int64_t[]){ROWS, C}) : LK_NO_TENSOR;
    op_ok(lk_op_positions(&h->graph, "where", *x, *table, y));
}

Test(embedding, learned_positions_are_rows_of_their_table)
{
    for (int dtype = LK_DTYPE_F32; dtype <= LK_DTYPE_BF16; dtype += LK_DTYPE_BF16 - LK_DTYPE_F32) {
        double want[N * L * C], dtable[ROWS * C] = {0};
        op_harness h;
        int x, table, y;

        open_positions(&h, LK_TRAIN, (lk_dtype)dtype, true, &x, &table, &y);
        const int dy = op_differentiate(&h, y);
        op_bind(&h);
        op_fill(&h, x, 1), op_fill(&h, table, 2), op_fill(&h, dy, 3);
        op_run(&h);
        for (size_t i = 0; i < N * L * C; i++) {
            want[i] = (double)op_get_one(&h, x, i) + (double)op_get_one(&h, table, i % (L * C));
            dtable[i % (L * C)] += (double)op_get_one(&h, dy, i);
        }
        op_expect_equal(&h, y, want, "y");
        op_expect_equal(&h, op_gradient(&h, table), dtable, "dtable");
        op_close(&h);
    }
}

/* By the textbook, in doubles; ours are rounded to fp32 once, and once more when they are added. */
Test(embedding, sinusoids_are_those_of_the_paper)
{
    op_harness h;
    int x, table, y;

    open_positions(&h, LK_EVAL, LK_DTYPE_F32, false, &x, &table, &y);
    op_bind(&h);
    op_run(&h); /* x is 0 */
    for (size_t i = 0; i < L; i++)
        for (size_t c = 0; c < C; c++) {
            const double angle = (double)i * exp(-log(10000.0) * (double)(c / 2 * 2) / C);
            const double want = c % 2 ? cos(angle) : sin(angle), got = (double)op_get_one(&h, y, i * C + c);

            cr_expect_float_eq(got, want, 2e-7, "position %zu, channel %zu: got %.9g, want %.9g", i, c, got, want);
        }
    op_close(&h);
}

static void expect_refused(lk_status status, const char *what)
{
    cr_expect_eq(status, LK_ERR_USAGE, "%s is not refused", what);
    cr_expect(strstr(lk_error_message(), what), "message: %s, without %s", lk_error_message(), what);
}

Test(embedding, what_cannot_be_is_refused_by_the_layers_name)
{
    op_harness h;
    int y;

    op_open(&h, LK_TRAIN, 1);
    const int flat = op_tensor(&h, "flat", LK_ARENA_FIELD, LK_DTYPE_I32, 1, (int64_t[]){4});
    const int x = op_tensor(&h, "x", LK_ARENA_FIELD, LK_DTYPE_F32, 3, (int64_t[]){2, 4, 3});
    const int table = op_tensor(&h, "table", LK_ARENA_PARAMS, LK_DTYPE_F32, 2, (int64_t[]){3, 3});
    const int vector = op_tensor(&h, "vector", LK_ARENA_PARAMS, LK_DTYPE_F32, 1, (int64_t[]){3});

    expect_refused(lk_op_embedding(&h.graph, "embed", flat, table, 1.0f, LK_DTYPE_F32, &y),
                   "embed: an embedding of int32 (4)");
    expect_refused(lk_op_embedding(&h.graph, "embed", x, table, 1.0f, LK_DTYPE_F32, &y),
                   "embed: an embedding of fp32 (2, 4, 3)");
    const int tokens = op_tensor(&h, "tokens", LK_ARENA_FIELD, LK_DTYPE_I32, 2, (int64_t[]){2, 4});
    expect_refused(lk_op_embedding(&h.graph, "embed", tokens, vector, 1.0f, LK_DTYPE_F32, &y),
                   "embed: the table of an embedding is fp32 (3)");
    expect_refused(lk_op_positions(&h.graph, "where", x, table, &y),
                   "where: a sequence of 4 positions, but the network learns 3");
    expect_refused(lk_op_positions(&h.graph, "where", x, vector, &y), "where: the table of positions is fp32 (3)");
    expect_refused(lk_op_positions(&h.graph, "where", tokens, table, &y), "where: positions of int32 (2, 4)");
    op_close(&h);
}
