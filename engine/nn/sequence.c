/* Layers of networks that read sequences of tokens: embeddings, positions, attention. */
#include "engine/nn/builder.h"

/* NAME.weight (rows, width). */
static lk_status make_table(lk_builder *builder, const char *path, const char *of, int64_t rows, int64_t width,
                            const lk_fill *fill, int *table)
{
    const lk_model_entry entry = {.info = {.role = LK_ROLE_PARAM, .ndim = 2, .shape = {rows, width}},
                                  .fill = fill ? *fill : lk_fill_normal(0.0, 1.0)};

    return lk_builder_tensor(builder, path, of, "weight", &entry, table);
}

lk_status lk_layer_embedding(lk_builder *builder, const char *name, int tokens, const lk_embedding *spec, int *y)
{
    const lk_dtype dtype = builder->graph->precision == LK_BF16 ? LK_DTYPE_BF16 : LK_DTYPE_F32;
    const float scale = spec->scale > 0.0 ? (float)spec->scale : 1.0f;
    char path[LK_MAX_PATH];
    const char *of = spec->share ? spec->share : path;
    int table;

    LK_TRY(lk_builder_path(builder, name, path));
    LK_TRY(make_table(builder, path, of, spec->n_rows, spec->width, spec->weight, &table));
    return lk_op_embedding(builder->graph, path, tokens, table, scale, dtype, y);
}

lk_status lk_layer_positions(lk_builder *builder, const char *name, int x, int64_t n_rows, const lk_fill *weight,
                             int *y)
{
    const lk_tensor *of = &builder->graph->tensors[x];
    char path[LK_MAX_PATH];
    int table = LK_NO_TENSOR;

    LK_TRY(lk_builder_path(builder, name, path));
    if (n_rows > 0) LK_TRY(make_table(builder, path, path, n_rows, of->shape[of->ndim - 1], weight, &table));
    return lk_op_positions(builder->graph, path, x, table, y);
}

static lk_status tap_map(lk_builder *builder, const char *path, int q, int k, int lengths, int log_sum,
                         const lk_attention *attention)
{
    int map;

    if (!builder->graph->wants_taps) return LK_OK;
    LK_TRY(lk_op_attention_map(builder->graph, path, q, k, lengths, log_sum, attention, &map));
    return lk_tap(builder, "attention_weights", map);
}

lk_status lk_layer_attention(lk_builder *builder, const char *name, int q, int k, int v,
                             const lk_attention_heads *spec, int *y)
{
    const int lengths = spec->lengths ? *spec->lengths : LK_NO_TENSOR;
    lk_attention attention = {.heads = spec->heads, .causal = spec->causal, .p = spec->dropout,
                              .layer = builder->n_dropouts++};
    char path[LK_MAX_PATH];
    int log_sum;

    LK_TRY(lk_builder_path(builder, name, path));
    if (lk_builder_in_eval(builder, path)) attention.p = 0.0;
    LK_TRY(lk_op_attention(builder->graph, path, q, k, v, lengths, &attention, y, &log_sum));
    return tap_map(builder, path, q, k, lengths, log_sum, &attention);
}
