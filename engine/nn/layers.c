/*
 * Layers: PyTorch's modules as builders.  Each knows the names, shapes and first values of its tensors and appends
 * its op; shapes are checked by the op.
 */
#include "engine/nn/nn.h"

#include <assert.h>
#include <stdio.h>

#define NORM_EPS 1e-5f /* PyTorch's default, batch and layer norm */

enum { POOL_SIDE = 2 };

/* Path of the next layer, which takes its index. */
static void next_path(lk_builder *builder, char path[LK_MAX_NAME])
{
    snprintf(path, LK_MAX_NAME, "%s%d", builder->prefix, builder->index++);
}

typedef struct layer_tensor {
    const char *leaf; /* name within the layer */
    lk_role role;
    lk_fill fill;
    int ndim;
    int64_t shape[LK_MAX_DIMS];
    int64_t fan_in, fan_out;
} layer_tensor;

/* Once the model is laid out: what the graph's tensor `id` is of model tensor `info`, and whether it trains. */
static void identify(lk_graph *graph, int id, size_t info)
{
    lk_tensor *tensor = &graph->tensors[id];

    tensor->info = (int)info;
    if (graph->mode != LK_TRAIN || !lk_trainable_has(graph->trainable, info)) return;
    tensor->needs_grad = true;
    tensor->grad_offset = lk_trainable_offset(graph->trainable, info) * sizeof(float);
}

/* The layer's tensor in the graph, at its place in the parameter arena once the model is laid out. */
static lk_status parameter(lk_builder *builder, const char *path, const layer_tensor *want, int *out)
{
    lk_graph *graph = builder->graph;
    char name[2 * LK_MAX_NAME];
    size_t offset = 0;
    ptrdiff_t info = -1;

    snprintf(name, sizeof name, "%s.%s", path, want->leaf);
    if (builder->registering) {
        LK_TRY(lk_model_register(builder->registering, name, want->role, want->ndim, want->shape, want->fill,
                                 want->fan_in, want->fan_out));
    } else {
        info = lk_model_find(graph->model, name);
        assert(info >= 0);
        offset = lk_model_tensor(graph->model, (size_t)info)->offset * sizeof(float);
    }
    LK_TRY(lk_graph_tensor(graph, name, LK_DTYPE_F32, want->ndim, want->shape, LK_ARENA_PARAMS, offset, out));
    if (info >= 0) identify(graph, *out, (size_t)info);
    return LK_OK;
}

static int64_t last_dim(const lk_builder *builder, int x)
{
    const lk_tensor *t = &builder->graph->tensors[x];
    return t->shape[t->ndim - 1];
}

lk_status lk_layer_linear(lk_builder *builder, int x, int64_t n_out, int *y)
{
    char path[LK_MAX_NAME];
    const int64_t n_in = last_dim(builder, x);
    int w, b;

    next_path(builder, path);
    LK_TRY(parameter(builder, path, &(layer_tensor){.leaf = "weight", .role = LK_ROLE_PARAM, .fill = LK_FILL_WEIGHT,
                     .ndim = 2, .shape = {n_out, n_in}, .fan_in = n_in, .fan_out = n_out}, &w));
    LK_TRY(parameter(builder, path, &(layer_tensor){.leaf = "bias", .role = LK_ROLE_PARAM, .fill = LK_FILL_BIAS,
                     .ndim = 1, .shape = {n_out}, .fan_in = n_in, .fan_out = n_out}, &b));
    return lk_op_linear(builder->graph, path, x, w, b, y);
}

lk_status lk_layer_conv2d(lk_builder *builder, int x, int64_t n_out, int64_t kernel, bool bias, int *y)
{
    char path[LK_MAX_NAME];
    const int64_t n_in = last_dim(builder, x), area = kernel * kernel;
    int w, b = LK_NO_TENSOR;

    next_path(builder, path);
    LK_TRY(parameter(builder, path, &(layer_tensor){.leaf = "weight", .role = LK_ROLE_PARAM, .fill = LK_FILL_WEIGHT,
                     .ndim = 4, .shape = {n_out, n_in, kernel, kernel}, .fan_in = n_in * area,
                     .fan_out = n_out * area}, &w));
    if (bias)
        LK_TRY(parameter(builder, path, &(layer_tensor){.leaf = "bias", .role = LK_ROLE_PARAM, .fill = LK_FILL_BIAS,
                         .ndim = 1, .shape = {n_out}, .fan_in = n_in * area, .fan_out = n_out * area}, &b));
    return lk_op_conv2d(builder->graph, path, x, w, b, 1, kernel / 2, y);
}

static lk_status vector(lk_builder *builder, const char *path, const char *leaf, lk_role role, lk_fill fill, int64_t n,
                        int *out)
{
    return parameter(builder, path, &(layer_tensor){.leaf = leaf, .role = role, .fill = fill, .ndim = 1, .shape = {n}},
                     out);
}

/* The place of a buffer's statistic in the gradient arena; LK_NO_TENSOR where the set in use collects none. */
static lk_status statistic(lk_builder *builder, int buffer, int *out)
{
    const lk_graph *graph = builder->graph;
    const lk_tensor of = graph->tensors[buffer];
    const size_t offset = builder->registering ? 0 : lk_trainable_offset(graph->trainable, (size_t)of.info);
    char name[2 * LK_MAX_NAME + 8];

    *out = LK_NO_TENSOR;
    if (offset == SIZE_MAX) return LK_OK;
    snprintf(name, sizeof name, "lane's %s", of.name);
    return lk_graph_tensor(builder->graph, name, of.dtype, of.ndim, of.shape, LK_ARENA_GRADS, offset * sizeof(float),
                           out);
}

static lk_status batch_norm(lk_builder *builder, const char *path, int x, int g, int b, int *y)
{
    lk_graph *graph = builder->graph;
    const int64_t C = last_dim(builder, x);
    int mean, var, stat_mean = LK_NO_TENSOR, stat_var = LK_NO_TENSOR;

    LK_TRY(vector(builder, path, "running_mean", LK_ROLE_BUFFER, LK_FILL_ZEROS, C, &mean));
    LK_TRY(vector(builder, path, "running_var", LK_ROLE_BUFFER, LK_FILL_ONES, C, &var));
    if (graph->mode == LK_TRAIN) {
        LK_TRY(statistic(builder, mean, &stat_mean));
        LK_TRY(statistic(builder, var, &stat_var));
    }
    return lk_op_batch_norm(graph, path, x, g, b, mean, var, stat_mean, stat_var, NORM_EPS, LK_BATCH_NORM_MOMENTUM, y);
}

lk_status lk_layer_norm(lk_builder *builder, lk_norm kind, int x, int *y)
{
    char path[LK_MAX_NAME];
    int g, b;

    *y = x;
    if (kind == LK_NORM_NONE) return LK_OK;
    next_path(builder, path);
    LK_TRY(vector(builder, path, "weight", LK_ROLE_PARAM, LK_FILL_ONES, last_dim(builder, x), &g));
    LK_TRY(vector(builder, path, "bias", LK_ROLE_PARAM, LK_FILL_ZEROS, last_dim(builder, x), &b));
    if (kind == LK_NORM_BATCH) return batch_norm(builder, path, x, g, b, y);
    return lk_op_layer_norm(builder->graph, path, x, g, b, NORM_EPS, y);
}

lk_status lk_layer_activation(lk_builder *builder, lk_activation kind, int x, int *y)
{
    char path[LK_MAX_NAME];

    next_path(builder, path);
    *y = x;
    if (kind == LK_ACT_IDENTITY) return LK_OK;
    return lk_op_activation(builder->graph, path, kind, x, y);
}

lk_status lk_layer_dropout(lk_builder *builder, double p, int x, int *y)
{
    char path[LK_MAX_NAME];

    next_path(builder, path);
    return lk_op_dropout(builder->graph, path, p, builder->n_dropouts++, x, y);
}

lk_status lk_layer_pool(lk_builder *builder, lk_pool kind, int x, int *y)
{
    char path[LK_MAX_NAME];

    next_path(builder, path);
    return lk_op_pool2d(builder->graph, path, kind, x, POOL_SIDE, POOL_SIDE, 0, y);
}
