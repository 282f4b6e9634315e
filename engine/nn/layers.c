/*
 * Layers: PyTorch's modules as builders.  Each knows the names, shapes and first values of its tensors and appends
 * its op; shapes are checked by the op.
 */
#include "engine/model/trainable.h"
#include "engine/nn/builder.h"

#define NORM_EPS 1e-5f /* PyTorch's default, batch and layer norm */

enum { POOL_SIDE = 2 };

static int64_t last_dim(const lk_builder *builder, int x)
{
    const lk_tensor *t = &builder->graph->tensors[x];
    return t->shape[t->ndim - 1];
}

static lk_model_entry entry_of(lk_role role, lk_fill fill, int64_t fan_in, int64_t fan_out, int ndim,
                               const int64_t *shape)
{
    lk_model_entry entry = {.info = {.role = role, .ndim = ndim}, .fill = fill, .fan_in = fan_in, .fan_out = fan_out};

    for (int d = 0; d < ndim; d++) entry.info.shape[d] = shape[d];
    return entry;
}

/* ----------------------------------------------------------------- products */

lk_status lk_layer_linear(lk_builder *builder, const char *name, int x, const lk_linear *spec, int *y)
{
    char path[LK_MAX_PATH];
    const int64_t n_in = last_dim(builder, x), n_out = spec->n_out;
    const lk_model_entry weight =
        entry_of(LK_ROLE_PARAM, LK_FILL_WEIGHT, n_in, n_out, 2, (int64_t[]){n_out, n_in});
    const lk_model_entry bias = entry_of(LK_ROLE_PARAM, LK_FILL_BIAS, n_in, n_out, 1, &n_out);
    int w, b = LK_NO_TENSOR;

    LK_TRY(lk_builder_path(builder, name, path));
    LK_TRY(lk_builder_tensor(builder, path, spec->share ? spec->share : path, "weight", &weight, &w));
    if (!spec->no_bias) LK_TRY(lk_builder_tensor(builder, path, path, "bias", &bias, &b));
    return lk_op_linear(builder->graph, path, x, w, b, y);
}

lk_status lk_layer_conv2d(lk_builder *builder, const char *name, int x, const lk_conv2d *spec, int *y)
{
    char path[LK_MAX_PATH];
    const int64_t n_in = last_dim(builder, x), n_out = spec->n_out, kernel = spec->kernel, area = kernel * kernel;
    const lk_model_entry weight = entry_of(LK_ROLE_PARAM, LK_FILL_WEIGHT, n_in * area, n_out * area, 4,
                                           (int64_t[]){n_out, n_in, kernel, kernel});
    const lk_model_entry bias = entry_of(LK_ROLE_PARAM, LK_FILL_BIAS, n_in * area, n_out * area, 1, &n_out);
    int w, b = LK_NO_TENSOR;

    LK_TRY(lk_builder_path(builder, name, path));
    LK_TRY(lk_builder_tensor(builder, path, path, "weight", &weight, &w));
    if (!spec->no_bias) LK_TRY(lk_builder_tensor(builder, path, path, "bias", &bias, &b));
    return lk_op_conv2d(builder->graph, path, x, w, b, 1, kernel / 2, y);
}

/* -------------------------------------------------------------------- norms */

/* One number a channel of x. */
static lk_status vector(lk_builder *builder, const char *path, const char *leaf, lk_role role, lk_fill fill, int x,
                        int *out)
{
    const int64_t n = last_dim(builder, x);
    const lk_model_entry entry = entry_of(role, fill, 0, 0, 1, &n);

    return lk_builder_tensor(builder, path, path, leaf, &entry, out);
}

static lk_status batch_norm(lk_builder *builder, const char *path, int x, int g, int b, int *y)
{
    int mean, var, stat_mean = LK_NO_TENSOR, stat_var = LK_NO_TENSOR;

    LK_TRY(vector(builder, path, "running_mean", LK_ROLE_BUFFER, LK_FILL_ZEROS, x, &mean));
    LK_TRY(vector(builder, path, "running_var", LK_ROLE_BUFFER, LK_FILL_ONES, x, &var));
    if (builder->graph->mode == LK_TRAIN) {
        LK_TRY(lk_builder_statistic(builder, path, mean, &stat_mean));
        LK_TRY(lk_builder_statistic(builder, path, var, &stat_var));
    }
    return lk_op_batch_norm(builder->graph, path, x, g, b, mean, var, stat_mean, stat_var, NORM_EPS,
                            LK_BATCH_NORM_MOMENTUM, y);
}

lk_status lk_layer_norm(lk_builder *builder, const char *name, lk_norm kind, int x, int *y)
{
    char path[LK_MAX_PATH];
    int g, b;

    *y = x;
    if (kind == LK_NORM_NONE) return LK_OK;
    LK_TRY(lk_builder_path(builder, name, path));
    LK_TRY(vector(builder, path, "weight", LK_ROLE_PARAM, LK_FILL_ONES, x, &g));
    LK_TRY(vector(builder, path, "bias", LK_ROLE_PARAM, LK_FILL_ZEROS, x, &b));
    if (kind == LK_NORM_BATCH) return batch_norm(builder, path, x, g, b, y);
    return lk_op_layer_norm(builder->graph, path, x, g, b, NORM_EPS, y);
}

/* ------------------------------------------------------- without parameters */

lk_status lk_layer_activation(lk_builder *builder, const char *name, lk_activation kind, int x, int *y)
{
    char path[LK_MAX_PATH];

    LK_TRY(lk_builder_path(builder, name, path));
    return lk_op_activation(builder->graph, path, kind, x, y);
}

lk_status lk_layer_dropout(lk_builder *builder, const char *name, double p, int x, int *y)
{
    char path[LK_MAX_PATH];

    LK_TRY(lk_builder_path(builder, name, path));
    return lk_op_dropout(builder->graph, path, p, builder->n_dropouts++, x, y);
}

lk_status lk_layer_pool(lk_builder *builder, const char *name, lk_pool kind, int x, int *y)
{
    char path[LK_MAX_PATH];

    LK_TRY(lk_builder_path(builder, name, path));
    return lk_op_pool2d(builder->graph, path, kind, x, POOL_SIDE, POOL_SIDE, 0, y);
}

lk_status lk_layer_flatten(lk_builder *builder, const char *name, int x, int *y)
{
    char path[LK_MAX_PATH];

    LK_TRY(lk_builder_path(builder, name, path));
    return lk_op_flatten(builder->graph, path, x, y);
}

lk_status lk_layer_add(lk_builder *builder, const char *name, int a, int b, int *y)
{
    char path[LK_MAX_PATH];

    LK_TRY(lk_builder_path(builder, name, path));
    return lk_op_add(builder->graph, path, a, b, y);
}
