/*
 * linear, conv2d, pooling and flatten against PyTorch, in both precisions: outputs and all gradients.
 *
 * conv_ops.json holds PyTorch's results in double of inputs that bf16 represents exactly (make_conv_ops.py).
 */
#include "tests/support/golden.h"
#include "tests/support/op_harness.h"

#include <math.h>
#include <stdio.h>

typedef struct net {
    op_harness h;
    int x, w, b, y, dy;
} net;

static int64_t number(const json_t *item, const char *key) { return json_integer_value(json_object_get(item, key)); }

static int tensor_of(op_harness *h, const json_t *item, const char *name, lk_arena arena, lk_dtype dtype)
{
    char key[32];
    int64_t shape[LK_MAX_DIMS];

    snprintf(key, sizeof key, "%s_shape", name);
    const json_t *dims = json_object_get(item, key);
    if (!dims) return LK_NO_TENSOR;
    for (size_t d = 0; d < json_array_size(dims); d++) shape[d] = json_integer_value(json_array_get(dims, d));
    return op_tensor(h, name, arena, dtype, (int)json_array_size(dims), shape);
}

static void fill(op_harness *h, int tensor, const json_t *item, const char *key)
{
    const json_t *values = json_object_get(item, key);

    if (tensor == LK_NO_TENSOR) return;
    cr_assert_eq(json_array_size(values), op_n_elem(h, tensor), "%s: %zu values for %zu elements", key,
                 json_array_size(values), op_n_elem(h, tensor));
    for (size_t i = 0; i < json_array_size(values); i++)
        op_set_one(h, tensor, i, (float)json_number_value(json_array_get(values, i)));
}

/* A number, or one down and one across. */
static void sides(const json_t *item, const char *key, int64_t out[2])
{
    const json_t *value = json_object_get(item, key);

    for (size_t side = 0; side < 2; side++)
        out[side] = json_integer_value(json_is_array(value) ? json_array_get(value, side) : value);
}

static void append_conv2d(net *t, const json_t *item)
{
    lk_conv_attrs conv = {.groups = number(item, "groups")};

    sides(item, "stride", conv.stride);
    sides(item, "padding", conv.padding);
    op_ok(lk_op_conv2d(&t->h.graph, "conv2d", t->x, t->w, t->b, &conv, &t->y));
}

static void append(net *t, const json_t *item, const char *op)
{
    lk_graph *g = &t->h.graph;

    if (strcmp(op, "linear") == 0)
        op_ok(lk_op_linear(g, op, t->x, t->w, t->b, &t->y));
    else if (strcmp(op, "conv2d") == 0)
        append_conv2d(t, item);
    else if (strcmp(op, "adaptive_avg_pool2d") == 0)
        op_ok(lk_op_adaptive_avg_pool2d(g, op, t->x, number(item, "rows"), number(item, "cols"), &t->y));
    else if (strcmp(op, "flatten") == 0)
        op_ok(lk_op_flatten(g, op, t->x, &t->y));
    else
        op_ok(lk_op_pool2d(g, op, strcmp(op, "max_pool2d") == 0 ? LK_POOL_MAX : LK_POOL_AVG, t->x,
                           number(item, "kernel"), number(item, "stride"), number(item, "padding"), &t->y));
}

/* Sums here have at most some hundred terms of size about 1: in fp32 they are right to 2^-24 per term, 1e-5 in all;
 * a result stored as bf16 is rounded once more, to 2^-9 of its size. */
static void expect(const op_harness *h, int tensor, const json_t *item, const char *key)
{
    const json_t *values = json_object_get(item, key);
    const bool bf16 = h->graph.tensors[tensor].dtype == LK_DTYPE_BF16;

    cr_assert_eq(json_array_size(values), op_n_elem(h, tensor), "%s: got %zu elements, want %zu", key,
                 op_n_elem(h, tensor), json_array_size(values));
    for (size_t i = 0; i < json_array_size(values); i++) {
        const double want = json_number_value(json_array_get(values, i)), got = (double)op_get_one(h, tensor, i);
        cr_expect(fabs(got - want) <= 1e-5 + (bf16 ? 0x1p-8 * fabs(want) : 0.0), "%s, %s, %s[%zu]: got %.9g, want %.9g",
                  json_string_value(json_object_get(item, "op")), json_string_value(json_object_get(item, "name")), key,
                  i, got, want);
    }
}

static void check(const json_t *item, lk_dtype dtype)
{
    const char *op = json_string_value(json_object_get(item, "op"));
    net t;

    op_open(&t.h, LK_TRAIN, 1);
    t.x = tensor_of(&t.h, item, "x", LK_ARENA_FIELD, dtype);
    t.h.graph.tensors[t.x].needs_grad = true;
    t.w = tensor_of(&t.h, item, "w", LK_ARENA_PARAMS, LK_DTYPE_F32);
    t.b = tensor_of(&t.h, item, "b", LK_ARENA_PARAMS, LK_DTYPE_F32);
    append(&t, item, op);
    t.dy = op_differentiate(&t.h, t.y);
    op_bind(&t.h);
    fill(&t.h, t.x, item, "x");
    fill(&t.h, t.w, item, "w");
    fill(&t.h, t.b, item, "b");
    fill(&t.h, t.dy, item, "dy");
    op_run(&t.h);
    expect(&t.h, t.y, item, "y");
    expect(&t.h, op_gradient(&t.h, t.x), item, "dx");
    if (t.w != LK_NO_TENSOR) expect(&t.h, op_gradient(&t.h, t.w), item, "dw");
    if (t.b != LK_NO_TENSOR) expect(&t.h, op_gradient(&t.h, t.b), item, "db");
    op_close(&t.h);
}

static void check_all(lk_dtype dtype)
{
    json_t *file = golden_load("conv_ops.json");
    const json_t *cases = json_object_get(file, "cases");
    cr_assert(json_array_size(cases) > 0);
    for (size_t i = 0; i < json_array_size(cases); i++) check(json_array_get(cases, i), dtype);
    json_decref(file);
}

Test(golden_conv_ops, fp32_agrees_with_pytorch) { check_all(LK_DTYPE_F32); }
Test(golden_conv_ops, bf16_agrees_with_pytorch) { check_all(LK_DTYPE_BF16); }
