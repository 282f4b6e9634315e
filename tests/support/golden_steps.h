/*
 * A network of sequences beside PyTorch's from the same weights: its logits, its losses over a few steps of AdamW, and
 * how each tensor changed in them, seen in random directions.  Weights, tokens and directions are computed, not stored
 * (formula.h); what PyTorch said is a case of a JSON file.
 */
#ifndef GOLDEN_STEPS_H
#define GOLDEN_STEPS_H

#include <math.h>
#include <stdio.h>

#include "tests/support/backend_under_test.h"
#include "tests/support/formula.h"
#include "tests/support/golden.h"
#include "tests/support/golden_changes.h"

/* Sums of a few dozen terms in fp32, in another order, through up to five blocks. */
#define GOLDEN_OUTPUT_TOLERANCE 1e-4

enum { GOLDEN_SAMPLES = 4, GOLDEN_LENGTH = 7, GOLDEN_VOCABULARY = 16, GOLDEN_IGNORED = -100 };

typedef int32_t golden_tokens[GOLDEN_SAMPLES][GOLDEN_LENGTH];

typedef struct golden {
    const json_t *root, *values; /* borrowed: all, and one case */
    const char *name;
    lk_model *model;
    lk_engine *engine;
    lk_optimizer *optimizer;
    float *first, *params, *grads, output[GOLDEN_SAMPLES * GOLDEN_LENGTH * GOLDEN_VOCABULARY];
    float *there_params, *there_grads; /* the engine's */
    golden_tokens target;
    const void *field[LK_MAX_FIELDS];  /* set by the test, as the model reads them */
    int64_t sample[GOLDEN_SAMPLES];
    size_t n_tokens;
    double sums[LK_N_SUMS];
} golden;

static inline int64_t golden_whole(const json_t *values, const char *key)
{
    return json_integer_value(json_object_get(values, key));
}

static inline double golden_real(const json_t *values, const char *key)
{
    return json_number_value(json_object_get(values, key));
}

static inline void golden_fill_tokens(const char *name, int64_t vocabulary, golden_tokens tokens)
{
    for (size_t i = 0; i < GOLDEN_SAMPLES * GOLDEN_LENGTH; i++)
        (&tokens[0][0])[i] = (int32_t)(formula_word(name, i) % (uint32_t)vocabulary);
}

/* Weights and targets; what the network reads is the test's. */
static inline void golden_fill(golden *g, int64_t vocabulary)
{
    for (size_t i = 0; i < lk_model_n_tensors(g->model); i++)
        formula_fill(lk_model_tensor(g->model, i), g->first + lk_model_tensor(g->model, i)->offset);
    memcpy(g->params, g->first, lk_model_n_elem(g->model) * sizeof *g->params);
    golden_fill_tokens("target", vocabulary, g->target);
    for (size_t s = 0; s < GOLDEN_SAMPLES; s++) {
        const size_t n = (size_t)json_integer_value(json_array_get(json_object_get(g->root, "target_len"), s));

        for (size_t i = n; i < GOLDEN_LENGTH; i++) g->target[s][i] = GOLDEN_IGNORED;
        g->n_tokens += n;
        g->sample[s] = (int64_t)s;
    }
}

static inline void golden_open(golden *g, const json_t *root, const json_t *values, const lk_model_spec *spec,
                               int64_t vocabulary)
{
    const lk_engine_options options = {.kind = engine_under_test(), .threads = 1};
    const lk_optimizer_spec adamw = {.kind = LK_ADAMW, .lr = golden_real(root, "lr"), .beta1 = 0.9, .beta2 = 0.999,
                                     .weight_decay = golden_real(root, "weight_decay"),
                                     .eps = golden_real(root, "eps")};

    *g = (golden){.root = root, .values = values, .name = json_string_value(json_object_get(values, "name"))};
    cr_assert_eq(lk_model_new(spec, &g->model), LK_OK, "%s", lk_error_message());
    cr_assert_leq(lk_model_n_output(g->model), GOLDEN_VOCABULARY);
    cr_assert_eq(lk_engine_new(&options, g->model, &g->engine), LK_OK, "%s", lk_error_message());
    cr_assert_eq(lk_optimizer_new(g->engine, lk_engine_trainable(g->engine), &adamw, &g->optimizer), LK_OK);
    const size_t n_params = lk_model_n_elem(g->model) * sizeof(float);
    const size_t n_grads = lk_trainable_n_grads(lk_engine_trainable(g->engine)) * sizeof(float);
    g->first = lk_alloc(n_params);
    g->params = lk_alloc(n_params);
    g->grads = lk_alloc(n_grads);
    cr_assert_eq(lk_engine_alloc(g->engine, n_params, (void **)&g->there_params), LK_OK);
    cr_assert_eq(lk_engine_alloc(g->engine, n_grads, (void **)&g->there_grads), LK_OK);
    golden_fill(g, vocabulary);
    cr_assert_eq(lk_engine_write(g->engine, g->there_params, g->params, n_params), LK_OK);
}

static inline void golden_close(golden *g)
{
    lk_engine_release(g->engine, &g->there_grads), lk_engine_release(g->engine, &g->there_params);
    lk_free(&g->grads), lk_free(&g->params), lk_free(&g->first);
    lk_optimizer_free(&g->optimizer);
    lk_engine_free(&g->engine);
    lk_model_free(&g->model);
}

static inline void golden_run(golden *g, lk_mode mode, uint64_t version)
{
    lk_lane lane = {.mode = mode, .n = GOLDEN_SAMPLES, .length = GOLDEN_LENGTH, .sample = g->sample,
                    .inv_count = (float)(1.0 / (double)g->n_tokens), .params = g->there_params,
                    .params_version = version, .grads = g->there_grads, .sums = g->sums, .output = g->output};

    memcpy(lane.field, g->field, sizeof lane.field);
    cr_assert_eq(lk_engine_run(g->engine, &lane), LK_OK, "%s", lk_error_message());
}

static inline void golden_expect_near(const golden *g, const char *what, size_t i, double got, double want)
{
    cr_expect_float_eq(got, want, GOLDEN_OUTPUT_TOLERANCE * fmax(1.0, fabs(want)),
                       "%s: %s[%zu]: got %.9g, PyTorch %.9g", g->name, what, i, got, want);
}

static inline void golden_step(golden *g, size_t number)
{
    const lk_trainable *set = lk_engine_trainable(g->engine);
    const lk_hyperparams rates = {NAN, NAN, NAN};
    lk_grad_report report;

    golden_run(g, LK_TRAIN, number + 2);
    cr_assert_eq(lk_engine_read(g->engine, g->grads, g->there_grads, lk_trainable_n_grads(set) * sizeof(float)), LK_OK);
    golden_expect_near(g, "loss", number, (double)g->grads[lk_trainable_slot(set, LK_SLOT_LOSS)],
                       json_number_value(json_array_get(json_object_get(g->values, "losses"), number)));
    cr_assert_eq(lk_optimizer_inspect(g->optimizer, g->there_grads, false, &report), LK_OK);
    cr_assert_eq(lk_optimizer_update(g->optimizer, g->there_params, g->there_grads, &rates, &report, NULL), LK_OK);
    cr_assert_eq(lk_optimizer_sync(g->optimizer, &report, NULL), LK_OK);
}

/* All that a case holds; the fields are set. */
static inline void golden_expect(golden *g)
{
    const json_t *output = json_object_get(g->values, "output");

    golden_run(g, LK_EVAL, 1);
    cr_expect_eq(g->sums[LK_SUM_COUNT], (double)g->n_tokens, "%s: %g tokens count, want %zu", g->name,
                 g->sums[LK_SUM_COUNT], g->n_tokens);
    cr_assert_eq(json_array_size(output), GOLDEN_SAMPLES * GOLDEN_LENGTH * lk_model_n_output(g->model));
    for (size_t i = 0; i < json_array_size(output); i++)
        golden_expect_near(g, "output", i, (double)g->output[i], json_number_value(json_array_get(output, i)));
    for (size_t s = 0; s < json_array_size(json_object_get(g->values, "losses")); s++) golden_step(g, s);
    cr_assert_eq(lk_engine_read(g->engine, g->params, g->there_params, lk_model_n_elem(g->model) * sizeof(float)),
                 LK_OK);
    golden_expect_changes(g->name, g->model, json_object_get(g->values, "changes"), g->params, g->first);
}

#endif
