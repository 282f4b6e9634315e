/*
 * The fully connected network, with torchvision.ops.MLP's order and names: one Sequential of
 * [Linear, norm?, activation, Dropout] for each hidden width and a last Linear.  The norm may come after the
 * activation instead.  Activation and Dropout take their index even when they do nothing.
 *
 * Images of several channels come channels last and are flattened first, in the order of torch.nn.Flatten (C, H, W).
 */
#include "engine/nn/networks.h"

static lk_status check(const lk_model_spec *spec)
{
    if (spec->mlp.n_layers < 2 || spec->mlp.n_layers > LK_MAX_LAYERS)
        return LK_FAIL(LK_ERR_USAGE, "model.layers has %d entries: an mlp needs inputs, hidden widths and outputs, 2 "
                       "to %d entries", spec->mlp.n_layers, LK_MAX_LAYERS);
    if (spec->norm == LK_NORM_POST || spec->norm == LK_NORM_PRE)
        return LK_FAIL(LK_ERR_USAGE, "model.norm: post and pre are a transformer's; an mlp has none, batch or layer");
    for (int i = 0; i < spec->mlp.n_layers; i++)
        if (spec->mlp.layers[i] < 1)
            return LK_FAIL(LK_ERR_USAGE, "model.layers[%d] is %lld; a layer needs at least 1 unit", i,
                           (long long)spec->mlp.layers[i]);
    return LK_OK;
}

/* Elsewhere the order that samples lie in is PyTorch's. */
static bool has_channels(const lk_model_spec *spec) { return spec->vision.image[0] > 1; }

/* C, H, W of the data's images, zeros where it has none. */
static void take_image(lk_model_spec *spec, const lk_field *x)
{
    const bool image = x && x->ndim == 3;

    for (int d = 0; d < 3; d++) spec->vision.image[d] = image ? x->shape[(d + 2) % 3] : 0;
}

static lk_status fit(lk_model_spec *spec, const lk_sample *data)
{
    const int x = lk_sample_find(data, "x");
    const long long inputs = x < 0 ? 0 : (long long)lk_field_n_elem(&data->field[x], 1);
    bool labels;
    const long long outputs = lk_data_outputs(data, &labels), last = spec->mlp.layers[spec->mlp.n_layers - 1];

    take_image(spec, x < 0 ? NULL : &data->field[x]);
    if (spec->mlp.layers[0] != inputs)
        return LK_FAIL(LK_ERR_USAGE, "model.layers: the first is %lld, but a sample has %lld inputs",
                       (long long)spec->mlp.layers[0], inputs);
    if (labels ? last < outputs : last != outputs)
        return LK_FAIL(LK_ERR_USAGE, "model.layers: the last is %lld, but the data has %lld %s", last, outputs,
                       labels ? "classes" : "targets a sample");
    return LK_OK;
}

static void sample(const lk_model_spec *spec, lk_sample *out)
{
    if (has_channels(spec))
        lk_vision_sample(spec, out);
    else
        lk_sample_add(out, &(lk_field){.name = "x", .dtype = LK_DTYPE_F32, .ndim = 1, .shape = {spec->mlp.layers[0]}});
}

static lk_status build(lk_builder *builder, const lk_model_spec *spec, const int *in, int *y)
{
    const lk_norm before = spec->norm_place == LK_NORM_BEFORE ? spec->norm : LK_NORM_NONE;
    const lk_norm after = spec->norm_place == LK_NORM_AFTER ? spec->norm : LK_NORM_NONE;
    int x = in[0];

    if (has_channels(spec)) LK_TRY(lk_layer_flatten(builder, "flatten", x, &x));
    for (int i = 1; i < spec->mlp.n_layers - 1; i++) {
        LK_TRY(lk_layer_linear(builder, NULL, x, &(lk_linear){.n_out = spec->mlp.layers[i]}, &x));
        LK_TRY(lk_layer_norm(builder, NULL, before, x, &x));
        LK_TRY(lk_layer_activation(builder, NULL, spec->activation, x, &x));
        LK_TRY(lk_layer_norm(builder, NULL, after, x, &x));
        LK_TRY(lk_layer_dropout(builder, NULL, spec->dropout, x, &x));
    }
    return lk_layer_linear(builder, NULL, x, &(lk_linear){.n_out = spec->mlp.layers[spec->mlp.n_layers - 1]}, y);
}

const lk_network lk_network_mlp = {.word = "mlp", .fit = fit, .check = check, .sample = sample, .build = build};
