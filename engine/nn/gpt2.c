/*
 * GPT-2, a decoder that learns the next token of a running text, with the names and shapes of its published files:
 *
 *     wte, wpe             rows by token and by position, added; dropout
 *     h.0                  x = x + attn(ln_1(x)),  x = x + mlp(ln_2(x))
 *     h.0.attn             c_attn to queries, keys and values side by side; causal attention; c_proj, dropout
 *     h.0.mlp              c_fc to four times the width, GELU by tanh, c_proj, dropout
 *     ln_f, lm_head        logits; where tied, lm_head's weight is wte's
 *
 * The weights of c_attn, c_proj and c_fc are (inputs, outputs).  They begin as normal(0, 0.02), as the tables do, those
 * of the residual projections c_proj as normal(0, 0.02 / sqrt(2 layers)); biases as 0.
 *
 * Programs: encoding and decoding both read the next tokens, keep each block's keys and values in the cache and give
 * the logits behind each of them: a prompt is encoded at once, and its last token decoded, as those behind it are.
 *
 * Source: Radford et al., "Language models are unsupervised multitask learners", 2019; github.com/openai/gpt-2,
 * src/model.py; section 2.3 for first values.
 */
#include "engine/nn/networks.h"

#include <math.h>
#include <string.h>

enum { MLP_RATIO = 4 };
static const double FIRST_STD = 0.02;

/* A network being built: what its blocks share. */
typedef struct gpt2 {
    lk_builder *b;
    const lk_model_spec *spec;
    int64_t width;
    lk_fill weight, residual, bias;
} gpt2;

static int64_t n_blocks(const lk_model_spec *spec) { return spec->mlp.layers[0]; }
static int64_t width_of(const lk_model_spec *spec) { return (int64_t)spec->vision.width; }

/* ------------------------------------------------------------------- build */

static lk_status product(gpt2 *g, const char *name, int x, int64_t n_out, const lk_fill *weight, int *y)
{
    return lk_layer_linear(g->b, name, x, &(lk_linear){.n_out = n_out, .in_out = true, .weight = weight,
                                                       .bias = &g->bias}, y);
}

static lk_status dropout(gpt2 *g, const char *name, int x, int *y)
{
    return lk_layer_dropout(g->b, name, g->spec->dropout, x, y);
}

/* Programs with a cache read keys and values there, those of this lane among them. */
static lk_status cache(gpt2 *g, int *k, int *v)
{
    const lk_mode mode = lk_builder_mode(g->b);

    if (mode != LK_ENCODE && mode != LK_DECODE) return LK_OK;
    LK_TRY(lk_layer_append(g->b, "keys", *k, k));
    return lk_layer_append(g->b, "values", *v, v);
}

static lk_status build_attention(gpt2 *g, int x, int *y)
{
    const lk_attention_heads heads = {.heads = g->spec->transformer.heads, .causal = true, .dropout = g->spec->dropout};
    int qkv[3];

    LK_TRY(lk_enter(g->b, "attn"));
    LK_TRY(product(g, "c_attn", x, 3 * g->width, &g->weight, &x));
    LK_TRY(lk_layer_split(g->b, "split", x, 3, qkv));
    LK_TRY(cache(g, &qkv[1], &qkv[2]));
    LK_TRY(lk_layer_attention(g->b, "attention", qkv[0], qkv[1], qkv[2], &heads, &x));
    LK_TRY(product(g, "c_proj", x, g->width, &g->residual, &x));
    LK_TRY(dropout(g, "resid_dropout", x, y));
    lk_leave(g->b);
    return LK_OK;
}

static lk_status build_mlp(gpt2 *g, int x, int *y)
{
    LK_TRY(lk_enter(g->b, "mlp"));
    LK_TRY(product(g, "c_fc", x, MLP_RATIO * g->width, &g->weight, &x));
    LK_TRY(lk_layer_activation(g->b, "act", LK_ACT_GELU_TANH, x, &x));
    LK_TRY(product(g, "c_proj", x, g->width, &g->residual, &x));
    LK_TRY(dropout(g, "dropout", x, y));
    lk_leave(g->b);
    return LK_OK;
}

static lk_status build_block(gpt2 *g, int x, int *y)
{
    int branch;

    LK_TRY(lk_layer_norm(g->b, "ln_1", LK_NORM_LAYER, x, &branch));
    LK_TRY(build_attention(g, branch, &branch));
    LK_TRY(lk_layer_add(g->b, "add_1", x, branch, &x));
    LK_TRY(lk_layer_norm(g->b, "ln_2", LK_NORM_LAYER, x, &branch));
    LK_TRY(build_mlp(g, branch, &branch));
    return lk_layer_add(g->b, "add_2", x, branch, y);
}

static lk_status build_blocks(gpt2 *g, int x, int *y)
{
    LK_TRY(lk_enter(g->b, "h"));
    for (int64_t i = 0; i < n_blocks(g->spec); i++) {
        LK_TRY(lk_enter(g->b, NULL));
        LK_TRY(build_block(g, x, &x));
        lk_leave(g->b);
    }
    lk_leave(g->b);
    *y = x;
    return LK_OK;
}

static lk_status build(lk_builder *builder, const lk_model_spec *spec, const int *in, int *y)
{
    const int64_t vocabulary = spec->gpt2.vocabulary;
    gpt2 g = {.b = builder, .spec = spec, .width = width_of(spec), .weight = lk_fill_normal(0.0, FIRST_STD),
              .residual = lk_fill_normal(0.0, FIRST_STD / sqrt(2.0 * (double)n_blocks(spec))),
              .bias = lk_fill_constant(0.0)};
    const lk_embedding wte = {.n_rows = vocabulary, .width = g.width, .weight = &g.weight};
    const lk_linear head = {.n_out = vocabulary, .no_bias = true, .weight = &g.weight,
                            .share = spec->transformer.tie == LK_TIE_NONE ? NULL : "wte"};
    int x;

    LK_TRY(lk_layer_embedding(builder, "wte", in[0], &wte, &x));
    LK_TRY(lk_layer_positions(builder, "wpe", x, spec->gpt2.context, &g.weight, &x));
    LK_TRY(dropout(&g, "drop", x, &x));
    LK_TRY(build_blocks(&g, x, &x));
    LK_TRY(lk_layer_norm(builder, "ln_f", LK_NORM_LAYER, x, &x));
    return lk_layer_linear(builder, "lm_head", x, &head, y);
}

/* ---------------------------------------------------------------- the rest */

static lk_status check_sizes(const lk_model_spec *spec)
{
    const long long heads = spec->transformer.heads, most = 1 << 30;
    const double width = spec->vision.width;

    if (spec->mlp.n_layers != 1 || n_blocks(spec) < 1)
        return LK_FAIL(LK_ERR_USAGE, "model.layers: a gpt2 wants one number of blocks, at least 1");
    if (!(width >= 1.0 && width <= (double)most && width == floor(width)))
        return LK_FAIL(LK_ERR_USAGE, "model.width is %g; of a gpt2 it is a whole number of channels", width);
    if (heads < 1 || width_of(spec) % heads)
        return LK_FAIL(LK_ERR_USAGE, "model.width: %lld does not divide into %lld heads", (long long)width_of(spec),
                       heads);
    return LK_OK;
}

static lk_status check(const lk_model_spec *spec)
{
    LK_TRY(check_sizes(spec));
    if (spec->gpt2.context < 1)
        return LK_FAIL(LK_ERR_USAGE, "model.context is %lld; it must be at least 1", (long long)spec->gpt2.context);
    if (spec->gpt2.vocabulary < 1)
        return LK_FAIL(LK_ERR_USAGE, "model.vocabulary is %lld; it must be at least 1",
                       (long long)spec->gpt2.vocabulary);
    if (spec->loss.kind != LK_LOSS_CROSS_ENTROPY)
        return LK_FAIL(LK_ERR_USAGE, "loss.kind: a gpt2 gives logits of tokens, which cross_entropy reads");
    return LK_OK;
}

static lk_status fit(lk_model_spec *spec, const lk_sample *data)
{
    return lk_fit_vocabulary("model.vocabulary", data, "tokens", &spec->gpt2.vocabulary);
}

static int64_t context(const lk_model_spec *spec) { return spec->gpt2.context; }

static bool is_complete(const lk_model_spec *spec) { return spec->gpt2.vocabulary > 0; }

static void sample(const lk_model_spec *spec, lk_sample *out)
{
    lk_field tokens = {.name = "tokens", .dtype = LK_DTYPE_I32, .ndim = 1, .shape = {LK_LENGTH},
                       .n_values = spec->gpt2.vocabulary};

    lk_sample_add(out, &tokens);
    strcpy(tokens.name, "target");
    tokens.target = true;
    lk_sample_add(out, &tokens);
}

static const char *const no_decay[] = {"*.bias", "*ln_*.weight", NULL};

static const char *const blocks[] = {"h.*", NULL};

const lk_network lk_network_gpt2 = {.word = "gpt2", .fit = fit, .is_complete = is_complete,
                                    .context = context, .check = check, .sample = sample, .build = build,
                                    .no_decay = no_decay, .blocks = blocks};
