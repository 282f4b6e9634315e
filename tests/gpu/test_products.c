/*
 * Linear and convolution of the CUDA engine against the CPU engine: one graph, bound by both, run on the same numbers.
 *
 * In fp32 inputs have all their bits, so products in TF32 would show.  In bf16 and TF32 they are multiples of 1/256 in
 * [-1, 1], which both types hold exactly, and the CPU engine computes in fp32: then results differ by the order of sums
 * alone, dw and db of bf16 products too, and only y and dx in bf16 are rounded once more.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/backend.h"
#include "engine/cpu/bf16.h"
#include "engine/ops/ops.h"

enum { MOST_NODES = 16, LINE = 64 };

/* One engine with its own memory for every tensor of the graph. */
typedef struct side {
    lk_graph graph;
    const lk_backend *backend;
    void *ctx;
    void *arena[LK_N_ARENAS];
    size_t used[LK_N_ARENAS];
    lk_kernel kernels[MOST_NODES];
    int n_kernels;
    lk_launch_args run;
    bool coarse; /* inputs are multiples of 1/256 */
} side;

#define ok(expr) cr_assert_eq((expr), LK_OK, "%s (%s)", lk_error_message(), lk_error_trace())

/* ------------------------------------------------------------------ one side */

/* The CPU computes what the device does in `precision`, in fp32. */
static void side_open(side *s, bool device, lk_precision precision)
{
    const lk_module *module;
    const lk_engine_options options = {.threads = 1, .precision = device ? precision : LK_FP32, .seed = 1};

    memset(s, 0, sizeof *s);
    s->coarse = precision != LK_FP32;
    s->backend = &lk_cpu_backend;
    if (device) {
        if (lk_module_open(&module) != LK_OK) cr_skip_test("%s", lk_error_message());
        s->backend = module->backend;
        if (s->backend->available() == 0) cr_skip_test("no device");
    }
    lk_graph_init(&s->graph, NULL, LK_TRAIN, options.precision, 1);
    ok(s->backend->open(&options, &s->ctx));
}

static void side_close(side *s)
{
    for (int i = s->n_kernels - 1; i >= 0; i--)
        if (s->kernels[i].free) s->kernels[i].free(s->kernels[i].state);
    for (int a = 0; a < LK_N_ARENAS; a++)
        if (s->arena[a]) s->backend->release(s->ctx, s->arena[a]);
    s->backend->close(s->ctx);
    lk_graph_clear(&s->graph);
}

static int side_tensor(side *s, const char *name, lk_arena arena, lk_dtype dtype, int ndim, const int64_t *shape)
{
    int id;

    ok(lk_graph_tensor(&s->graph, name, dtype, ndim, shape, arena, s->used[arena], &id));
    lk_tensor *t = &s->graph.tensors[id];
    s->used[arena] += (t->nbytes + LINE - 1) / LINE * LINE;
    t->needs_grad = true;
    if (arena == LK_ARENA_PARAMS) s->used[LK_ARENA_GRADS] = s->used[arena];
    return id;
}

static int find(const side *s, const char *name)
{
    for (int t = s->graph.n_tensors - 1; t >= 0; t--)
        if (strcmp(s->graph.tensors[t].name, name) == 0) return t;
    cr_assert_fail("no tensor %s", name);
    return LK_NO_TENSOR;
}

static void place(side *s)
{
    for (int t = 0; t < s->graph.n_tensors; t++) {
        lk_tensor *tensor = &s->graph.tensors[t];
        if (tensor->arena != LK_ARENA_ACT) continue;
        tensor->offset = s->used[LK_ARENA_ACT];
        s->used[LK_ARENA_ACT] += (tensor->nbytes + LINE - 1) / LINE * LINE;
    }
    for (int a = 0; a < LK_N_ARENAS; a++) {
        ok(s->backend->alloc(s->ctx, s->used[a] ? s->used[a] : LINE, &s->arena[a]));
        s->run.base[a] = s->arena[a];
    }
}

/* As the compiler does: a group's kernel stands for the nodes after it. */
static void bind(side *s)
{
    cr_assert(s->graph.n_nodes <= MOST_NODES);
    while (s->n_kernels < s->graph.n_nodes) {
        lk_kernel *kernel = &s->kernels[s->n_kernels];
        const lk_node *node = &s->graph.nodes[s->n_kernels];

        ok(s->backend->bind(s->ctx, &s->graph, node, kernel));
        s->n_kernels += node->n_fused > 1 ? node->n_fused : 1;
        if (kernel->scratch_nbytes > s->used[LK_ARENA_SCRATCH]) s->used[LK_ARENA_SCRATCH] = kernel->scratch_nbytes;
    }
    ok(s->backend->reserve(s->ctx));
    s->backend->release(s->ctx, s->arena[LK_ARENA_SCRATCH]);
    ok(s->backend->alloc(s->ctx, s->used[LK_ARENA_SCRATCH], &s->arena[LK_ARENA_SCRATCH]));
    s->run.base[LK_ARENA_SCRATCH] = s->arena[LK_ARENA_SCRATCH];
}

/* Each tensor's values depend on its name only, so both sides get the same. */
static float value_of(const char *name, size_t i, bool coarse)
{
    const lk_philox_key key = lk_philox_key_new(strlen(name) + 131 * (unsigned char)name[strlen(name) - 1],
                                                LK_PURPOSE_DATA, 0);

    if (!coarse) return lk_uniform(key, i) * 2.0f - 1.0f;
    return (float)(int)(lk_uniform(key, i) * 513.0f) / 256.0f - 1.0f;
}

static void fill(side *s, int tensor)
{
    const lk_tensor *t = &s->graph.tensors[tensor];
    char *host = malloc(t->nbytes);

    cr_assert(host);
    for (size_t i = 0; i < t->n_elem; i++) cpu_store(host, i, value_of(t->name, i, s->coarse), t->dtype);
    ok(s->backend->write(s->ctx, lk_at(&s->run, t->arena, t->offset), host, t->nbytes));
    free(host);
}

static float *values(side *s, int tensor)
{
    const lk_tensor *t = &s->graph.tensors[tensor];
    char *host = malloc(t->nbytes);
    float *out = malloc(t->n_elem * sizeof *out);

    cr_assert(host && out);
    ok(s->backend->read(s->ctx, host, lk_at(&s->run, t->arena, t->offset), t->nbytes));
    for (size_t i = 0; i < t->n_elem; i++) out[i] = cpu_load(host, i, t->dtype);
    free(host);
    return out;
}

static void run(side *s)
{
    s->run.n = 1;
    s->run.params_version++;
    if (s->backend->device) {
        ok(s->backend->device->begin(s->ctx, &s->graph, &s->run));
        ok(s->backend->device->run(s->ctx, s->kernels, (size_t)s->n_kernels, &s->run));
        ok(s->backend->wait(s->ctx));
        return;
    }
    for (int i = 0; i < s->n_kernels; i++) ok(s->kernels[i].run(s->kernels[i].state, &s->run));
}

/* ----------------------------------------------------------------- both sides */

typedef struct problem {
    bool conv, bias, relu;
    int64_t N, H, W, I, O, K, stride, padding; /* linear: N, I, O */
} problem;

static void build(side *s, const problem *p, lk_dtype dtype)
{
    const int x = side_tensor(s, "x", LK_ARENA_FIELD, dtype, p->conv ? 4 : 2,
                              p->conv ? (int64_t[]){p->N, p->H, p->W, p->I} : (int64_t[]){p->N, p->I});
    const int w = side_tensor(s, "w", LK_ARENA_PARAMS, LK_DTYPE_F32, p->conv ? 4 : 2,
                              p->conv ? (int64_t[]){p->O, p->I, p->K, p->K} : (int64_t[]){p->O, p->I});
    const int b = p->bias ? side_tensor(s, "b", LK_ARENA_PARAMS, LK_DTYPE_F32, 1, &p->O) : LK_NO_TENSOR;
    int y, dy;

    const lk_conv_attrs conv = {{p->stride, p->stride}, {p->padding, p->padding}, 1};
    if (p->conv) ok(lk_op_conv2d(&s->graph, "y", x, w, b, &conv, &y));
    else ok(lk_op_linear(&s->graph, "y", x, w, b, &y));
    if (p->relu) ok(lk_op_activation(&s->graph, "z", LK_ACT_RELU, y, &y));
    ok(lk_graph_grad(&s->graph, y, &dy));
    ok(lk_graph_differentiate(&s->graph, 1, &y, &dy));
    if (s->backend->rewrite) ok(s->backend->rewrite(s->ctx, &s->graph));
    place(s);
    bind(s);
    fill(s, x);
    fill(s, w);
    if (p->bias) fill(s, b);
    fill(s, dy);
}

static double largest(const float *v, size_t n)
{
    double most = 0.0;

    for (size_t i = 0; i < n; i++) most = fabs((double)v[i]) > most ? fabs((double)v[i]) : most;
    return most;
}

/* Relative to the largest element, or to the terms, which are up to 1: sums of either sign may come out near zero. */
static void expect_near(side *cpu, side *cuda, const char *name, double tolerance, const char *what)
{
    const int id = find(cpu, name);
    const size_t n = cpu->graph.tensors[id].n_elem;
    float *want = values(cpu, id), *got = values(cuda, find(cuda, name));
    const double scale = fmax(largest(want, n), 1.0);
    size_t worst = 0;

    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - want[i]) <= fabs((double)got[worst] - want[worst]))) worst = i;
    cr_expect(fabs((double)got[worst] - want[worst]) <= tolerance * scale,
              "%s, %s[%zu]: cuda %.9g, cpu %.9g, scale %g", what, name, worst, (double)got[worst],
              (double)want[worst], scale);
    free(want);
    free(got);
}

/* A bf16 has 8 significant bits, so rounding moves it by up to 2^-8 of itself; 1e-5 for the order of sums. */
static double tolerance_of(lk_dtype dtype) { return dtype == LK_DTYPE_BF16 ? 1.0 / 256.0 + 1e-5 : 1e-5; }

static void check(const problem *p, lk_precision precision)
{
    const lk_dtype dtype = precision == LK_BF16 ? LK_DTYPE_BF16 : LK_DTYPE_F32;
    side cpu, cuda;
    char what[160];

    snprintf(what, sizeof what, "%s N %d, H %d, W %d, I %d, O %d, K %d, stride %d, padding %d%s%s, precision %d",
             p->conv ? "conv2d" : "linear", (int)p->N, (int)p->H, (int)p->W, (int)p->I, (int)p->O, (int)p->K,
             (int)p->stride, (int)p->padding, p->bias ? ", bias" : "", p->relu ? ", relu" : "", (int)precision);
    side_open(&cuda, true, precision);
    side_open(&cpu, false, precision);
    build(&cuda, p, dtype);
    build(&cpu, p, LK_DTYPE_F32);
    run(&cuda);
    run(&cpu);
    expect_near(&cpu, &cuda, p->relu ? "z" : "y", tolerance_of(dtype), what);
    expect_near(&cpu, &cuda, "d x", tolerance_of(dtype), what);
    expect_near(&cpu, &cuda, "d w", 1e-5, what);
    if (p->bias) expect_near(&cpu, &cuda, "d b", 1e-5, what);
    side_close(&cpu);
    side_close(&cuda);
}

/* ----------------------------------------------------------------- linear */

static const int64_t linear_shapes[][3] = {
    {1, 1, 1}, {1, 7, 1}, {7, 1, 1}, {1, 1, 7}, {2, 3, 5}, {13, 17, 19}, {8, 16, 16}, {9, 15, 17}, {31, 33, 7},
    {32, 20, 64}, {32, 64, 1}, {257, 1, 1}, {1, 1031, 1}, {61, 127, 131}, {128, 64, 256}, {509, 37, 1},
};
enum { N_LINEAR = sizeof linear_shapes / sizeof *linear_shapes };

static void check_linear(lk_precision precision)
{
    for (int i = 0; i < N_LINEAR; i++)
        for (int kind = 0; kind < 4; kind++) {
            const int64_t *v = linear_shapes[i];
            const problem p = {.bias = kind & 1, .relu = kind & 2, .N = v[0], .I = v[1], .O = v[2]};
            check(&p, precision);
        }
}

Test(products, linear_in_fp32_is_the_cpu_engines) { check_linear(LK_FP32); }
Test(products, linear_in_bf16_is_the_cpu_engines_rounded) { check_linear(LK_BF16); }
Test(products, linear_in_tf32_is_exact_in_numbers_that_tf32_holds) { check_linear(LK_TF32); }

/* ------------------------------------------- what the library does not have */

/* Only the stand-in can be told to have nothing (tests/gpu/standin/gemm.cpp and conv.cpp). */
static void refuse(const char *variable, const char *which)
{
    char text[256] = "";
    const lk_module *module;

    if (lk_module_open(&module) == LK_OK) module->backend->describe(text, sizeof text);
    if (!strstr(text, "stand-in")) cr_skip_test("the device's library has what it has");
    setenv(variable, which, 1);
}

Test(products, linear_without_fused_vectors_is_the_cpu_engines)
{
    refuse("STANDIN_GEMM_REFUSE", "vector");
    check_linear(LK_FP32);
    check_linear(LK_BF16);
}

Test(products, linear_without_any_product_is_the_cpu_engines)
{
    refuse("STANDIN_GEMM_REFUSE", "all");
    check_linear(LK_FP32);
    check_linear(LK_BF16);
    check_linear(LK_TF32);
}

/* n_slow, choice: of all kernels of the graph. */
static void look_at_kernels(const problem *p, int *n_slow, uint64_t *choice)
{
    side s;

    side_open(&s, true, LK_FP32);
    build(&s, p, LK_DTYPE_F32);
    *n_slow = 0;
    *choice = 0;
    for (int i = 0; i < s.n_kernels; i++) {
        *n_slow += s.kernels[i].slow != NULL;
        *choice = lk_choose(*choice, s.kernels[i].choice);
    }
    side_close(&s);
}

Test(products, what_the_library_lacks_is_told_and_another_choice)
{
    const problem matrix = {.bias = true, .N = 8, .I = 16, .O = 16}, vector = {.bias = true, .N = 8, .I = 16, .O = 1};
    uint64_t has, same, without_vector, without_any, of_vector;
    int n_slow;

    look_at_kernels(&matrix, &n_slow, &has);
    cr_expect_eq(n_slow, 0, "%d slow kernels, the library has all", n_slow);
    look_at_kernels(&matrix, &n_slow, &same);
    cr_expect_eq(has, same, "choices of one plan: %llx and %llx", (unsigned long long)has, (unsigned long long)same);
    refuse("STANDIN_GEMM_REFUSE", "vector");
    look_at_kernels(&matrix, &n_slow, &without_vector);
    cr_expect_eq(n_slow, 0, "%d slow kernels without fused vectors", n_slow);
    cr_expect_neq(has, without_vector, "choice %llx with and without fused vectors", (unsigned long long)has);
    refuse("STANDIN_GEMM_REFUSE", "all");
    look_at_kernels(&matrix, &n_slow, &without_any);
    cr_expect_eq(n_slow, 3, "%d slow kernels of three passes without any product", n_slow);
    cr_expect_neq(without_vector, without_any, "choice %llx with and without products",
                  (unsigned long long)without_any);
    look_at_kernels(&vector, &n_slow, &of_vector);
    cr_expect_eq(n_slow, 0, "%d slow kernels of a product that is bound by memory", n_slow);
}

/* ------------------------------------------------------------- convolution */

/*                                     N  H   W   I   O  K  stride padding */
static const int64_t conv_shapes[][8] = {
    {1, 1, 1, 1, 1, 1, 1, 0},    {1, 3, 3, 1, 1, 3, 1, 1},   {2, 5, 7, 1, 3, 3, 1, 1},   {2, 5, 7, 3, 5, 3, 2, 1},
    {1, 11, 5, 7, 13, 5, 1, 2},  {3, 7, 7, 16, 16, 3, 1, 1}, {2, 8, 8, 16, 32, 3, 2, 1}, {2, 9, 6, 17, 19, 2, 2, 0},
    {1, 13, 13, 3, 16, 7, 3, 3}, {2, 6, 6, 32, 16, 1, 1, 0}, {5, 9, 9, 8, 11, 1, 2, 0},  {1, 4, 4, 3, 2, 1, 1, 1},
    {2, 12, 10, 4, 6, 3, 3, 4},
};
enum { N_CONV = sizeof conv_shapes / sizeof *conv_shapes };

static problem conv_problem(const int64_t *v, bool bias, bool relu)
{
    return (problem){.conv = true, .bias = bias, .relu = relu, .N = v[0], .H = v[1], .W = v[2], .I = v[3], .O = v[4],
                     .K = v[5], .stride = v[6], .padding = v[7]};
}

static void check_conv(lk_precision precision)
{
    for (int i = 0; i < N_CONV; i++)
        for (int kind = 0; kind < 4; kind++) {
            const problem p = conv_problem(conv_shapes[i], kind & 1, kind & 2);
            check(&p, precision);
        }
}

Test(products, convolution_in_fp32_is_the_cpu_engines) { check_conv(LK_FP32); }
Test(products, convolution_in_bf16_is_the_cpu_engines_rounded) { check_conv(LK_BF16); }
Test(products, convolution_in_tf32_is_exact_in_numbers_that_tf32_holds) { check_conv(LK_TF32); }

/* Operands of dw in bf16 are widened piece by piece; three of these images are more than a piece holds. */
Test(products, a_batch_larger_than_the_scratch_is_cut_into_pieces)
{
    const problem p = conv_problem((int64_t[]){3, 1536, 1021, 5, 1, 1, 1, 0}, true, false);

    check(&p, LK_BF16);
}

Test(products, convolution_without_fused_bias_is_the_cpu_engines)
{
    refuse("STANDIN_CONV_REFUSE", "bias");
    check_conv(LK_FP32);
    check_conv(LK_BF16);
}

Test(products, convolution_without_the_library_is_the_cpu_engines)
{
    refuse("STANDIN_CONV_REFUSE", "all");
    check_conv(LK_FP32);
    check_conv(LK_BF16);
    check_conv(LK_TF32);
}

Test(products, a_convolution_that_the_library_lacks_is_told_and_another_choice)
{
    const problem conv = conv_problem((int64_t[]){2, 8, 8, 16, 32, 3, 1, 1}, true, true);
    uint64_t has, without_bias, without_any;
    int n_slow;

    look_at_kernels(&conv, &n_slow, &has);
    cr_expect_eq(n_slow, 0, "%d slow kernels, the library has all", n_slow);
    refuse("STANDIN_CONV_REFUSE", "bias");
    look_at_kernels(&conv, &n_slow, &without_bias);
    cr_expect_eq(n_slow, 0, "%d slow kernels without a fused bias", n_slow);
    cr_expect_neq(has, without_bias, "choice %llx with and without a fused bias", (unsigned long long)has);
    refuse("STANDIN_CONV_REFUSE", "all");
    look_at_kernels(&conv, &n_slow, &without_any);
    cr_expect_eq(n_slow, 3, "%d slow kernels of three passes without the library", n_slow);
    cr_expect_neq(without_bias, without_any, "choice %llx with and without the library",
                  (unsigned long long)without_any);
}

/* ----------------------------------------------------------------------- NaN */

/* Max(x, 0) would make 0 of it, and a layer whose numbers have run away would look healthy. */
static void expect_nan_kept(const problem *p, lk_precision precision)
{
    const lk_dtype dtype = precision == LK_BF16 ? LK_DTYPE_BF16 : LK_DTYPE_F32;
    const float nan_value = NAN;
    side s;
    size_t n = 0;

    side_open(&s, true, precision);
    build(&s, p, dtype);
    const lk_tensor *b = &s.graph.tensors[find(&s, "b")];
    ok(s.backend->write(s.ctx, lk_at(&s.run, b->arena, b->offset), &nan_value, sizeof nan_value));
    run(&s);
    const size_t rows = s.graph.tensors[find(&s, "z")].n_elem / (size_t)p->O;
    float *z = values(&s, find(&s, "z"));
    for (size_t row = 0; row < rows; row++) n += isnan(z[row * (size_t)p->O]) != 0;
    cr_expect_eq(n, rows, "%s, precision %d: %zu of %zu are NaN behind the ReLU", p->conv ? "conv2d" : "linear",
                 (int)precision, n, rows);
    free(z);
    side_close(&s);
}

Test(products, a_nan_stays_a_nan_behind_a_relu)
{
    const problem linear = {.bias = true, .relu = true, .N = 32, .I = 64, .O = 128};
    const problem conv = conv_problem((int64_t[]){2, 8, 8, 16, 32, 3, 1, 1}, true, true);

    expect_nan_kept(&linear, LK_FP32);
    expect_nan_kept(&linear, LK_BF16);
    expect_nan_kept(&conv, LK_FP32);
    expect_nan_kept(&conv, LK_BF16);
}

/* ----------------------------------------------------------------- very large */

/* More than 2^31 elements: y = x w^T with whole numbers, of which the last row is looked at.  9 GB, so only where
 * somebody says that the device has them. */
Test(products, a_result_of_more_than_2_to_the_31_elements_is_whole)
{
    enum { N = 65537, O = 32771 };
    side s;
    int y;

    if (!getenv("LOCKSTEP_TEST_LARGE")) cr_skip_test("LOCKSTEP_TEST_LARGE is not set");
    side_open(&s, true, LK_BF16);
    const int x = side_tensor(&s, "x", LK_ARENA_FIELD, LK_DTYPE_BF16, 2, (int64_t[]){N, 1});
    const int w = side_tensor(&s, "w", LK_ARENA_PARAMS, LK_DTYPE_F32, 2, (int64_t[]){O, 1});
    ok(lk_op_linear(&s.graph, "y", x, w, LK_NO_TENSOR, &y));
    place(&s);
    bind(&s);
    fill(&s, x);
    fill(&s, w);
    run(&s);
    const lk_tensor *t = &s.graph.tensors[y];
    uint16_t *row = malloc(O * sizeof *row);
    cr_assert(row);
    ok(s.backend->read(s.ctx, row, lk_at(&s.run, t->arena, t->offset + (size_t)(N - 1) * O * sizeof *row),
                       O * sizeof *row));
    for (size_t o = 0; o < O; o++) {
        const float want = cpu_bf16_to_f32(cpu_bf16_from_f32(value_of("x", N - 1, true) * value_of("w", o, true)));
        cr_assert_eq(cpu_bf16_to_f32(row[o]), want, "y[%d, %zu]: got %g, want %g", N - 1, o,
                     (double)cpu_bf16_to_f32(row[o]), (double)want);
    }
    free(row);
    side_close(&s);
}
