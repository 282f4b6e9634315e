/*
 * Layers: PyTorch's modules as builders.  Each knows the names, shapes and first values of its tensors and appends
 * its op; shapes are checked by the op.
 */
#include "engine/model/trainable.h"
#include "engine/nn/builder.h"

#define NORM_EPS 1e-5f /* PyTorch's default, batch and layer norm */

static int64_t last_dim(const lk_builder *builder, int x)
{
    const lk_tensor *t = &builder->graph->tensors[x];
    return t->shape[t->ndim - 1];
}

static lk_model_entry entry_of(lk_role role, lk_fill fill, int ndim, const int64_t *shape)
{
    lk_model_entry entry = {.info = {.role = role, .ndim = ndim}, .fill = fill};

    for (int d = 0; d < ndim; d++) entry.info.shape[d] = shape[d];
    return entry;
}

/* ----------------------------------------------------------------- products */

/* What the recipe asks for, else what the network does, else PyTorch's default. */
static lk_fill choose(const lk_fill *asked, const lk_fill *own)
{
    return asked->init != LK_INIT_DEFAULT || !own ? *asked : *own;
}

/* The tensors of a linear layer or of a convolution, whose weight is (n_out, ...), or with in_out (inputs, n_out). */
static lk_status weight_and_bias(lk_builder *builder, const char *path, const lk_linear *spec, int ndim,
                                 const int64_t *shape, int *w, int *b)
{
    lk_model_entry weight = entry_of(LK_ROLE_PARAM, choose(&builder->init, spec->weight), ndim, shape);
    lk_model_entry bias = entry_of(LK_ROLE_PARAM, choose(&builder->init_bias, spec->bias), 1, &spec->n_out);

    lk_model_entry_fans(&weight);
    if (spec->in_out) weight.fan_in = shape[0], weight.fan_out = shape[1];
    bias.fan_in = weight.fan_in;
    bias.fan_out = weight.fan_out;
    *b = LK_NO_TENSOR;
    LK_TRY(lk_builder_tensor(builder, path, spec->share ? spec->share : path, "weight", &weight, w));
    return spec->no_bias ? LK_OK : lk_builder_tensor(builder, path, path, "bias", &bias, b);
}

lk_status lk_layer_linear(lk_builder *builder, const char *name, int x, const lk_linear *spec, int *y)
{
    const int64_t n_in = last_dim(builder, x), shape[] = {spec->n_out, n_in}, in_out[] = {n_in, spec->n_out};
    char path[LK_MAX_PATH];
    int w, b;

    LK_TRY(lk_builder_path(builder, name, path));
    LK_TRY(weight_and_bias(builder, path, spec, 2, spec->in_out ? in_out : shape, &w, &b));
    return (spec->in_out ? lk_op_linear_in_out : lk_op_linear)(builder->graph, path, x, w, b, y);
}

lk_status lk_layer_conv2d(lk_builder *builder, const char *name, int x, const lk_conv2d *spec, int *y)
{
    const bool square = spec->kernel_w == 0;
    const int64_t groups = spec->groups ? spec->groups : 1, stride_w = square ? spec->stride : spec->stride_w;
    const lk_conv_attrs conv = {
        .stride = {spec->stride ? spec->stride : 1, stride_w ? stride_w : 1},
        .padding = {spec->padding, square ? spec->padding : spec->padding_w},
        .groups = groups,
    };
    const int64_t shape[] = {spec->n_out, last_dim(builder, x) / groups, spec->kernel,
                             square ? spec->kernel : spec->kernel_w};
    const lk_linear product = {.n_out = spec->n_out, .no_bias = spec->no_bias, .weight = spec->weight,
                               .bias = spec->bias};
    char path[LK_MAX_PATH];
    int w, b;

    LK_TRY(lk_builder_path(builder, name, path));
    LK_TRY(weight_and_bias(builder, path, &product, 4, shape, &w, &b));
    return lk_op_conv2d(builder->graph, path, x, w, b, &conv, y);
}

/* -------------------------------------------------------------------- norms */

/* One number a channel of x. */
static lk_status vector(lk_builder *builder, const char *path, const char *leaf, lk_role role, double value, int x,
                        int *out)
{
    const int64_t n = last_dim(builder, x);
    const lk_model_entry entry = entry_of(role, lk_fill_constant(value), 1, &n);

    return lk_builder_tensor(builder, path, path, leaf, &entry, out);
}

static lk_status batch_norm(lk_builder *builder, const char *path, int x, int g, int b, int *y)
{
    lk_batch_norm norm = {.x = x, .g = g, .b = b, .stat_mean = LK_NO_TENSOR, .stat_var = LK_NO_TENSOR, .eps = NORM_EPS,
                          .momentum = LK_BATCH_NORM_MOMENTUM};

    LK_TRY(vector(builder, path, "running_mean", LK_ROLE_BUFFER, 0.0, x, &norm.running_mean));
    LK_TRY(vector(builder, path, "running_var", LK_ROLE_BUFFER, 1.0, x, &norm.running_var));
    if (builder->graph->mode == LK_TRAIN) {
        LK_TRY(lk_builder_statistic(builder, path, norm.running_mean, &norm.stat_mean));
        LK_TRY(lk_builder_statistic(builder, path, norm.running_var, &norm.stat_var));
    }
    return lk_op_batch_norm(builder->graph, path, &norm, y);
}

lk_status lk_layer_norm_from(lk_builder *builder, const char *name, lk_norm kind, double gain, int x, int *y)
{
    char path[LK_MAX_PATH];
    int g, b;

    *y = x;
    if (kind == LK_NORM_NONE) return LK_OK;
    LK_TRY(lk_builder_path(builder, name, path));
    LK_TRY(vector(builder, path, "weight", LK_ROLE_PARAM, gain, x, &g));
    LK_TRY(vector(builder, path, "bias", LK_ROLE_PARAM, 0.0, x, &b));
    if (kind == LK_NORM_BATCH) return batch_norm(builder, path, x, g, b, y);
    return lk_op_layer_norm(builder->graph, path, x, g, b, NORM_EPS, y);
}

lk_status lk_layer_norm(lk_builder *builder, const char *name, lk_norm kind, int x, int *y)
{
    return lk_layer_norm_from(builder, name, kind, 1.0, x, y);
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

    /* Numbered where it is off, too: the others keep their masks. */
    const uint32_t layer = builder->n_dropouts++;

    LK_TRY(lk_builder_path(builder, name, path));
    return lk_op_dropout(builder->graph, path, lk_builder_in_eval(builder, path) ? 0.0 : p, layer, x, y);
}

lk_status lk_layer_pool2d(lk_builder *builder, const char *name, int x, const lk_pool2d *spec, int *y)
{
    const lk_tensor *image = &builder->graph->tensors[x];
    int64_t kernel = spec->kernel;
    char path[LK_MAX_PATH];

    LK_TRY(lk_builder_path(builder, name, path));
    if (kernel == 0 && spec->kind == LK_POOL_AVG) return lk_op_adaptive_avg_pool2d(builder->graph, path, x, 1, 1, y);
    if (kernel == 0 && image->ndim == 4 && image->shape[1] != image->shape[2])
        return LK_FAIL(LK_ERR_USAGE, "%s: the maximum of a whole image is taken where it is square, and this one is "
                       "%lld x %lld", path, (long long)image->shape[1], (long long)image->shape[2]);
    if (kernel == 0 && image->ndim == 4) kernel = image->shape[1];
    return lk_op_pool2d(builder->graph, path, spec->kind, x, kernel, spec->stride ? spec->stride : kernel,
                        spec->padding, y);
}

lk_status lk_layer_adaptive_avg_pool2d(lk_builder *builder, const char *name, int64_t height, int64_t width, int x,
                                       int *y)
{
    char path[LK_MAX_PATH];

    LK_TRY(lk_builder_path(builder, name, path));
    return lk_op_adaptive_avg_pool2d(builder->graph, path, x, height, width, y);
}

lk_status lk_layer_flatten(lk_builder *builder, const char *name, int x, int *y)
{
    char path[LK_MAX_PATH];

    LK_TRY(lk_builder_path(builder, name, path));
    return lk_op_flatten(builder->graph, path, x, y);
}

lk_status lk_layer_split(lk_builder *builder, const char *name, int x, int n_parts, int *y)
{
    char path[LK_MAX_PATH];

    LK_TRY(lk_builder_path(builder, name, path));
    return lk_op_split(builder->graph, path, x, n_parts, y);
}

lk_status lk_layer_add(lk_builder *builder, const char *name, int a, int b, int *y)
{
    char path[LK_MAX_PATH];

    LK_TRY(lk_builder_path(builder, name, path));
    return lk_op_add(builder->graph, path, a, b, y);
}

lk_status lk_layer_drop_path(lk_builder *builder, const char *name, double p, int x, int *y)
{
    const uint32_t layer = builder->n_dropouts++; /* numbered as a dropout */
    char path[LK_MAX_PATH];

    LK_TRY(lk_builder_path(builder, name, path));
    return lk_op_drop_path(builder->graph, path, lk_builder_in_eval(builder, path) ? 0.0 : p, layer, x, y);
}

lk_status lk_layer_patch_merge(lk_builder *builder, const char *name, int x, int *y)
{
    char path[LK_MAX_PATH];

    LK_TRY(lk_builder_path(builder, name, path));
    return lk_op_patch_merge(builder->graph, path, x, y);
}
