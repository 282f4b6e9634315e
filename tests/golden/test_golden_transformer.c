/*
 * The transformer gives the logits of the textbook's network in PyTorch from the same weights, and changes as it does
 * in four steps of AdamW, with padding on both sides, norms in either place, tables tied and not.  Weights, tokens and
 * the directions in which a change is looked at are computed, not stored (tests/support/formula.h).
 */
#include "tests/support/formula.h"
#include "tests/support/golden.h"

#include <math.h>
#include <stdio.h>

#include "tests/support/backend_under_test.h"

/* Sums of a few dozen terms in fp32, in another order, through up to five blocks. */
#define OUTPUT_TOLERANCE 1e-4
/* A step's rounding errors go into the next; seen in a random direction, an error of a change is as long as it is. */
#define CHANGE_TOLERANCE 1e-2

enum { SAMPLES = 4, LENGTH = 7, MOST_VOCABULARY = 16, IGNORED = -100 };

typedef struct golden {
    const json_t *root, *values; /* borrowed: all, and one case */
    const char *name;
    lk_model *model;
    lk_engine *engine;
    lk_optimizer *optimizer;
    float *first, *params, *grads, output[SAMPLES * LENGTH * MOST_VOCABULARY];
    float *there_params, *there_grads; /* the engine's */
    int32_t source[SAMPLES][LENGTH], source_len[SAMPLES], target_in[SAMPLES][LENGTH], target[SAMPLES][LENGTH];
    int64_t sample[SAMPLES];
    size_t n_tokens;
    double sums[LK_N_SUMS];
} golden;

static int64_t whole(const json_t *values, const char *key) { return json_integer_value(json_object_get(values, key)); }
static double real(const json_t *values, const char *key) { return json_number_value(json_object_get(values, key)); }

#define WORD(name, text, ...) text,
#define READ_WORD(spec, key, LIST) word((spec), (key), (const char *const[]){LIST(WORD)}, \
                                        sizeof(const char *const[]){LIST(WORD)} / sizeof(char *))

static int word(const json_t *spec, const char *key, const char *const *words, size_t n)
{
    const char *want = json_string_value(json_object_get(spec, key));

    for (size_t i = 0; i < n; i++)
        if (strcmp(words[i], want) == 0) return (int)i;
    cr_assert_fail("%s: unknown word %s", key, want);
    return 0;
}

static lk_model_spec read_spec(const json_t *spec)
{
    const json_t *layers = json_object_get(spec, "layers");

    return (lk_model_spec){
        .kind = LK_MODEL_TRANSFORMER,
        .mlp = {2, {json_integer_value(json_array_get(layers, 0)), json_integer_value(json_array_get(layers, 1))}},
        .cnn = {.n_hidden = 1, .hidden = {whole(spec, "hidden")}},
        .transformer = {.heads = whole(spec, "heads"), .ffn = whole(spec, "ffn"),
                        .bias = json_is_true(json_object_get(spec, "bias")),
                        .tie = (lk_tie)READ_WORD(spec, "tie", LK_TIE_LIST),
                        .source_vocabulary = whole(spec, "source_vocabulary"),
                        .target_vocabulary = whole(spec, "target_vocabulary")},
        .norm = json_is_true(json_object_get(spec, "pre")) ? LK_NORM_PRE : LK_NORM_POST,
        .activation = (lk_activation)READ_WORD(spec, "activation", LK_ACTIVATION_LIST),
        .loss = {.kind = LK_LOSS_CROSS_ENTROPY, .ignore_index = IGNORED},
    };
}

static void fill_tokens(const char *name, int64_t vocabulary, int32_t tokens[SAMPLES][LENGTH])
{
    for (size_t i = 0; i < SAMPLES * LENGTH; i++)
        (&tokens[0][0])[i] = (int32_t)(formula_word(name, i) % (uint32_t)vocabulary);
}

static void fill(golden *g)
{
    const lk_transformer_spec *of = &lk_model_get_spec(g->model)->transformer;

    for (size_t i = 0; i < lk_model_n_tensors(g->model); i++)
        formula_fill(lk_model_tensor(g->model, i), g->first + lk_model_tensor(g->model, i)->offset);
    memcpy(g->params, g->first, lk_model_n_elem(g->model) * sizeof *g->params);
    fill_tokens("source", of->source_vocabulary, g->source);
    fill_tokens("target_in", of->target_vocabulary, g->target_in);
    fill_tokens("target", of->target_vocabulary, g->target);
    for (size_t s = 0; s < SAMPLES; s++) {
        const size_t n = (size_t)json_integer_value(json_array_get(json_object_get(g->root, "target_len"), s));

        g->source_len[s] = (int32_t)json_integer_value(json_array_get(json_object_get(g->root, "source_len"), s));
        for (size_t i = n; i < LENGTH; i++) g->target[s][i] = IGNORED;
        g->n_tokens += n;
        g->sample[s] = (int64_t)s;
    }
}

static golden golden_new(const json_t *root, const json_t *values)
{
    golden g = {.root = root, .values = values, .name = json_string_value(json_object_get(values, "name"))};
    const lk_model_spec spec = read_spec(json_object_get(values, "spec"));
    const lk_engine_options options = {.kind = engine_under_test(), .threads = 1};
    const lk_optimizer_spec adamw = {.kind = LK_ADAMW, .lr = real(root, "lr"), .beta1 = 0.9, .beta2 = 0.999,
                                     .weight_decay = real(root, "weight_decay"), .eps = real(root, "eps")};

    cr_assert_eq(lk_model_new(&spec, &g.model), LK_OK, "%s", lk_error_message());
    cr_assert_leq(lk_model_n_output(g.model), MOST_VOCABULARY);
    cr_assert_eq(lk_engine_new(&options, g.model, &g.engine), LK_OK, "%s", lk_error_message());
    cr_assert_eq(lk_optimizer_new(g.engine, lk_engine_trainable(g.engine), &adamw, &g.optimizer), LK_OK);
    const size_t n_params = lk_model_n_elem(g.model) * sizeof(float);
    const size_t n_grads = lk_trainable_n_grads(lk_engine_trainable(g.engine)) * sizeof(float);
    g.first = lk_alloc(n_params);
    g.params = lk_alloc(n_params);
    g.grads = lk_alloc(n_grads);
    cr_assert_eq(lk_engine_alloc(g.engine, n_params, (void **)&g.there_params), LK_OK);
    cr_assert_eq(lk_engine_alloc(g.engine, n_grads, (void **)&g.there_grads), LK_OK);
    fill(&g);
    cr_assert_eq(lk_engine_write(g.engine, g.there_params, g.params, n_params), LK_OK);
    return g;
}

static void golden_free(golden *g)
{
    lk_engine_release(g->engine, &g->there_grads), lk_engine_release(g->engine, &g->there_params);
    lk_free(&g->grads), lk_free(&g->params), lk_free(&g->first);
    lk_optimizer_free(&g->optimizer);
    lk_engine_free(&g->engine);
    lk_model_free(&g->model);
}

static void run(golden *g, lk_mode mode, uint64_t version)
{
    const lk_lane lane = {.mode = mode, .n = SAMPLES, .length = LENGTH,
                          .field = {g->source, g->source_len, g->target_in, g->target}, .sample = g->sample,
                          .inv_count = (float)(1.0 / (double)g->n_tokens), .params = g->there_params,
                          .params_version = version, .grads = g->there_grads, .sums = g->sums, .output = g->output};

    cr_assert_eq(lk_engine_run(g->engine, &lane), LK_OK, "%s", lk_error_message());
}

static void expect_near(const golden *g, const char *what, size_t i, double got, double want)
{
    cr_expect_float_eq(got, want, OUTPUT_TOLERANCE * fmax(1.0, fabs(want)), "%s: %s[%zu]: got %.9g, PyTorch %.9g",
                       g->name, what, i, got, want);
}

static void step(golden *g, size_t number)
{
    const lk_trainable *set = lk_engine_trainable(g->engine);
    const lk_hyperparams rates = {NAN, NAN, NAN};
    lk_grad_report report;

    run(g, LK_TRAIN, number + 2);
    cr_assert_eq(lk_engine_read(g->engine, g->grads, g->there_grads, lk_trainable_n_grads(set) * sizeof(float)), LK_OK);
    expect_near(g, "loss", number, (double)g->grads[lk_trainable_slot(set, LK_SLOT_LOSS)],
                json_number_value(json_array_get(json_object_get(g->values, "losses"), number)));
    cr_assert_eq(lk_optimizer_inspect(g->optimizer, g->there_grads, false, &report), LK_OK);
    cr_assert_eq(lk_optimizer_update(g->optimizer, g->there_params, g->there_grads, &rates, &report, NULL), LK_OK);
    cr_assert_eq(lk_optimizer_sync(g->optimizer, &report, NULL), LK_OK);
}

/* seen[0]: the length of a tensor's change; behind it, the change in each direction. */
static void expect_change(const golden *g, const lk_tensor_info *info, const json_t *seen)
{
    const float *params = g->params + info->offset, *first = g->first + info->offset;
    const double length = json_number_value(json_array_get(seen, 0));

    for (size_t d = 0; d + 1 < json_array_size(seen); d++) {
        const double want = json_number_value(json_array_get(seen, d + 1));
        char direction[256];
        double got = 0.0;

        snprintf(direction, sizeof direction, "%s/%zu", info->name, d);
        for (size_t i = 0; i < info->n_elem; i++)
            got += formula_sign(direction, i) * ((double)params[i] - (double)first[i]);
        cr_expect_float_eq(got, want, CHANGE_TOLERANCE * length, "%s: change of %s: got %.9g, PyTorch %.9g, its length "
                           "%.3g", g->name, direction, got, want, length);
    }
}

static void expect_changes(golden *g)
{
    const json_t *changes = json_object_get(g->values, "changes");
    const char *name;
    json_t *seen;

    cr_expect_eq(lk_model_n_tensors(g->model), json_object_size(changes), "%s: %zu tensors, PyTorch %zu", g->name,
                 lk_model_n_tensors(g->model), json_object_size(changes));
    cr_assert_eq(lk_engine_read(g->engine, g->params, g->there_params, lk_model_n_elem(g->model) * sizeof(float)),
                 LK_OK);
    json_object_foreach((json_t *)changes, name, seen) {
        const ptrdiff_t i = lk_model_find(g->model, name);

        cr_assert_geq(i, 0, "%s: PyTorch's %s is not in the model", g->name, name);
        expect_change(g, lk_model_tensor(g->model, (size_t)i), seen);
    }
}

static void expect_case(const json_t *root, const json_t *values)
{
    golden g = golden_new(root, values);
    const json_t *output = json_object_get(values, "output");

    run(&g, LK_EVAL, 1);
    cr_expect_eq(g.sums[LK_SUM_COUNT], (double)g.n_tokens, "%s: %g tokens count, want %zu", g.name,
                 g.sums[LK_SUM_COUNT], g.n_tokens);
    cr_assert_eq(json_array_size(output), SAMPLES * LENGTH * lk_model_n_output(g.model));
    for (size_t i = 0; i < json_array_size(output); i++)
        expect_near(&g, "output", i, (double)g.output[i], json_number_value(json_array_get(output, i)));
    for (size_t s = 0; s < json_array_size(json_object_get(values, "losses")); s++) step(&g, s);
    expect_changes(&g);
    golden_free(&g);
}

Test(transformer, logits_and_changes_are_those_of_pytorch)
{
    json_t *root = golden_load("transformer.json");
    json_t *values;
    size_t i;

    cr_assert_geq(json_array_size(json_object_get(root, "cases")), 4);
    json_array_foreach(json_object_get(root, "cases"), i, values) expect_case(root, values);
    json_decref(root);
}
