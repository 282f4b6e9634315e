/* Whole networks give PyTorch's outputs, loss, gradients and running statistics, tensor by tensor of its state_dict,
 * with everything trained and with layers frozen. */
#include "tests/support/golden.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/backend_under_test.h"

/* Both sides compute in fp32 with sums of a few dozen terms, in other orders: a few units in the seventh digit of
 * numbers of about 1. */
#define TOLERANCE 5e-6

enum { MOST_TENSORS = 32, MOST_OUTPUTS = 16 };

typedef struct golden {
    const json_t *values; /* borrowed: one case */
    const char *name;
    lk_model *model;
    lk_engine *engine;
    lk_trainable *trainable;
    float *params, *grads, *x, *target, *output;
    float *there_params, *there_grads; /* the engine's */
    int32_t *label;
    int64_t *sample;
    int64_t n, terms;
    double sums[LK_N_SUMS + LK_N_OUTPUT_SUMS * MOST_OUTPUTS];
} golden;

/* Place of a recipe word in its list; the first where the case does not say. */
static int word(const json_t *spec, const char *key, const char *const *words, size_t n)
{
    const char *want = json_string_value(json_object_get(spec, key));

    for (size_t i = 0; want && i < n; i++)
        if (strcmp(words[i], want) == 0) return (int)i;
    cr_assert_null(want, "%s: unknown word %s", key, want);
    return 0;
}

#define WORD(name, text, ...) text,
#define READ_WORD(spec, key, LIST) word((spec), (key), (const char *const[]){LIST(WORD)}, \
                                        sizeof(const char *const[]){LIST(WORD)} / sizeof(char *))

#define NETWORK_WORD(id, text, family) #text,
static const char *const networks[] = {LK_NETWORK_LIST(NETWORK_WORD)};

static lk_model_spec read_spec(const json_t *spec)
{
    lk_model_spec out = {
        .kind = (lk_model_kind)word(spec, "kind", networks, sizeof networks / sizeof *networks),
        .norm = (lk_norm)READ_WORD(spec, "norm", LK_NORM_LIST),
        .norm_place = (lk_norm_place)READ_WORD(spec, "norm_place", LK_NORM_PLACE_LIST),
        .activation = (lk_activation)READ_WORD(spec, "activation", LK_ACTIVATION_LIST),
        .mlp = {4, {5, 7, 4, 3}},
        .cnn = {.n_channels = 2, .channels = {3, 4}, .kernel = 3, .n_hidden = 1, .hidden = {5},
                .pool = (lk_pool)READ_WORD(spec, "pool", LK_POOL_LIST)},
    };
    if (out.kind != LK_MODEL_CNN) return out;
    out.vision = (lk_vision_spec){.image = {2, 4, 8}, .classes = 3};
    out.loss = (lk_loss_spec){.kind = LK_LOSS_CROSS_ENTROPY, .label_smoothing = 0.1f, .ignore_index = -100};
    return out;
}

static void read_floats(const json_t *list, float *out)
{
    for (size_t i = 0; i < json_array_size(list); i++) out[i] = (float)json_number_value(json_array_get(list, i));
}

static bool reads_labels(const golden *g)
{
    return lk_loss_get(lk_model_get_spec(g->model)->loss.kind)->reads == LK_READS_CLASSES;
}

static void read_target(golden *g)
{
    const json_t *list = json_object_get(g->values, "target");

    read_floats(list, g->target);
    g->terms = (int64_t)json_array_size(list);
    if (!reads_labels(g)) return;
    g->terms = 0;
    for (int64_t i = 0; i < g->n; i++) {
        g->label[i] = (int32_t)g->target[i];
        g->terms += g->label[i] >= 0;
    }
}

static void read_tensors(golden *g)
{
    const char *name;
    json_t *list;

    json_object_foreach(json_object_get(g->values, "tensors"), name, list) {
        const ptrdiff_t i = lk_model_find(g->model, name);

        cr_assert_geq(i, 0, "%s: PyTorch's %s is not in the model", g->name, name);
        const lk_tensor_info *info = lk_model_tensor(g->model, (size_t)i);
        cr_assert_eq(info->n_elem, json_array_size(list), "%s: %s has another size", g->name, name);
        read_floats(list, g->params + info->offset);
    }
    cr_assert_eq(lk_model_n_tensors(g->model), json_object_size(json_object_get(g->values, "tensors")));
}

/* What the case freezes; nothing in most. */
static void use_set(golden *g)
{
    const json_t *frozen = json_object_get(g->values, "frozen");
    bool trains[MOST_TENSORS];

    cr_assert_leq(lk_model_n_tensors(g->model), MOST_TENSORS);
    for (size_t i = 0; i < lk_model_n_tensors(g->model); i++) {
        trains[i] = true;
        for (size_t k = 0; k < json_array_size(frozen); k++)
            if (lk_glob(json_string_value(json_array_get(frozen, k)), lk_model_tensor(g->model, i)->name))
                trains[i] = false;
    }
    const lk_trainable_spec spec = {.trains = trains, .n_groups = 1,
                                    .frozen_eval = json_is_true(json_object_get(g->values, "norm_eval"))};
    cr_assert_eq(lk_trainable_new(g->model, &spec, &g->trainable), LK_OK, "%s", lk_error_message());
    lk_engine_set_trainable(g->engine, g->trainable);
}

static golden golden_new(const json_t *values)
{
    golden g = {.values = values, .name = json_string_value(json_object_get(values, "name")),
                .n = json_integer_value(json_object_get(values, "samples"))};
    const lk_model_spec spec = read_spec(json_object_get(values, "spec"));
    const lk_engine_options options = {.kind = engine_under_test(), .threads = 1};

    cr_assert_eq(lk_model_new(&spec, &g.model), LK_OK, "%s", lk_error_message());
    cr_assert_leq(lk_model_n_output(g.model), MOST_OUTPUTS);
    cr_assert_eq(lk_engine_new(&options, g.model, &g.engine), LK_OK, "%s", lk_error_message());
    use_set(&g);
    const size_t n = (size_t)g.n, n_out = n * lk_model_n_output(g.model);
    g.params = lk_alloc(lk_model_n_elem(g.model) * sizeof(float));
    g.grads = lk_alloc(lk_trainable_n_grads(g.trainable) * sizeof(float));
    g.x = lk_alloc(n * lk_field_nbytes(&lk_model_sample(g.model)->field[0], 0));
    g.target = lk_alloc(n_out * sizeof(float));
    g.output = lk_alloc(n_out * sizeof(float));
    g.label = lk_alloc(n * sizeof *g.label);
    g.sample = lk_alloc(n * sizeof *g.sample);
    read_floats(json_object_get(values, "x"), g.x);
    read_target(&g);
    read_tensors(&g);
    return g;
}

static void golden_free(golden *g)
{
    lk_free(&g->sample), lk_free(&g->label), lk_free(&g->output), lk_free(&g->target), lk_free(&g->x);
    lk_free(&g->grads), lk_free(&g->params);
    lk_engine_release(g->engine, &g->there_grads), lk_engine_release(g->engine, &g->there_params);
    lk_engine_free(&g->engine);
    lk_trainable_free(&g->trainable);
    lk_model_free(&g->model);
}

/* Host arrays to the engine's memory, and back. */
static void send_arenas(golden *g)
{
    const size_t n_grads = lk_trainable_n_grads(g->trainable) * sizeof(float),
                 n_params = lk_model_n_elem(g->model) * sizeof(float);

    if (!g->there_params) {
        cr_assert_eq(lk_engine_alloc(g->engine, n_params, (void **)&g->there_params), LK_OK);
        cr_assert_eq(lk_engine_alloc(g->engine, n_grads, (void **)&g->there_grads), LK_OK);
    }
    cr_assert_eq(lk_engine_write(g->engine, g->there_params, g->params, n_params), LK_OK);
    cr_assert_eq(lk_engine_write(g->engine, g->there_grads, g->grads, n_grads), LK_OK);
}

static void fetch_arenas(golden *g)
{
    const size_t n_grads = lk_trainable_n_grads(g->trainable) * sizeof(float),
                 n_params = lk_model_n_elem(g->model) * sizeof(float);

    cr_assert_eq(lk_engine_read(g->engine, g->params, g->there_params, n_params), LK_OK, "%s", lk_error_message());
    cr_assert_eq(lk_engine_read(g->engine, g->grads, g->there_grads, n_grads), LK_OK);
}

static void run(golden *g, lk_mode mode, uint64_t version)
{
    send_arenas(g);
    const lk_lane lane = {.mode = mode, .n = g->n, .field = {g->x, reads_labels(g) ? (void *)g->label : g->target},
                          .sample = g->sample, .inv_count = (float)(1.0 / (double)g->terms), .params = g->there_params,
                          .params_version = version, .grads = g->there_grads, .sums = g->sums, .output = g->output};
    cr_assert_eq(lk_engine_run(g->engine, &lane), LK_OK, "%s", lk_error_message());
    fetch_arenas(g);
}

static void expect_list(const golden *g, const char *what, const float *got, const json_t *want)
{
    for (size_t i = 0; i < json_array_size(want); i++) {
        const double value = json_number_value(json_array_get(want, i));

        cr_expect_float_eq(got[i], value, TOLERANCE * fmax(1.0, fabs(value)), "%s: %s[%zu]: got %.9g, PyTorch %.9g",
                           g->name, what, i, (double)got[i], value);
    }
}

/* Every tensor of a section, at its place in the parameter arena or, with a set, in its gradient arena. */
static void expect_section(const golden *g, const char *section, const lk_trainable *set, const float *arena)
{
    const char *name;
    json_t *want;

    json_object_foreach(json_object_get(g->values, section), name, want) {
        const ptrdiff_t i = lk_model_find(g->model, name);
        char what[128];

        snprintf(what, sizeof what, "%s %s", section, name);
        expect_list(g, what, arena + (set ? lk_trainable_offset(set, (size_t)i)
                                          : lk_model_tensor(g->model, (size_t)i)->offset), want);
    }
}

static void expect_case(const json_t *values)
{
    golden g = golden_new(values);

    run(&g, LK_TRAIN, 1);
    const double loss = (double)g.grads[lk_trainable_slot(g.trainable, LK_SLOT_LOSS)];
    const double want = json_number_value(json_object_get(values, "loss"));
    cr_expect_float_eq(loss, want, TOLERANCE * fmax(1.0, want), "%s: loss: got %.9g, PyTorch %.9g", g.name, loss, want);
    expect_section(&g, "gradients", g.trainable, g.grads);
    size_t n_trainable = 0;
    for (size_t i = 0; i < lk_model_n_tensors(g.model); i++) n_trainable += lk_trainable_has(g.trainable, i);
    cr_expect_eq(n_trainable, json_object_size(json_object_get(values, "gradients")), "%s: %zu tensors train", g.name,
                 n_trainable);
    cr_assert_eq(lk_engine_update_stats(g.engine, g.there_params, g.there_grads, &(lk_grad_report){.finite = true}),
                 LK_OK);
    fetch_arenas(&g);
    expect_section(&g, "running", NULL, g.params);
    run(&g, LK_EVAL, 2);
    expect_list(&g, "output", g.output, json_object_get(values, "output"));
    cr_expect_eq(g.sums[LK_SUM_COUNT], (double)g.terms, "%s: counted %g terms, want %ld", g.name, g.sums[LK_SUM_COUNT],
                 (long)g.terms);
    golden_free(&g);
}

Test(networks, outputs_losses_gradients_and_statistics_are_those_of_pytorch)
{
    json_t *root = golden_load("networks.json");
    json_t *values;
    size_t i;

    cr_assert_geq(json_array_size(json_object_get(root, "cases")), 21);
    json_array_foreach(json_object_get(root, "cases"), i, values) expect_case(values);
    json_decref(root);
}
