/*
 * Activations, norms and losses against PyTorch, in both precisions: outputs, gradients, running statistics, metrics.
 *
 * loop_ops.json holds PyTorch's results in double of inputs that bf16 represents exactly (make_loop_ops.py).
 */
#include "tests/support/golden.h"
#include "tests/support/op_harness.h"

#include <math.h>
#include <stdio.h>

static const char *text(const json_t *item, const char *key) { return json_string_value(json_object_get(item, key)); }
static double real(const json_t *item, const char *key) { return json_number_value(json_object_get(item, key)); }

static int tensor(op_harness *h, const json_t *item, const char *name, lk_arena arena, lk_dtype dtype)
{
    const json_t *dims = json_object_get(item, "x_shape");
    int64_t shape[LK_MAX_DIMS];

    for (size_t d = 0; d < json_array_size(dims); d++) shape[d] = json_integer_value(json_array_get(dims, d));
    return op_tensor(h, name, arena, dtype, (int)json_array_size(dims), shape);
}

/* One number for each of the values at `key`. */
static int vector(op_harness *h, const json_t *item, const char *key, lk_arena arena, lk_dtype dtype)
{
    const int64_t n_elem = (int64_t)json_array_size(json_object_get(item, key));

    return op_tensor(h, key, arena, dtype, 1, &n_elem);
}

static void fill(op_harness *h, int to, const json_t *item, const char *key)
{
    const json_t *values = json_object_get(item, key);

    cr_assert_eq(json_array_size(values), op_n_elem(h, to), "%s: %zu values for %zu elements", key,
                 json_array_size(values), op_n_elem(h, to));
    for (size_t i = 0; i < op_n_elem(h, to); i++)
        op_set_one(h, to, i, (float)json_number_value(json_array_get(values, i)));
}

/* Relative to the largest value: fp32 results of a few operations and of sums of at most 65 terms are right to 1e-5;
 * a result stored as bf16 to `bf16_most`. */
static void expect_within(const op_harness *h, int from, const json_t *item, const char *key, double bf16_most)
{
    const json_t *values = json_object_get(item, key);
    const bool bf16 = h->graph.tensors[from].dtype == LK_DTYPE_BF16;
    double largest = 0.0;

    cr_assert_eq(json_array_size(values), op_n_elem(h, from), "%s: got %zu elements, want %zu", key,
                 op_n_elem(h, from), json_array_size(values));
    for (size_t i = 0; i < op_n_elem(h, from); i++)
        largest = fmax(largest, fabs(json_number_value(json_array_get(values, i))));
    const double most = largest * (bf16 ? bf16_most : 1e-5);
    for (size_t i = 0; i < op_n_elem(h, from); i++) {
        const double want = json_number_value(json_array_get(values, i)), got = (double)op_get_one(h, from, i);
        cr_expect(fabs(got - want) <= most, "%s, %s[%zu]: got %.9g, want %.9g",
                  text(item, "kind") ? text(item, "kind") : text(item, "op"), key, i, got, want);
    }
}

/* bf16 rounds once, to 2^-9. */
static void expect(const op_harness *h, int from, const json_t *item, const char *key)
{
    expect_within(h, from, item, key, 0x1p-8);
}

/* The number of a recipe's word. */
enum { MOST_WEIGHTS = 64 };

#define WORD(id, word, ...) {id, word},
static int number_of(const char *word)
{
    static const struct { int id; const char *word; } words[] = {LK_ACTIVATION_LIST(WORD) LK_LOSS_LIST(WORD)};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(words[i].word, word) == 0) return words[i].id;
    cr_assert(false, "no kind is called %s", word);
    return -1;
}

static void check_activation(const json_t *item, lk_dtype dtype)
{
    op_harness h;
    int y;

    op_open(&h, LK_TRAIN, 1);
    const int x = tensor(&h, item, "x", LK_ARENA_FIELD, dtype);
    h.graph.tensors[x].needs_grad = true;
    op_ok(lk_op_activation(&h.graph, "act", (lk_activation)number_of(text(item, "kind")), x, &y));
    const int dy = op_differentiate(&h, y);
    op_bind(&h);
    fill(&h, x, item, "x");
    fill(&h, dy, item, "dy");
    op_run(&h);
    expect(&h, y, item, "y");
    /* Read from the stored y: 1 - y keeps few digits of a y near 1, as PyTorch's bf16 does. */
    expect_within(&h, op_gradient(&h, x), item, "dx", 0x1p-6);
    op_close(&h);
}

static void check_evaluation(const json_t *item, lk_dtype dtype, const float *running_mean, const float *running_var)
{
    op_harness h;
    int y;

    op_open(&h, LK_EVAL, 1);
    const int x = tensor(&h, item, "x", LK_ARENA_FIELD, dtype);
    const int g = vector(&h, item, "g", LK_ARENA_PARAMS, LK_DTYPE_F32);
    const int b = vector(&h, item, "b", LK_ARENA_PARAMS, LK_DTYPE_F32);
    const int mean = vector(&h, item, "running_mean", LK_ARENA_PARAMS, LK_DTYPE_F32);
    const int var = vector(&h, item, "running_var", LK_ARENA_PARAMS, LK_DTYPE_F32);
    op_ok(lk_op_batch_norm(&h.graph, "norm",
                           &(lk_batch_norm){x, g, b, mean, var, LK_NO_TENSOR, LK_NO_TENSOR, (float)real(item,
                           "eps"), (float)real(item, "momentum")}, &y));
    op_bind(&h);
    fill(&h, x, item, "x");
    fill(&h, g, item, "g");
    fill(&h, b, item, "b");
    op_set(&h, mean, running_mean);
    op_set(&h, var, running_var);
    op_run(&h);
    expect(&h, y, item, "eval_y");
    op_close(&h);
}

/* After one lane's step: the running statistics, and what evaluation makes of them. */
static void check_running(op_harness *h, const json_t *item, lk_dtype dtype, int mean, int var, int stat_mean,
                          int stat_var)
{
    const float momentum = (float)real(item, "momentum");

    fill(h, mean, item, "running_mean");
    fill(h, var, item, "running_var");
    op_running(h, mean, stat_mean, momentum);
    op_running(h, var, stat_var, momentum);
    expect(h, mean, item, "new_running_mean");
    expect(h, var, item, "new_running_var");
    check_evaluation(item, dtype, op_at(h, mean), op_at(h, var));
}

static void check_norm(const json_t *item, lk_dtype dtype)
{
    const bool batch = strcmp(text(item, "op"), "batch_norm") == 0;
    const float eps = (float)real(item, "eps");
    int mean = 0, var = 0, stat_mean = 0, stat_var = 0, y;
    op_harness h;

    op_open(&h, LK_TRAIN, 1);
    const int x = tensor(&h, item, "x", LK_ARENA_FIELD, dtype);
    const int g = vector(&h, item, "g", LK_ARENA_PARAMS, LK_DTYPE_F32);
    const int b = vector(&h, item, "b", LK_ARENA_PARAMS, LK_DTYPE_F32);
    h.graph.tensors[x].needs_grad = true;
    if (batch) {
        mean = vector(&h, item, "running_mean", LK_ARENA_PARAMS, LK_DTYPE_F32);
        var = vector(&h, item, "running_var", LK_ARENA_PARAMS, LK_DTYPE_F32);
        stat_mean = vector(&h, item, "running_mean", LK_ARENA_GRADS, LK_DTYPE_F32);
        stat_var = vector(&h, item, "running_var", LK_ARENA_GRADS, LK_DTYPE_F32);
        op_ok(lk_op_batch_norm(&h.graph, "norm",
                               &(lk_batch_norm){x, g, b, mean, var, stat_mean, stat_var, eps, (float)real(item,
                               "momentum")}, &y));
    } else {
        op_ok(lk_op_layer_norm(&h.graph, "norm", x, g, b, eps, &y));
    }
    const int dy = op_differentiate(&h, y);
    op_bind(&h);
    fill(&h, x, item, "x");
    fill(&h, g, item, "g");
    fill(&h, b, item, "b");
    fill(&h, dy, item, "dy");
    op_run(&h);
    expect(&h, y, item, "y");
    expect(&h, op_gradient(&h, x), item, "dx");
    expect(&h, op_gradient(&h, g), item, "dg");
    expect(&h, op_gradient(&h, b), item, "db");
    if (batch) check_running(&h, item, dtype, mean, var, stat_mean, stat_var);
    op_close(&h);
}

/* Numbers of a list of weights, 0 where the case has none. */
static unsigned weights_of(const json_t *item, const char *key, double weight[MOST_WEIGHTS])
{
    const json_t *list = json_object_get(item, key);
    const unsigned n = (unsigned)json_array_size(list);

    cr_assert_leq(n, MOST_WEIGHTS);
    for (unsigned i = 0; i < n; i++) weight[i] = json_number_value(json_array_get(list, i));
    return n;
}

/* The case's metrics, as PyTorch, torchmetrics' definitions and scikit-learn have them, from the sums of evaluation.
 * fp32 logits: perplexity and weights carry some 1e-6. */
static void check_metrics(const json_t *item, const lk_sums *sums)
{
    const char *name;
    const json_t *want;

    cr_assert_gt(json_object_size(json_object_get(item, "metrics")), 0);
    cr_expect_float_eq(sums->of[LK_SUM_COUNT], real(item, "count"), 1e-6 * real(item, "count"),
                       "%s: count is %.9g, want %.9g", text(item, "kind"), sums->of[LK_SUM_COUNT], real(item, "count"));
    json_object_foreach((json_t *)json_object_get(item, "metrics"), name, want) {
        const double got = lk_metric_find(name)->value(sums), value = json_number_value(want);

        cr_expect_float_eq(got, value, 3e-6 * fmax(1.0, fabs(value)), "%s: %s is %.9g, want %.9g", text(item, "kind"),
                           name, got, value);
    }
}

/* What the sum of the terms is divided by: how many count or, with loss.reduction sequence, the steps. */
static double divisor_of(const json_t *item) { return real(item, json_object_get(item, "steps") ? "steps" : "count"); }

/* The loss node of one mode; in training the slot is the mean over what counts, or over the steps. */
static void check_loss_in(const json_t *item, lk_mode mode, lk_dtype dtype)
{
    double weight[MOST_WEIGHTS], pos_weight[MOST_WEIGHTS];
    const bool labels = json_object_get(item, "label");
    const lk_loss_spec spec = {.kind = (lk_loss_kind)number_of(text(item, "kind")), .probabilities = !labels,
                               .label_smoothing = (float)real(item, "label_smoothing"),
                               .ignore_index = (int32_t)real(item, "ignore_index"),
                               .delta = (float)real(item, "delta"), .beta = (float)real(item, "beta"),
                               .weight = weight, .n_weight = weights_of(item, "weight", weight),
                               .pos_weight = pos_weight, .n_pos_weight = weights_of(item, "pos_weight", pos_weight)};
    const bool train = mode == LK_TRAIN;
    const double divisor = divisor_of(item), loss = real(item, "loss");
    op_harness h;
    int dx;

    op_open(&h, mode, 1);
    const int x = tensor(&h, item, "x", LK_ARENA_FIELD, dtype);
    const int target = labels ? vector(&h, item, "label", lk_arena_of_field(1), LK_DTYPE_I32)
                              : tensor(&h, item, "target", lk_arena_of_field(1), LK_DTYPE_F32);
    const int slot = op_tensor(&h, "slot", LK_ARENA_GRADS, LK_DTYPE_F32, 1, (int64_t[]){1});
    const size_t n_row = (size_t)json_integer_value(json_array_get(json_object_get(item, "x_shape"), 1));
    const int sums = op_tensor(&h, "sums", LK_ARENA_SUMS, LK_DTYPE_F64, 1,
                               (int64_t[]){(int64_t)lk_loss_n_sums(spec.kind, n_row)});
    op_ok(lk_op_loss(&h.graph, "loss", &spec, x, target, train ? slot : LK_NO_TENSOR, train ? LK_NO_TENSOR : sums,
                     &dx));
    op_bind(&h);
    fill(&h, x, item, "x");
    fill(&h, target, item, labels ? "label" : "target");
    h.run.inv_count = (float)(1.0 / divisor);
    op_run(&h);

    /* Terms are fp32 functions of logits up to 10. */
    const double got = train ? (double)op_get_one(&h, slot, 0) : ((double *)op_at(&h, sums))[LK_SUM_LOSS] / divisor;
    cr_expect_float_eq(got, loss, 2e-6 * fmax(1.0, loss), "%s: loss is %.9g, want %.9g", text(item, "kind"), got, loss);
    if (train) expect(&h, dx, item, "dx");
    else check_metrics(item, &(lk_sums){.of = op_at(&h, sums), .n_output = n_row});
    op_close(&h);
}

static void check_loss(const json_t *item, lk_dtype dtype)
{
    check_loss_in(item, LK_TRAIN, dtype);
    check_loss_in(item, LK_EVAL, dtype);
}

static void check_all(const char *family, void (*check)(const json_t *item, lk_dtype dtype))
{
    json_t *file = golden_load("loop_ops.json");
    const json_t *cases = json_object_get(file, family);
    cr_assert(json_array_size(cases) > 0);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        check(json_array_get(cases, i), LK_DTYPE_F32);
        check(json_array_get(cases, i), LK_DTYPE_BF16);
    }
    json_decref(file);
}

Test(golden_loop_ops, activations_agree_with_pytorch) { check_all("activations", check_activation); }
Test(golden_loop_ops, norms_agree_with_pytorch) { check_all("norms", check_norm); }
Test(golden_loop_ops, losses_agree_with_pytorch) { check_all("losses", check_loss); }
