/*
 * Swin Transformer, with torchvision's structure, names and first values (models/swin_transformer.py):
 *
 *     features.0      patches: Conv2d of kernel and stride `patch`, LayerNorm
 *     features.1 3 5 7  stages of blocks:  x = x + drop_path(attn(norm1(x))),  x = x + drop_path(mlp(norm2(x)));
 *                     every second block shifts its windows by half of one
 *     features.2 4 6  between stages: 2 x 2 tokens merged, LayerNorm, Linear to twice the channels
 *     norm, head      LayerNorm, mean over the image, Linear
 *
 * Images are channels last here, so torchvision's permutes are nothing.  Linear layers begin as trunc_normal(std=0.02)
 * with biases of 0, the tables of relative positions too; the convolution as PyTorch's.
 *
 * Source: Liu et al., "Swin Transformer", ICCV 2021, arXiv:2103.14030.
 */
#include "engine/nn/networks.h"

#include <math.h>

enum { N_STAGES = 4, MLP_RATIO = 4 };

/* What the words of the family say. */
typedef struct size {
    int64_t channels; /* of the first stage; each further one has twice as many */
    int depth[N_STAGES], heads;
    double stochastic_depth;
} size;

static size size_of(const lk_model_spec *spec)
{
    switch (spec->kind) {
    case LK_MODEL_SWIN_S: return (size){96, {2, 2, 18, 2}, 3, 0.3};
    case LK_MODEL_SWIN_B: return (size){128, {2, 2, 18, 2}, 4, 0.5};
    default: return (size){96, {2, 2, 6, 2}, 3, 0.2};
    }
}

/* `width` times the family's, in whole channels a head. */
static int64_t first_channels(const lk_model_spec *spec)
{
    const size s = size_of(spec);
    const int64_t of_head = llround((double)s.channels * spec->vision.width / s.heads);

    return s.heads * (of_head > 1 ? of_head : 1);
}

/* ------------------------------------------------------------------- build */

/* A network being built: what its blocks share. */
typedef struct swin {
    lk_builder *b;
    const lk_model_spec *spec;
    lk_fill weight, bias;
    double drop_path; /* of the last block; it grows from 0 */
    int block, n_blocks;
} swin;

static lk_status linear(swin *s, const char *name, int x, int64_t n_out, int *y)
{
    return lk_layer_linear(s->b, name, x, &(lk_linear){.n_out = n_out, .weight = &s->weight, .bias = &s->bias}, y);
}

static lk_status layer_norm(swin *s, const char *name, int x, int *y)
{
    return lk_layer_norm(s->b, name, LK_NORM_LAYER, x, y);
}

static lk_status build_mlp(swin *s, int x, int64_t channels, int *y)
{
    LK_TRY(lk_enter(s->b, "mlp"));
    LK_TRY(linear(s, NULL, x, MLP_RATIO * channels, &x));
    LK_TRY(lk_layer_activation(s->b, NULL, LK_ACT_GELU, x, &x));
    LK_TRY(lk_layer_dropout(s->b, NULL, s->spec->dropout, x, &x));
    LK_TRY(linear(s, NULL, x, channels, &x));
    LK_TRY(lk_layer_dropout(s->b, NULL, s->spec->dropout, x, y));
    lk_leave(s->b);
    return LK_OK;
}

static lk_status build_block(swin *s, int x, int64_t channels, int64_t heads, bool shifts, int *y)
{
    const lk_swin_spec *of = &s->spec->swin;
    const double p = s->drop_path * s->block++ / (s->n_blocks - 1);
    const lk_window_attention attention = {
        .heads = heads, .window = of->window, .shift = shifts ? of->window / 2 : 0,
        .attention_dropout = of->attention_dropout, .dropout = s->spec->dropout,
        .weight = &s->weight, .bias = &s->bias, .table = s->weight,
    };
    int branch;

    LK_TRY(lk_enter(s->b, NULL));
    LK_TRY(layer_norm(s, "norm1", x, &branch));
    LK_TRY(lk_layer_window_attention(s->b, "attn", branch, &attention, &branch));
    LK_TRY(lk_layer_drop_path(s->b, "stochastic_depth", p, branch, &branch));
    LK_TRY(lk_layer_add(s->b, "add1", x, branch, &x));
    LK_TRY(layer_norm(s, "norm2", x, &branch));
    LK_TRY(build_mlp(s, branch, channels, &branch));
    LK_TRY(lk_layer_drop_path(s->b, "stochastic_depth", p, branch, &branch));
    LK_TRY(lk_layer_add(s->b, "add2", x, branch, y));
    lk_leave(s->b);
    return LK_OK;
}

static lk_status build_merge(swin *s, int x, int64_t channels, int *y)
{
    const lk_linear reduction = {.n_out = 2 * channels, .no_bias = true, .weight = &s->weight};

    LK_TRY(lk_enter(s->b, NULL));
    LK_TRY(lk_layer_patch_merge(s->b, "merge", x, &x));
    LK_TRY(layer_norm(s, "norm", x, &x));
    LK_TRY(lk_layer_linear(s->b, "reduction", x, &reduction, y));
    lk_leave(s->b);
    return LK_OK;
}

/* Names count torchvision's Permute, features.0.1, which is nothing here. */
static lk_status build_patches(swin *s, int x, int64_t channels, int *y)
{
    const int64_t patch = s->spec->swin.patch;

    LK_TRY(lk_enter(s->b, NULL));
    LK_TRY(lk_layer_conv2d(s->b, "0", x, &(lk_conv2d){.n_out = channels, .kernel = patch, .stride = patch}, &x));
    LK_TRY(layer_norm(s, "2", x, y));
    lk_leave(s->b);
    return LK_OK;
}

static lk_status build_features(swin *s, int x, int *y)
{
    const size of = size_of(s->spec);
    int64_t channels = first_channels(s->spec), heads = of.heads;

    LK_TRY(lk_enter(s->b, "features"));
    LK_TRY(build_patches(s, x, channels, &x));
    for (int stage = 0; stage < N_STAGES; stage++, channels *= 2, heads *= 2) {
        if (stage > 0) LK_TRY(build_merge(s, x, channels / 2, &x));
        LK_TRY(lk_enter(s->b, NULL));
        for (int i = 0; i < of.depth[stage]; i++) LK_TRY(build_block(s, x, channels, heads, i % 2, &x));
        lk_leave(s->b);
    }
    lk_leave(s->b);
    *y = x;
    return LK_OK;
}

static lk_status build(lk_builder *builder, const lk_model_spec *spec, const int *in, int *y)
{
    const size of = size_of(spec);
    swin s = {.b = builder, .spec = spec, .weight = lk_fill_trunc_normal(0.0, 0.02, -2.0, 2.0),
              .bias = lk_fill_constant(0.0), .drop_path = spec->swin.stochastic_depth};
    int x;

    if (s.drop_path < 0.0) s.drop_path = of.stochastic_depth;
    for (int stage = 0; stage < N_STAGES; stage++) s.n_blocks += of.depth[stage];
    LK_TRY(build_features(&s, in[0], &x));
    LK_TRY(layer_norm(&s, "norm", x, &x));
    LK_TRY(lk_layer_pool2d(builder, "avgpool", x, &(lk_pool2d){.kind = LK_POOL_AVG}, &x));
    LK_TRY(lk_layer_flatten(builder, "flatten", x, &x));
    return linear(&s, "head", x, spec->vision.classes, y);
}

/* ------------------------------------------------------------------- check */

static lk_status check(const lk_model_spec *spec)
{
    const lk_swin_spec *s = &spec->swin;

    LK_TRY(lk_vision_check(spec));
    LK_TRY(lk_vision_check_width(spec));
    for (int d = 1; d <= 2; d++)
        if (s->patch < 1 || spec->vision.image[d] < s->patch)
            return LK_FAIL(LK_ERR_USAGE, "model.patch: a patch of %lld pixels does not fit an image of %lld x %lld",
                           (long long)s->patch, (long long)spec->vision.image[1], (long long)spec->vision.image[2]);
    if (s->stochastic_depth >= 1.0)
        return LK_FAIL(LK_ERR_USAGE, "model.stochastic_depth is %g; it must be less than 1", s->stochastic_depth);
    return LK_OK;
}

/* Patches and their merging lie between. */
static const char *const blocks[] = {"features.[1357].*", NULL};

const lk_network lk_network_swin = {
    .word = "swin", .blocks = blocks, .fit = lk_vision_fit, .is_complete = lk_vision_is_complete, .check = check,
    .sample = lk_vision_sample, .build = build};
