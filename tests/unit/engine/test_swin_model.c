/* Swin Transformers: torchvision's names, shapes, numbers of parameters, first values and chances to drop a path; what
 * is frozen draws none; what they refuse. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "engine/model/trainable.h"
#include "engine/nn/build.h"
#include "engine/nn/nn.h"

enum { SAMPLES = 2, MOST_TENSORS = 400 };

static lk_model_spec spec_of(lk_model_kind kind)
{
    return (lk_model_spec){.kind = kind, .vision = {{3, 224, 224}, 1000, 1.0},
                           .swin = {.patch = 4, .window = 7, .stochastic_depth = -1.0},
                           .loss = {.kind = LK_LOSS_CROSS_ENTROPY, .ignore_index = -100}};
}

static lk_model *make(lk_model_spec spec)
{
    lk_model *model;

    cr_assert_eq(lk_model_new(&spec, &model), LK_OK, "%s", lk_error_message());
    return model;
}

static const lk_tensor_info *find(const lk_model *model, const char *name)
{
    const ptrdiff_t i = lk_model_find(model, name);

    cr_assert_geq(i, 0, "there is no %s", name);
    return lk_model_tensor(model, (size_t)i);
}

/* ------------------------------------------------------------------- tensors */

/* len(list(net.parameters())) and their elements, of torchvision.models.NAME() */
Test(swin, have_as_many_parameters_as_torchvisions)
{
    static const struct { lk_model_kind kind; size_t n_tensors, n_weights; } published[] = {
        {LK_MODEL_SWIN_T, 173, 28288354}, {LK_MODEL_SWIN_S, 329, 49606258}, {LK_MODEL_SWIN_B, 329, 87768224},
    };

    for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
        lk_model *model = make(spec_of(published[i].kind));
        size_t n = 0;

        for (size_t t = 0; t < lk_model_n_tensors(model); t++) n += lk_model_tensor(model, t)->n_elem;
        cr_expect_eq(lk_model_n_tensors(model), published[i].n_tensors, "kind %d: got %zu tensors, torchvision %zu",
                     (int)published[i].kind, lk_model_n_tensors(model), published[i].n_tensors);
        cr_expect_eq(n, published[i].n_weights, "kind %d: got %zu weights, torchvision %zu", (int)published[i].kind, n,
                     published[i].n_weights);
        lk_model_free(&model);
    }
}

static void expect_shape(const lk_model *model, const char *name, int ndim, const int64_t *want)
{
    const lk_tensor_info *info = find(model, name);
    char got_text[LK_SHAPE_BYTES], want_text[LK_SHAPE_BYTES];

    cr_expect_str_eq(lk_print_shape(info->ndim, info->shape, got_text), lk_print_shape(ndim, want, want_text),
                     "%s is %s, want %s", name, got_text, want_text);
}

/* features.1.0 is the first block; torchvision counts a Permute between features.0.0 and features.0.2. */
Test(swin, names_and_shapes_are_torchvisions)
{
    lk_model_spec spec = spec_of(LK_MODEL_SWIN_T);
    lk_model *model = make(spec);

    expect_shape(model, "features.0.2.weight", 1, (int64_t[]){96});
    expect_shape(model, "features.1.0.attn.relative_position_bias_table", 2, (int64_t[]){169, 3});
    expect_shape(model, "features.2.reduction.weight", 2, (int64_t[]){192, 384});
    expect_shape(model, "features.2.norm.bias", 1, (int64_t[]){384});
    expect_shape(model, "features.5.5.attn.qkv.weight", 2, (int64_t[]){1152, 384});
    expect_shape(model, "features.7.1.mlp.3.bias", 1, (int64_t[]){768});
    expect_shape(model, "norm.weight", 1, (int64_t[]){768});
    expect_shape(model, "head.weight", 2, (int64_t[]){1000, 768});
    lk_model_free(&model);
    spec.vision.width = 0.3; /* 28.8 channels are 9.6 a head, rounded to 10 */
    spec.swin.window = 4;
    model = make(spec);
    expect_shape(model, "features.0.0.weight", 4, (int64_t[]){30, 3, 4, 4});
    expect_shape(model, "features.7.0.attn.relative_position_bias_table", 2, (int64_t[]){49, 24});
    lk_model_free(&model);
}

/* -------------------------------------------------------------- first values */

/* At 20000 elements and more, a deviation is found to about half of one in a hundred. */
static void expect_deviation(const lk_model *model, const float *params, const char *name, double want)
{
    const lk_tensor_info *info = find(model, name);
    const float *w = params + info->offset;
    double sum = 0.0;

    for (size_t i = 0; i < info->n_elem; i++) sum += (double)w[i] * (double)w[i];
    const double got = sqrt(sum / (double)info->n_elem);
    cr_expect_float_eq(got, want, (info->n_elem < 20000 ? 0.1 : 0.02) * want, "%s has the deviation %g, want %g", name,
                       got, want);
}

static void expect_all(const lk_model *model, const float *params, const char *name, float want)
{
    const lk_tensor_info *info = find(model, name);

    for (size_t i = 0; i < info->n_elem; i++)
        cr_assert_eq(params[info->offset + i], want, "%s[%zu]: got %g, want %g", name, i,
                     (double)params[info->offset + i], (double)want);
}

Test(swin, begins_with_torchvisions_values)
{
    lk_model *model = make(spec_of(LK_MODEL_SWIN_T));
    float *params = lk_alloc(lk_model_n_elem(model) * sizeof *params);

    lk_model_init(model, 5, params);
    expect_deviation(model, params, "features.1.0.attn.qkv.weight", 0.02);
    expect_deviation(model, params, "features.1.0.mlp.0.weight", 0.02);
    expect_deviation(model, params, "features.2.reduction.weight", 0.02);
    expect_deviation(model, params, "head.weight", 0.02);
    expect_deviation(model, params, "features.7.0.attn.relative_position_bias_table", 0.02);
    expect_deviation(model, params, "features.0.0.weight", 1.0 / sqrt(3.0 * 48)); /* U(-a, a), a = 1 / sqrt(fan_in) */
    expect_all(model, params, "features.1.0.attn.qkv.bias", 0.0f);
    expect_all(model, params, "features.1.0.mlp.3.bias", 0.0f);
    expect_all(model, params, "features.1.0.norm1.weight", 1.0f);
    lk_free(&params);
    lk_model_free(&model);
}

/* ----------------------------------------------------------------- drop path */

/* The chances of the drop paths of a training lane's forward pass, in order; how many there are.  Tensors that match
 * `frozen` are, as in evaluation. */
static int drop_paths(lk_model_spec spec, const char *frozen, double chance[64])
{
    bool trains[MOST_TENSORS];
    lk_model *model = make(spec);
    lk_trainable *set;
    lk_graph graph;
    int n = 0;

    for (size_t i = 0; i < lk_model_n_tensors(model); i++)
        trains[i] = !lk_glob(frozen, lk_model_tensor(model, i)->name);
    const lk_trainable_spec of_set = {.trains = trains, .n_groups = 1, .frozen_eval = true};
    cr_assert_eq(lk_trainable_new(model, &of_set, &set), LK_OK, "%s", lk_error_message());
    lk_graph_init(&graph, model, LK_TRAIN, LK_FP32, SAMPLES);
    graph.trainable = set;
    cr_assert_eq(lk_model_build(model, &graph), LK_OK, "%s", lk_error_message());
    for (int i = 0; i < graph.n_nodes; i++) {
        if (graph.nodes[i].op == LK_OP_POINTWISE_LOSS || graph.nodes[i].op == LK_OP_CROSS_ENTROPY) break;
        if (graph.nodes[i].op == LK_OP_DROP_PATH) chance[n++] = graph.nodes[i].attrs.dropout.p;
    }
    lk_graph_clear(&graph);
    lk_trainable_free(&set);
    lk_model_free(&model);
    return n;
}

static void expect_chances(lk_model_spec spec, const char *frozen, int first_block, int n_blocks, double last)
{
    double got[64];
    const int first = first_block ? first_block : 1, n = drop_paths(spec, frozen, got); /* the first block drops none */

    cr_expect_eq(n, 2 * (n_blocks - first), "kind %d without %s: %d drop paths, want %d", (int)spec.kind, frozen, n,
                 2 * (n_blocks - first));
    for (int i = 0; i < n; i++) {
        const double want = last * (first + i / 2) / (n_blocks - 1);
        cr_expect_float_eq(got[i], want, 1e-12, "kind %d: drop path %d: got %g, want %g", (int)spec.kind, i, got[i],
                           want);
    }
}

Test(swin, drops_paths_as_often_as_torchvisions_and_none_in_what_is_frozen)
{
    lk_model_spec spec = spec_of(LK_MODEL_SWIN_T);

    spec.vision.width = 1.0 / 32;
    expect_chances(spec, "none", 0, 12, 0.2);
    expect_chances(spec, "features.[0-5].*", 10, 12, 0.2);
    spec.swin.stochastic_depth = 0.1;
    expect_chances(spec, "none", 0, 12, 0.1);
    spec.swin.stochastic_depth = 0.0;
    expect_chances(spec, "none", 12, 12, 0.0);
    spec.swin.stochastic_depth = -1.0;
    spec.kind = LK_MODEL_SWIN_S;
    expect_chances(spec, "none", 0, 24, 0.3);
    spec.kind = LK_MODEL_SWIN_B;
    expect_chances(spec, "none", 0, 24, 0.5);
}

/* ------------------------------------------------------------------ refusals */

static void expect_refused(lk_model_spec spec, const char *part)
{
    lk_model *model;

    cr_expect_eq(lk_model_new(&spec, &model), LK_ERR_USAGE, "want: %s", part);
    cr_expect(strstr(lk_error_message(), part), "message: %s, want: %s", lk_error_message(), part);
    lk_model_free(&model);
}

Test(swin, a_spec_that_cannot_be_built_names_its_key)
{
    const lk_model_spec good = spec_of(LK_MODEL_SWIN_T);
    lk_model_spec spec = good;

    spec.vision.image[1] = 3;
    expect_refused(spec, "model.patch: a patch of 4 pixels does not fit an image of 3 x 224");
    spec = good, spec.swin.patch = 0;
    expect_refused(spec, "model.patch");
    spec = good, spec.vision.width = 0.0;
    expect_refused(spec, "model.width is 0");
    spec = good, spec.swin.stochastic_depth = 1.0;
    expect_refused(spec, "model.stochastic_depth is 1");
    spec = good, spec.swin.window = LK_LARGEST_WINDOW + 1;
    expect_refused(spec, "features.1.0.attn: attention over windows of 33 tokens");
    spec = good, spec.swin.attention_dropout = 1.0;
    expect_refused(spec, "features.1.0.attn: dropout is 1");
}
