/* Patch merging: numbers and gradients are where torchvision's slices put them, on even and odd sides. */
#include "tests/support/op_harness.h"

/* torchvision: x0 = x[0::2, 0::2], x1 = x[1::2, 0::2], x2 = x[0::2, 1::2], x3 = x[1::2, 1::2], beside each other. */
static void expect_slices(int64_t N, int64_t H, int64_t W, int64_t C, lk_dtype dtype, int threads)
{
    const int64_t down = (H + 1) / 2, across = (W + 1) / 2;
    op_harness h;
    int y;

    op_open(&h, LK_TRAIN, threads);
    const int x = op_tensor(&h, "x", LK_ARENA_FIELD, dtype, 4, (int64_t[]){N, H, W, C});
    h.graph.tensors[x].needs_grad = true;
    op_ok(lk_op_patch_merge(&h.graph, "merge", x, &y));
    cr_assert_eq(op_n_elem(&h, y), (size_t)(N * down * across * 4 * C));
    const int dy = op_differentiate(&h, y), dx = op_gradient(&h, x);
    op_bind(&h);
    op_fill(&h, x, 1);
    op_fill(&h, dy, 2);
    op_run(&h);
    for (int64_t at = 0; at < N * down * across * 4 * C; at++) {
        const int64_t c = at % C, part = at / C % 4, token = at / (4 * C);
        const int64_t row = token / across % down * 2 + part % 2, col = token % across * 2 + part / 2;
        const int64_t from = ((token / (across * down) * H + row) * W + col) * C + c;
        const bool inside = row < H && col < W;
        const float got = op_get_one(&h, y, (size_t)at), want = inside ? op_get_one(&h, x, (size_t)from) : 0.0f;

        cr_expect_eq(got, want, "%ld x %ld: y[%ld]: got %g, want %g", (long)H, (long)W, (long)at, (double)got,
                     (double)want);
        if (!inside) continue;
        const float back = op_get_one(&h, dx, (size_t)from), given = op_get_one(&h, dy, (size_t)at);
        cr_expect_eq(back, given, "%ld x %ld: dx[%ld]: got %g, want %g", (long)H, (long)W, (long)from, (double)back,
                     (double)given);
    }
    op_close(&h);
}

Test(patch_merge, numbers_and_gradients_are_where_torchvision_has_them)
{
    const int64_t shapes[][4] = {{2, 4, 6, 3}, {1, 5, 4, 8}, {3, 4, 5, 1}, {2, 7, 7, 16}, {1, 1, 1, 4}};

    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const int64_t *s = shapes[i];

        expect_slices(s[0], s[1], s[2], s[3], LK_DTYPE_F32, 1);
        expect_slices(s[0], s[1], s[2], s[3], LK_DTYPE_BF16, 1);
    }
    expect_slices(4, 33, 32, 64, LK_DTYPE_F32, 2); /* large enough for a second thread */
}

Test(patch_merge, rows_are_refused_by_the_layers_name)
{
    op_harness h;
    int y;

    op_open(&h, LK_TRAIN, 1);
    const int x = op_tensor(&h, "x", LK_ARENA_FIELD, LK_DTYPE_F32, 3, (int64_t[]){1, 4, 8});
    cr_expect_eq(lk_op_patch_merge(&h.graph, "features.2", x, &y), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "features.2: ") && strstr(lk_error_message(), "(1, 4, 8)"), "message: %s",
              lk_error_message());
    op_close(&h);
}
