/*
 * ResNet as torchvision has it: structure, names, first values.
 *
 *     conv1, bn1, relu, maxpool      7 x 7, stride 2, then 3 x 3, stride 2; stem cifar: 3 x 3, stride 1, no pool
 *     layer1 .. layer4               blocks of 64, 128, 256, 512 channels, each layer but the first halving the image
 *     avgpool, fc                    the mean of the image, and a linear layer
 *
 *     basic block      relu(x + bn2(conv2(relu(bn1(conv1(x))))))                      3 x 3, 3 x 3
 *     bottleneck       relu(x + bn3(conv3(relu(bn2(conv2(relu(bn1(conv1(x)))))))))    1 x 1, 3 x 3, 1 x 1 to 4 times
 *                                                                                     as many channels
 *
 * A stride is that of the block's 3 x 3 convolution (of a basic block: the first).  Where the shapes of x and of the
 * branch differ, x goes through downsample, a 1 x 1 convolution and a norm.  Layers stand in the order of torchvision's
 * state_dict, in which downsample comes behind the branch.
 *
 * Source: He et al., CVPR 2016, arXiv:1512.03385; the zero weights of zero_init_residual: Goyal et al., 2017,
 * arXiv:1706.02677.
 */
#include "engine/nn/backbone.h"

enum { N_STAGES = 4, STEM_CHANNELS = 64, EXPANSION = 4 };

typedef struct depth { bool bottleneck; int n_blocks[N_STAGES]; } depth;

static const depth depths[] = {
    [LK_MODEL_RESNET18] = {false, {2, 2, 2, 2}},   [LK_MODEL_RESNET34] = {false, {3, 4, 6, 3}},
    [LK_MODEL_RESNET50] = {true, {3, 4, 6, 3}},    [LK_MODEL_RESNET101] = {true, {3, 4, 23, 3}},
    [LK_MODEL_RESNET152] = {true, {3, 8, 36, 3}},
};

/* The network up to here: its last tensor, and how many channels that has. */
typedef struct net {
    lk_builder *builder;
    const lk_model_spec *spec;
    int x;
    int64_t n_channels;
} net;

/* The shape of a block. */
typedef struct block {
    int64_t planes, n_out, stride; /* planes: channels within; n_out: of its result */
} block;

/* CONV and NORM, in whose weights the first values are `gain`. */
static lk_status conv_norm(const net *n, const char *conv, const char *norm, double gain, lk_conv2d shape, int x,
                           int *y)
{
    const lk_fill weight = lk_backbone_conv_weight();

    shape.no_bias = true;
    shape.weight = &weight;
    LK_TRY(lk_layer_conv2d(n->builder, conv, x, &shape, y));
    return lk_layer_norm_from(n->builder, norm, LK_NORM_BATCH, gain, *y, y);
}

static lk_status relu(const net *n, int *x)
{
    return lk_layer_activation(n->builder, "relu", n->spec->activation, *x, x);
}

static double last_gain(const net *n) { return n->spec->backbone.zero_init_residual ? 0.0 : 1.0; }

static lk_status basic_branch(const net *n, const block *b, int *y)
{
    LK_TRY(conv_norm(n, "conv1", "bn1", 1.0,
                     (lk_conv2d){.n_out = b->planes, .kernel = 3, .padding = 1, .stride = b->stride}, n->x, y));
    LK_TRY(relu(n, y));
    return conv_norm(n, "conv2", "bn2", last_gain(n), (lk_conv2d){.n_out = b->planes, .kernel = 3, .padding = 1}, *y,
                     y);
}

static lk_status bottleneck_branch(const net *n, const block *b, int *y)
{
    LK_TRY(conv_norm(n, "conv1", "bn1", 1.0, (lk_conv2d){.n_out = b->planes, .kernel = 1}, n->x, y));
    LK_TRY(relu(n, y));
    LK_TRY(conv_norm(n, "conv2", "bn2", 1.0,
                     (lk_conv2d){.n_out = b->planes, .kernel = 3, .padding = 1, .stride = b->stride}, *y, y));
    LK_TRY(relu(n, y));
    return conv_norm(n, "conv3", "bn3", last_gain(n), (lk_conv2d){.n_out = b->n_out, .kernel = 1}, *y, y);
}

/* x in the shape of the branch's result. */
static lk_status shortcut(const net *n, const block *b, int *y)
{
    *y = n->x;
    if (b->stride == 1 && n->n_channels == b->n_out) return LK_OK;
    LK_TRY(lk_enter(n->builder, "downsample"));
    LK_TRY(conv_norm(n, NULL, NULL, 1.0, (lk_conv2d){.n_out = b->n_out, .kernel = 1, .stride = b->stride}, n->x, y));
    lk_leave(n->builder);
    return LK_OK;
}

static lk_status add_block(net *n, const block *b, bool bottleneck)
{
    int branch, x;

    LK_TRY(lk_enter(n->builder, NULL));
    LK_TRY((bottleneck ? bottleneck_branch : basic_branch)(n, b, &branch));
    LK_TRY(shortcut(n, b, &x));
    LK_TRY(lk_layer_add(n->builder, "add", branch, x, &n->x));
    LK_TRY(relu(n, &n->x));
    lk_leave(n->builder);
    n->n_channels = b->n_out;
    return LK_OK;
}

static lk_status add_stem(net *n)
{
    const bool small = n->spec->backbone.stem == LK_STEM_CIFAR;
    lk_conv2d conv = {.kernel = 7, .stride = 2, .padding = 3};

    if (small) conv = (lk_conv2d){.kernel = 3, .padding = 1};
    n->n_channels = conv.n_out = lk_backbone_channels(n->spec, STEM_CHANNELS);
    LK_TRY(conv_norm(n, "conv1", "bn1", 1.0, conv, n->x, &n->x));
    LK_TRY(relu(n, &n->x));
    if (small) return LK_OK;
    return lk_layer_pool2d(n->builder, "maxpool", n->x,
                           &(lk_pool2d){.kind = LK_POOL_MAX, .kernel = 3, .stride = 2, .padding = 1}, &n->x);
}

static lk_status add_stage(net *n, int stage)
{
    const depth *d = &depths[n->spec->kind];
    const int64_t planes = lk_backbone_channels(n->spec, (int64_t)STEM_CHANNELS << stage);

    LK_TRY(lk_enter(n->builder, "layer%d", stage + 1));
    for (int i = 0; i < d->n_blocks[stage]; i++) {
        const block b = {.planes = planes, .n_out = d->bottleneck ? EXPANSION * planes : planes,
                         .stride = stage > 0 && i == 0 ? 2 : 1};
        LK_TRY(add_block(n, &b, d->bottleneck));
    }
    lk_leave(n->builder);
    return LK_OK;
}

static lk_status build(lk_builder *builder, const lk_model_spec *spec, const int *in, int *y)
{
    net n = {.builder = builder, .spec = spec, .x = in[0]};

    LK_TRY(add_stem(&n));
    for (int stage = 0; stage < N_STAGES; stage++) LK_TRY(add_stage(&n, stage));
    LK_TRY(lk_layer_adaptive_avg_pool2d(builder, "avgpool", 1, 1, n.x, &n.x));
    LK_TRY(lk_layer_flatten(builder, "flatten", n.x, &n.x));
    return lk_layer_linear(builder, "fc", n.x, &(lk_linear){.n_out = spec->vision.classes}, y);
}

static const char *const blocks[] = {"layer?.*", NULL};

const lk_network lk_network_resnet = {
    .word = "resnet", .blocks = blocks, .fit = lk_vision_fit, .is_complete = lk_vision_is_complete,
    .check = lk_backbone_check,
    .sample = lk_vision_sample, .build = build};
