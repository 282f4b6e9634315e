/* Channels apart: each part has its own of every row, gradients come together again, a part that leads nowhere gives
 * zeros; both types, threads, refusals.  Numbers only move, so all is equality. */
#include "tests/support/op_harness.h"

#include <stdio.h>

enum { MOST_PARTS = LK_MAX_OUT };

typedef struct parts {
    op_harness h;
    int x, y[MOST_PARTS], n;
    size_t rows, C;
} parts;

static void open_parts(parts *t, int64_t N, int64_t L, int64_t C, int n, lk_dtype dtype, int threads)
{
    t->n = n, t->rows = (size_t)(N * L), t->C = (size_t)C;
    op_open(&t->h, LK_TRAIN, threads);
    t->x = op_tensor(&t->h, "x", LK_ARENA_FIELD, dtype, 3, (int64_t[]){N, L, n * C});
    t->h.graph.tensors[t->x].needs_grad = true;
    op_ok(lk_op_split(&t->h.graph, "split", t->x, n, t->y));
}

static void expect_apart(const parts *t, const char *what)
{
    for (int p = 0; p < t->n; p++)
        for (size_t i = 0; i < t->rows * t->C; i++) {
            const size_t in_whole = (i / t->C * (size_t)t->n + (size_t)p) * t->C + i % t->C;
            const float got = op_get_one(&t->h, t->y[p], i), want = op_get_one(&t->h, t->x, in_whole);

            cr_expect_eq(got, want, "%s: part %d, element %zu: got %g, want %g", what, p, i, (double)got, (double)want);
        }
}

/* dy[p] LK_NO_TENSOR: that part led nowhere. */
static void expect_together(const parts *t, const int *dy, const char *what)
{
    const int dx = op_gradient(&t->h, t->x);

    for (size_t i = 0; i < op_n_elem(&t->h, dx); i++) {
        const size_t part = i / t->C % (size_t)t->n, in_part = i / (t->C * (size_t)t->n) * t->C + i % t->C;
        const float got = op_get_one(&t->h, dx, i);
        const float want = dy[part] == LK_NO_TENSOR ? 0.0f : op_get_one(&t->h, dy[part], in_part);

        cr_expect_eq(got, want, "%s: dx[%zu]: got %g, want %g", what, i, (double)got, (double)want);
    }
}

/* used: bit p says that somebody reads part p. */
static void check(int64_t N, int64_t L, int64_t C, int n, unsigned used, lk_dtype dtype, int threads)
{
    parts t;
    int read[MOST_PARTS], d_read[MOST_PARTS], dy[MOST_PARTS], n_read = 0;
    char what[128];

    snprintf(what, sizeof what, "%d x %d x %d in %d parts, %s, %d threads", (int)N, (int)L, (int)C, n,
             lk_dtype_name(dtype), threads);
    open_parts(&t, N, L, C, n, dtype, threads);
    for (int p = 0; p < n; p++) {
        dy[p] = LK_NO_TENSOR;
        if (!(used >> p & 1u)) continue;
        op_ok(lk_graph_grad(&t.h.graph, t.y[p], &dy[p]));
        read[n_read] = t.y[p], d_read[n_read++] = dy[p];
    }
    op_ok(lk_graph_differentiate(&t.h.graph, n_read, read, d_read));
    op_bind(&t.h);
    op_fill(&t.h, t.x, 1);
    for (int p = 0; p < n_read; p++) op_fill(&t.h, d_read[p], (uint64_t)p + 2);
    op_run(&t.h);
    expect_apart(&t, what);
    expect_together(&t, dy, what);
    op_close(&t.h);
}

Test(split, parts_have_their_channels_and_gradients_come_together)
{
    for (int bf16 = 0; bf16 < 2; bf16++) {
        const lk_dtype dtype = bf16 ? LK_DTYPE_BF16 : LK_DTYPE_F32;

        check(1, 1, 1, 1, 1, dtype, 1);
        check(2, 3, 5, 3, 7, dtype, 1);
        check(4, 7, 1, 6, 63, dtype, 1);
        check(3, 65, 192, 3, 7, dtype, 2);
    }
}

Test(split, a_part_that_leads_nowhere_gives_zeros)
{
    check(2, 3, 5, 3, 5, LK_DTYPE_F32, 1);
    check(2, 3, 4, 2, 2, LK_DTYPE_BF16, 1);
}

static void expect_refused(int64_t channels, int n, lk_dtype dtype, const char *part)
{
    op_harness h;
    int y[MOST_PARTS];

    op_open(&h, LK_TRAIN, 1);
    const int x = op_tensor(&h, "x", LK_ARENA_FIELD, dtype, 2, (int64_t[]){2, channels});
    cr_expect_eq(lk_op_split(&h.graph, "attn.split", x, n, y), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "attn.split: ") && strstr(lk_error_message(), part), "message: %s, want: %s",
              lk_error_message(), part);
    op_close(&h);
}

Test(split, what_does_not_divide_is_refused)
{
    expect_refused(8, 3, LK_DTYPE_F32, "fp32 (2, 8) in 3 parts");
    expect_refused(7, 7, LK_DTYPE_F32, "in 7 parts");
    expect_refused(6, 3, LK_DTYPE_I32, "int32 (2, 6) in 3 parts");
}
