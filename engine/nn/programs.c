/* What a network's build needs where its programs differ: which one it is, the cache, and names for inner
 * activations. */
#include "engine/nn/builder.h"
#include "engine/ops/shapes.h"

lk_mode lk_builder_mode(const lk_builder *builder) { return builder->graph->mode; }

static bool has_cache(const lk_builder *builder) { return builder->graph->cache != NULL; }

lk_status lk_layer_append(lk_builder *builder, const char *name, int x, int *y)
{
    char path[LK_MAX_PATH];

    LK_TRY(lk_builder_path(builder, name, path));
    return lk_op_append(builder->graph, path, x, y);
}

lk_status lk_layer_recall(lk_builder *builder, const char *name, int ndim, const int64_t *shape, int *y)
{
    lk_graph *graph = builder->graph;
    const lk_dtype dtype = graph->precision == LK_BF16 ? LK_DTYPE_BF16 : LK_DTYPE_F32;
    const lk_cache_entry *entry;
    int64_t whole[LK_MAX_DIMS];
    char path[LK_MAX_PATH];

    LK_TRY(lk_builder_path(builder, name, path));
    if (!has_cache(builder))
        return LK_FAIL(LK_ERR_USAGE, "%s: only programs that encode or decode have a cache to look into", path);
    if (ndim > LK_MAX_DIMS - 2) return LK_FAIL(LK_ERR_USAGE, "%s: %d dimensions a position are too many", path, ndim);
    whole[0] = graph->n;
    whole[1] = graph->cache->capacity;
    for (int d = 0; d < ndim; d++) whole[d + 2] = shape[d];
    LK_TRY(lk_cache_layout_entry(graph->cache, path, dtype, ndim + 2, whole, &entry));
    return lk_graph_tensor(graph, path, dtype, ndim + 2, whole, LK_ARENA_CACHE, entry->offset, y);
}

lk_status lk_layer_cumsum(lk_builder *builder, const char *name, int x, int *y)
{
    lk_graph *graph = builder->graph;
    const int64_t L = graph->tensors[x].ndim > 1 ? graph->tensors[x].shape[1] : 1;
    char path[LK_MAX_PATH];

    LK_TRY(lk_builder_path(builder, name, path));
    if (has_cache(builder)) LK_TRY(lk_op_append(graph, path, x, &x));
    return lk_op_cumsum(graph, path, x, L, y);
}

lk_status lk_layer_to_float(lk_builder *builder, const char *name, int x, int *y)
{
    lk_graph *graph = builder->graph;
    char path[LK_MAX_PATH];

    LK_TRY(lk_builder_path(builder, name, path));
    LK_TRY(lk_op_normalize(graph, path, NULL, x, y));
    return graph->precision == LK_BF16 ? lk_op_cast(graph, path, LK_DTYPE_BF16, *y, y) : LK_OK;
}

/* --------------------------------------------------------------------- taps */

static bool is_tapped(const lk_graph *graph, const char *path)
{
    for (int t = 0; t < graph->n_tensors; t++)
        if (graph->tensors[t].arena == LK_ARENA_TAPS && strcmp(graph->tensors[t].name, path) == 0) return true;
    return false;
}

lk_status lk_tap(lk_builder *builder, const char *name, int x)
{
    lk_graph *graph = builder->graph;
    const lk_tensor of = graph->tensors[x];
    char path[LK_MAX_PATH];
    int copy;

    LK_TRY(lk_builder_path(builder, name, path));
    if (!graph->wants_taps) return LK_OK;
    if (!lk_is_float(of.dtype))
        return LK_FAIL(LK_ERR_USAGE, "%s: an activation in fp32 or bf16 can be kept, not one in %s", path,
                       lk_dtype_name(of.dtype));
    if (is_tapped(graph, path)) return LK_FAIL(LK_ERR_USAGE, "%s: two activations are named so", path);
    LK_TRY(lk_graph_tensor(graph, path, LK_DTYPE_F32, of.ndim, of.shape, LK_ARENA_TAPS, graph->tap_bytes, &copy));
    graph->tap_bytes += (graph->tensors[copy].nbytes + LK_PLACE_ALIGNMENT - 1) / LK_PLACE_ALIGNMENT *
                        LK_PLACE_ALIGNMENT;
    return lk_graph_node(graph, LK_OP_CAST, path, 1, &x, 1, &copy, NULL, NULL);
}
