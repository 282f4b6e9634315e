/*
 * torchvision's ShiftedWindowAttention: relative_position_bias_table, the linear layers qkv and proj, and between them
 * attention within windows.  Its buffer relative_position_index follows from the size of a window; it is not a tensor
 * here.
 */
#include "engine/nn/builder.h"

/* ((2 window - 1)^2, heads) */
static lk_status make_table(lk_builder *builder, const char *path, const lk_window_attention *spec, int *table)
{
    const int64_t side = 2 * spec->window - 1;
    const lk_model_entry entry = {
        .info = {.role = LK_ROLE_PARAM, .ndim = 2, .shape = {side * side, spec->heads}}, .fill = spec->table};

    return lk_builder_tensor(builder, path, path, "relative_position_bias_table", &entry, table);
}

/* The bias of qkv is what a token of zeros gets; it is needed where the last windows reach beyond the image. */
static lk_status find_pad(lk_builder *builder, const char *path, int qkv, const lk_window_attention *spec, int *pad)
{
    const lk_tensor *t = &builder->graph->tensors[qkv];
    const lk_model_entry entry = {.info = {.role = LK_ROLE_PARAM, .ndim = 1, .shape = {t->shape[3]}}};
    char layer[LK_MAX_PATH];

    *pad = LK_NO_TENSOR;
    if (t->shape[1] % spec->window == 0 && t->shape[2] % spec->window == 0) return LK_OK;
    LK_TRY(lk_builder_path(builder, "qkv", layer));
    return lk_builder_tensor(builder, path, layer, "bias", &entry, pad);
}

static lk_status attend(lk_builder *builder, const char *path, int x, const lk_window_attention *spec, int *y)
{
    const lk_tensor image = builder->graph->tensors[x];
    const lk_linear product = {.n_out = 3 * image.shape[3], .weight = spec->weight, .bias = spec->bias};
    lk_windows windows = {.heads = spec->heads, .size = spec->window, .shift = {spec->shift, spec->shift},
                          .p = spec->attention_dropout, .layer = builder->n_dropouts++};
    char inside[LK_MAX_PATH]; /* of what draws: it is a part of this module */
    int table, qkv, pad;

    LK_TRY(lk_builder_path(builder, "attention_dropout", inside));
    if (lk_builder_in_eval(builder, inside)) windows.p = 0.0;
    LK_TRY(make_table(builder, path, spec, &table));
    LK_TRY(lk_layer_linear(builder, "qkv", x, &product, &qkv));
    LK_TRY(find_pad(builder, path, qkv, spec, &pad));
    return lk_op_window_attention(builder->graph, path, qkv, table, pad, &windows, y);
}

lk_status lk_layer_window_attention(lk_builder *builder, const char *name, int x, const lk_window_attention *spec,
                                    int *y)
{
    const lk_tensor image = builder->graph->tensors[x];
    const lk_linear product = {.n_out = image.shape[image.ndim - 1], .weight = spec->weight, .bias = spec->bias};

    LK_TRY(lk_enter(builder, name ? "%s" : NULL, name));
    if (image.ndim != 4 || spec->window < 1 || spec->window > LK_LARGEST_WINDOW || spec->heads < 1)
        return LK_FAIL(LK_ERR_USAGE, "%s: attention over windows of %lld tokens with %lld heads wants images "
                       "(N, H, W, C), a window of 1 to %d and a head, and got %d dimensions", builder->path,
                       (long long)spec->window, (long long)spec->heads, (int)LK_LARGEST_WINDOW, image.ndim);
    LK_TRY(attend(builder, builder->path, x, spec, &x));
    LK_TRY(lk_layer_linear(builder, "proj", x, &product, &x));
    LK_TRY(lk_layer_dropout(builder, "dropout", spec->dropout, x, y));
    lk_leave(builder);
    return LK_OK;
}
