/* What moves or rounds values: cast, flatten, add. */
#include "tests/support/op_harness.h"

#include <math.h>

static float as_float(uint32_t bits)
{
    float f;

    memcpy(&f, &bits, sizeof f);
    return f;
}

Test(bf16, rounds_to_nearest_ties_to_even_and_keeps_what_is_special)
{
    const struct { uint32_t f32; uint16_t bf16; } cases[] = {
        {0x00000000, 0x0000}, {0x80000000, 0x8000},                       /* zeros */
        {0x3f800000, 0x3f80}, {0x3f808000, 0x3f80}, {0x3f808001, 0x3f81}, /* one; half way to even; just above */
        {0x3f818000, 0x3f82}, {0x3f817fff, 0x3f81},                       /* half way, upwards to even; just below */
        {0x7f7fffff, 0x7f80}, {0x7f800000, 0x7f80}, {0xff800000, 0xff80}, /* too large; infinities */
        {0x7f800001, 0x7fc0}, {0xffc12345, 0xffc1}, {0x7fffffff, 0x7fff}, /* NaNs, signalling and quiet */
        {0x00008000, 0x0000}, {0x00008001, 0x0001}, {0x007fffff, 0x0080}, /* subnormals */
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const uint16_t got = cpu_bf16_from_f32(as_float(cases[i].f32));
        cr_expect_eq(got, cases[i].bf16, "%08x: got %04x, want %04x", cases[i].f32, got, cases[i].bf16);
    }
}

Test(bf16, every_value_survives_the_way_to_fp32_and_back)
{
    for (uint32_t h = 0; h <= UINT16_MAX; h++) {
        const float f = cpu_bf16_to_f32((uint16_t)h);
        const uint16_t want = (uint16_t)(isnan(f) ? h | 0x40u : h), got = cpu_bf16_from_f32(f);
        cr_expect_eq(got, want, "%04x: got %04x, want %04x", h, got, want);
    }
}

enum { LONG = 100003 };

/* Long enough that two threads share it; the loop must do what the function for one value does. */
static void check_cast(int threads)
{
    op_harness h;
    int y, z;

    op_open(&h, LK_TRAIN, threads);
    const int x = op_tensor(&h, "x", LK_ARENA_FIELD, LK_DTYPE_F32, 1, (int64_t[]){LONG});
    h.graph.tensors[x].needs_grad = true;
    op_ok(lk_op_cast(&h.graph, "to bf16", LK_DTYPE_BF16, x, &y));
    op_ok(lk_op_cast(&h.graph, "to fp32", LK_DTYPE_F32, y, &z));
    const int dz = op_differentiate(&h, z);
    op_bind(&h);
    for (size_t i = 0; i < LONG; i++) op_set_one(&h, x, i, sinf((float)i)), op_set_one(&h, dz, i, cosf((float)i));
    op_run(&h);
    const int dx = op_gradient(&h, x);
    for (size_t i = 0; i < LONG; i++) {
        const float want = cpu_bf16_to_f32(cpu_bf16_from_f32(sinf((float)i)));
        const float want_d = cpu_bf16_to_f32(cpu_bf16_from_f32(cosf((float)i)));
        const float got = op_get_one(&h, z, i), got_d = op_get_one(&h, dx, i);
        cr_expect_eq(got, want, "%zu: got %.9g, want %.9g", i, (double)got, (double)want);
        cr_expect_eq(got_d, want_d, "d %zu: got %.9g, want %.9g", i, (double)got_d, (double)want_d);
    }
    op_close(&h);
}

Test(cast, rounds_and_its_gradient_is_cast_back)
{
    check_cast(1);
    check_cast(2);
}

Test(cast, only_between_float_types)
{
    op_harness h;
    int y;

    op_open(&h, LK_TRAIN, 1);
    const int x = op_tensor(&h, "x", LK_ARENA_FIELD, LK_DTYPE_I32, 1, (int64_t[]){3});
    cr_expect_eq(lk_op_cast(&h.graph, "input", LK_DTYPE_F32, x, &y), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "input: no cast from int32 to fp32"), "message: %s", lk_error_message());
    op_close(&h);
}

static void check_flatten(lk_dtype dtype, int64_t N, int64_t H, int64_t W, int64_t C)
{
    op_harness h;
    int y;

    op_open(&h, LK_TRAIN, 2);
    const int x = op_tensor(&h, "x", LK_ARENA_FIELD, dtype, 4, (int64_t[]){N, H, W, C});
    h.graph.tensors[x].needs_grad = true;
    op_ok(lk_op_flatten(&h.graph, "flatten", x, &y));
    const int dy = op_differentiate(&h, y);
    op_bind(&h);
    op_fill(&h, x, 1);
    op_fill(&h, dy, 2);
    op_run(&h);
    const int dx = op_gradient(&h, x);
    for (int64_t n = 0; n < N; n++)
        for (int64_t i = 0; i < H * W; i++)
            for (int64_t c = 0; c < C; c++) {
                const size_t image = (size_t)((n * H * W + i) * C + c), row = (size_t)((n * C + c) * H * W + i);
                cr_expect_eq(op_get_one(&h, y, row), op_get_one(&h, x, image), "y[%zu]: got %g, want %g", row,
                             (double)op_get_one(&h, y, row), (double)op_get_one(&h, x, image));
                cr_expect_eq(op_get_one(&h, dx, image), op_get_one(&h, dy, row), "dx[%zu]: got %g, want %g", image,
                             (double)op_get_one(&h, dx, image), (double)op_get_one(&h, dy, row));
            }
    op_close(&h);
}

Test(flatten, puts_channels_before_pixels_and_back)
{
    check_flatten(LK_DTYPE_F32, 1, 1, 1, 1);
    check_flatten(LK_DTYPE_F32, 2, 3, 5, 7);
    check_flatten(LK_DTYPE_F32, 31, 7, 7, 64);
    check_flatten(LK_DTYPE_BF16, 3, 13, 5, 37);
}

Test(flatten, takes_images_only)
{
    op_harness h;
    int y;

    op_open(&h, LK_TRAIN, 1);
    const int x = op_tensor(&h, "x", LK_ARENA_FIELD, LK_DTYPE_F32, 2, (int64_t[]){3, 4});
    cr_expect_eq(lk_op_flatten(&h.graph, "flatten", x, &y), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "flatten: flatten takes images"), "message: %s", lk_error_message());
    op_close(&h);
}

static void check_add(lk_dtype dtype)
{
    op_harness h;
    int y;
    const int64_t shape[] = {LONG};

    op_open(&h, LK_TRAIN, 2);
    const int a = op_tensor(&h, "a", LK_ARENA_FIELD, dtype, 1, shape),
              b = op_tensor(&h, "b", LK_ARENA_FIELD, dtype, 1, shape);
    op_ok(lk_op_add(&h.graph, "residual", a, b, &y));
    op_bind(&h);
    op_fill(&h, a, 1);
    op_fill(&h, b, 2);
    op_run(&h);
    double *want = op_doubles(&h, a), *other = op_doubles(&h, b);
    for (size_t i = 0; i < LONG; i++) want[i] += other[i];
    op_expect_equal(&h, y, want, lk_dtype_name(dtype));
    free(want);
    free(other);
    op_close(&h);
}

Test(add, sums_are_rounded_once)
{
    check_add(LK_DTYPE_F32);
    check_add(LK_DTYPE_BF16);
}

/* y = (a + p) + (a + p): da = 2 dy through aliases and a sum, dp the same in the gradient arena. */
Test(add, gradients_of_activations_and_parameters)
{
    op_harness h;
    int s, y;
    const int64_t shape[] = {5};

    op_open(&h, LK_TRAIN, 1);
    const int a = op_tensor(&h, "a", LK_ARENA_FIELD, LK_DTYPE_F32, 1, shape);
    const int p = op_tensor(&h, "p", LK_ARENA_PARAMS, LK_DTYPE_F32, 1, shape);
    h.graph.tensors[a].needs_grad = true;
    op_ok(lk_op_add(&h.graph, "s", a, p, &s));
    op_ok(lk_op_add(&h.graph, "y", s, s, &y));
    const int dy = op_differentiate(&h, y), dp = op_gradient(&h, p);
    op_bind(&h);
    op_fill(&h, dy, 2);
    op_run(&h);
    cr_expect_eq(h.graph.tensors[dp].arena, LK_ARENA_GRADS);
    for (size_t i = 0; i < 5; i++)
        cr_expect_eq(op_get_one(&h, dp, i), 2.0f * op_get_one(&h, dy, i), "dp[%zu]: got %g, want %g", i,
                     (double)op_get_one(&h, dp, i), 2.0 * (double)op_get_one(&h, dy, i));
    op_close(&h);
}

Test(add, shapes_and_types_must_agree)
{
    op_harness h;
    int y;

    op_open(&h, LK_TRAIN, 1);
    const int a = op_tensor(&h, "a", LK_ARENA_FIELD, LK_DTYPE_F32, 2, (int64_t[]){2, 3});
    const int b = op_tensor(&h, "b", LK_ARENA_FIELD, LK_DTYPE_F32, 2, (int64_t[]){2, 4});
    const int c = op_tensor(&h, "c", LK_ARENA_FIELD, LK_DTYPE_BF16, 2, (int64_t[]){2, 3});
    const int d = op_tensor(&h, "d", LK_ARENA_FIELD, LK_DTYPE_F32, 1, (int64_t[]){6});
    cr_expect_eq(lk_op_add(&h.graph, "residual", a, b, &y), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "residual: cannot add: dimension 1 is 3 in one, 4"), "message: %s",
              lk_error_message());
    cr_expect_eq(lk_op_add(&h.graph, "residual", a, c, &y), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "cannot add fp32 and bf16"), "message: %s", lk_error_message());
    cr_expect_eq(lk_op_add(&h.graph, "residual", a, d, &y), LK_ERR_USAGE);
    cr_expect(strstr(lk_error_message(), "2 and 1 dimensions"), "message: %s", lk_error_message());
    op_close(&h);
}
