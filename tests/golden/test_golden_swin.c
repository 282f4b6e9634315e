/*
 * swin_t gives the outputs of torchvision's SwinTransformer from the same weights, and changes as it does in three
 * steps of SGD.  Weights, images and the directions in which a change is looked at are computed, not stored
 * (tests/support/formula.h).
 */
#include "tests/support/formula.h"
#include "tests/support/golden.h"
#include "tests/support/golden_changes.h"

#include <math.h>
#include <stdio.h>

#include "tests/support/backend_under_test.h"

/* Sums of up to a few hundred terms in fp32, in another order, through twelve blocks. */
#define OUTPUT_TOLERANCE 2e-5

enum { MOST_SAMPLES = 4, MOST_OUTPUTS = 32, FIRST_CHANNELS = 96 };

typedef struct golden {
    const json_t *values; /* borrowed: one case */
    const char *name;
    lk_model *model;
    lk_engine *engine;
    lk_trainable *trainable;
    float *first, *params, *grads, *x, output[MOST_OUTPUTS];
    float *there_params, *there_grads; /* the engine's */
    int32_t label[MOST_SAMPLES];
    int64_t sample[MOST_SAMPLES];
    int64_t n;
    double sums[LK_N_SUMS + LK_N_OUTPUT_SUMS * MOST_OUTPUTS];
} golden;

static int64_t whole(const json_t *values, const char *key) { return json_integer_value(json_object_get(values, key)); }

static lk_model_spec read_spec(const json_t *values)
{
    return (lk_model_spec){
        .kind = LK_MODEL_SWIN_T,
        .vision = {{3, whole(values, "height"), whole(values, "width")}, whole(values, "classes"),
                   (double)whole(values, "channels") / FIRST_CHANNELS},
        .swin = {.patch = whole(values, "patch"),
                 .window = whole(values, "window")},
        .loss = {.kind = LK_LOSS_CROSS_ENTROPY, .ignore_index = -100},
    };
}

static void fill(golden *g)
{
    const size_t n_x = lk_field_n_elem(&lk_model_sample(g->model)->field[0], 0);

    for (size_t i = 0; i < lk_model_n_tensors(g->model); i++)
        formula_fill(lk_model_tensor(g->model, i), g->first + lk_model_tensor(g->model, i)->offset);
    memcpy(g->params, g->first, lk_model_n_elem(g->model) * sizeof *g->params);
    for (size_t i = 0; i < (size_t)g->n * n_x; i++) g->x[i] = 4.0f * formula_unit("x", i);
    for (int64_t s = 0; s < g->n; s++) {
        g->label[s] = (int32_t)(2 * s % whole(g->values, "classes"));
        g->sample[s] = s;
    }
}

static golden golden_new(const json_t *values)
{
    golden g = {.values = values, .name = json_string_value(json_object_get(values, "name")),
                .n = whole(values, "samples")};
    const lk_model_spec spec = read_spec(values);
    const lk_engine_options options = {.kind = engine_under_test(), .threads = 1};

    cr_assert_eq(lk_model_new(&spec, &g.model), LK_OK, "%s", lk_error_message());
    cr_assert(g.n <= MOST_SAMPLES && (size_t)g.n * lk_model_n_output(g.model) <= MOST_OUTPUTS);
    cr_assert_eq(lk_engine_new(&options, g.model, &g.engine), LK_OK, "%s", lk_error_message());
    cr_assert_eq(lk_trainable_new(g.model, NULL, &g.trainable), LK_OK, "%s", lk_error_message());
    lk_engine_set_trainable(g.engine, g.trainable);
    const size_t n_params = lk_model_n_elem(g.model) * sizeof(float);
    const size_t n_grads = lk_trainable_n_grads(g.trainable) * sizeof(float);
    g.first = lk_alloc(n_params);
    g.params = lk_alloc(n_params);
    g.grads = lk_alloc(n_grads);
    g.x = lk_alloc((size_t)g.n * lk_field_nbytes(&lk_model_sample(g.model)->field[0], 0));
    cr_assert_eq(lk_engine_alloc(g.engine, n_params, (void **)&g.there_params), LK_OK);
    cr_assert_eq(lk_engine_alloc(g.engine, n_grads, (void **)&g.there_grads), LK_OK);
    fill(&g);
    return g;
}

static void golden_free(golden *g)
{
    lk_engine_release(g->engine, &g->there_grads), lk_engine_release(g->engine, &g->there_params);
    lk_free(&g->x), lk_free(&g->grads), lk_free(&g->params), lk_free(&g->first);
    lk_engine_free(&g->engine);
    lk_trainable_free(&g->trainable);
    lk_model_free(&g->model);
}

static void run(golden *g, lk_mode mode, uint64_t version)
{
    const size_t n_params = lk_model_n_elem(g->model) * sizeof(float);
    const lk_lane lane = {.mode = mode, .n = g->n, .field = {g->x, g->label}, .sample = g->sample,
                          .inv_count = (float)(1.0 / (double)g->n), .params = g->there_params,
                          .params_version = version, .grads = g->there_grads, .sums = g->sums, .output = g->output};

    cr_assert_eq(lk_engine_write(g->engine, g->there_params, g->params, n_params), LK_OK);
    cr_assert_eq(lk_engine_run(g->engine, &lane), LK_OK, "%s", lk_error_message());
    cr_assert_eq(lk_engine_read(g->engine, g->grads, g->there_grads,
                                lk_trainable_n_grads(g->trainable) * sizeof(float)), LK_OK);
}

static void expect_near(const golden *g, const char *what, size_t i, double got, double want)
{
    cr_expect_float_eq(got, want, OUTPUT_TOLERANCE * fmax(1.0, fabs(want)), "%s: %s[%zu]: got %.9g, torchvision %.9g",
                       g->name, what, i, got, want);
}

/* One step of plain SGD; its gradient arena is the parameter arena's twin, for everything trains. */
static void step(golden *g, size_t number, double lr)
{
    run(g, LK_TRAIN, number + 2);
    expect_near(g, "loss", number, (double)g->grads[lk_trainable_slot(g->trainable, LK_SLOT_LOSS)],
                json_number_value(json_array_get(json_object_get(g->values, "losses"), number)));
    for (size_t i = 0; i < lk_model_n_params(g->model); i++) g->params[i] -= (float)lr * g->grads[i];
}

static void expect_case(const json_t *values)
{
    golden g = golden_new(values);
    const json_t *output = json_object_get(values, "output");

    run(&g, LK_EVAL, 1);
    for (size_t i = 0; i < json_array_size(output); i++)
        expect_near(&g, "output", i, (double)g.output[i], json_number_value(json_array_get(output, i)));
    for (size_t s = 0; s < json_array_size(json_object_get(values, "losses")); s++)
        step(&g, s, json_number_value(json_object_get(values, "lr")));
    golden_expect_changes(g.name, g.model, json_object_get(values, "changes"), g.params, g.first);
    golden_free(&g);
}

Test(swin, outputs_and_changes_are_those_of_torchvision)
{
    json_t *root = golden_load("swin.json");
    json_t *values;
    size_t i;

    cr_assert_geq(json_array_size(json_object_get(root, "cases")), 2);
    json_array_foreach(json_object_get(root, "cases"), i, values) expect_case(values);
    json_decref(root);
}
