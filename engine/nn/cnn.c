/*
 * A small convolutional network: `features`, a Sequential of [Conv2d, norm?, activation, pool] for each entry of
 * channels; flatten in PyTorch's order (C, H, W); `classifier`, a Sequential of [Linear, activation, Dropout] for
 * each entry of hidden and a last Linear.  A convolution right before a norm has no bias: the norm takes it away.
 */
#include "engine/nn/networks.h"

#include <string.h>

static lk_status check_features(const lk_model_spec *spec)
{
    int64_t H = spec->cnn.image[1], W = spec->cnn.image[2];

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
                           (long long)spec->cnn.image[1], (long long)spec->cnn.image[2], (long long)H, (long long)W, i);
    }
    return LK_OK;
}

static lk_status check(const lk_model_spec *spec)
{
    static const char *const side[] = {"channels", "height", "width"};

    for (int d = 0; d < 3; d++)
        if (spec->cnn.image[d] < 1)
            return LK_FAIL(LK_ERR_USAGE, "model.image: %s is %lld; it must be at least 1", side[d],
                           (long long)spec->cnn.image[d]);
    LK_TRY(check_features(spec));
    if (spec->norm == LK_NORM_LAYER)
        return LK_FAIL(LK_ERR_USAGE, "model.norm is layer; a cnn takes none or batch");
    if (spec->cnn.n_hidden < 0 || spec->cnn.n_hidden > LK_MAX_LAYERS)
        return LK_FAIL(LK_ERR_USAGE, "model.hidden has %d entries; at most %d are supported", spec->cnn.n_hidden,
                       LK_MAX_LAYERS);
    for (int i = 0; i < spec->cnn.n_hidden; i++)
        if (spec->cnn.hidden[i] < 1)
            return LK_FAIL(LK_ERR_USAGE, "model.hidden[%d] is %lld; a layer needs at least 1 unit", i,
                           (long long)spec->cnn.hidden[i]);
    if (spec->cnn.classes < 1)
        return LK_FAIL(LK_ERR_USAGE, "model.classes is %lld; it must be at least 1", (long long)spec->cnn.classes);
    return LK_OK;
}

static lk_status fit_image(lk_cnn_spec *cnn, const lk_sample *data)
{
    const int x = lk_sample_find(data, "x");

    if (x < 0 || data->field[x].ndim != 3)
        return LK_FAIL(LK_ERR_USAGE, "model.kind: a cnn needs images, and this data set has none; in HDF5 they are "
                       "(N, C, H, W), with one channel (N, 1, H, W)");
    const int64_t *lies = data->field[x].shape, image[] = {lies[2], lies[0], lies[1]}; /* (H, W, C) as C, H, W */

    if (cnn->image[0] == 0) memcpy(cnn->image, image, sizeof image);
    if (memcmp(cnn->image, image, sizeof image) == 0) return LK_OK;
    return LK_FAIL(LK_ERR_USAGE, "model.image: the recipe says %lld x %lld x %lld, the data %lld x %lld x %lld",
                   (long long)cnn->image[0], (long long)cnn->image[1], (long long)cnn->image[2], (long long)image[0],
                   (long long)image[1], (long long)image[2]);
}

static lk_status fit(lk_model_spec *spec, const lk_sample *data)
{
    lk_cnn_spec *cnn = &spec->cnn;
    bool labels;
    const int64_t classes = lk_data_outputs(data, &labels);

    LK_TRY(fit_image(cnn, data));
    if (cnn->classes == 0) cnn->classes = classes;
    if (labels ? cnn->classes < classes : cnn->classes != classes)
        return LK_FAIL(LK_ERR_USAGE, "model.classes: the recipe says %lld, the data has %lld", (long long)cnn->classes,
                       (long long)classes);
    return LK_OK;
}

static bool is_complete(const lk_model_spec *spec) { return spec->cnn.image[0] > 0 && spec->cnn.classes > 0; }

static void sample(const lk_model_spec *spec, lk_sample *out)
{
    lk_sample_add(out, &(lk_field){.name = "x", .dtype = LK_DTYPE_F32, .ndim = 3,
                                   .shape = {spec->cnn.image[1], spec->cnn.image[2], spec->cnn.image[0]}});
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
    LK_TRY(lk_layer_linear(builder, NULL, x, &(lk_linear){.n_out = spec->cnn.classes}, y));
    lk_leave(builder);
    return LK_OK;
}

const lk_network lk_network_cnn = {
    .word = "cnn", .fit = fit, .is_complete = is_complete, .check = check, .sample = sample, .build = build};
