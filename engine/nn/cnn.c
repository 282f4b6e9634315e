/*
 * A small convolutional network: `features`, a Sequential of [Conv2d, norm?, activation, pool] for each entry of
 * channels; flatten in PyTorch's order (C, H, W); `classifier`, a Sequential of [Linear, activation, Dropout] for
 * each entry of hidden and a last Linear.  A convolution right before a norm has no bias: the norm takes it away.
 */
#include "engine/nn/networks.h"

static lk_status check_features(const lk_model_spec *spec)
{
    int64_t H = spec->vision.image[1], W = spec->vision.image[2];

    if (spec->cnn.n_channels < 1 || spec->cnn.n_channels > LK_MAX_LAYERS)
        return LK_FAIL(LK_ERR_USAGE, "model.channels has %d entries; a cnn needs 1 to %d convolutions",
                       spec->cnn.n_channels, LK_MAX_LAYERS);
    if (spec->cnn.kernel < 1 || spec->cnn.kernel % 2 == 0)
        return LK_FAIL(LK_ERR_USAGE, "model.kernel is %lld; the side of a convolution must be odd (1, 3, 5, ...)",
                       (long long)spec->cnn.kernel);
    for (int i = 0; i < spec->cnn.n_channels; i++, H /= 2, W /= 2) {
        if (spec->cnn.channels[i] < 1)
            return LK_FAIL(LK_ERR_USAGE, "model.channels[%d] is %lld; a convolution needs at least 1 channel", i,
                           (long long)spec->cnn.channels[i]);
        if (H < 2 || W < 2)
            return LK_FAIL(LK_ERR_USAGE, "model.channels[%d]: after %d poolings the %lld x %lld image is %lld x %lld, "
                           "too small for one more: give model.channels at most %d entries", i, i,
                           (long long)spec->vision.image[1], (long long)spec->vision.image[2], (long long)H,
                           (long long)W, i);
    }
    return LK_OK;
}

static lk_status check(const lk_model_spec *spec)
{
    LK_TRY(lk_vision_check(spec));
    LK_TRY(check_features(spec));
    if (spec->norm != LK_NORM_NONE && spec->norm != LK_NORM_BATCH)
        return LK_FAIL(LK_ERR_USAGE, "model.norm: a cnn takes none or batch");
    if (spec->cnn.n_hidden < 0 || spec->cnn.n_hidden > LK_MAX_LAYERS)
        return LK_FAIL(LK_ERR_USAGE, "model.hidden has %d entries; at most %d are supported", spec->cnn.n_hidden,
                       LK_MAX_LAYERS);
    for (int i = 0; i < spec->cnn.n_hidden; i++)
        if (spec->cnn.hidden[i] < 1)
            return LK_FAIL(LK_ERR_USAGE, "model.hidden[%d] is %lld; a layer needs at least 1 unit", i,
                           (long long)spec->cnn.hidden[i]);
    return LK_OK;
}

static lk_status build_features(lk_builder *builder, const lk_model_spec *spec, int x, int *y)
{
    const lk_norm before = spec->norm_place == LK_NORM_BEFORE ? spec->norm : LK_NORM_NONE;
    const lk_norm after = spec->norm_place == LK_NORM_AFTER ? spec->norm : LK_NORM_NONE;

    LK_TRY(lk_enter(builder, "features"));
    for (int i = 0; i < spec->cnn.n_channels; i++) {
        const lk_conv2d conv = {.n_out = spec->cnn.channels[i], .kernel = spec->cnn.kernel,
                                .padding = spec->cnn.kernel / 2, .no_bias = before != LK_NORM_NONE};

        LK_TRY(lk_layer_conv2d(builder, NULL, x, &conv, &x));
        LK_TRY(lk_layer_norm(builder, NULL, before, x, &x));
        LK_TRY(lk_layer_activation(builder, NULL, spec->activation, x, &x));
        LK_TRY(lk_layer_norm(builder, NULL, after, x, &x));
        LK_TRY(lk_layer_pool2d(builder, NULL, x, &(lk_pool2d){.kind = spec->cnn.pool, .kernel = 2}, &x));
    }
    lk_leave(builder);
    *y = x;
    return LK_OK;
}

static lk_status build(lk_builder *builder, const lk_model_spec *spec, const int *in, int *y)
{
    int x;

    LK_TRY(build_features(builder, spec, in[0], &x));
    LK_TRY(lk_layer_flatten(builder, "flatten", x, &x));
    LK_TRY(lk_enter(builder, "classifier"));
    for (int i = 0; i < spec->cnn.n_hidden; i++) {
        LK_TRY(lk_layer_linear(builder, NULL, x, &(lk_linear){.n_out = spec->cnn.hidden[i]}, &x));
        LK_TRY(lk_layer_activation(builder, NULL, spec->activation, x, &x));
        LK_TRY(lk_layer_dropout(builder, NULL, spec->dropout, x, &x));
    }
    LK_TRY(lk_layer_linear(builder, NULL, x, &(lk_linear){.n_out = spec->vision.classes}, y));
    lk_leave(builder);
    return LK_OK;
}

const lk_network lk_network_cnn = {
    .word = "cnn", .fit = lk_vision_fit, .is_complete = lk_vision_is_complete, .check = check,
    .sample = lk_vision_sample, .build = build};
