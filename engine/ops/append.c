/*
 * The cache of decoding: shape rule of writing to it.
 *
 *     entry[n, position + i, ...] = x[n, i, ...]    for the lane's positions i
 *
 * position is read at run time, so one plan, and on a device one recording, serves all positions.
 */
#include "engine/ops/ops.h"
#include "engine/ops/rules.h"
#include "engine/ops/shapes.h"

lk_status lk_op_append(lk_graph *graph, const char *path, int x, int *y)
{
    const lk_tensor in = graph->tensors[x];
    const lk_cache_entry *entry;
    int64_t shape[LK_MAX_DIMS];

    if (!graph->cache)
        return LK_FAIL(LK_ERR_USAGE, "%s: only programs that encode or decode have a cache to append to", path);
    if (!lk_is_float(in.dtype) || in.ndim < 2 || in.shape[0] != graph->n || in.shape[1] > graph->cache->capacity)
        return LK_FAIL(LK_ERR_USAGE, "%s: what is kept is fp32 or bf16, (N, L, ...) with L up to %lld; got %s %s", path,
                       (long long)graph->cache->capacity, lk_dtype_name(in.dtype), lk_shape_of(&in).text);
    memcpy(shape, in.shape, sizeof shape);
    shape[1] = graph->cache->capacity;
    LK_TRY(lk_cache_layout_entry(graph->cache, path, in.dtype, in.ndim, shape, &entry));
    LK_TRY(lk_graph_tensor(graph, path, in.dtype, in.ndim, shape, LK_ARENA_CACHE, entry->offset, y));
    return lk_graph_node(graph, LK_OP_APPEND, path, 1, &x, 1, y, NULL, NULL);
}

double lk_flops_append(const lk_graph *graph, const lk_node *node)
{
    return (double)graph->tensors[node->in[0]].n_elem;
}
