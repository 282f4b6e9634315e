/* Ops of fields and sequences: cumulative sums with their gradient, the cache's append, whole numbers to floats. */
#include "engine/base/formulas.h"
#include "tests/support/op_harness.h"

enum { N = 2, S = 5, C = 37, CAPACITY = 7 };

/* Sums of a few of these are exact in fp32 in any order, and in bf16 while they are below 128. */
static float value(size_t i) { return (float)((i * 7) % 9) * 0.5f - 2.0f; }

static void expect_at(const op_harness *h, int tensor, size_t i, float want, const char *what)
{
    const float got = op_get_one(h, tensor, i);

    cr_expect_eq(got, want, "%s[%zu]: got %g, want %g", what, i, (double)got, (double)want);
}

/* ----------------------------------------------------------------------- cumsum */

static void expect_sums(lk_dtype dtype)
{
    op_harness h;
    int y;

    op_open(&h, LK_TRAIN, 1);
    const int x = op_tensor(&h, "x", LK_ARENA_FIELD, dtype, 3, (int64_t[]){N, S, C});
    h.graph.tensors[x].needs_grad = true;
    op_ok(lk_op_cumsum(&h.graph, "sum", x, S, &y));
    const int dy = op_differentiate(&h, y);
    op_bind(&h);
    for (size_t i = 0; i < N * S * C; i++) op_set_one(&h, x, i, value(i)), op_set_one(&h, dy, i, value(i + 3));
    op_run(&h);
    for (size_t at = 0; at < N * S * C; at++) {
        const size_t n = at / (S * C), s = at / C % S, c = at % C;
        float sum = 0.0f, grad = 0.0f;

        for (size_t k = 0; k <= s; k++) sum += value((n * S + k) * C + c);
        for (size_t k = s; k < S; k++) grad += value((n * S + k) * C + c + 3);
        expect_at(&h, y, at, sum, "y");
        expect_at(&h, op_gradient(&h, x), at, grad, "dx");
    }
    op_close(&h);
}

Test(sequence, cumulative_sums_and_their_gradient)
{
    expect_sums(LK_DTYPE_F32);
    expect_sums(LK_DTYPE_BF16);
}

Test(sequence, cumsum_refuses_other_shapes_with_the_layers_path)
{
    op_harness h;
    int y;

    op_open(&h, LK_TRAIN, 1);
    const int flat = op_tensor(&h, "flat", LK_ARENA_FIELD, LK_DTYPE_F32, 2, (int64_t[]){N, C});
    const int ids = op_tensor(&h, "ids", LK_ARENA_FIELD, LK_DTYPE_I32, 3, (int64_t[]){N, S, C});
    cr_expect_eq(lk_op_cumsum(&h.graph, "block.sum", flat, S, &y), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "block.sum: "), "message: %s", lk_error_message());
    cr_expect_eq(lk_op_cumsum(&h.graph, "block.sum", ids, S, &y), LK_ERR_USAGE);
    op_close(&h);
}

/* ----------------------------------------------------------------------- append */

static void expect_appended(lk_dtype dtype, int64_t position)
{
    enum { L = 2 };
    lk_cache_layout layout = {.rows = N, .capacity = CAPACITY, .collecting = true};
    op_harness h;
    int y;

    op_open(&h, LK_ENCODE, 1);
    h.graph.n = N;
    h.graph.cache = &layout;
    const int x = op_tensor(&h, "x", LK_ARENA_FIELD, dtype, 3, (int64_t[]){N, L, C});
    op_ok(lk_op_append(&h.graph, "kept", x, &y));
    h.used[LK_ARENA_CACHE] = layout.nbytes;
    op_bind(&h);
    for (size_t i = 0; i < N * L * C; i++) op_set_one(&h, x, i, value(i) + 9.0f);
    for (size_t i = 0; i < N * CAPACITY * C; i++) op_set_one(&h, y, i, -1.0f);
    h.run.position = position;
    op_run(&h);
    for (size_t i = 0; i < N * CAPACITY * C; i++) {
        const size_t n = i / (CAPACITY * C), t = i / C % CAPACITY, c = i % C, first = (size_t)position;
        const bool own = t >= first && t < first + L;

        expect_at(&h, y, i, own ? value((n * L + t - first) * C + c) + 9.0f : -1.0f, "entry");
    }
    op_close(&h);
    lk_cache_layout_clear(&layout);
}

Test(sequence, append_writes_the_lanes_positions_and_no_others)
{
    for (int64_t position = 0; position <= CAPACITY - 2; position++) {
        expect_appended(LK_DTYPE_F32, position);
        expect_appended(LK_DTYPE_BF16, position);
    }
}

Test(sequence, an_entry_is_one_thing_in_all_programs)
{
    lk_cache_layout layout = {.rows = N, .capacity = CAPACITY, .collecting = true};
    const int64_t shape[] = {N, CAPACITY, C}, other[] = {N, CAPACITY, C + 1};
    const lk_cache_entry *first, *second, *again;

    op_ok(lk_cache_layout_entry(&layout, "k", LK_DTYPE_F32, 3, shape, &first));
    const size_t offset = first->offset;
    op_ok(lk_cache_layout_entry(&layout, "v", LK_DTYPE_F32, 3, shape, &second));
    op_ok(lk_cache_layout_entry(&layout, "k", LK_DTYPE_F32, 3, shape, &again));
    cr_expect(again->offset == offset && second->offset != offset && layout.n == 2);
    cr_expect_eq(lk_cache_layout_entry(&layout, "k", LK_DTYPE_BF16, 3, shape, &again), LK_ERR_USAGE);
    cr_expect_eq(lk_cache_layout_entry(&layout, "k", LK_DTYPE_F32, 3, other, &again), LK_ERR_USAGE);
    layout.collecting = false;
    cr_expect_eq(lk_cache_layout_entry(&layout, "q", LK_DTYPE_F32, 3, shape, &again), LK_ERR_USAGE);
    lk_cache_layout_clear(&layout);
}

/* -------------------------------------------------------------------- normalize */

Test(sequence, bytes_of_images_become_numbers_with_their_channels_mean_and_deviation)
{
    const lk_pixels pixels = {.n_channels = 3, .mean = {0.485f, 0.456f, 0.406f}, .std = {0.229f, 0.224f, 0.225f}};
    op_harness h;
    int y;

    op_open(&h, LK_TRAIN, 1);
    const int x = op_tensor(&h, "x", LK_ARENA_FIELD, LK_DTYPE_U8, 4, (int64_t[]){1, 16, 16, 3});
    op_ok(lk_op_normalize(&h.graph, "x", &pixels, x, &y));
    op_bind(&h);
    for (size_t i = 0; i < 16 * 16 * 3; i++) op_set_one(&h, x, i, (float)(i % 256));
    op_run(&h);
    for (size_t i = 0; i < 16 * 16 * 3; i++)
        expect_at(&h, y, i, ((float)(i % 256) / 255.0f - pixels.mean[i % 3]) / pixels.std[i % 3], "y");
    op_close(&h);
}

static void expect_as_they_are(lk_dtype dtype, float scale)
{
    op_harness h;
    int y;

    op_open(&h, LK_TRAIN, 1);
    const int x = op_tensor(&h, "x", LK_ARENA_FIELD, dtype, 2, (int64_t[]){N, C});
    op_ok(lk_op_normalize(&h.graph, "x", NULL, x, &y));
    op_bind(&h);
    for (size_t i = 0; i < N * C; i++) op_set_one(&h, x, i, scale * (float)i);
    op_run(&h);
    for (size_t i = 0; i < N * C; i++) expect_at(&h, y, i, scale * (float)i, "y");
    op_close(&h);
}

Test(sequence, other_whole_numbers_are_what_they_are)
{
    expect_as_they_are(LK_DTYPE_U8, 3.0f);
    expect_as_they_are(LK_DTYPE_I32, -50257.0f);
}

Test(sequence, normalize_refuses_floats_and_a_deviation_of_zero)
{
    const lk_pixels flat = {.n_channels = 1, .std = {0.0f}}, three = {.n_channels = 3, .std = {1.0f, 1.0f, 1.0f}};
    op_harness h;
    int y;

    op_open(&h, LK_TRAIN, 1);
    const int bytes = op_tensor(&h, "bytes", LK_ARENA_FIELD, LK_DTYPE_U8, 2, (int64_t[]){N, 4});
    const int floats = op_tensor(&h, "floats", LK_ARENA_FIELD, LK_DTYPE_F32, 2, (int64_t[]){N, 4});
    cr_expect_eq(lk_op_normalize(&h.graph, "in", NULL, floats, &y), LK_ERR_USAGE);
    cr_expect_eq(lk_op_normalize(&h.graph, "in", &flat, bytes, &y), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "channel 0"), "message: %s", lk_error_message());
    cr_expect_eq(lk_op_normalize(&h.graph, "in", &three, bytes, &y), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "in: "), "message: %s", lk_error_message());
    op_close(&h);
}
