/*
 * VGG as torchvision has it: structure, names, first values.
 *
 *     features      a Sequential of five stages: some [Conv2d 3 x 3, BatchNorm2d (of a _bn), ReLU], then MaxPool2d(2)
 *     avgpool       AdaptiveAvgPool2d(7)
 *     classifier    Linear(512 * 7 * 7, 4096), ReLU, Dropout, Linear(4096, 4096), ReLU, Dropout, Linear(4096, classes)
 *
 * Stem cifar is for images of about 32 x 32, which the stages leave as one pixel: avgpool makes (1, 1), and the
 * classifier's widths are 512 in place of 512 * 7 * 7 and 4096, as is usual for CIFAR-10.  Names stay what they are.
 * Convolutions have a bias in front of a norm too.
 *
 * Source: Simonyan and Zisserman, ICLR 2015, arXiv:1409.1556.
 */
#include "engine/nn/backbone.h"

enum {
    N_STAGES = 5,
    LEAST_SIDE = 1 << N_STAGES, /* of an image that can be halved so many times */
    POOLED = 7, HIDDEN = 4096,
    CIFAR_POOLED = 1, CIFAR_HIDDEN = 512,
};

static const int64_t channels[N_STAGES] = {64, 128, 256, 512, 512};

typedef struct depth { bool norm; int n_convs[N_STAGES]; } depth;

static const depth depths[] = {
    [LK_MODEL_VGG11] = {false, {1, 1, 2, 2, 2}}, [LK_MODEL_VGG11_BN] = {true, {1, 1, 2, 2, 2}},
    [LK_MODEL_VGG13] = {false, {2, 2, 2, 2, 2}}, [LK_MODEL_VGG13_BN] = {true, {2, 2, 2, 2, 2}},
    [LK_MODEL_VGG16] = {false, {2, 2, 3, 3, 3}}, [LK_MODEL_VGG16_BN] = {true, {2, 2, 3, 3, 3}},
    [LK_MODEL_VGG19] = {false, {2, 2, 4, 4, 4}}, [LK_MODEL_VGG19_BN] = {true, {2, 2, 4, 4, 4}},
};

/* whose: the key, and whose images they are. */
static lk_status check_image(const lk_model_spec *spec, const char *whose, const char *advice)
{
    if (spec->vision.image[1] >= LEAST_SIDE && spec->vision.image[2] >= LEAST_SIDE) return LK_OK;
    return LK_FAIL(LK_ERR_USAGE, "%s%lld x %lld pixels are too small for a vgg, which halves them %d times: a side "
                   "needs at least %d%s", whose, (long long)spec->vision.image[1], (long long)spec->vision.image[2],
                   N_STAGES, LEAST_SIDE, advice);
}

static lk_status check(const lk_model_spec *spec)
{
    LK_TRY(lk_backbone_check(spec));
    return check_image(spec, "model.image: ", "");
}

/* Where the recipe gives no image it is the data that have to be others. */
static lk_status fit(lk_model_spec *spec, const lk_sample *data)
{
    const bool is_given = spec->vision.image[0] > 0;

    LK_TRY(lk_vision_fit(spec, data));
    if (is_given) return LK_OK;
    return check_image(spec, "data.transforms: the data's images behind these: ",
                       "; a larger {kind: resize, size: S} there helps, and a resnet with stem: cifar takes small "
                       "ones");
}

static lk_status build_stage(lk_builder *builder, const lk_model_spec *spec, int stage, int *x)
{
    const depth *d = &depths[spec->kind];
    const lk_fill weight = lk_backbone_conv_weight(), bias = lk_fill_constant(0.0);
    const lk_conv2d conv = {.n_out = lk_backbone_channels(spec, channels[stage]), .kernel = 3, .padding = 1,
                            .weight = spec->backbone.init_weights ? &weight : NULL,
                            .bias = spec->backbone.init_weights ? &bias : NULL};

    for (int i = 0; i < d->n_convs[stage]; i++) {
        LK_TRY(lk_layer_conv2d(builder, NULL, *x, &conv, x));
        LK_TRY(lk_layer_norm(builder, NULL, d->norm ? LK_NORM_BATCH : LK_NORM_NONE, *x, x));
        LK_TRY(lk_layer_activation(builder, NULL, spec->activation, *x, x));
    }
    return lk_layer_pool2d(builder, NULL, *x, &(lk_pool2d){.kind = LK_POOL_MAX, .kernel = 2}, x);
}

static lk_status linear(lk_builder *builder, const lk_model_spec *spec, int64_t n_out, int *x)
{
    const lk_fill weight = lk_fill_normal(0.0, 0.01), bias = lk_fill_constant(0.0);
    const lk_linear layer = {.n_out = n_out, .weight = spec->backbone.init_weights ? &weight : NULL,
                             .bias = spec->backbone.init_weights ? &bias : NULL};

    return lk_layer_linear(builder, NULL, *x, &layer, x);
}

static lk_status build_classifier(lk_builder *builder, const lk_model_spec *spec, int *x)
{
    const int64_t hidden = lk_backbone_channels(spec, spec->backbone.stem == LK_STEM_CIFAR ? CIFAR_HIDDEN : HIDDEN);

    LK_TRY(lk_enter(builder, "classifier"));
    for (int i = 0; i < 2; i++) {
        LK_TRY(linear(builder, spec, hidden, x));
        LK_TRY(lk_layer_activation(builder, NULL, spec->activation, *x, x));
        LK_TRY(lk_layer_dropout(builder, NULL, spec->dropout, *x, x));
    }
    LK_TRY(linear(builder, spec, spec->vision.classes, x));
    lk_leave(builder);
    return LK_OK;
}

static lk_status build(lk_builder *builder, const lk_model_spec *spec, const int *in, int *y)
{
    const int64_t pooled = spec->backbone.stem == LK_STEM_CIFAR ? CIFAR_POOLED : POOLED;
    int x = in[0];

    LK_TRY(lk_enter(builder, "features"));
    for (int stage = 0; stage < N_STAGES; stage++) LK_TRY(build_stage(builder, spec, stage, &x));
    lk_leave(builder);
    LK_TRY(lk_layer_adaptive_avg_pool2d(builder, "avgpool", pooled, pooled, x, &x));
    LK_TRY(lk_layer_flatten(builder, "flatten", x, &x));
    LK_TRY(build_classifier(builder, spec, &x));
    *y = x;
    return LK_OK;
}

const lk_network lk_network_vgg = {
    .word = "vgg", .fit = fit, .is_complete = lk_vision_is_complete, .check = check,
    .sample = lk_vision_sample, .build = build};
