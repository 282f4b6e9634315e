/* Models have PyTorch's names, shapes and places, and a spec that cannot be built says why. */
#include <criterion/criterion.h>
#include <string.h>

#include "engine/nn/nn.h"

static lk_model_spec mlp_spec(void)
{
    return (lk_model_spec){.kind = LK_MODEL_MLP, .mlp = {4, {20, 64, 32, 1}}, .dropout = 0.2,
                           .loss = {.kind = LK_LOSS_MSE}};
}

static lk_model_spec cnn_spec(void)
{
    return (lk_model_spec){.kind = LK_MODEL_CNN, .vision.image = {1, 28, 28}, .cnn.n_channels = 2,
                           .cnn.channels = {8, 16},
                           .cnn.kernel = 3, .cnn.n_hidden = 1, .cnn.hidden = {32}, .vision.classes = 10,
                           .loss = {.kind = LK_LOSS_CROSS_ENTROPY, .ignore_index = -100}};
}

static lk_model *make(lk_model_spec spec)
{
    lk_model *model;

    cr_assert_eq(lk_model_new(&spec, &model), LK_OK, "%s", lk_error_message());
    return model;
}

static void expect_names(lk_model_spec spec, size_t n, const char *const *want)
{
    lk_model *model = make(spec);

    cr_expect_eq(lk_model_n_tensors(model), n, "got %zu tensors, want %zu", lk_model_n_tensors(model), n);
    for (size_t i = 0; i < n && i < lk_model_n_tensors(model); i++)
        cr_expect_str_eq(lk_model_tensor(model, i)->name, want[i]);
    lk_model_free(&model);
}

#define EXPECT_NAMES(spec, ...)                                                      \
    do {                                                                             \
        const char *const want[] = {__VA_ARGS__};                                    \
        expect_names((spec), sizeof want / sizeof *want, want);                      \
    } while (0)

Test(model, an_mlp_counts_activation_and_dropout_as_torchvision_does)
{
    lk_model_spec spec = mlp_spec();

    EXPECT_NAMES(spec, "0.weight", "0.bias", "3.weight", "3.bias", "6.weight", "6.bias");
    spec.dropout = 0.0;
    spec.activation = LK_ACT_IDENTITY;
    EXPECT_NAMES(spec, "0.weight", "0.bias", "3.weight", "3.bias", "6.weight", "6.bias");
}

Test(model, an_mlp_norm_sits_before_or_after_the_activation)
{
    lk_model_spec spec = mlp_spec();

    spec.mlp.n_layers = 3;
    spec.norm = LK_NORM_LAYER;
    spec.norm_place = LK_NORM_BEFORE;
    EXPECT_NAMES(spec, "0.weight", "0.bias", "1.weight", "1.bias", "4.weight", "4.bias");
    spec.norm_place = LK_NORM_AFTER;
    EXPECT_NAMES(spec, "0.weight", "0.bias", "2.weight", "2.bias", "4.weight", "4.bias");
}

Test(model, buffers_come_after_all_parameters)
{
    lk_model_spec spec = mlp_spec();

    spec.norm = LK_NORM_BATCH;
    EXPECT_NAMES(spec, "0.weight", "0.bias", "1.weight", "1.bias", "4.weight", "4.bias", "5.weight", "5.bias",
                 "8.weight", "8.bias", "1.running_mean", "1.running_var", "5.running_mean", "5.running_var");
}

Test(model, a_cnn_names_features_and_classifier)
{
    lk_model_spec spec = cnn_spec();

    EXPECT_NAMES(spec, "features.0.weight", "features.0.bias", "features.3.weight", "features.3.bias",
                 "classifier.0.weight", "classifier.0.bias", "classifier.3.weight", "classifier.3.bias");
    spec.norm = LK_NORM_BATCH;
    spec.cnn.n_hidden = 0;
    EXPECT_NAMES(spec, "features.0.weight", "features.1.weight", "features.1.bias", "features.4.weight",
                 "features.5.weight", "features.5.bias", "classifier.0.weight", "classifier.0.bias",
                 "features.1.running_mean", "features.1.running_var", "features.5.running_mean",
                 "features.5.running_var");
}

Test(model, shapes_are_those_of_pytorch)
{
    lk_model *model = make(cnn_spec());
    const int64_t conv[] = {16, 8, 3, 3}, fc[] = {32, 16 * 7 * 7};
    const lk_tensor_info *info = lk_model_tensor(model, (size_t)lk_model_find(model, "features.3.weight"));

    cr_expect(info->ndim == 4 && memcmp(info->shape, conv, sizeof conv) == 0);
    info = lk_model_tensor(model, (size_t)lk_model_find(model, "classifier.0.weight"));
    cr_expect(info->ndim == 2 && memcmp(info->shape, fc, sizeof fc) == 0, "got (%ld, %ld), want (32, 784)",
              (long)info->shape[0], (long)info->shape[1]);
    const lk_sample *sample = lk_model_sample(model);
    cr_assert_eq(sample->n_fields, 2, "got %d fields", sample->n_fields);
    cr_expect_str_eq(sample->field[0].name, "x");
    cr_expect_eq(lk_field_n_elem(&sample->field[0], 0), 784, "got %zu", lk_field_n_elem(&sample->field[0], 0));
    cr_expect(!sample->field[0].target && sample->field[1].target);
    cr_expect_eq(lk_model_n_output(model), 10);
    cr_expect_eq(lk_model_find(model, "features.1.weight"), -1);
    lk_model_free(&model);
}

Test(model, tensors_lie_apart_on_cache_lines_and_slots_behind_them)
{
    lk_model_spec spec = mlp_spec();
    spec.norm = LK_NORM_BATCH;
    lk_model *model = make(spec);
    lk_trainable *everything;
    size_t next = 0;

    for (size_t i = 0; i < lk_model_n_tensors(model); i++) {
        const lk_tensor_info *info = lk_model_tensor(model, i);

        cr_expect_eq(info->offset % 16, 0, "%s at %zu", info->name, info->offset);
        cr_expect_geq(info->offset, next, "%s begins at %zu inside its neighbour, which ends at %zu", info->name,
                      info->offset, next);
        cr_expect_eq(info->role == LK_ROLE_PARAM, info->offset < lk_model_n_params(model), "%s", info->name);
        next = info->offset + info->n_elem;
    }
    cr_expect_geq(lk_model_n_elem(model), next);
    cr_assert_eq(lk_trainable_new(model, NULL, &everything), LK_OK);
    cr_expect_eq(lk_trainable_slot(everything, LK_SLOT_LOSS), lk_model_n_elem(model));
    cr_expect_geq(lk_trainable_n_grads(everything), lk_trainable_slot(everything, LK_SLOT_VOTES) + LK_N_VOTES);
    cr_expect_eq(lk_trainable_n_grads(everything) % 16, 0);
    lk_trainable_free(&everything);
    lk_model_free(&model);
}

static void expect_refused(lk_model_spec spec, const char *names)
{
    lk_model *model;
    const lk_status status = lk_model_new(&spec, &model);

    cr_expect_eq(status, LK_ERR_USAGE, "a spec with a wrong %s got status %d", names, (int)status);
    cr_expect_null(model);
    cr_expect(strstr(lk_error_message(), names), "the message does not name %s: %s", names, lk_error_message());
    lk_model_free(&model);
}

Test(model, a_spec_that_cannot_be_built_names_its_key)
{
    lk_model_spec spec = mlp_spec();

    spec.mlp.n_layers = 1;
    expect_refused(spec, "model.layers");
    spec = mlp_spec();
    spec.mlp.layers[2] = 0;
    expect_refused(spec, "model.layers[2]");
    spec = mlp_spec();
    spec.dropout = 1.0;
    expect_refused(spec, "model.dropout");
    spec = cnn_spec();
    spec.cnn.kernel = 4;
    expect_refused(spec, "model.kernel");
    spec = cnn_spec();
    spec.norm = LK_NORM_LAYER;
    expect_refused(spec, "model.norm");
    spec = cnn_spec();
    spec.vision.image[1] = 0;
    expect_refused(spec, "model.image");
    spec = cnn_spec();
    spec.vision.classes = 0;
    expect_refused(spec, "model.classes");
    spec = cnn_spec();
    spec.loss.label_smoothing = 1.5f;
    expect_refused(spec, "loss.label_smoothing");
    spec = cnn_spec();
    spec.loss.reduction = LK_LOSS_SEQUENCE; /* its rows are no steps */
    expect_refused(spec, "loss.reduction");
}

Test(model, an_image_too_small_for_its_pools_is_told_how_many_it_allows)
{
    lk_model_spec spec = cnn_spec();

    spec.cnn.n_channels = 5; /* 28, 14, 7, 3, 1: the fifth has nothing to pool */
    for (int i = 0; i < 5; i++) spec.cnn.channels[i] = 4;
    expect_refused(spec, "model.channels[4]");
    cr_expect(strstr(lk_error_message(), "at most 4"), "message: %s", lk_error_message());
    spec.cnn.n_channels = 4;
    lk_model *model = make(spec);
    lk_model_free(&model);
}

/* ------------------------------------------------------- left to the data */

static void reads_inputs(const lk_model_spec *spec, lk_sample *out)
{
    lk_sample_add(out, &(lk_field){.name = "x", .dtype = LK_DTYPE_F32, .ndim = 1, .shape = {spec->vision.classes}});
}

Test(model, a_side_of_zero_is_left_to_the_data)
{
    const lk_network own = {.word = "own", .sample = reads_inputs};
    lk_model_spec spec = {.network = &own}, cnn = cnn_spec();

    cr_expect_not(lk_model_is_complete(&spec));
    spec.vision.classes = LK_LENGTH;
    cr_expect(lk_model_is_complete(&spec), "a length that varies is no side of 0");
    cr_expect(lk_model_is_complete(&cnn));
    cnn.vision.classes = 0;
    cr_expect_not(lk_model_is_complete(&cnn));
}
