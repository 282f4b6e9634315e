/*
 * A network of one's own: a residual multilayer perceptron, as a plug-in.
 *
 *     cc -shared -fPIC -I PREFIX/include residual.c -o residual.so
 *     model: {plugin: ./residual.so, args: {width: 32, blocks: 3, dropout: 0.1}}
 *
 *     stem    Linear(inputs, width)
 *     blocks  x + fc2(Dropout(GELU(fc1(LayerNorm(x))))), `blocks` times       blocks.0.norm.weight,
 *             blocks.0.fc1.weight, ...
 *     head    Linear(width, outputs)
 *
 * The branches begin small, as GPT-2's do, unless the recipe says model.init.
 */
#include <lockstep/engine/nn/nn.h>

#include <math.h>

static const char *const args[] = {"inputs", "outputs", "width", "blocks", "dropout", NULL};

static lk_status whole(const lk_model_spec *spec, const char *name, int64_t fallback, int64_t *out)
{
    return lk_arg_whole(spec, name, fallback, 1, out);
}

/* What it reads: one row of numbers. */
static void sample(const lk_model_spec *spec, lk_sample *out)
{
    lk_field x = {.name = "x", .dtype = LK_DTYPE_F32, .ndim = 1};

    (void)whole(spec, "inputs", 4, &x.shape[0]);
    lk_sample_add(out, &x);
}

static lk_status block(lk_builder *b, const lk_model_spec *spec, int64_t width, int64_t n_blocks, int x, int *y)
{
    const lk_fill small = lk_fill_normal(0.0, 0.1 / sqrt((double)n_blocks));
    double dropout;
    int branch;

    LK_TRY(lk_arg_real(spec, "dropout", 0.0, &dropout));
    LK_TRY(lk_layer_norm(b, "norm", LK_NORM_LAYER, x, &branch));
    LK_TRY(lk_layer_linear(b, "fc1", branch, &(lk_linear){.n_out = 2 * width}, &branch));
    LK_TRY(lk_layer_activation(b, "act", LK_ACT_GELU, branch, &branch));
    LK_TRY(lk_layer_dropout(b, "drop", dropout, branch, &branch));
    LK_TRY(lk_layer_linear(b, "fc2", branch, &(lk_linear){.n_out = width, .weight = &small}, &branch));
    return lk_layer_add(b, "add", x, branch, y);
}

static lk_status build(lk_builder *b, const lk_model_spec *spec, const int *in, int *y)
{
    int64_t width, n_blocks, outputs;
    int x;

    LK_TRY(whole(spec, "width", 16, &width));
    LK_TRY(whole(spec, "blocks", 2, &n_blocks));
    LK_TRY(whole(spec, "outputs", 1, &outputs));
    LK_TRY(lk_layer_linear(b, "stem", in[0], &(lk_linear){.n_out = width}, &x));
    LK_TRY(lk_enter(b, "blocks"));
    for (int64_t i = 0; i < n_blocks; i++) {
        LK_TRY(lk_enter(b, NULL));
        LK_TRY(block(b, spec, width, n_blocks, x, &x));
        lk_leave(b);
    }
    lk_leave(b);
    return lk_layer_linear(b, "head", x, &(lk_linear){.n_out = outputs}, y);
}

static const char *const parts[] = {"blocks.*", NULL};
static const lk_network network = {.word = "residual", .args = args, .blocks = parts, .sample = sample, .build = build};
LK_PLUGIN(network)
